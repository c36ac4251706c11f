//! The code grant: the request to a store, its effect on the code that the store finds, and the result.
//!
//! A store loads the code, calls `RedeemCode::decide` and writes its effect, in one transaction. It decides nothing
//! else.

use super::issuance::{Issued, NewAccessToken, settled};
use super::reuse::Ending;
use super::{AuditEvent, AuditRow};
use crate::oauth::{
    AccessTokenRecord, CodeHash, CodeRecord, CodeRefusal, CodeVerdict, FirstUse, Grant, GrantId, Lifetime,
    PresentedCode, Subject, TenantId, Timestamp,
};

/// The store request of the code grant.
#[derive(Debug, Clone)]
pub struct RedeemCode {
    /// The tenant that the code belongs to.
    pub tenant: TenantId,
    /// SHA-256 of the code.
    pub code: CodeHash,
    /// What was presented with the code.
    pub presented: PresentedCode,
    /// The token to store on success.
    pub access: NewAccessToken,
    /// Whether the grant may refresh.
    pub may_refresh: bool,
    /// Whether the client authenticated by an assertion.
    pub by_assertion: bool,
    /// The grant's absolute lifetime.
    pub grant_lifetime: Lifetime,
    /// The grant's idle lifetime.
    pub idle: Lifetime,
    /// The current time.
    pub now: Timestamp,
    /// The audit row for success. A replay that ends the grant writes `CodeReplayed` with the same context instead.
    pub audit: AuditRow,
}

/// A code as found in the store.
#[derive(Debug, Clone)]
pub struct FoundCode {
    /// The code's record.
    pub code: CodeRecord,
    /// Whether its client and its account are both enabled.
    pub is_enabled: bool,
    /// Whether the grant that it created is active.
    pub has_grant: bool,
}

/// The effect of presenting a code on the store.
#[derive(Debug, Clone)]
pub enum CodeEffect {
    /// Replaces the code by one marked as used, adds the grant and its first token, and records that the client was
    /// used.
    Issue(Box<CodeRecord>, Issued),
    /// Ends the grant that the code created, unless it has already ended.
    Replay(Option<Ending>),
    /// Refuses; a code, if present, replaces the one found and has one more failure.
    Refuse(CodeRefusal, Option<Box<CodeRecord>>),
}

/// The outcome of presenting a code.
#[derive(Debug, Clone)]
pub enum Redemption {
    /// The code is now used, and the grant and the access token are stored.
    Redeemed(Box<Grant>, Box<AccessTokenRecord>),
    /// It was used before and the request was otherwise valid: the grant that is revoked now, or `None` if it had
    /// already ended.
    Replayed(Option<GrantId>),
    /// Nothing was redeemed, for this reason.
    Refused(CodeRefusal),
    /// There is no such code.
    Unknown,
}

impl RedeemCode {
    /// Decides the effect on the code that was found.
    #[must_use]
    pub fn decide(&self, found: &FoundCode) -> CodeEffect {
        let code = &found.code;
        match code.judge(&self.presented, self.now) {
            CodeVerdict::Redeem if found.is_enabled => self.issue(code),
            CodeVerdict::Redeem => CodeEffect::Refuse(CodeRefusal::Dead, None),
            CodeVerdict::Replayed => CodeEffect::Replay(
                found.has_grant.then(|| Ending::instead(&self.audit, AuditEvent::CodeReplayed, code.grant, "replayed")),
            ),
            // A used code cannot be invalidated further, so presenting it causes no write.
            CodeVerdict::Refused(CodeRefusal::WrongVerifier) if code.used_at.is_none() => {
                let failures = code.failures.saturating_add(1);
                let counted = CodeRecord { failures, ..code.clone() };
                CodeEffect::Refuse(CodeRefusal::WrongVerifier, Some(Box::new(counted)))
            }
            CodeVerdict::Refused(refusal) => CodeEffect::Refuse(refusal, None),
        }
    }

    fn issue(&self, code: &CodeRecord) -> CodeEffect {
        // A grant that cannot refresh ends with its only access token.
        let alive = if self.may_refresh { self.grant_lifetime } else { self.grant_lifetime.min(self.access.lifetime) };
        let grant = settled(Grant {
            id: code.grant,
            tenant: code.tenant.clone(),
            client: code.client.clone(),
            subject: Subject::Person(code.subject.clone()),
            resource: code.resource.clone(),
            scopes: code.scopes.clone(),
            exclusions: code.exclusions.clone(),
            authenticated_at: code.authenticated_at,
            consented_at: code.consented_at,
            created_at: self.now,
            expires_at: self.now.plus(alive),
            idle_until: self.now.plus(self.idle),
            may_refresh: self.may_refresh,
            by_assertion: self.by_assertion,
            acting: false,
            generation: 0,
            rotated_at: self.now,
            first_use: FirstUse::Unknown,
            retried_at: None,
            revoked_at: None,
            last_used_at: None,
            signed_in_from: code.signed_in_from.clone(),
            key: None,
            workload: None,
        });
        let used = CodeRecord { used_at: Some(self.now), ..code.clone() };
        CodeEffect::Issue(Box::new(used), self.access.issue(grant, self.now, Some(&self.audit)))
    }
}
