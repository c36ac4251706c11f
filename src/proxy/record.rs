//! One record per request, written when its answer was handed over completely or its stream has ended: counters, and a
//! line in the log. Never a token.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use tokio::time::Instant;

use super::cached_principal::CachedPrincipal;
use super::fault::Fault;
use super::peer::Peer;
use super::rejection::Rejection;
use super::route::Route;
use super::row::Word;
use super::rpc::{RpcCall, error_code};
use crate::config::UpstreamKind;
use crate::oauth::{ClientId, show};
use crate::telemetry::{AccessLine, Outcome, WorkerMetrics};
use crate::web::RequestId;

/// nginx's status for a client that left before its answer; there is no registered one.
const CLIENT_LEFT: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// Why a request was refused, or its answer not forwarded.
#[derive(Default)]
struct RecordedRefusal {
    reason: Option<&'static str>,
    /// Details, where the reason has many forms.
    detail: Option<&'static str>,
    /// The received value, as the log may show it.
    value: Option<Box<str>>,
    /// The configuration key behind it.
    key: Option<&'static str>,
}

/// The record of a request in progress; dropping it writes the record.
pub(super) struct Record {
    metrics: WorkerMetrics,
    route: Arc<Route>,
    method: Method,
    address: IpAddr,
    request_id: RequestId,
    caller: Option<Arc<CachedPrincipal>>,
    asked: RpcCall,
    error: Option<i64>,
    /// Bytes of the answer's body handed over so far.
    bytes: u64,
    is_stream: bool,
    why: Option<Box<RecordedRefusal>>,
    begun: Instant,
    /// When its answer was complete; otherwise it ends when it is dropped.
    ended: Option<Instant>,
    outcome: Outcome,
    status: StatusCode,
}

impl Record {
    pub(super) fn begin(
        metrics: &WorkerMetrics,
        route: &Arc<Route>,
        method: &Method,
        peer: &Peer,
        begun: Instant,
    ) -> Self {
        metrics.begin_request(route.index);
        Self {
            metrics: metrics.clone(),
            route: Arc::clone(route),
            method: method.clone(),
            address: peer.address,
            request_id: peer.request_id,
            caller: None,
            asked: RpcCall::default(),
            error: None,
            bytes: 0,
            is_stream: false,
            why: None,
            begun,
            ended: None,
            outcome: Outcome::Forwarded,
            status: CLIENT_LEFT,
        }
    }

    /// Records the outcome and status of the answer.
    pub(super) fn answer(&mut self, outcome: Outcome, status: StatusCode) {
        self.outcome = outcome;
        self.status = status;
    }

    /// Records when the answer was complete.
    pub(super) fn end_at(&mut self, moment: Instant) {
        self.ended = Some(moment);
    }

    /// Records the caller.
    pub(super) fn of(&mut self, caller: &Arc<CachedPrincipal>) {
        self.caller = Some(Arc::clone(caller));
    }

    /// Records what the request asks for.
    pub(super) fn asks(&mut self, asked: RpcCall) {
        self.asked = asked;
    }

    /// Returns what the request asks for.
    pub(super) fn asked(&self) -> &RpcCall {
        &self.asked
    }

    /// Records that the answer is a stream of events.
    pub(super) fn open_stream(&mut self) {
        if !std::mem::replace(&mut self.is_stream, true) {
            self.metrics.open_stream(self.route.index);
        }
    }

    /// Records bytes of the answer that are handed over.
    pub(super) fn passed(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Returns whether nothing of the answer has been handed over yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.bytes == 0
    }

    /// Looks for an error in a part of the upstream's answer.
    pub(super) fn look(&mut self, part: &[u8], is_events: bool) {
        if self.error.is_none() {
            self.error = error_code(part, is_events);
        }
    }

    /// Records the error that the gateway answers with.
    pub(super) fn error(&mut self, code: i32) {
        self.error = Some(code.into());
    }

    /// Records why the request is refused. `origin` is the calling page's, if there is one.
    pub(super) fn refuse(&mut self, rejection: &Rejection, origin: Option<&HeaderValue>) {
        let first = if let Rejection::BatchRefused(requests) = rejection { requests.first() } else { None };
        let rejection = first.map_or(rejection, |request| &request.why);
        let row = rejection.row();
        self.error = match (row.word, self.route.kind) {
            (Word::Rpc(code), UpstreamKind::Mcp) => Some(code.into()),
            (Word::OAuth(_), _) | (Word::Rpc(_), UpstreamKind::Http) => None,
        };
        let value = if let Rejection::UnsupportedVersion(version) = rejection {
            Some(show(version))
        } else if let Rejection::MessageDenied(denied) | Rejection::RequestDenied(denied) = rejection {
            Some(show(&denied.rule))
        } else if let Rejection::LimitReached(limit) = rejection {
            Some(show(&limit.name))
        } else {
            let origin = origin.filter(|_| matches!(rejection, Rejection::BadOrigin));
            origin.map(|origin| show(&String::from_utf8_lossy(origin.as_bytes())))
        };
        self.why = Some(Box::new(RecordedRefusal {
            reason: Some(row.reason),
            detail: row.detail,
            value: value.map(Into::into),
            key: row.key,
        }));
    }

    /// Records that the answer broke off after its head.
    pub(super) fn break_off(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Records, here and in the log, that the answer broke off because of the upstream.
    pub(super) fn fail(&mut self, fault: &Fault) {
        let row = fault.cause.row();
        self.outcome = row.outcome;
        self.why =
            Some(Box::new(RecordedRefusal { reason: Some(row.reason), key: fault.key, ..RecordedRefusal::default() }));
        fault.log(&self.route.name, self.request_id);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.ended.unwrap_or_else(Instant::now).saturating_duration_since(self.begun);
        let why = self.why.as_deref();
        let caller = self.caller.as_deref().map(CachedPrincipal::principal);
        self.metrics.end_request(self.route.index, self.is_stream);
        self.metrics.request(self.route.index, self.outcome, self.status.as_u16(), elapsed);
        if !AccessLine::is_wanted() {
            return;
        }
        let digits = self.request_id.digits();
        let line = AccessLine {
            upstream: &self.route.name,
            method: self.method.as_str(),
            status: self.status.as_u16(),
            outcome: self.outcome,
            reason: why.and_then(|why| why.reason),
            detail: why.and_then(|why| why.detail),
            value: why.and_then(|why| why.value.as_deref()),
            key: why.and_then(|why| why.key),
            subject: caller.map(|caller| caller.subject().as_str()),
            user: caller.map(|caller| caller.user()).filter(|user| !user.is_empty()),
            client: caller.map(|caller| caller.client().as_str()),
            actor: caller.and_then(|caller| caller.actor()).map(ClientId::as_str),
            caller_fields: self.caller.as_deref().map_or("", CachedPrincipal::log_fields),
            rpc_method: self.asked.method(),
            tool: self.asked.tool(),
            rpc_error: self.error,
            bytes: self.bytes,
            duration: elapsed,
            address: self.address,
            request_id: digits.as_bytes(),
        };
        line.log();
    }
}
