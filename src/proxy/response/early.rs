//! Starts an answer before the upstream's answer: when, and with which head.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ALLOW, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::caching;
use super::deliver::Asker;
use super::head;
use super::open_stream::StreamLimits;
use super::pending_answer::PendingAnswer;
use super::refusals::StreamRefusal;
use super::relay::Relay;
use super::stream_handle::StreamSignal;
use crate::config::UpstreamKind;
use crate::mcp::{ChangedLists, SUBSCRIBE};
use crate::proxy::cached_principal::CachedPrincipal;
use crate::proxy::exchange::{Exchange, Proxy};
use crate::proxy::fair_slots::FairSlot;
use crate::proxy::fault::Fault;
use crate::proxy::field::{MCP_METHOD, MCP_SESSION_ID};
use crate::proxy::headers::BOTH_TYPES;
use crate::proxy::message::essence;
use crate::proxy::opening::Opening;
use crate::proxy::rejection::Rejection;
use crate::proxy::upstream::waiting::{Patience, Waiting};
use crate::telemetry::Outcome;
use crate::web::{Body, Response};

/// How long to wait for the upstream's head when a client opens a stream. Server SDKs send it only with the first
/// event, while clients consider the stream open when they get it; a server without such streams answers 404 or 405 at
/// once.
const STREAM_HEAD: Duration = Duration::from_secs(2);

impl Exchange<'_> {
    fn is_stream(&self) -> bool {
        self.route.kind == UpstreamKind::Mcp && self.parts.method == Method::GET
    }

    /// Returns whether a stream in answer to this request would never end by itself: for a GET, and in 2026-07-28 for
    /// `subscriptions/listen`, recognised by its header if the body is not read.
    pub(in crate::proxy) fn is_standing(&self) -> bool {
        let is_named = || {
            self.route.kind == UpstreamKind::Mcp
                && self.version.is_modern()
                && self.parts.headers.get(MCP_METHOD).is_some_and(|method| method == SUBSCRIBE)
        };
        self.parts.method == Method::GET || self.ids.is_subscription() || (self.ids.is_empty() && is_named())
    }

    /// Returns the lists of whose changes a stream in answer to this request may tell: all for a GET, and those that a
    /// subscription asks for. None where lists are not rewritten, since they show the same to everybody.
    pub(in crate::proxy) fn tells(&self, opening: &Opening) -> ChangedLists {
        if !self.route.is_rewritten() {
            ChangedLists::default()
        } else if self.is_stream() {
            ChangedLists::ALL
        } else if self.ids.is_subscription() {
            opening.asks_for()
        } else {
            ChangedLists::default()
        }
    }

    /// Returns how long the upstream may take. `is_initialize` says that the answer's head may contain a session id.
    pub(in crate::proxy) fn patience(&self, is_initialize: bool) -> Patience {
        let route = self.route;
        if self.is_stream() || (self.ids.is_subscription() && accepts_events(&self.parts.headers)) {
            return Patience::new(Some(STREAM_HEAD), route.max_stream);
        }
        let limit = if self.parts.method == Method::POST { route.call_timeout } else { route.first_byte_timeout };
        // Only if the client accepts a stream of events, as MCP requires of clients.
        let may_stream = !self.ids.is_empty() && !is_initialize && accepts_events(&self.parts.headers);
        Patience::new(may_stream.then_some(self.config.timeouts.sse_keep_alive), limit)
    }

    /// Returns a key for the stream that a GET opens: by its session, or without one by user and client.
    fn stream(&self, caller: &CachedPrincipal) -> String {
        let session = self.parts.headers.get(MCP_SESSION_ID).and_then(|id| id.to_str().ok());
        let principal = caller.principal();
        session.map_or_else(
            || {
                format!(
                    "{}\n{}\n{}",
                    principal.tenant().as_str(),
                    principal.subject().as_str(),
                    principal.client().as_str()
                )
            },
            str::to_owned,
        )
    }

    /// Returns the upstream's refusal of an earlier stream of this session, which came too late to be the answer to its
    /// own request.
    pub(in crate::proxy) fn late_refusal(&self, caller: &CachedPrincipal) -> Option<Result<Response, Rejection>> {
        if !self.is_stream() {
            return None;
        }
        Some(match self.route.refusals.take(&self.stream(caller))? {
            StreamRefusal::Fault(cause, detail) => Err(Fault::new(cause, detail).into()),
            StreamRefusal::Status(status, allow) => {
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

/// Returns whether a client accepts a stream of events (RFC 9110 12.5.1).
fn accepts_events(headers: &HeaderMap) -> bool {
    let is_events = |range: &[u8]| essence(range).eq_ignore_ascii_case(b"text/event-stream");
    // Most clients write it as the specification does.
    let names_events =
        |value: &HeaderValue| *value == BOTH_TYPES || value.as_bytes().split(|b| *b == b',').any(is_events);
    headers.get_all(ACCEPT).iter().any(names_events)
}

impl Proxy {
    /// Answers with a stream of events before the upstream has sent the first event.
    pub(in crate::proxy) fn answer_early(
        &self,
        exchange: &mut Exchange<'_>,
        waiting: Waiting,
        slot: FairSlot,
        Asker { asked, token, caller }: Asker<'_>,
    ) -> Result<Response, Rejection> {
        let (route, config) = (exchange.route, exchange.config);
        let stream = exchange.is_stream().then(|| exchange.stream(caller));
        // An open stream no longer counts as a request in progress, unlike a call.
        let is_standing = exchange.is_standing();
        let slot = Some(slot).filter(|_| !is_standing);
        let late = PendingAnswer { waiting, slot, route: Arc::clone(route), asked: asked.clone(), stream };
        let limits = StreamLimits {
            max_age: route.max_stream,
            silence: config.timeouts.sse_keep_alive,
            on_silence: StreamSignal::KeepAlive,
            grace: config.timeouts.expired_stream,
            is_standing,
        };
        let stage = self.stage(exchange, caller, true);
        let mut held = self.hold(exchange, token, limits)?;
        held.record.answer(Outcome::Forwarded, StatusCode::OK);
        held.record.open_stream();
        let relay = Relay::early(late, config.limits.sse_event, held).rewritten(stage).with_refusals(true);
        let emptied = std::mem::take(&mut exchange.parts.headers);
        let mut response = Response::new(Body::Relayed(Box::pin(relay)));
        *response.headers_mut() = head::of_events(emptied);
        Ok(response)
    }
}
