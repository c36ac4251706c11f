//! `Grant`: what one client may do at one resource, for a user who consented or for itself, with its refresh token
//! family.

use super::{
    AddressRanges, ClientId, Exclusions, ResourceIndicator, ScopeSet, SignInOrigin, Subject, TenantId, Timestamp,
    WorkloadIdentity,
};

/// 128 random bits naming a grant, which is also the family of its refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId(pub [u8; 16]);

impl std::fmt::Display for GrantId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl GrantId {
    /// Parses the 32 hexadecimal digits that `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // `from_str_radix` alone would accept a sign and upper case, so length and alphabet are checked first.
        let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(digit))
            .then(|| u128::from_str_radix(text, 16).ok())?
            .map(|number| Self(number.to_be_bytes()))
    }

    /// Returns the bytes, for storing them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What is known about the use of a grant's current generation: its refresh token, and the access tokens issued with
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstUse {
    /// The process that issued them has not reported yet; if it was killed, it never will.
    Unknown,
    /// None of them had been used when it reported, nor has any use been recorded since.
    Unused,
    /// One of them was used.
    Used,
}

/// What an API key has besides its grant. The key itself is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDetails {
    /// The name that its owner or an operator gave it: 1 to 100 characters that may be shown.
    pub name: String,
    /// Its last four characters, by which people recognise it.
    pub hint: String,
    /// From where it may be used.
    pub addresses: AddressRanges,
}

/// What a client is allowed, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Identifies the grant and its refresh token family.
    pub id: GrantId,
    /// The tenant that the grant belongs to.
    pub tenant: TenantId,
    /// The client that holds the grant.
    pub client: ClientId,
    /// On whose behalf the client acts.
    pub subject: Subject,
    /// The resource that it is for.
    pub resource: ResourceIndicator,
    /// The scopes that were granted.
    pub scopes: ScopeSet,
    /// What the user left out of them.
    pub exclusions: Exclusions,
    /// When the user logged in; for a service, when the grant was made.
    pub authenticated_at: Timestamp,
    /// When the user was shown what they consented to; for a token that an operator issued, when that was; 0 if it is
    /// not known. What becomes milder later does not count for the grant.
    pub consented_at: Timestamp,
    /// When the grant was made, by redeeming a code or by an operator who issued a token.
    pub created_at: Timestamp,
    /// The absolute end, which refreshing never moves.
    pub expires_at: Timestamp,
    /// The idle end, which each refresh moves.
    pub idle_until: Timestamp,
    /// Whether the client may refresh.
    pub may_refresh: bool,
    /// Whether the client authenticated by an assertion (`private_key_jwt`) when the grant was made. Then it refreshes
    /// only so, with any key that it has at that time.
    pub by_assertion: bool,
    /// Whether the client acts for a person who is absent: it said for whom by an assertion (RFC 7523 2.1), and nobody
    /// signed in or consented.
    pub acting: bool,
    /// The generation of the current refresh token; 0 for the first.
    pub generation: u32,
    /// When the current refresh token was issued.
    pub rotated_at: Timestamp,
    /// Whether the current refresh token, or an access token issued with it, has been used.
    pub first_use: FirstUse,
    /// When the current refresh token was issued again after the grace period, to a client that had lost the answer.
    pub retried_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When a request with one of its tokens was last permitted, if that is known. No decision depends on it.
    pub last_used_at: Option<Timestamp>,
    /// Where the user consented from, if that is known. No decision depends on it.
    pub signed_in_from: Option<Box<SignInOrigin>>,
    /// Its API key; `None` for what an application was granted.
    pub key: Option<Box<KeyDetails>>,
    /// The workload that it is of; each has a grant of its own.
    pub workload: Option<Box<WorkloadIdentity>>,
}

/// What a grant without a refresh token is for: a token of an operator, of a program for itself or for an absent
/// person, or an API key.
#[derive(Debug, Clone)]
pub struct SingleGrant {
    /// Identifies the grant.
    pub id: GrantId,
    /// The tenant that the grant belongs to.
    pub tenant: TenantId,
    /// The client that holds it.
    pub client: ClientId,
    /// On whose behalf the client acts.
    pub subject: Subject,
    /// The resource that it is for.
    pub resource: ResourceIndicator,
    /// The scopes that were granted.
    pub scopes: ScopeSet,
    /// When the grant is made.
    pub made_at: Timestamp,
    /// When the grant ends; `Timestamp::NEVER` for an API key without an end.
    pub expires_at: Timestamp,
}

impl SingleGrant {
    /// Returns the grant. Nobody logged in or left anything out for it, and it is neither renewed nor used yet.
    #[must_use]
    pub fn grant(self) -> Grant {
        let Self { id, tenant, client, subject, resource, scopes, made_at, expires_at } = self;
        Grant {
            id,
            tenant,
            client,
            subject,
            resource,
            scopes,
            exclusions: Exclusions::default(),
            authenticated_at: made_at,
            consented_at: made_at,
            created_at: made_at,
            expires_at,
            idle_until: expires_at,
            may_refresh: false,
            by_assertion: false,
            acting: false,
            generation: 0,
            rotated_at: made_at,
            first_use: FirstUse::Unknown,
            retried_at: None,
            revoked_at: None,
            last_used_at: None,
            signed_in_from: None,
            key: None,
            workload: None,
        }
    }
}

impl Grant {
    /// Returns whether the grant is neither revoked nor past its absolute end.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// Returns when it ends; `None` if it never does, as API keys may.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        Some(self.expires_at).filter(|end| *end < Timestamp::NEVER)
    }

    /// Returns whether a report on the use of `generation` concerns the current one and says something new.
    #[must_use]
    pub fn takes_mark(&self, generation: u32, mark: FirstUse) -> bool {
        let is_news = match self.first_use {
            FirstUse::Unknown => mark != FirstUse::Unknown,
            FirstUse::Unused => mark == FirstUse::Used,
            FirstUse::Used => false,
        };
        // Generation 0 has no predecessor that could be presented again, so its use does not matter.
        is_news && generation > 0 && generation == self.generation && self.revoked_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_id_has_one_spelling() {
        let id = GrantId([0x0a; 16]);
        assert_eq!(GrantId::parse(&id.to_string()), Some(id));
        for bad in ["", "0a", &id.to_string().to_uppercase(), &format!("+{}", &id.to_string()[1..])] {
            assert_eq!(GrantId::parse(bad), None, "{bad}");
        }
    }
}
