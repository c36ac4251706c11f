//! `Outgoing`: the body of a request to an upstream.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use crate::proxy::rejection::Rejection;
use crate::sync::lock;
use crate::web::{Pace, Paced, RequestBody, detached};

/// The body to be sent.
pub(in crate::proxy) enum Outgoing {
    /// No body at all.
    Empty,
    /// Bytes that were read and checked; sent unchanged.
    Whole(Option<Piece>),
    /// The client's body, forwarded as it arrives.
    Stream(Box<Upload>),
}

/// Bytes handed over for sending.
pub(in crate::proxy) struct Piece {
    bytes: Bytes,
    mark: Option<Arc<Mark>>,
    /// Shared with the sender, which sees by it that this is not sent yet.
    _queued: Option<Arc<()>>,
}

impl Piece {
    /// Holds `queued` until it is sent or dropped.
    pub(in crate::proxy) fn held(self, queued: &Arc<()>) -> Self {
        Self { _queued: Some(Arc::clone(queued)), ..self }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        // Only called for what the peer's window lets through. From then on the library holds it, and may send it
        // although it is still waiting for the socket.
        if let Some(mark) = self.mark.as_ref().filter(|_| !self.bytes.is_empty()) {
            mark.begin();
        }
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        if let Some(mark) = self.mark.take_if(|_| count > 0) {
            mark.begin();
        }
        self.bytes.advance(count);
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, mark: None, _queued: None }
    }
}

/// Tracks whether any part of a body was sent.
#[derive(Default)]
pub(in crate::proxy) struct Mark {
    /// Whether there is something to be sent, since a client may upload slowly.
    offered: AtomicBool,
    begun: AtomicBool,
    /// The whole body, if available, until something was sent; then dropped, so that a large one frees its slot.
    bytes: Mutex<Option<Bytes>>,
}

impl Mark {
    fn begin(&self) {
        self.begun.store(true, Relaxed);
        *lock(&self.bytes) = None;
    }

    /// Returns whether any of it was sent.
    pub(in crate::proxy) fn has_begun(&self) -> bool {
        self.begun.load(Relaxed)
    }

    /// Returns whether something waits to be sent, and nothing was.
    pub(in crate::proxy) fn is_stuck(&self) -> bool {
        self.offered.load(Relaxed) && !self.has_begun()
    }

    /// Returns the body if it is complete and nothing of it was sent.
    pub(in crate::proxy) fn untouched(&self) -> Option<Bytes> {
        lock(&self.bytes).take()
    }
}

/// A body that is forwarded unread, within limits on its size and speed.
pub(in crate::proxy) struct Upload {
    body: RequestBody,
    left: usize,
    paced: Paced,
    progress: Arc<UploadProgress>,
    mark: Option<Arc<Mark>>,
}

/// Progress of an upload, for the task that waits for its answer.
#[derive(Debug)]
pub(in crate::proxy) struct UploadProgress {
    state: AtomicU8,
    has_place: AtomicBool,
}

/// The states of a `UploadProgress`.
const UNDER_WAY: u8 = 0;
const ENDED: u8 = 1;
const TOO_LARGE: u8 = 2;
const TOO_SLOW: u8 = 3;
const BROKEN_OFF: u8 = 4;

impl UploadProgress {
    /// Returns whether the whole body was handed over to be sent.
    pub(in crate::proxy) fn has_ended(&self) -> bool {
        self.state.load(Relaxed) == ENDED
    }

    /// Returns what is wrong with the client's body, if that is why the request failed.
    pub(in crate::proxy) fn fault(&self) -> Option<Rejection> {
        match self.state.load(Relaxed) {
            TOO_LARGE => Some(Rejection::TooLarge),
            TOO_SLOW => Some(Rejection::SlowBody),
            BROKEN_OFF => Some(Rejection::BadBody("the body is incomplete")),
            _ => None,
        }
    }

    /// Records that the request no longer holds a slot, so that the client need not keep a minimum rate.
    pub(in crate::proxy) fn give_up_slot(&self) {
        self.has_place.store(false, Relaxed);
    }
}

