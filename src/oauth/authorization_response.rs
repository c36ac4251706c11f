//! `AuthorizationResponse`: the Location that carries the answer to an authorization request (RFC 6749 4.1.2, RFC 9207
//! 2).

use super::{ClientLocation, OAuthError, VerifiedRedirect};

/// Makes the Location of an authorization response.
#[derive(Debug, Clone)]
pub struct AuthorizationResponse;

impl AuthorizationResponse {
    /// Returns the Location of a success: `code`, `state`, `iss` (RFC 9207 2), each exactly once.
    #[must_use]
    pub fn success(redirect: &VerifiedRedirect, code: &str, state: Option<&str>, issuer: &str) -> ClientLocation {
        let state = state.map(|state| ("state", state));
        let pairs: Vec<_> = [("code", code)].into_iter().chain(state).chain([("iss", issuer)]).collect();
        redirect.location(&pairs)
    }
    /// Returns the Location of a refusal: `error`, `error_description`, `state`, `iss`.
    #[must_use]
    pub fn refusal(
        redirect: &VerifiedRedirect,
        error: &OAuthError,
        state: Option<&str>,
        issuer: &str,
    ) -> ClientLocation {
        let error = [("error", error.code().as_str()), ("error_description", error.description())];
        let state = state.map(|state| ("state", state));
        let pairs: Vec<_> = error.into_iter().chain(state).chain([("iss", issuer)]).collect();
        redirect.location(&pairs)
    }
}
