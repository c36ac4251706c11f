//! Dispatches one request: checks that it is for us, then passes it to the proxy or an endpoint by its path.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::header::{CONNECTION, EXPECT, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use super::connection::Connection;
use super::connection::in_flight::{InFlight, Tracked};
use super::connection::stream::Progress;
use super::request_check::{X_FORWARDED_HOST, check};
use super::request_refusal::RequestRefusal;
use super::worker::Snapshot;
use super::{alias, health};
use crate::config::Listener;
use crate::issuer::Caller;
use crate::oauth::show;
use crate::proxy::{Destination, Peer};
use crate::web::peer::{self, Origin};
use crate::web::{Reason, RequestBody, RequestId, Response as Reply, reply};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many bytes of a path are logged.
const LOGGED_PATH: usize = 256;

/// Answers a request. Never fails: a panic of a handler is answered 500, and only its connection ends.
///
/// An idle connection over HTTP/1.1 keeps the room of this future, so all stages are lent one head and one body.
// No `async fn`: its future would hold what it is given twice.
pub(super) fn serve(
    connection: Arc<Connection>,
    request: Request<Incoming>,
    progress: Option<Arc<Progress>>,
) -> impl Future<Output = Result<Response<Tracked>, Infallible>> {
    let (in_flight, fragment) = InFlight::begin(connection);
    let snapshot = in_flight.connection().worker.snapshot();
    let (mut head, mut body) = RequestBody::of(request).into_parts();
    if !body.is_end_stream() {
        body.tell(in_flight.listener());
        if head.version == Version::HTTP_2 && head.headers.contains_key(EXPECT) {
            body.hold_back();
        }
    }
    async move {
        let connection = in_flight.connection();
        let id = connection.worker.request_id();
        let (version, is_head) = (head.version, head.method == Method::HEAD);
        let request = Asked { head: &mut head, body: &mut body, fragment, id };
        let answer = shield(answer(connection, &snapshot, request)).await;
        let mut response = answer.unwrap_or_else(|| {
            let refusal = RequestRefusal::Internal;
            connection.worker.process.metrics.server(refusal.row().event);
            tracing::error!(request_id = id.digits().as_str(), "the handler of a request panicked");
            refusal.respond(version, &snapshot.config)
        });
        // RFC 9110 9.3.2: no content, not even in refusals. hyper leaves it out over HTTP/1.1 only.
        if is_head && response.body().size_hint().lower() > 0 {
            reply::drop_content(&mut response);
        }
        if is_error(&response) {
            response.headers_mut().insert(X_REQUEST_ID, id.header());
            if hold_back(version, &head.headers, &mut body) {
                close(&mut response);
            }
        }
        Ok(response.map(|body| Tracked::new(body, in_flight, progress)))
    }
}

/// A request: lent, so that it is held once.
struct Asked<'a> {
    head: &'a mut Parts,
    body: &'a mut RequestBody,
    /// Whether its target had a fragment.
    fragment: bool,
    id: RequestId,
}

/// Runs a handler; `None` when it panicked. Its state is dropped with it, so nothing half-changed is seen again.
// Not an `async fn`: its future would contain the handler's twice, as argument and as awaited value.
fn shield(handler: impl Future<Output = Reply>) -> impl Future<Output = Option<Reply>> {
    AssertUnwindSafe(handler).catch_unwind().map(Result::ok)
}

async fn answer(connection: &Connection, snapshot: &Snapshot, request: Asked<'_>) -> Reply {
    let Asked { head, body, fragment, id } = request;
    let checked = if fragment {
        Err(RequestRefusal::Target)
    } else {
        check(head, connection, snapshot.hosts.of(connection.listener), &snapshot.config)
    };
    if health::is_asked(head, &snapshot.config.public) {
        let names_none = checked == Err(RequestRefusal::HostMalformed) && health::names_no_host(head);
        if names_none || matches!(checked, Ok(()) | Err(RequestRefusal::Host)) {
            return health::answer(&connection.worker.process, &head.method, &snapshot.config.public);
        }
    }
    let (address, forwarded_for) = client_address(connection, &snapshot.config.public, &head.headers);
    if let Err(refusal) = checked {
        let row = refusal.row();
        connection.worker.process.metrics.server(row.event);
        let response = refusal.respond(head.version, &snapshot.config);
        let host = row.shows_host.then(|| requested_host(head));
        let asked = RequestLine { method: &head.method, path: head.uri.path(), host, address, id };
        log(&asked, &response, Some(row.reason), row.key, Duration::ZERO);
        return response;
    }
    let public_path = &snapshot.config.public_path;
    let is_ours = public_path.is_empty() || connection.listener > 0 || alias::strip(&mut head.uri, public_path);
    match snapshot.table.find_at(connection.listener, head.uri.path()).filter(|_| is_ours) {
        Some(route) => {
            let mut peer = Peer { address, forwarded_for, request_id: id, has_good_token: false };
            let to = Destination { table: &snapshot.table, route, config: &snapshot.config };
            let response = connection.worker.proxy.serve(to, head, body, &mut peer).await;
            if peer.has_good_token {
                connection.mark_known();
            }
            response
        }
        // Boxed: the control path's state is large and its requests are few, so the data path should not carry it.
        None => {
            let face = if is_ours && connection.listener == 0 { ControlFace::Whole } else { ControlFace::Documents };
            Box::pin(control((connection, face), snapshot, take(head, body), address, id)).await
        }
    }
}

