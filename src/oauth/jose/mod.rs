//! JSON Web Signatures: keys, compact signatures and claims as the gateway accepts them from others (RFC 7515, 7517,
//! 7519). Pure: where keys come from, and whether an id was seen before, is up to others.
//!
//! Of what these RFCs allow, as little as clients need: four algorithms, each with keys of its own type, so that no
//! header can choose how a key is used; the compact form; no key and no URL from a header. Start with [`Jws`].

mod algorithm;
mod claims;
mod jwk;
mod jws;

pub use algorithm::SignatureAlgorithm;
pub use claims::{Claims, TimeBounds};
pub use jwk::JwkSet;
pub use jws::Jws;

use serde_json::{Map, Value};

/// Which rule a key set or a signed text breaks, in words for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoseFault(&'static str);

impl JoseFault {
    /// Makes a fault that its user finds in a token, in words for an error description.
    #[must_use]
    pub const fn new(words: &'static str) -> Self {
        Self(words)
    }

    /// Returns what is wrong.
    #[must_use]
    pub const fn words(self) -> &'static str {
        self.0
    }
}

/// Returns a member that is a string, if there is one; `Err` for another type.
fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ()> {
    members.get(name).map(|value| value.as_str().ok_or(())).transpose()
}
