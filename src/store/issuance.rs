//! What access that is granted puts into the store: the same for every store.

use std::sync::Arc;

use super::AuditRow;
use crate::oauth::{AccessTokenRecord, FirstUse, Grant, Lifetime, ScopeSet, Timestamp, TokenHash};

/// Access tokens that a grant keeps when it is refreshed, the newest: more than one installation's processes use at a
/// time, and few enough that nobody fills the memory of all by refreshing in a loop. Those of the grace stay beside
/// them: each client of a burst of retries was told that its token is good.
pub(super) const TOKENS_PER_GRANT: u16 = 128;

/// Access tokens of a grant with those of the grace: no honest burst has so many, and a client that retries from ever new
/// addresses gets no further.
pub(super) const TOKENS_WITH_GRACE: u16 = 1024;

/// A new access token that is asked for.
#[derive(Debug, Clone)]
pub struct NewAccessToken {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// How long it lives at most (never beyond the grant).
    pub lifetime: Lifetime,
    /// Its scopes; `None`: all of the grant.
    pub scopes: Option<ScopeSet>,
    /// The name of the grant's account.
    pub user: Arc<str>,
}

/// What goes into the store when access is granted.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The grant as it stands then.
    pub grant: Box<Grant>,
    /// An access token of it.
    pub token: Box<AccessTokenRecord>,
    /// The row of the audit trail, if there is to be one.
    pub audit: Option<AuditRow>,
}

impl NewAccessToken {
    /// Issues the token on a grant; the row, if there is to be one, comes to say what it is good for.
    pub(super) fn issue(&self, grant: Grant, now: Timestamp, audit: Option<&AuditRow>) -> Issued {
        let token = self.record(&grant, now);
        let audit = audit.map(|row| of_token(row, &token));
        Issued { grant: Box::new(grant), token: Box::new(token), audit }
    }

    /// Returns the token as stored on `grant`. It never outlives the grant's idle end, which is never after the
    /// absolute end, and never allows more than the grant: so a grant that is past its idle end has no live token.
    fn record(&self, grant: &Grant, now: Timestamp) -> AccessTokenRecord {
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

/// Adds what a token is good for.
fn of_token(row: &AuditRow, token: &AccessTokenRecord) -> AuditRow {
    AuditRow {
        subject: Some(token.subject.id().clone()),
        client: Some(token.client.clone()),
        resource: Some(token.resource.clone()),
        scopes: Some(token.scopes.clone()),
        target: Some(token.grant.to_string()),
        ..row.clone()
    }
}
