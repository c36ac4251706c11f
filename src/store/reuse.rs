//! What is used a second time ends its grant; and what processes report of the use of tokens, by which that is seen.

use super::{AuditEvent, AuditRow, StoreError};
use crate::oauth::{Grant, GrantId, TenantId, Timestamp, TokenHash};

/// A grant that ends because something of it was used a second time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Which.
    pub grant: GrantId,
    /// The row that is written when it ends; at its time.
    pub audit: AuditRow,
}

impl Ending {
    /// Returns what takes the place of a success, whose row would have been `audit`.
    pub(super) fn instead(audit: &AuditRow, event: AuditEvent, grant: GrantId, reason: &str) -> Self {
        let (target, reason) = (Some(grant.to_string()), Some(reason.to_owned()));
        Self { grant, audit: AuditRow { event, target, reason, scopes: None, ..audit.clone() } }
    }

    /// Returns how the grant ends of a void access token that was presented; `None` when it has ended.
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

/// What a process reports of the access tokens that it was shown, and of the rotations that it made.
#[derive(Debug, Clone, Default)]
pub struct UseReport {
    /// Tokens that were presented and have `reports_use`, or that are void.
    pub presented: Vec<(TenantId, TokenHash)>,
    /// Families with the generation that this process has given out: what of them was not presented is unused.
    pub issued: Vec<(TenantId, GrantId, u32)>,
    /// Now.
    pub now: Timestamp,
}

/// What came of a report of uses.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The families that have ended.
    pub ended: Vec<(TenantId, GrantId)>,
    /// Why nothing else of the report was written, which has to be reported again: families end on a full disk too.
    pub unwritten: Option<StoreError>,
}
