//! The token request and response, and the access token as stored.

use std::sync::Arc;

use super::authorization::repeated;
use super::{
    AuthorizationCode, ClientId, ClientOrigin, CodeHash, CodeVerifier, Exclusions, Form, GrantId, GrantType,
    OAuthError, RefreshToken, ResourceIndicator, Rule, ScopeSet, Subject, TenantId, Timestamp, TokenHash,
};

/// An access token as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessTokenRecord {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// The tenant that the token belongs to.
    pub tenant: TenantId,
    /// The grant that it was issued under, and ends with.
    pub grant: GrantId,
    /// The client that it was issued to.
    pub client: ClientId,
    /// How the client became known; not stored with the token.
    pub client_origin: ClientOrigin,
    /// The only scopes that the client may ask for, if an operator limited it; not stored with the token.
    pub client_limit: Option<ScopeSet>,
    /// On whose behalf the client acts.
    pub subject: Subject,
    /// The account's login name when this record was made or read; for display only.
    pub user: Arc<str>,
    /// The groups of the account in the store when this record was made or read; not stored with the token.
    pub groups: super::GroupSet,
    /// The token's only audience.
    pub resource: ResourceIndicator,
    /// The scopes that it carries.
    pub scopes: ScopeSet,
    /// What its grant leaves out of them; not stored with the token.
    pub exclusions: Exclusions,
    /// When the user consented to its grant; not stored with the token.
    pub consented_at: Timestamp,
    /// Whether its client acts for a person who is absent (RFC 8693 4.1: the client is the actor); not stored with the
    /// token.
    pub acting: bool,
    /// From where it may be used; not stored with the token.
    pub addresses: super::AddressRanges,
    /// The generation of the refresh token it was issued with; 0 without one.
    pub generation: u32,
    /// Whether the first use must be reported to the store, which knows of no use of this generation yet. Computed when
    /// the record is made or read; not stored.
    pub reports_use: bool,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// A token request with well-formed parameters; the grant is not checked yet.
#[derive(Debug)]
pub enum TokenRequest {
    /// Redeems an authorization code (RFC 6749 4.1.3).
    AuthorizationCode(CodeRequest),
    /// Asks for a token for the client itself (RFC 6749 4.4).
    ClientCredentials(ClientTokenRequest),
    /// Refreshes a token (RFC 6749 6).
    RefreshToken(RefreshRequest),
    /// Presents an assertion as a grant (RFC 7523 2.1).
    JwtBearer(Box<AssertionRequest>),
}

/// The parameters of a token request with an authorization code (RFC 6749 4.1.3).
#[derive(Debug)]
pub struct CodeRequest {
    /// The code, recognised by format and MAC without the store; `None` when it is not one of ours.
    pub code: Option<CodeHash>,
    /// The code verifier; `None` when absent or malformed.
    pub verifier: Option<CodeVerifier>,
    /// The redirect URI, as sent.
    pub redirect_uri: Option<String>,
    /// The resource, as sent.
    pub resource: Option<ResourceIndicator>,
}

/// The parameters of a request for a token for the client itself (RFC 6749 4.4.2). Its `resource` is read together with
/// the resources that there are.
#[derive(Debug)]
pub struct ClientTokenRequest {
    /// The requested scopes, if any; `offline_access` is dropped, as there is no refresh token (RFC 6749 4.4.3).
    pub scopes: Option<ScopeSet>,
}

/// The parameters of a request with an assertion (RFC 7521 4.1). Its `resource` is read together with the resources
/// that there are.
#[derive(Debug)]
pub struct AssertionRequest {
    /// The assertion, whose signature is not checked yet.
    pub assertion: super::GrantAssertion,
    /// The requested scopes, if any; `offline_access` is dropped, as there is no refresh token (RFC 7521 4.1).
    pub scopes: Option<ScopeSet>,
}

/// The parameters of a refresh request (RFC 6749 6).
#[derive(Debug)]
pub struct RefreshRequest {
    /// The token's content, verified by its HMAC; `None` when it is not one of ours.
    pub claims: Option<super::RefreshClaims>,
    /// Narrower scopes, if requested; a superfluous `offline_access` is dropped.
    pub scopes: Option<ScopeSet>,
    /// The resource, as sent.
    pub resource: Option<ResourceIndicator>,
}

