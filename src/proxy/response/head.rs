//! Builds the heads of answers to clients, starting from an empty one, and checks the upstream's status. What an
//! upstream says about our origin, cookies or logins is not forwarded.

use http::header::{
    ACCEPT_RANGES, AGE, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, DATE, ETAG, EXPIRES, LAST_MODIFIED,
    LOCATION, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::caching;
use crate::config::UpstreamKind;
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::field::MCP_SESSION_ID;
use crate::proxy::message::{essence, is_json};
use crate::proxy::route::Route;
use crate::proxy::upstream::redirect;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO: HeaderValue = HeaderValue::from_static("no");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// UP-11: whatever the content is, it runs no scripts and has an opaque origin.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");

/// Checks the upstream's answer: what must not reach a client, or would mislead it, becomes a 502. `awaited` is
/// its form if it answers an MCP request (and not a notification, which needs no content).
pub(in crate::proxy) fn judge(
    route: &Route,
    asked: &PathAndQuery,
    status: StatusCode,
    headers: &HeaderMap,
    awaited: Option<BodyKind>,
) -> Result<(), Fault> {
    match (route.kind, status) {
        // UP-07: a client that saw this would log in elsewhere, or here again and again. The operator must act.
        (_, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
            Err(Fault::new(Cause::CredentialRefused, format!("it answered {status}")))
        }
        (UpstreamKind::Http, StatusCode::NOT_MODIFIED) => Ok(()),
        // UP-06: forwarded if it leads to a place that this route serves. The client decides.
        (UpstreamKind::Http, status) if status.is_redirection() => {
            let is_ours = location(route, asked, headers, LOCATION).is_some();
            if is_ours || !headers.contains_key(LOCATION) { Ok(()) } else { Err(redirect::fault(status, headers)) }
        }
        // UP-06: redirects that are followed were already followed.
        (UpstreamKind::Mcp, status) if status.is_redirection() => Err(redirect::fault(status, headers)),
        (_, status) if status.is_informational() => {
            Err(Fault::new(Cause::NotHttp, format!("it answered {status} and nothing else")))
        }
        // MCP, streamable HTTP: a request is answered with JSON or with a stream of events. Pages come from a wrong
        // path, or from something in front of the server that wants a person to sign in.
        (UpstreamKind::Mcp, StatusCode::OK) if awaited == Some(BodyKind::Other) => {
            let declared: Vec<_> = headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes).collect();
            match *declared {
                [one] if !one.contains(&b',') => {
                    let one = String::from_utf8_lossy(one);
                    Err(Fault::new(Cause::NotMcp, format!("it answered {status} with {one}")))
                }
                // With several types there is no telling which is meant: forwarded, but inert (UP-11).
                _ => Ok(()),
            }
        }
        (UpstreamKind::Mcp | UpstreamKind::Http, _) => Ok(()),
    }
}

/// Returns a Location or Content-Location of a plain HTTP service as clients may see it.
fn location(route: &Route, asked: &PathAndQuery, headers: &HeaderMap, name: HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(one), None) => route.map_location(asked, one),
        (Some(_) | None, _) => None,
    }
}

/// The kind of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum BodyKind {
    Json,
    Events,
    Other,
}

/// What the fields of an answer declare, read in one pass: for few fields, a look-up for each name costs more.
pub(in crate::proxy) struct Declared {
    pub(in crate::proxy) form: BodyKind,
    /// Whether the body has a coding (RFC 9110 8.4.1: `identity` is none).
    pub(in crate::proxy) is_encoded: bool,
    /// Whether there is a session id.
    pub(in crate::proxy) names_session: bool,
}

impl Declared {
    pub(in crate::proxy) fn read(headers: &HeaderMap) -> Self {
        let mut declared = Self { form: BodyKind::Other, is_encoded: false, names_session: false };
        let mut types = 0;
        for (name, value) in headers {
            if *name == CONTENT_TYPE {
                types += 1;
                // UP-11: of several types, in several fields or in one, browsers take the last (Fetch, extract a MIME
                // type).
                declared.form = if types == 1 { form_of(value.as_bytes()) } else { BodyKind::Other };
            } else if *name == CONTENT_ENCODING {
                declared.is_encoded |= is_coded(value.as_bytes());
            } else if *name == MCP_SESSION_ID {
                declared.names_session = true;
            }
        }
        declared
    }
}

/// Returns the kind that an answer declares; never looks at the content (SS-09).
pub(in crate::proxy) fn form(headers: &HeaderMap) -> BodyKind {
    Declared::read(headers).form
}

