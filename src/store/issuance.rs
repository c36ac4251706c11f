//! The requests of the two token grants, and what a granted one puts into the store: the same for every store.

use std::sync::Arc;

use crate::oauth::{
    AccessTokenRecord, CodeRecord, FirstUse, Grant, GrantId, Lifetime, PresentedCode, PresentedRefresh, RefreshVerdict,
    ScopeSet, TenantId, Timestamp, TokenHash,
};

use super::{AuditEvent, AuditRow};

/// Access tokens that a grant keeps when it is refreshed, the newest: more than one installation's processes use at a
/// time, and few enough that nobody fills the memory of all by refreshing in a loop. Those of the grace stay beside
/// them: whoever shared in a burst of retries was told that its token is good.
pub(super) const TOKENS_PER_GRANT: u16 = 128;

/// Access tokens of a grant with those of the grace: no honest burst has so many, and whoever retries from ever new
/// addresses gets no further.
pub(super) const TOKENS_WITH_GRACE: u16 = 1024;

/// A new access token inside `RedeemCode` and `RotateRefresh`.
#[derive(Debug, Clone)]
pub struct NewAccessToken {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// How long it lives at most (never beyond the grant).
    pub lifetime: Lifetime,
    /// Its scopes; `None`: all of the grant.
    pub scopes: Option<ScopeSet>,
    /// The login name of the grant's subject.
    pub user: Arc<str>,
}

/// The one store call of the code grant.
#[derive(Debug, Clone)]
pub struct RedeemCode {
    /// Whose.
    pub tenant: TenantId,
    /// SHA-256 of the code.
    pub code: TokenHash,
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

impl NewAccessToken {
    /// Returns the token as stored on `grant`. It never outlives the grant's idle end, which is never after the
    /// absolute end, and never allows more than the grant: so a grant that is past its idle end has no live token.
    pub(super) fn record(&self, grant: &Grant, now: Timestamp) -> AccessTokenRecord {
        AccessTokenRecord {
            hash: self.hash,
            tenant: grant.tenant.clone(),
            grant: grant.id,
            client: grant.client.clone(),
            subject: grant.subject.clone(),
            user: Arc::clone(&self.user),
            resource: grant.resource.clone(),
            scopes: self.scopes.as_ref().map_or_else(|| grant.scopes.clone(), |s| s.intersection(&grant.scopes)),
            generation: grant.generation,
            // The first generation has no predecessor that could be presented again.
            reports_use: grant.generation > 0 && grant.first_use != FirstUse::Used,
            issued_at: now,
            expires_at: now.plus(self.lifetime).min(grant.idle_until),
        }
    }
}

/// Returns a grant as it is stored: one that cannot refresh has no idle end of its own, and none idles beyond its end.
pub(super) fn settled(grant: Grant) -> Grant {
    let idle_until = if grant.may_refresh { grant.idle_until.min(grant.expires_at) } else { grant.expires_at };
    Grant { idle_until, ..grant }
}

impl RedeemCode {
    /// Returns the grant that redeeming `code` makes. One that cannot refresh ends with its only access token.
    pub(super) fn grant(&self, code: &CodeRecord) -> Grant {
        let alive = if self.may_refresh { self.grant_lifetime } else { self.grant_lifetime.min(self.access.lifetime) };
        settled(Grant {
            id: code.grant,
            tenant: code.tenant.clone(),
            client: code.client.clone(),
            subject: code.subject.clone(),
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
        })
    }

    /// Returns the audit row of a success.
    pub(super) fn redeemed(&self, token: &AccessTokenRecord) -> AuditRow {
        of_token(&self.audit, token)
    }

    /// Returns the audit row of a replay that has ended the grant.
    pub(super) fn replayed(&self, grant: GrantId) -> AuditRow {
        self.audit.instead(AuditEvent::CodeReplayed, grant, "replayed")
    }
}

impl RotateRefresh {
    /// Returns the grant after a rotation: next generation, idle end moved, absolute end kept.
    pub(super) fn rotated(&self, grant: &Grant) -> Grant {
        settled(Grant {
            generation: grant.generation.saturating_add(1),
            rotated_at: self.now,
            first_use: FirstUse::Unknown,
            retried_at: None,
            idle_until: self.now.plus(self.idle),
            ..grant.clone()
        })
    }

    /// Returns the grant after a late retry: whether the live generation is used now has to be reported anew.
    pub(super) fn retried(&self, grant: &Grant) -> Grant {
        Grant { first_use: FirstUse::Unknown, retried_at: Some(self.now), ..grant.clone() }
    }

    /// Returns the audit row of a late retry, which is rare enough to have one always.
    pub(super) fn late_retry(&self, token: &AccessTokenRecord) -> AuditRow {
        AuditRow { reason: Some("lost_answer".to_owned()), ..of_token(&self.audit, token) }
    }

    /// Returns when the grace began: the tokens since then stay, up to `TOKENS_WITH_GRACE`, beside the newest
    /// `TOKENS_PER_GRANT`.
    pub(super) fn grace_began(&self) -> Timestamp {
        Timestamp::from_millis(self.now.as_millis().saturating_sub(self.presented.grace.as_millis()))
    }

    /// Returns the audit row of a success, if it is to have one.
    pub(super) fn refreshed(&self, token: &AccessTokenRecord, verdict: RefreshVerdict) -> Option<AuditRow> {
        let reason = (verdict == RefreshVerdict::Retry).then(|| "retried".to_owned());
        self.record_success.then(|| AuditRow { reason, ..of_token(&self.audit, token) })
    }

    /// Returns the audit row of a reuse, which has ended the grant.
    pub(super) fn reused(&self) -> AuditRow {
        self.audit.instead(AuditEvent::RefreshReused, self.grant, "reused")
    }
}

/// Adds what a token is good for.
fn of_token(row: &AuditRow, token: &AccessTokenRecord) -> AuditRow {
    AuditRow {
        subject: Some(token.subject.clone()),
        client: Some(token.client.clone()),
        resource: Some(token.resource.clone()),
        scopes: Some(token.scopes.clone()),
        target: Some(token.grant.to_string()),
        ..row.clone()
    }
}
