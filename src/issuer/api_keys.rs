//! API keys: what a new key needs, whoever makes it, on the account page or on the command line.

use super::Services;
use crate::config::{TokenPolicy, UpstreamConfig};
use crate::oauth::{
    AddressRanges, ApiKey, ClientId, ClientOrigin, Grant, GrantId, KeyDetails, Lifetime, ScopeSet, SingleGrant,
    TenantId, Timestamp, clean_name,
};
use crate::store::{Account, AuditRow, NewAccessToken, NewKey, RotateKey};

/// How long a key lives unless something else is asked for, or the operator's bound is shorter.
const USUAL: Lifetime = Lifetime::from_secs(90 * 24 * 3600);
/// The shortest life of a key.
const SHORTEST: Lifetime = Lifetime::from_secs(60);

/// How long a key is to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyLifetime {
    /// 90 days, or as long as the operator's bound allows if that is shorter.
    Usual,
    /// For this time, which is at least a minute.
    For(Lifetime),
    /// Until it is revoked.
    Unlimited,
}

/// What a key is to be.
#[derive(Debug, Clone)]
pub struct WantedKey<'a> {
    /// Its name, as typed.
    pub name: &'a str,
    /// The name or resource of its upstream; `None` if there is only one.
    pub upstream: Option<&'a str>,
    /// Its scopes; empty for the default scopes of the upstream.
    pub scopes: &'a [String],
    /// How long it lives.
    pub lifetime: KeyLifetime,
    /// From where it may be used, as typed; empty for everywhere.
    pub addresses: &'a [String],
}

/// A key that was just made or renewed.
#[derive(Debug)]
pub struct MadeKey {
    /// Its text, which is kept nowhere else.
    pub key: ApiKey,
    /// The grant that it is, with what is kept of it.
    pub grant: Grant,
}

/// Why what was typed makes no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// There is no name, or it is too long.
    #[error("a key needs a name of 1 to 100 characters")]
    BadName,
    /// This is no range, or there are too many.
    #[error("{0:?} is no address range: write an address or a network such as 192.0.2.0/24, at most 16 of them")]
    BadAddress(String),
    /// It would live longer than the operator allows, or hardly at all.
    #[error("a key lives at least a minute, and at most {} as tokens.key_longest says", .0.map_or_else(|| "as long as you like".to_owned(), days))]
    BadLifetime(Option<Lifetime>),
}

fn days(lifetime: Lifetime) -> String {
    format!("{} hours", lifetime.as_secs() / 3600)
}

impl WantedKey<'_> {
    /// Checks the name and the address ranges.
    pub(super) fn details(&self) -> Result<(String, AddressRanges), KeyRefused> {
        let name = clean_name(self.name).filter(|name| !name.is_empty()).ok_or(KeyRefused::BadName)?;
        let addresses = self.addresses.iter().flat_map(|list| list.split([' ', ','])).filter(|text| !text.is_empty());
        Ok((name, AddressRanges::parse(addresses).map_err(KeyRefused::BadAddress)?))
    }
}

impl KeyLifetime {
    /// What people may choose from, each with its word in the form.
    const OFFERED: [(&'static str, Self); 4] = [
        ("usual", Self::Usual),
        ("30d", Self::For(Lifetime::from_secs(30 * 24 * 3600))),
        ("365d", Self::For(Lifetime::from_secs(365 * 24 * 3600))),
        ("none", Self::Unlimited),
    ];

    /// Returns the choice with this word; `None` for another word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::OFFERED.iter().find(|(known, _)| *known == word).map(|(_, choice)| *choice)
    }

    /// Returns what people may choose from: the word of each choice, and how long the key then lives; `None` until it
    /// is revoked.
    #[must_use]
    pub fn offered(policy: &TokenPolicy) -> Vec<(&'static str, Option<Lifetime>)> {
        let start = Timestamp::default();
        let end = |choice: Self| choice.end(policy, start).ok();
        let offered = Self::OFFERED.into_iter().filter_map(|(word, choice)| Some((word, end(choice)?)));
        offered.map(|(word, end)| (word, (end < Timestamp::NEVER).then(|| end.since(start)))).collect()
    }

