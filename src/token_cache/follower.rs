//! Follows the change log of the store and applies it; if it cannot be read for `max_stale`, the cache is stale.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::TokenCache;
use crate::store::{Changes, StoreError};
use crate::sync::lock;

/// How often the store is checked for changes: a revocation by another process takes effect within this time plus a
/// read.
const POLL: Duration = Duration::from_millis(100);
/// How often revoked and expired entries are removed, if there are any.
const SWEEP_REVOKED: Duration = Duration::from_secs(10);
/// How often expired entries are removed in any case.
const SWEEP_EXPIRED: Duration = Duration::from_secs(60);

/// The task that follows the change log.
#[derive(Debug)]
pub struct Follower;

impl Follower {
    /// Runs until the process ends. Must be called from one runtime only.
    pub async fn run(cache: Arc<TokenCache>) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut mark = None;
        let mut failing = false;
        let mut swept = Instant::now();
        loop {
            ticks.tick().await;
            let followed = cache.follow(&mut mark).await;
            match &followed {
                Ok(()) if failing => tracing::info!("the change log can be read again"),
                Err(error) if !failing => tracing::warn!(%error, "the change log cannot be read"),
                Ok(()) | Err(_) => {}
            }
            failing = followed.is_err();
            if swept.elapsed() >= SWEEP_EXPIRED || (swept.elapsed() >= SWEEP_REVOKED && cache.wants_sweep()) {
                let sweeping = Arc::clone(&cache);
                // The pass takes tens of milliseconds for a million tokens, so it must not run on a runtime that serves
                // requests.
                if let Err(error) = tokio::task::spawn_blocking(move || sweeping.sweep()).await {
                    tracing::error!(%error, "removing old tokens from memory failed");
                }
                swept = Instant::now();
            }
        }
    }
}

impl TokenCache {
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
