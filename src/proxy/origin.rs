//! Requests from web pages: which origins may call, preflights, and the fields that let a page read the answer.

use std::collections::HashSet;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::rejection::Rejection;
use crate::config::Config;
use crate::network::origin_and_path;
use crate::web::{Response, reply};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");
/// Allowed request fields, listed because a wildcard would not include `Authorization` (Fetch: CORS-preflight).
const FIELDS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, \
                      Mcp-Name, Last-Event-ID, traceparent, tracestate, baggage, DPoP";
/// Response fields that a page may read: without these it sees neither the challenge nor its legacy session.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce");
/// A day; browsers cap it at lower values.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
/// The most mirrored parameters in one preflight.
const MOST_PARAMETERS: usize = 32;

/// The origins whose pages may call upstreams.
pub(super) struct Origins {
    allowed: HashSet<Vec<u8>>,
}

impl Origins {
    pub(super) fn new(config: &Config) -> Self {
        // Both are in the form that browsers send, so they are compared as bytes.
        let all = config.allowed_origins.iter().chain([&config.public_url]);
        Self { allowed: all.map(|url| origin_and_path(url).0.as_bytes().to_vec()).collect() }
    }

    /// Returns the origin to be named in the answer; `None` when the request is not from a page. `own` is the origin of
    /// the upstream, whose pages may call there and nowhere else.
    pub(super) fn check(&self, headers: &HeaderMap, own: &str) -> Result<Option<HeaderValue>, Rejection> {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(None),
            (Some(origin), None) if origin == own || self.allowed.contains(origin.as_bytes()) => {
                Ok(Some(origin.clone()))
            }
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

/// Returns the fixed list, the fields configured for this upstream, and the requested `Mcp-Param-*` fields.
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

/// Lets the page at `origin` read the answer. Never with credentials, since cookies are not used here.
pub(super) fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, HeaderValue::from_static("Origin"));
}
