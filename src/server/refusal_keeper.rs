//! `RefusalKeeper`: writes to the audit trail which operations scopes and rules have refused.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::Clock;
use crate::issuer::Services;
use crate::oauth::Timestamp;
use crate::proxy::{CountedRefusals, RefusedOperation, RefusedOperations};
use crate::store::{AuditEvent, AuditRow, Store, StoreError};

/// How long the first refusals wait to be written together. A process that is killed loses those of this time, and of
/// operations that were refused before, those of a minute.
const PAUSE: Duration = Duration::from_millis(500);
/// How long to wait after a failure of the store, or while little disk space is left.
const AGAIN: Duration = Duration::from_secs(10);

/// Writes what was refused.
pub(super) struct RefusalKeeper {
    refused: Arc<RefusedOperations>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// What is being written, if anything is. Its outcome is awaited here even if the task that began it was cancelled,
    /// so that no row is lost or written twice.
    writing: Mutex<Option<JoinHandle<Vec<Unwritten>>>>,
}

/// Refusals whose row could not be written, and why.
type Unwritten = (CountedRefusals, StoreError);

impl RefusalKeeper {
    pub(super) fn new(refused: &Arc<RefusedOperations>, services: &Services) -> Self {
        let (store, clock) = (Arc::clone(&services.store), Arc::clone(&services.clock));
        Self { refused: Arc::clone(refused), store, clock, writing: Mutex::default() }
    }

    /// Writes as long as the process runs. What could not be written is written later.
    pub(super) async fn run(&self) {
        let (mut next, mut failing) = (None, false);
        loop {
            tokio::select! {
                () = self.refused.news() => {}
                () = at(next) => {}
            }
            sleep(PAUSE).await;
            // What is refused meanwhile is only counted.
            while self.store.stats().scarce {
                sleep(AGAIN).await;
            }
            let written = self.write_due().await;
            match &written {
                Ok(_) if failing => tracing::info!("refused operations are recorded again"),
                Err(error) if !failing => tracing::warn!(%error, "refused operations cannot be recorded"),
                Ok(_) | Err(_) => {}
            }
            failing = written.is_err();
            next = written.unwrap_or_else(|_| Some(Instant::now() + AGAIN));
        }
    }

    /// Writes what is due; returns when there may be more.
    async fn write_due(&self) -> Result<Option<Instant>, StoreError> {
        let mut writing = self.writing.lock().await;
        self.settle(&mut writing).await?;
        let (refusals, next) = self.refused.take(Instant::now());
        self.append(&mut writing, refusals).await.map(|()| next)
    }

    /// Writes everything that is not written, because the process ends.
    ///
    /// # Errors
    /// `StoreError` when some could not be written.
    pub(super) async fn write_all(&self) -> Result<(), StoreError> {
        let mut writing = self.writing.lock().await;
        let settled = self.settle(&mut writing).await;
        let written = self.append(&mut writing, self.refused.take_all()).await;
        settled.and(written)
    }

    async fn append(
        &self,
        writing: &mut Option<JoinHandle<Vec<Unwritten>>>,
        refusals: Vec<CountedRefusals>,
    ) -> Result<(), StoreError> {
        if refusals.is_empty() {
            return Ok(());
        }
        let uncounted: u64 = refusals.iter().filter(|of| of.operation.is_none()).map(|of| of.count).sum();
        if uncounted > 0 {
            let event = AuditEvent::OperationRefused.as_str();
            tracing::warn!(event, count = uncounted, "some events were only counted in the audit trail");
        }
        let (store, now) = (Arc::clone(&self.store), self.clock.now());
        *writing = Some(tokio::spawn(async move {
            let append = async |refusals: CountedRefusals| {
                store.append_audit(row(&refusals, now)).await.err().map(|error| (refusals, error))
            };
            // At once, so that they share transactions.
            join_all(refusals.into_iter().map(append)).await.into_iter().flatten().collect()
        }));
        self.settle(writing).await
    }

    /// Waits until what is being written is written, and puts back what could not be.
    async fn settle(&self, writing: &mut Option<JoinHandle<Vec<Unwritten>>>) -> Result<(), StoreError> {
        let Some(begun) = writing.as_mut() else { return Ok(()) };
        let outcome = begun.await;
        *writing = None;
        let unwritten = outcome.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let put_back = |(refusals, error)| {
            self.refused.put_back(refusals);
            error
        };
        unwritten.into_iter().map(put_back).last().map_or(Ok(()), Err)
    }
}

