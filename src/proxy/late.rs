//! Answers that begin before the upstream's does. A client, and all that stands between, sees a head and signs of life
//! while a call takes minutes, or a stream has nothing to say yet; the upstream's answer follows as events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{ACCEPT, ALLOW, CACHE_CONTROL};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::answer::{self, Form};
use super::caching;
use super::caller::Caller;
use super::fault::{Cause, Fault};
use super::headers::{MCP_METHOD, MCP_SESSION_ID};
use super::permit::Addressed;
use super::places::Place;
use super::rejection::{INTERNAL_ERROR, Rejection, SESSION_NOT_FOUND};
use super::relay::{Flow, Relay};
use super::route::Route;
use super::upstream::Lease;
use super::waiting::{Wait, Waiting};
use super::watch::{Limits, Order};
use super::{Exchange, Proxy};
use crate::config::UpstreamKind;
use crate::mcp::SUBSCRIBE;
use crate::telemetry::Outcome;
use crate::web::{Body, Response};

/// How long a client that opens a stream waits for the upstream's head. SDKs of servers write none before the first event,
/// and clients take a stream to be open when its head has come; a server without such streams says so (404, 405) at once.
const STREAM_HEAD: Duration = Duration::from_secs(2);
/// Refusals that came after that time are kept for so long, and so many of them for one upstream.
const REFUSAL: Duration = Duration::from_secs(300);
const REFUSALS: usize = 1024;

/// A request whose client has a head already, and whose upstream has said nothing yet.
pub(super) struct Late {
    waiting: Waiting,
    place: Option<Place>,
    route: Arc<Route>,
    asked: PathAndQuery,
    /// For a GET: whose stream it is. `None` for a call.
    stream: Option<String>,
}

/// What has become of it.
pub(super) enum Begun {
    /// The answer is coming.
    Answer(Incoming, Lease, Option<Place>, Flow),
    /// It is none that can be passed on.
    Nothing(Nothing),
    /// There is no stream.
    NoStream(Option<Fault>),
}

/// What a client gets instead of an answer.
pub(super) enum Nothing {
    /// This error.
    Error(i32, String),
    /// The upstream's fault.
    Fault(Fault),
}

impl Late {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Begun> {
        let (response, lease) = match ready!(self.waiting.poll(cx)) {
            Ok(answered) => answered,
            Err(Rejection::Upstream(fault)) => return Poll::Ready(Begun::Nothing(Nothing::Fault(fault))),
            Err(other) => {
                let error = Nothing::Error(INTERNAL_ERROR, other.description().to_owned());
                return Poll::Ready(Begun::Nothing(error));
            }
        };
        let (head, body) = response.into_parts();
        let place = self.place.take();
        Poll::Ready(match (self.judge(&head), &self.stream) {
            (Ok(Flow::Events), _) => {
                lease.give_up_place();
                Begun::Answer(body, lease, None, Flow::Events)
            }
            (Ok(flow), _) => Begun::Answer(body, lease, place, flow),
            (Err(nothing), None) => Begun::Nothing(nothing),
            (Err(nothing), Some(stream)) => self.refuse_stream(stream, &head, nothing),
        })
    }

    /// Judges the head, which the client does not get any more.
    fn judge(&self, head: &Parts) -> Result<Flow, Nothing> {
        answer::judge(&self.route, &self.asked, head.status, &head.headers, true).map_err(Nothing::Fault)?;
        let form = answer::form(&head.headers);
        let is_plain = !answer::is_encoded(&head.headers);
        if matches!(form, Form::Events | Form::Json) && !is_plain {
            let fault = Fault::new(Cause::CompressedStream, "it has a Content-Encoding other than identity");
            return Err(Nothing::Fault(fault));
        }
        let is_call = self.stream.is_none();
        match (head.status, form) {
            (StatusCode::OK, Form::Events) => Ok(Flow::Events),
            (status, Form::Json) if is_call && status.is_success() => Ok(Flow::Wrapped(self.route.call_timeout)),
            (StatusCode::NOT_FOUND, _) => Err(Nothing::Error(SESSION_NOT_FOUND, "Session not found".to_owned())),
            (status, _) => Err(Nothing::Error(INTERNAL_ERROR, format!("the upstream answered {status}"))),
        }
    }

    /// Keeps a refusal for the next GET: this one has been answered.
    fn refuse_stream(&self, stream: &str, head: &Parts, nothing: Nothing) -> Begun {
        let fault = if let Nothing::Fault(fault) = nothing { Some(fault) } else { None };
        let kept = match &fault {
            Some(fault) => Refusal::Fault(fault.cause, fault.detail.clone()),
            None => Refusal::Status(head.status, head.headers.get(ALLOW).cloned()),
        };
        self.route.refusals.put(stream.to_owned(), kept);
        Begun::NoStream(fault)
    }
}

/// An upstream's refusal of a stream.
#[derive(Debug, Clone)]
enum Refusal {
    Status(StatusCode, Option<HeaderValue>),
    Fault(Cause, String),
}

/// Refusals of streams that came too late, by whose stream it was.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<String, (Instant, Refusal)>>);

