//! Answers that begin before the upstream's does. A client, and all that stands between, sees a head and signs of life
//! while a call takes minutes, or a stream has nothing to say yet; the upstream's answer follows as events.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use http::header::ALLOW;
use http::response::Parts;
use http::uri::PathAndQuery;

use super::head;
use super::head::BodyKind;
use super::refusals::StreamRefusal;
use crate::proxy::fair_slots::FairSlot;
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::rejection::{Rejection, SESSION_NOT_FOUND};
use crate::proxy::route::Route;
use crate::proxy::row::INTERNAL_ERROR;
use crate::proxy::upstream::content::Content;
use crate::proxy::upstream::lease::Lease;
use crate::proxy::upstream::waiting::Waiting;

/// How a late answer's body is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Flow {
    /// As it comes.
    Events,
    /// A JSON message as the one event of a stream that began before it; with its longest pause.
    Wrapped(Duration),
}

/// A request whose client has a head already, and whose upstream has said nothing yet.
pub(in crate::proxy) struct PendingAnswer {
    pub(in crate::proxy) waiting: Waiting,
    pub(in crate::proxy) slot: Option<FairSlot>,
    pub(in crate::proxy) route: Arc<Route>,
    pub(in crate::proxy) asked: PathAndQuery,
    /// For a GET: whose stream it is. `None` for a call.
    pub(in crate::proxy) stream: Option<String>,
}

/// What has become of it.
pub(in crate::proxy) enum PendingOutcome {
    /// The answer is coming.
    Answer(Content, Lease, Option<FairSlot>, Flow),
    /// It cannot be passed on.
    NoAnswer(NoAnswer),
    /// There is no stream.
    NoStream(Option<Fault>),
}

/// What a client gets instead of an answer.
pub(in crate::proxy) enum NoAnswer {
    /// This error.
    Error(i32, String),
    /// The upstream's fault.
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

    /// Judges the head, which the client does not get any more.
    fn judge(&self, head: &Parts) -> Result<Flow, NoAnswer> {
        head::judge(&self.route, &self.asked, head.status, &head.headers, true).map_err(NoAnswer::Fault)?;
        let form = head::form(&head.headers);
        let is_plain = !head::is_encoded(&head.headers);
        if matches!(form, BodyKind::Events | BodyKind::Json) && !is_plain {
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

    /// Keeps a refusal for the next GET: this one has been answered.
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
