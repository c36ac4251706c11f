//! The refresh grant: the request to a store, its effect on the family that the store finds, and the result.
//!
//! A store loads the grant, calls `RotateRefresh::decide` and writes its effect, in one transaction. It decides nothing
//! else.

use super::issuance::{Issued, NewAccessToken, TOKENS_PER_GRANT, TOKENS_WITH_GRACE, settled};
use super::reuse::Ending;
use super::{AuditEvent, AuditRow};
use crate::oauth::{
    AccessTokenRecord, FirstUse, Grant, GrantId, Lifetime, PresentedRefresh, RefreshRefusal, RefreshVerdict, TenantId,
    Timestamp, TokenHash,
};

/// The store request of the refresh grant.
#[derive(Debug, Clone)]
pub struct RotateRefresh {
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The grant, which is the token's family.
    pub grant: GrantId,
    /// What was presented with the token.
    pub presented: PresentedRefresh,
    /// The token to store on success.
    pub access: NewAccessToken,
    /// The idle lifetime, which success renews.
    pub idle: Lifetime,
    /// The current time.
    pub now: Timestamp,
    /// The audit row for success. Reuse writes `RefreshReused` with the same context instead.
    pub audit: AuditRow,
    /// Whether success gets an audit row; frequent refreshes are only counted.
    pub record_success: bool,
}

/// The effect of presenting a refresh token on the store. Whenever a token is issued, the grant's oldest surplus tokens
/// are removed.
#[derive(Debug, Clone)]
pub enum RefreshEffect {
    /// Replaces the grant by its next generation, adds the token, and records that the client was used.
    Rotate(Issued),
    /// Adds the token and leaves the grant unchanged.
    Retry(Issued),
    /// Voids the valid tokens of the generation, replaces the grant, and adds the token.
    RetryLate(Issued),
    /// Ends the family.
    Reuse(Ending),
    /// Refuses and changes nothing.
    Refuse(RefreshRefusal),
}

/// The outcome of presenting a refresh token.
#[derive(Debug, Clone)]
pub enum Rotation {
    /// The family advanced to the generation in the grant; the access token is stored.
    Rotated(Box<Grant>, Box<AccessTokenRecord>),
    /// A retry within the grace period: the same generation again; the access token is stored.
    Retried(Box<Grant>, Box<AccessTokenRecord>),
    /// A retry after the answer was lost: the same generation again; the access token is stored, and the listed ones,
    /// issued with that generation before, are void.
    RetriedLate(Box<Grant>, Box<AccessTokenRecord>, Vec<TokenHash>),
    /// Reuse: the family is now revoked.
    Reused(GrantId),
    /// Nothing was done, for this reason.
    Refused(RefreshRefusal),
    /// There is no such family.
    Unknown,
}

impl RotateRefresh {
    /// Decides the effect on the family that was found; `is_enabled` says whether its client and account are both
    /// enabled.
    #[must_use]
    pub fn decide(&self, grant: &Grant, is_enabled: bool) -> RefreshEffect {
        match grant.judge_refresh(&self.presented, self.now) {
            RefreshVerdict::Rotate | RefreshVerdict::Retry | RefreshVerdict::LateRetry if !is_enabled => {
                RefreshEffect::Refuse(RefreshRefusal::Dead)
            }
            RefreshVerdict::Rotate => RefreshEffect::Rotate(self.issue(self.rotated(grant), self.record_success, None)),
            RefreshVerdict::Retry => {
                RefreshEffect::Retry(self.issue(grant.clone(), self.record_success, Some("retried")))
            }
            RefreshVerdict::LateRetry => {
                // The use of the current generation has to be reported again.
                let retried = Grant { first_use: FirstUse::Unknown, retried_at: Some(self.now), ..grant.clone() };
                // It is rare enough to always have a row.
                RefreshEffect::RetryLate(self.issue(retried, true, Some("lost_answer")))
            }
            RefreshVerdict::Reused => {
                RefreshEffect::Reuse(Ending::instead(&self.audit, AuditEvent::RefreshReused, grant.id, "reused"))
            }
            RefreshVerdict::Refused(refusal) => RefreshEffect::Refuse(refusal),
        }
    }

    /// Returns the grant after a rotation: next generation, idle end moved, absolute end kept.
    fn rotated(&self, grant: &Grant) -> Grant {
        settled(Grant {
            generation: grant.generation.saturating_add(1),
            rotated_at: self.now,
            first_use: FirstUse::Unknown,
            retried_at: None,
            idle_until: self.now.plus(self.idle),
            ..grant.clone()
        })
    }

    fn issue(&self, grant: Grant, has_row: bool, reason: Option<&str>) -> Issued {
        let row = AuditRow { reason: reason.map(str::to_owned), ..self.audit.clone() };
        self.access.issue(grant, self.now, Some(&row).filter(|_| has_row))
    }

    /// Returns whether an access token is surplus, given that `newer` others were issued later. Those of the grace
    /// period are kept longer.
    pub(super) fn is_surplus(&self, newer: usize, issued_at: Timestamp) -> bool {
        let grace_began = Timestamp::from_millis(self.now.as_millis().saturating_sub(self.presented.grace.as_millis()));
        newer >= usize::from(if issued_at < grace_began { TOKENS_PER_GRANT } else { TOKENS_WITH_GRACE })
    }
}
