//! What a store does about the audit trail.

use async_trait::async_trait;

use super::{AuditFilter, AuditPage, AuditRetention, AuditRow, Pruned, Result};
use crate::oauth::Timestamp;

/// The audit trail.
#[async_trait]
pub trait AuditStore {
    /// Appends a row for something that changed nothing else (a refusal).
    async fn append_audit(&self, audit: AuditRow) -> Result<()>;
    /// Reads rows after the position `after` (0: from the first on), oldest first, at most `limit`.
    async fn audit_after(&self, filter: &AuditFilter, after: u64, limit: u32) -> Result<AuditPage>;
    /// Reads rows before the position `before` (`None`: from the last on), newest first, at most `limit`.
    async fn audit_before(&self, filter: &AuditFilter, before: Option<u64>, limit: u32) -> Result<AuditPage>;
    /// Returns a position before which no row is from `since` or later, found from the newest row backwards.
    async fn audit_since(&self, since: Timestamp) -> Result<u64>;
    /// Reads the position of the newest audit row (0 when none).
    async fn newest_audit(&self) -> Result<u64>;
    /// Removes rows that the trail may not keep, in one step that holds the store for some milliseconds; the newest row
    /// always stays. `audit` is written when the step removes anything.
    async fn prune_audit(&self, keep: AuditRetention, audit: Option<AuditRow>) -> Result<Pruned>;
}
