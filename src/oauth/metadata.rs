//! The RFC 8414 and RFC 9728 documents. Members without a value are left out.

use serde::Serialize;

/// RFC 8414 2: what clients learn of the authorization server.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the members are RFC 8414's own names")]
pub struct AuthorizationServerMetadata {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    pub revocation_endpoint: String,
    pub response_types_supported: Vec<&'static str>,
    pub response_modes_supported: Vec<&'static str>,
    pub grant_types_supported: Vec<&'static str>,
    pub code_challenge_methods_supported: Vec<&'static str>,
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    pub revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    pub authorization_response_iss_parameter_supported: bool,
    pub client_id_metadata_document_supported: bool,
}

impl AuthorizationServerMetadata {
    /// Builds the document for an issuer; every endpoint at the origin root.
    #[must_use]
    pub fn new(_issuer: &str, _scopes: Vec<String>, _registration: bool, _metadata_documents: bool) -> Self {
        todo!()
    }
}

/// RFC 9728 2: what clients learn of one upstream.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the members are RFC 9728's own names")]
pub struct ProtectedResourceMetadata {
    pub resource: String,
    pub authorization_servers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    pub bearer_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
}
