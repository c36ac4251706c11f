//! The part of a store for API keys. A key is an access token on a grant of its own, so it is found, listed and revoked
//! as every other (`GrantStore`).

use async_trait::async_trait;

use super::issuance::settled;
use super::{AuditRow, Issued, NewAccessToken, Result};
use crate::oauth::{AccessTokenRecord, AccountId, Grant, GrantId, KeyDetails, Lifetime, Timestamp};

/// The most API keys of one account.
pub const KEYS_PER_ACCOUNT: u64 = 100;

/// A key to be added.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The grant, with what is kept of the key. It cannot be refreshed, and its subject is a person.
    pub grant: Grant,
    /// The token to issue under it. It lives as long as the grant.
    pub access: NewAccessToken,
    /// The audit row; resource, scopes and grant are added to it.
    pub audit: AuditRow,
}

/// What became of a key to be added.
#[derive(Debug, Clone)]
pub enum KeyAdded {
    /// It was added.
    Added(Box<Issued>),
    /// The client or the account is disabled or gone, or the account is no person's.
    NotFound,
    /// The account has as many keys as it may have.
    TooMany,
}

/// A new secret for a key, which keeps its name, scopes and address ranges.
#[derive(Debug, Clone)]
pub struct RotateKey {
    /// The grant of the key.
    pub grant: GrantId,
    /// The account whose key it must be; `None` for any.
    pub subject: Option<AccountId>,
    /// The token to issue under it.
    pub access: NewAccessToken,
    /// The last characters of the new secret.
    pub hint: String,
    /// When the key ends from now on.
    pub expires_at: Timestamp,
    /// Until when the replaced secret is valid; `None` if it ends at once. It never outlives its own end.
    pub previous_until: Option<Timestamp>,
    /// The audit row, of the time of the rotation; resource, scopes and grant are added to it.
    pub audit: AuditRow,
}

/// Lives until the end of its grant.
fn whole_life(access: &NewAccessToken) -> NewAccessToken {
    NewAccessToken { lifetime: Lifetime::from_millis(u64::MAX), ..access.clone() }
}

impl NewKey {
    /// Issues the token.
    pub(super) fn issue(&self) -> Issued {
        whole_life(&self.access).issue(settled(self.grant.clone()), self.grant.created_at, Some(&self.audit))
    }
}

impl RotateKey {
    /// Issues the new token under the grant that was found; `None` unless it is an active key of the account.
    pub(super) fn issue(&self, found: &Grant) -> Option<Issued> {
        let now = self.audit.at;
        let key = found.key.as_ref().filter(|_| found.is_active(now))?;
        if self.subject.as_ref().is_some_and(|subject| subject != found.subject.id()) {
            return None;
        }
        let key = KeyDetails { hint: self.hint.clone(), ..KeyDetails::clone(key) };
        let (expires_at, rotated_at) = (self.expires_at, now);
        let grant = settled(Grant { key: Some(Box::new(key)), expires_at, rotated_at, ..found.clone() });
        Some(whole_life(&self.access).issue(grant, now, Some(&self.audit)))
    }

    /// Returns the replaced token with its end, if it remains valid for a while. `newer` is the number of tokens of the
    /// key that are newer than it: never more than two are valid, as two secrets of a client.
    pub(super) fn replaced(&self, newer: usize, token: &AccessTokenRecord) -> Option<AccessTokenRecord> {
        let until = self.previous_until.filter(|until| newer == 0 && self.audit.at < *until)?;
        Some(AccessTokenRecord { expires_at: token.expires_at.min(until), ..token.clone() })
    }
}

/// Adds and rotates API keys.
#[async_trait]
pub trait KeyStore {
    /// Adds a key. At most [`KEYS_PER_ACCOUNT`] keys of an account are active at a time. `StoreError::Conflict` if the
    /// grant has no [`KeyDetails`].
    async fn insert_key(&self, key: NewKey) -> Result<KeyAdded>;
    /// Gives a key a new secret and a new end. The replaced secret ends, at once or after a while: emits
    /// `Change::AccessTokenRevoked` or, since its end is nearer now, `Change::AccountGroupsChanged`. A secret that an
    /// earlier rotation replaced ends at once. `None` unless it is an active key of the account, and client and account
    /// are enabled.
    async fn rotate_key(&self, by: RotateKey) -> Result<Option<Issued>>;
}
