//! Writes to the store when grants were last used, as the workers have marked it: every 30 seconds, and once more at
//! the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::connection::hand_over::WorkerHandle;
use crate::clock::Clock;
use crate::issuer::Services;
use crate::oauth::{GrantId, TenantId, Timestamp};
use crate::proxy::LastUses;
use crate::store::{ACTIVITY_AT_ONCE, Store, StoreError};

/// How often the marks are written. A process that is killed loses those of this time.
const EVERY: Duration = Duration::from_secs(30);

/// Writes when grants were last used.
pub(super) struct LastUseWriter {
    /// The marks of each worker.
    marked: Vec<Arc<LastUses>>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Marks that were taken from the workers and are not written yet. Each stays here until it is, so that a task that
    /// is cancelled while it writes loses none.
    waiting: Mutex<HashMap<GrantId, (TenantId, Timestamp)>>,
}

impl LastUseWriter {
    pub(super) fn new(workers: &[WorkerHandle], services: &Services) -> Self {
        let marked = workers.iter().map(|handle| Arc::clone(handle.worker.proxy.last_uses())).collect();
        let (store, clock) = (Arc::clone(&services.store), Arc::clone(&services.clock));
        Self { marked, store, clock, waiting: Mutex::default() }
    }

    /// Writes every 30 seconds until the process ends. Marks that could not be written are written the next time.
    pub(super) async fn run(&self) {
        self.run_every(EVERY).await;
    }

    async fn run_every(&self, pause: Duration) {
        let mut failing = false;
        loop {
            tokio::time::sleep(pause).await;
            let written = self.write().await;
            match &written {
                Ok(()) if failing => tracing::info!("the last uses of grants are recorded again"),
                Err(error) if !failing => tracing::warn!(%error, "the last uses of grants cannot be recorded"),
                Ok(()) | Err(_) => {}
            }
            failing = written.is_err();
        }
    }

    /// Writes all marks.
    ///
    /// # Errors
    /// `StoreError` when some could not be written; they are kept.
    pub(super) async fn write(&self) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().await;
        for (tenant, grant, at) in self.marked.iter().flat_map(|worker| worker.take()) {
            if let Some((_, last)) = waiting.get_mut(&grant) {
                *last = at.max(*last);
            } else if waiting.len() < LastUses::MOST {
                waiting.insert(grant, (tenant, at));
            }
        }
        // A mark may come from a clock that was ahead and has been set back since.
        let now = self.clock.now();
        while !waiting.is_empty() {
            let batch = waiting.iter().take(ACTIVITY_AT_ONCE);
            let batch: Vec<_> = batch.map(|(grant, (tenant, at))| (tenant.clone(), *grant, now.min(*at))).collect();
            self.store.note_activity(&batch).await?;
            batch.iter().for_each(|(_, grant, _)| drop(waiting.remove(grant)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::server::failing_store::{FailingStore, State};
    use crate::store::memory::MemoryStore;
    use crate::store::test_world::*;

    /// A writer for two workers, and its store, with the grants `a` and `b`.
    async fn writer() -> (LastUseWriter, Arc<FailingStore>) {
        let store = Arc::new(FailingStore::new(Arc::new(MemoryStore::new())));
        settle(&store.inner).await;
        grant(&store.inner, "a", START).await;
        grant(&store.inner, "b", START).await;
        let clock = Arc::new(ManualClock::new(START.plus(HOUR)));
        let marked = vec![Arc::default(), Arc::default()];
        (LastUseWriter { marked, store: Arc::<FailingStore>::clone(&store), clock, waiting: Mutex::default() }, store)
    }

    async fn last_use(store: &FailingStore, name: &str) -> Option<Timestamp> {
        store.inner.find_grant(&tenant(), grant_id(name)).await.unwrap().unwrap().last_used_at
    }

    #[tokio::test]
    async fn the_marks_of_all_workers_are_written_in_batches() {
        let (writer, store) = writer().await;
        let later = START.plus(MINUTE);
        writer.marked[0].mark(&tenant(), grant_id("a"), later);
        writer.marked[1].mark(&tenant(), grant_id("a"), START);
        writer.marked[1].mark(&tenant(), grant_id("b"), START.plus(DAY));
        for n in 0..2 * ACTIVITY_AT_ONCE {
            writer.marked[0].mark(&tenant(), grant_id(&format!("unknown {n}")), START);
        }
        writer.write().await.unwrap();
        assert_eq!((last_use(&store, "a").await, last_use(&store, "b").await), (Some(later), Some(START.plus(HOUR))));
        assert_eq!(store.calls("note_activity"), 3);
        writer.write().await.unwrap();
        assert_eq!(store.calls("note_activity"), 3, "nothing is left");
    }

    #[tokio::test]
    async fn what_could_not_be_written_waits_for_the_next_time() {
        let (writer, store) = writer().await;
        store.set(State::Down);
        writer.marked[0].mark(&tenant(), grant_id("a"), START);
        writer.marked[0].mark(&tenant(), grant_id("b"), START);
        assert!(writer.write().await.is_err());
        // One that is cut off in the middle loses nothing either.
        store.set(State::Held);
        let cut = tokio::time::timeout(Duration::from_millis(20), writer.run_every(Duration::from_millis(1))).await;
        assert!(cut.is_err());
        let later = START.plus(MINUTE);
        writer.marked[1].mark(&tenant(), grant_id("a"), later);
        store.set(State::Open);
        writer.write().await.unwrap();
        assert_eq!((last_use(&store, "a").await, last_use(&store, "b").await), (Some(later), Some(START)));
    }

    #[tokio::test]
    async fn the_task_goes_on_after_a_failure() {
        let (writer, store) = writer().await;
        store.set(State::Down);
        writer.marked[0].mark(&tenant(), grant_id("a"), START);
        let writes = async {
            while store.calls("note_activity") < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            store.set(State::Open);
            while last_use(&store, "a").await.is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = writer.run_every(Duration::from_millis(1)) => {}
            () = writes => {}
        }
        assert_eq!(last_use(&store, "a").await, Some(START));
    }
}
