//! The answer's body on its way to the client: a short one whole, a long one as it comes. Frames that are ready are
//! joined, since each costs a chunk, a TLS record and a system call; nothing waits for more to come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::budget::Slot;
use super::events::Events;
use super::fault::{Cause, Fault};
use super::gather::{Gathered, Stop};
use super::places::Place;
use super::record::Record;
use super::upstream::Lease;
use super::watch::{Order, Ward};
use crate::telemetry::Outcome;
use crate::web::detached;

/// One TLS record.
const JOINED: usize = 16 * 1024;
/// The server looks twice at a body before it lets other tasks run; after a third look in vain they have run.
const ENOUGH_LOOKS: u8 = 2;
/// P-10: a line that every client ignores.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");
/// TV-15: why the stream ends, for whoever reads it with his own eyes.
const TOKEN_ENDED: Bytes = Bytes::from_static(b": the access token has ended\n\n");
const REMOVED: Bytes = Bytes::from_static(b": the resource has been removed\n\n");
const TOO_OLD: Bytes = Bytes::from_static(b": the stream is too old\n\n");

/// The upstream's body, its connection, and its place among the requests under way unless it is a stream of events.
type Source = (Incoming, (Lease, Option<Place>));

/// A body that is relayed. It holds what must last as long as it does.
pub(super) struct Relay {
    upstream: Option<Source>,
    read: Gathered,
    /// Whether the upstream's body broke off; its last bytes may still be here.
    broken: bool,
    /// How often nothing new was found since the upstream's task was last given a chance to bring more.
    idle_looks: u8,
    events: Option<(Events, usize)>,
    ward: Arc<Ward>,
    record: Record,
    _slot: Option<Slot>,
}

impl Relay {
    /// Relays `body`, of which `read` was read already. `events` bounds one event, if it is a stream of them.
    pub(super) fn new(
        body: Incoming,
        held: (Lease, Option<Place>),
        read: Gathered,
        events: Option<usize>,
        ward: Arc<Ward>,
        record: Record,
        slot: Option<Slot>,
    ) -> Self {
        Self {
            upstream: Some((body, held)),
            read,
            broken: false,
            idle_looks: 0,
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
            Order::Removed => REMOVED,
            Order::TooOld => TOO_OLD,
            Order::TooSilent => {
                self.fail(&Fault::new(Cause::TooSlow, "nothing more of a begun answer for first_byte_timeout"));
                return Some(Err(io::ErrorKind::TimedOut.into()));
            }
        };
        self.upstream = None;
        self.read = Gathered::default();
        if between {
            return Some(Ok(farewell));
        }
        // In the middle of something: whoever reads it must not take it for the whole.
        self.record.break_off(Outcome::InvalidToken);
        Some(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// Ends the answer because of the upstream.
    fn fail(&mut self, fault: &Fault) {
        self.upstream = None;
        self.record.fail(fault);
    }

    /// Gives away what was read.
    fn pass(&mut self) -> io::Result<Bytes> {
        // The client may take its time: what waits for it must not be a read buffer for each event.
        let data = detached(self.read.take());
        self.idle_looks = 0;
        self.ward.is_alive();
        if let Some((events, limit)) = &mut self.events
            && !events.pass(&data, *limit)
        {
            let detail = format!("one event of more than limits.sse_event, {limit} bytes");
            self.fail(&Fault::new(Cause::TooLarge, detail));
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(data)
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(frame) = self.ward.order().and_then(|order| self.obey(order)) {
            return Poll::Ready(Some(frame));
        }
        let before = self.read.len();
        match self.poll_upstream(cx) {
            Poll::Ready(()) => {}
            Poll::Pending if self.read.len() == 0 => {
                self.ward.register(cx.waker());
                return Poll::Pending;
            }
            // The upstream's task hands over one frame at a time. Let it run: it may have the next.
            Poll::Pending => {
                self.idle_looks = if self.read.len() > before { 0 } else { self.idle_looks.saturating_add(1) };
                if self.idle_looks < ENOUGH_LOOKS {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        if self.read.len() > 0 {
            return Poll::Ready(Some(self.pass()));
        }
        // UP-03: a part must not look like the whole.
        let broken = std::mem::take(&mut self.broken);
        Poll::Ready(broken.then(|| Err(io::ErrorKind::UnexpectedEof.into())))
    }

    /// Reads what is ready; ready itself when that is enough, or all there will be.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((body, _)) = &mut self.upstream else { return Poll::Ready(()) };
        match self.read.poll_read(body, JOINED, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Stop::Full) => {}
            // At once, not at the next look: who knows the length of a body does not look again after its last byte.
            Poll::Ready(Stop::End) => {
                if let Some((_, (lease, place))) = self.upstream.take() {
                    lease.finish();
                    drop(place);
                }
            }
            Poll::Ready(Stop::Broken(error)) => {
                self.broken = true;
                self.fail(&Fault::of_exchange(&error));
            }
        }
        Poll::Ready(())
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.get_mut().poll_data(cx).map(|frame| frame.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.is_none() && self.read.len() == 0 && !self.broken
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match (&self.upstream, &self.events) {
            (Some((body, _)), None) => body.size_hint().exact(),
            // A comment may be added to a stream of events, and one that broke off has no length.
            (Some(_), Some(_)) => None,
            (None, _) => (!self.broken).then_some(0),
        };
        let here = u64::try_from(self.read.len()).unwrap_or(u64::MAX);
        rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(rest.saturating_add(here)))
    }
}
