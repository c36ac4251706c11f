//! The data path: one function with named stages. It knows neither issuer nor store.
//!
//! Each stage returns a value that a later one needs, or a `Rejection`, which one table turns into an answer. It parses
//! no more of a message than necessary, and changes none but lists (`response/rewrite`). Start at [`Proxy::serve`],
//! then `permit.rs`, `headers.rs` and `rejection.rs`.

use std::pin::pin;
use std::sync::Arc;

use http::header::{ORIGIN, VIA};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use crate::mcp::ProtocolVersion;
use crate::telemetry::Outcome;
use crate::web::{RequestBody, Response, reply};

mod accept;
mod addressed;
mod authenticate;
mod batch;
mod budget;
mod by_address;
mod cached_principal;
mod call_limits;
mod challenges;
mod counted_calls;
mod day_count;
mod exchange;
mod fair_slots;
mod fault;
mod field;
mod headers;
mod last_uses;
mod list_changes;
mod message;
mod note_refusal;
mod opening;
mod origin;
mod peer;
mod permit;
mod quotas;
mod record;
mod refuse;
mod refused_operations;
mod rejection;
mod remembered_tools;
mod repeats;
mod request_session;
mod response;
mod resumed;
mod rooms;
mod route;
mod route_access;
mod route_table;
mod row;
mod rpc;
mod session;
mod session_owners;
mod table_in_force;
mod trace;
mod upstream;
mod usage;
mod verdict;
mod whole_body;

pub use exchange::{Destination, Proxy};
pub use last_uses::LastUses;
pub use peer::Peer;
pub use quotas::{CountedQuota, LimitState};
pub use refused_operations::{CountedRefusals, RefusedOperation, RefusedOperations};
pub use route_table::RouteTable;
pub use session::Sessions;
pub use upstream::probe::{KeptCatalogue, OnTitle};
pub use upstream::state::UpstreamState;

use addressed::Addressed;
use cached_principal::CachedPrincipal;
use exchange::Exchange;
use fair_slots::FairSlot;
use field::MCP_PROTOCOL_VERSION;
use headers::CheckedRequest;
use permit::Permit;
use record::Record;
use rejection::Rejection;
use response::deliver::Asker;
use response::ending::Ids;
use resumed::Resumed;
use upstream::lease::LeasedResponse;
use upstream::pool::{ConnectionChoice, Permitted, UpstreamRequest};
use upstream::resend::{KeptRequest, Next, ResendStep};
use upstream::waiting::{Unanswered, Wait};
use verdict::Verdict;

/// What is needed to send a request, the first time or again.
struct Sending<'a> {
    pool: &'a Permitted<'a>,
    slot: &'a FairSlot,
    wait: Wait,
}

impl Proxy {
    /// Answers a request to an upstream. The caller has checked Host.
    ///
    /// What is taken of `head` and `body` is not put back.
    pub async fn serve(
        &self,
        to: Destination<'_>,
        head: &mut Parts,
        body: &mut RequestBody,
        peer: &mut Peer,
    ) -> Response {
        let Destination { table, route, config } = to;
        let Some(route) = table.routes.get(route) else { return reply::empty(StatusCode::NOT_FOUND) };
        // Read once for all that happens before the request first waits.
        let begun = Instant::now();
        let worker = self.worker(table);
        // MCP transports, Security: before authentication, so that a page from a forbidden origin learns nothing.
        let origin = table.origins.check(&head.headers, route.own_origin());
        let mut exchange = Exchange {
            worker: &worker,
            route,
            config,
            peer,
            has_good_token: false,
            is_anonymous: false,
            generation: 0,
            version: ProtocolVersion::read(head.headers.get(MCP_PROTOCOL_VERSION).map(HeaderValue::as_bytes)),
            record: Some(Record::begin(&worker.metrics, route, &head.method, peer, begun)),
            parts: head,
            user_slot: None,
            ids: Ids::None,
            opening: None,
        };
        let answered = match &origin {
            Ok(_) => self.answer(&mut exchange, body, Resumed::at(begun)).await,
            Err(_) => Err(Rejection::BadOrigin),
        };
        let (mut response, outcome) = answered.unwrap_or_else(|rejection| {
            let rejection = exchange.hiding(rejection);
            if let Rejection::Upstream(fault) = &rejection {
                fault.log(&route.name, peer.request_id);
            }
            if let Some(record) = &mut exchange.record {
                record.refuse(&rejection, exchange.parts.headers.get(ORIGIN));
            }
            (exchange.reject(&rejection), rejection.row().outcome)
        });
        if outcome != Outcome::Forwarded {
            reply::protect(response.headers_mut(), &config.public);
        }
        if let Some(record) = &mut exchange.record {
            record.answer(outcome, response.status());
            record.passed(response.body().size_hint().lower());
        }
        peer.has_good_token = exchange.has_good_token;
        if let Ok(Some(origin)) = origin {
            origin::allow(response.headers_mut(), origin);
        }
        response
    }

