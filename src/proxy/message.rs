//! Checks the request's body: its type and size, and for MCP the envelope and its agreement with the headers.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method};
use http_body::Body as _;

use super::batch;
use super::cached_principal::CachedPrincipal;
use super::counted_calls::CountedCalls;
use super::field::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION};
use super::headers::check_addresses;
use super::opening::Opening;
use super::rejection::Rejection;
use super::response::ending::Ids;
use super::rpc::RpcCall;
use super::upstream::request_body::Outgoing;
use super::upstream::resend::KeptRequest;
use super::verdict::{Refused, Verdict};
use super::whole_body::{BodyLimit, LargeBodies, read_whole};
use crate::config::{Config, UpstreamKind};
use crate::mcp::{
    Envelope, EnvelopeError, EnvelopeReader, HeaderMismatch, MessageKind, ProtocolVersion, RoutingHeaders,
};
use crate::web::RequestBody;

/// The amount of work on a message after which other tasks get their turn, see [`EnvelopeReader::step`]: tens of
/// microseconds.
const PIECE: usize = 16 << 10;

/// What a message is checked against besides its body.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    /// Who asks, and its route.
    pub(super) caller: &'a CachedPrincipal,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) version: ProtocolVersion,
    pub(super) config: &'a Config,
}

/// The body to be sent, and what was read from it.
pub(super) struct Message {
    pub(super) body: Outgoing,
    /// The ids of the requests in it.
    pub(super) ids: Ids,
    /// Whether its answer begins a session.
    pub(super) is_initialize: bool,
    pub(super) again: KeptRequest,
    /// What it asks for, for the access log.
    pub(super) asked: RpcCall,
    /// What the rules of the route say of it.
    pub(super) verdict: Verdict,
    /// The limits that count it.
    pub(super) counted: CountedCalls,
    /// What is kept of its messages while it is answered.
    pub(super) opening: Option<Opening>,
}

/// Checks the method against the protocol version of the request.
pub(super) fn check_method(kind: UpstreamKind, version: ProtocolVersion, method: &Method) -> Result<(), Rejection> {
    let (allowed, list) = match kind {
        UpstreamKind::Mcp if version.is_modern() => (*method == Method::POST, "POST, OPTIONS"),
        UpstreamKind::Mcp => {
            ([Method::GET, Method::POST, Method::DELETE].contains(method), "GET, POST, DELETE, OPTIONS")
        }
        // Methods that must not reach an upstream were already refused (HS-11).
        UpstreamKind::Http => return Ok(()),
    };
    if allowed { Ok(()) } else { Err(Rejection::MethodNotAllowed(list)) }
}

/// Checks the headers about the body (400, 413, 415), before a byte of it is read.
pub(super) fn check_headers(head: Head<'_>, body: &RequestBody) -> Result<(), Rejection> {
    let Head { caller, method, headers, config, .. } = head;
    let route = caller.route();
    let about_body = BodyFields::read(headers);
    // With two versions, there is no telling which one the upstream would use.
    if route.kind == UpstreamKind::Mcp && about_body.versions > 1 {
        return Err(Rejection::HeaderMismatch(HeaderMismatch { message: "MCP-Protocol-Version occurs twice" }));
    }
    if route.kind == UpstreamKind::Http {
        check_addresses(headers)?;
    }
    if body.size_hint().lower() > u64::try_from(config.limits.mcp_body).unwrap_or(u64::MAX) {
        return Err(Rejection::TooLarge);
    }
    let bodiless = match route.kind {
        UpstreamKind::Mcp => *method != Method::POST,
        UpstreamKind::Http => *method == Method::GET || *method == Method::HEAD,
    };
    if bodiless {
        // HS-07: a body that one program ignores, another takes for the next request.
        return if body.is_end_stream() { Ok(()) } else { Err(Rejection::BadBody("the method takes no body")) };
    }
    if route.kind == UpstreamKind::Http {
        return Ok(());
    }
    if about_body.types != 1 || !about_body.is_json {
        return Err(Rejection::UnsupportedMediaType("the body must be application/json"));
    }
    if about_body.is_encoded {
        return Err(Rejection::UnsupportedMediaType("the body must not be encoded"));
    }
    Ok(())
}

