//! `TokenHash`: the form in which secrets are stored and looked up.

use sha2::{Digest as _, Sha256};

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
    pub fn of(presented: &[u8]) -> Self {
        Self(Sha256::digest(presented).into())
    }
}
