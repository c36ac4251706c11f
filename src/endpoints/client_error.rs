//! Error responses to clients: the JSON of RFC 6749 5.2, and challenges.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::issuer::TokenRejection;
use crate::oauth::ErrorCode;
use crate::web::{Response, reply};

use super::rejection::ClientRejection;
use super::visit::Visit;

/// `Retry-After` in seconds, after a fault of the server.
pub(super) const PAUSE_SECONDS: u64 = 5;

/// What a client is told when its revocation could not be written to disk.
const NOT_STORED: &str = "in force, but not yet stored: revoked tokens are refused from now on, but a restart of the \
                          server before it can store that would lose it; send the request again";

impl ClientRejection {
    /// Makes the answer of RFC 6749 5.2.
    pub(super) fn into_response(self, visit: &Visit<'_>) -> Response {
        tracing::debug!(path = visit.head.uri.path(), request_id = visit.caller().request_id, "client refused: {self}");
        match self {
            Self::Input(cause, code) => oauth_error(cause.status_with(code), code, &cause.to_string()),
            Self::Issuer(TokenRejection::Refused { error, basic }) => {
                let status = status_of(error.code());
                let mut response = oauth_error(status, error.code(), error.description());
                if basic && status == StatusCode::UNAUTHORIZED {
                    // RFC 6749 5.2: a client that tried HTTP authentication gets a challenge of the scheme it tried.
                    let challenge = HeaderValue::from_static("Basic realm=\"mcpgate\"");
                    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                }
                response
            }
            Self::Issuer(TokenRejection::Throttled(pause)) => {
                let description = "too many requests; wait as long as Retry-After says";
                let mut response =
                    oauth_error(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TemporarilyUnavailable, description);
                reply::retry_after(response.headers_mut(), pause.as_pause());
                response
            }
            Self::Issuer(TokenRejection::Unavailable) => {
                let description = "the server is temporarily unavailable; try again";
                let mut response =
                    oauth_error(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::TemporarilyUnavailable, description);
                reply::retry_after(response.headers_mut(), PAUSE_SECONDS);
                response
            }
            // RFC 7009 2.2.1: 503 means that the token still exists, and the client has to try again.
            Self::Issuer(TokenRejection::NotStored) => {
                let mut response =
                    oauth_error(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::TemporarilyUnavailable, NOT_STORED);
                reply::retry_after(response.headers_mut(), PAUSE_SECONDS);
                response
            }
            // RFC 7591 3: a closed endpoint asks for an initial access token, as in RFC 6750 3. None is issued here, so
            // operators add clients.
            Self::Issuer(TokenRejection::NotOpen) => {
                let mut response = reply::empty(StatusCode::UNAUTHORIZED);
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"register\""));
                response
            }
        }
    }
}

/// Returns the status that RFC 6749 5.2 gives a code.
fn status_of(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST)
}

fn oauth_error(status: StatusCode, code: ErrorCode, description: &str) -> Response {
    #[derive(Serialize)]
    struct OAuthErrorBody<'a> {
        error: &'a str,
        error_description: &'a str,
    }
    let body = OAuthErrorBody { error: code.as_str(), error_description: description };
    reply::json(status, serde_json::to_vec(&body).unwrap_or_default())
}
