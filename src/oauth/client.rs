//! `Client`: a registered application (RFC 6749 2), whichever way it came.

use std::sync::Arc;

use super::{ClientMetadata, Digest, ResourceIndicator, TenantId, Timestamp, base62};

/// A client identifier: one we made (`mcp_client_…`), or the https URL of a metadata document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Reads a client id: 1 to 2048 printable ASCII characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic()))
            .then(|| Self(text.into()))
    }
    /// Makes an id from 32 random bytes: brand, `_client_`, 29 base62 characters (about 172 bits).
    #[must_use]
    pub fn mint(random: [u8; 32], brand: &super::Brand) -> Self {
        let digits: [u8; 29] = base62::encode(random);
        let digits = digits.map(char::from).into_iter();
        Self(format!("{}_client_{}", brand.as_str(), digits.collect::<String>()).into())
    }
    /// Returns the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Returns whether it has the shape of a metadata document's URL (begins with `https://`).
    #[must_use]
    pub fn is_url(&self) -> bool {
        self.0.starts_with("https://")
    }
}

/// How the client came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientOrigin {
    /// An operator added it by hand.
    Manual,
    /// RFC 7591 registration.
    Registered,
    /// A Client ID Metadata Document.
    MetadataDocument,
}

/// The hash of a client secret, and how long it is honoured (`None`: until replaced).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSecretHash {
    /// SHA-256 of the secret, which has 256 random bits.
    pub hash: Digest<Self>,
    /// The end of the overlap after a rotation.
    pub until: Option<Timestamp>,
}

impl ClientSecretHash {
    /// Lets it end at `latest` if it would end later than `bound`.
    pub fn shorten(&mut self, bound: Timestamp, latest: Timestamp) {
        if self.until.is_some_and(|until| until > bound) {
            self.until = Some(latest);
        }
    }
}

/// How old what is known of a metadata document is, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentAge {
    /// When it was last fetched; of a copy, when that was made.
    pub fetched_at: Timestamp,
    /// Until when it is believed without another look.
    pub fresh_until: Timestamp,
    /// Where it comes from.
    pub source: DocumentSource,
}

/// Where what is known of a metadata document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentSource {
    /// Its own URL.
    Fetched,
    /// A copy that came with this program.
    Shipped,
    /// A copy that an operator imported.
    Imported,
}

/// A registered application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Whose.
    pub tenant: TenantId,
    /// Its identifier.
    pub id: ClientId,
    /// How it came.
    pub origin: ClientOrigin,
    /// What it says of itself.
    pub metadata: ClientMetadata,
    /// Its secrets; empty for a public client.
    pub secrets: Vec<ClientSecretHash>,
    /// The one resource it is bound to, if an operator bound it.
    pub resource: Option<ResourceIndicator>,
    /// Whether an operator switched it off.
    pub disabled: bool,
    /// When it was made known.
    pub created_at: Timestamp,
    /// When a token was last issued to it.
    pub last_used_at: Option<Timestamp>,
    /// The age of the document that describes it, if one does.
    pub document: Option<DocumentAge>,
}
