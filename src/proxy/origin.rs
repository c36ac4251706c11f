//! Web pages as callers: which origins may call, the preflight, and the fields that let a page read the answer.

use std::collections::HashSet;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::rejection::Rejection;
use crate::config::Config;
use crate::web::{Response, reply};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");
/// A wildcard would not cover `Authorization` (Fetch: CORS-preflight), so the fields are listed.
const FIELDS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, \
                      Mcp-Name, Last-Event-ID, traceparent, tracestate, baggage, DPoP";
/// Without these a page sees neither the challenge nor its legacy session.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce");
/// A day; browsers cap it at their own, lower figures.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
/// Mirrored parameters in one preflight at most.
const MOST_PARAMETERS: usize = 32;

/// The origins whose pages may call.
pub(super) struct Origins {
    allowed: HashSet<Vec<u8>>,
}

impl Origins {
    pub(super) fn new(config: &Config) -> Self {
        // Both are spelt as browsers send them: what is compared is bytes.
        let all = config.allowed_origins.iter().chain([&config.public_url]);
        Self { allowed: all.map(|origin| origin.clone().into_bytes()).collect() }
    }

    /// Returns the origin to be named in the answer; `None` when no page is calling.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Rejection> {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(None),
            (Some(origin), None) if self.allowed.contains(origin.as_bytes()) => Ok(Some(origin.clone())),
            // MC-01: `null` is the origin of sandboxed and local pages, which anybody can make.
            (Some(_), _) => Err(Rejection::BadOrigin),
        }
    }
}

/// Answers a preflight, without credentials and without the upstream (TV-19).
pub(super) fn preflight(passed: &[HeaderName], request: &HeaderMap) -> Response {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed_fields(passed, request));
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}

/// The fixed list, those that pass to this upstream besides, and those `Mcp-Param-*` that were asked for.
fn allowed_fields(passed: &[HeaderName], request: &HeaderMap) -> HeaderValue {
    let wanted = request.get(ACCESS_CONTROL_REQUEST_HEADERS).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let parameters = wanted
        .split(',')
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| name.as_str().starts_with("mcp-param-"))
        .take(MOST_PARAMETERS);
    let more = passed.iter().cloned().chain(parameters);
    let list = more.fold(FIELDS.to_owned(), |list, name| format!("{list}, {name}"));
    HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static(FIELDS))
}

/// Lets the page at `origin` read the answer. Never with credentials: cookies mean nothing here.
pub(super) fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, HeaderValue::from_static("Origin"));
}
