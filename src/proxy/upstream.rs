//! The connections of one worker to one upstream: HTTP/1.1, last used first used again, or shared ones of HTTP/2 where
//! ALPN offers it. A bounded number of requests is under way, a bounded number waits.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use tokio::time::{Instant, timeout};

use super::breaker::Breaker;
use super::connect::{self, Dialled};
use super::fault::{self, Cause, Fault};
use super::outgoing::Outgoing;
use super::permit::Permit;
use super::places::{Place, Places};
use super::rejection::Rejection;
use super::route::Route;
use super::shared::{Share, Shared};
use crate::telemetry::{UpstreamConnection, WorkerMetrics};

/// Common servers close a connection that was idle for 5 s without saying so; one second less avoids the race that
/// ends in a 502, and a new connection costs a loopback or data-centre upstream next to nothing.
const IDLE: Duration = Duration::from_secs(4);
/// The longest answer head.
pub(super) const MAX_HEAD: usize = 32 * 1024;
/// The most fields of an answer.
const MAX_FIELDS: usize = 64;
/// The read buffer of a connection at most: four TLS records.
const MAX_BUFFER: usize = 64 * 1024;
/// Requests that wait for a connection, as a multiple of the connections.
const WAITING_PER_CONNECTION: usize = 4;
/// How long one waits.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// One worker's connections to one upstream.
pub(super) struct Pool {
    route: Arc<Route>,
    metrics: WorkerMetrics,
    idle: Mutex<Vec<Idle>>,
    shared: Shared,
    breaker: Breaker,
    places: Arc<Places>,
    /// Whether a task looks after the idle ones.
    tended: AtomicBool,
}

/// A connection of HTTP/1.1.
struct Line {
    sender: http1::SendRequest<Outgoing>,
    counted: UpstreamConnection,
}

struct Idle {
    line: Line,
    since: Instant,
}

/// A connection that serves one request. Dropping it closes the connection, unless its answer was read to the end, or
/// others share it.
pub(super) struct Lease {
    pool: Arc<Pool>,
    line: Option<Line>,
    share: Option<Share>,
}

/// What is asked of an upstream.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: Outgoing,
}

impl Pool {
    pub(super) fn new(route: &Arc<Route>, metrics: WorkerMetrics) -> Arc<Self> {
        Arc::new(Self {
            route: Arc::clone(route),
            metrics,
            idle: Mutex::default(),
            shared: Shared::default(),
            breaker: Breaker::default(),
            places: Places::new(route.max_connections, route.max_connections.saturating_mul(WAITING_PER_CONNECTION)),
            tended: AtomicBool::new(false),
        })
    }

    /// Returns whether these are the connections for a route.
    pub(super) fn is_for(&self, route: &Arc<Route>) -> bool {
        Arc::ptr_eq(&self.route, route)
    }

    /// Takes one of the places for requests under way, of which no user holds more than are left for others.
    pub(super) async fn enter(&self, permit: &Permit) -> Result<Place, Rejection> {
        self.places.take(&permit.caller().budget, MAX_WAIT).await
    }

    /// Sends a request that is permitted and has its place, and returns the head of the answer.
    pub(super) async fn send(
        self: &Arc<Self>,
        _permit: &Permit,
        _place: &Place,
        ask: Ask,
    ) -> Result<(Response<Incoming>, Lease), Rejection> {
        let mut lease = Lease { pool: Arc::clone(self), line: None, share: None };
        let mut request = Request::new(ask.body);
        *request.method_mut() = ask.method;
        *request.headers_mut() = ask.headers;
        *request.uri_mut() = Uri::from(ask.target);
        // A connection that was closed while idle gives the request back unsent. Nothing else is ever sent twice: the
        // upstream may have acted (UP-13).
        while let Some(line) = self.take_idle() {
            match self.exchange(lease.line.insert(line), request).await {
                Ok(response) => return checked(response).map(|r| (r, lease)),
                Err(Failure::Unsent(again)) => request = *again,
                Err(Failure::Refused(rejection)) => return Err(rejection),
            }
        }
        let shared = match self.shared.take() {
            Some(share) => Box::pin(self.exchange_shared(lease.share.insert(share), request)).await,
            None => Err(Failure::Unsent(Box::new(request))),
        };
        let sent = match shared {
            // Boxed: a handshake's state is large and rare; a request on a kept connection need not carry its room.
            Err(Failure::Unsent(again)) => Box::pin(self.connect_and_send(&mut lease, *again)).await,
            Ok(_) | Err(Failure::Refused(_)) => shared,
        };
        match sent {
            Ok(response) => checked(response).map(|r| (r, lease)),
            Err(Failure::Unsent(_)) => {
                Err(Fault::new(Cause::ClosedEarly, "a new connection ended before anything was sent").into())
            }
            Err(Failure::Refused(rejection)) => Err(rejection),
        }
    }

