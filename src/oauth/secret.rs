//! Secrets: tokens, codes, client secrets. No `Display`, no `Serialize`; only `reveal` returns the text.
//!
//! An opaque secret is `<brand>_<kind>_` + 43 base62 characters (256 random bits) + 11 base62 characters (a 64-bit
//! MAC under a server key) + 6 base62 characters (CRC-32 of all before it). A refresh token is
//! `<brand>_refresh_` + base62(family 16 bytes, generation 4, key number 1, HMAC-SHA-256 cut to 24) + CRC-32.

use std::marker::PhantomData;

use subtle::ConstantTimeEq as _;

use super::token_keys::{CRC_DIGITS, REFRESH, TokenKeys, crc};
use super::{Brand, ClientSecretHash, Digest, GrantId, base62};

/// How many base62 digits the 45 bytes of a refresh token take.
const REFRESH_DIGITS: usize = 61;

/// Bytes for family, generation and key number; a MAC of 192 bits follows, too long to guess.
const CLAIMS_BYTES: usize = 21;
const REFRESH_BYTES: usize = CLAIMS_BYTES + 24;

/// Implementations for every secret: it is not printed, and erased when dropped.
macro_rules! guarded {
    ($name:ident $(<$of:ident>)?) => {
        impl $(<$of: ?Sized>)? std::fmt::Debug for $name $(<$of>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl $(<$of: ?Sized>)? Drop for $name $(<$of>)? {
            fn drop(&mut self) {
                zeroize::Zeroize::zeroize(&mut self.0);
            }
        }
    };
}

pub(super) use guarded;

/// The type parameter of a secret's digest: the secret itself, unless its type has a parameter for what is found by it.
macro_rules! of {
    () => {
        Self
    };
    ($of:ident) => {
        $of
    };
}

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident $(<$of:ident>)?, $kind:literal) => {
        $(#[$doc])*
        pub struct $name $(<$of: ?Sized>)? (String $(, PhantomData<fn(&$of)>)?);

        impl $(<$of: ?Sized>)? $name $(<$of>)? {
            /// Makes a secret from 256 random bits.
            #[must_use]
            pub fn mint(random: [u8; 32], keys: &TokenKeys) -> Self {
                Self(keys.mint($kind, random) $(, PhantomData::<fn(&$of)>)?)
            }
            /// Checks prefix, length, CRC and MAC of a presented secret without the store; returns its hash if all are
            /// right.
            #[must_use]
            pub fn recognise(presented: &[u8], keys: &TokenKeys) -> Option<Digest<of!($($of)?)>> {
                keys.recognise($kind, presented)
            }
            /// Returns the hash that it is stored by.
            #[must_use]
            pub fn hash(&self) -> Digest<of!($($of)?)> {
                Digest::of(self.0.as_bytes())
            }
            /// Returns the secret's text, to be sent to its owner once.
            #[must_use]
            pub fn reveal(&self) -> &str {
                &self.0
            }
        }

        guarded!($name $(<$of>)?);
    };
}

opaque!(
    /// An access token: `mcp_access_…`
    AccessToken, "access"
);
opaque!(
    /// An authorization code: `mcp_code_…`
    AuthorizationCode, "code"
);
opaque!(
    /// `mcp_session_…`: a secret that a browser holds: of a session, a transaction or a set-password link. `Of` is the
    /// type of what is found by it, so that the secret of a link cannot be looked up as that of a session.
    BrowserSecret<Of>, "session"
);

/// The hash that an access token is stored and found by.
pub type TokenHash = Digest<AccessToken>;

/// The hash that an authorization code is stored and found by.
pub type CodeHash = Digest<AuthorizationCode>;

/// A client secret: `mcp_secret_` + 64 hexadecimal characters.
pub struct ClientSecret(String);

