//! Fills the cache from the store: in the background after a start, and again when changes were lost.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::time::Instant;

use super::TokenCache;
use super::prefix_hasher::PrefixHasher;
use crate::oauth::TokenHash;
use crate::store::StoreError;
use crate::sync::lock;

/// Tokens per read: few, so that others wait only milliseconds for a reader of the store.
const PAGE: u32 = 1024;
/// How often a page is read again because something was revoked meanwhile. Tokens left out after that are read when
/// they are presented.
const ATTEMPTS: u32 = 3;
/// Pause after a page that could not be read.
const PAUSE: Duration = Duration::from_secs(1);

impl TokenCache {
    /// Records the current position in the change log, from which it will be followed. So everything read from the
    /// store from now on can be trusted, and requests can be served before [`Self::fill`] has read everything.
    ///
    /// # Errors
    /// `StoreError` when the store cannot be read.
    pub async fn begin(&self) -> Result<(), StoreError> {
        let begun = Instant::now();
        let position = self.store.newest_change().await?;
        *lock(&self.position) = Some(position);
        self.is_filling.store(true, SeqCst);
        self.mark_current(begun);
        Ok(())
    }

    /// Returns whether the cache is still being filled after the start. A valid token may then be absent because it was
    /// not read yet.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        self.is_filling.load(SeqCst)
    }

    /// Reads all valid tokens from the store into the cache, as far as there is room; call [`Self::begin`] first. If
    /// the store cannot be read, it is tried again until it can.
    pub async fn fill(self: &Arc<Self>) {
        let begun = Instant::now();
        let mut rest = Some(0);
        while let Some(after) = rest.filter(|_| self.len() < self.bound) {
            match self.read_page(after).await {
                Ok((_, next)) => rest = next,
                Err(error) => {
                    tracing::warn!(%error, "tokens cannot be read into memory; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.is_filling.store(false, SeqCst);
        tracing::info!(tokens = self.len(), duration_ms = begun.elapsed().as_millis(), "tokens are in memory");
    }

    /// Reads everything again, and only then removes entries that were not read. Until then cached tokens stay valid
    /// for `max_stale`, so that they need not be read one by one.
    ///
    /// # Errors
    /// `StoreError` when the store cannot be read.
    pub async fn refill(self: &Arc<Self>) -> Result<(), StoreError> {
        let begun = Instant::now();
        *lock(&self.position) = None;
        // Read first, so that what is revoked while the tokens are read is applied after them.
        let position = self.store.newest_change().await?;
        let mut live = HashSet::<TokenHash, BuildHasherDefault<PrefixHasher>>::default();
        let mut rest = Some(0);
        while let Some(after) = rest.filter(|_| live.len() < self.bound) {
            let (tokens, next) = self.read_page(after).await?;
            live.extend(tokens);
            rest = next;
        }
        // A load that began before this is repeated: its token may have been revoked in the lost part of the log.
        self.generation.fetch_add(1, SeqCst);
        self.keep_only(|token| live.contains(token));
        *lock(&self.position) = Some(position);
        self.mark_current(begun);
        // Makes open streams look up their tokens again, and what is pinned be read again.
        self.announce();
        self.tools_changed.send_modify(|n| *n = n.wrapping_add(1));
        Ok(())
    }

    /// Reads a page of valid tokens and adds them, as far as there is room; returns them, and where the next page
    /// begins.
    async fn read_page(self: &Arc<Self>, after: u64) -> Result<(Vec<TokenHash>, Option<u64>), StoreError> {
        let mut attempt = 1;
        loop {
            // TV-24: taken before the read, compared when each token is added. A revocation in between takes
            // precedence.
            let generation = self.generation();
            let (tokens, next) = self.store.live_access_tokens(after, PAGE, self.clock.now()).await?;
            let cache = Arc::clone(self);
            // It takes a millisecond, so it must not run on a runtime that accepts connections.
            let admitted = tokio::task::spawn_blocking(move || cache.admit_all(&tokens, generation)).await;
            let (good, is_outdated) = admitted.map_err(|defect| StoreError::Unavailable(defect.to_string()))?;
            if !is_outdated || attempt == ATTEMPTS {
                return Ok((good, next));
            }
            attempt += 1;
        }
    }
}
