//! One request: is it for us, and whose is its path? Then the proxy or an endpoint answers.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::header::{CONNECTION, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use super::connection::Connection;
use super::health;
use super::host::{self, Hosts};
use super::stream::{Flight, Progress, Tracked};
use super::worker::Snapshot;
use crate::config::{Config, Listener};
use crate::issuer::Caller;
use crate::oauth::show;
use crate::proxy::Peer;
use crate::telemetry::ServerEvent;
use crate::web::peer::{self, Origin};
use crate::web::{Reason, RequestBody, Response as Reply, reply};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The longest field value: what no token, cookie or trace comes near.
const LONGEST_VALUE: usize = 16 << 10;

/// Bytes of a path that are logged.
const LOGGED_PATH: usize = 256;

/// Answers a request. Never fails: a panic of a handler is answered 500, and only its connection ends.
pub(super) async fn serve(
    connection: Arc<Connection>,
    request: Request<Incoming>,
    progress: Option<Arc<Progress>>,
) -> Result<Response<Tracked>, Infallible> {
    let (flight, fragment) = Flight::begin(connection);
    let connection = flight.connection();
    let snapshot = connection.worker.snapshot();
    let id = connection.worker.request_id();
    let (version, is_head) = (request.version(), request.method() == Method::HEAD);
    let mut request = RequestBody::of(request);
    if version == Version::HTTP_2 && request.headers().contains_key(EXPECT) {
        request.body_mut().is_held_back(Arc::clone(&connection.go_on));
    }
    let answer = shield(answer(connection, &snapshot, request, fragment, &id)).await;
    let mut response = answer.unwrap_or_else(|| {
        connection.worker.process.metrics.server(ServerEvent::HandlerPanicked);
        tracing::error!(request_id = id.to_str().unwrap_or_default(), "the handler of a request panicked");
        refuse(Refusal::Internal, version, &snapshot.config)
    });
    // RFC 9110 9.3.2: no content, in refusals neither. hyper leaves it out over HTTP/1.1 only.
    if is_head && response.body().size_hint().lower() > 0 {
        reply::drop_content(&mut response);
    }
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    Ok(response.map(|body| Tracked::new(body, flight, progress)))
}

/// Runs a handler; `None` when it panicked. Its state is lost with it, so nothing half-changed is seen again.
async fn shield(handler: impl Future<Output = Reply>) -> Option<Reply> {
    AssertUnwindSafe(handler).catch_unwind().await.ok()
}

async fn answer(
    connection: &Connection,
    snapshot: &Snapshot,
    request: Request<RequestBody>,
    fragment: bool,
    id: &HeaderValue,
) -> Reply {
    let checked =
        if fragment { Err(Refusal::Target) } else { check(&request, connection, &snapshot.hosts, &snapshot.config) };
    if health::is_asked(&request, &snapshot.config.public) {
        let names_none = checked == Err(Refusal::HostMalformed) && health::names_no_host(&request);
        if names_none || matches!(checked, Ok(()) | Err(Refusal::Host)) {
            return health::answer(&connection.worker.process, request.method(), &snapshot.config.public);
        }
    }
    let (address, forwarded_for) = origin(connection, &snapshot.config.public, &request);
    if let Err(refusal) = checked {
        let event = if refusal == Refusal::Host { ServerEvent::WrongHost } else { ServerEvent::BadTarget };
        connection.worker.process.metrics.server(event);
        let response = refuse(refusal, request.version(), &snapshot.config);
        let host = matches!(refusal, Refusal::Host | Refusal::HostMalformed).then(|| host_of(&request));
        let asked = Asked { method: request.method(), path: request.uri().path(), host, address, id };
        log(&asked, &response, refusal.reason(), refusal.key(), Duration::ZERO);
        return response;
    }
    match snapshot.table.find(request.uri().path()) {
        Some(route) => {
            let mut peer = Peer { address, forwarded_for, request_id: id.clone(), has_good_token: false };
            let (table, config) = (&snapshot.table, &snapshot.config);
            let response = connection.worker.proxy.serve(table, route, config, request, &mut peer).await;
            if peer.has_good_token {
                connection.know();
            }
            response
        }
        // Boxed: the control path's state is large and its requests are few; the data path need not carry it.
        None => Box::pin(control(connection, request, address, id)).await,
    }
}

/// Answers a request of the control path and logs it; the proxy logs its own when their answers have ended.
async fn control(connection: &Connection, request: Request<RequestBody>, address: IpAddr, id: &HeaderValue) -> Reply {
    let begun = tokio::time::Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let caller = Caller::new(Some(address), id.to_str().ok().map(str::to_owned));
    let response = connection.worker.process.endpoints.serve(request, caller).await;
    let reason = response.extensions().get().map(|Reason(word)| *word);
    let asked = Asked { method: &method, path: &path, host: None, address, id };
    log(&asked, &response, reason, None, begun.elapsed());
    response
}