impl ClientSecret {
    /// Makes a secret from 256 random bits.
    #[must_use]
    pub fn mint(random: [u8; 32], brand: &Brand) -> Self {
        let mut text = String::with_capacity(brand.as_str().len() + "_secret_".len() + 64);
        text.push_str(brand.as_str());
        text.push_str("_secret_");
        for half in random.into_iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            text.extend(char::from_digit(u32::from(half), 16));
        }
        Self(text)
    }
    /// Takes a secret that an operator chose: 32 to 256 printable characters without blanks, which get lost on the way
    /// (RFC 6749 A.2). A shorter one could be found by its hash.
    #[must_use]
    pub fn chosen(text: &str) -> Option<Self> {
        let is_good = (32..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        is_good.then(|| Self(text.to_owned()))
    }
    /// Returns the hash that it is stored by.
    #[must_use]
    pub fn hash(&self) -> Digest<ClientSecretHash> {
        Digest::of(self.0.as_bytes())
    }
    /// Returns the secret's text, to be sent to its owner once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

guarded!(ClientSecret);

/// A refresh token: `mcp_refresh_…`, derived from its family and generation, so that the same inputs give the same
/// token.
pub struct RefreshToken(String);

/// The content of a genuine refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshClaims {
    /// The grant, which is the token's family.
    pub grant: GrantId,
    /// The token's generation in the family.
    pub generation: u32,
}

impl RefreshToken {
    /// Derives the refresh token of a generation.
    #[must_use]
    pub fn derive(claims: RefreshClaims, keys: &TokenKeys) -> Self {
        let (number, key) = &keys.making;
        let mut block = [0; REFRESH_BYTES];
        let parts = claims.grant.0.into_iter().chain(claims.generation.to_be_bytes()).chain([*number]);
        block.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        let (said, mac) = block.split_at_mut(CLAIMS_BYTES);
        let tag = keys.sign_claims(key, said);
        mac.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        let mut text = keys.begin(REFRESH, REFRESH_DIGITS + CRC_DIGITS);
        text.extend(base62::encode::<REFRESH_BYTES, REFRESH_DIGITS>(block).map(char::from));
        text.extend(crc(text.as_bytes()).map(char::from));
        Self(text)
    }
    /// Checks prefix, CRC and HMAC of a presented refresh token; returns its claims if all are right.
    #[must_use]
    pub fn recognise(presented: &str, keys: &TokenKeys) -> Option<RefreshClaims> {
        let text = keys.checked(REFRESH, presented.as_bytes(), REFRESH_DIGITS)?;
        let (_, digits) = text.split_last_chunk::<REFRESH_DIGITS>()?;
        let block: [u8; REFRESH_BYTES] = base62::decode(digits)?;
        let (said, mac) = block.split_first_chunk::<CLAIMS_BYTES>()?;
        let (grant, rest) = said.split_first_chunk::<16>()?;
        let (generation, number) = rest.split_first_chunk::<4>()?;
        let (_, key) = keys.accepted.iter().find(|(known, _)| [*known] == number)?;
        let tag = keys.sign_claims(key, said);
        let genuine = tag.as_ref().get(..mac.len())?.ct_eq(mac);
        bool::from(genuine)
            .then_some(RefreshClaims { grant: GrantId(*grant), generation: u32::from_be_bytes(*generation) })
    }
    /// Returns the secret's text, to be sent to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

guarded!(RefreshToken);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::ApiKey;

    fn keys(numbers: &[u8]) -> TokenKeys {
        let keys = numbers.iter().map(|n| (*n, [*n; 32])).collect();
        TokenKeys::new(keys, Brand::parse("mcp").unwrap()).unwrap()
    }

    const CLAIMS: RefreshClaims = RefreshClaims { grant: GrantId([7; 16]), generation: 3 };

    #[test]
    fn a_minted_token_is_recognised_and_has_its_shape() {
        let keys = keys(&[1]);
        let token = AccessToken::mint([9; 32], &keys);
        assert_eq!(token.reveal().len(), "mcp_access_".len() + 60);
        assert_eq!(AccessToken::recognise(token.reveal().as_bytes(), &keys), Some(token.hash()));
        assert_eq!(AccessToken::recognise(b"", &keys), None);
        assert_eq!(AccessToken::recognise(&token.reveal().as_bytes()[..70], &keys), None);
    }

