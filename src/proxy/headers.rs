//! Builds the heads of requests to upstreams, starting from an empty one. A client's head is never taken as a whole:
//! listed fields are copied, then ours are set, so that no client field can take the place of ours.

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_RANGE, CONTENT_TYPE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PRAGMA, RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::cached_principal::CachedPrincipal;
use super::exchange::Exchange;
use super::field::{LAST_EVENT_ID, MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, MCP_SESSION_ID, TRACEPARENT};
use super::rejection::Rejection;
use super::trace;
use crate::config::UpstreamKind;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const SUBJECT: HeaderName = HeaderName::from_static("x-mcpgate-subject");
const USER: HeaderName = HeaderName::from_static("x-mcpgate-user");
const CLIENT: HeaderName = HeaderName::from_static("x-mcpgate-client");
const ACTOR: HeaderName = HeaderName::from_static("x-mcpgate-actor");
const SCOPES: HeaderName = HeaderName::from_static("x-mcpgate-scopes");
const TENANT: HeaderName = HeaderName::from_static("x-mcpgate-tenant");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-mcpgate-request-id");

/// The `Accept` value that servers of every revision require, whatever the client sent.
pub(super) const BOTH_TYPES: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// No content coding, because an encoder would buffer events.
pub(super) const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
/// Capacity for the fields of an ordinary request to an upstream; more make the map grow.
const USUAL_FIELDS: usize = 24;

/// MCP's own fields that were checked and may be sent upstream.
#[derive(Default)]
pub(super) struct CheckedRequest {
    /// The upstream's own id of a legacy session.
    pub(super) session: Option<HeaderValue>,
    /// Where to resume a broken stream of this session.
    pub(super) last_event: Option<HeaderValue>,
    /// Whether the session began without a token, and is its caller's once the request is permitted.
    pub(super) is_taken_over: bool,
    /// Whether the request is of a revision in which routing headers agree with the body.
    pub(super) routing: bool,
}

/// Builds the head of a request to the upstream of this exchange; `to` is a map whose memory is reused.
pub(super) fn build(
    mut to: HeaderMap,
    exchange: &Exchange<'_>,
    caller: &CachedPrincipal,
    checked: CheckedRequest,
) -> HeaderMap {
    let Exchange { route, peer, .. } = *exchange;
    let from = &exchange.parts.headers;
    to.clear();
    to.reserve(USUAL_FIELDS);
    to.insert(HOST, route.origin.host_header.clone());
    let passes = match route.kind {
        UpstreamKind::Mcp => passes_to_mcp,
        UpstreamKind::Http => passes_to_http,
    };
    let mut parent = None;
    for (name, value) in from {
        if passes(name) || (checked.routing && is_routing(name)) {
            to.append(name.clone(), value.clone());
        } else if *name == TRACEPARENT {
            parent = parent.or(Some(value));
        }
    }
    for name in &route.pass_headers {
        if !passes(name) && !is_of_connection(name, from) {
            for value in from.get_all(name) {
                to.append(name.clone(), value.clone());
            }
        }
    }
    if route.kind == UpstreamKind::Mcp {
        to.insert(ACCEPT, BOTH_TYPES);
        to.insert(ACCEPT_ENCODING, IDENTITY);
        if let Some(id) = checked.session {
            to.insert(MCP_SESSION_ID, id);
        }
        if let Some(event) = checked.last_event {
            to.insert(LAST_EVENT_ID, event);
        }
    }
    let id = peer.request_id.digits();
    trace::forward(parent, from, &mut to, &id);
    to.insert(FORWARDED_FOR, peer.forwarded_for.clone());
    to.insert(FORWARDED_PROTO, route.public_scheme.clone());
    to.insert(FORWARDED_HOST, route.public_host.clone());
    // HD-01: ours are set last, after everything that a client could have removed or duplicated.
    for (name, value) in &route.static_headers {
        to.insert(name.clone(), value.clone());
    }
    if !caller.is_anonymous() {
        to.insert(SUBJECT, caller.subject().clone());
        if let Some(user) = caller.user() {
            to.insert(USER, user.clone());
        }
        to.insert(CLIENT, caller.client().clone());
        if caller.is_acted_for() {
            to.insert(ACTOR, caller.client().clone());
        }
        to.insert(SCOPES, caller.scopes().clone());
        to.insert(TENANT, caller.tenant().clone());
    }
    to.insert(UPSTREAM_REQUEST_ID, id.header());
    to
}

