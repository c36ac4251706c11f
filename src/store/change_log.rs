//! How one process learns what others have changed.

use async_trait::async_trait;

use super::{ChangePosition, Changes, Result, TellUnstored};

/// How many changes `changes_after` returns at most: enough to catch up quickly, too few to hold a reader up.
pub(super) const CHANGES_AT_ONCE: usize = 1000;

/// The change log, which the token cache follows.
#[async_trait]
pub trait ChangeLog {
    /// A cheap mark that moves whenever anything may have changed, by whichever process (`PRAGMA data_version`).
    async fn change_mark(&self) -> Result<u64>;
    /// Reads the change log after `after`, from one state of the store, and whether it holds all that came after.
    async fn changes_after(&self, after: &ChangePosition) -> Result<Changes>;
    /// Has `tell` called with every change that is in force and not stored (`StoreError::NotStored`), before the caller
    /// for it is answered. A store that never answers so has nothing to tell.
    fn tell_unstored(&self, tell: TellUnstored) {
        drop(tell);
    }
    /// Reads the position after the newest change. It stays good after that change was swept: what comes later comes after it.
    async fn newest_change(&self) -> Result<ChangePosition>;
}
