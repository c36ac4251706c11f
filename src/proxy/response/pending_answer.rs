//! Answers that start before the upstream's. The client, and every proxy in between, gets a head and keep-alives while
//! a call takes minutes or a stream has no event yet; the upstream's answer follows as events.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use http::header::ALLOW;
use http::response::Parts;
use http::uri::PathAndQuery;

use super::head;
use super::head::{BodyKind, Declared};
use super::refusals::StreamRefusal;
use crate::proxy::fair_slots::FairSlot;
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::rejection::{Rejection, SESSION_NOT_FOUND};
use crate::proxy::route::Route;
use crate::proxy::row::INTERNAL_ERROR;
use crate::proxy::upstream::content::Content;
use crate::proxy::upstream::lease::Lease;
use crate::proxy::upstream::waiting::Waiting;

/// How the body of a late answer is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Flow {
    /// Unchanged, as a stream of events.
    Events,
    /// As the only event of a stream that started earlier; the longest pause within the JSON message.
    Wrapped(Duration),
}

/// A request whose client already got a head, and whose upstream has not answered yet.
pub(in crate::proxy) struct PendingAnswer {
    pub(in crate::proxy) waiting: Waiting,
    pub(in crate::proxy) slot: Option<FairSlot>,
    pub(in crate::proxy) route: Arc<Route>,
    pub(in crate::proxy) asked: PathAndQuery,
    /// The key of the stream, for a GET; `None` for a call.
    pub(in crate::proxy) stream: Option<String>,
}

/// The outcome of a pending answer.
pub(in crate::proxy) enum PendingOutcome {
    /// The answer is arriving.
    Answer(Content, Lease, Option<FairSlot>, Flow),
    /// The answer cannot be forwarded.
    NoAnswer(NoAnswer),
    /// The upstream refuses the stream.
    NoStream(Option<Fault>),
}

/// What a client gets instead of an answer.
pub(in crate::proxy) enum NoAnswer {
    /// This JSON-RPC error.
    Error(i32, String),
    /// An error for this fault of the upstream.
    Fault(Fault),
}

impl PendingAnswer {
    pub(in crate::proxy) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<PendingOutcome> {
        let (response, lease) = match ready!(self.waiting.poll(cx)) {
            Ok(answered) => answered,
            Err(Rejection::Upstream(fault)) => return Poll::Ready(PendingOutcome::NoAnswer(NoAnswer::Fault(fault))),
            Err(other) => {
                let error = NoAnswer::Error(INTERNAL_ERROR, other.row().text.to_owned());
                return Poll::Ready(PendingOutcome::NoAnswer(error));
            }
        };
        let (head, body) = response.into_parts();
        let slot = self.slot.take();
        Poll::Ready(match (self.judge(&head), &self.stream) {
            (Ok(Flow::Events), _) => {
                lease.give_up_slot();
                PendingOutcome::Answer(body, lease, None, Flow::Events)
            }
            (Ok(flow), _) => PendingOutcome::Answer(body, lease, slot, flow),
            (Err(nothing), None) => PendingOutcome::NoAnswer(nothing),
            (Err(nothing), Some(stream)) => self.refuse_stream(stream, &head, nothing),
        })
    }

    /// Checks the head, which can no longer be sent to the client.
    fn judge(&self, head: &Parts) -> Result<Flow, NoAnswer> {
        let Declared { form, is_encoded, .. } = Declared::read(&head.headers);
        head::judge(&self.route, &self.asked, head.status, &head.headers, Some(form)).map_err(NoAnswer::Fault)?;
        if matches!(form, BodyKind::Events | BodyKind::Json) && is_encoded {
            let fault = Fault::new(Cause::CompressedStream, "it has a Content-Encoding other than identity");
            return Err(NoAnswer::Fault(fault));
        }
        let is_call = self.stream.is_none();
        match (head.status, form) {
            (StatusCode::OK, BodyKind::Events) => Ok(Flow::Events),
            (status, BodyKind::Json) if is_call && status.is_success() => Ok(Flow::Wrapped(self.route.call_timeout)),
            (StatusCode::NOT_FOUND, _) => Err(NoAnswer::Error(SESSION_NOT_FOUND, "Session not found".to_owned())),
            (status, _) => Err(NoAnswer::Error(INTERNAL_ERROR, format!("the upstream answered {status}"))),
        }
    }

    /// Keeps a refusal for the next GET, since this one was already answered.
    fn refuse_stream(&self, stream: &str, head: &Parts, nothing: NoAnswer) -> PendingOutcome {
        let fault = if let NoAnswer::Fault(fault) = nothing { Some(fault) } else { None };
        let kept = match &fault {
            Some(fault) => StreamRefusal::Fault(fault.cause, fault.detail.clone()),
            None => StreamRefusal::Status(head.status, head.headers.get(ALLOW).cloned()),
        };
        self.route.refusals.put(stream.to_owned(), kept);
        PendingOutcome::NoStream(fault)
    }
}