/// What the headers say about the body, read in one pass: for few fields, a look-up for each name costs more.
#[derive(Default)]
struct BodyFields {
    /// How many fields name the protocol version, and below the type.
    versions: usize,
    types: usize,
    /// Whether the last type is JSON.
    is_json: bool,
    /// Whether there is a coding other than `identity`.
    is_encoded: bool,
}

impl BodyFields {
    fn read(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        for (name, value) in headers {
            if *name == CONTENT_TYPE {
                read.types += 1;
                read.is_json = is_json(value.as_bytes());
            } else if *name == CONTENT_ENCODING {
                read.is_encoded |= !value.as_bytes().eq_ignore_ascii_case(b"identity");
            } else if *name == MCP_PROTOCOL_VERSION {
                read.versions += 1;
            }
        }
        read
    }
}

/// Returns whether a Content-Type is JSON, whatever its parameters.
pub(super) fn is_json(content_type: &[u8]) -> bool {
    // Nearly all have no parameters.
    content_type == b"application/json" || essence(content_type).eq_ignore_ascii_case(b"application/json")
}

/// Returns a Content-Type without its parameters.
pub(super) fn essence(content_type: &[u8]) -> &[u8] {
    content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
}

/// Reads and checks the message of an MCP request; any other body becomes a stream. A rejection comes with the id of
/// the request.
pub(super) async fn read(
    head: Head<'_>,
    body: &mut RequestBody,
    large: LargeBodies<'_>,
) -> Result<Message, (Rejection, Ids)> {
    let Head { caller, method, path, headers, version, config } = head;
    let route = caller.route();
    let (limit, time) = (config.limits.mcp_body, config.timeouts.mcp_body);
    if route.kind == UpstreamKind::Http || *method != Method::POST || !route.check_envelope {
        if route.kind == UpstreamKind::Mcp && route.check_envelope {
            check_version(version, headers).map_err(|rejection| (rejection, Ids::None))?;
        }
        let body =
            if body.is_end_stream() { Outgoing::Empty } else { Outgoing::stream(std::mem::take(body), limit, time) };
        let again = KeptRequest::of_request(method, &body);
        let verdict = Verdict::of_request(caller.access(), method.as_str(), path);
        let (counted, asked) = (CountedCalls::of_request(caller, method.as_str(), path), RpcCall::default());
        return Ok(Message {
            body,
            ids: Ids::None,
            is_initialize: false,
            again,
            asked,
            verdict,
            counted,
            opening: None,
        });
    }
    let read = read_whole(body, BodyLimit { bytes: limit, time }, config.limits.inspect_body, large).await;
    // Nobody wants the rest, if there is one.
    drop(std::mem::take(body));
    let bytes = read.map_err(|rejection| (rejection, Ids::None))?;
    let messages =
        look_into(&bytes, version.allows_batch()).await.map_err(|fault| (Rejection::Envelope(fault), Ids::None))?;
    let ids = Ids::of(&bytes, &messages);
    match check(&messages, version, headers) {
        Ok(()) => {
            let again = KeptRequest::of_message(route, &bytes, messages.iter().all(Envelope::only_reads));
            let is_initialize = messages.iter().any(|message| message.method.as_deref() == Some("initialize"));
            let asked = RpcCall::of(&bytes, &messages);
            let verdict = match Verdict::of_messages(caller.access(), (&messages, &bytes), version) {
                Verdict::Refused(refused) if refused.is_part() => {
                    drop(messages);
                    // Boxed, because it is rare.
                    let rest = Box::pin(rest_of_batch(caller, bytes, refused)).await;
                    return rest.map_err(|rejection| (rejection, Ids::None));
                }
                verdict @ (Verdict::Passes | Verdict::Refused(_)) => verdict,
            };
            let counted = CountedCalls::of_messages(caller, &messages);
            let opening = Some(Opening::of_messages(&bytes, &messages));
            let body = Outgoing::Whole(Some(bytes.into()));
            Ok(Message { body, ids, is_initialize, again, asked, verdict, counted, opening })
        }
        Err(rejection) => Err((rejection, ids)),
    }
}

