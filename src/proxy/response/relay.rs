//! Relays the body of an answer to the client: a short one whole, a long one as it arrives. Frames that are ready are
//! joined, since each costs a chunk, a TLS record and a system call; nothing waits for more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::ending::Ids;
use super::events::{Events, Wrap};
use super::gather::{BufferedBody, Stop};
use super::open_streams::{StreamHandle, StreamSignal};
use super::pending_answer::{Flow, NoAnswer, PendingAnswer, PendingOutcome};
use crate::proxy::budget::UserSlot;
use crate::proxy::fair_slots::FairSlot;
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::record::Record;
use crate::proxy::row::INTERNAL_ERROR;
use crate::proxy::upstream::content::Content;
use crate::proxy::upstream::lease::Lease;
use crate::proxy::upstream::waiting::ANSWER_TIMES;
use crate::web::detached;

/// Size to which frames are joined: one TLS record.
const JOINED: usize = 16 * 1024;
/// The server polls a body twice before it lets other tasks run; after a third poll without data they have run.
const ENOUGH_LOOKS: u8 = 2;
/// A comment line, which every client ignores.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");
/// A comment for a client whose stream the upstream refuses late; the next attempt is refused at once.
const NO_STREAM: Bytes = Bytes::from_static(b": the upstream refuses this stream\n\n");

/// The upstream's body, its connection, and its slot among the requests in progress unless it is a stream of events.
type RelaySource = (Content, (Lease, Option<FairSlot>));

/// A relayed body, with everything that must live as long as it does.
pub(in crate::proxy) struct Relay {
    /// The pending answer, before the upstream has answered.
    late: Option<PendingAnswer>,
    upstream: Option<RelaySource>,
    /// Bytes to send before the upstream's, and below those to send after them.
    first: Option<Bytes>,
    last: Option<io::Result<Bytes>>,
    wrap: Option<Wrap>,
    read: BufferedBody,
    /// Whether the upstream's body broke off; its last bytes may still have to be forwarded.
    broken: bool,
    /// How many polls found nothing new since the upstream's task last had a chance to run.
    idle_looks: u8,
    events: Option<(Events, usize)>,
    /// The ids of the requests that this answers.
    ids: Ids,
    /// Whether an error can still be sent as the whole body: nothing was forwarded, and no length was declared.
    is_open: bool,
    handle: Arc<StreamHandle>,
    record: Record,
    _user_slot: Option<UserSlot>,
}

impl Relay {
    /// Relays `body`, of which `read` was already read. `events` limits the size of an event, if it is a stream of
    /// events.
    #[allow(clippy::too_many_arguments, reason = "each comes from another stage of the exchange")]
    pub(in crate::proxy) fn new(
        body: Content,
        held: (Lease, Option<FairSlot>),
        read: BufferedBody,
        events: Option<usize>,
        handle: Arc<StreamHandle>,
        record: Record,
        (user_slot, ids): (Option<UserSlot>, Ids),
    ) -> Self {
        Self {
            late: None,
            is_open: read.len() == 0 && body.size_hint().exact().is_none(),
            upstream: Some((body, held)),
            first: None,
            last: None,
            wrap: None,
            read,
            broken: false,
            idle_looks: 0,
            events: events.map(|limit| (Events::default(), limit)),
            ids,
            handle,
            record,
            _user_slot: user_slot,
        }
    }

    /// Relays a pending answer as a stream of events. `limit` is the maximum size of an event.
    #[allow(clippy::too_many_arguments, reason = "each comes from another stage of the exchange")]
    pub(in crate::proxy) fn early(
        late: PendingAnswer,
        limit: usize,
        handle: Arc<StreamHandle>,
        record: Record,
        user_slot: Option<UserSlot>,
        ids: Ids,
    ) -> Self {
        Self {
            late: Some(late),
            upstream: None,
            // Some proxies forward a head only with the first bytes of the body.
            first: Some(KEEP_ALIVE),
            last: None,
            wrap: None,
            read: BufferedBody::default(),
            broken: false,
            idle_looks: 0,
            events: Some((Events::default(), limit)),
            ids,
            is_open: false,
            handle,
            record,
            _user_slot: user_slot,
        }
    }

