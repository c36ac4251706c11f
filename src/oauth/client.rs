//! `Client`: a registered application (RFC 6749 2), however it was registered.

use std::sync::Arc;

use super::{
    AccountId, ClientDecision, ClientLifetimes, ClientMetadata, ClientStanding, Digest, Lifetime, LoginName,
    RedirectPolicy, RedirectUri, ResourceIndicator, ScopeSet, SeenClient, Subject, TenantId, Timestamp, base62,
};

/// A client identifier: one that we issued (`mcp_client_…`), or the https URL of a metadata document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Parses a client id: 1 to 2048 printable ASCII characters.
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
    /// Returns the id of a client that belongs to the program: brand, `_client_`, name.
    #[must_use]
    pub fn built_in(name: &'static str, brand: &super::Brand) -> Self {
        Self(format!("{}_client_{name}", brand.as_str()).into())
    }
    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Returns whether the id looks like the URL of a metadata document (begins with `https://`).
    #[must_use]
    pub fn is_url(&self) -> bool {
        self.0.starts_with("https://")
    }
}

/// How the client became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientOrigin {
    /// An operator added it.
    Manual,
    /// It registered itself (RFC 7591).
    Registered,
    /// A Client ID Metadata Document describes it.
    MetadataDocument,
}

impl ClientOrigin {
    /// Returns the word for it, as in `client_kinds` of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Registered => "registered",
            Self::MetadataDocument => "metadata_document",
        }
    }
}

/// The hash of a client secret, and from when until when the secret is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSecretHash {
    /// SHA-256 of the secret, which has 256 random bits.
    pub hash: Digest<Self>,
    /// When the secret was made.
    pub created_at: Timestamp,
    /// The end of the overlap after a rotation; `None` for the current secret.
    pub until: Option<Timestamp>,
}

impl ClientSecretHash {
    /// Makes the record of a secret that is valid from `now` on, without an end.
    #[must_use]
    pub fn of(hash: Digest<Self>, now: Timestamp) -> Self {
        Self { hash, created_at: now, until: None }
    }

    /// Returns whether the secret is older than `limit`; a limit of zero is none.
    #[must_use]
    pub fn is_older_than(&self, limit: Lifetime, now: Timestamp) -> bool {
        limit > Lifetime::from_millis(0) && now.since(self.created_at) > limit
    }

    /// Moves the end to `latest` if it is later than `bound`.
    pub fn shorten(&mut self, bound: Timestamp, latest: Timestamp) {
        if self.until.is_some_and(|until| until > bound) {
            self.until = Some(latest);
        }
    }
}

/// When a metadata document was fetched, how long it is fresh, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentAge {
    /// When it was last fetched; for a copy, when the copy was made.
    pub fetched_at: Timestamp,
    /// Until when it is used without being fetched again.
    pub fresh_until: Timestamp,
    /// Where the content comes from.
    pub source: DocumentSource,
}

/// Where the content of a metadata document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentSource {
    /// Fetched from its own URL.
    Fetched,
    /// A copy that came with this program.
    Shipped,
    /// A copy that an operator imported.
    Imported,
}

/// A registered application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The tenant that the client belongs to.
    pub tenant: TenantId,
    /// The client's identifier.
    pub id: ClientId,
    /// How the client became known.
    pub origin: ClientOrigin,
    /// The client's metadata.
    pub metadata: ClientMetadata,
    /// The hashes of its secrets, two during a rotation; empty for a public client.
    pub secrets: Vec<ClientSecretHash>,
    /// The only resource that it may use, if an operator set one.
    pub resource: Option<ResourceIndicator>,
    /// How long its tokens live, where an operator gave it other lifetimes than all have.
    pub lifetimes: ClientLifetimes,
    /// Whether an operator has disabled it.
    pub disabled: bool,
    /// When the client was added.
    pub created_at: Timestamp,
    /// When a token was last issued to it, to the minute.
    pub last_token_at: Option<Timestamp>,
    /// When a request with one of its tokens was last permitted, to the minute, if that is known. No decision depends
    /// on it.
    pub last_used_at: Option<Timestamp>,
    /// The age and source of the document that describes it, if one does.
    pub document: Option<DocumentAge>,
    /// What an operator decided about it, if one did. Boxed, because few clients have one, and many steps hold a
    /// client.
    pub decision: Option<Box<ClientDecision>>,
}

impl Client {
    /// Returns the scopes that an operator allowed it; `None` if it may ask for any. The scopes in a client's own
    /// registration are no limit.
    #[must_use]
    pub fn scope_limit(&self) -> Option<&ScopeSet> {
        self.metadata.scope.as_ref().filter(|_| self.origin == ClientOrigin::Manual)
    }

    /// Returns whether the operator lets it redirect there: all redirects of a client that the operator added, and
    /// those of others that lead to what `registration.hosts` lists.
    #[must_use]
    pub fn may_redirect(&self, uri: &RedirectUri, policy: &RedirectPolicy) -> bool {
        self.origin == ClientOrigin::Manual || policy.admits(uri)
    }

    /// Returns whether an operator lets the client be used where they decide about each.
    #[must_use]
    pub fn standing(&self) -> ClientStanding {
        match &self.decision {
            _ if self.origin == ClientOrigin::Manual => ClientStanding::Approved,
            Some(decision) => decision.standing(&self.metadata),
            None => ClientStanding::Undecided,
        }
    }

    /// Returns whether a decision can be about the client: an operator did not add it, and it is what they saw.
    #[must_use]
    pub fn is_decided_by(&self, decision: &ClientDecision) -> bool {
        self.origin != ClientOrigin::Manual && decision.seen == SeenClient::of(&self.metadata)
    }

    /// Returns the resource whose server the client is, which asks about tokens for it (RFC 7662): an operator added it
    /// for that alone, bound to the resource and without a grant type.
    #[must_use]
    pub fn resource_server(&self) -> Option<&ResourceIndicator> {
        let is_one = self.origin == ClientOrigin::Manual && self.metadata.grant_types.is_empty();
        self.resource.as_ref().filter(|_| is_one && !self.secrets.is_empty())
    }

    /// Returns the secret that no rotation has replaced.
    #[must_use]
    pub fn current_secret(&self) -> Option<&ClientSecretHash> {
        self.secrets.iter().find(|secret| secret.until.is_none())
    }

    /// Returns id and name of the account as which the client acts for itself: both are the client's id, which no
    /// person can have (RFC 9068 2.2: then the subject identifies the client). `None` for an id that no account can
    /// have: the URL of a metadata document.
    #[must_use]
    pub fn service_account(&self) -> Option<(Subject, LoginName)> {
        let (id, name) = (AccountId::parse(self.id.as_str())?, LoginName::parse(self.id.as_str())?);
        Some((Subject::Service(id), name))
    }
}
