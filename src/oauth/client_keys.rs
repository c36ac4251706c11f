//! `ClientKeys`: the keys with which a client signs its assertions (RFC 7591 2).

use serde_json::{Map, Value};
use url::Url;

use super::MetadataDocumentUrl;
use super::jose::{JoseFault, JwkSet};

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

/// Where a key set may be published.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeySetPlace<'a> {
    /// At a host in the public DNS and without a query, as the metadata documents of strangers.
    Public,
    /// There, or at host and port of this document, from which the gateway fetches anyway.
    Beside(&'a MetadataDocumentUrl),
    /// At any host.
    Anywhere,
}

impl KeySetPlace<'_> {
    fn admits(self, url: &str) -> bool {
        let is_public = || MetadataDocumentUrl::parse(url, false).is_some();
        let at = || MetadataDocumentUrl::parse(url, true);
        match self {
            Self::Public => is_public(),
            Self::Beside(document) => is_public() || at().is_some_and(|at| at.authority() == document.authority()),
            Self::Anywhere => true,
        }
    }
}

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

    /// Reads the URL of a set: https, as a URL parser writes it, without user name and fragment, and at a place where
    /// it may be.
    ///
    /// # Errors
    /// It is none of these.
    pub(super) fn of_url(value: &Value, place: KeySetPlace<'_>) -> Result<Self, JoseFault> {
        let text = value.as_str().filter(|text| text.len() <= MAX_URL && !text.contains(['@', '#', '\\']));
        let url = text.and_then(|text| Url::parse(text).ok().filter(|url| url.as_str() == text));
        url.filter(|url| url.scheme() == "https" && place.admits(url.as_str()))
            .map(Self::At)
            .ok_or(JoseFault::new("jwks_uri is not an https URL of a public host without a query"))
    }

    /// Reads what the store has, which was checked.
    pub(super) fn of_stored(members: &Map<String, Value>) -> Result<Option<Self>, JoseFault> {
        match (members.get("jwks"), members.get("jwks_uri")) {
            (Some(keys), _) => Self::of_set(keys).map(Some),
            (None, Some(url)) => Self::of_url(url, KeySetPlace::Anywhere).map(Some),
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
