//! Forwards an answer: its head is checked and rebuilt; its body is sent whole if it has arrived or soon will, and
//! otherwise as a stream.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode};
use http_body::Body as _;
use tokio::time::timeout;

use super::gather::{BufferedBody, Stop};
use super::head;
use super::head::BodyKind;
use super::open_streams::{StreamLimits, StreamSignal};
use super::relay::Relay;
use crate::config::UpstreamKind;
use crate::proxy::addressed::Addressed;
use crate::proxy::cached_principal::CachedPrincipal;
use crate::proxy::exchange::{Exchange, Proxy};
use crate::proxy::fair_slots::FairSlot;
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::field::MCP_SESSION_ID;
use crate::proxy::rejection::Rejection;
use crate::proxy::session;
use crate::proxy::session::Sessions;
use crate::proxy::upstream::content::Content;
use crate::proxy::upstream::lease::Lease;
use crate::telemetry::Outcome;
use crate::web::{Body, Response};

/// Maximum size of an answer that is forwarded whole, if it arrives with its head, or declares its length and arrives
/// soon after: four TLS records.
const WHOLE: usize = 64 * 1024;
const SHORT: u64 = 64 * 1024;
/// How long to wait for such an answer; a slower one becomes a stream.
const MOMENT: Duration = Duration::from_secs(1);

/// What the head of an answer says about its body.
struct Shape {
    status: StatusCode,
    is_events: bool,
    is_encoded: bool,
}

impl Proxy {
    /// Forwards the upstream's answer.
    #[allow(clippy::too_many_arguments, reason = "each comes from another stage of the exchange")]
    pub(in crate::proxy) async fn deliver(
        &self,
        exchange: &mut Exchange<'_>,
        asked: &PathAndQuery,
        response: http::Response<Content>,
        held: (Lease, FairSlot),
        token: &Addressed<'_>,
        caller: &CachedPrincipal,
    ) -> Result<Response, Rejection> {
        let route = exchange.route;
        let (mut head, body) = response.into_parts();
        let is_awaited = !exchange.ids.is_empty() || exchange.parts.method == Method::GET;
        if !head.status.is_success() {
            route.doubt_redirect(head.status);
        }
        head::judge(route, asked, head.status, &head.headers, is_awaited)?;
        let form = head::form(&head.headers);
        if head.status.is_success() && form != BodyKind::Other {
            route.health.note_mcp_answer();
        }
        let is_encoded = head::is_encoded(&head.headers);
        // SS-02: encoded events cannot be bounded, and only identity was requested.
        if route.kind == UpstreamKind::Mcp && form == BodyKind::Events && is_encoded {
            return Err(Fault::new(Cause::CompressedStream, "it has a Content-Encoding other than identity").into());
        }
        // Before the body is read, because the connection of a rejected answer is closed.
        let session = self.session(exchange, &head, caller)?;
        let shape = Shape { status: head.status, is_events: form == BodyKind::Events, is_encoded };
        let body = self.whole_or_stream(exchange, shape, body, held, token).await?;
        let is_head = exchange.parts.method == Method::HEAD;
        // The memory of the request's header map is reused.
        let emptied = std::mem::take(&mut exchange.parts.headers);
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = head::build(route, asked, form, &mut head.headers, is_head, session, emptied);
        *exchange.worker.spare() = head.headers;
        Ok(response)
    }

    /// Returns the session id of an answer in the form that the client has to send.
    fn session(
        &self,
        exchange: &Exchange<'_>,
        head: &http::response::Parts,
        caller: &CachedPrincipal,
    ) -> Result<Option<HeaderValue>, Rejection> {
        let route = exchange.route;
        if route.kind != UpstreamKind::Mcp || exchange.version.is_modern() || !head.status.is_success() {
            return Ok(None);
        }
        let Some(id) = Sessions::read(head.headers.get_all(MCP_SESSION_ID))? else { return Ok(None) };
        // Many servers repeat the session id in every answer; only one that differs from the request's is new.
        let asked = exchange.parts.headers.get(MCP_SESSION_ID);
        if let Some(same) = asked.filter(|asked| session::upstreams_own(asked) == Some(&*id)) {
            return Ok(Some(same.clone()));
        }
        Ok(self.sessions.wrap(route, caller.principal(), &id, self.clock.now()))
    }

    /// Makes the body of an answer: whole if it has arrived or soon will, otherwise a stream.
    #[allow(clippy::too_many_arguments, reason = "each comes from another stage of the exchange")]
    async fn whole_or_stream(
        &self,
        exchange: &mut Exchange<'_>,
        shape: Shape,
        mut body: Content,
        (lease, slot): (Lease, FairSlot),
        token: &Addressed<'_>,
    ) -> Result<Body, Rejection> {
        let Shape { status, is_events, is_encoded } = shape;
        let (route, config) = (exchange.route, exchange.config);
        let mut read = BufferedBody::default();
        let mut stop = poll_fn(|cx| Poll::Ready(read.poll_read(&mut body, WHOLE, cx))).await;
        // Many servers write head and body separately. A stream would cost more than this wait.
        let is_short = !is_events && body.size_hint().exact().is_some_and(|rest| rest <= SHORT);
        if stop.is_pending() && is_short {
            let rest = timeout(MOMENT, poll_fn(|cx| read.poll_read(&mut body, WHOLE, cx))).await;
            stop = rest.map_or(Poll::Pending, Poll::Ready);
        }
        match stop {
            Poll::Ready(Stop::Broken(error)) => return Err(Fault::of_exchange(&error).into()),
            Poll::Ready(Stop::End) => {
                // Before the slot is freed, so that the next request to get it finds this connection.
                lease.finish();
                self.check_again(exchange, token).await?;
                let whole = read.take();
                if let Some(record) =
                    exchange.record.as_mut().filter(|_| route.kind == UpstreamKind::Mcp && !is_encoded)
                {
                    record.look(&whole, is_events);
                }
                return Ok(Body::from(whole));
            }
            Poll::Ready(Stop::Full) | Poll::Pending => {}
        }
        let mut record = exchange.record.take().ok_or(Rejection::Internal)?;
        record.answer(Outcome::Forwarded, status);
        if is_events {
            record.open_stream();
        }
        // A stream of events may stay open for hours, and no longer counts as a request in progress.
        let slot = Some(slot).filter(|_| !is_events);
        if slot.is_none() {
            lease.give_up_slot();
        }
        let (silence, on_silence) = if is_events {
            (config.timeouts.sse_keep_alive, StreamSignal::KeepAlive)
        } else {
            (exchange.patience(false).limit, StreamSignal::TooSilent)
        };
        let limits = StreamLimits {
            max_age: route.max_stream,
            silence,
            on_silence,
            grace: config.timeouts.expired_stream,
            is_standing: is_events && exchange.is_standing(),
        };
        let handle = self.open_streams.add(token.token(), exchange.generation, route, limits);
        let event_limit = (is_events && !is_encoded).then_some(config.limits.sse_event);
        let ids = std::mem::take(&mut exchange.ids);
        let body = body.read_ahead();
        let relay =
            Relay::new(body, (lease, slot), read, event_limit, handle, record, (exchange.user_slot.take(), ids));
        Ok(Body::Relayed(Box::pin(relay)))
    }
}

/// Reads and drops a body, so that its connection can be reused.
pub(in crate::proxy) async fn discard(mut body: Content, lease: Lease) {
    let mut read = BufferedBody::default();
    let stop = timeout(MOMENT, poll_fn(|cx| read.poll_read(&mut body, WHOLE, cx))).await;
    if let Ok(Stop::End) = stop {
        lease.finish();
    }
}
