//! `ClientKeys`: the keys with which a client signs its assertions (RFC 7591 2).

use serde_json::{Map, Value};
use url::Url;

use super::jose::{JoseFault, JwkSet};
use super::metadata_document::is_public_name;

/// The keys of a client that authenticates with `private_key_jwt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKeys {
    /// The keys themselves (`jwks`).
    Set(JwkSet),
    /// Where they are published (`jwks_uri`).
    At(Url),
}

/// The longest URL of a key set in bytes.
const MAX_URL: usize = 2048;

impl ClientKeys {
    /// Returns the member of the metadata: its name and value.
    #[must_use]
    pub fn to_member(&self) -> (&'static str, Value) {
        match self {
            Self::Set(keys) => ("jwks", keys.to_json()),
            Self::At(url) => ("jwks_uri", url.as_str().into()),
        }
    }

    /// Returns whether both are sets without a key in common.
    #[must_use]
    pub fn are_replaced_by(&self, newer: &Self) -> bool {
        matches!((self, newer), (Self::Set(old), Self::Set(new)) if !old.overlaps(new))
    }

    /// Reads the URL of a set: https, as a URL parser writes it, without user name and fragment, and with a host in the
    /// public DNS unless the operator's own network is allowed.
    ///
    /// # Errors
    /// It is none of these.
    pub(super) fn of_url(value: &Value, allow_internal_hosts: bool) -> Result<Self, JoseFault> {
        let text = value.as_str().filter(|text| text.len() <= MAX_URL && !text.contains(['@', '#', '\\']));
        let url = text.and_then(|text| Url::parse(text).ok().filter(|url| url.as_str() == text));
        let is_public = |url: &Url| allow_internal_hosts || url.domain().is_some_and(is_public_name);
        url.filter(|url| url.scheme() == "https" && is_public(url))
            .map(Self::At)
            .ok_or(JoseFault::new("jwks_uri is not an https URL of a public host"))
    }

    /// Reads what the store has, which was checked.
    pub(super) fn of_stored(members: &Map<String, Value>) -> Result<Option<Self>, JoseFault> {
        match (members.get("jwks"), members.get("jwks_uri")) {
            (Some(keys), _) => Self::of_set(keys).map(Some),
            (None, Some(url)) => Self::of_url(url, true).map(Some),
            (None, None) => Ok(None),
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