fn is_error(response: &Reply) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}

/// Returns whether the client of an HTTP/1.1 request may be holding its body back; if so, only who reads the body asks
/// for it.
fn hold_back(version: Version, headers: &HeaderMap, body: &mut RequestBody) -> bool {
    let holds_back = version < Version::HTTP_2 && !body.is_end_stream() && headers.contains_key(EXPECT);
    if holds_back {
        body.hold_back();
    }
    holds_back
}

/// RFC 9110 10.1.1: a client whose request is refused while it holds the body back is told that the connection closes.
fn close(refusal: &mut Reply) {
    refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Takes a request that was lent.
fn take(head: &mut Parts, body: &mut RequestBody) -> Request<RequestBody> {
    let (empty, ()) = Request::new(()).into_parts();
    Request::from_parts(std::mem::replace(head, empty), std::mem::take(body))
}

/// What of the control path a request may reach.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ControlFace {
    /// Pages, endpoints and documents.
    Whole,
    /// Documents of metadata alone: at the origin of upstreams, and beside the path of the public URL. No page is
    /// served there, and no cookie is read or set.
    Documents,
}

/// Answers a request of the control path and logs it; the proxy logs its own requests when their answers have ended.
async fn control(
    (connection, face): (&Connection, ControlFace),
    snapshot: &Snapshot,
    request: Request<RequestBody>,
    address: IpAddr,
    id: RequestId,
) -> Reply {
    let begun = tokio::time::Instant::now();
    let (mut head, mut body) = request.into_parts();
    if face == ControlFace::Whole {
        alias::resolve(&mut head.uri, &snapshot.config.aliases);
    }
    let held_back = hold_back(head.version, &head.headers, &mut body);
    let request = Request::from_parts(head, body);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let caller = Caller::new(Some(address), Some(id.digits().as_str().to_owned()))
        .with_user_agent(request.headers().get(USER_AGENT).map(HeaderValue::as_bytes));
    let config = Arc::clone(&snapshot.config);
    let endpoints = &connection.worker.process.endpoints;
    let mut response = match face {
        ControlFace::Whole => endpoints.serve(request, caller, config).await,
        ControlFace::Documents => endpoints.serve_documents(&request, connection.listener, &config),
    };
    if held_back && is_error(&response) {
        close(&mut response);
    }
    let reason = response.extensions().get().map(|Reason(word)| *word);
    let asked = RequestLine { method: &method, path: &path, host: None, address, id };
    log(&asked, &response, reason, None, begun.elapsed());
    response
}

/// The request line, for the log.
struct RequestLine<'a> {
    method: &'a Method,
    path: &'a str,
    /// The host that was sent, if it is the reason for the refusal.
    host: Option<String>,
    address: IpAddr,
    id: RequestId,
}

/// Logs a request that was not for an upstream, without query and header fields, which may contain codes and tokens.
fn log(asked: &RequestLine<'_>, response: &Reply, reason: Option<&str>, key: Option<&str>, time: Duration) {
    let RequestLine { method, path, host, address, id } = asked;
    tracing::info!(
        target: "mcpgate::access",
        path = path.get(..path.floor_char_boundary(LOGGED_PATH)).unwrap_or_default(),
        %method,
        status = response.status().as_u16(),
        reason,
        host = host.as_deref(),
        key,
        %address,
        bytes = response.body().size_hint().lower(),
        duration_ms = (time.as_secs_f64() * 1e6).round() / 1e3,
        request_id = id.digits().as_str(),
    );
}

/// Returns the host that a request named, as the log may show it, and the one that a proxy reports.
fn requested_host(head: &Parts) -> String {
    let text = |value: &HeaderValue| show(&String::from_utf8_lossy(value.as_bytes()));
    let list = |name| head.headers.get_all(name).iter().take(2).map(text).collect::<Vec<_>>().join(", ");
    let host = match head.uri.authority() {
        Some(authority) => show(authority.as_str()),
        None => list(HOST),
    };
    let forwarded = list(X_FORWARDED_HOST);
    if forwarded.is_empty() { host } else { format!("{host} (X-Forwarded-Host: {forwarded})") }
}

/// Returns the client's address: the peer's, unless a trusted proxy says otherwise.
fn client_address(connection: &Connection, public: &Listener, headers: &HeaderMap) -> (IpAddr, HeaderValue) {
    // With a PROXY header the client is already known, and its own fields are not trusted.
    if public.proxy_protocol || !peer::is_trusted(connection.peer, &public.trusted_proxies) {
        return (connection.peer, connection.forwarded_for.clone());
    }
    let fields = headers.get_all(&X_FORWARDED_FOR);
    let origin = Origin::find(connection.peer, fields.iter(), &public.trusted_proxies);
    (origin.address, origin.forwarded_for())
}

#[cfg(test)]
mod tests {
    use super::shield;
    use crate::web::reply;
    use http::StatusCode;

    #[tokio::test]
    async fn lk_02_a_panic_is_caught_where_the_request_is_answered() {
        assert!(shield(async { panic!("mcp_access_secret") }).await.is_none());
        assert!(shield(async { reply::empty(StatusCode::OK) }).await.is_some());
    }
}
