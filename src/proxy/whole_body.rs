//! Reads the body of a message whole: a small one at once, a large one with a slot and at a minimum pace.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::budget::UserBudget;
use super::fair_slots::{FairSlot, FairSlots};
use super::rejection::Rejection;
use super::response::gather::{BufferedBody, Stop};
use crate::mcp::EnvelopeError;
use crate::web::{Pace, Paced, RequestBody};

/// Bytes of a large body that are read at a time, so that other tasks get their turn.
const PORTION: usize = 256 << 10;
/// How long a large body waits for a slot.
const SLOT_WAIT: Duration = Duration::from_secs(5);

/// The slots for bodies beyond `limits.inspect_body`, and the user who may need one.
#[derive(Clone, Copy)]
pub(super) struct LargeBodies<'a> {
    pub(super) slots: &'a Arc<FairSlots>,
    pub(super) user: &'a Arc<UserBudget>,
}

/// Limits on the size of a body and the time that it may take.
#[derive(Clone, Copy)]
pub(super) struct BodyLimit {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// A large body, which keeps its slot until it is sent or dropped.
struct BodyInSlot {
    body: Bytes,
    _slot: FairSlot,
}

impl AsRef<[u8]> for BodyInSlot {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Reads a body within `limit`. Beyond `small` bytes, it waits for a slot.
pub(super) async fn read_whole(
    body: &mut RequestBody,
    limit: BodyLimit,
    small: usize,
    large: LargeBodies<'_>,
) -> Result<Bytes, Rejection> {
    let mut read = BufferedBody::default();
    let enough = small.min(limit.bytes).saturating_add(1);
    // First without a timer: a small body usually arrives with its head.
    let (stop, slot) = match poll_fn(|cx| Poll::Ready(read.poll_read(body, enough, cx))).await {
        Poll::Ready(stop @ (Stop::End | Stop::Broken(_))) => (stop, None),
        Poll::Ready(Stop::Full) | Poll::Pending => {
            let rest = timeout(limit.time, read_rest(&mut read, body, limit, enough, large));
            Box::pin(rest).await.map_err(|_| Rejection::SlowBody)??
        }
    };
    match stop {
        Stop::Broken(_) => Err(Rejection::BadBody("the body is incomplete")),
        Stop::End | Stop::Full if read.len() > limit.bytes => Err(Rejection::TooLarge),
        Stop::End | Stop::Full => Ok(match slot {
            Some(slot) => Bytes::from_owner(BodyInSlot { body: read.take(), _slot: slot }),
            None => read.take(),
        }),
    }
}

/// Continues reading: up to `enough` bytes, then with a slot, which is returned.
async fn read_rest(
    read: &mut BufferedBody,
    body: &mut RequestBody,
    limit: BodyLimit,
    enough: usize,
    large: LargeBodies<'_>,
) -> Result<(Stop<hyper::Error>, Option<FairSlot>), Rejection> {
    let stop = poll_fn(|cx| read.poll_read(body, enough, cx)).await;
    if !matches!(stop, Stop::Full) {
        return Ok((stop, None));
    }
    // MC-12: do not wait for a message that has not begun by now.
    if read.is_blank() {
        return Err(Rejection::Envelope(EnvelopeError { code: -32700, message: "the body is not JSON", id: None }));
    }
    let slot = large.slots.take(large.user, SLOT_WAIT).await?;
    // DS-02: nobody may hold a slot that others need by sending very slowly.
    let mut paced = Paced::new(Pace { total: limit.time, grace: Pace::CLIENTS_GRACE });
    loop {
        let enough = read.len().saturating_add(PORTION).min(limit.bytes.saturating_add(1));
        let stop = poll_fn(|cx| poll_paced(read, body, enough, &mut paced, cx)).await?;
        if !matches!(stop, Stop::Full) || read.len() > limit.bytes {
            return Ok((stop, Some(slot)));
        }
        tokio::task::yield_now().await;
    }
}

/// Continues reading as long as the body keeps its pace.
fn poll_paced(
    read: &mut BufferedBody,
    body: &mut RequestBody,
    enough: usize,
    paced: &mut Paced,
    cx: &mut Context<'_>,
) -> Poll<Result<Stop<hyper::Error>, Rejection>> {
    let before = read.len();
    let stop = read.poll_read(body, enough, cx);
    paced.received(read.len().saturating_sub(before));
    match stop {
        Poll::Ready(stop) => Poll::Ready(Ok(stop)),
        Poll::Pending => paced.poll_slow(cx).map(|()| Err(Rejection::SlowBody)),
    }
}
