//! `LoginName`, and the form in which a name that somebody typed is counted.

use super::{TenantId, TokenKeys};

/// The name by which an account signs in: lower case, 1 to 128 characters of a narrow alphabet, for two names that look alike
/// would be two people.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginName(String);

impl LoginName {
    /// Reads a name in whatever case; `None` for what no account can be called.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_@+".contains(&b);
        let name = text.to_ascii_lowercase();
        ((1..=128).contains(&name.len()) && name.bytes().all(allowed)).then_some(Self(name))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for LoginName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// HMAC-SHA-256 of a typed login name under the server's token key, for one tenant. People type passwords into the field
/// of the name, so neither the text nor a hash that can be computed without the key may be kept. After a rotation of the
/// keys the same name has another hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoginNameHash(pub [u8; 32]);

impl std::fmt::Debug for LoginNameHash {
    /// Prints the first four bytes: enough to tell two apart.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "LoginNameHash({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

impl LoginNameHash {
    /// Hashes what was typed as a login name, in whatever case, whether an account has it or not.
    #[must_use]
    pub fn of(tenant: &TenantId, typed: &str, keys: &TokenKeys) -> Self {
        let name = typed.to_lowercase();
        // A tenant has no space, so no two pairs give one text.
        Self(keys.keyed_hash("login_name", format!("{} {name}", tenant.as_str()).as_bytes()))
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