    /// Acts on a signal; returns the last frame if it ends the answer.
    fn act_on(&mut self, signal: StreamSignal) -> Option<io::Result<Bytes>> {
        match signal {
            StreamSignal::KeepAlive => {
                let is_between = self.events.as_ref().is_some_and(|(events, _)| events.is_between());
                if self.wrap.as_ref().is_some_and(Wrap::is_stuck) {
                    return Some(
                        self.give_up(
                            &Fault::new(Cause::TooSlow, "a begun answer has paused too long").by(ANSWER_TIMES),
                        ),
                    );
                }
                return (is_between && self.read.len() == 0).then_some(Ok(KEEP_ALIVE));
            }
            StreamSignal::TooSilent => {
                return Some(
                    self.give_up(&Fault::new(Cause::TooSlow, "a begun answer has paused too long").by(ANSWER_TIMES)),
                );
            }
            StreamSignal::TokenEnded
            | StreamSignal::Unprovable
            | StreamSignal::Removed
            | StreamSignal::TooOld
            | StreamSignal::GoingDown => {}
        }
        self.stop();
        self.record.break_off(signal.outcome());
        if let (StreamSignal::GoingDown | StreamSignal::TooOld, Some((events, _))) = (signal, &self.events) {
            let end = match self.ids.end_of_subscription() {
                // The client reconnects and requests the events that it has missed (Last-Event-ID).
                None if self.ids.is_empty() && signal == StreamSignal::GoingDown => {
                    Some(format!(": {}\n\n", signal.words()))
                }
                end => end,
            };
            if let Some(end) = end {
                return Some(Ok([events.discard(), end.as_bytes()].concat().into()));
            }
        }
        Some(self.last_frame(INTERNAL_ERROR, signal.words()))
    }

    fn stop(&mut self) {
        self.late = None;
        self.upstream = None;
        self.wrap = None;
        self.last = None;
        self.read = BufferedBody::default();
    }

    /// Ends the answer because of the upstream.
    fn fail(&mut self, fault: &Fault) {
        self.late = None;
        self.upstream = None;
        self.record.fail(fault);
    }

    /// Ends the answer because of the upstream, and tells the client.
    fn give_up(&mut self, fault: &Fault) -> io::Result<Bytes> {
        self.stop();
        self.record.fail(fault);
        self.last_frame(INTERNAL_ERROR, fault.cause.row().text)
    }

