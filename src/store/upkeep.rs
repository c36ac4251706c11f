//! The part of a store for upkeep of the whole, and its figures. Restoring a backup is not part of it: `restore`
//! replaces the file of a store that nobody has open and that may be too damaged to be opened.

use std::path::Path;

use async_trait::async_trait;

use super::{Result, StoreStats};
use crate::oauth::{Lifetime, Timestamp};

/// Sweeping, copying and checking a store.
#[async_trait]
pub trait Upkeep {
    /// Removes what has expired, in batches; returns how many rows were removed, not counting dependent ones. Used
    /// codes are kept as long as their grant, revoked grants and changes for a day; clients that no operator added are
    /// removed if never used for `unused_client_after` or unused for 90 days.
    async fn sweep(&self, now: Timestamp, unused_client_after: Lifetime) -> Result<u64>;
    /// Writes a consistent copy of the store into a new file (mode 0600), marked so that a server that opens it ends
    /// all access in it; never overwrites a file.
    async fn backup(&self, to: &Path) -> Result<()>;
    /// Returns figures for the metrics.
    fn stats(&self) -> StoreStats;
    /// Checks the whole store, including every row; returns the problems found.
    async fn check(&self) -> Result<Vec<String>>;
}