/// What was asked of us, for the log.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    /// Where it is the fault: the host that came.
    host: Option<String>,
    address: IpAddr,
    id: &'a HeaderValue,
}

/// Logs a request that no upstream was asked for. Neither query nor fields: they hold codes and tokens.
fn log(asked: &Asked<'_>, response: &Reply, reason: Option<&str>, key: Option<&str>, time: Duration) {
    let Asked { method, path, host, address, id } = asked;
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
        request_id = id.to_str().unwrap_or_default(),
    );
}

/// Returns the host that a request named, as the log may show it; with the one that a proxy says came to it.
fn host_of(request: &Request<RequestBody>) -> String {
    let text = |value: &HeaderValue| show(&String::from_utf8_lossy(value.as_bytes()));
    let list = |name| request.headers().get_all(name).iter().take(2).map(text).collect::<Vec<_>>().join(", ");
    let host = match request.uri().authority() {
        Some(authority) => show(authority.as_str()),
        None => list(HOST),
    };
    let forwarded = list(X_FORWARDED_HOST);
    if forwarded.is_empty() { host } else { format!("{host} (X-Forwarded-Host: {forwarded})") }
}

/// Who calls: the peer, unless a trusted proxy says otherwise.
fn origin(connection: &Connection, public: &Listener, request: &Request<RequestBody>) -> (IpAddr, HeaderValue) {
    // With a PROXY header the client has been named already, and its own fields are not to be believed.
    if public.proxy_protocol || !peer::is_trusted(connection.peer, &public.trusted_proxies) {
        return (connection.peer, connection.forwarded_for.clone());
    }
    let fields = request.headers().get_all(&X_FORWARDED_FOR);
    let origin = Origin::find(connection.peer, fields.iter(), &public.trusted_proxies);
    (origin.address, origin.forwarded_for())
}

/// Why a request is refused before anybody looks at what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Connect,
    Expectation,
    FieldsTooLarge,
    Framing,
    Host,
    HostMalformed,
    Internal,
    Target,
    TargetTooLong,
    Trace,
}

impl Refusal {
    /// Returns the word for the access line.
    const fn reason(self) -> Option<&'static str> {
        Some(match self {
            Self::Connect => "connect",
            Self::Expectation => "expectation",
            Self::FieldsTooLarge => "fields_too_large",
            Self::Framing => "framing",
            Self::Host => "wrong_host",
            Self::HostMalformed => "host_malformed",
            Self::Internal => "internal",
            Self::Target => "target_malformed",
            Self::TargetTooLong => "target_too_long",
            Self::Trace => "trace",
        })
    }

    /// Returns the key of the configuration that it comes from.
    const fn key(self) -> Option<&'static str> {
        match self {
            Self::Host => Some("public_url, extra_hosts"),
            Self::FieldsTooLarge => Some("limits.head_bytes, limits.header_fields"),
            Self::TargetTooLong => Some("limits.request_target"),
            Self::Connect
            | Self::Expectation
            | Self::Framing
            | Self::HostMalformed
            | Self::Internal
            | Self::Target
            | Self::Trace => None,
        }
    }

    /// Returns status and description.
    const fn words(self) -> (StatusCode, &'static str) {
        match self {
            Self::Connect => (StatusCode::NOT_IMPLEMENTED, "this is not a forward proxy"),
            Self::Expectation => (StatusCode::EXPECTATION_FAILED, "only 100-continue is known"),
            Self::FieldsTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the header fields are too large"),
            Self::Framing => (StatusCode::BAD_REQUEST, "the only transfer coding is chunked, once"),
            Self::Host => (StatusCode::MISDIRECTED_REQUEST, "this host is not served here"),
            Self::HostMalformed => (StatusCode::BAD_REQUEST, "exactly one well-formed Host is needed"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here"),
            Self::Target => (StatusCode::BAD_REQUEST, "the request target is malformed"),
            Self::TargetTooLong => (StatusCode::URI_TOO_LONG, "the request target is too long"),
            Self::Trace => (StatusCode::METHOD_NOT_ALLOWED, "TRACE is not served"),
        }
    }
}