    /// Returns the last bytes of an incomplete answer: an error for each request that it answers.
    fn last_frame(&mut self, code: i32, why: &str) -> io::Result<Bytes> {
        if !self.ids.is_empty() {
            self.record.error(code);
        }
        match &self.events {
            Some((events, _)) if !self.ids.is_empty() => Ok(self.ids.errors_as_events(events.discard(), code, why)),
            Some((events, _)) if events.is_between() => Ok(Bytes::from(format!(": {why}\n\n"))),
            None if self.is_open && !self.ids.is_empty() => Ok(self.ids.errors_as_json(why)),
            // In the middle of a message: the client must not take it for complete.
            Some(_) | None => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Returns the bytes read so far.
    fn pass(&mut self) -> io::Result<Bytes> {
        // The client may be slow, so waiting data must not keep a read buffer per event.
        let data = detached(self.read.take());
        let data = match &mut self.wrap {
            Some(wrap) => wrap.pass(&data),
            None => data,
        };
        self.idle_looks = 0;
        self.handle.note_data();
        self.is_open = false;
        // For an answer with one message, only the first piece, which is all of a short one.
        if self.events.is_some() || self.record.is_untouched() {
            self.record.look(&data, self.events.is_some());
        }
        let Some((events, limit)) = &mut self.events else { return Ok(data) };
        let (before, limit) = (*events, *limit);
        if events.pass(&data, limit) {
            return Ok(data);
        }
        // Complete events before the one that is too large are forwarded.
        let whole = before.last_end(&data).unwrap_or(0);
        *events = before;
        events.pass(data.get(..whole).unwrap_or_default(), limit);
        let detail = format!("one event of more than limits.sse_event, {limit} bytes");
        let error = self.give_up(&Fault::new(Cause::TooLarge, detail).by("limits.sse_event"))?;
        Ok([data.get(..whole).unwrap_or_default(), &error].concat().into())
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(frame) = self.handle.take_signal().and_then(|signal| self.act_on(signal)) {
            return Poll::Ready(Some(frame));
        }
        let before = self.read.len();
        match self.poll_upstream(cx) {
            Poll::Ready(()) => {}
            Poll::Pending if self.read.len() == 0 => {
                self.handle.register(cx.waker());
                return Poll::Pending;
            }
            // The upstream's task hands over one frame at a time, so let it run: it may have the next.
            Poll::Pending => {
                self.idle_looks = if self.read.len() > before { 0 } else { self.idle_looks.saturating_add(1) };
                if self.idle_looks < ENOUGH_LOOKS {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        // With the end of the message the upstream has answered.
        let is_end = self.wrap.is_some() && self.last.is_some();
        if (self.read.len() > 0 || is_end) && self.handle.is_revoked() {
            return Poll::Ready(self.act_on(StreamSignal::TokenEnded));
        }
        if self.read.len() > 0 {
            return Poll::Ready(Some(self.pass()));
        }
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(last));
        }
        // UP-03: a partial body must not look complete.
        let broken = std::mem::take(&mut self.broken);
        Poll::Ready(broken.then(|| Err(io::ErrorKind::UnexpectedEof.into())))
    }

    /// Reads what has arrived; returns ready when that is enough, or everything.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(late) = &mut self.late {
            let begun = ready!(late.poll(cx));
            // An error from the upstream is no longer for this client either.
            if self.handle.is_revoked() {
                self.last = self.act_on(StreamSignal::TokenEnded);
            } else {
                self.begin(begun);
            }
        }
        let Some((body, _)) = &mut self.upstream else { return Poll::Ready(()) };
        match self.read.poll_read(body, JOINED, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Stop::Full) => {}
            // At once and not at the next poll: a body of known length is not polled again after its last byte.
            Poll::Ready(Stop::End) => {
                if let Some((_, (lease, slot))) = self.upstream.take() {
                    lease.finish();
                    drop(slot);
                }
                self.last = self.wrap.as_ref().map(|_| Ok(Wrap::END));
            }
            Poll::Ready(Stop::Broken(error)) => {
                let fault = Fault::of_exchange(&error);
                if self.wrap.is_some() {
                    self.last = Some(self.give_up(&fault));
                } else {
                    // A client may request the rest of a stream of events (Last-Event-ID), so it does not end with an
                    // error here.
                    self.broken = true;
                    self.fail(&fault);
                }
            }
        }
        Poll::Ready(())
    }

    /// Continues with the upstream's late answer.
    fn begin(&mut self, begun: PendingOutcome) {
        self.late = None;
        match begun {
            PendingOutcome::Answer(body, lease, slot, flow) => {
                if let (Flow::Wrapped(pause), Some((_, limit))) = (flow, &mut self.events) {
                    self.wrap = Some(Wrap::new(pause));
                    // A JSON answer may be of any size.
                    *limit = usize::MAX;
                }
                self.upstream = Some((body, (lease, slot)));
            }
            PendingOutcome::NoAnswer(NoAnswer::Error(code, why)) => self.last = Some(self.last_frame(code, &why)),
            PendingOutcome::NoAnswer(NoAnswer::Fault(fault)) => self.last = Some(self.give_up(&fault)),
            PendingOutcome::NoStream(fault) => {
                if let Some(fault) = fault {
                    self.record.fail(&fault);
                }
                self.last = Some(Ok(NO_STREAM));
            }
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let relay = self.get_mut();
        let frame = ready!(relay.poll_data(cx));
        if let Some(Ok(data)) = &frame {
            relay.record.passed(u64::try_from(data.len()).unwrap_or(u64::MAX));
        }
        Poll::Ready(frame.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.is_none() && self.late.is_none() && self.last.is_none() && self.read.len() == 0 && !self.broken
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match (&self.upstream, &self.events) {
            (Some((body, _)), None) => body.size_hint().exact(),
            // A comment may be added to a stream of events, and a broken one has no length.
            (Some(_), Some(_)) => None,
            (None, _) if self.late.is_some() || self.last.is_some() => None,
            (None, _) => (!self.broken).then_some(0),
        };
        let here = u64::try_from(self.read.len()).unwrap_or(u64::MAX);
        rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(rest.saturating_add(here)))
    }
}