    /// Returns when a key that is made now ends.
    pub(super) fn end(self, policy: &TokenPolicy, now: Timestamp) -> Result<Timestamp, KeyRefused> {
        let longest = policy.key_longest;
        let lifetime = match self {
            Self::Usual => Some(longest.map_or(USUAL, |longest| longest.min(USUAL))),
            Self::For(lifetime) => Some(lifetime),
            Self::Unlimited => None,
        };
        let is_allowed = match (lifetime, longest) {
            (Some(lifetime), longest) => lifetime >= SHORTEST && longest.is_none_or(|longest| lifetime <= longest),
            (None, longest) => longest.is_none(),
        };
        if !is_allowed {
            return Err(KeyRefused::BadLifetime(longest));
        }
        Ok(lifetime.map_or(Timestamp::NEVER, |lifetime| now.plus(lifetime)))
    }
}

/// Returns when a renewed key ends, if nothing else is asked for: it lives as long again as before, within the
/// operator's bound.
pub(super) fn end_as_before(key: &Grant, policy: &TokenPolicy, now: Timestamp) -> Timestamp {
    let before = key.end().map(|end| end.since(key.rotated_at));
    let lifetime =
        before.map_or(policy.key_longest, |before| Some(policy.key_longest.map_or(before, |m| m.min(before))));
    lifetime.map_or(Timestamp::NEVER, |lifetime| now.plus(lifetime))
}

/// The parts of a new key.
pub(super) struct KeyParts {
    pub(super) tenant: TenantId,
    /// The built-in client of all keys.
    pub(super) client: ClientId,
    pub(super) account: Account,
    /// The scopes, within what the account may have.
    pub(super) scopes: ScopeSet,
    pub(super) name: String,
    pub(super) addresses: AddressRanges,
    pub(super) expires_at: Timestamp,
    /// When its owner signed in; for an operator, now.
    pub(super) authenticated_at: Timestamp,
    pub(super) audit: AuditRow,
}

impl KeyParts {
    /// Makes the key and what is stored of it.
    pub(super) fn make(self, services: &Services, upstream: &UpstreamConfig) -> (ApiKey, NewKey) {
        let key = mint(services);
        let now = self.audit.at;
        let details = KeyDetails { name: self.name.clone(), hint: key.hint().to_owned(), addresses: self.addresses };
        let single = SingleGrant {
            id: GrantId(services.entropy.random_16()),
            tenant: self.tenant,
            client: self.client,
            subject: self.account.subject,
            resource: upstream.resource.clone(),
            scopes: self.scopes,
            made_at: now,
            expires_at: self.expires_at,
        };
        let key_of = Some(Box::new(details));
        let grant = Grant { authenticated_at: self.authenticated_at, key: key_of, ..single.grant() };
        let access = access(&key, self.account.name.as_str());
        let audit = AuditRow { reason: Some(self.name), ..self.audit };
        (key, NewKey { grant, access, audit })
    }
}

/// Makes a new secret for a key, and what is stored of it.
pub(super) fn renew(
    services: &Services,
    (known, user): (&Grant, &str),
    (expires_at, previous_until): (Timestamp, Option<Timestamp>),
    audit: AuditRow,
) -> (ApiKey, RotateKey) {
    let key = mint(services);
    let reason = known.key.as_ref().map(|key| key.name.clone());
    let renewal = RotateKey {
        grant: known.id,
        subject: Some(known.subject.id().clone()),
        access: access(&key, user),
        hint: key.hint().to_owned(),
        expires_at,
        previous_until,
        audit: AuditRow { reason, ..audit },
    };
    (key, renewal)
}

fn mint(services: &Services) -> ApiKey {
    ApiKey::mint(services.entropy.random_32(), &services.keys.load())
}

fn access(key: &ApiKey, user: &str) -> NewAccessToken {
    NewAccessToken {
        hash: key.hash(),
        // As long as the key.
        lifetime: Lifetime::from_millis(u64::MAX),
        scopes: None,
        included: ScopeSet::default(),
        user: user.into(),
        client_origin: ClientOrigin::Manual,
        client_limit: None,
    }
}
