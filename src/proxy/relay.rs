//! The answer's body on its way to the client: a short one whole, a long one as it comes. Frames that are ready are
//! joined, since each costs a chunk, a TLS record and a system call; nothing waits for more to come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::budget::StreamSlot;
use super::events::Events;
use super::gather::{Gathered, Stop};
use super::record::Record;
use super::upstream::Lease;
use super::watch::{Order, Ward};
use crate::telemetry::Outcome;

/// One TLS record.
const JOINED: usize = 16 * 1024;
/// P-10: a line that every client ignores.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");
/// TV-15: why the stream ends, for whoever reads it with his own eyes.
const TOKEN_ENDED: Bytes = Bytes::from_static(b": the access token has ended\n\n");
const TOO_OLD: Bytes = Bytes::from_static(b": the stream is too old\n\n");

/// A body that is relayed. It holds what must last as long as it does.
pub(super) struct Relay {
    upstream: Option<(Incoming, Lease)>,
    read: Gathered,
    /// How the upstream's body ended, once it has, while bytes of it are still here.
    stop: Option<Stop>,
    /// Whether the upstream's task was given a chance to bring more.
    asked_for_more: bool,
    events: Option<(Events, usize)>,
    ward: Arc<Ward>,
    record: Record,
    _slot: Option<StreamSlot>,
}

impl Relay {
    /// Relays `body`, of which `read` was read already. `events` bounds one event, if it is a stream of them.
    pub(super) fn new(
        body: Incoming,
        lease: Lease,
        read: Gathered,
        events: Option<usize>,
        ward: Arc<Ward>,
        record: Record,
        slot: Option<StreamSlot>,
    ) -> Self {
        Self {
            upstream: Some((body, lease)),
            read,
            stop: None,
            asked_for_more: false,
            events: events.map(|limit| (Events::default(), limit)),
            ward,
            record,
            _slot: slot,
        }
    }

    /// Obeys the watch; the last frame of a stream that is ended.
    fn obey(&mut self, order: Order) -> Option<io::Result<Bytes>> {
        let between = self.events.as_ref().is_some_and(|(events, _)| events.is_between()) && self.read.len() == 0;
        let farewell = match order {
            Order::KeepAlive => return between.then_some(Ok(KEEP_ALIVE)),
            Order::TokenEnded => TOKEN_ENDED,
            Order::TooOld => TOO_OLD,
            Order::TooSilent => {
                self.break_off(Outcome::UpstreamSlow);
                return Some(Err(io::ErrorKind::TimedOut.into()));
            }
        };
        self.upstream = None;
        self.read = Gathered::default();
        if between {
            return Some(Ok(farewell));
        }
        // In the middle of something: whoever reads it must not take it for the whole.
        self.break_off(Outcome::InvalidToken);
        Some(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn break_off(&mut self, outcome: Outcome) {
        self.upstream = None;
        self.record.break_off(outcome);
    }

    /// Gives away what was read.
    fn pass(&mut self) -> io::Result<Bytes> {
        let data = self.read.take();
        self.asked_for_more = false;
        self.ward.is_alive();
        if let Some((events, limit)) = &mut self.events
            && !events.pass(&data, *limit)
        {
            tracing::warn!("an upstream's event is too long: its stream is ended");
            self.break_off(Outcome::UpstreamProtocol);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(data)
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(frame) = self.ward.order().and_then(|order| self.obey(order)) {
            return Poll::Ready(Some(frame));
        }
        let Some((body, _)) = &mut self.upstream else { return Poll::Ready(None) };
        let before = self.read.len();
        match self.read.poll_read(body, JOINED, cx) {
            Poll::Ready(stop) => self.stop = Some(stop),
            Poll::Pending if self.read.len() == 0 => {
                self.ward.register(cx.waker());
                return Poll::Pending;
            }
            // The upstream's task hands over one frame at a time. Let it run once: it may have the next.
            Poll::Pending if self.read.len() > before || !self.asked_for_more => {
                self.asked_for_more = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Pending => return Poll::Ready(Some(self.pass())),
        }
        if self.read.len() > 0 {
            return Poll::Ready(Some(self.pass()));
        }
        match self.stop.take() {
            Some(Stop::Broken) => {
                // UP-03: a part must not look like the whole.
                self.break_off(Outcome::UpstreamProtocol);
                Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())))
            }
            Some(Stop::End | Stop::Full) | None => {
                if let Some((_, lease)) = self.upstream.take() {
                    lease.finish();
                }
                Poll::Ready(None)
            }
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.get_mut().poll_data(cx).map(|frame| frame.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        let Some((body, _)) = &self.upstream else { return SizeHint::with_exact(0) };
        match (&self.events, body.size_hint().exact()) {
            // A comment may be added to a stream of events.
            (None, Some(rest)) => {
                SizeHint::with_exact(rest.saturating_add(u64::try_from(self.read.len()).unwrap_or(u64::MAX)))
            }
            (Some(_), _) | (None, None) => SizeHint::default(),
        }
    }
}