fn refuse(refusal: Refusal, version: Version, config: &Config) -> Reply {
    let (status, description) = refusal.words();
    // RFC 6749 5.2, 4.1.2.1: the registered words.
    let word = if refusal == Refusal::Internal { "server_error" } else { "invalid_request" };
    let body = format!(r#"{{"error":"{word}","error_description":"{description}"}}"#);
    let mut response = reply::json(status, body);
    reply::protect(response.headers_mut(), &config.public);
    if refusal == Refusal::Trace {
        response
            .headers_mut()
            .insert(http::header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, DELETE, OPTIONS"));
    }
    // Whoever is misunderstood here may be misunderstood about where the next request begins. HTTP/2 frames its
    // streams, and knows no such field (RFC 9113 8.2.2).
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn check(
    request: &Request<RequestBody>,
    connection: &Connection,
    hosts: &Hosts,
    config: &Config,
) -> Result<(), Refusal> {
    let limits = &config.limits;
    match *request.method() {
        Method::CONNECT => return Err(Refusal::Connect),
        Method::TRACE => return Err(Refusal::Trace),
        _ => {}
    }
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, |query| query.len() + 1) > limits.request_target {
        return Err(Refusal::TargetTooLong);
    }
    // RFC 9112 3.2: `*` and a bare authority are for OPTIONS and CONNECT, which have no use for them here.
    if !uri.path().starts_with('/') || (uri.authority().is_some() && !is_web(uri.scheme_str())) {
        return Err(Refusal::Target);
    }
    let mut size = 0;
    let (mut named, mut coded) = (None, false);
    for (name, value) in request.headers() {
        // As on the wire: name, colon, blank, value, line end.
        size += name.as_str().len() + value.len() + 4;
        if value.len() > LONGEST_VALUE {
            return Err(Refusal::FieldsTooLarge);
        }
        if name == HOST {
            // RFC 9112 3.2: more than one, or one that is none, is answered 400.
            let host = value.to_str().map_err(|_| Refusal::HostMalformed)?;
            if named.replace(host).is_some() {
                return Err(Refusal::HostMalformed);
            }
        } else if name == TRANSFER_ENCODING {
            // RFC 9112 6.1: of what hyper lets pass, only one coding is read the same way by everybody behind us.
            if std::mem::replace(&mut coded, true) || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Framing);
            }
        } else if name == EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::Expectation);
        }
    }
    if size > limits.head_bytes || request.headers().len() > limits.header_fields {
        return Err(Refusal::FieldsTooLarge);
    }
    let target = uri.authority().map(http::uri::Authority::as_str);
    let authority = match (target, named) {
        // RFC 9113 8.3.1: a Host field must say what `:authority` says.
        (Some(target), Some(host)) if request.version() == Version::HTTP_2 && !target.eq_ignore_ascii_case(host) => {
            return Err(Refusal::HostMalformed);
        }
        (Some(target), None) if request.version() == Version::HTTP_2 => target,
        // RFC 9112 3.2.2: the target's authority wins; the Host field must be there all the same.
        (target, Some(host)) => {
            host::split(host).ok_or(Refusal::HostMalformed)?;
            target.unwrap_or(host)
        }
        (_, None) => return Err(Refusal::HostMalformed),
    };
    let (name, _) = host::split(authority).ok_or(Refusal::HostMalformed)?;
    // RFC 9110 7.4: for another host than the certificate was shown for, this connection is the wrong one. An address
    // cannot stand in SNI (RFC 6066 3), so beside one whatever the client said there tells nothing.
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let misdirected =
        connection.server_name.as_deref().is_some_and(|sni| !is_address && !sni.eq_ignore_ascii_case(name));
    if misdirected
        || !(hosts.has(authority) || is_forwarded_to_us(request, connection.peer, hosts, authority, &config.public))
    {
        return Err(Refusal::Host);
    }
    Ok(())
}

/// Whether a trusted proxy says that what came to it was for us. Proxies name themselves, or their upstream, in Host, or
/// leave the port out (nginx's `$host`); the port at which they were called is theirs to check.
fn is_forwarded_to_us(
    request: &Request<RequestBody>,
    peer: IpAddr,
    hosts: &Hosts,
    authority: &str,
    public: &Listener,
) -> bool {
    if public.proxy_protocol || !peer::is_trusted(peer, &public.trusted_proxies) {
        return false;
    }
    let is_ours =
        |host: &str| hosts.has(host) || matches!(host::split(host), Some((name, None)) if hosts.has_name(name));
    let mut fields = request.headers().get_all(&X_FORWARDED_HOST).iter();
    match (fields.next(), fields.next()) {
        (None, _) => is_ours(authority),
        // A list was added to by each proxy on its right, as X-Forwarded-For is: what the nearest one wrote is believed.
        (Some(field), None) => {
            field.to_str().is_ok_and(|list| list.rsplit(',').next().is_some_and(|h| is_ours(h.trim())))
        }
        (Some(_), Some(_)) => false,
    }
}

fn is_web(scheme: Option<&str>) -> bool {
    matches!(scheme, Some("http" | "https"))
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
