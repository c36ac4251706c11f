//! Reuse ends a grant; and the reports of token use by which reuse is detected.

use super::{AuditEvent, AuditRow, StoreError};
use crate::oauth::{Grant, GrantId, TenantId, Timestamp, TokenHash};

/// A grant that ends because of reuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The grant that ends.
    pub grant: GrantId,
    /// The audit row that is written when it ends, with its time.
    pub audit: AuditRow,
}

impl Ending {
    /// Makes the ending that replaces a success, whose row would have been `audit`.
    pub(super) fn instead(audit: &AuditRow, event: AuditEvent, grant: GrantId, reason: &str) -> Self {
        let (target, reason) = (Some(grant.to_string()), Some(reason.to_owned()));
        Self { grant, audit: AuditRow { event, target, reason, scopes: None, ..audit.clone() } }
    }

    /// Returns the ending of the grant of a void access token that was presented; `None` if it has already ended.
    pub(super) fn of_void_token(grant: &Grant, now: Timestamp) -> Option<Self> {
        let row = AuditRow {
            subject: Some(grant.subject.id().clone()),
            client: Some(grant.client.clone()),
            resource: Some(grant.resource.clone()),
            ..AuditRow::new(now, grant.tenant.clone(), AuditEvent::RefreshReused)
        };
        let ending = || Self::instead(&row, AuditEvent::RefreshReused, grant.id, "void_access_token");
        grant.revoked_at.is_none().then(ending)
    }
}

/// A process's report of the access tokens presented to it, and of the rotations that it made.
#[derive(Debug, Clone, Default)]
pub struct UseReport {
    /// Tokens that were presented and have `reports_use`, or that are void.
    pub presented: Vec<(TenantId, TokenHash)>,
    /// Families with the generation that this process has issued: those not presented are unused.
    pub issued: Vec<(TenantId, GrantId, u32)>,
    /// The current time.
    pub now: Timestamp,
}

/// The result of recording a report.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The families that have ended.
    pub ended: Vec<(TenantId, GrantId)>,
    /// Why the rest of the report was not written and must be reported again; families end even on a full disk.
    pub unwritten: Option<StoreError>,
}
