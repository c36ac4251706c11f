//! `AuditStore`: the audit trail.

use async_trait::async_trait;

use crate::oauth::Timestamp;
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::rows::audit;
use crate::store::embedded::rows::audit::Order;
use crate::store::embedded::rows::row::storable;
use crate::store::{AuditFilter, AuditPage, AuditRetention, AuditRow, AuditStore, Pruned, Result};

#[async_trait]
impl AuditStore for EmbeddedStore {
    async fn append_audit(&self, audit: AuditRow) -> Result<()> {
        self.write(move |db| audit::append(db, &audit)).await
    }

    async fn audit_after(&self, filter: &AuditFilter, after: u64, limit: u32) -> Result<AuditPage> {
        let filter = filter.clone();
        self.read(move |db| audit::page(db, &filter, Order::OldestFirst, after, limit)).await
    }

    async fn audit_before(&self, filter: &AuditFilter, before: Option<u64>, limit: u32) -> Result<AuditPage> {
        let filter = filter.clone();
        self.read(move |db| audit::page(db, &filter, Order::NewestFirst, before.unwrap_or(u64::MAX), limit)).await
    }

    async fn audit_since(&self, since: Timestamp) -> Result<u64> {
        let mut before = i64::MAX;
        loop {
            match self.read(move |db| audit::stretch_before(db, before)).await? {
                // A clock that was set back leaves rows out of order, but not ten thousand of them.
                Some((first, newest)) if since <= newest => before = storable(first),
                _ if before == i64::MAX => return self.newest_audit().await,
                _ => return Ok(u64::try_from(before.saturating_sub(1)).unwrap_or_default()),
            }
        }
    }

    async fn prune_audit(&self, keep: AuditRetention, audit: Option<AuditRow>) -> Result<Pruned> {
        self.write(move |db| audit::prune(db, &keep, audit.as_ref())).await
    }

    async fn newest_audit(&self) -> Result<u64> {
        self.read(audit::newest).await
    }
}