    async fn connect_and_send(&self, lease: &mut Lease, mut request: Request<Outgoing>) -> Sent {
        let resting = || Fault::new(Cause::Resting, "no connection could be made a moment ago");
        let attempt = self.breaker.attempt(Instant::now()).ok_or_else(resting)?;
        let dialled = connect::dial(&self.route.origin).await;
        attempt.end(dialled.is_ok(), Instant::now());
        let dialled = dialled?;
        let counted = self.metrics.connection(self.route.index);
        let opened = match dialled {
            Dialled::Plain(io) => open(io).await,
            Dialled::Tls(io) => open(io).await,
            Dialled::Http2(io) => {
                let share = self.shared.open(io, counted).await.map_err(|e| Failure::Refused(fault(&e)))?;
                return self.exchange_shared(lease.share.insert(share), request).await;
            }
        };
        let sender = opened.map_err(|e| Failure::Refused(fault(&e)))?;
        if request.version() == Version::HTTP_2 {
            // It was meant for a shared connection that has gone.
            let target = request.uri().path_and_query().cloned().map(Uri::from);
            *request.uri_mut() = target.unwrap_or_default();
            *request.version_mut() = Version::HTTP_11;
            request.headers_mut().insert(HOST, self.route.origin.host_header.clone());
        }
        self.exchange(lease.line.insert(Line { sender, counted }), request).await
    }

    async fn exchange(&self, line: &mut Line, request: Request<Outgoing>) -> Sent {
        match timeout(self.route.first_byte_timeout, line.sender.try_send_request(request)).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(self.too_slow()),
        }
    }

    async fn exchange_shared(&self, share: &mut Share, mut request: Request<Outgoing>) -> Sent {
        let origin = &self.route.origin;
        // RFC 9113 8.3.1: the authority stands in its pseudo-field.
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(origin.scheme.clone());
        parts.authority = Some(origin.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Failure::Refused(Rejection::Internal))?;
        request.headers_mut().remove(HOST);
        *request.version_mut() = Version::HTTP_2;
        match timeout(self.route.first_byte_timeout, share.sender.try_send_request(request)).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(self.too_slow()),
        }
    }

    fn too_slow(&self) -> Failure {
        Fault::new(Cause::TooSlow, format!("no head of an answer in {:?}", self.route.first_byte_timeout)).into()
    }

    fn take_idle(&self) -> Option<Line> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The one used last is the warmest; those below it rest until they are too old. HS-19: one that still sends
        // another request's body, which its upstream did not wait for, is not ready and serves nobody any more.
        while let Some(Idle { mut line, since }) = idle.pop() {
            if line.sender.is_ready() && since.elapsed() < IDLE {
                line.counted.set_idle(false);
                return Some(line);
            }
        }
        None
    }

    fn put_back(self: &Arc<Self>, mut line: Line) {
        if line.sender.is_closed() {
            return;
        }
        line.counted.set_idle(true);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle { line, since: Instant::now() });
        let tended = self.tended.swap(true, Ordering::Relaxed);
        drop(idle);
        if !tended {
            tokio::spawn(Arc::clone(self).close_old());
        }
    }

    /// Closes connections that nobody has used for long; ends when there are none.
    async fn close_old(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|i| !i.line.sender.is_closed() && i.since.elapsed() < IDLE);
            if idle.is_empty() {
                // Told while the list is locked, so that who adds to it next starts another.
                self.tended.store(false, Ordering::Relaxed);
                return;
            }
        }
    }
}

impl Lease {
    /// The answer was read to its end: the connection may serve again.
    pub(super) fn finish(mut self) {
        if let Some(line) = self.line.take() {
            self.pool.put_back(line);
        }
    }
}

type Sent = Result<Response<Incoming>, Failure>;

/// Why there is no answer.
enum Failure {
    /// Nothing was sent: here is the request again.
    Unsent(Box<Request<Outgoing>>),
    Refused(Rejection),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault.into())
    }
}

impl From<TrySendError<Request<Outgoing>>> for Failure {
    fn from(mut error: TrySendError<Request<Outgoing>>) -> Self {
        match error.take_message() {
            Some(request) => Self::Unsent(Box::new(request)),
            None => Self::Refused(fault(error.error())),
        }
    }
}

/// Says whose fault an error of hyper's is.
fn fault(error: &hyper::Error) -> Rejection {
    match fault::kind_of(error).filter(|_| error.is_user()) {
        // The client's own body; see `Upload`.
        Some(ErrorKind::FileTooLarge) => Rejection::TooLarge,
        Some(ErrorKind::TimedOut) => Rejection::SlowBody,
        Some(ErrorKind::ConnectionAborted) => Rejection::BadBody("the body broke off"),
        Some(_) | None => Fault::of_exchange(error).into(),
    }
}

async fn open<T>(io: T) -> hyper::Result<http1::SendRequest<Outgoing>>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (line, connection) =
        http1::Builder::new().max_buf_size(MAX_BUFFER).max_header_size(MAX_HEAD).handshake(io).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream connection ended");
        }
    });
    Ok(line)
}

/// UP-05: an answer beyond the limits is none, and its connection goes with it.
fn checked(response: Response<Incoming>) -> Result<Response<Incoming>, Rejection> {
    let fields = response.headers().len();
    if fields > MAX_FIELDS {
        return Err(Fault::new(Cause::TooLarge, format!("an answer with {fields} header fields")).into());
    }
    Ok(response)
}
