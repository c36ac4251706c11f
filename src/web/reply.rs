//! Replies: JSON, HTML, and the security headers that all of them carry.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, PRAGMA, REFERRER_POLICY, RETRY_AFTER,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Body as _;

use super::{Body, Response};
use crate::config::Listener;

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Content-Security-Policy of everything that is not a page: it may load nothing and not be framed.
const CLOSED_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
/// Only names that browsers know, because an unknown one causes a warning in the console.
const NO_PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(), display-capture=(), fullscreen=(), geolocation=(), microphone=(), midi=(), payment=(), usb=()",
);

/// Makes a reply without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// Turns the answer to a GET into that to a HEAD: all fields, the length included, and no content (RFC 9110 9.3.2).
pub fn drop_content(response: &mut Response) {
    let content = std::mem::take(response.body_mut());
    if let Some(length) = content.size_hint().exact().filter(|_| response.status() != StatusCode::NOT_MODIFIED) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Makes a reply with a body that no cache may keep.
#[must_use]
pub fn uncached(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    forbid_caching(response.headers_mut());
    response
}

/// Makes a JSON reply that no cache may keep.
#[must_use]
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    uncached(status, "application/json", body)
}

/// Makes the answer to a method that a path does not support (RFC 9110 15.5.6).
#[must_use]
pub fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Forbids caching; `Pragma` is for old caches (RFC 6749 5.1).
pub fn forbid_caching(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
}

/// Adds `Retry-After` in seconds.
pub fn retry_after(headers: &mut HeaderMap, seconds: u64) {
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}

/// Adds the security headers that the reply does not set itself.
pub fn protect(headers: &mut HeaderMap, listener: &Listener) {
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(CLOSED_POLICY);
    headers.entry(CROSS_ORIGIN_RESOURCE_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(PERMISSIONS_POLICY, NO_PERMISSIONS);
    if let Some(hsts) = &listener.hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

/// Lets pages of other origins embed what they may read anyway, such as metadata and answers to clients.
pub fn share(headers: &mut HeaderMap) {
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
}
