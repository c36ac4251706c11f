//! The authorization request and response (RFC 6749 4.1, RFC 9207, RFC 8707).

use super::{Client, CodeChallenge, Form, OAuthError, ResourceIndicator, ScopeSet, VerifiedRedirect};

/// An authorization request as sent; nothing of it is believed yet.
#[derive(Debug, Clone)]
pub struct AuthorizationRequest {
    form: Form,
}

/// What the client asked about prompting (OpenID Connect Core 3.1.2.1; `select_account` counts as `login`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prompt {
    /// `none`: nothing may be shown.
    pub none: bool,
    /// `login`: log in again.
    pub login: bool,
    /// `consent`: ask again.
    pub consent: bool,
}

/// What a validated request is checked against: what this client may ask of which resources.
#[derive(Debug, Clone)]
pub struct RequestPolicy {
    /// Every resource of the gateway with its allowed and default scopes.
    pub resources: Vec<(ResourceIndicator, ScopeSet, ScopeSet)>,
}

/// A request that obeys every rule; only this can start an interaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedRequest {
    /// Where the answer goes.
    pub redirect: VerifiedRedirect,
    /// Returned as received.
    pub state: Option<String>,
    /// PKCE.
    pub challenge: CodeChallenge,
    /// The one audience.
    pub resource: ResourceIndicator,
    /// What is asked for: known scopes of the resource, or its default set.
    pub scopes: ScopeSet,
    /// Whether `offline_access` was asked (a no-op permission, accepted and not stored as a scope).
    pub offline_access: bool,
    /// How much to prompt.
    pub prompt: Prompt,
}

/// A refusal that travels by redirect: possible only with a verified redirect.
#[derive(Debug, Clone)]
pub struct RefusedRequest {
    /// Where it goes.
    pub redirect: VerifiedRedirect,
    /// The state to echo, unless the state itself was at fault.
    pub state: Option<String>,
    /// Why.
    pub error: OAuthError,
}

/// The parameters of an authorization response.
#[derive(Debug, Clone)]
pub struct AuthorizationResponse;

impl AuthorizationRequest {
    /// Takes the parameters of a request.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self { form }
    }
    /// Returns the client id; refusing a repeated one.
    ///
    /// # Errors
    /// `invalid_request`: shown as a page, never redirected.
    pub fn client_id(&self) -> Result<super::ClientId, OAuthError> {
        todo!()
    }
    /// Finds the redirect URI among the client's.
    ///
    /// # Errors
    /// `invalid_request`: shown as a page, never redirected.
    pub fn verify_redirect(&self, _client: &Client) -> Result<VerifiedRedirect, OAuthError> {
        todo!()
    }
    /// Checks all the rest. From here on every error travels by redirect.
    ///
    /// # Errors
    /// `RefusedRequest`.
    pub fn validate(
        &self,
        _client: &Client,
        _redirect: VerifiedRedirect,
        _policy: &RequestPolicy,
    ) -> Result<ValidatedRequest, Box<RefusedRequest>> {
        let _ = &self.form;
        todo!()
    }
}

impl AuthorizationResponse {
    /// Returns the Location of a success: `code`, `state`, `iss` (RFC 9207 2), each exactly once.
    #[must_use]
    pub fn success(_redirect: &VerifiedRedirect, _code: &str, _state: Option<&str>, _issuer: &str) -> String {
        todo!()
    }
    /// Returns the Location of a refusal: `error`, `error_description`, `state`, `iss`.
    #[must_use]
    pub fn refusal(_redirect: &VerifiedRedirect, _error: &OAuthError, _state: Option<&str>, _issuer: &str) -> String {
        todo!()
    }
}

impl ValidatedRequest {
    /// Writes the request for the store of pending authorizations (JSON).
    #[must_use]
    pub fn to_stored(&self) -> String {
        todo!()
    }
    /// Reads what `to_stored` wrote; `None` when the row is damaged.
    #[must_use]
    pub fn from_stored(_text: &str) -> Option<Self> {
        todo!()
    }
}
