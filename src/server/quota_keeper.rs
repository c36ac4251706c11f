//! `QuotaKeeper`: keeps in the store what is used of limits for each day, so that a restart does not begin anew.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::policy::QuotaUse;
use crate::proxy::CountedQuota;
use crate::store::{QUOTA_USES_AT_ONCE, Quota, Store, StoreError};
use crate::sync::lock;

/// How long uses wait to be written together. A process that is killed loses those of this time.
const PAUSE: Duration = Duration::from_millis(500);

/// How many counts are read at once.
const PAGE: u32 = 1000;

/// Writes uses to the store while there are any.
pub(super) struct QuotaKeeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Woken by the first use after a write, and by a new table.
    news: Arc<Notify>,
    kept: Mutex<Vec<KeptQuota>>,
    /// What is being written. Its outcome is awaited here even if the task that began it was cancelled, because uses
    /// that were written must not be written again.
    writing: AsyncMutex<Option<Writing>>,
}

/// A quota of the table in force, or of an earlier one whose last requests may still be counted.
struct KeptQuota {
    quota: CountedQuota,
    is_in_force: bool,
    is_read: bool,
}

struct Writing {
    quota: CountedQuota,
    uses: Vec<QuotaUse>,
    outcome: JoinHandle<Result<Vec<u64>, StoreError>>,
}

impl QuotaKeeper {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, news: Arc::default(), kept: Mutex::default(), writing: AsyncMutex::default() }
    }

    /// Keeps the quotas of a table from now on, and those of earlier ones as long as their requests last.
    pub(super) fn watch(&self, quotas: Vec<CountedQuota>) {
        let mut kept = lock(&self.kept);
        kept.iter_mut().for_each(|kept| kept.is_in_force = false);
        for quota in quotas {
            quota.tell(&self.news);
            match kept.iter_mut().find(|kept| kept.quota.is_same_as(&quota)) {
                Some(kept) => kept.is_in_force = true,
                None => kept.push(KeptQuota { quota, is_in_force: true, is_read: false }),
            }
        }
        self.news.notify_one();
    }

    /// Reads what was used today of quotas that are new.
    ///
    /// # Errors
    /// `StoreError` when the store cannot be read.
    pub(super) async fn read(&self) -> Result<(), StoreError> {
        let new = |kept: &KeptQuota| !kept.is_read;
        let quotas: Vec<CountedQuota> = lock(&self.kept).iter().filter(|k| new(k)).map(|k| k.quota.clone()).collect();
        for quota in quotas {
            self.read_one(&quota).await?;
            lock(&self.kept).iter_mut().filter(|kept| kept.quota.is_same_as(&quota)).for_each(|k| k.is_read = true);
        }
        Ok(())
    }

    async fn read_one(&self, quota: &CountedQuota) -> Result<(), StoreError> {
        let (of, today, mut after) = (key(quota), self.clock.now().midnight(), None);
        loop {
            let page = self.store.quota_uses(&of, today, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.holder.clone());
            page.into_iter().for_each(|found| quota.learn(found));
        }
    }

    /// Writes uses as long as the process runs. What could not be written is written the next time.
    pub(super) async fn run(&self) {
        let mut failing = false;
        loop {
            self.news.notified().await;
            let read = self.read().await;
            sleep(PAUSE).await;
            let done = match (read, self.write().await) {
                (Ok(()), written) => written,
                (Err(error), _) => Err(error),
            };
            match &done {
                Ok(()) if failing => tracing::info!("the uses of limits for each day are recorded again"),
                Err(error) if !failing => {
                    tracing::warn!(%error, "the uses of limits for each day cannot be recorded: a restart would forget them");
                }
                Ok(()) | Err(_) => {}
            }
            failing = done.is_err();
            if failing {
                self.news.notify_one();
            }
        }
    }

    /// Writes all uses that the store does not have.
    ///
    /// # Errors
    /// `StoreError` when some could not be written; they are kept.
    pub(super) async fn write(&self) -> Result<(), StoreError> {
        let mut writing = self.writing.lock().await;
        settle(&mut writing).await?;
        let quotas: Vec<CountedQuota> = lock(&self.kept).iter().map(|kept| kept.quota.clone()).collect();
        for quota in quotas {
            loop {
                let uses = quota.take_unwritten(QUOTA_USES_AT_ONCE);
                if uses.is_empty() {
                    break;
                }
                let (store, of, added) = (Arc::clone(&self.store), key(&quota), uses.clone());
                let outcome = tokio::spawn(async move { store.add_quota_uses(&of, &added).await });
                *writing = Some(Writing { quota: quota.clone(), uses, outcome });
                settle(&mut writing).await?;
            }
        }
        lock(&self.kept).retain(|kept| kept.is_in_force || !kept.quota.is_forsaken());
        Ok(())
    }
}

/// Waits until what is being written is written, and notes the sums.
async fn settle(writing: &mut Option<Writing>) -> Result<(), StoreError> {
    let Some(begun) = writing.as_mut() else { return Ok(()) };
    let outcome = (&mut begun.outcome).await;
    let outcome = outcome.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())));
    if let Some(Writing { quota, uses, .. }) = writing.take() {
        quota.wrote(uses, outcome.as_deref().ok());
    }
    outcome.map(drop)
}

