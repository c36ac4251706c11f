//! The egress builder: heads of requests to upstreams, from an empty one. Nothing takes a client's head whole: fields
//! are copied if they are on a list, then ours come, so that no field of a client's can stand where ours belongs.

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_RANGE, CONTENT_TYPE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PRAGMA, RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::cached_principal::CachedPrincipal;
use super::exchange::Exchange;
use super::field::{LAST_EVENT_ID, MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use super::rejection::Rejection;
use super::trace::Traces;
use crate::config::UpstreamKind;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const SUBJECT: HeaderName = HeaderName::from_static("x-mcpgate-subject");
const USER: HeaderName = HeaderName::from_static("x-mcpgate-user");
const CLIENT: HeaderName = HeaderName::from_static("x-mcpgate-client");
const SCOPES: HeaderName = HeaderName::from_static("x-mcpgate-scopes");
const TENANT: HeaderName = HeaderName::from_static("x-mcpgate-tenant");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-mcpgate-request-id");

/// What servers of every revision ask for, whatever the client wrote.
pub(super) const BOTH_TYPES: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// An encoder holds events back.
pub(super) const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
/// Fields of an ordinary request to an upstream; more make the map grow.
const USUAL_FIELDS: usize = 24;

/// What of MCP's own fields may go upstream, since it was checked.
#[derive(Default)]
pub(super) struct CheckedRequest {
    /// The upstream's own id of a legacy session.
    pub(super) session: Option<HeaderValue>,
    /// Where a broken stream of this session is to go on.
    pub(super) last_event: Option<HeaderValue>,
    /// Whether the request is of a revision in which routing headers agree with the body.
    pub(super) routing: bool,
}

/// Builds the head of a request to the upstream of this exchange; `to` is a map whose memory can be used.
pub(super) fn build(
    mut to: HeaderMap,
    exchange: &Exchange<'_>,
    caller: &CachedPrincipal,
    checked: CheckedRequest,
    traces: &Traces,
) -> HeaderMap {
    let Exchange { route, peer, .. } = *exchange;
    let (from, table) = (&exchange.parts.headers, &exchange.worker.table);
    to.clear();
    to.reserve(USUAL_FIELDS);
    to.insert(HOST, route.origin.host_header.clone());
    let passes = match route.kind {
        UpstreamKind::Mcp => passes_to_mcp,
        UpstreamKind::Http => passes_to_http,
    };
    for (name, value) in from {
        if passes(name) || (checked.routing && is_routing(name)) {
            to.append(name.clone(), value.clone());
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
    traces.forward(from, &mut to);
    to.insert(FORWARDED_FOR, peer.forwarded_for.clone());
    to.insert(FORWARDED_PROTO, table.public_scheme.clone());
    to.insert(FORWARDED_HOST, table.public_host.clone());
    // HD-01: ours come last, after everything that a client could have removed or doubled.
    for (name, value) in &route.static_headers {
        to.insert(name.clone(), value.clone());
    }
    to.insert(SUBJECT, caller.subject().clone());
    if let Some(user) = caller.user() {
        to.insert(USER, user.clone());
    }
    to.insert(CLIENT, caller.client().clone());
    to.insert(SCOPES, caller.scopes().clone());
    to.insert(TENANT, caller.tenant().clone());
    to.insert(UPSTREAM_REQUEST_ID, peer.request_id.clone());
    to
}

/// RFC 9110 7.6.3: a gateway says to the upstream that it is there, and how it was asked. What clients write into `Via` could
/// be anything and goes no further.
pub(super) const fn via(version: Version) -> HeaderValue {
    match version {
        Version::HTTP_2 => HeaderValue::from_static("2.0 mcpgate"),
        _ => HeaderValue::from_static("1.1 mcpgate"),
    }
}

/// Fields that say something about the content, and those that MCP defines. HD-04: no name in these lists has an
/// underscore, which CGI and its heirs read as a hyphen, so no `X_User` of a client's can speak as our `X-User`. `Mcp-Session-Id` and `Last-Event-ID` are
/// not among them: they go through the session's check.
fn passes_to_mcp(name: &HeaderName) -> bool {
    static LISTED: [HeaderName; 4] = [CONTENT_TYPE, ACCEPT_LANGUAGE, USER_AGENT, MCP_PROTOCOL_VERSION];
    LISTED.contains(name)
}

/// RFC 9110 7.6.1: what `Connection` names is for the next hop alone. Whatever the gateway writes itself, or has judged the
/// request by, is not asked (HD-02).
fn is_of_connection(name: &HeaderName, from: &HeaderMap) -> bool {
    let options = from.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// MC-04: what programs behind us may route by, unless nobody has promised that it is what the body says.
fn is_routing(name: &HeaderName) -> bool {
    // MCP 2026-07-28, Custom headers: parameters that only the upstream's tool definitions explain, and it checks. Behind this prefix an underscore
    // may stand: it can be taken for another parameter only.
    *name == MCP_METHOD || *name == MCP_NAME || name.as_str().starts_with("mcp-param-")
}

/// What a plain HTTP interface may need; credentials, cookies and everything about the connection are not among it. What is
/// said of a part or of a condition must pass, or the upstream would take the part for the whole (RFC 9110 14.5). An
/// event's id is the interface's own, and it is told whose the request is.
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
                // RFC 4918 10 and RFC 5023 9.7: how deep a method goes, and whether it may replace something.
                | "depth"
                | "if"
                | "lock-token"
                | "overwrite"
                | "slug"
                | "timeout"
        )
}

/// Checks that a request to a plain HTTP interface has no field that names a place by its address at the gateway. It means
/// nothing to the upstream, and without it the request would mean something else.
pub(super) fn check_addresses(from: &HeaderMap) -> Result<(), Rejection> {
    // RFC 4918 10.3: the whole address of where COPY and MOVE put things.
    if from.contains_key("destination") {
        return Err(Rejection::AddressInField("Destination is not supported: it names an address of the gateway"));
    }
    // RFC 4918 10.4.2: a list of conditions for another place begins with the address of that in angle brackets.
    if from.get_all("if").iter().any(|value| value.as_bytes().trim_ascii_start().starts_with(b"<")) {
        return Err(Rejection::AddressInField(
            "If with an address is not supported: send the conditions of the requested address, without it",
        ));
    }
    Ok(())
}
