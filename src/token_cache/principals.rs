//! `Principals`: the principals of the cached tokens.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::entry::Principal;
use crate::oauth::{AccountId, ClientId, Exclusions, TenantId};

/// The principals of the cached tokens, indexed by subject and by client. Each grant of a user may have one of its own,
/// so they are found by their content.
#[derive(Debug, Default)]
pub(super) struct Principals {
    by_subject: HashMap<(TenantId, AccountId), HashSet<Arc<Principal>>>,
    by_client: HashMap<(TenantId, ClientId), HashSet<Arc<Principal>>>,
    /// What principals exclude, shared by those that exclude the same.
    exclusions: BTreeSet<Exclusions>,
}

impl Principals {
    /// Returns the shared value that equals `wanted`.
    pub(super) fn intern(&mut self, mut wanted: Principal) -> Arc<Principal> {
        let of_subject = self.by_subject.entry(subject_of(&wanted)).or_default();
        if let Some(known) = of_subject.get(&wanted) {
            return Arc::clone(known);
        }
        let of_client = self.by_client.entry(client_of(&wanted)).or_default();
        wanted.share_exclusions(&mut self.exclusions);
        let new = Arc::new(wanted);
        of_subject.insert(Arc::clone(&new));
        of_client.insert(Arc::clone(&new));
        new
    }

    /// Removes all principals of a subject, so that its later tokens get new ones; returns the removed ones.
    pub(super) fn take_subject(&mut self, tenant: &TenantId, subject: &AccountId) -> Vec<Arc<Principal>> {
        let taken = self.by_subject.remove(&(tenant.clone(), subject.clone())).unwrap_or_default();
        for principal in &taken {
            if let Some(of_client) = self.by_client.get_mut(&client_of(principal)) {
                of_client.remove(principal);
            }
        }
        taken.into_iter().collect()
    }

    /// Removes all principals of a client; returns the removed ones.
    pub(super) fn take_client(&mut self, tenant: &TenantId, client: &ClientId) -> Vec<Arc<Principal>> {
        let taken = self.by_client.remove(&(tenant.clone(), client.clone())).unwrap_or_default();
        for principal in &taken {
            if let Some(of_subject) = self.by_subject.get_mut(&subject_of(principal)) {
                of_subject.remove(principal);
            }
        }
        taken.into_iter().collect()
    }

    /// Removes principals that no token refers to any more.
    pub(super) fn forget_unused(&mut self) {
        // Each of the two indexes holds one reference.
        self.by_subject.retain(|_, all| {
            all.retain(|p| Arc::strong_count(p) > 2);
            !all.is_empty()
        });
        self.by_client.retain(|_, all| {
            all.retain(|p| Arc::strong_count(p) > 1);
            !all.is_empty()
        });
        self.exclusions.retain(|exclusions| !exclusions.is_unshared());
    }
}

fn subject_of(principal: &Principal) -> (TenantId, AccountId) {
    (principal.tenant().clone(), principal.subject().id().clone())
}

fn client_of(principal: &Principal) -> (TenantId, ClientId) {
    (principal.tenant().clone(), principal.client().clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Principals;
    use crate::oauth::{
        AccessTokenRecord, AccountId, AddressRanges, ClientId, ClientOrigin, Exclusions, GrantId, GroupSet,
        ResourceIndicator, ScopeSet, Subject, TenantId, Timestamp, TokenHash,
    };
    use crate::token_cache::Principal;

    fn record(consented_at: Timestamp) -> AccessTokenRecord {
        AccessTokenRecord {
            hash: TokenHash::from_stored([0; 32]),
            tenant: TenantId::default(),
            grant: GrantId([0; 16]),
            client: ClientId::parse("app").unwrap(),
            client_origin: ClientOrigin::Registered,
            client_limit: None,
            subject: Subject::Person(AccountId::parse("ada").unwrap()),
            user: "ada".into(),
            groups: GroupSet::default(),
            resource: ResourceIndicator::parse("https://gw.example/mcp").unwrap(),
            scopes: ScopeSet::default(),
            exclusions: Exclusions::default(),
            consented_at,
            acting: false,
            addresses: AddressRanges::default(),
            generation: 0,
            reports_use: false,
            issued_at: consented_at,
            expires_at: consented_at,
        }
    }

    #[test]
    fn tokens_of_one_consent_share_a_principal() {
        let mut principals = Principals::default();
        let mut of = |secs| principals.intern(Principal::from(&record(Timestamp::from_secs(secs))));
        let (first, again, other) = (of(1), of(1), of(2));
        assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
        let (tenant, subject) = (first.tenant().clone(), first.subject().id().clone());
        drop((first, again));
        principals.forget_unused();
        assert_eq!(principals.take_client(&tenant, other.client()), [Arc::clone(&other)]);
        assert!(principals.take_subject(&tenant, &subject).is_empty(), "it is gone from both");
    }
}
