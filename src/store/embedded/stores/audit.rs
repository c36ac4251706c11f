//! `AuditStore`: the audit trail.

use crate::oauth::Timestamp;
use crate::store::embedded::rows::audit::{self, Order};
use crate::store::embedded::rows::row::storable;
use crate::store::{AuditFilter, AuditPage, AuditRetention, AuditRow, Pruned, Result};

implement! { AuditStore:
    write append_audit(audit: AuditRow) -> () = |db| audit::append(db, &audit);
    read audit_after(filter: &AuditFilter, after: u64, limit: u32) -> AuditPage
        = |db| audit::page(db, &filter, Order::OldestFirst, after, limit);
    read audit_before(filter: &AuditFilter, before: Option<u64>, limit: u32) -> AuditPage
        = |db| audit::page(db, &filter, Order::NewestFirst, before.unwrap_or(u64::MAX), limit);
    write prune_audit(keep: AuditRetention, audit: Option<AuditRow>) -> Pruned
        = |db| audit::prune(db, &keep, audit.as_ref());
    read newest_audit() -> u64 = |db| audit::newest(db);
    + async fn audit_since(&self, since: Timestamp) -> Result<u64> {
        let mut before = i64::MAX;
        loop {
            match self.read(move |db| audit::stretch_before(db, before)).await? {
                // A clock that was set back leaves some rows out of order, but not ten thousand.
                Some((first, newest)) if since <= newest => before = storable(first),
                _ if before == i64::MAX => return self.newest_audit().await,
                _ => return Ok(u64::try_from(before.saturating_sub(1)).unwrap_or_default()),
            }
        }
    }
}
