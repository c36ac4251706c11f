//! The rules for what a client says of itself: RFC 7591 registration and Client ID Metadata Documents.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{
    AuthMethod, ClientMetadata, ErrorCode, GrantType, MetadataDocumentUrl, OAuthError, RegisteredRedirects, ScopeSet,
    display_name, json, metadata_document,
};

/// Redirect URIs per client. More is an attack on the store, not a mistake in an address.
const MAX_REDIRECT_URIS: usize = 20;
const MAX_URL: usize = 2048;

/// What the operator allows at registration.
#[derive(Debug, Clone, Default)]
pub struct RegistrationPolicy {
    /// Exact private-use redirect URIs that are allowed although their scheme has no dot.
    pub extra_redirect_uris: Vec<String>,
    /// Scopes a self-registered client may ever hold; others are trimmed.
    pub scopes: ScopeSet,
}

impl ClientMetadata {
    /// Reads an RFC 7591 registration request body (JSON).
    ///
    /// # Errors
    /// `invalid_redirect_uri`, `invalid_client_metadata`, `invalid_software_statement` or `unapproved_software_statement`.
    pub fn from_registration(body: &[u8], policy: &RegistrationPolicy) -> Result<Self, OAuthError> {
        let members = Members::read(body)?;
        if let Some(statement) = members.text("software_statement")? {
            return Err(refuse_statement(statement));
        }
        // RFC 7591 2: an absent method means client_secret_basic.
        let method = match members.text("token_endpoint_auth_method")? {
            None => AuthMethod::ClientSecretBasic,
            Some(name) => AuthMethod::parse(name).ok_or_else(|| {
                invalid("token_endpoint_auth_method must be none, client_secret_basic or client_secret_post")
            })?,
        };
        let grants = members.list("grant_types")?;
        if grants.iter().flatten().any(|grant| matches!(*grant, "password" | "implicit")) {
            return Err(invalid("the grant types password and implicit are not supported"));
        }
        // RFC 7591 2: response types must fit the grant types, of which only the code grant has one.
        if members.list("response_types")?.is_some_and(|types| types.is_empty() || types.iter().any(|t| *t != "code")) {
            return Err(invalid("response_types must be code alone"));
        }
        members.metadata(method, grants, policy)
    }
    /// Reads a Client ID Metadata Document fetched from `url`.
    ///
    /// # Errors
    /// `invalid_client_metadata` naming the rule that the document breaks.
    pub fn from_metadata_document(
        body: &[u8],
        url: &MetadataDocumentUrl,
        policy: &RegistrationPolicy,
    ) -> Result<Self, OAuthError> {
        let members = Members::read(body)?;
        // CIMD "Client Metadata": the document names itself, compared as a string.
        if members.text("client_id")? != Some(url.as_str()) {
            return Err(invalid("client_id in the document differs from the URL it was fetched from"));
        }
        if ["client_secret", "client_secret_expires_at"].iter().any(|name| members.0.contains_key(*name)) {
            return Err(invalid("a metadata document must not contain a client secret"));
        }
        let method = members.document_method()?;
        let response_types = members.list("response_types")?;
        if response_types.is_some_and(|types| !types.contains(&"code")) {
            return Err(invalid("response_types must contain code"));
        }
        let grants = members.list("grant_types")?;
        let metadata = members
            .metadata(method, grants, policy)
            .map_err(|cause| OAuthError::new(ErrorCode::InvalidClientMetadata, cause.description().to_owned()))?;
        // MCP 2025-11-25 authorization, client id metadata documents: client_name is required.
        if metadata.client_name.is_none() { Err(invalid("client_name is missing")) } else { Ok(metadata) }
    }
}

fn invalid(description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClientMetadata, description)
}

/// RFC 7591 3.1.1: no issuer of statements is trusted here, so a sound one is refused as unapproved.
fn refuse_statement(statement: &str) -> OAuthError {
    let parts: Vec<_> = statement.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).collect();
    let is_signed = match parts.as_slice() {
        [header, claims, signature] => {
            let algorithm = json::object(header).and_then(|header| Some(header.get("alg")?.as_str()?.to_owned()));
            let named = algorithm.is_some_and(|name| !name.eq_ignore_ascii_case("none"));
            named && json::object(claims).is_some() && !signature.is_empty()
        }
        _ => false,
    };
    if is_signed {
        OAuthError::new(ErrorCode::UnapprovedSoftwareStatement, "no issuer of software statements is approved here")
    } else {
        OAuthError::new(ErrorCode::InvalidSoftwareStatement, "software_statement is not a signed JWT")
    }
}

/// The members of a metadata document; `null` and the empty string count as absent, unknown ones are ignored.
struct Members(Map<String, Value>);

