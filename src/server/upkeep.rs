//! The background tasks of a server: filling the cache, following the store's changes, removing what has expired,
//! reporting, checking the store's threads, and returning memory to the system.

use std::sync::Arc;
use std::time::Duration;

use super::connection::hand_over::WorkerHandle;
use super::last_uses::LastUseWriter;
use super::refusal_keeper::RefusalKeeper;
use super::resources::Resources;
use super::supervise::{Alarm, Supervisor};
use crate::issuer::{Issuer, Services};
use crate::proxy::RouteTable;
use crate::sync::repeat;
use crate::token_cache::Follower;

/// How often the threads of the store are checked, and memory that is no longer used is returned to the system.
const TURN: Duration = Duration::from_secs(3);

/// Bytes of a block that the allocator gives a page of its own (mimalloc 3: above 512 KiB), but does not take from the
/// system each time (`.cargo/config.toml`: above one MiB).
const OWN_PAGE: usize = 768 << 10;

/// What is counted in memory and written to the store now and then, and once more at the end.
pub(super) struct Records {
    pub(super) last_uses: Arc<LastUseWriter>,
    pub(super) refusals: Arc<RefusalKeeper>,
}

impl Records {
    /// Makes the writers of what these workers and this table, or one that is rebuilt from it, count.
    pub(super) fn new(workers: &[WorkerHandle], table: &RouteTable, services: &Services) -> Self {
        Self {
            last_uses: Arc::new(LastUseWriter::new(workers, services)),
            refusals: Arc::new(RefusalKeeper::new(table.refused_operations(), services)),
        }
    }
}

/// Starts all background tasks.
pub(super) fn start(
    supervisor: &Supervisor,
    resources: &Resources,
    issuer: &Arc<Issuer>,
    records: &Records,
    alarm: Alarm,
) {
    let cache = Arc::clone(&resources.cache);
    drop(supervisor.spawn("follower", move || Follower::run(Arc::clone(&cache))));
    let filled = Arc::clone(&resources.cache);
    drop(supervisor.spawn("filling of the token cache", move || {
        let cache = Arc::clone(&filled);
        async move {
            cache.fill().await;
            // Once is enough, but a task that returned would be restarted.
            std::future::pending().await
        }
    }));
    let sweeper = Arc::clone(issuer);
    drop(supervisor.spawn("sweep", move || {
        let issuer = Arc::clone(&sweeper);
        async move { issuer.sweep_forever().await }
    }));
    let reporter = Arc::clone(issuer);
    drop(supervisor.spawn("report of first uses", move || {
        let issuer = Arc::clone(&reporter);
        async move { issuer.report_uses_forever().await }
    }));
    let warner = Arc::clone(issuer);
    drop(supervisor.spawn("watch for old client secrets", move || {
        let issuer = Arc::clone(&warner);
        async move { issuer.warn_of_old_secrets_forever().await }
    }));
    let writer = Arc::clone(&records.last_uses);
    drop(supervisor.spawn("report of last uses", move || {
        let writer = Arc::clone(&writer);
        async move { writer.run().await }
    }));
    let keeper = Arc::clone(&records.refusals);
    drop(supervisor.spawn("record of refused operations", move || {
        let keeper = Arc::clone(&keeper);
        async move { keeper.run().await }
    }));
    let waiting = Arc::clone(issuer);
    drop(supervisor.spawn("watch for tokens that are not presented", move || {
        let issuer = Arc::clone(&waiting);
        async move { issuer.watch_arrivals_forever().await }
    }));
    let store = Arc::clone(&resources.services.store);
    drop(supervisor.spawn("store watch", move || {
        let store = Arc::downgrade(&store);
        watch(move || store.upgrade().is_some_and(|store| store.stats().dead), alarm.clone())
    }));
}

/// Raises the alarm when a thread of the store has died, because without it nothing can be written or read until a
/// restart, and returns memory. One thread does both, so that an idle process wakes up once.
async fn watch(is_dead: impl Fn() -> bool + Send + 'static, alarm: Alarm) {
    repeat(TURN, move || {
        if is_dead() {
            alarm.raise("a thread of the store panicked".to_owned());
        }
        return_memory();
    })
    .await;
}

/// Makes the allocator return the pages that have been free for a second. It looks for them whenever a page becomes
/// free, so without this the last pages of a burst would stay until the next one.
fn return_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(OWN_PAGE)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_thread_of_the_store_raises_the_alarm() {
        let (alarm, mut failures) = Alarm::new();
        let looks = std::sync::atomic::AtomicU32::new(0);
        let is_dead = move || looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0;
        let watch = tokio::spawn(watch(is_dead, alarm));
        assert_eq!(failures.recv().await.unwrap(), "a thread of the store panicked");
        watch.abort();
    }
}
