//! The token request and response, and the access token as stored.

use std::sync::Arc;

use super::authorization::repeated;
use super::{
    AuthorizationCode, ClientId, CodeHash, CodeVerifier, Form, GrantId, GrantType, OAuthError, RefreshToken,
    ResourceIndicator, Rule, ScopeSet, Subject, TenantId, Timestamp, TokenHash,
};

/// An access token as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessTokenRecord {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// Whose.
    pub tenant: TenantId,
    /// The grant it lives on; it dies with it.
    pub grant: GrantId,
    /// Issued to.
    pub client: ClientId,
    /// On behalf of.
    pub subject: Subject,
    /// The name that its account had when this was read or made; it decides nothing.
    pub user: Arc<str>,
    /// Its one audience.
    pub resource: ResourceIndicator,
    /// What it allows.
    pub scopes: ScopeSet,
    /// The generation of the refresh token that it was issued with; 0 without one.
    pub generation: u32,
    /// Whether the store has to be told when it is used: as far as it knows, nothing of its generation was used yet.
    /// Derived when the record is made or read; not stored.
    pub reports_use: bool,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A token request whose parameters obey the form rules; the grant is not yet judged.
#[derive(Debug)]
pub enum TokenRequest {
    /// RFC 6749 4.1.3.
    AuthorizationCode(CodeRequest),
    /// RFC 6749 6.
    RefreshToken(RefreshRequest),
}

/// The parameters of a token request with an authorization code (RFC 6749 4.1.3).
#[derive(Debug)]
pub struct CodeRequest {
    /// Recognised by format and MAC, without the store; `None` when it is not one of ours.
    pub code: Option<CodeHash>,
    /// PKCE: `None` when absent or of the wrong shape.
    pub verifier: Option<CodeVerifier>,
    /// As sent.
    pub redirect_uri: Option<String>,
    /// As sent.
    pub resource: Option<ResourceIndicator>,
}

/// The parameters of a refresh request (RFC 6749 6).
#[derive(Debug)]
pub struct RefreshRequest {
    /// Recognised by HMAC; `None` when it is not one of ours.
    pub claims: Option<super::RefreshClaims>,
    /// Narrower scopes, if asked; a surplus `offline_access` is dropped.
    pub scopes: Option<ScopeSet>,
    /// As sent.
    pub resource: Option<ResourceIndicator>,
}

impl TokenRequest {
    /// Reads a token request.
    ///
    /// # Errors
    /// `invalid_request`, `unsupported_grant_type`, `invalid_target`, `invalid_scope`.
    pub fn read(form: &Form, keys: &super::TokenKeys) -> Result<Self, OAuthError> {
        // RFC 6749 3.2: no parameter may come twice.
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
            Some(GrantType::RefreshToken) => {
                let missing = || OAuthError::new(Rule::RefreshTokenMissing, "refresh_token is missing");
                let token = form.get("refresh_token").ok_or_else(missing)?;
                let asked = ScopeSet::of_form(form)?;
                Ok(Self::RefreshToken(RefreshRequest {
                    claims: RefreshToken::recognise(token, keys),
                    // rmcp adds offline_access to every refresh; alone it asks for nothing narrower.
                    scopes: asked.map(|scopes| scopes.without("offline_access")).filter(|scopes| !scopes.is_empty()),
                    resource: resource()?,
                }))
            }
        }
    }

    /// Returns the grant type.
    #[must_use]
    pub fn grant_type(&self) -> GrantType {
        match self {
            Self::AuthorizationCode(_) => GrantType::AuthorizationCode,
            Self::RefreshToken(_) => GrantType::RefreshToken,
        }
    }
}

/// A successful token response (RFC 6749 5.1).
#[derive(Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: super::AccessToken,
    /// Seconds it lives.
    pub expires_in: u64,
    /// The refresh token, if one was granted.
    pub refresh_token: Option<RefreshToken>,
    /// What was granted; always stated, unless the resource has no scopes at all.
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
            // RFC 6749 3.3: a scope value has at least one scope, so that an empty set has no value.
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
        // Strings and a number: writing them into memory cannot fail.
        serde_json::to_vec(&members).unwrap_or_default()
    }
}
