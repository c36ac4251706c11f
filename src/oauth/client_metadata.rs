//! What a client says of itself, and the rules for it: RFC 7591 registration and Client ID Metadata Documents.

use super::{AuthMethod, GrantType, OAuthError, RegisteredRedirects, ScopeSet};

/// Effective client metadata (RFC 7591 2): what was accepted, not what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMetadata {
    /// Self-asserted display name: NFC, no controls, no bidirectional marks, at most 100 characters.
    pub client_name: Option<String>,
    /// Where codes may be sent.
    pub redirect_uris: RegisteredRedirects,
    /// What it may present at `/token`; always contains `authorization_code`.
    pub grant_types: Vec<GrantType>,
    /// How it authenticates.
    pub token_endpoint_auth_method: AuthMethod,
    /// The scopes it asked to be limited to, if any.
    pub scope: Option<ScopeSet>,
    /// `native` or `web`, stored and echoed, never judged (OpenID Connect Registration 2).
    pub application_type: Option<String>,
    /// Home page; https.
    pub client_uri: Option<String>,
    /// Logo; https; never fetched.
    pub logo_uri: Option<String>,
    /// Terms of service; https.
    pub tos_uri: Option<String>,
    /// Privacy policy; https.
    pub policy_uri: Option<String>,
    /// RFC 7591 `software_id`.
    pub software_id: Option<String>,
    /// RFC 7591 `software_version`.
    pub software_version: Option<String>,
}

/// What the operator allows at registration.
#[derive(Debug, Clone, Default)]
pub struct RegistrationPolicy {
    /// Exact private-use redirect URIs that are allowed although their scheme has no dot.
    pub extra_redirect_uris: Vec<String>,
    /// Scopes a self-registered client may ever hold; others are trimmed.
    pub scopes: ScopeSet,
}

/// The https URL of a Client ID Metadata Document, checked (CIMD "Client Identifier").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetadataDocumentUrl(String);

impl MetadataDocumentUrl {
    /// Reads a client id that is such a URL: https, a path, no dot segments, query, fragment, user name; no IP
    /// literal, no single-label host (unless `allow_internal_hosts`); compared as the exact string.
    #[must_use]
    pub fn parse(_client_id: &str, _allow_internal_hosts: bool) -> Option<Self> {
        todo!()
    }
    /// Returns the exact string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Returns the host to show on the consent page.
    #[must_use]
    pub fn host(&self) -> &str {
        todo!()
    }
}

impl ClientMetadata {
    /// Reads an RFC 7591 registration request body (JSON).
    ///
    /// # Errors
    /// `invalid_redirect_uri`, `invalid_client_metadata`, `invalid_software_statement` or `unapproved_software_statement`.
    pub fn from_registration(_body: &[u8], _policy: &RegistrationPolicy) -> Result<Self, OAuthError> {
        todo!()
    }
    /// Reads a Client ID Metadata Document fetched from `url`.
    ///
    /// # Errors
    /// `invalid_client_metadata` naming the rule that the document breaks.
    pub fn from_metadata_document(
        _body: &[u8],
        _url: &MetadataDocumentUrl,
        _policy: &RegistrationPolicy,
    ) -> Result<Self, OAuthError> {
        todo!()
    }
    /// Returns the metadata as the JSON members of an RFC 7591 response (and of the stored row).
    #[must_use]
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        todo!()
    }
    /// Reads what `to_json` wrote into a store; `None` when the row is damaged.
    #[must_use]
    pub fn from_stored(_json: &str) -> Option<Self> {
        todo!()
    }
    /// Returns whether a change from `self` to `newer` must void remembered consent (CIMD "changes").
    #[must_use]
    pub fn security_relevant_change(&self, _newer: &Self) -> bool {
        todo!()
    }
}
