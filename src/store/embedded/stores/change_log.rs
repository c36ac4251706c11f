//! `ChangeLog`: the changes that other processes must learn of.

use crate::store::embedded::rows::audit;
use crate::store::{ChangePosition, Changes, Result, TellUnstored};

implement! { ChangeLog:
    read_stored changes_after(after: &ChangePosition) -> Changes = |db| audit::changes_after(db, after.0);
    read_stored newest_change() -> ChangePosition = |db| audit::newest_change(db).map(ChangePosition);
    + async fn change_mark(&self) -> Result<u64> {
        self.mark.read()
    }
    + fn tell_unstored(&self, tell: TellUnstored) {
        self.writer.tell_unstored(tell);
    }
}
