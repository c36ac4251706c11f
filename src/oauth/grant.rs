//! `Grant`: what one client may do at one resource, for a user who consented or for itself, and the refresh family that
//! lives on it.

use super::{ClientId, ResourceIndicator, ScopeSet, Subject, TenantId, Timestamp};

/// 128 random bits naming a grant, which is also the family of its refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId(pub [u8; 16]);

impl std::fmt::Display for GrantId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl GrantId {
    /// Reads the 32 hexadecimal digits that `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // `from_str_radix` alone would take a sign and capitals: the length and the alphabet are checked first.
        let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(digit))
            .then(|| u128::from_str_radix(text, 16).ok())?
            .map(|number| Self(number.to_be_bytes()))
    }
}

/// What is known of the use of a grant's live generation: of its refresh token, and of the access tokens issued with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstUse {
    /// The process that issued them has not reported yet; if it was killed, it never will.
    Unknown,
    /// None of them had been used when it reported, nor has any use been recorded since.
    Unused,
    /// One of them was used.
    Used,
}

/// What is allowed, for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The grant and refresh family.
    pub id: GrantId,
    /// Whose.
    pub tenant: TenantId,
    /// For which client.
    pub client: ClientId,
    /// On whose behalf.
    pub subject: Subject,
    /// At which resource.
    pub resource: ResourceIndicator,
    /// With which scopes.
    pub scopes: ScopeSet,
    /// When the user logged in; of a service, when the grant was made.
    pub authenticated_at: Timestamp,
    /// When it was made: a code was redeemed, or an operator issued a token.
    pub created_at: Timestamp,
    /// The absolute end; refreshing never moves it.
    pub expires_at: Timestamp,
    /// The idle end; each refresh moves it.
    pub idle_until: Timestamp,
    /// Whether the client may refresh.
    pub may_refresh: bool,
    /// The generation of the live refresh token; 0 for the first.
    pub generation: u32,
    /// When the live refresh token was made.
    pub rotated_at: Timestamp,
    /// Whether the live refresh token, or an access token issued with it, has been used.
    pub first_use: FirstUse,
    /// When the live refresh token was given out again, after the grace, to a client that had lost the answer.
    pub retried_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl Grant {
    /// Returns whether it stands: not revoked, and before its absolute end.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// Returns whether a report on the use of `generation` is about the live one and says something new.
    #[must_use]
    pub fn takes_mark(&self, generation: u32, mark: FirstUse) -> bool {
        let is_news = match self.first_use {
            FirstUse::Unknown => mark != FirstUse::Unknown,
            FirstUse::Unused => mark == FirstUse::Used,
            FirstUse::Used => false,
        };
        // The first generation has no predecessor that could be presented again.
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
