//! `ChangeLog`: what other processes have to learn of.

use async_trait::async_trait;

use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::rows::{audit, row};
use crate::store::{ChangeLog, ChangePosition, Changes, Result, TellUnstored};

#[async_trait]
impl ChangeLog for EmbeddedStore {
    async fn change_mark(&self) -> Result<u64> {
        self.watcher.run(|db| row::number(db, "PRAGMA data_version")).await
    }

    async fn changes_after(&self, after: &ChangePosition) -> Result<Changes> {
        let after = after.0;
        self.read_stored(move |db| audit::changes_after(db, after)).await
    }

    async fn newest_change(&self) -> Result<ChangePosition> {
        self.read_stored(audit::newest_change).await.map(ChangePosition)
    }

    fn tell_unstored(&self, tell: TellUnstored) {
        self.writer.tell_unstored(tell);
    }
}
