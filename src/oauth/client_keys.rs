//! `ClientKeys`: the keys with which a client signs its assertions (RFC 7591 2).

use serde_json::Value;

use super::jose::{JoseFault, JwkSet};

/// The keys of a client that authenticates with `private_key_jwt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKeys {
    /// The keys themselves (`jwks`).
    Set(JwkSet),
}

impl ClientKeys {
    /// Returns the member of the metadata: its name and value.
    #[must_use]
    pub fn to_member(&self) -> (&'static str, Value) {
        match self {
            Self::Set(keys) => ("jwks", keys.to_json()),
        }
    }

    /// Reads a set that is a member of client metadata.
    ///
    /// # Errors
    /// As `JwkSet::parse`.
    pub(super) fn of_set(value: &Value) -> Result<Self, JoseFault> {
        value.as_object().ok_or(JoseFault::new("jwks is not a JSON object")).and_then(JwkSet::of_members).map(Self::Set)
    }
}
