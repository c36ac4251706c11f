//! The token request and response, and the rules of redemption and rotation. Stores call the two `judge` functions
//! inside their transaction, so that the rule and the write are one.

use super::{
    AuthorizationCode, ClientId, CodeChallenge, CodeVerifier, Form, Grant, GrantId, GrantType, Lifetime, OAuthError,
    RefreshToken, ResourceIndicator, ScopeSet, Subject, TenantId, Timestamp, TokenHash, VerifiedRedirect,
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
    /// Its one audience.
    pub resource: ResourceIndicator,
    /// What it allows.
    pub scopes: ScopeSet,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// An authorization code as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRecord {
    /// SHA-256 of the code.
    pub hash: TokenHash,
    /// Whose.
    pub tenant: TenantId,
    /// The grant that its redemption makes.
    pub grant: GrantId,
    /// Bound to this client,
    pub client: ClientId,
    /// this user,
    pub subject: Subject,
    /// this redirect URI,
    pub redirect: VerifiedRedirect,
    /// this challenge (`None` only in a damaged row: such a code is never honoured),
    pub challenge: Option<CodeChallenge>,
    /// this resource,
    pub resource: ResourceIndicator,
    /// these scopes.
    pub scopes: ScopeSet,
    /// When the user logged in.
    pub authenticated_at: Timestamp,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was redeemed, if it was. The row stays until the grant ends, so that a replay is recognised.
    pub used_at: Option<Timestamp>,
    /// Wrong verifiers so far; the third kills the code (PK-06).
    pub failures: u8,
}

/// What `/token` presented with a code.
#[derive(Debug, Clone)]
pub struct PresentedCode {
    /// The authenticated client.
    pub client: ClientId,
    /// The verifier, if one of the right shape came.
    pub verifier: Option<CodeVerifier>,
    /// The redirect URI, if one came (OAuth 2.1 clients send none).
    pub redirect_uri: Option<String>,
    /// The resource, if one came.
    pub resource: Option<ResourceIndicator>,
}

/// What the rules say of a presented code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeVerdict {
    /// Everything holds: mark it used and issue.
    Redeem,
    /// Everything holds, but it was used before: revoke its grant (OAuth 2.1 4.1.3).
    Replayed,
    /// Expired, killed by wrong verifiers, or damaged.
    Dead,
    /// The verifier is wrong or absent: count it; the code survives two of them.
    WrongVerifier,
    /// Another client's code: changes nothing.
    WrongClient,
    /// The redirect URI differs: the code is kept.
    WrongRedirect,
    /// The resource is not the granted one: the code is kept; `invalid_target`.
    WrongResource,
}

impl CodeRecord {
    /// Wrong verifiers that kill a code.
    pub const MAX_FAILURES: u8 = 3;

    /// Judges a presented code.
    #[must_use]
    pub fn judge(&self, _presented: &PresentedCode, _now: Timestamp) -> CodeVerdict {
        todo!()
    }
}

/// What `/token` presented with a genuine refresh token.
#[derive(Debug, Clone)]
pub struct PresentedRefresh {
    /// The authenticated client.
    pub client: ClientId,
    /// The generation that the token names.
    pub generation: u32,
    /// How long the preceding generation may be retried; zero is strict.
    pub grace: Lifetime,
}

/// What the rules say of a presented refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshVerdict {
    /// The live generation: move on to the next.
    Rotate,
    /// The generation before the live one, within the grace: answer with the live one again.
    Retry,
    /// An older generation, or the preceding one after the grace: revoke the family.
    Reused,
    /// A generation that was never issued by this store (a restored backup): refuse (RT-16).
    Ahead,
    /// Idle too long, past the absolute end, or revoked.
    Dead,
    /// Another client's: changes nothing.
    WrongClient,
    /// The grant does not allow refreshing.
    NotAllowed,
}

impl Grant {
    /// Judges a presented refresh token.
    #[must_use]
    pub fn judge_refresh(&self, _presented: &PresentedRefresh, _now: Timestamp) -> RefreshVerdict {
        todo!()
    }
}

/// A token request whose parameters obey the form rules; the grant is not yet judged.
#[derive(Debug)]
pub enum TokenRequest {
    /// RFC 6749 4.1.3.
    AuthorizationCode {
        /// Recognised by format and MAC, without the store; `None` when it is not one of ours.
        code: Option<TokenHash>,
        /// PKCE: `None` when absent or of the wrong shape.
        verifier: Option<CodeVerifier>,
        /// As sent.
        redirect_uri: Option<String>,
        /// As sent.
        resource: Option<ResourceIndicator>,
    },
    /// RFC 6749 6.
    RefreshToken {
        /// Recognised by HMAC; `None` when it is not one of ours.
        claims: Option<super::RefreshClaims>,
        /// Narrower scopes, if asked; a surplus `offline_access` is dropped.
        scopes: Option<ScopeSet>,
        /// As sent.
        resource: Option<ResourceIndicator>,
    },
}

impl TokenRequest {
    /// Reads a token request.
    ///
    /// # Errors
    /// `invalid_request`, `unsupported_grant_type`, `invalid_target`, `invalid_scope`.
    pub fn read(_form: &Form, _keys: &super::TokenKeys) -> Result<Self, OAuthError> {
        todo!()
    }
    /// Returns the grant type.
    #[must_use]
    pub fn grant_type(&self) -> GrantType {
        match self {
            Self::AuthorizationCode { .. } => GrantType::AuthorizationCode,
            Self::RefreshToken { .. } => GrantType::RefreshToken,
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
    /// What was granted; always stated.
    pub scopes: ScopeSet,
}

impl TokenResponse {
    /// Returns the JSON body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        todo!()
    }
}

#[expect(dead_code, reason = "contract stage")]
fn keep(_: AuthorizationCode) {}