fn key(CountedQuota { tenant, upstream, limit, .. }: &CountedQuota) -> Quota {
    Quota { tenant: tenant.clone(), upstream: upstream.clone(), limit: limit.clone() }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::clock::ManualClock;
    use crate::oauth::AccountId;
    use crate::policy::CountKey;
    use crate::server::failing_store::{FailingStore, FaultPoint, State};
    use crate::store::memory::MemoryStore;
    use crate::store::test_world::{DAY, START};

    /// A keeper of these quotas, and its store.
    fn keeper(quotas: &[&CountedQuota]) -> (Arc<QuotaKeeper>, Arc<FailingStore>) {
        let store = Arc::new(FailingStore::new(Arc::new(MemoryStore::new())));
        (keeper_of(&store, quotas), store)
    }

    fn keeper_of(store: &Arc<FailingStore>, quotas: &[&CountedQuota]) -> Arc<QuotaKeeper> {
        let clock = Arc::new(ManualClock::new(START));
        let keeper = QuotaKeeper::new(Arc::<FailingStore>::clone(store), clock);
        keeper.watch(quotas.iter().copied().cloned().collect());
        Arc::new(keeper)
    }

    fn used(name: &str, used: u64) -> QuotaUse {
        QuotaUse { holder: CountKey::User(AccountId::parse(name).unwrap()), day: START.midnight(), used }
    }

    async fn stored(store: &FailingStore, quota: &CountedQuota) -> Vec<QuotaUse> {
        store.inner.quota_uses(&key(quota), START.midnight(), None, 2000).await.unwrap()
    }

    #[tokio::test]
    async fn uses_are_written_in_batches_and_read_by_the_next_process() {
        let (few, many) = (CountedQuota::of("few"), CountedQuota::of("many"));
        let (keeper, store) = keeper(&[&few, &many]);
        few.count("ada", 2, START).unwrap();
        for n in 0..QUOTA_USES_AT_ONCE + 1 {
            many.count(&format!("user-{n}"), 1, START).unwrap();
        }
        keeper.write().await.unwrap();
        assert_eq!(store.calls("add_quota_uses"), 3);
        assert_eq!(stored(&store, &few).await, [used("ada", 2)]);
        assert_eq!(stored(&store, &many).await.len(), QUOTA_USES_AT_ONCE + 1);
        keeper.write().await.unwrap();
        assert_eq!(store.calls("add_quota_uses"), 3, "nothing is left");
        let next = CountedQuota::of("few");
        keeper_of(&store, &[&next]).read().await.unwrap();
        next.count("ada", 8, START).unwrap();
        assert!(next.count("ada", 1, START).is_err(), "ten a day");
        next.count("ada", 1, START.plus(DAY)).unwrap();
    }

    #[tokio::test]
    async fn a_process_learns_what_others_on_its_store_have_counted() {
        let (one, other) = (CountedQuota::of("few"), CountedQuota::of("few"));
        let (keeper, store) = keeper(&[&one]);
        let beside = keeper_of(&store, &[&other]);
        one.count("ada", 6, START).unwrap();
        other.count("ada", 3, START).unwrap();
        keeper.write().await.unwrap();
        beside.write().await.unwrap();
        other.count("ada", 1, START).unwrap();
        assert!(other.count("ada", 1, START).is_err());
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_later_and_nothing_twice() {
        let quota = CountedQuota::of("few");
        let (keeper, store) = keeper(&[&quota]);
        quota.count("ada", 1, START).unwrap();
        store.fail_at(0, FaultPoint::Before);
        assert!(keeper.write().await.is_err());
        quota.count("ada", 1, START).unwrap();
        // One that is cut off in the middle goes on by itself.
        store.set(State::Held);
        assert!(timeout(Duration::from_millis(20), keeper.write()).await.is_err());
        quota.count("ada", 1, START).unwrap();
        store.set(State::Open);
        keeper.write().await.unwrap();
        assert_eq!(stored(&store, &quota).await, [used("ada", 3)]);
    }

    #[tokio::test]
    async fn the_task_wakes_up_for_a_use_and_goes_on_after_a_failure() {
        let quota = CountedQuota::of("few");
        let (keeper, store) = keeper(&[&quota]);
        store.fail_at(1, FaultPoint::Before);
        let uses = async {
            quota.count("ada", 1, START).unwrap();
            while stored(&store, &quota).await != [used("ada", 1)] {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = keeper.run() => {}
            () = uses => {}
        }
        assert_eq!(store.calls("add_quota_uses"), 2, "the second time");
    }

    #[tokio::test]
    async fn uses_of_a_limit_that_a_reload_removed_are_written_and_then_it_is_forgotten() {
        let quota = CountedQuota::of("few");
        let (keeper, store) = keeper(&[&quota]);
        keeper.watch(Vec::new());
        quota.count("ada", 1, START).unwrap();
        keeper.write().await.unwrap();
        assert_eq!((stored(&store, &quota).await, lock(&keeper.kept).len()), (vec![used("ada", 1)], 1));
        drop(quota);
        keeper.write().await.unwrap();
        assert_eq!(lock(&keeper.kept).len(), 0);
    }
}