    #[test]
    fn rt_18_no_kind_passes_for_another() {
        let keys = keys(&[1]);
        let access = AccessToken::mint([9; 32], &keys);
        assert_eq!(AccessToken::recognise(ApiKey::mint([9; 32], &keys).reveal().as_bytes(), &keys), None);
        assert_eq!(AuthorizationCode::recognise(access.reveal().as_bytes(), &keys), None);
        assert_eq!(RefreshToken::recognise(access.reveal(), &keys), None);
        // The same digits under another kind, with a matching CRC.
        let digits = access.reveal().strip_prefix("mcp_access_").unwrap();
        let mut forged = format!("mcp_session_{}", &digits[..54]);
        forged.extend(crc(forged.as_bytes()).map(char::from));
        assert_eq!(BrowserSecret::<()>::recognise(forged.as_bytes(), &keys), None);
        let refresh = RefreshToken::derive(CLAIMS, &keys);
        assert_eq!(AccessToken::recognise(refresh.reveal().as_bytes(), &keys), None);
    }

    #[test]
    fn keys_are_rotated_by_number() {
        let (old, both, new) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
        let access = AccessToken::mint([9; 32], &old);
        let refresh = RefreshToken::derive(CLAIMS, &old);
        assert!(AccessToken::recognise(access.reveal().as_bytes(), &both).is_some());
        assert!(AccessToken::recognise(access.reveal().as_bytes(), &new).is_none());
        assert_eq!(RefreshToken::recognise(refresh.reveal(), &both), Some(CLAIMS));
        assert_eq!(RefreshToken::recognise(refresh.reveal(), &new), None);
        let successor = RefreshToken::derive(CLAIMS, &both);
        assert_eq!(RefreshToken::recognise(successor.reveal(), &new), Some(CLAIMS));
    }

    #[test]
    fn a_refresh_token_is_the_same_each_time_it_is_derived() {
        let keys = keys(&[1]);
        let token = RefreshToken::derive(CLAIMS, &keys);
        assert_eq!(token.reveal(), RefreshToken::derive(CLAIMS, &keys).reveal());
        assert_eq!(RefreshToken::recognise(token.reveal(), &keys), Some(CLAIMS));
        let next = RefreshClaims { generation: 4, ..CLAIMS };
        assert_ne!(token.reveal(), RefreshToken::derive(next, &keys).reveal());
    }

    #[test]
    fn client_secrets_and_ids_have_their_shape() {
        let brand = Brand::parse("mcp").unwrap();
        let secret = ClientSecret::mint([0xa5; 32], &brand);
        assert_eq!(secret.reveal(), format!("mcp_secret_{}", "a5".repeat(32)));
        let id = crate::oauth::ClientId::mint([0xa5; 32], &brand);
        assert_eq!(id.as_str().len(), "mcp_client_".len() + 29);
    }

    #[test]
    fn lk_05_nothing_secret_is_printed() {
        let keys = keys(&[1]);
        let printed = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {keys:?}",
            AccessToken::mint([9; 32], &keys),
            ApiKey::mint([9; 32], &keys),
            AuthorizationCode::mint([9; 32], &keys),
            BrowserSecret::<()>::mint([9; 32], &keys),
            RefreshToken::derive(CLAIMS, &keys),
            ClientSecret::mint([9; 32], keys.brand()),
        );
        let expected = "AccessToken(..) ApiKey(..) AuthorizationCode(..) BrowserSecret(..) RefreshToken(..) ClientSecret(..) TokenKeys(1 keys)";
        assert_eq!(printed, expected);
    }

    /// For a type that implements one of the writing traits, `holds` is ambiguous and this does not compile.
    trait Unwritable<Which> {
        fn holds() {}
    }
    impl<T> Unwritable<()> for T {}
    impl<T: std::fmt::Display> Unwritable<[(); 1]> for T {}
    impl<T: serde::Serialize> Unwritable<[(); 2]> for T {}

    #[test]
    fn lk_05_no_secret_can_be_displayed_or_serialized() {
        macro_rules! unwritable { ($($secret:ty)*) => { $(<$secret as Unwritable<_>>::holds();)* } }
        unwritable!(AccessToken ApiKey AuthorizationCode BrowserSecret<()> RefreshToken ClientSecret TokenKeys);
    }
}
