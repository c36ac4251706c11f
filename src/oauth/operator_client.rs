//! `OperatorClient`: a client as an operator describes it, by command or in the configuration file. It is read by the
//! rules for registrations, because operators make mistakes too.

use serde_json::{Value, json};

use super::{AuthMethod, ClientMetadata, GrantType, GroupSet, OAuthError, ReadMetadata, RegistrationPolicy, ScopeSet};

/// A client as an operator describes it.
#[derive(Debug, Clone, Copy)]
pub struct OperatorClient<'a> {
    /// Its display name.
    pub name: &'a str,
    /// Where codes may be sent.
    pub redirect_uris: &'a [String],
    /// The grant types that it may use.
    pub grant_types: &'a [GrantType],
    /// How it authenticates.
    pub auth_method: AuthMethod,
    /// Its keys, for `PrivateKeyJwt` (RFC 7591 2, `jwks`).
    pub jwks: Option<&'a Value>,
    /// Where they are published instead (`jwks_uri`).
    pub jwks_uri: Option<&'a str>,
    /// The scopes that it may be granted at most; all when empty.
    pub limit: &'a ScopeSet,
}

impl OperatorClient<'_> {
    /// Returns the metadata of the client, and what of the description cannot be accepted.
    ///
    /// # Errors
    /// `invalid_redirect_uri` or `invalid_client_metadata`.
    pub fn metadata(&self, policy: &RegistrationPolicy) -> Result<ReadMetadata, OAuthError> {
        let grants: Vec<_> = self.grant_types.iter().map(|grant| grant.as_str()).collect();
        let body = json!({
            "client_name": self.name,
            "redirect_uris": self.redirect_uris,
            "grant_types": grants,
            "token_endpoint_auth_method": self.auth_method.as_str(),
            "jwks": self.jwks,
            "jwks_uri": self.jwks_uri,
            "scope": (!self.limit.is_empty()).then(|| self.limit.to_string()),
        });
        ClientMetadata::from_registration(body.to_string().as_bytes(), policy)
    }

    /// Returns the metadata of a resource server, which asks about tokens (RFC 7662) and gets none itself.
    ///
    /// # Errors
    /// `invalid_client_metadata`.
    pub fn resource_server(name: &str) -> Result<ReadMetadata, OAuthError> {
        let server = OperatorClient {
            name,
            redirect_uris: &[],
            grant_types: &[GrantType::ClientCredentials],
            auth_method: AuthMethod::ClientSecretBasic,
            jwks: None,
            jwks_uri: None,
            limit: &ScopeSet::default(),
        };
        let policy = RegistrationPolicy { client_credentials: true, ..RegistrationPolicy::default() };
        let mut read = server.metadata(&policy)?;
        read.metadata.grant_types.clear();
        Ok(read)
    }
}

/// Returns the grant types of a client that may act for some groups (RFC 7523 2.1).
#[must_use]
pub fn with_acting(grant_types: &[GrantType], may_act_for: &GroupSet) -> Vec<GrantType> {
    let acting = Some(GrantType::JwtBearer);
    let acting = acting.filter(|acting| !may_act_for.is_empty() && !grant_types.contains(acting));
    grant_types.iter().copied().chain(acting).collect()
}
