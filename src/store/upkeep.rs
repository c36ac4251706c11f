//! What is done to a store as a whole, and what it reports about itself.

use std::path::Path;

use async_trait::async_trait;

use super::{Result, StoreStats};
use crate::oauth::{Lifetime, Timestamp};

/// Sweeping, copying and checking a store.
#[async_trait]
pub trait Upkeep {
    /// Removes what has ended, in batches; returns how many rows went, not counting what hung on them. Used codes stay as
    /// long as their grant, revoked grants and changes for a day; clients that came by themselves go when never used
    /// for `unused_client_after` or unused for 90 days.
    async fn sweep(&self, now: Timestamp, unused_client_after: Lifetime) -> Result<u64>;
    /// Writes a consistent copy of the store into a new file (mode 0600), marked so that a server that opens it
    /// ends what it holds open; never overwrites one.
    async fn backup(&self, to: &Path) -> Result<()>;
    /// Returns figures for the metrics.
    fn stats(&self) -> StoreStats;
    /// Checks the whole store, every row included; the problems found.
    async fn check(&self) -> Result<Vec<String>>;
}
