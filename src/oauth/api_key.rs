//! API keys: `<brand>_key_` and the rest like an access token, which they are in all but the prefix.

use super::secret::guarded;
use super::{AccessToken, Digest, TokenHash, TokenKeys};

/// The kind in the prefix of API keys.
const KEY: &str = "key";

/// An API key: `mcp_key_…`. It is presented, stored and found like an access token.
pub struct ApiKey(String);

impl ApiKey {
    /// How many characters at its end are kept, for people to recognise it by.
    const HINT: usize = 4;

    /// Makes a key from 256 random bits.
    #[must_use]
    pub fn mint(random: [u8; 32], keys: &TokenKeys) -> Self {
        Self(keys.mint(KEY, random))
    }
    /// Returns the hash that it is stored by.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        Digest::of(self.0.as_bytes())
    }
    /// Returns its last characters. They are part of a checksum, so nobody can guess the rest by them.
    #[must_use]
    pub fn hint(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(Self::HINT)..).unwrap_or_default()
    }
    /// Returns the secret's text, to be sent to its owner once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

guarded!(ApiKey);

/// Checks prefix, length, CRC and MAC of a presented bearer token without the store: of an access token, or of an API
/// key. Returns its hash if all are right.
#[must_use]
pub fn recognise_bearer(presented: &[u8], keys: &TokenKeys) -> Option<TokenHash> {
    AccessToken::recognise(presented, keys).or_else(|| keys.recognise(KEY, presented))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{AuthorizationCode, Brand};

    #[test]
    fn a_bearer_is_an_access_token_or_an_api_key() {
        let keys = TokenKeys::new(vec![(1, [1; 32])], Brand::parse("mcp").unwrap()).unwrap();
        let (token, key) = (AccessToken::mint([9; 32], &keys), ApiKey::mint([9; 32], &keys));
        assert_eq!(key.reveal().len(), "mcp_key_".len() + 60);
        assert!(key.reveal().ends_with(key.hint()) && key.hint().len() == 4);
        assert_eq!(recognise_bearer(token.reveal().as_bytes(), &keys), Some(token.hash()));
        assert_eq!(recognise_bearer(key.reveal().as_bytes(), &keys), Some(key.hash()));
        let code = AuthorizationCode::mint([9; 32], &keys);
        assert_eq!(recognise_bearer(code.reveal().as_bytes(), &keys), None);
    }
}
