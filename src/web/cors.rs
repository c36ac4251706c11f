//! CORS for what every web page may read: metadata, and the endpoints that are called by clients.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{Response, reply};

/// The request fields that SDKs in a browser send; they preflight because of `MCP-Protocol-Version` on discovery.
const ALLOWED_HEADERS: HeaderValue =
    HeaderValue::from_static("Content-Type, Authorization, MCP-Protocol-Version, DPoP");
/// Response fields that a browser client must be able to read: how to authenticate and when to retry.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("WWW-Authenticate, Retry-After");
/// A day; browsers cap it at lower values.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Lets pages of any origin read the response. Never with credentials: these paths do not use cookies.
pub fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
}

/// Answers a preflight for a path that any origin may use with `methods`.
#[must_use]
pub fn preflight(methods: &'static str) -> Response {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}
