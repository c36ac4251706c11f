//! Waits for the head of an answer: for how long, and how a wait continues after the client was already given a head.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::content::Content;
use super::lease::{Lease, LeasedResponse};
use super::request_body::{Outgoing, UploadProgress};
use super::sending::SendFailure;
use super::timer::Timer;
use crate::proxy::fault::{Cause, ExchangeError, Fault};
use crate::proxy::rejection::Rejection;

/// The configuration keys of the time limits: for answers to POST, and for others.
pub(in crate::proxy) const ANSWER_TIMES: &str = "upstream.call_timeout, upstream.first_byte_timeout";

/// The most fields of an answer.
const MAX_FIELDS: usize = 64;
/// How soon most answers arrive.
const SOON: Duration = Duration::from_secs(1);

pub(in crate::proxy) type SentResult = Result<Response<Content>, SendError>;
pub(in crate::proxy) type SentRequest = Pin<Box<dyn Future<Output = SentResult> + Send>>;

/// What failed, and the request if nothing of it was sent.
pub(in crate::proxy) struct SendError {
    error: ExchangeError,
    unsent: Option<Box<Request<Outgoing>>>,
}

impl From<TrySendError<Request<Outgoing>>> for SendError {
    fn from(mut error: TrySendError<Request<Outgoing>>) -> Self {
        let unsent = error.take_message().map(Box::new);
        Self { error: error.into_error().into(), unsent }
    }
}

impl From<SendFailure> for SendError {
    fn from(failure: SendFailure) -> Self {
        match failure {
            SendFailure::Unsent(error, request) => Self { error: error.into(), unsent: Some(request) },
            SendFailure::Broken(error) => Self { error: error.into(), unsent: None },
        }
    }
}

/// Continues a request whose client may not read the answer: on a shared connection it is read nevertheless.
pub(in crate::proxy) fn read_meanwhile(sent: SentRequest) -> SentRequest {
    let reader = async move { sent.await.map(|answer| answer.map(Content::read_ahead)) };
    let reader = AbortOnDropHandle::new(tokio::spawn(reader));
    // The task is not aborted before it is dropped, and does not panic.
    let ended = |_| Err(SendFailure::Broken(h2::Reason::INTERNAL_ERROR.into()).into());
    Box::pin(async move { reader.await.unwrap_or_else(ended) })
}

/// How long to wait for the head of an answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Patience {
    /// After how long the wait becomes an [`Unanswered::Late`], if it may.
    pub(super) early: Option<Duration>,
    /// After how long the request is given up.
    pub(in crate::proxy) limit: Duration,
}

/// A wait for the head of an answer, and since when.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Wait {
    pub(super) begun: Instant,
    /// How long it lasts from then on.
    pub(super) rest: Patience,
    /// The configured limit.
    configured: Duration,
}

impl Patience {
    /// `early` and `limit` are those of the fields.
    pub(in crate::proxy) const fn new(early: Option<Duration>, limit: Duration) -> Self {
        Self { early, limit }
    }

    /// Makes a wait that began at `begun`.
    pub(in crate::proxy) const fn since(self, begun: Instant) -> Wait {
        Wait { begun, rest: self, configured: self.limit }
    }
}

impl Wait {
    /// Returns what is left of the wait after `spent`.
    pub(super) fn after(self, spent: Duration) -> Self {
        let Patience { early, limit } = self.rest;
        let early = early.map(|early| early.saturating_sub(spent));
        let rest = Patience { early, limit: limit.saturating_sub(spent) };
        Self { begun: self.begun + spent, rest, ..self }
    }

    /// Returns a wait of the same length that begins now.
    pub(in crate::proxy) fn anew(self) -> Self {
        Self { begun: Instant::now(), ..self }
    }
}

/// A request that was sent and not answered yet. Dropping it cancels the request.
pub(in crate::proxy) struct Waiting {
    sent: SentRequest,
    lease: Option<Lease>,
    limit: Pin<Box<Sleep>>,
    configured: Duration,
}

impl Waiting {
    /// Continues a request that may be answered later.
    pub(in crate::proxy) fn go_on(sent: SentRequest, wait: Wait, lease: Lease) -> Unanswered {
        let limit = Box::pin(tokio::time::sleep(wait.rest.limit));
        Unanswered::Late(Box::new(Self { sent, lease: Some(lease), limit, configured: wait.configured }))
    }

    pub(in crate::proxy) fn too_slow(&self) -> Fault {
        too_slow(self.configured)
    }

    pub(in crate::proxy) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<LeasedResponse, Rejection>> {
        let answer = match self.sent.as_mut().poll(cx) {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                ready!(self.limit.as_mut().poll(cx));
                if let Some(share) = self.lease.take().as_ref().and_then(|lease| lease.share.as_ref()) {
                    share.leave();
                }
                return Poll::Ready(Err(self.too_slow().into()));
            }
        };
        Poll::Ready(match (answer, self.lease.take()) {
            (Ok(response), Some(mut lease)) => match accept(&response, &mut lease) {
                Ok(()) => Ok((response, lease)),
                Err(why) => Err(why.into()),
            },
            (Ok(_), None) => Err(Rejection::Internal),
            (Err(error), lease) => {
                let upload = lease.as_ref().and_then(|lease| lease.upload.as_deref());
                Err(match failure(error, upload, false) {
                    ConnectionFailure::Unsent(_) | ConnectionFailure::Early(..) => {
                        Fault::new(Cause::ClosedEarly, "the connection ended before anything was sent").into()
                    }
                    ConnectionFailure::Unanswered(why) => why.into(),
                })
            }
        })
    }
}