impl Members {
    fn read(body: &[u8]) -> Result<Self, OAuthError> {
        let problem = "the client metadata must be one JSON object without repeated members";
        json::object(body).map(Self).ok_or_else(|| invalid(problem))
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, OAuthError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let text = value.as_str().ok_or_else(|| invalid(format!("{name} must be a string")))?;
                Ok(Some(text).filter(|text| !text.is_empty()))
            }
        }
    }

    fn list(&self, name: &'static str) -> Result<Option<Vec<&str>>, OAuthError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let entries = value.as_array().and_then(|entries| entries.iter().map(Value::as_str).collect());
                entries.map(Some).ok_or_else(|| invalid(format!("{name} must be a list of strings")))
            }
        }
    }

    /// The rules that both kinds of document share.
    fn metadata(
        &self,
        method: AuthMethod,
        grants: Option<Vec<&str>>,
        policy: &RegistrationPolicy,
    ) -> Result<ClientMetadata, OAuthError> {
        self.check_keys()?;
        let application_type = self.text("application_type")?.filter(|kind| matches!(*kind, "native" | "web"));
        Ok(ClientMetadata {
            client_name: self.line("client_name")?,
            redirect_uris: self.redirect_uris(policy)?,
            grant_types: grant_types(grants)?,
            token_endpoint_auth_method: method,
            scope: self.scope(policy)?,
            application_type: application_type.map(str::to_owned),
            client_uri: self.url("client_uri")?,
            logo_uri: self.url("logo_uri")?,
            tos_uri: self.url("tos_uri")?,
            policy_uri: self.url("policy_uri")?,
            software_id: self.line("software_id")?,
            software_version: self.line("software_version")?,
        })
    }

    fn redirect_uris(&self, policy: &RegistrationPolicy) -> Result<RegisteredRedirects, OAuthError> {
        let uris: Vec<_> = self.list("redirect_uris")?.unwrap_or_default().into_iter().map(str::to_owned).collect();
        if uris.len() > MAX_REDIRECT_URIS {
            return Err(invalid("more than 20 redirect_uris"));
        }
        RegisteredRedirects::parse(&uris, &policy.extra_redirect_uris)
            .map_err(|cause| OAuthError::new(ErrorCode::InvalidRedirectUri, cause.to_string()))
    }

    /// RFC 7591 2: asked scopes are trimmed to what a self-registered client may hold. When none is left the client
    /// counts as having asked for none: clients register `openid` or `*` and mean "whatever there is".
    fn scope(&self, policy: &RegistrationPolicy) -> Result<Option<ScopeSet>, OAuthError> {
        let Some(asked) = self.text("scope")? else { return Ok(None) };
        let asked = ScopeSet::parse(asked).map_err(|cause| invalid(cause.to_string()))?;
        Ok(Some(asked.intersection(&policy.scopes)).filter(|scopes| !scopes.is_empty()))
    }

    fn line(&self, name: &'static str) -> Result<Option<String>, OAuthError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let problem = || invalid(format!("{name} is longer than 100 characters, or has letters with a heap of marks"));
        let line = display_name::clean(text).ok_or_else(problem)?;
        Ok(Some(line).filter(|line| !line.is_empty()))
    }

    /// RG-04: URLs that our pages show or another program may fetch are https to a host that all of the world can name.
    fn url(&self, name: &'static str) -> Result<Option<String>, OAuthError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let sound = text.len() <= MAX_URL
            && text.starts_with("https://")
            && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>'))
            && url::Url::parse(text).is_ok_and(|url| {
                let public = url.domain().is_some_and(metadata_document::is_public_name);
                public && url.username().is_empty() && url.password().is_none()
            });
        if sound {
            Ok(Some(text.to_owned()))
        } else {
            Err(invalid(format!("{name} must be an https URL of a public host")))
        }
    }

    /// RFC 7591 2: `jwks_uri` and `jwks` exclude each other. Neither is used yet, both are held to their rules.
    fn check_keys(&self) -> Result<(), OAuthError> {
        let by_reference = self.url("jwks_uri")?.is_some();
        match self.0.get("jwks") {
            None | Some(Value::Null) => Ok(()),
            Some(_) if by_reference => Err(invalid("jwks and jwks_uri exclude each other")),
            // RFC 7591 2: a key set is the client's public keys. A private one that came here is a secret no more.
            Some(jwks) if has_private_key(jwks) => Err(invalid("jwks must not contain private keys")),
            Some(jwks) if jwks.get("keys").is_some_and(Value::is_array) => Ok(()),
            Some(_) => Err(invalid("jwks must be a JSON Web Key Set")),
        }
    }

    /// CIMD "Client Metadata": no shared secret is possible, so an absent method means a public client. ChatGPT's
    /// documents name `private_key_jwt` and list `none` beside it in a member of their own.
    fn document_method(&self) -> Result<AuthMethod, OAuthError> {
        match self.text("token_endpoint_auth_method")? {
            None | Some("none") => Ok(AuthMethod::None),
            Some("private_key_jwt") => {
                let listed = self.list("token_endpoint_auth_methods_supported")?.unwrap_or_default();
                if listed.contains(&"none") {
                    Ok(AuthMethod::None)
                } else {
                    Err(invalid("private_key_jwt is not supported yet: the document must allow none"))
                }
            }
            Some(_) => Err(invalid("token_endpoint_auth_method of a metadata document must be none")),
        }
    }
}

/// RFC 7517 and 7518: `d` is in every private key, `k` is the secret of a symmetric one.
fn has_private_key(jwks: &Value) -> bool {
    let keys = jwks.get("keys").and_then(Value::as_array);
    keys.into_iter().flatten().any(|key| ["d", "k", "p", "q"].iter().any(|member| key.get(member).is_some()))
}

/// Unknown grant types are dropped (VS Code and Claude ask for extra ones); absent means the code grant, and refreshing
/// with it, which several clients forget to ask for.
fn grant_types(asked: Option<Vec<&str>>) -> Result<Vec<GrantType>, OAuthError> {
    let all = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    let Some(asked) = asked else { return Ok(all.to_vec()) };
    let known: Vec<_> = all.into_iter().filter(|grant| asked.contains(&grant.as_str())).collect();
    if known.contains(&GrantType::AuthorizationCode) {
        Ok(known)
    } else {
        Err(invalid("grant_types must contain authorization_code"))
    }
}
