//! Secrets: tokens, codes, client secrets. No `Display`, no `Serialize`; `reveal` is the one way out.
//!
//! An opaque secret is `<brand>_<kind>_` + 43 base62 characters (256 random bits) + 11 base62 characters (a 64-bit
//! MAC under a server key) + 6 base62 characters (CRC-32 of all before it). A refresh token is
//! `<brand>_refresh_` + base62(family 16 bytes, generation 4, key number 1, HMAC-SHA-256 cut to 24) + CRC-32.

use super::GrantId;

/// SHA-256 of a secret: the only form in which it is stored or used as a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl std::fmt::Debug for TokenHash {
    /// Prints the first four bytes: enough to tell two apart, too little to be of use.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "TokenHash({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

impl TokenHash {
    /// Hashes a secret as presented.
    #[must_use]
    pub fn of(_presented: &[u8]) -> Self {
        todo!()
    }
}

/// The brand that every secret begins with (`mcp` unless configured): 2 to 8 lower-case letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand(String);

impl Brand {
    /// Reads a brand.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ((2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())).then(|| Self(text.into()))
    }
    /// Returns the letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The server's token keys: number and 256 bits each. The first makes, all are accepted.
#[derive(Clone)]
pub struct TokenKeys {
    keys: Vec<(u8, [u8; 32])>,
    brand: Brand,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKeys({} keys)", self.keys.len())
    }
}

impl TokenKeys {
    /// Takes the keys, the one that makes new tokens first; `None` when there is none.
    #[must_use]
    pub fn new(keys: Vec<(u8, [u8; 32])>, brand: Brand) -> Option<Self> {
        (!keys.is_empty()).then_some(Self { keys, brand })
    }
    /// Returns the brand.
    #[must_use]
    pub fn brand(&self) -> &Brand {
        &self.brand
    }
}

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        pub struct $name(String);

        impl $name {
            /// Makes one from 256 random bits.
            #[must_use]
            pub fn mint(_random: [u8; 32], _keys: &TokenKeys) -> Self {
                todo!()
            }
            /// Checks prefix, length, CRC and MAC of a presented secret without any store; its hash when all hold.
            #[must_use]
            pub fn recognise(_presented: &[u8], _keys: &TokenKeys) -> Option<TokenHash> {
                todo!()
            }
            /// Returns the hash.
            #[must_use]
            pub fn hash(&self) -> TokenHash {
                TokenHash::of(self.0.as_bytes())
            }
            /// Gives the secret away: to its owner, once.
            #[must_use]
            pub fn reveal(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                zeroize::Zeroize::zeroize(&mut self.0);
            }
        }
    };
}

opaque!(
    /// `mcp_access_…`
    AccessToken, "access"
);
opaque!(
    /// `mcp_code_…`
    AuthorizationCode, "code"
);
opaque!(
    /// `mcp_session_…`: browser sessions, transaction cookies, CSRF tokens and set-password links.
    SessionSecret, "session"
);

/// `mcp_secret_` + 64 hexadecimal characters.
pub struct ClientSecret(String);

impl ClientSecret {
    /// Makes one from 256 random bits.
    #[must_use]
    pub fn mint(_random: [u8; 32], _brand: &Brand) -> Self {
        todo!()
    }
    /// Returns the hash.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.as_bytes())
    }
    /// Gives the secret away: to its owner, once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// `mcp_refresh_…`, derived from its family and generation: the same inputs give the same token.
pub struct RefreshToken(String);

/// What a genuine refresh token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshClaims {
    /// The family.
    pub grant: GrantId,
    /// Its generation in the family.
    pub generation: u32,
}

impl RefreshToken {
    /// Derives the refresh token of a generation.
    #[must_use]
    pub fn derive(_claims: RefreshClaims, _keys: &TokenKeys) -> Self {
        todo!()
    }
    /// Checks prefix, CRC and HMAC of a presented refresh token; its claims when all hold.
    #[must_use]
    pub fn recognise(_presented: &str, _keys: &TokenKeys) -> Option<RefreshClaims> {
        todo!()
    }
    /// Gives the secret away: to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}
