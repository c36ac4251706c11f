//! Follows the change log of the store and applies it; if it cannot be read for `max_stale`, the cache is stale.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::TokenCache;
use crate::store::{Changes, StoreError};
use crate::sync::{lock, repeat};

/// How often the store is checked for changes, unless `max_stale` requires more: a revocation by another process takes
/// effect within this time plus a read. The documentation promises a second.
const POLL: Duration = Duration::from_millis(800);
/// How often revoked and expired entries are removed, if there are any.
const SWEEP_REVOKED: Duration = Duration::from_secs(10);
/// How often expired entries are removed in any case.
const SWEEP_EXPIRED: Duration = Duration::from_secs(60);

/// The task that follows the change log.
#[derive(Debug)]
pub struct Follower;

/// What a follower shares with the thread that checks for changes.
#[derive(Default)]
struct Followed {
    /// The mark of the state up to which the log has been read; `None` if that failed.
    mark: Mutex<Option<u64>>,
    moved: Notify,
}

impl Follower {
    /// Runs until the process ends. Must be called from one runtime only.
    pub async fn run(cache: Arc<TokenCache>) {
        let followed = Arc::new(Followed::default());
        let (watched, by) = (Arc::downgrade(&cache), Arc::clone(&followed));
        let mut swept = Instant::now();
        let looks = repeat(POLL.min(cache.max_stale / 4), move || {
            let Some(cache) = watched.upgrade() else { return };
            if !cache.stands_at(*lock(&by.mark)) {
                by.moved.notify_one();
            }
            // The pass takes tens of milliseconds for a million tokens, so it must not run on a runtime that serves
            // requests.
            if swept.elapsed() >= SWEEP_EXPIRED || (swept.elapsed() >= SWEEP_REVOKED && cache.wants_sweep()) {
                cache.sweep();
                swept = Instant::now();
            }
        });
        tokio::join!(looks, follow(&cache, &followed));
    }
}

/// Reads the log whenever its mark has changed, and again after a failure.
async fn follow(cache: &Arc<TokenCache>, followed: &Followed) {
    let mut mark = None;
    let mut failing = false;
    loop {
        followed.moved.notified().await;
        let read = cache.follow(&mut mark).await;
        match &read {
            Ok(()) if failing => tracing::info!("the change log can be read again"),
            Err(error) if !failing => tracing::warn!(%error, "the change log cannot be read"),
            Ok(()) | Err(_) => {}
        }
        failing = read.is_err();
        *lock(&followed.mark) = if failing { None } else { mark };
    }
}

impl TokenCache {
    /// Marks the cache current if the store's mark still is `mark`; returns whether it is. A store that cannot say so
    /// at once is left to [`Self::follow`].
    fn stands_at(&self, mark: Option<u64>) -> bool {
        let begun = Instant::now();
        let seen = self.store.change_mark().now_or_never().and_then(Result::ok);
        let stands = mark.is_some() && seen == mark;
        if stands {
            self.mark_current(begun);
        }
        stands
    }

    /// Applies new entries of the change log, then marks the cache current.
    async fn follow(self: &Arc<Self>, mark: &mut Option<u64>) -> Result<(), StoreError> {
        let begun = Instant::now();
        // A store that hangs counts as one that fails.
        let caught_up = tokio::time::timeout(self.max_stale, self.catch_up(mark)).await;
        if !caught_up.map_err(|_| StoreError::Unavailable("it does not answer in time".to_owned()))?? {
            self.refill().await?;
        }
        // Dated from `begun`, because later revocations may not have been seen.
        self.mark_current(begun);
        Ok(())
    }

    /// Applies changes that this process has just stored but not applied itself, so that they take effect at once. If
    /// the log cannot be read now, they are applied when it is read next.
    pub async fn apply_stored(&self) {
        if let Err(error) = self.catch_up(&mut None).await {
            tracing::debug!(%error, "the change log could not be read at once");
        }
    }

    /// Applies new entries of the change log; false when the log does not continue from the cache's position.
    async fn catch_up(&self, mark: &mut Option<u64>) -> Result<bool, StoreError> {
        let seen = self.store.change_mark().await?;
        let Some(mut position) = lock(&self.position).clone() else { return Ok(false) };
        if *mark == Some(seen) {
            return Ok(true);
        }
        loop {
            let changes = match self.store.changes_after(&position).await {
                // A damaged entry is lost for good, so it counts as a gap.
                Err(StoreError::Corrupt(what)) => {
                    tracing::error!(?position, what, "the change log is damaged; refilling the token cache");
                    return Ok(false);
                }
                read => read?,
            };
            let Changes::Next(changes, next) = changes else {
                tracing::warn!(?position, "changes were removed before they were read; refilling the token cache");
                return Ok(false);
            };
            if changes.is_empty() {
                break;
            }
            changes.iter().for_each(|change| self.apply(change));
            position = next;
            *lock(&self.position) = Some(position.clone());
        }
        *mark = Some(seen);
        Ok(true)
    }
}