/// Parses a message piece by piece, so that a large one does not delay other requests.
async fn look_into(body: &[u8], batch: bool) -> Result<Vec<Envelope<'_>>, EnvelopeError> {
    let mut reader = EnvelopeReader::new(body, batch)?;
    if let Some(read) = reader.step(PIECE) {
        return read;
    }
    // Boxed, because it is rare and large.
    let rest = async move {
        loop {
            tokio::task::yield_now().await;
            if let Some(read) = reader.step(PIECE) {
                return read;
            }
        }
    };
    Box::pin(rest).await
}

/// Leaves the refused messages out of a batch.
async fn rest_of_batch(caller: &CachedPrincipal, batch: Bytes, refused: Box<Refused>) -> Result<Message, Rejection> {
    let mut messages = look_into(&batch, true).await.map_err(Rejection::Envelope)?;
    let asked = RpcCall::of(&batch, &messages);
    let bytes = batch::without(&batch, &refused).await.ok_or(Rejection::Internal)?;
    refused.places().rev().for_each(|place| drop(messages.remove(place)));
    let again = KeptRequest::of_message(caller.route(), &bytes, messages.iter().all(Envelope::only_reads));
    let is_initialize = messages.iter().any(|message| message.method.as_deref() == Some("initialize"));
    let counted = CountedCalls::of_messages(caller, &messages);
    let ids = Ids::of_part(&batch, &messages);
    let opening = Some(Opening::of_messages(&bytes, &messages));
    let part = refused.part(caller, ids).ok_or(Rejection::Internal)?;
    Ok(Message {
        body: Outgoing::Whole(Some(bytes.into())),
        ids: Ids::Part(Box::new(part)),
        is_initialize,
        again,
        asked,
        verdict: Verdict::Refused(refused),
        counted,
        opening,
    })
}

/// Refuses a version that the gateway does not know.
fn check_version(version: ProtocolVersion, headers: &HeaderMap) -> Result<(), Rejection> {
    if !matches!(version, ProtocolVersion::Unknown { .. }) {
        return Ok(());
    }
    let requested = headers.get(MCP_PROTOCOL_VERSION).map(http::HeaderValue::as_bytes).unwrap_or_default();
    Err(Rejection::UnsupportedVersion(String::from_utf8_lossy(requested.trim_ascii()).into()))
}

fn check(messages: &[Envelope<'_>], version: ProtocolVersion, headers: &HeaderMap) -> Result<(), Rejection> {
    if let ProtocolVersion::Unknown { modern } = version {
        let version_header = headers.get(MCP_PROTOCOL_VERSION).map(http::HeaderValue::as_bytes);
        let routing = RoutingHeaders { version: version_header, ..RoutingHeaders::default() };
        for message in messages {
            routing.agrees_on_the_version(message).map_err(Rejection::HeaderMismatch)?;
            // `initialize` negotiates the version: the upstream answers with its own (lifecycle of all older
            // revisions).
            if modern || message.method.as_deref() != Some("initialize") {
                check_version(version, headers)?;
            }
        }
    }
    if !version.is_modern() {
        // MC-04: older revisions do not require the headers to agree with the body, so they cannot be relied on.
        return Ok(());
    }
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
            (_, Some(_)) => Err(Rejection::HeaderMismatch(HeaderMismatch { message: "a routing header occurs twice" })),
        }
    };
    let routing =
        RoutingHeaders { version: one(MCP_PROTOCOL_VERSION)?, method: one(MCP_METHOD)?, name: one(MCP_NAME)? };
    for message in messages {
        if message.kind == MessageKind::Response {
            let message = "a client of this revision sends no responses";
            return Err(Rejection::Envelope(EnvelopeError { code: -32600, message, id: None }));
        }
        routing.agree_with(message).map_err(Rejection::HeaderMismatch)?;
    }
    Ok(())
}
