//! Filling memory from the store: beside a server that has just started, and anew when changes were lost.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::time::Instant;

use super::TokenCache;
use super::entry::PrefixHasher;
use crate::oauth::TokenHash;
use crate::store::StoreError;
use crate::sync::lock;

/// Tokens read at once: few, so that whoever else waits for a reader of the store waits for some milliseconds.
const PAGE: u32 = 1024;
/// How often a page is read again because something was revoked meanwhile. What is left out after that is read when it is
/// presented.
const ATTEMPTS: u32 = 3;
/// From a page that could not be read to the next attempt.
const PAUSE: Duration = Duration::from_secs(1);

impl TokenCache {
    /// Notes where the change log stands. From there it is followed, so what is read of the store from now on can be trusted,
    /// and requests can be served before [`Self::fill`] has read everything.
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

    /// Returns whether tokens of the store are still being read into memory after the start. A good token may then be absent
    /// because it was not read yet.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        self.is_filling.load(SeqCst)
    }

    /// Reads all live tokens of the store into memory, as far as there is room, after [`Self::begin`]. A store that cannot be
    /// read is asked again until it can.
    pub async fn fill(self: &Arc<Self>) {
        let begun = Instant::now();
        let mut rest = Some(0);
        while let Some(after) = rest.filter(|_| self.len() < self.bound) {
            match self.read_page(after).await {
                Ok((_, next)) => rest = next,
                Err(error) => {
                    tracing::warn!(%error, "tokens cannot be read into memory; this is tried again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.is_filling.store(false, SeqCst);
        tracing::info!(tokens = self.len(), duration_ms = begun.elapsed().as_millis(), "tokens are in memory");
    }

    /// Reads everything anew, and only then removes what was not among it: until it is known, what is in memory is
    /// honoured for `max_stale`, and no good token has to be asked of the store.
    ///
    /// # Errors
    /// `StoreError` when the store cannot be read.
    pub async fn refill(self: &Arc<Self>) -> Result<(), StoreError> {
        let begun = Instant::now();
        *lock(&self.position) = None;
        // Read first: what is revoked while the tokens are read is then applied after them.
        let position = self.store.newest_change().await?;
        let mut live = HashSet::<TokenHash, BuildHasherDefault<PrefixHasher>>::default();
        let mut rest = Some(0);
        while let Some(after) = rest.filter(|_| live.len() < self.bound) {
            let (tokens, next) = self.read_page(after).await?;
            live.extend(tokens);
            rest = next;
        }
        // A load that began before the reading is repeated: what revoked its token may stand in the lost part.
        self.generation.fetch_add(1, SeqCst);
        self.keep_only(|token| live.contains(token));
        *lock(&self.position) = Some(position);
        self.mark_current(begun);
        // Open streams look their tokens up again.
        self.announce();
        Ok(())
    }

    /// Reads a page of live tokens and puts them in, as far as there is room; returns them, and where the next page begins.
    async fn read_page(self: &Arc<Self>, after: u64) -> Result<(Vec<TokenHash>, Option<u64>), StoreError> {
        let mut attempt = 1;
        loop {
            // TV-24: noted before the read, compared when each token is put in. A revocation in between wins.
            let generation = self.generation();
            let (tokens, next) = self.store.live_access_tokens(after, PAGE, self.clock.now()).await?;
            let cache = Arc::clone(self);
            // It takes a millisecond: not on a runtime that accepts connections.
            let admitted = tokio::task::spawn_blocking(move || cache.admit_all(&tokens, generation)).await;
            let (good, is_outdated) = admitted.map_err(|defect| StoreError::Unavailable(defect.to_string()))?;
            if !is_outdated || attempt == ATTEMPTS {
                return Ok((good, next));
            }
            attempt += 1;
        }
    }
}
