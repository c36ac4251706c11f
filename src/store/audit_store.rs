//! The part of a store for the audit trail.

use async_trait::async_trait;

use super::{AuditFilter, AuditPage, AuditRetention, AuditRow, Pruned, Result};
use crate::oauth::Timestamp;

/// The audit trail.
#[async_trait]
pub trait AuditStore {
    /// Appends a row for something that changed nothing else (a refusal).
    async fn append_audit(&self, audit: AuditRow) -> Result<()>;
    /// Reads up to `limit` rows after the position `after` (0 for the beginning), oldest first.
    async fn audit_after(&self, filter: &AuditFilter, after: u64, limit: u32) -> Result<AuditPage>;
    /// Reads up to `limit` rows before the position `before` (`None` for the end), newest first.
    async fn audit_before(&self, filter: &AuditFilter, before: Option<u64>, limit: u32) -> Result<AuditPage>;
    /// Returns a position such that no earlier row is from `since` or later; searches backwards from the newest row.
    async fn audit_since(&self, since: Timestamp) -> Result<u64>;
    /// Reads the position of the newest audit row (0 when none).
    async fn newest_audit(&self) -> Result<u64>;
    /// Removes rows that the trail may not keep, in one step of some milliseconds; the newest row always stays. `audit`
    /// is written if the step removes anything.
    async fn prune_audit(&self, keep: AuditRetention, audit: Option<AuditRow>) -> Result<Pruned>;
}
