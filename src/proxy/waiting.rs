//! Waiting for the head of an answer: how long, and how a wait goes on whose client has been given a head already.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::{Sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::fault::{Cause, Fault};
use super::outgoing::Outgoing;
use super::rejection::Rejection;
use super::upstream::{Answered, Failure, Lease, Unanswered, accept, failure};

/// The keys that say how long an answer is waited for: the answer to a POST, and others.
pub(super) const ANSWER_TIMES: &str = "upstream.call_timeout, upstream.first_byte_timeout";

/// How soon most answers come.
const SOON: Duration = Duration::from_secs(1);

type SentResult = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>;
pub(super) type SentRequest = Pin<Box<dyn Future<Output = SentResult> + Send>>;

/// How long the head of an answer is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    /// When the wait becomes an [`Unanswered::Late`], if it may.
    pub(super) early: Option<Duration>,
    /// When the request is given up.
    pub(super) limit: Duration,
}

impl Wait {
    /// Returns what is left of it.
    pub(super) fn after(self, spent: Duration) -> Self {
        let early = self.early.map(|early| early.saturating_sub(spent));
        Self { early, limit: self.limit.saturating_sub(spent) }
    }
}

/// A request that was sent and is not answered yet. Dropping it gives it up.
pub(super) struct Waiting {
    sent: SentRequest,
    lease: Option<Lease>,
    limit: Pin<Box<Sleep>>,
    time: Duration,
}

impl Waiting {
    /// Goes on with a request that may be answered later.
    pub(super) fn go_on(sent: SentRequest, rest: Wait, lease: Lease) -> Unanswered {
        let limit = Box::pin(tokio::time::sleep(rest.limit));
        let time = rest.limit.saturating_add(rest.early.unwrap_or_default());
        Unanswered::Late(Box::new(Self { sent, lease: Some(lease), limit, time }))
    }

    pub(super) fn too_slow(&self) -> Fault {
        too_slow(self.time)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answered, Rejection>> {
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
            (Ok(response), Some(lease)) => accept(response, lease).map_err(Rejection::from),
            (Ok(_), None) => Err(Rejection::Internal),
            (Err(error), lease) => {
                let upload = lease.as_ref().and_then(|lease| lease.upload.as_deref());
                Err(match failure(error, upload, false) {
                    Failure::Unsent(_) | Failure::Early(..) => {
                        Fault::new(Cause::ClosedEarly, "the connection ended before anything was sent").into()
                    }
                    Failure::Unanswered(why) => why.into(),
                })
            }
        })
    }
}

/// Waits for the answer to what was sent.
pub(super) async fn wait_for<F>(closing: &CancellationToken, sent: F, wait: Wait) -> Result<F::Output, Failure>
where
    F: Future<Output = SentResult> + Send + 'static,
{
    if let Some(early) = wait.early.filter(|early| *early < wait.limit) {
        // Boxed, for it may have to go on in another place.
        let mut sent: SentRequest = Box::pin(sent);
        return match until(closing, &mut sent, early).await? {
            Some(answer) => Ok(answer),
            None => Err(Failure::Early(sent, Wait { early: Some(early), limit: wait.limit.saturating_sub(early) })),
        };
    }
    until(closing, std::pin::pin!(sent), wait.limit).await?.ok_or_else(|| too_slow(wait.limit).into())
}

/// Waits so long, or until the process ends.
pub(super) async fn until<F>(
    closing: &CancellationToken,
    mut sent: F,
    limit: Duration,
) -> Result<Option<F::Output>, Failure>
where
    F: Future<Output = SentResult> + Unpin,
{
    if let Ok(answer) = timeout(limit.min(SOON), &mut sent).await {
        return Ok(Some(answer));
    }
    // Most have been answered by now: only those that wait on are woken when the process ends.
    match closing.run_until_cancelled(timeout(limit.saturating_sub(SOON), sent)).await {
        Some(answer) => Ok(answer.ok()),
        None => Err(Unanswered::Refused(Rejection::GoingDown).into()),
    }
}

fn too_slow(time: Duration) -> Fault {
    Fault::new(Cause::TooSlow, format!("no head of an answer in {time:?}")).by(ANSWER_TIMES)
}
