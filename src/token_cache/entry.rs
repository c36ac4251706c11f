//! `Principal`: what a cache hit returns. Interned: all tokens with the same tenant, client, subject, resource,
//! scopes, exclusions, moment of consent, address ranges and actor share it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::oauth::{
    AccessTokenRecord, AccountId, AddressRanges, ClientId, ClientOrigin, Exclusions, GrantId, GroupSet,
    ResourceIndicator, ScopeSet, Subject, TenantId, Timestamp, TokenHash,
};

/// The key of an entry: a tenant and a token's hash.
pub(super) type Key = (TenantId, TokenHash);

/// Who is calling, at which resource, with which scopes. Made only from the record of a token that enters the cache, or
/// for a caller without a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The tenant that it belongs to.
    tenant: TenantId,
    /// The client that the token was issued to.
    client: ClientId,
    /// How the client became known.
    client_origin: ClientOrigin,
    /// The only scopes that the client may ask for, if an operator limited it.
    client_limit: Option<ScopeSet>,
    /// On whose behalf the client acts.
    subject: Subject,
    /// The account's login name, for display only.
    user: Arc<str>,
    /// The groups of the account in the store.
    groups: GroupSet,
    /// The token's only audience.
    resource: ResourceIndicator,
    /// The scopes of the token.
    scopes: ScopeSet,
    /// What its grant leaves out of them.
    exclusions: Exclusions,
    /// When the user consented to its grant; 0 if that is not known, or there is no token.
    consented_at: Timestamp,
    /// Whether its client acts for a person who is absent.
    acting: bool,
    /// From where the token may be used.
    addresses: AddressRanges,
    /// Whether there is no token.
    is_anonymous: bool,
}

impl Principal {
    pub(super) fn of(token: &AccessTokenRecord) -> Self {
        let whose = (token.tenant.clone(), token.client.clone(), token.subject.clone());
        Self::make(whose, token.resource.clone(), Some(token))
    }

    /// Makes the principal of a caller without a token, which has no login name, no groups and no scopes.
    #[must_use]
    pub fn anonymous(tenant: TenantId, client: ClientId, subject: AccountId, resource: ResourceIndicator) -> Self {
        Self::make((tenant, client, Subject::Service(subject)), resource, None)
    }

    fn make(
        (tenant, client, subject): (TenantId, ClientId, Subject),
        resource: ResourceIndicator,
        token: Option<&AccessTokenRecord>,
    ) -> Self {
        Self {
            tenant,
            client,
            // As strangers: nobody has vouched for it.
            client_origin: token.map_or(ClientOrigin::Registered, |token| token.client_origin),
            client_limit: token.and_then(|token| token.client_limit.clone()),
            subject,
            user: token.map_or_else(|| Arc::from(""), |token| Arc::clone(&token.user)),
            groups: token.map(|token| token.groups.clone()).unwrap_or_default(),
            resource,
            scopes: token.map(|token| token.scopes.clone()).unwrap_or_default(),
            exclusions: token.map(|token| token.exclusions.clone()).unwrap_or_default(),
            consented_at: token.map(|token| token.consented_at).unwrap_or_default(),
            acting: token.is_some_and(|token| token.acting),
            addresses: token.map(|token| token.addresses.clone()).unwrap_or_default(),
            is_anonymous: token.is_none(),
        }
    }

