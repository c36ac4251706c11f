//! The part of a store by which a process learns what others have changed.

use async_trait::async_trait;

use super::{ChangePosition, Changes, Result, TellUnstored};

/// The most changes that `changes_after` returns: enough to catch up quickly, few enough not to occupy a reader.
pub(super) const CHANGES_AT_ONCE: usize = 1000;

/// The change log, which the token cache follows.
#[async_trait]
pub trait ChangeLog {
    /// Returns a number, cheap to read, that changes whenever any process may have changed anything.
    async fn change_mark(&self) -> Result<u64>;
    /// Reads the change log after `after` from one state of the store, and whether it is complete from there.
    async fn changes_after(&self, after: &ChangePosition) -> Result<Changes>;
    /// Sets a function that is called with every change that is in force but not stored (`StoreError::NotStored`),
    /// before its caller is answered. A store without such changes ignores it.
    fn tell_unstored(&self, tell: TellUnstored) {
        drop(tell);
    }
    /// Reads the position after the newest change. It stays valid when that change is swept: later changes come after
    /// it.
    async fn newest_change(&self) -> Result<ChangePosition>;
}