/// Waits until a moment; for ever without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn row(CountedRefusals { tenant, subject, operation, count }: &CountedRefusals, now: Timestamp) -> AuditRow {
    let row = AuditRow::new(now, tenant.clone(), AuditEvent::OperationRefused);
    let row = AuditRow { subject: subject.clone(), ..row };
    let Some(RefusedOperation { client, grant, resource, operation, why, scopes, address, request_id }) = operation
    else {
        return row.counting(*count);
    };
    let times = if *count == 1 { String::new() } else { format!(" ({count} times)") };
    AuditRow {
        client: Some(client.clone()),
        resource: Some(resource.clone()),
        scopes: scopes.clone(),
        address: Some(*address),
        target: Some(grant.to_string()),
        reason: Some(format!("{operation}{times}: {why}")),
        request_id: Some(request_id.to_string()),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::clock::ManualClock;
    use crate::oauth::{AccountId, ClientId, GrantId, ResourceIndicator, TenantId};
    use crate::server::failing_store::{FailingStore, FaultPoint, State};
    use crate::store::AuditFilter;
    use crate::store::memory::MemoryStore;
    use crate::store::test_world::START;

    fn refusals(tool: Option<&str>, count: u64) -> CountedRefusals {
        let operation = |tool| RefusedOperation {
            client: ClientId::parse("c").unwrap(),
            grant: GrantId([1; 16]),
            resource: ResourceIndicator::parse("https://gw.example/mcp").unwrap(),
            operation: format!("tools/call {tool}").into(),
            why: "rule 0: not from outside".into(),
            scopes: None,
            address: [192, 0, 2, 1].into(),
            request_id: "1".into(),
        };
        let subject = AccountId::parse("ada");
        CountedRefusals { tenant: TenantId::default(), subject, operation: tool.map(operation), count }
    }

    /// A keeper, and its store.
    fn keeper() -> (RefusalKeeper, Arc<FailingStore>) {
        let store = Arc::new(FailingStore::new(Arc::new(MemoryStore::new())));
        let keeper = RefusalKeeper {
            refused: Arc::default(),
            store: Arc::<FailingStore>::clone(&store),
            clock: Arc::new(ManualClock::new(START)),
            writing: Mutex::default(),
        };
        (keeper, store)
    }

    async fn reasons(store: &FailingStore) -> Vec<String> {
        let page = store.inner.audit_after(&AuditFilter::default(), 0, 99).await.unwrap();
        page.rows.into_iter().filter_map(|(_, row)| row.reason).collect()
    }

    #[tokio::test]
    async fn a_row_says_what_was_refused_how_often_and_why() {
        let (keeper, store) = keeper();
        keeper.refused.put_back(refusals(Some("wipe"), 1));
        keeper.refused.put_back(refusals(Some("drop"), 1000));
        keeper.refused.put_back(refusals(None, 7));
        keeper.write_all().await.unwrap();
        let expected = [
            "tools/call wipe: rule 0: not from outside",
            "tools/call drop (1000 times): rule 0: not from outside",
            "counted: 7 more, of a minute or two",
        ];
        assert_eq!(reasons(&store).await, expected);
        keeper.write_all().await.unwrap();
        assert_eq!(reasons(&store).await.len(), 3, "nothing is left");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_later_and_nothing_twice() {
        let (keeper, store) = keeper();
        keeper.refused.put_back(refusals(Some("wipe"), 1));
        keeper.refused.put_back(refusals(Some("drop"), 2));
        store.fail_at(0, FaultPoint::Before);
        assert!(keeper.write_due().await.is_err());
        assert_eq!(reasons(&store).await, ["tools/call drop (2 times): rule 0: not from outside"]);
        // One that is cut off in the middle goes on by itself.
        store.set(State::Held);
        assert!(timeout(Duration::from_millis(20), keeper.write_all()).await.is_err());
        keeper.refused.put_back(refusals(None, 3));
        store.set(State::Open);
        keeper.write_all().await.unwrap();
        let written = reasons(&store).await;
        let expected = ["tools/call wipe: rule 0: not from outside", "counted: 3 more, of a minute or two"];
        assert_eq!(written[1..], expected);
    }
}
