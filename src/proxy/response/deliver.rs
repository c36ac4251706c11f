//! Forwards an answer: its head is checked and rebuilt; its body is sent whole if it has arrived or soon will, and
//! otherwise as a stream.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode};
use http_body::Body as _;
use tokio::time::{Instant, timeout};

use super::gather::{BufferedBody, Stop};
use super::head;
use super::head::{BodyKind, Declared, HeadContext};
use super::open_stream::{NewStream, StreamLimits};
use super::refused_part::RefusedPart;
use super::relay::{Held, Relay};
use super::rewrite::rewriter::{Rewriter, Shows as _, rewrite};
use super::rewrite::stage::{LongAnswers, Stage};
use super::stream_handle::StreamSignal;
use crate::config::UpstreamKind;
use crate::mcp::{Rewritten, ToldUnknown, may_change, says_list_changed};
use crate::proxy::addressed::Addressed;
use crate::proxy::cached_principal::CachedPrincipal;
use crate::proxy::exchange::{Exchange, Proxy};
use crate::proxy::fair_slots::FairSlot;
use crate::proxy::fault::{Cause, ExchangeError, Fault};
use crate::proxy::field::MCP_SESSION_ID;
use crate::proxy::opening::Opening;
use crate::proxy::rejection::{DeniedRequest, Rejection};
use crate::proxy::resumed::Resumed;
use crate::proxy::session;
use crate::proxy::session::Sessions;
use crate::proxy::upstream::content::Content;
use crate::proxy::upstream::lease::Lease;
use crate::telemetry::Outcome;
use crate::web::{Body, Response, reply};

/// Maximum size of an answer that is forwarded whole, if it arrives with its head, or declares its length and arrives
/// soon after: four TLS records.
const WHOLE: usize = 64 * 1024;
const SHORT: u64 = 64 * 1024;
/// How long to wait for such an answer; a slower one becomes a stream.
const MOMENT: Duration = Duration::from_secs(1);

/// What the upstream was asked for, and for whom.
#[derive(Clone, Copy)]
pub(in crate::proxy) struct Asker<'a> {
    pub(in crate::proxy) asked: &'a PathAndQuery,
    pub(in crate::proxy) token: &'a Addressed<'a>,
    pub(in crate::proxy) caller: &'a Arc<CachedPrincipal>,
}

/// A body, what was read of it, its connection and its slot.
struct Coming {
    body: Content,
    read: BufferedBody,
    lease: Lease,
    slot: FairSlot,
}

/// What the head of an answer says about its body.
struct Shape {
    status: StatusCode,
    form: BodyKind,
    is_encoded: bool,
}

