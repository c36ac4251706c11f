//! Resending a request: when that is safe, and what must be kept for it.

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;

use super::lease::LeasedResponse;
use super::pool::ConnectionChoice;
use super::redirect;
use super::request_body::Outgoing;
use super::waiting::Unanswered;
use crate::config::UpstreamKind;
use crate::proxy::route::Route;

/// Bodies up to this size are kept until the head of the answer has arrived; they are small compared with what a
/// request needs anyway. For an upstream that is known to redirect, all bodies are kept.
pub(in crate::proxy) const LARGEST_KEPT: usize = 4 * 1024;

/// What is kept of a request.
pub(in crate::proxy) struct KeptRequest {
    body: Kept,
    /// Whether the request is idempotent (RFC 9110 9.2.2).
    is_idempotent: bool,
    redirects: u8,
    retries: u8,
}

enum Kept {
    /// The request has no body.
    Empty,
    Whole(Bytes),
    /// The request had a body, which is no longer available.
    Gone,
}

impl KeptRequest {
    /// Keeps a message that was read. `only_reads` says that nothing in it changes anything.
    pub(in crate::proxy) fn of_message(route: &Route, body: &Bytes, only_reads: bool) -> Self {
        let is_kept = body.len() <= LARGEST_KEPT || route.moved.has_happened();
        Self::new(if is_kept { Kept::Whole(body.clone()) } else { Kept::Gone }, only_reads)
    }

    /// Keeps a request whose body was not read.
    pub(in crate::proxy) fn of_request(method: &Method, body: &Outgoing) -> Self {
        let body = if matches!(body, Outgoing::Empty) { Kept::Empty } else { Kept::Gone };
        Self::new(body, method.is_idempotent())
    }

    fn new(body: Kept, is_idempotent: bool) -> Self {
        Self { body, is_idempotent, redirects: 1, retries: 1 }
    }

    /// Returns how to send a request for `asked` once more, or the first outcome.
    pub(in crate::proxy) fn next(
        &mut self,
        route: &Route,
        asked: &PathAndQuery,
        sent: Result<LeasedResponse, Unanswered>,
    ) -> ResendStep {
        match sent {
            Ok((response, lease)) => {
                let is_followed = route.kind == UpstreamKind::Mcp && redirect::repeats(response.status());
                let to = if is_followed { route.follow(asked, response.status(), response.headers()) } else { None };
                match (to, self.body()) {
                    (Some(target), Some(body)) if self.redirects > 0 => {
                        self.redirects -= 1;
                        ResendStep::Send(Next {
                            on: ConnectionChoice::Any,
                            target,
                            body,
                            before: Some((response, lease)),
                        })
                    }
                    (_, _) => ResendStep::Done(Ok((response, lease))),
                }
            }
            Err(Unanswered::Lost(fault)) if self.is_idempotent && self.retries > 0 => match self.body() {
                Some(body) => self.retry(asked, body),
                None => ResendStep::Done(Err(Unanswered::Lost(fault))),
            },
            Err(Unanswered::Unprocessed(fault, back)) if self.retries > 0 => {
                match back.map(whole).or_else(|| self.body()) {
                    Some(body) => self.retry(asked, body),
                    None => ResendStep::Done(Err(Unanswered::Unprocessed(fault, None))),
                }
            }
            Err(other) => ResendStep::Done(Err(other)),
        }
    }

    fn retry(&mut self, asked: &PathAndQuery, body: Outgoing) -> ResendStep {
        self.retries -= 1;
        ResendStep::Send(Next { on: ConnectionChoice::New, target: asked.clone(), body, before: None })
    }

    fn body(&self) -> Option<Outgoing> {
        match &self.body {
            Kept::Empty => Some(Outgoing::Empty),
            Kept::Whole(bytes) => Some(whole(bytes.clone())),
            Kept::Gone => None,
        }
    }
}

fn whole(bytes: Bytes) -> Outgoing {
    Outgoing::Whole(Some(bytes.into()))
}

/// What to do next.
pub(in crate::proxy) enum ResendStep {
    Send(Next),
    Done(Result<LeasedResponse, Unanswered>),
}

/// How a request is sent once more.
pub(in crate::proxy) struct Next {
    pub(in crate::proxy) on: ConnectionChoice,
    pub(in crate::proxy) target: PathAndQuery,
    pub(in crate::proxy) body: Outgoing,
    /// The redirect that is followed, whose connection can be reused.
    pub(in crate::proxy) before: Option<LeasedResponse>,
}
