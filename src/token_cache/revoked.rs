//! Revoked tokens: refused at once because they are in a small set, and removed from the large map later, many in one
//! pass. So a revocation takes constant time, and no index from grants to tokens is needed.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::entry::Principal;
use crate::oauth::{AccessTokenRecord, AccountId, ClientId, GrantId, Lifetime, TenantId, Timestamp, TokenHash};

/// Entries that are still in the map but no longer valid.
#[derive(Debug, Clone, Default)]
pub(super) struct RevokedSet {
    grants: HashSet<GrantId>,
    /// Keyed by address. The value keeps the address from being reused.
    principals: HashMap<usize, Arc<Principal>>,
}

fn address(principal: &Arc<Principal>) -> usize {
    Arc::as_ptr(principal).addr()
}

impl RevokedSet {
    pub(super) fn add_grant(&mut self, grant: GrantId) {
        self.grants.insert(grant);
    }

    pub(super) fn add_principals(&mut self, principals: Vec<Arc<Principal>>) {
        self.principals.extend(principals.into_iter().map(|p| (address(&p), p)));
    }

    pub(super) fn contains(&self, grant: GrantId, principal: &Arc<Principal>) -> bool {
        self.grants.contains(&grant) || self.principals.contains_key(&address(principal))
    }

    /// Removes what is in `swept`: its entries are no longer in the map.
    pub(super) fn subtract(&mut self, swept: &Self) {
        self.grants.retain(|g| !swept.grants.contains(g));
        self.principals.retain(|p, _| !swept.principals.contains_key(p));
    }

    pub(super) fn len(&self) -> usize {
        self.grants.len().saturating_add(self.principals.len())
    }
}

/// How long a revocation is remembered because of concurrent issuance: far longer than a commit takes.
const REMEMBERED: Lifetime = Lifetime::from_secs(120);

/// The maximum difference assumed between the clocks of processes that share a store.
const AHEAD: Lifetime = Lifetime::from_secs(60);

/// Recent revocations, for tokens that were stored before them and arrive afterwards.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    pub(super) grants: HashMap<GrantId, Timestamp>,
    pub(super) tokens: HashMap<TokenHash, Timestamp>,
    pub(super) clients: HashMap<(TenantId, ClientId), Timestamp>,
    pub(super) subjects: HashMap<(TenantId, AccountId), Timestamp>,
}

impl Tombstones {
    /// Returns whether the token or its grant was revoked, which is final.
    pub(super) fn cover(&self, token: &AccessTokenRecord) -> bool {
        self.grants.contains_key(&token.grant) || self.tokens.contains_key(&token.hash)
    }

    /// Returns whether the token's client or subject was disabled at or after its issue. They may have been enabled
    /// again, so the store is asked then.
    pub(super) fn cover_parties(&self, token: &AccessTokenRecord) -> bool {
        let after_issue = |at: Option<&Timestamp>| at.is_some_and(|at| token.issued_at <= *at);
        after_issue(self.clients.get(&(token.tenant.clone(), token.client.clone())))
            || after_issue(self.subjects.get(&(token.tenant.clone(), token.subject.id().clone())))
    }

    pub(super) fn forget_old(&mut self, now: Timestamp) {
        fn keep<K: Eq + Hash>(map: &mut HashMap<K, Timestamp>, now: Timestamp) {
            map.retain(|_, at| {
                // From a clock that was ahead: it must not cover tokens issued from now on.
                if at.since(now) > AHEAD {
                    *at = now;
                }
                now.since(*at) < REMEMBERED
            });
        }
        keep(&mut self.grants, now);
        keep(&mut self.tokens, now);
        keep(&mut self.clients, now);
        keep(&mut self.subjects, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ck_what_was_revoked_while_the_clock_was_ahead_is_forgotten_in_time() {
        let now = Timestamp::from_secs(1_800_000_000);
        let mut revoked = Tombstones::default();
        let clients =
            [("ahead", now.plus(Lifetime::from_secs(86_400))), ("in-time", now.plus(Lifetime::from_secs(30)))];
        let key = |name| (TenantId::default(), ClientId::parse(name).unwrap());
        revoked.clients.extend(clients.map(|(name, at)| (key(name), at)));
        revoked.forget_old(now);
        assert_eq!(revoked.clients.get(&key("ahead")), Some(&now));
        assert_eq!(revoked.clients.get(&key("in-time")), Some(&clients[1].1));
        revoked.forget_old(now.plus(REMEMBERED));
        assert_eq!(revoked.clients.len(), 1);
    }
}
