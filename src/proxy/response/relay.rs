//! The answer's body on its way to the client: a short one whole, a long one as it comes. Frames that are ready are
//! joined, since each costs a chunk, a TLS record and a system call; nothing waits for more to come.

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

/// One TLS record.
const JOINED: usize = 16 * 1024;
/// The server looks twice at a body before it lets other tasks run; after a third look without data they have run.
const ENOUGH_LOOKS: u8 = 2;
/// A line that every client ignores.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");
/// What a client reads whose stream the upstream refuses late; its next attempt is refused at once.
const NO_STREAM: Bytes = Bytes::from_static(b": the upstream refuses this stream\n\n");

/// The upstream's body, its connection, and its slot among the requests in progress unless it is a stream of events.
type RelaySource = (Content, (Lease, Option<FairSlot>));

/// A body that is relayed. It holds what must last as long as it does.
pub(in crate::proxy) struct Relay {
    /// What the upstream has yet to answer.
    late: Option<PendingAnswer>,
    upstream: Option<RelaySource>,
    /// What comes before and after the upstream's bytes.
    first: Option<Bytes>,
    last: Option<io::Result<Bytes>>,
    wrap: Option<Wrap>,
    read: BufferedBody,
    /// Whether the upstream's body broke off; its last bytes may still be here.
    broken: bool,
    /// How often nothing new was found since the upstream's task was last given a chance to bring more.
    idle_looks: u8,
    events: Option<(Events, usize)>,
    /// The requests that this is the answer to.
    ids: Ids,
    /// Whether an error can still be the whole body: nothing was passed on, and no length was said.
    is_open: bool,
    handle: Arc<StreamHandle>,
    record: Record,
    _user_slot: Option<UserSlot>,
}

impl Relay {
    /// Relays `body`, of which `read` was read already. `events` bounds one event, if it is a stream of them.
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

    /// Relays as a stream of events what the upstream has yet to answer. `limit` bounds one event.
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
            // Some of what stands between passes a head on with the first bytes of its body.
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
                // The client reconnects and asks for what it has not seen (Last-Event-ID).
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

    /// Ends it so, and says it to the client.
    fn give_up(&mut self, fault: &Fault) -> io::Result<Bytes> {
        self.stop();
        self.record.fail(fault);
        self.last_frame(INTERNAL_ERROR, fault.cause.row().text)
    }

    /// The last bytes of an answer that is not complete: an error for each request that it is the answer to.
    fn last_frame(&mut self, code: i32, why: &str) -> io::Result<Bytes> {
        if !self.ids.is_empty() {
            self.record.error(code);
        }
        match &self.events {
            Some((events, _)) if !self.ids.is_empty() => Ok(self.ids.errors_as_events(events.discard(), code, why)),
            Some((events, _)) if events.is_between() => Ok(Bytes::from(format!(": {why}\n\n"))),
            None if self.is_open && !self.ids.is_empty() => Ok(self.ids.errors_as_json(why)),
            // In the middle of something: the client must not take it for the whole.
            Some(_) | None => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Gives away what was read.
    fn pass(&mut self) -> io::Result<Bytes> {
        // The client may take its time: what waits for it must not be a read buffer for each event.
        let data = detached(self.read.take());
        let data = match &mut self.wrap {
            Some(wrap) => wrap.pass(&data),
            None => data,
        };
        self.idle_looks = 0;
        self.handle.note_data();
        self.is_open = false;
        // Of an answer that is one message only its first piece, which is the whole of a short one.
        if self.events.is_some() || self.record.is_untouched() {
            self.record.look(&data, self.events.is_some());
        }
        let Some((events, limit)) = &mut self.events else { return Ok(data) };
        let (before, limit) = (*events, *limit);
        if events.pass(&data, limit) {
            return Ok(data);
        }
        // What was complete before the event that is too large is passed on.
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
            // The upstream's task hands over one frame at a time. Let it run: it may have the next.
            Poll::Pending => {
                self.idle_looks = if self.read.len() > before { 0 } else { self.idle_looks.saturating_add(1) };
                if self.idle_looks < ENOUGH_LOOKS {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        // The end of a message makes it the upstream's answer.
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
        // UP-03: a part must not look like the whole.
        let broken = std::mem::take(&mut self.broken);
        Poll::Ready(broken.then(|| Err(io::ErrorKind::UnexpectedEof.into())))
    }

    /// Reads what is ready; ready itself when that is enough, or all there will be.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(late) = &mut self.late {
            let begun = ready!(late.poll(cx));
            // What the upstream says about it is no longer for this client either.
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
            // At once, not at the next look: who knows the length of a body does not look again after its last byte.
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
                    // A client may ask for the rest of a stream of events (Last-Event-ID), so no error ends it here.
                    self.broken = true;
                    self.fail(&fault);
                }
            }
        }
        Poll::Ready(())
    }

    /// Goes on with what the upstream has answered at last.
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
            // A comment may be added to a stream of events, and one that broke off has no length.
            (Some(_), Some(_)) => None,
            (None, _) if self.late.is_some() || self.last.is_some() => None,
            (None, _) => (!self.broken).then_some(0),
        };
        let here = u64::try_from(self.read.len()).unwrap_or(u64::MAX);
        rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(rest.saturating_add(here)))
    }
}
