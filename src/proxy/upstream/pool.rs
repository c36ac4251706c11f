//! The connections of one worker to one upstream. The numbers of requests in progress and of waiting ones are limited;
//! each request gets an HTTP/1.1 connection to itself, or a share of an HTTP/2 connection if ALPN offers it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use super::connect::{self, Dialled};
use super::content::Content;
use super::http1::{Http1Connection, IdleConnections};
use super::http2::{SharedConnection, SharedConnections};
use super::lease::{Lease, LeasedResponse};
use super::request_body::Outgoing;
use super::timer::Timer;
use super::waiting::{
    ConnectionFailure, SendError, SentRequest, Unanswered, Wait, Waiting, accept, failure, read_meanwhile, until,
    wait_for,
};
use crate::proxy::cached_principal::CachedPrincipal;
use crate::proxy::fair_slots::{FairSlot, FairSlots};
use crate::proxy::fault::{Cause, ExchangeError, Fault};
use crate::proxy::permit::Permit;
use crate::proxy::rejection::Rejection;
use crate::proxy::route::Route;
use crate::telemetry::WorkerMetrics;

/// Maximum number of waiting requests, as a multiple of the connections.
const WAITING_PER_CONNECTION: usize = 4;
/// How long a request waits for a slot.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// One worker's connections to one upstream.
pub(in crate::proxy) struct Pool {
    route: Arc<Route>,
    metrics: WorkerMetrics,
    idle: Arc<IdleConnections>,
    shared: SharedConnections,
    breaker: Breaker,
    slots: Arc<FairSlots>,
    closing: CancellationToken,
}

/// A request to an upstream.
pub(in crate::proxy) struct UpstreamRequest {
    request: Request<Outgoing>,
    wait: Wait,
}

/// Which connections a request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum ConnectionChoice {
    /// An open one, or otherwise a new one.
    Any,
    /// Only a new one.
    New,
}

/// The connections to an upstream, for a caller who may use them. Made only by [`Pool::permit`].
pub(in crate::proxy) struct Permitted<'p> {
    pool: &'p Pool,
    permit: Permit,
}

impl Permitted<'_> {
    /// Takes a slot for a request in progress; no user may hold more slots than are left for others.
    pub(in crate::proxy) async fn enter(&self) -> Result<FairSlot, Rejection> {
        self.pool.slots.take(self.permit.caller().budget(), MAX_WAIT).await
    }

    /// Sends a request that holds a slot, and returns the head of the answer.
    pub(in crate::proxy) fn send(
        &self,
        _place: &FairSlot,
        on: ConnectionChoice,
        ask: UpstreamRequest,
    ) -> impl Future<Output = Result<LeasedResponse, Unanswered>> + Send {
        self.pool.exchange_on(on, ask)
    }

    pub(in crate::proxy) fn caller(&self) -> &Arc<CachedPrincipal> {
        self.permit.caller()
    }
}