impl Refusals {
    fn put(&self, stream: String, refusal: Refusal) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= REFUSALS {
            kept.retain(|_, (since, _)| since.elapsed() < REFUSAL);
        }
        if kept.len() < REFUSALS {
            kept.insert(stream, (Instant::now(), refusal));
        }
    }

    fn take(&self, stream: &str) -> Option<Refusal> {
        let (since, refusal) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(stream)?;
        (since.elapsed() < REFUSAL).then_some(refusal)
    }
}

impl Exchange<'_> {
    fn is_stream(&self) -> bool {
        self.route.kind == UpstreamKind::Mcp && self.parts.method == Method::GET
    }

    /// Returns whether a stream that it is answered with never ends by itself: that of a GET, and of 2026-07-28 that of
    /// `subscriptions/listen`, which is known by its header where the body is not read.
    pub(super) fn is_standing(&self) -> bool {
        let is_named = || {
            self.route.kind == UpstreamKind::Mcp
                && self.version.is_modern()
                && self.parts.headers.get(MCP_METHOD).is_some_and(|method| method == SUBSCRIBE)
        };
        self.parts.method == Method::GET || self.ids.is_subscription() || (self.ids.is_empty() && is_named())
    }

    /// How long the upstream may take. `is_initialize` says that the answer's head may bear a session id.
    pub(super) fn patience(&self, is_initialize: bool) -> Wait {
        let route = self.route;
        if self.is_stream() || (self.ids.is_subscription() && accepts_events(&self.parts.headers)) {
            return Wait { early: Some(STREAM_HEAD), limit: route.max_stream };
        }
        let limit = if self.parts.method == Method::POST { route.call_timeout } else { route.first_byte_timeout };
        // A stream of events is nothing to who does not ask for it, though MCP demands that clients do.
        let may_stream = !self.ids.is_empty() && !is_initialize && accepts_events(&self.parts.headers);
        Wait { early: may_stream.then_some(self.config.timeouts.sse_keep_alive), limit }
    }

    /// Says whose stream a GET opens: a session's, or, without one, a user's of a client.
    fn stream(&self, caller: &Caller) -> String {
        let session = self.parts.headers.get(MCP_SESSION_ID).and_then(|id| id.to_str().ok());
        let principal = &caller.principal;
        session.map_or_else(
            || format!("{}\n{}\n{}", principal.tenant.as_str(), principal.subject.as_str(), principal.client.as_str()),
            str::to_owned,
        )
    }

    /// Returns the upstream's refusal of a stream of this session that came too late to be the answer to its own request.
    pub(super) fn late_refusal(&self, caller: &Caller) -> Option<Result<Response, Rejection>> {
        if !self.is_stream() {
            return None;
        }
        Some(match self.route.refusals.take(&self.stream(caller))? {
            Refusal::Fault(cause, detail) => Err(Fault::new(cause, detail).into()),
            Refusal::Status(status, allow) => {
                let mut response = Response::default();
                *response.status_mut() = status;
                response.headers_mut().insert(CACHE_CONTROL, caching::NO_STORE);
                if let Some(allow) = allow {
                    response.headers_mut().insert(ALLOW, allow);
                }
                Ok(response)
            }
        })
    }
}

fn accepts_events(headers: &HeaderMap) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let names = |value: &HeaderValue| value.as_bytes().windows(EVENTS.len()).any(|w| w.eq_ignore_ascii_case(EVENTS));
    headers.get_all(ACCEPT).iter().any(names)
}

impl Proxy {
    /// Answers with a stream of events whose first event the upstream has yet to send.
    pub(super) fn answer_early(
        &self,
        exchange: &mut Exchange<'_>,
        asked: PathAndQuery,
        waiting: Waiting,
        place: Place,
        token: &Addressed,
        caller: &Caller,
    ) -> Result<Response, Rejection> {
        let (route, config) = (exchange.route, exchange.config);
        let stream = exchange.is_stream().then(|| exchange.stream(caller));
        // An open stream is no longer a request under way; a call is.
        let is_standing = exchange.is_standing();
        let place = Some(place).filter(|_| !is_standing);
        let late = Late { waiting, place, route: Arc::clone(route), asked, stream };
        let mut record = exchange.record.take().ok_or(Rejection::Internal)?;
        record.answer(Outcome::Forwarded, StatusCode::OK);
        record.open_stream();
        let limits = Limits {
            max_age: route.max_stream,
            silence: config.timeouts.sse_keep_alive,
            on_silence: Order::KeepAlive,
            grace: config.timeouts.expired_stream,
            is_standing,
        };
        let ward = self.watch.over(token.token(), exchange.generation, route, limits);
        let ids = std::mem::take(&mut exchange.ids);
        let relay = Relay::early(late, config.limits.sse_event, ward, record, exchange.slot.take(), ids);
        let emptied = std::mem::take(&mut exchange.parts.headers);
        let mut response = Response::new(Body::Relayed(Box::pin(relay)));
        *response.headers_mut() = answer::of_events(emptied);
        Ok(response)
    }
}