impl Outgoing {
    /// Forwards a body, which may be waited for this long in total.
    pub(in crate::proxy) fn stream(body: RequestBody, limit: usize, time: Duration) -> Self {
        let progress = UploadProgress { state: AtomicU8::new(UNDER_WAY), has_place: AtomicBool::new(true) };
        let paced = Paced::new(Pace { total: time, grace: Pace::CLIENTS_GRACE });
        Self::Stream(Box::new(Upload { body, left: limit, paced, progress: Arc::new(progress), mark: None }))
    }

    /// Returns the progress of an upload; `None` if the body is complete.
    pub(in crate::proxy) fn progress(&self) -> Option<Arc<UploadProgress>> {
        match self {
            Self::Empty | Self::Whole(_) => None,
            Self::Stream(upload) => Some(Arc::clone(&upload.progress)),
        }
    }

    /// Returns the mark that shows whether any of it was sent; `None` if there is nothing to send.
    pub(in crate::proxy) fn mark(&mut self) -> Option<Arc<Mark>> {
        match self {
            Self::Whole(Some(piece)) if !piece.bytes.is_empty() => {
                let bytes = Mutex::new(Some(piece.bytes.clone()));
                let mark = Mark { offered: AtomicBool::new(true), begun: AtomicBool::new(false), bytes };
                Some(Arc::clone(piece.mark.insert(Arc::new(mark))))
            }
            Self::Stream(upload) => Some(Arc::clone(upload.mark.get_or_insert_default())),
            Self::Empty | Self::Whole(_) => None,
        }
    }
}

impl Body for Outgoing {
    type Data = Piece;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Piece>>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(upload) => upload.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(None) => true,
            Self::Whole(Some(piece)) => piece.bytes.is_empty(),
            Self::Stream(upload) => upload.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Whole(None) => SizeHint::with_exact(0),
            Self::Whole(Some(piece)) => SizeHint::with_exact(u64::try_from(piece.bytes.len()).unwrap_or(u64::MAX)),
            Self::Stream(upload) => upload.body.size_hint(),
        }
    }
}

impl Upload {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Piece>>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // HS-18: trailers are dropped, whatever they contain.
                    let Ok(data) = frame.into_data() else { continue };
                    let Some(left) = self.left.checked_sub(data.len()) else {
                        return self.fail(TOO_LARGE, io::ErrorKind::FileTooLarge);
                    };
                    self.left = left;
                    self.paced.received(data.len());
                    // A body of known length is not polled again after its last byte.
                    if self.body.is_end_stream() || self.body.size_hint().exact() == Some(0) {
                        self.progress.state.store(ENDED, Relaxed);
                    }
                    // The upstream may be slow, so waiting data must not keep a whole read buffer.
                    let mark = self.mark.take_if(|_| !data.is_empty());
                    if let Some(mark) = &mark {
                        mark.offered.store(true, Relaxed);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(Piece { bytes: detached(data), mark, _queued: None }))));
                }
                Poll::Ready(Some(Err(_))) => return self.fail(BROKEN_OFF, io::ErrorKind::ConnectionAborted),
                Poll::Ready(None) => {
                    self.progress.state.store(ENDED, Relaxed);
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    // DS-02: nobody may hold a slot that others need by sending very slowly. Time during which the
                    // upstream accepts nothing does not count, since the client is not polled then.
                    if !self.progress.has_place.load(Relaxed) {
                        self.paced.waive_rate();
                    }
                    return match self.paced.poll_slow(cx) {
                        Poll::Ready(()) => self.fail(TOO_SLOW, io::ErrorKind::TimedOut),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }

    fn fail(&self, state: u8, kind: io::ErrorKind) -> Poll<Option<io::Result<Frame<Piece>>>> {
        self.progress.state.store(state, Relaxed);
        Poll::Ready(Some(Err(kind.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_13_what_the_library_has_looked_at_to_send_it_is_not_sent_again() {
        let body = Bytes::from_static(b"pay");
        let mut outgoing = Outgoing::Whole(Some(body.clone().into()));
        let mark = outgoing.mark().unwrap();
        let Outgoing::Whole(Some(piece)) = &outgoing else { panic!("it is whole") };
        assert_eq!(piece.remaining(), 3);
        assert!(!mark.has_begun(), "its length may be known beforehand");
        assert_eq!(piece.chunk(), body);
        assert!(mark.has_begun() && mark.untouched().is_none());
    }
}
