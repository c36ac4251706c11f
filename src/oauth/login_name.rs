//! `LoginName`, and the hash by which failed logins for a typed name are counted.

use super::{TenantId, TokenKeys};

/// The name by which an account signs in: lower case, 1 to 128 characters from a narrow alphabet, so that no two names
/// look alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginName(String);

impl LoginName {
    /// Parses a name in any case; `None` for what cannot be an account's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_@+".contains(&b);
        let name = text.to_ascii_lowercase();
        ((1..=128).contains(&name.len()) && name.bytes().all(allowed)).then_some(Self(name))
    }

    /// Returns the name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Compares and hashes as the text does, so that a set can be asked for a text.
impl std::borrow::Borrow<str> for LoginName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for LoginName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// HMAC-SHA-256 of a typed login name under the server's token key, for one tenant. People sometimes type their
/// password into the name field, so neither the text nor a hash that can be computed without the key may be stored.
/// After a rotation of the keys the same name has another hash. Made only by [`LoginNameHash::of`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoginNameHash([u8; 32]);

impl std::fmt::Debug for LoginNameHash {
    /// Prints the first four bytes: enough to tell two apart.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "LoginNameHash({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

impl LoginNameHash {
    /// Hashes what was typed as a login name, ignoring case, whether or not an account has that name.
    #[must_use]
    pub fn of(tenant: &TenantId, typed: &str, keys: &TokenKeys) -> Self {
        let name = typed.to_lowercase();
        // A tenant's id contains no space, so no two pairs give the same text.
        Self(keys.keyed_hash("login_name", format!("{} {name}", tenant.as_str()).as_bytes()))
    }

    /// Returns the bytes, for storing them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Brand;

    #[test]
    fn a_login_name_has_one_spelling_of_a_narrow_alphabet() {
        let longest = "a".repeat(128);
        for (text, name) in [("Ada", "ada"), ("a.d-a_@+1", "a.d-a_@+1"), (&longest, &longest)] {
            assert_eq!(LoginName::parse(text).unwrap().as_str(), name);
        }
        // The Kelvin sign is a k in lower case.
        for text in ["", " ada", "ada ", "a b", "zoë", "\u{212a}ai", "o'brien", "a\0", &format!("{longest}a")] {
            assert_eq!(LoginName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_hashed_for_its_tenant_under_the_key() {
        let keys = |n| TokenKeys::new(vec![(1, [n; 32])], Brand::parse("mcp").unwrap()).unwrap();
        let (tenant, other) = (TenantId::default(), TenantId::parse("other").unwrap());
        let ada = LoginNameHash::of(&tenant, "ada", &keys(1));
        assert_eq!(ada, LoginNameHash::of(&tenant, "Ada", &keys(1)));
        assert_ne!(ada, LoginNameHash::of(&tenant, "bob", &keys(1)));
        assert_ne!(ada, LoginNameHash::of(&other, "ada", &keys(1)));
        assert_ne!(ada, LoginNameHash::of(&tenant, "ada", &keys(2)));
    }
}