impl Proxy {
    /// Forwards the upstream's answer: judges its head, and returns a future that brings the body.
    pub(in crate::proxy) fn deliver<'a>(
        &'a self,
        exchange: &'a mut Exchange<'_>,
        response: http::Response<Content>,
        (lease, slot): (Lease, FairSlot),
        asker: Asker<'a>,
    ) -> Result<impl Future<Output = Result<Response, Rejection>> + Send, Rejection> {
        let (route, asked, caller) = (exchange.route, asker.asked, asker.caller);
        let rewriter = Rewriter::of(exchange, caller);
        let (mut head, body) = response.into_parts();
        let is_awaited = !exchange.ids.is_empty() || exchange.parts.method == Method::GET;
        if !head.status.is_success() {
            route.doubt_redirect(head.status);
        }
        let Declared { form, is_encoded, names_session } = Declared::read(&head.headers);
        head::judge(route, asked, head.status, &head.headers, is_awaited.then_some(form))?;
        if head.status.is_success() && form != BodyKind::Other {
            route.health.note_mcp_answer();
        }
        // SS-02: encoded events cannot be bounded, and only identity was requested.
        if route.kind == UpstreamKind::Mcp && form == BodyKind::Events && is_encoded {
            return Err(Fault::new(Cause::CompressedStream, "it has a Content-Encoding other than identity").into());
        }
        if rewriter.is_some() && is_encoded && !body.is_end_stream() {
            return Err(Fault::new(Cause::Unreadable, "it has a Content-Encoding other than identity").into());
        }
        // Before the body is read, because the connection of a rejected answer is closed.
        let session = if names_session { self.session(exchange, &head, caller)? } else { None };
        let mut shape = Shape { status: head.status, form, is_encoded };
        let mut coming = Coming { body, read: BufferedBody::default(), lease, slot };
        Ok(async move {
            let body = match read_soon(&mut coming, form == BodyKind::Events).await {
                Poll::Ready(Stop::Broken(error)) => return Err(Fault::of_exchange(&error).into()),
                Poll::Ready(Stop::End) => {
                    let mut resumed = Resumed::at(Instant::now());
                    // Before the slot is freed, so that the next request to get it finds this connection.
                    coming.lease.finish(resumed.time());
                    resumed.after(pin!(self.check_again(exchange, asker.token))).await?;
                    if let Some(record) = &mut exchange.record {
                        record.end_at(resumed.time());
                    }
                    let read = noting_change(coming.read.take(), rewriter.as_ref(), form);
                    let read = match rewriter {
                        Some(rewriter) if exchange.ids.refused().is_some() || may_change(&read) => {
                            let place = (&mut shape, &mut head);
                            match Box::pin(judged(exchange, rewriter, place, read)).await? {
                                Judged::Body(read) => read,
                                Judged::Instead(response) => return Ok(response),
                            }
                        }
                        Some(_) | None => read,
                    };
                    whole(exchange, &shape, read)
                }
                Poll::Ready(Stop::Full) | Poll::Pending if replaces(exchange, &shape) => {
                    drop(coming);
                    let read = joined(exchange, &mut shape, &mut head, Bytes::new());
                    whole(exchange, &shape, read)
                }
                Poll::Ready(Stop::Full) | Poll::Pending => self.stream(exchange, &shape, coming, asker)?,
            };
            let is_head = exchange.parts.method == Method::HEAD;
            // The memory of the request's header map is reused.
            let emptied = std::mem::take(&mut exchange.parts.headers);
            let mut response = Response::new(body);
            *response.status_mut() = shape.status;
            let of = HeadContext { route, asked, form: shape.form, is_head, session };
            *response.headers_mut() = head::build(of, &mut head.headers, emptied);
            exchange.worker.keep_map(head.headers);
            Ok(response)
        })
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

    /// Makes a stream of an answer whose body has not arrived.
    fn stream(
        &self,
        exchange: &mut Exchange<'_>,
        shape: &Shape,
        Coming { body, read, lease, slot }: Coming,
        asker: Asker<'_>,
    ) -> Result<Body, Rejection> {
        let &Shape { status, form, is_encoded } = shape;
        let (is_events, config) = (form == BodyKind::Events, exchange.config);
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
            max_age: exchange.route.max_stream,
            silence,
            on_silence,
            grace: config.timeouts.expired_stream,
            is_standing: is_events && exchange.is_standing(),
        };
        let stage = self.stage(exchange, asker.caller, is_events);
        let mut held = self.hold(exchange, asker.token, limits)?;
        held.record.answer(Outcome::Forwarded, status);
        if is_events {
            held.record.open_stream();
        }
        let event_limit = (is_events && !is_encoded).then_some(config.limits.sse_event);
        let relay = Relay::new((body.read_ahead(), (lease, slot)), read, event_limit, held);
        Ok(Body::Relayed(Box::pin(relay.rewritten(stage).with_refusals(status.is_success()))))
    }

    /// Returns what rewrites an answer while it is relayed, where the upstream has a map.
    pub(super) fn stage(
        &self,
        exchange: &Exchange<'_>,
        caller: &Arc<CachedPrincipal>,
        is_events: bool,
    ) -> Option<Stage<Rewriter>> {
        let rewriter = Rewriter::of(exchange, caller)?.following(&self.table);
        let long = LongAnswers { slots: Arc::clone(&self.long_answers), user: Arc::clone(caller.budget()) };
        Some(Stage::new(rewriter, long, is_events, exchange.config.limits.sse_event))
    }

    /// Moves what an answer holds until it ends out of the exchange.
    pub(super) fn hold(
        &self,
        exchange: &mut Exchange<'_>,
        token: &Addressed<'_>,
        limits: StreamLimits,
    ) -> Result<Held, Rejection> {
        let record = exchange.record.take().ok_or(Rejection::Internal)?;
        let opening = exchange.opening.take().unwrap_or_else(|| Opening::of_head(exchange.parts));
        let tells = exchange.tells(&opening);
        let new = NewStream {
            token: token.token(),
            generation: exchange.generation,
            route: exchange.route,
            session: exchange.parts.headers.get(MCP_SESSION_ID),
            opening,
            tells,
        };
        let handle = self.open_streams.add(new, limits);
        let (user_slot, ids) = (exchange.user_slot.take(), std::mem::take(&mut exchange.ids));
        Ok(Held { handle, record, user_slot, ids })
    }
}

/// Reads what has arrived of a body, and all of a short one that arrives soon.
async fn read_soon(Coming { body, read, .. }: &mut Coming, is_events: bool) -> Poll<Stop<ExchangeError>> {
    let stop = poll_fn(|cx| Poll::Ready(read.poll_read(body, WHOLE, cx))).await;
    // Many servers write head and body separately. A stream would cost more than this wait.
    let is_short = !is_events && body.size_hint().exact().is_some_and(|rest| rest <= SHORT);
    if stop.is_pending() && is_short {
        let rest = timeout(MOMENT, poll_fn(|cx| read.poll_read(body, WHOLE, cx))).await;
        return rest.map_or(Poll::Pending, Poll::Ready);
    }
    stop
}

