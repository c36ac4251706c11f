//! The change log in memory.

use async_trait::async_trait;

use super::super::change_log::CHANGES_AT_ONCE;
use super::super::{ChangeLog, ChangePosition, Changes, Result};
use super::MemoryStore;

#[async_trait]
impl ChangeLog for MemoryStore {
    async fn change_mark(&self) -> Result<u64> {
        Ok(self.read().operations)
    }

    async fn changes_after(&self, after: &ChangePosition) -> Result<Changes> {
        let state = self.read();
        let newer = state.changes.iter().filter(|(seq, _, _)| *seq > after.0).take(CHANGES_AT_ONCE);
        let found = newer.map(|(seq, _, change)| (*seq, change.clone())).collect();
        Ok(Changes::checked(after.0, found, CHANGES_AT_ONCE, state.last_change))
    }

    async fn newest_change(&self) -> Result<ChangePosition> {
        Ok(ChangePosition(self.read().last_change))
    }
}