impl Pool {
    /// Makes the pool of one worker. `closing` ends all waits for answers.
    pub(in crate::proxy) fn new(route: &Arc<Route>, metrics: WorkerMetrics, closing: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            route: Arc::clone(route),
            metrics,
            idle: Arc::default(),
            shared: SharedConnections::new(route.origin.connect_timeout),
            breaker: Breaker::default(),
            closing,
            slots: FairSlots::new(route.max_connections, route.max_connections.saturating_mul(WAITING_PER_CONNECTION)),
        })
    }

    /// Returns whether these are the connections for a route.
    pub(in crate::proxy) fn is_for(&self, route: &Arc<Route>) -> bool {
        Arc::ptr_eq(&self.route, route)
    }

    /// Lets a caller use the connections, if they belong to the route of its permit.
    pub(in crate::proxy) fn permit(&self, permit: Permit) -> Result<Permitted<'_>, Rejection> {
        if self.is_for(permit.route()) { Ok(Permitted { pool: self, permit }) } else { Err(Rejection::Internal) }
    }

    /// Sends a request of the gateway itself, without a user.
    pub(in crate::proxy) async fn send_our_own(&self, ask: UpstreamRequest) -> Result<LeasedResponse, Unanswered> {
        self.exchange_on(ConnectionChoice::Any, ask).await
    }

    // No `async fn`: its future would hold the request twice.
    fn exchange_on(
        &self,
        on: ConnectionChoice,
        ask: UpstreamRequest,
    ) -> impl Future<Output = Result<LeasedResponse, Unanswered>> + Send {
        let UpstreamRequest { mut request, mut wait } = ask;
        let upload = request.body().progress();
        let mut lease = Lease { idle: Arc::clone(&self.idle), line: None, share: None, upload };
        async move {
            let sent = loop {
                let Some(line) = (on == ConnectionChoice::Any).then(|| self.idle.take(wait.begun)).flatten() else {
                    // Boxed, because this is large and rare, and a request on a kept connection does not need the
                    // space.
                    break Box::pin(self.exchange_elsewhere(&mut lease, on, request, wait)).await;
                };
                // Pinned, because a future that is awaited by value is moved once more.
                match pin!(self.exchange(&mut lease, line, request, wait)).await {
                    // A connection that was closed while idle returns the request unsent.
                    Err(ConnectionFailure::Unsent(again)) => (request, wait) = (*again, wait.anew()),
                    sent => break sent,
                }
            };
            match sent {
                Ok(response) => {
                    accept(&response, &mut lease)?;
                    Ok((response, lease))
                }
                Err(ConnectionFailure::Unsent(_)) => {
                    Err(Fault::new(Cause::ClosedEarly, "a new connection ended before anything was sent").into())
                }
                Err(ConnectionFailure::Early(sent, rest)) => Err(Waiting::go_on(sent, rest, lease)),
                Err(ConnectionFailure::Unanswered(why)) => Err(why),
            }
        }
    }

    /// Sends a request on a shared connection or a new one.
    async fn exchange_elsewhere(
        &self,
        lease: &mut Lease,
        on: ConnectionChoice,
        mut request: Request<Outgoing>,
        wait: Wait,
    ) -> SendResult {
        if let Some(share) = (on == ConnectionChoice::Any).then(|| self.shared.take()).flatten() {
            match self.exchange_shared(lease, share, request, wait).await {
                Err(ConnectionFailure::Unsent(again)) => request = *again,
                sent => return sent,
            }
        }
        Box::pin(self.connect_and_send(lease, request, wait)).await
    }

    async fn connect_and_send(&self, lease: &mut Lease, mut request: Request<Outgoing>, wait: Wait) -> SendResult {
        let resting = || Fault::new(Cause::Resting, "the last connection attempt failed a moment ago");
        let attempt = self.breaker.attempt(Instant::now()).ok_or_else(resting)?;
        let dialled = connect::dial(&self.route.origin).await;
        self.route.health.tried_for_request(dialled.as_ref().map(drop).map_err(|fault| fault.cause));
        attempt.end(dialled.is_ok(), Instant::now());
        let dialled = dialled?;
        let counted = self.metrics.connection(self.route.index);
        let opened = match dialled {
            Dialled::Plain(io) => Http1Connection::open(io, counted).await,
            Dialled::Tls(io) => Http1Connection::open(io, counted).await,
            Dialled::Http2(io) => {
                let share = Box::pin(self.shared.open(io, counted)).await.map_err(|e| broken(e.into()))?;
                return self.exchange_shared(lease, share, request, wait.anew()).await;
            }
        };
        let line = opened.map_err(|e| broken(e.into()))?;
        if request.version() == Version::HTTP_2 {
            // The request was prepared for a shared connection, which is gone.
            let target = request.uri().path_and_query().cloned().map(Uri::from);
            *request.uri_mut() = target.unwrap_or_default();
            *request.version_mut() = Version::HTTP_11;
            request.headers_mut().insert(HOST, self.route.origin.host_header.clone());
        }
        self.exchange(lease, line, request, wait.anew()).await
    }

    /// Sends a request on a connection of its own.
    // No `async fn`: its future would hold the request twice.
    fn exchange(
        &self,
        lease: &mut Lease,
        line: Http1Connection,
        request: Request<Outgoing>,
        wait: Wait,
    ) -> impl Future<Output = SendResult> + Send {
        let line = lease.line.insert(line);
        let is_reused = line.progress().has_heard();
        line.progress().begin();
        let sent = line.sender.try_send_request(request);
        let sent = sent.map(|sent| sent.map(|answer| answer.map(Content::Http1)).map_err(SendError::from));
        // Boxed, because it may have to continue in another task.
        let sent: SentRequest = Box::pin(sent);
        let upload = lease.upload.as_deref();
        async move {
            let error = match wait_for(&self.closing, &mut line.timer, sent, wait).await? {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            Err(failure(error, upload, is_reused && !line.progress().has_heard()))
        }
    }

    /// Sends a request on a shared connection.
    async fn exchange_shared(
        &self,
        lease: &mut Lease,
        share: SharedConnection,
        mut request: Request<Outgoing>,
        mut wait: Wait,
    ) -> SendResult {
        let origin = &self.route.origin;
        // RFC 9113 8.3.1: the authority is in a pseudo-header field.
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(origin.scheme.clone());
        parts.authority = Some(origin.named.clone());
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Unanswered::Refused(Rejection::Internal))?;
        request.headers_mut().remove(HOST);
        *request.version_mut() = Version::HTTP_2;
        let mark = request.body_mut().mark();
        let share = lease.share.insert(share);
        let is_reused = share.is_reused;
        let sent = share.send(request);
        let sent = sent.map(|sent| sent.map(|answer| answer.map(Content::Http2)).map_err(SendError::from));
        let mut sent: SentRequest = Box::pin(sent);
        let mut timer = Timer::default();
        if let Some(mark) = mark {
            let first = wait.rest.early.map_or(origin.connect_timeout, |early| early.min(origin.connect_timeout));
            let mut early = until(&self.closing, &mut timer, &mut sent, wait.begun, first).await?;
            if early.is_none() && !mark.has_begun() {
                let rest = origin.connect_timeout.saturating_sub(first);
                early = until(&self.closing, &mut timer, &mut sent, Instant::now(), rest).await?;
            }
            if let Some(answer) = early {
                return answer.map_err(|error| failure(error, None, is_reused));
            }
            if mark.is_stuck() {
                share.leave();
            }
            // If the peer's window has let no byte through, the peer cannot have acted on the body.
            if let Some(body) = mark.untouched() {
                let detail = format!("it accepted no part of a request within {:?}", origin.connect_timeout);
                let fault = Fault::new(Cause::TooSlow, detail).by("upstream.connect_timeout");
                return Err(Unanswered::Unprocessed(fault, Some(body)).into());
            }
            wait = wait.after(wait.begun.elapsed());
        }
        match wait_for(&self.closing, &mut timer, sent, wait).await {
            Ok(answer) => answer.map_err(|error| failure(error, lease.upload.as_deref(), is_reused)),
            Err(ConnectionFailure::Early(sent, rest)) => Err(ConnectionFailure::Early(read_meanwhile(sent), rest)),
            Err(failure) => {
                share.leave();
                Err(failure)
            }
        }
    }
}

type SendResult = Result<Response<Content>, ConnectionFailure>;

impl UpstreamRequest {
    /// Makes a request; `wait` is for the head of its answer.
    pub(in crate::proxy) fn new(
        method: Method,
        target: PathAndQuery,
        headers: HeaderMap,
        body: Outgoing,
        wait: Wait,
    ) -> Self {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        *request.uri_mut() = Uri::from(target);
        Self { request, wait }
    }
}

fn broken(error: ExchangeError) -> Fault {
    Fault::of_exchange(&error)
}
