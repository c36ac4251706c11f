//! The keys that secrets are made and recognised with, and what all secrets share: prefix, MAC, CRC.

use ring::hmac;
use subtle::{Choice, ConstantTimeEq as _};

use super::{Brand, Digest, base62};

/// Numbers of base62 digits: for 256 random bits, a 64-bit MAC, and a CRC-32.
const RANDOM_DIGITS: usize = 43;
const MAC_DIGITS: usize = 11;
pub(super) const CRC_DIGITS: usize = 6;

/// The kind in the prefix of refresh tokens.
pub(super) const REFRESH: &str = "refresh";

/// The server's token keys, each with a number and 256 bits. New tokens are made with the first; all are accepted.
#[derive(Clone)]
pub struct TokenKeys {
    pub(super) making: (u8, hmac::Key),
    pub(super) accepted: Vec<(u8, hmac::Key)>,
    brand: Brand,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKeys({} keys)", self.accepted.len())
    }
}

impl TokenKeys {
    /// Takes the keys, first the one that makes new tokens; `None` if the list is empty.
    #[must_use]
    pub fn new(keys: Vec<(u8, [u8; 32])>, brand: Brand) -> Option<Self> {
        let accepted: Vec<_> =
            keys.into_iter().map(|(number, key)| (number, hmac::Key::new(hmac::HMAC_SHA256, &key))).collect();
        Some(Self { making: accepted.first()?.clone(), accepted, brand })
    }
    /// Returns the brand in the prefix.
    #[must_use]
    pub fn brand(&self) -> &Brand {
        &self.brand
    }

    /// Returns whether these keys make and accept the same tokens as `other`.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.brand == other.brand && self.marks().eq(other.marks())
    }
    /// Returns whether every key of `other` is among these, with its number.
    #[must_use]
    pub fn has_all_of(&self, other: &Self) -> bool {
        self.brand == other.brand && other.marks().all(|mark| self.marks().any(|own| own == mark))
    }

    /// Returns the number and a fingerprint of each key; equal fingerprints mean equal keys.
    fn marks(&self) -> impl Iterator<Item = (u8, [u8; MAC_DIGITS])> {
        self.accepted.iter().map(|(number, key)| (*number, mac(key, b"mark")))
    }

    /// Makes a secret of the given kind.
    pub(super) fn mint(&self, kind: &str, random: [u8; 32]) -> String {
        let mut text = self.begin(kind, RANDOM_DIGITS + MAC_DIGITS + CRC_DIGITS);
        text.extend(base62::encode::<32, RANDOM_DIGITS>(random).map(char::from));
        text.extend(mac(&self.making.1, text.as_bytes()).map(char::from));
        text.extend(crc(text.as_bytes()).map(char::from));
        text
    }

    /// Checks a presented secret. Allocates nothing and makes the cheap checks first, because invented tokens may
    /// arrive by the million (TV-07).
    pub(super) fn recognise<Of: ?Sized>(&self, kind: &str, presented: &[u8]) -> Option<Digest<Of>> {
        let text = self.checked(kind, presented, RANDOM_DIGITS + MAC_DIGITS)?;
        let (signed, sent) = text.split_last_chunk::<MAC_DIGITS>()?;
        // The text has no key number. All keys are tried even after one matched, so that the time reveals nothing about
        // them.
        let genuine =
            self.accepted.iter().fold(Choice::from(0), |any, (_, key)| any | mac(key, signed).as_slice().ct_eq(sent));
        bool::from(genuine).then(|| Digest::of(presented))
    }

    /// Starts a secret with brand and kind. The MAC covers both, so that no kind passes for another.
    pub(super) fn begin(&self, kind: &str, digits: usize) -> String {
        let mut text = String::with_capacity(self.brand.as_str().len() + kind.len() + 2 + digits);
        for part in [self.brand.as_str(), "_", kind, "_"] {
            text.push_str(part);
        }
        text
    }

    /// Checks prefix, length and CRC; returns the text without its CRC.
    pub(super) fn checked<'a>(&self, kind: &str, presented: &'a [u8], digits: usize) -> Option<&'a [u8]> {
        let rest = presented.strip_prefix(self.brand.as_str().as_bytes())?.strip_prefix(b"_")?;
        let body = rest.strip_prefix(kind.as_bytes())?.strip_prefix(b"_")?;
        let (text, sent) = presented.split_last_chunk::<CRC_DIGITS>()?;
        (body.len() == digits + CRC_DIGITS && crc(text) == *sent).then_some(text)
    }

    /// Hashes a text with the key that makes tokens; `kind` separates the uses and must not be a kind of secret.
    pub(super) fn keyed_hash(&self, kind: &str, text: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.making.1);
        for part in [self.brand.as_str().as_bytes(), b"_", kind.as_bytes(), b"_", text] {
            context.update(part);
        }
        let mut hash = [0; 32];
        hash.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        hash
    }

    /// Signs the claims of a refresh token.
    pub(super) fn sign_claims(&self, key: &hmac::Key, claims: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(key);
        for part in [self.brand.as_str().as_bytes(), b"_", REFRESH.as_bytes(), b"_", claims] {
            context.update(part);
        }
        context.sign()
    }
}

fn mac(key: &hmac::Key, text: &[u8]) -> [u8; MAC_DIGITS] {
    let mut cut = [0; 8];
    cut.iter_mut().zip(hmac::sign(key, text).as_ref()).for_each(|(to, from)| *to = *from);
    base62::encode(cut)
}

/// Returns the check digits of a text, which distinguish a truncated secret from an invented one.
pub(super) fn crc(text: &[u8]) -> [u8; CRC_DIGITS] {
    base62::encode(crc32fast::hash(text).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(numbers: &[u8]) -> TokenKeys {
        let keys = numbers.iter().map(|n| (*n, [*n; 32])).collect();
        TokenKeys::new(keys, Brand::parse("mcp").unwrap()).unwrap()
    }

    #[test]
    fn keys_are_compared_by_number_and_content_and_the_first_makes() {
        assert!(keys(&[2, 1]).is_same(&keys(&[2, 1])) && !keys(&[2, 1]).is_same(&keys(&[1, 2])));
        assert!(keys(&[2, 1]).has_all_of(&keys(&[1])) && keys(&[2, 1]).has_all_of(&keys(&[1, 2])));
        assert!(!keys(&[2]).has_all_of(&keys(&[2, 1])));
        let other = TokenKeys::new(vec![(1, [9; 32])], Brand::parse("mcp").unwrap()).unwrap();
        assert!(!other.has_all_of(&keys(&[1])) && !other.is_same(&keys(&[1])));
    }
}
