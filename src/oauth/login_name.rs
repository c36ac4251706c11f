//! The form in which a login name that somebody typed is counted and stored.

use super::{TenantId, TokenKeys};

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
    /// Hashes a login name in lower case, whether an account has it or not.
    #[must_use]
    pub fn of(tenant: &TenantId, name: &str, keys: &TokenKeys) -> Self {
        // A tenant has no space, so no two pairs give one text.
        Self(keys.keyed_hash("login_name", format!("{} {name}", tenant.as_str()).as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Brand;

    #[test]
    fn a_name_is_hashed_for_its_tenant_under_the_key() {
        let keys = |n| TokenKeys::new(vec![(1, [n; 32])], Brand::parse("mcp").unwrap()).unwrap();
        let (tenant, other) = (TenantId::default(), TenantId::parse("other").unwrap());
        let ada = LoginNameHash::of(&tenant, "ada", &keys(1));
        assert_eq!(ada, LoginNameHash::of(&tenant, "ada", &keys(1)));
        assert_ne!(ada, LoginNameHash::of(&tenant, "bob", &keys(1)));
        assert_ne!(ada, LoginNameHash::of(&other, "ada", &keys(1)));
        assert_ne!(ada, LoginNameHash::of(&tenant, "ada", &keys(2)));
    }
}