fn form_of(content_type: &[u8]) -> BodyKind {
    match content_type {
        b"application/json" => BodyKind::Json,
        several if several.contains(&b',') => BodyKind::Other,
        one if is_json(one) => BodyKind::Json,
        one if essence(one).eq_ignore_ascii_case(b"text/event-stream") => BodyKind::Events,
        _ => BodyKind::Other,
    }
}

fn is_coded(content_encoding: &[u8]) -> bool {
    let plain = |coding: &[u8]| matches!(coding.trim_ascii(), c if c.is_empty() || c.eq_ignore_ascii_case(b"identity"));
    !content_encoding.split(|b| *b == b',').all(plain)
}

/// What the head of an answer depends on, besides the upstream's head.
pub(in crate::proxy) struct HeadContext<'a> {
    pub(in crate::proxy) route: &'a Route,
    pub(in crate::proxy) asked: &'a PathAndQuery,
    pub(in crate::proxy) form: BodyKind,
    /// Whether it is the answer to a HEAD.
    pub(in crate::proxy) is_head: bool,
    /// The bound form of the upstream's session id.
    pub(in crate::proxy) session: Option<HeaderValue>,
}

/// Builds the head of an answer. `from` is emptied; `to` is a map whose memory is reused.
pub(in crate::proxy) fn build(of: HeadContext<'_>, from: &mut HeaderMap, mut to: HeaderMap) -> HeaderMap {
    let HeadContext { route, asked, form, is_head, session } = of;
    to.clear();
    let kind = route.kind;
    let passes = match kind {
        UpstreamKind::Mcp => passes_from_mcp,
        UpstreamKind::Http => passes_from_http,
    };
    if kind == UpstreamKind::Http {
        for name in [LOCATION, CONTENT_LOCATION] {
            if let Some(mapped) = location(route, asked, from, name.clone()) {
                to.insert(name, mapped);
            }
        }
    }
    // RFC 9111 3.5: an answer to one user must not be served to another.
    let caching =
        if kind == UpstreamKind::Mcp || form == BodyKind::Events { caching::NO_STORE } else { caching::confine(from) };
    to.insert(CACHE_CONTROL, caching);
    let mut current = None;
    for (name, value) in from.drain() {
        // The iterator returns a name only with its first value.
        current = name.or(current);
        let Some(name) = &current else { continue };
        if passes(name) || (is_head && *name == CONTENT_LENGTH) {
            to.append(name.clone(), value);
        }
    }
    to.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if form == BodyKind::Other {
        to.insert(CONTENT_SECURITY_POLICY, SANDBOX);
        let types = to.get_all(CONTENT_TYPE).iter().count();
        if types > 1 || (types == 1 && kind == UpstreamKind::Mcp) {
            to.insert(CONTENT_TYPE, OCTETS);
        }
    }
    if form == BodyKind::Events {
        // Proxies between us and the client must not buffer events.
        to.insert(X_ACCEL_BUFFERING, NO);
    }
    if let Some(session) = session {
        to.insert(MCP_SESSION_ID, session);
    }
    to
}

/// Makes the head of a stream of events that starts before the upstream has answered; `to` is a map whose memory is
/// reused.
pub(in crate::proxy) fn of_events(mut to: HeaderMap) -> HeaderMap {
    to.clear();
    to.insert(CONTENT_TYPE, EVENTS);
    to.insert(CACHE_CONTROL, caching::NO_STORE);
    to.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    to.insert(X_ACCEL_BUFFERING, NO);
    to
}

/// Fields that any answer may have.
static DESCRIBING: [HeaderName; 6] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, DATE, ALLOW, RETRY_AFTER];

/// Returns whether a field of an MCP server's answer is forwarded: those that describe the content, those that MCP
/// defines, and `Retry-After`.
fn passes_from_mcp(name: &HeaderName) -> bool {
    DESCRIBING.contains(name) || (name.as_str().starts_with("mcp-") && *name != MCP_SESSION_ID)
}

/// Returns whether a field of a plain HTTP service's answer is forwarded: the same, and those for caching and paging.
fn passes_from_http(name: &HeaderName) -> bool {
    static LISTED: [HeaderName; 8] =
        [ACCEPT_RANGES, AGE, CONTENT_DISPOSITION, CONTENT_RANGE, ETAG, EXPIRES, LAST_MODIFIED, VARY];
    DESCRIBING.contains(name)
        || LISTED.contains(name)
        || matches!(
            name.as_str(),
            "link"
                | "accept-patch"
                | "content-digest"
                | "dav"
                | "deprecation"
                | "lock-token"
                | "preference-applied"
                | "repr-digest"
                | "sunset"
                | "want-content-digest"
                | "want-repr-digest"
                | "x-total-count"
        )
        || name.as_str().starts_with("ratelimit")
        || name.as_str().starts_with("x-ratelimit-")
}