    /// The stages, ordered by their cost and by what each may reveal.
    async fn answer(
        &self,
        exchange: &mut Exchange<'_>,
        body: &mut RequestBody,
        mut resumed: Resumed,
    ) -> Result<(Response, Outcome), Rejection> {
        let Exchange { route, ref parts, .. } = *exchange;
        let target = route.target(&parts.uri).ok_or(Rejection::AmbiguousPath)?;
        if parts.method == Method::OPTIONS {
            return Ok((origin::preflight(&route.pass_headers, &parts.headers), Outcome::Preflight));
        }
        // RFC 6750 3: before anything that depends on the request, so that all unauthenticated requests see the same
        // 401.
        exchange.generation = self.cache.generation();
        let token = resumed.after(pin!(self.authenticated(exchange, resumed.time()))).await;
        let (token, caller) = self.accept(exchange, token)?;
        let Exchange { worker, config, ref parts, version, .. } = *exchange;
        let (method, fields) = (&parts.method, &parts.headers);
        message::check_method(route.kind, version, method)?;
        let head = message::Head { caller: &caller, method, path: parts.uri.path(), headers: fields, version, config };
        message::check_headers(head, body)?;
        let large = whole_body::LargeBodies { slots: &self.large_bodies, user: caller.budget() };
        let message = resumed.after(pin!(message::read(head, body, large))).await;
        let message = message.map_err(|(rejection, ids)| {
            exchange.ids = ids;
            rejection
        })?;
        (exchange.ids, exchange.opening) = (message.ids, message.opening);
        if let Some(record) = &mut exchange.record {
            record.asks(message.asked);
        }
        let checked = self.check_session(exchange, &caller)?;
        let permit = self.permit(exchange, caller, (&message.verdict, &token), resumed.time())?;
        exchange.is_anonymous = false;
        if let Some(refusal) = exchange.late_refusal(permit.caller()) {
            return refusal.map(|response| (response, Outcome::Forwarded));
        }
        message.counted.enter((&token, exchange.peer.address), resumed.time(), &mut exchange.user_slot)?;
        if checked.is_taken_over {
            self.take_session(exchange, permit.caller())?;
        }
        let pool = worker.pools.get(route.index).ok_or(Rejection::Internal)?.permit(permit)?;
        let slot = resumed.after(pin!(pool.enter())).await?;
        let headers = self.head(exchange, pool.caller(), checked);
        let wait = exchange.patience(message.is_initialize).since(resumed.time());
        let ask = UpstreamRequest::new(method.clone(), target.clone(), headers, message.body, wait);
        // Pinned, as below, because a future that is awaited by value is moved once more.
        let sent = pin!(pool.send(&slot, ConnectionChoice::Any, ask)).await;
        let (sent, asked) = match sent {
            Ok(answered) if !upstream::redirect::repeats(answered.0.status()) => (Ok(answered), target),
            Err(Unanswered::Late(waiting)) => (Err(Unanswered::Late(waiting)), target),
            // Boxed: rare, and of some size.
            sent => {
                let sending = Sending { pool: &pool, slot: &slot, wait };
                Box::pin(self.send_again(exchange, sending, (sent, target), message.again)).await?
            }
        };
        let asker = Asker { asked: &asked, token: &token, caller: pool.caller() };
        let (response, lease) = match sent {
            Err(Unanswered::Late(waiting)) => {
                return Ok((self.answer_early(exchange, *waiting, slot, asker)?, Outcome::Forwarded));
            }
            answered => answered?,
        };
        self.check_again(exchange, &token).await?;
        let response = pin!(self.deliver(exchange, response, (lease, slot), asker)?).await?;
        Ok((response, Outcome::Forwarded))
    }

    /// Permits a request if nothing is against it, and marks that the grant of its token was used. What is refused of
    /// it is noted for the audit trail.
    fn permit(
        &self,
        exchange: &Exchange<'_>,
        caller: Arc<CachedPrincipal>,
        (verdict, token): (&Verdict, &Addressed<'_>),
        now: Instant,
    ) -> Result<Permit, Rejection> {
        let permit = Permit::grant(caller, verdict).map_err(|refusal| {
            if token.token().is_anonymous() {
                return refusal;
            }
            exchange.note_refusal(token, (verdict, &refusal));
            let (grant, is_message) = (token.token().grant(), exchange.ids.one().is_some());
            exchange.worker.table.repeats.cut_short(refusal, grant, is_message, now)
        })?;
        if let Verdict::Refused(part) = verdict {
            exchange.note_refused(token, part);
        }
        self.mark_use(token);
        Ok(permit)
    }

    /// Builds the head of the request to the upstream.
    fn head(&self, exchange: &Exchange<'_>, caller: &CachedPrincipal, checked: CheckedRequest) -> HeaderMap {
        let spare = exchange.worker.take_map();
        let mut head = headers::build(spare, exchange, caller, checked);
        head.insert(VIA, headers::via(exchange.parts.version));
        head
    }

    /// Sends a request once more if that is safe, or returns the first outcome.
    async fn send_again(
        &self,
        exchange: &Exchange<'_>,
        Sending { pool, slot, wait }: Sending<'_>,
        (mut sent, mut asked): (Result<LeasedResponse, Unanswered>, PathAndQuery),
        mut again: KeptRequest,
    ) -> Result<(Result<LeasedResponse, Unanswered>, PathAndQuery), Rejection> {
        loop {
            let Next { on, target, body, before } = match again.next(exchange.route, &asked, sent) {
                ResendStep::Send(next) => next,
                ResendStep::Done(sent) => return Ok((sent, asked)),
            };
            if let Some((response, lease)) = before {
                response::deliver::discard(response.into_body(), lease).await;
            }
            let checked = self.check_session(exchange, pool.caller())?;
            let headers = self.head(exchange, pool.caller(), checked);
            let method = exchange.parts.method.clone();
            asked = target.clone();
            let wait = wait.anew();
            sent = pool.send(slot, on, UpstreamRequest::new(method, target, headers, body, wait)).await;
        }
    }
}
