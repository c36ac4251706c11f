//! Follows the change log of the store and applies it; when it cannot be read for `max_stale`, the cache is stale.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::TokenCache;
use crate::store::{Changes, StoreError};
use crate::sync::lock;

/// How often the mark is looked at: a revocation by another process is in force within this and a read.
const POLL: Duration = Duration::from_millis(100);
/// How often revoked and expired entries are removed, if there are any.
const SWEEP_REVOKED: Duration = Duration::from_secs(10);
/// How often expired entries are removed in any case.
const SWEEP_EXPIRED: Duration = Duration::from_secs(60);

/// The task that follows the change log.
#[derive(Debug)]
pub struct Follower;

impl Follower {
    /// Runs until the process ends. Call from one runtime.
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
                // The pass takes tens of milliseconds for a million tokens: not on a runtime that serves requests.
                if let Err(error) = tokio::task::spawn_blocking(move || sweeping.sweep()).await {
                    tracing::error!(%error, "removing old tokens from memory failed");
                }
                swept = Instant::now();
            }
        }
    }
}

impl TokenCache {
    /// Applies what is new in the change log, then marks the cache current.
    async fn follow(self: &Arc<Self>, mark: &mut Option<u64>) -> Result<(), StoreError> {
        let begun = Instant::now();
        // A store that hangs is as silent as one that fails.
        let caught_up = tokio::time::timeout(self.max_stale, self.catch_up(mark)).await;
        if !caught_up.map_err(|_| StoreError::Unavailable("it does not answer in time".to_owned()))?? {
            self.refill().await?;
        }
        // What was revoked after `begun` may not have been seen.
        self.mark_current(begun);
        Ok(())
    }

    /// Applies what this process has just stored without its use cases having told, so that it is in force at once. What
    /// cannot be read now is applied when the log is read next.
    pub async fn apply_stored(&self) {
        if let Err(error) = self.catch_up(&mut None).await {
            tracing::debug!(%error, "the change log could not be read at once");
        }
    }

    /// Applies what is new in the change log; false when the log does not go on from where the cache stands.
    async fn catch_up(&self, mark: &mut Option<u64>) -> Result<bool, StoreError> {
        let seen = self.store.change_mark().await?;
        let Some(mut position) = lock(&self.position).clone() else { return Ok(false) };
        if *mark == Some(seen) {
            return Ok(true);
        }
        loop {
            let changes = match self.store.changes_after(&position).await {
                // What it said is lost, and waiting will not bring it back: as good as a gap.
                Err(StoreError::Corrupt(what)) => {
                    tracing::error!(?position, what, "the change log is damaged: refilling the token cache");
                    return Ok(false);
                }
                read => read?,
            };
            let Changes::Next(changes, next) = changes else {
                tracing::warn!(?position, "changes were removed before they were read: refilling the token cache");
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
