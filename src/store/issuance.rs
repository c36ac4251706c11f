//! What is stored when access is granted, the same in every store.

use std::sync::Arc;

use super::AuditRow;
use crate::oauth::{
    AccessTokenRecord, ClientOrigin, FirstUse, Grant, GroupSet, Lifetime, ScopeSet, Timestamp, TokenHash,
};

/// How many of the newest access tokens a grant keeps when it is refreshed: more than the processes of one installation
/// use at a time, and few enough that refreshing in a loop cannot fill everybody's cache. Tokens issued in the grace
/// period are kept in addition, because each client in a burst of retries was given one.
pub(super) const TOKENS_PER_GRANT: u16 = 128;

/// Maximum number of a grant's access tokens including those of the grace period: no legitimate burst has so many, and
/// it stops a client that retries from ever new addresses.
pub(super) const TOKENS_WITH_GRACE: u16 = 1024;

/// A new access token to be issued.
#[derive(Debug, Clone)]
pub struct NewAccessToken {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// Its maximum lifetime; it never outlives the grant.
    pub lifetime: Lifetime,
    /// Its scopes; `None` for all of the grant's.
    pub scopes: Option<ScopeSet>,
    /// Further scopes that it may have, because scopes of the grant include them.
    pub included: ScopeSet,
    /// The login name of the grant's account.
    pub user: Arc<str>,
    /// How the grant's client became known.
    pub client_origin: ClientOrigin,
    /// The only scopes that the grant's client may ask for, if an operator limited it.
    pub client_limit: Option<ScopeSet>,
}

/// What is stored when access is granted.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The grant as stored.
    pub grant: Box<Grant>,
    /// The access token issued under it.
    pub token: Box<AccessTokenRecord>,
    /// The audit row, if there is one.
    pub audit: Option<AuditRow>,
}

impl NewAccessToken {
    /// Issues the token under a grant; the audit row, if there is one, gets the token's resource and scopes.
    pub(super) fn issue(&self, grant: Grant, now: Timestamp, audit: Option<&AuditRow>) -> Issued {
        let token = self.record(&grant, now);
        let audit = audit.map(|row| of_token(row, &token));
        Issued { grant: Box::new(grant), token: Box::new(token), audit }
    }

    /// Returns the token to store under `grant`. It never allows more than the grant and what its scopes include, and
    /// never outlives the grant's idle end (which is never after the absolute end), so a grant past that has no valid
    /// token.
    fn record(&self, grant: &Grant, now: Timestamp) -> AccessTokenRecord {
        AccessTokenRecord {
            hash: self.hash,
            tenant: grant.tenant.clone(),
            grant: grant.id,
            client: grant.client.clone(),
            client_origin: self.client_origin,
            client_limit: self.client_limit.clone(),
            subject: grant.subject.clone(),
            user: Arc::clone(&self.user),
            // The store adds them, in the transaction that stores the token.
            groups: GroupSet::default(),
            resource: grant.resource.clone(),
            scopes: self.scopes.as_ref().map_or_else(
                || grant.scopes.clone(),
                |scopes| scopes.intersection(&grant.scopes.union(&self.included)),
            ),
            exclusions: grant.exclusions.clone(),
            consented_at: grant.consented_at,
            acting: grant.acting,
            addresses: grant.key.as_ref().map(|key| key.addresses.clone()).unwrap_or_default(),
            generation: grant.generation,
            // Generation 0 has no predecessor that could be presented again, so its use does not matter.
            reports_use: grant.generation > 0 && grant.first_use != FirstUse::Used,
            issued_at: now,
            expires_at: now.plus(self.lifetime).min(grant.idle_until),
        }
    }
}

/// Returns a grant in its stored form: without refresh it has no idle end of its own, and the idle end is never after
/// the absolute end.
pub(super) fn settled(grant: Grant) -> Grant {
    let idle_until = if grant.may_refresh { grant.idle_until.min(grant.expires_at) } else { grant.expires_at };
    Grant { idle_until, ..grant }
}

/// Adds a token's resource and scopes to an audit row.
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