    /// Returns whether there is no token.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.is_anonymous
    }

    /// Returns the tenant that it belongs to.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Returns the client that the token was issued to.
    #[must_use]
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// Returns the client if it acts for a person who is absent (RFC 8693 4.1).
    #[must_use]
    pub fn actor(&self) -> Option<&ClientId> {
        Some(&self.client).filter(|_| self.acting)
    }

    /// Returns how the client became known.
    #[must_use]
    pub fn client_origin(&self) -> ClientOrigin {
        self.client_origin
    }

    /// Returns the only scopes that the client may ask for, if an operator limited it.
    #[must_use]
    pub fn client_limit(&self) -> Option<&ScopeSet> {
        self.client_limit.as_ref()
    }

    /// Returns on whose behalf the client acts.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns the account's login name, for display only.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the groups of the account in the store.
    #[must_use]
    pub fn groups(&self) -> &GroupSet {
        &self.groups
    }

    /// Returns the token's only audience.
    #[must_use]
    pub fn resource(&self) -> &ResourceIndicator {
        &self.resource
    }

    /// Returns the scopes of the token.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// Shares what it leaves out with those that leave out the same.
    pub(super) fn share_exclusions(&mut self, all: &mut BTreeSet<Exclusions>) {
        self.exclusions.share(all);
    }

    /// Returns what the token's grant leaves out of its scopes.
    #[must_use]
    pub fn exclusions(&self) -> &Exclusions {
        &self.exclusions
    }

    /// Returns when the user was shown what they consented to; 0 if that is not known, or there is no token.
    #[must_use]
    pub fn consented_at(&self) -> Timestamp {
        self.consented_at
    }

    /// Returns from where the token may be used.
    #[must_use]
    pub fn addresses(&self) -> &AddressRanges {
        &self.addresses
    }
}

/// For unit tests beside those of the cache.
#[cfg(test)]
impl From<&AccessTokenRecord> for Principal {
    fn from(token: &AccessTokenRecord) -> Self {
        Self::of(token)
    }
}

/// What is kept of a token: 32 bytes besides its hash, so that a million of them take some 135 MB.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) principal: Arc<Principal>,
    pub(super) grant: GrantId,
    /// The token's expiry in milliseconds; the three highest bits say whether a use must be reported, whether its MAC
    /// was checked with a current key, and whether it has not been presented yet.
    end: AtomicU64,
}

/// The bit of `Entry::end` for a use that must be reported. No token lives long enough to need it.
const REPORTS_USE: u64 = 1 << 63;
/// The bit of `Entry::end` for a MAC that was checked.
const PROVEN: u64 = 1 << 62;
/// The bit of `Entry::end` for a token that was issued and not presented yet.
const UNSEEN: u64 = 1 << 61;
const FLAGS: u64 = REPORTS_USE | UNSEEN;

impl Entry {
    pub(super) fn new(principal: Arc<Principal>, token: &AccessTokenRecord) -> Self {
        let end = token.expires_at.as_millis().min(UNSEEN - 1);
        let end = if token.reports_use { end | REPORTS_USE } else { end };
        Self { principal, grant: token.grant, end: AtomicU64::new(end) }
    }

    pub(super) fn expires(&self) -> Timestamp {
        Timestamp::from_millis(self.end.load(Ordering::Relaxed) & !(FLAGS | PROVEN))
    }

    /// Returns whether another entry has the same content, apart from the flags.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let [first, second] = [&self.end, &other.end].map(|end| end.load(Ordering::Relaxed) & !(PROVEN | UNSEEN));
        Arc::ptr_eq(&self.principal, &other.principal) && self.grant == other.grant && first == second
    }

    /// Returns whether the token's MAC was checked since a key was last removed.
    pub(super) fn is_proven(&self) -> bool {
        self.end.load(Ordering::Acquire) & PROVEN != 0
    }

    /// Records whether the token's MAC was made with a current key.
    pub(super) fn set_proven(&self, is_proven: bool) {
        if is_proven {
            self.end.fetch_or(PROVEN, Ordering::AcqRel);
        } else {
            self.end.fetch_and(!PROVEN, Ordering::AcqRel);
        }
    }

    /// Records a use; returns whether it must be reported, which is true once, for the first use.
    pub(super) fn take_report(&self) -> bool {
        // Read first, so that all uses but the first leave the cache line shared between cores.
        self.end.load(Ordering::Relaxed) & FLAGS != 0
            && self.end.fetch_and(!FLAGS, Ordering::Relaxed) & REPORTS_USE != 0
    }

    /// Marks the token as just issued and not presented yet.
    pub(super) fn await_first_use(&self) {
        self.end.fetch_or(UNSEEN, Ordering::Relaxed);
    }

    /// Returns whether it was presented since it was issued.
    pub(super) fn was_presented(&self) -> bool {
        self.end.load(Ordering::Relaxed) & UNSEEN == 0
    }
}