/// Returns an answer that has arrived; if it says that one of the upstream's lists changed, that is noted.
fn noting_change(answer: Bytes, rewriter: Option<&Rewriter>, form: BodyKind) -> Bytes {
    if let Some(rewriter) = rewriter.filter(|_| form == BodyKind::Events && says_list_changed(&answer)) {
        rewriter.note_change();
    }
    answer
}

/// What a caller gets of an answer that has arrived.
enum Judged {
    Body(Bytes),
    /// An answer that the gateway gives in its place.
    Instead(Response),
}

/// Rewrites an answer that has arrived, and adds the errors for the refused part of a batch.
async fn judged(
    exchange: &mut Exchange<'_>,
    rewriter: Rewriter,
    (shape, head): (&mut Shape, &mut http::response::Parts),
    answer: Bytes,
) -> Result<Judged, Fault> {
    let is_events = shape.form == BodyKind::Events;
    let rewritten = match may_change(&answer) {
        true => rewrite(answer.clone(), is_events, &rewriter).await?,
        false => Rewritten::Unchanged,
    };
    let text = match rewritten {
        Rewritten::Unchanged => answer,
        Rewritten::Changed(text) => text.into(),
        Rewritten::Hidden => Bytes::new(),
        Rewritten::Unknown(told) if exchange.ids.one().is_some() => {
            return Ok(Judged::Instead(as_hidden(exchange, told)));
        }
        Rewritten::Unknown(told) => {
            // As for something that the caller may not know of.
            shape.status = StatusCode::OK;
            told.answer.into()
        }
    };
    Ok(Judged::Body(joined(exchange, shape, head, text)))
}

/// Makes the answer to a request for something that does not exist: the one for what the caller may not know of, so
/// that the two cannot be told apart.
fn as_hidden(exchange: &mut Exchange<'_>, told: ToldUnknown) -> Response {
    if let Some(record) = &mut exchange.record {
        record.look(&told.answer, false);
    }
    let denied = DeniedRequest { code: told.code, text: told.text, rule: String::new(), key: None };
    let mut response = exchange.reject(&Rejection::MessageDenied(Box::new(denied)));
    reply::protect(response.headers_mut(), &exchange.config.public);
    response
}

/// Makes the body of an answer that has arrived.
fn whole(exchange: &mut Exchange<'_>, shape: &Shape, body: Bytes) -> Body {
    if exchange.route.kind == UpstreamKind::Mcp
        && !shape.is_encoded
        && let Some(record) = &mut exchange.record
    {
        record.look(&body, shape.form == BodyKind::Events);
    }
    Body::from(body)
}

/// Returns whether an answer has nothing for the client but the errors for the refused part of a batch.
fn replaces(exchange: &Exchange<'_>, shape: &Shape) -> bool {
    let is_nothing = |part: &RefusedPart| match shape.form {
        BodyKind::Events => false,
        BodyKind::Json => part.is_whole_answer(),
        BodyKind::Other => true,
    };
    shape.status.is_success() && exchange.ids.refused().is_some_and(|part| !part.is_unanswered() && is_nothing(part))
}

/// Adds the errors for the refused part of a batch, if there is one, to an answer that has arrived. An upstream that
/// refuses the rest has answered for all of it.
fn joined(exchange: &mut Exchange<'_>, shape: &mut Shape, head: &mut http::response::Parts, answer: Bytes) -> Bytes {
    let Some(part) = exchange.ids.refused() else { return answer };
    if let Some(record) = &mut exchange.record {
        record.refuse(part.first(), None);
    }
    if part.is_unanswered() || !shape.status.is_success() {
        return answer;
    }
    if shape.form == BodyKind::Events {
        return [part.events(), answer].concat().into();
    }
    let answer = if replaces(exchange, shape) { Bytes::new() } else { answer };
    (shape.status, shape.form, shape.is_encoded) = (StatusCode::OK, BodyKind::Json, false);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.remove(CONTENT_ENCODING);
    part.join(&answer)
}

/// Reads and drops a body, so that its connection can be reused.
pub(in crate::proxy) async fn discard(mut body: Content, lease: Lease) {
    let mut read = BufferedBody::default();
    let stop = timeout(MOMENT, poll_fn(|cx| read.poll_read(&mut body, WHOLE, cx))).await;
    if let Ok(Stop::End) = stop {
        lease.finish(Instant::now());
    }
}
