//! The RFC 8414 and RFC 9728 documents. Members without a value are left out.

use serde::Serialize;

use super::jose::SignatureAlgorithm;
use super::{AuthMethod, GrantType};

/// Authorization server metadata (RFC 8414 2).
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the members are RFC 8414's own names")]
pub struct AuthorizationServerMetadata {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    pub revocation_endpoint: String,
    pub introspection_endpoint: String,
    pub response_types_supported: Vec<&'static str>,
    pub response_modes_supported: Vec<&'static str>,
    pub grant_types_supported: Vec<&'static str>,
    pub code_challenge_methods_supported: Vec<&'static str>,
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    pub token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    pub revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    pub introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    pub authorization_response_iss_parameter_supported: bool,
    pub client_id_metadata_document_supported: bool,
}

impl AuthorizationServerMetadata {
    /// Builds the document for an issuer. Every endpoint is directly below the origin, where clients of 2025-03-26 look
    /// without a document. `offline_access` is added to `scopes`.
    #[must_use]
    pub fn new(issuer: &str, scopes: Vec<String>, registration: bool, metadata_documents: bool) -> Self {
        let at = |path| format!("{issuer}{path}");
        // MCP 2026-07-28 authorization, refresh tokens: clients ask for `offline_access` only where it is listed here.
        let offline = (!scopes.iter().any(|s| s == "offline_access")).then(|| "offline_access".to_owned());
        let secrets = [AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost];
        let methods = AuthMethod::ALL;
        let algorithms = SignatureAlgorithm::ALL;
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: at("/authorize"),
            token_endpoint: at("/token"),
            // Clients decide on registration by the presence of this member.
            registration_endpoint: registration.then(|| at("/register")),
            revocation_endpoint: at("/revoke"),
            introspection_endpoint: at("/introspect"),
            response_types_supported: vec!["code"],
            // RFC 8414 2: the defaults of these two would also claim `fragment` and `implicit`.
            response_modes_supported: vec!["query"],
            grant_types_supported: GrantType::names().collect(),
            code_challenge_methods_supported: vec!["S256"],
            token_endpoint_auth_methods_supported: methods.map(AuthMethod::as_str).to_vec(),
            // RFC 8414 2: required with `private_key_jwt`.
            token_endpoint_auth_signing_alg_values_supported: algorithms.map(SignatureAlgorithm::as_str).to_vec(),
            revocation_endpoint_auth_methods_supported: methods.map(AuthMethod::as_str).to_vec(),
            // RFC 7662 2.1: whoever asks must authenticate.
            introspection_endpoint_auth_methods_supported: secrets.map(AuthMethod::as_str).to_vec(),
            revocation_endpoint_auth_signing_alg_values_supported: algorithms.map(SignatureAlgorithm::as_str).to_vec(),
            scopes_supported: scopes.into_iter().chain(offline).collect(),
            // RFC 9207 3: authorization responses carry `iss`.
            authorization_response_iss_parameter_supported: true,
            client_id_metadata_document_supported: metadata_documents,
        }
    }

    /// Names another path for the endpoint that has `path`.
    pub fn rename(&mut self, path: &str, other: &str) {
        let (was, new) = (format!("{}{path}", self.issuer), format!("{}{other}", self.issuer));
        let always = [
            &mut self.authorization_endpoint,
            &mut self.token_endpoint,
            &mut self.revocation_endpoint,
            &mut self.introspection_endpoint,
        ];
        let named = always.into_iter().chain(&mut self.registration_endpoint).find(|named| **named == was);
        if let Some(named) = named {
            *named = new;
        }
    }
}

/// Protected resource metadata of one upstream (RFC 9728 2).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_is_left_out() {
        let on = AuthorizationServerMetadata::new("https://gw", vec!["read".into()], true, true);
        let on = serde_json::to_value(on).unwrap();
        assert_eq!(on["registration_endpoint"], "https://gw/register");
        assert_eq!(on["scopes_supported"], serde_json::json!(["read", "offline_access"]));
        assert_eq!(on["token_endpoint_auth_methods_supported"][0], "none");
        let off = AuthorizationServerMetadata::new("https://gw", Vec::new(), false, false);
        let off = serde_json::to_value(off).unwrap();
        assert!(off.get("registration_endpoint").is_none());
        assert_eq!(off["client_id_metadata_document_supported"], false);
    }

    #[test]
    fn a_resource_without_scopes_names_none() {
        let document = ProtectedResourceMetadata {
            resource: "https://gw/mcp".into(),
            authorization_servers: vec!["https://gw".into()],
            scopes_supported: Vec::new(),
            bearer_methods_supported: vec!["header"],
            resource_name: None,
            resource_documentation: None,
        };
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            r#"{"resource":"https://gw/mcp","authorization_servers":["https://gw"],"bearer_methods_supported":["header"]}"#
        );
    }
}