impl TokenRequest {
    /// Parses a token request.
    ///
    /// # Errors
    /// `invalid_request`, `unsupported_grant_type`, `invalid_target`, `invalid_scope`.
    pub fn read(form: &Form, keys: &super::TokenKeys) -> Result<Self, OAuthError> {
        // RFC 6749 3.2: no parameter may appear twice.
        if let Some(name) = form.first_repeated() {
            return Err(repeated(name, "a parameter is repeated"));
        }
        let resource = || ResourceIndicator::of_form(form);
        let Some(grant_type) = form.get("grant_type") else {
            return Err(OAuthError::new(Rule::GrantTypeMissing, "grant_type is missing"));
        };
        match GrantType::parse(grant_type) {
            None => {
                let known: Vec<_> = GrantType::names().collect();
                let words = format!("grant_type must be {}", known.join(" or "));
                Err(OAuthError::new(Rule::GrantTypeUnsupported, words).came("grant_type", grant_type))
            }
            Some(GrantType::AuthorizationCode) => {
                let missing = || OAuthError::new(Rule::CodeMissing, "code is missing");
                let code = form.get("code").ok_or_else(missing)?;
                Ok(Self::AuthorizationCode(CodeRequest {
                    code: AuthorizationCode::recognise(code.as_bytes(), keys),
                    verifier: form.get("code_verifier").and_then(CodeVerifier::parse),
                    redirect_uri: form.get("redirect_uri").map(str::to_owned),
                    resource: resource()?,
                }))
            }
            Some(GrantType::ClientCredentials) => {
                let scopes = asked_scopes(form)?;
                Ok(Self::ClientCredentials(ClientTokenRequest { scopes }))
            }
            Some(GrantType::RefreshToken) => {
                let missing = || OAuthError::new(Rule::RefreshTokenMissing, "refresh_token is missing");
                let token = form.get("refresh_token").ok_or_else(missing)?;
                let scopes = asked_scopes(form)?;
                let claims = RefreshToken::recognise(token, keys);
                Ok(Self::RefreshToken(RefreshRequest { claims, scopes, resource: resource()? }))
            }
            Some(GrantType::JwtBearer) => {
                let assertion = super::GrantAssertion::read(form)?;
                Ok(Self::JwtBearer(Box::new(AssertionRequest { assertion, scopes: asked_scopes(form)? })))
            }
        }
    }

    /// Returns the grant type.
    #[must_use]
    pub fn grant_type(&self) -> GrantType {
        match self {
            Self::AuthorizationCode(_) => GrantType::AuthorizationCode,
            Self::ClientCredentials(_) => GrantType::ClientCredentials,
            Self::RefreshToken(_) => GrantType::RefreshToken,
            Self::JwtBearer(_) => GrantType::JwtBearer,
        }
    }
}

/// Reads the requested scopes. rmcp adds `offline_access` to every request; on its own it asks for no other scopes than
/// those that there are.
fn asked_scopes(form: &Form) -> Result<Option<ScopeSet>, OAuthError> {
    let asked = ScopeSet::of_form(form)?.map(|scopes| scopes.without("offline_access"));
    Ok(asked.filter(|scopes| !scopes.is_empty()))
}

/// A successful token response (RFC 6749 5.1).
#[derive(Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: super::AccessToken,
    /// Lifetime of the access token in seconds.
    pub expires_in: u64,
    /// The refresh token, if one was granted.
    pub refresh_token: Option<RefreshToken>,
    /// The granted scopes; always stated, unless the resource has no scopes at all.
    pub scopes: ScopeSet,
}

impl TokenResponse {
    /// Returns the JSON body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(serde::Serialize)]
        struct Members<'a> {
            access_token: &'a str,
            token_type: &'static str,
            expires_in: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            refresh_token: Option<&'a str>,
            // RFC 6749 3.3: a scope value has at least one scope, so an empty set is left out.
            #[serde(skip_serializing_if = "String::is_empty")]
            scope: String,
        }
        let members = Members {
            access_token: self.access_token.reveal(),
            token_type: "Bearer",
            expires_in: self.expires_in,
            refresh_token: self.refresh_token.as_ref().map(RefreshToken::reveal),
            scope: self.scopes.to_string(),
        };
        // Serializing strings and a number into memory cannot fail.
        serde_json::to_vec(&members).unwrap_or_default()
    }
}