/// Waits for the answer to what was sent. `timer` is that of the connection, if it has one.
pub(super) async fn wait_for(
    closing: &CancellationToken,
    timer: &mut Timer,
    mut sent: SentRequest,
    wait: Wait,
) -> Result<SentResult, ConnectionFailure> {
    let Wait { begun, rest: Patience { early, limit }, .. } = wait;
    let early = early.filter(|early| *early < limit);
    match (until(closing, timer, &mut sent, begun, early.unwrap_or(limit)).await?, early) {
        (Some(answer), _) => Ok(answer),
        (None, Some(early)) => Err(ConnectionFailure::Early(sent, wait.after(early))),
        (None, None) => Err(too_slow(wait.configured).into()),
    }
}

/// Waits up to `limit` after `begun`, or until the process ends.
pub(super) async fn until(
    closing: &CancellationToken,
    timer: &mut Timer,
    sent: &mut SentRequest,
    begun: Instant,
    limit: Duration,
) -> Result<Option<SentResult>, ConnectionFailure> {
    if let Some(answer) = timer.wait(sent, begun + limit.min(SOON)).await {
        return Ok(Some(answer));
    }
    // Most requests are answered by now; only the remaining ones are woken when the process ends.
    match closing.run_until_cancelled(timer.wait(sent, begun + limit)).await {
        Some(answer) => Ok(answer),
        None => Err(Unanswered::Refused(Rejection::GoingDown).into()),
    }
}

fn too_slow(limit: Duration) -> Fault {
    Fault::new(Cause::TooSlow, format!("no head of an answer within {limit:?}")).by(ANSWER_TIMES)
}

/// Why there is no answer.
pub(in crate::proxy) enum Unanswered {
    /// A reused connection ended without any part of an answer: the upstream may have acted.
    Lost(Fault),
    /// The upstream has certainly not acted; with the body, if still available.
    Unprocessed(Fault, Option<Bytes>),
    /// It has not arrived yet.
    Late(Box<Waiting>),
    /// The request is rejected.
    Refused(Rejection),
}

impl From<Fault> for Unanswered {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault.into())
    }
}

impl From<Unanswered> for Rejection {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Lost(fault) | Unanswered::Unprocessed(fault, _) => fault.into(),
            // A wait that may become late is continued.
            Unanswered::Late(waiting) => waiting.too_slow().into(),
            Unanswered::Refused(rejection) => rejection,
        }
    }
}

/// Why a connection has produced no answer.
pub(in crate::proxy) enum ConnectionFailure {
    /// Nothing was sent; the request is returned.
    Unsent(Box<Request<Outgoing>>),
    /// The request was sent and may be answered later; with the rest of the wait.
    Early(SentRequest, Wait),
    Unanswered(Unanswered),
}

impl From<Unanswered> for ConnectionFailure {
    fn from(why: Unanswered) -> Self {
        Self::Unanswered(why)
    }
}

impl From<Fault> for ConnectionFailure {
    fn from(fault: Fault) -> Self {
        Self::Unanswered(fault.into())
    }
}

/// Classifies an error. `is_stale` says that the connection was reused and that no part of an answer has arrived on it.
pub(in crate::proxy) fn failure(
    failed: SendError,
    upload: Option<&UploadProgress>,
    is_stale: bool,
) -> ConnectionFailure {
    let SendError { error, unsent } = failed;
    if let Some(request) = unsent {
        return ConnectionFailure::Unsent(request);
    }
    if let Some(rejection) = upload.and_then(UploadProgress::fault) {
        return Unanswered::Refused(rejection).into();
    }
    let fault = Fault::of_exchange(&error);
    if is_unprocessed(&error) {
        return Unanswered::Unprocessed(fault, None).into();
    }
    if is_stale && fault.cause == Cause::ClosedEarly && !is_reset(&error) {
        Unanswered::Lost(fault).into()
    } else {
        fault.into()
    }
}

/// Returns whether the request was not processed: its stream was refused, or is beyond the last one of a GOAWAY (RFC
/// 9113 6.8, 8.7).
fn is_unprocessed(error: &ExchangeError) -> bool {
    let ExchangeError::Http2(error) = error else { return false };
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Returns whether the upstream reset one request, and not the connection.
fn is_reset(error: &ExchangeError) -> bool {
    matches!(error, ExchangeError::Http2(error) if error.is_reset())
}

/// Accepts an answer. UP-05: one beyond the limits counts as none, and its connection is closed.
pub(in crate::proxy) fn accept(response: &Response<Content>, lease: &mut Lease) -> Result<(), Unanswered> {
    let fields = response.headers().len();
    if fields > MAX_FIELDS {
        return Err(Fault::new(Cause::TooLarge, format!("an answer with {fields} header fields")).into());
    }
    lease.upload.take_if(|upload| upload.has_ended());
    Ok(())
}
