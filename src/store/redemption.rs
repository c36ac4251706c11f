//! The code grant: what is asked of a store, what that does to the code that it finds, and what it answers.
//!
//! A store loads the code, asks `RedeemCode::decide` and writes what that says, in one transaction. It decides nothing else.

use super::issuance::{Issued, NewAccessToken, settled};
use super::reuse::Ending;
use super::{AuditEvent, AuditRow};
use crate::oauth::{
    AccessTokenRecord, CodeHash, CodeRecord, CodeRefusal, CodeVerdict, FirstUse, Grant, GrantId, Lifetime,
    PresentedCode, Subject, TenantId, Timestamp,
};

/// The one store call of the code grant.
#[derive(Debug, Clone)]
pub struct RedeemCode {
    /// Whose.
    pub tenant: TenantId,
    /// SHA-256 of the code.
    pub code: CodeHash,
    /// What came with it.
    pub presented: PresentedCode,
    /// The token to store on success.
    pub access: NewAccessToken,
    /// Whether the grant may refresh.
    pub may_refresh: bool,
    /// The grant's absolute life.
    pub grant_lifetime: Lifetime,
    /// The grant's idle life.
    pub idle: Lifetime,
    /// Now.
    pub now: Timestamp,
    /// The audit row of success. A replay that ends the grant writes `CodeReplayed` with the same context instead.
    pub audit: AuditRow,
}

/// A code as a store finds it.
#[derive(Debug, Clone)]
pub struct FoundCode {
    /// The code.
    pub code: CodeRecord,
    /// Whether its client and its account are both enabled.
    pub is_enabled: bool,
    /// Whether the grant that it made stands.
    pub has_grant: bool,
}

/// What a store does when a code is presented.
#[derive(Debug, Clone)]
pub enum CodeEffect {
    /// Puts the code, which is used now, in the place of the one found, adds the grant and its first token, and notes that the
    /// client was used.
    Issue(Box<CodeRecord>, Issued),
    /// Ends the grant that the code made, unless that had ended before.
    Replay(Option<Ending>),
    /// Refuses; with a code, which has one more failure, puts that in the place of the one found.
    Refuse(CodeRefusal, Option<Box<CodeRecord>>),
}

/// The outcome of presenting a code.
#[derive(Debug, Clone)]
pub enum Redemption {
    /// The code is now used, the grant stands, the access token is stored.
    Redeemed(Box<Grant>, Box<AccessTokenRecord>),
    /// It was used before and everything else held: the grant that is revoked now, or `None` where it had ended before.
    Replayed(Option<GrantId>),
    /// Nothing was redeemed, for this reason.
    Refused(CodeRefusal),
    /// No such code.
    Unknown,
}

impl RedeemCode {
    /// Decides what becomes of the code that was found.
    #[must_use]
    pub fn decide(&self, found: &FoundCode) -> CodeEffect {
        let code = &found.code;
        match code.judge(&self.presented, self.now) {
            CodeVerdict::Redeem if found.is_enabled => self.issue(code),
            CodeVerdict::Redeem => CodeEffect::Refuse(CodeRefusal::Dead, None),
            CodeVerdict::Replayed => CodeEffect::Replay(
                found.has_grant.then(|| Ending::instead(&self.audit, AuditEvent::CodeReplayed, code.grant, "replayed")),
            ),
            // A used code has nothing left to lose, so that presenting it costs no write.
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
            authenticated_at: code.authenticated_at,
            created_at: self.now,
            expires_at: self.now.plus(alive),
            idle_until: self.now.plus(self.idle),
            may_refresh: self.may_refresh,
            generation: 0,
            rotated_at: self.now,
            first_use: FirstUse::Unknown,
            retried_at: None,
            revoked_at: None,
        });
        let used = CodeRecord { used_at: Some(self.now), ..code.clone() };
        CodeEffect::Issue(Box::new(used), self.access.issue(grant, self.now, Some(&self.audit)))
    }
}
