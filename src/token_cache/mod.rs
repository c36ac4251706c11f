//! What a warm request needs: token hash → principal, in memory, sharded; filled from the store at start and by
//! issuance; emptied by changes. Lookup is synchronous; a miss loads once for all waiters.

use std::sync::Arc;

mod entry;
mod eviction;
mod follower;

pub use entry::Principal;
pub use follower::Follower;

use crate::clock::Clock;
use crate::oauth::{AccessTokenRecord, ClientId, GrantId, Subject, TenantId, Timestamp, TokenHash, TokenKeys};
use crate::store::{Change, Store};

/// The answer of a lookup.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// A live token.
    Hit(Arc<Principal>, Timestamp),
    /// Known, and past its end.
    Expired,
    /// Not in memory; ask `load`.
    Absent,
    /// In memory, but the change log is too old to vouch for it: 503.
    Stale,
}

/// The answer of a load.
#[derive(Debug, Clone)]
pub enum Load {
    /// A live token; it is now in memory; its end.
    Active(Arc<Principal>, Timestamp),
    /// Not one of ours, unknown, revoked or expired.
    Inactive,
    /// The store could not say, or too many loads are under way: 503.
    Unknown,
}

/// The token cache.
pub struct TokenCache {}

impl TokenCache {
    /// Makes an empty cache.
    #[must_use]
    pub fn new(
        _store: Arc<dyn Store>,
        _keys: Arc<TokenKeys>,
        _clock: Arc<dyn Clock>,
        _config: &crate::config::Config,
    ) -> Arc<Self> {
        todo!()
    }
    /// Fills the cache from the store; called once at start, before listening.
    ///
    /// # Errors
    /// `StoreError` when the store cannot be read.
    pub async fn fill(&self) -> Result<usize, crate::store::StoreError> {
        todo!()
    }
    /// Looks a token up; never waits.
    #[must_use]
    pub fn lookup(&self, _hash: &TokenHash, _now: Timestamp) -> Lookup {
        todo!()
    }
    /// Asks the store for a token that is not in memory: format and MAC first, then one read for all waiters.
    pub async fn load(&self, _presented: &[u8], _hash: TokenHash) -> Load {
        todo!()
    }
    /// Puts in a token that was just issued (write-through).
    pub fn insert(&self, _token: &AccessTokenRecord) {
        todo!()
    }
    /// Forgets all tokens of a grant, at once.
    pub fn forget_grant(&self, _tenant: &TenantId, _grant: GrantId) {
        todo!()
    }
    /// Forgets one token.
    pub fn forget_token(&self, _hash: &TokenHash) {
        todo!()
    }
    /// Forgets all tokens of a client.
    pub fn forget_client(&self, _tenant: &TenantId, _client: &ClientId) {
        todo!()
    }
    /// Forgets all tokens of a subject.
    pub fn forget_subject(&self, _tenant: &TenantId, _subject: &Subject) {
        todo!()
    }
    /// Applies a change read from the store.
    pub fn apply(&self, _change: &Change) {
        todo!()
    }
    /// Returns a receiver that moves whenever something was revoked; open streams look their token up again then.
    #[must_use]
    pub fn revocations(&self) -> tokio::sync::watch::Receiver<u64> {
        todo!()
    }
    /// Returns the number of tokens in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Returns whether no token is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
