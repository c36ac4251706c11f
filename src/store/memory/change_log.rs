//! The change log in memory.

use async_trait::async_trait;

use super::super::change_log::CHANGES_AT_ONCE;
use super::super::{ChangeLog, ChangeSeq, Changes, Result};
use super::MemoryStore;

#[async_trait]
impl ChangeLog for MemoryStore {
    async fn change_mark(&self) -> Result<u64> {
        Ok(self.read().operations)
    }

    async fn changes_after(&self, after: ChangeSeq) -> Result<Changes> {
        let state = self.read();
        let newer = state.changes.iter().filter(|(seq, _, _)| *seq > after).take(CHANGES_AT_ONCE);
        let found = newer.map(|(seq, _, change)| (*seq, change.clone())).collect();
        Ok(Changes::checked(after, found, CHANGES_AT_ONCE, state.last_change))
    }

    async fn newest_change(&self) -> Result<ChangeSeq> {
        Ok(self.read().last_change)
    }
}
