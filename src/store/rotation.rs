//! The refresh grant: what is asked of a store, what that does to the family that it finds, and what it answers.
//!
//! A store loads the grant, asks `RotateRefresh::decide` and writes what that says, in one transaction. It decides nothing
//! else.

use super::issuance::{Issued, NewAccessToken, TOKENS_PER_GRANT, TOKENS_WITH_GRACE, settled};
use super::reuse::Ending;
use super::{AuditEvent, AuditRow};
use crate::oauth::{
    AccessTokenRecord, FirstUse, Grant, GrantId, Lifetime, PresentedRefresh, RefreshRefusal, RefreshVerdict, TenantId,
    Timestamp, TokenHash,
};

/// The one store call of the refresh grant.
#[derive(Debug, Clone)]
pub struct RotateRefresh {
    /// Whose.
    pub tenant: TenantId,
    /// The family.
    pub grant: GrantId,
    /// What came with it.
    pub presented: PresentedRefresh,
    /// The token to store on success.
    pub access: NewAccessToken,
    /// The idle life that success renews.
    pub idle: Lifetime,
    /// Now.
    pub now: Timestamp,
    /// The audit row of success. Reuse writes `RefreshReused` with the same context instead.
    pub audit: AuditRow,
    /// Whether success is to have a row: one of a hundred refreshes in a minute has none.
    pub record_success: bool,
}

/// What a store does when a refresh token is presented. Whatever is issued, the oldest tokens of the grant that are too
/// many go.
#[derive(Debug, Clone)]
pub enum RefreshEffect {
    /// Puts the grant, one generation on, in the place of the one found, adds the token, and notes that the client was used.
    Rotate(Issued),
    /// Adds the token; the grant stays as it is.
    Retry(Issued),
    /// Makes void the live tokens of the generation, puts the grant in the place of the one found, and adds the token.
    RetryLate(Issued),
    /// Ends the family.
    Reuse(Ending),
    /// Does nothing.
    Refuse(RefreshRefusal),
}

/// The outcome of presenting a refresh token.
#[derive(Debug, Clone)]
pub enum Rotation {
    /// The family moved on to the generation in the grant; the access token is stored.
    Rotated(Box<Grant>, Box<AccessTokenRecord>),
    /// A retry within the grace: the same live generation again; the access token is stored.
    Retried(Box<Grant>, Box<AccessTokenRecord>),
    /// A retry after the answer was lost: the same live generation again; the access token is stored, and these, which
    /// were given out with that generation before, are void.
    RetriedLate(Box<Grant>, Box<AccessTokenRecord>, Vec<TokenHash>),
    /// Reuse: the family is now revoked.
    Reused(GrantId),
    /// Nothing was done, for this reason.
    Refused(RefreshRefusal),
    /// No such family.
    Unknown,
}

impl RotateRefresh {
    /// Decides what becomes of the family that was found; `is_enabled`: whether its client and its account both are.
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
                // Whether the live generation is used now has to be reported anew.
                let retried = Grant { first_use: FirstUse::Unknown, retried_at: Some(self.now), ..grant.clone() };
                // It is rare enough to have a row always.
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

    /// Returns whether an access token of the grant goes, before which `newer` others were issued later. Those of the grace
    /// stay longer.
    pub(super) fn is_surplus(&self, newer: usize, issued_at: Timestamp) -> bool {
        let grace_began = Timestamp::from_millis(self.now.as_millis().saturating_sub(self.presented.grace.as_millis()));
        newer >= usize::from(if issued_at < grace_began { TOKENS_PER_GRANT } else { TOKENS_WITH_GRACE })
    }
}