/// RFC 9110 7.6.3: a gateway tells the upstream that it exists, and by which protocol it was called. A client's own
/// `Via` is not forwarded.
pub(super) const fn via(version: Version) -> HeaderValue {
    match version {
        Version::HTTP_2 => HeaderValue::from_static("2.0 mcpgate"),
        _ => HeaderValue::from_static("1.1 mcpgate"),
    }
}

/// Returns whether a field is passed to an MCP server: fields about the content, and those that MCP defines. HD-04: no
/// listed name has an underscore, which CGI and its successors read as a hyphen, so a client's `X_User` cannot pass as
/// our `X-User`. `Mcp-Session-Id` and `Last-Event-ID` are not listed, because they are checked with the session.
fn passes_to_mcp(name: &HeaderName) -> bool {
    static LISTED: [HeaderName; 4] = [CONTENT_TYPE, ACCEPT_LANGUAGE, USER_AGENT, MCP_PROTOCOL_VERSION];
    LISTED.contains(name)
}

/// RFC 9110 7.6.1: fields named in `Connection` are for the next hop only. This does not apply to fields that the
/// gateway sets itself or has already used (HD-02).
fn is_of_connection(name: &HeaderName, from: &HeaderMap) -> bool {
    let options = from.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// MC-04: fields by which upstreams may route, only passed if they are known to match the body.
fn is_routing(name: &HeaderName) -> bool {
    // MCP 2026-07-28, Custom headers: parameters from the upstream's tool definitions, which it checks itself. After
    // this prefix an underscore is allowed: it can only be confused with another parameter.
    *name == MCP_METHOD || *name == MCP_NAME || name.as_str().starts_with("mcp-param-")
}

/// Returns whether a field is passed to a plain HTTP service; credentials, cookies and connection fields are not.
/// Ranges and conditions must be passed, or the upstream would take a part for the whole (RFC 9110 14.5). Event ids are
/// the service's own, and it learns whose request it is.
fn passes_to_http(name: &HeaderName) -> bool {
    static LISTED: [HeaderName; 19] = [
        ACCEPT,
        ACCEPT_CHARSET,
        ACCEPT_ENCODING,
        ACCEPT_LANGUAGE,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_RANGE,
        CONTENT_TYPE,
        IF_MATCH,
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        IF_RANGE,
        IF_UNMODIFIED_SINCE,
        LAST_EVENT_ID,
        PRAGMA,
        RANGE,
        USER_AGENT,
        HeaderName::from_static("content-disposition"),
    ];
    LISTED.contains(name)
        || matches!(
            name.as_str(),
            "prefer"
                | "idempotency-key"
                | "content-digest"
                | "repr-digest"
                | "want-content-digest"
                | "want-repr-digest"
                | "x-requested-with"
                // RFC 4918 10 and RFC 5023 9.7: the depth of a method, and whether it may overwrite.
                | "depth"
                | "if"
                | "lock-token"
                | "overwrite"
                | "slug"
                | "timeout"
        )
}

/// Checks that a request to a plain HTTP service has no field with an address at the gateway. The upstream could not
/// interpret it, and without it the request would mean something else.
pub(super) fn check_addresses(from: &HeaderMap) -> Result<(), Rejection> {
    // RFC 4918 10.3: the full target address of COPY and MOVE.
    if from.contains_key("destination") {
        return Err(Rejection::AddressInField("Destination is not supported: it contains a URL of the gateway"));
    }
    // RFC 4918 10.4.2: a list of conditions for another resource begins with its address in angle brackets.
    if from.get_all("if").iter().any(|value| value.as_bytes().trim_ascii_start().starts_with(b"<")) {
        return Err(Rejection::AddressInField(
            "If with a URL is not supported: send only the conditions for the requested URL",
        ));
    }
    Ok(())
}
