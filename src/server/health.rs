//! The health path of all listeners, by which load balancers ask whether to send requests here.

use std::sync::atomic::Ordering::Relaxed;

use http::header::HOST;
use http::request::Parts;
use http::{Method, StatusCode};

use super::worker::Process;
use crate::config::Listener;
use crate::web::{Response, reply};

/// Returns whether a request is such a check. The host does not matter: checks name an address, or none.
pub(super) fn is_asked(head: &Parts, listener: &Listener) -> bool {
    listener.health_path.as_deref().is_some_and(|path| path == head.uri.path())
}

/// Returns whether a request names no host, as HTTP/1.0 allows (RFC 9112 3.2).
pub(super) fn names_no_host(head: &Parts) -> bool {
    head.uri.authority().is_none() && !head.headers.contains_key(HOST)
}

/// Answers a check. Anybody may ask, so it neither reads the store nor calls an upstream, and reveals no details.
pub(super) fn answer(process: &Process, method: &Method, listener: &Listener) -> Response {
    let mut response = if !matches!(*method, Method::GET | Method::HEAD) {
        reply::method_not_allowed("GET, HEAD")
    } else if process.draining.load(Relaxed) {
        reply::uncached(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "shutting down\n")
    } else if !process.cache.is_current() {
        reply::uncached(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "not ready\n")
    } else {
        reply::uncached(StatusCode::OK, "text/plain", "ok\n")
    };
    reply::protect(response.headers_mut(), listener);
    response
}
