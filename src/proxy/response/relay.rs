//! Relays the body of an answer to the client: a short one whole, a long one as it arrives. Frames that are ready are
//! joined, since each costs a chunk, a TLS record and a system call; nothing waits for more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::ending::Ids;
use super::events::{Events, Wrap, write_event};
use super::gather::{BufferedBody, Stop};
use super::pending_answer::{Flow, NoAnswer, PendingAnswer, PendingOutcome};
use super::rewrite::event::{events, message};
use super::rewrite::rewriter::Rewriter;
use super::rewrite::stage::{Stage, StageEnd};
use super::stream_handle::{StreamHandle, StreamSignal};
use crate::proxy::budget::UserSlot;
use crate::proxy::fair_slots::FairSlot;
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::record::Record;
use crate::proxy::upstream::content::Content;
use crate::proxy::upstream::lease::Lease;
use crate::web::detached;

/// Size to which frames are joined: one TLS record.
const JOINED: usize = 16 * 1024;
/// The server polls a body twice before it lets other tasks run; after a third poll without data they have run.
const ENOUGH_LOOKS: u8 = 2;
/// A comment line, which every client ignores.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");
/// A comment for a client whose stream the upstream refuses late; the next attempt is refused at once.
const NO_STREAM: Bytes = Bytes::from_static(b": the upstream refused this stream\n\n");

/// The upstream's body, its connection, and its slot among the requests in progress unless it is a stream of events.
pub(super) type RelaySource = (Content, (Lease, Option<FairSlot>));

/// A relayed body, with everything that must live as long as it does.
pub(in crate::proxy) struct Relay {
    /// The pending answer, before the upstream has answered.
    pub(super) late: Option<PendingAnswer>,
    pub(super) upstream: Option<RelaySource>,
    /// Bytes to send before the upstream's, and below those to send after them.
    first: Option<Bytes>,
    pub(super) last: Option<io::Result<Bytes>>,
    pub(super) wrap: Option<Wrap>,
    pub(super) read: BufferedBody,
    /// What rewrites the body before it is read, where the upstream has a map.
    pub(super) stage: Option<Box<Stage<Rewriter>>>,
    /// Whether the upstream's body broke off; its last bytes may still have to be forwarded.
    broken: bool,
    /// How many polls found nothing new since the upstream's task last had a chance to run.
    idle_looks: u8,
    pub(super) events: Option<(Events, usize)>,
    /// Whether the upstream has confirmed a subscription, which comes before anything else.
    is_acknowledged: bool,
    /// The ids of the requests that this answers.
    pub(super) ids: Ids,
    /// Whether an error can still be sent as the whole body: nothing was forwarded, and no length was declared.
    pub(super) is_open: bool,
    handle: Arc<StreamHandle>,
    pub(super) record: Record,
    _user_slot: Option<UserSlot>,
}

/// What an answer holds until it ends.
pub(in crate::proxy) struct Held {
    pub(super) handle: Arc<StreamHandle>,
    pub(super) record: Record,
    pub(super) user_slot: Option<UserSlot>,
    /// The requests that it is the answer to.
    pub(super) ids: Ids,
}

impl Relay {
    /// Relays a body of which `read` was already read. `events` limits the size of an event, if it is a stream of
    /// events.
    pub(super) fn new(upstream: RelaySource, read: BufferedBody, events: Option<usize>, held: Held) -> Self {
        Self {
            is_open: read.len() == 0 && upstream.0.size_hint().exact().is_none(),
            upstream: Some(upstream),
            read,
            events: events.map(|limit| (Events::default(), limit)),
            ..Self::holding(held)
        }
    }

    /// Rewrites the body before it is relayed.
    pub(super) fn rewritten(mut self, stage: Option<Stage<Rewriter>>) -> Self {
        if let Some(mut stage) = stage {
            stage.begin_with(self.read.take());
            self.stage = Some(Box::new(stage));
            // Nothing is forwarded yet, and the length is not known before all of it was read.
            self.is_open = true;
        }
        self
    }

    /// Adds the errors for the refused part of a batch, if there is one and the upstream did not refuse the rest.
    pub(super) fn with_refusals(mut self, has_succeeded: bool) -> Self {
        let Some(part) = self.ids.refused() else { return self };
        self.record.refuse(part.first(), None);
        if part.is_unanswered() || !has_succeeded {
            return self;
        }
        if self.events.is_some() {
            let first = self.first.unwrap_or_default();
            self.first = Some([first, part.events()].concat().into());
        } else if let Some(stage) = &mut self.stage {
            stage.join(part.joining());
        }
        self
    }

    /// Relays a pending answer as a stream of events. `limit` is the maximum size of an event.
    pub(super) fn early(late: PendingAnswer, limit: usize, held: Held) -> Self {
        Self {
            late: Some(late),
            // Some proxies forward a head only with the first bytes of the body.
            first: Some(KEEP_ALIVE),
            events: Some((Events::default(), limit)),
            ..Self::holding(held)
        }
    }

    fn holding(Held { handle, record, user_slot, ids }: Held) -> Self {
        Self {
            late: None,
            upstream: None,
            first: None,
            last: None,
            wrap: None,
            read: BufferedBody::default(),
            stage: None,
            broken: false,
            idle_looks: 0,
            events: None,
            is_acknowledged: false,
            ids,
            is_open: false,
            handle,
            record,
            _user_slot: user_slot,
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
        // 2026-07-28, subscriptions: the first message confirms it.
        if self.ids.is_subscription() && !self.is_acknowledged {
            self.is_acknowledged = events(&data).any(|event| !message(event).is_empty());
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

    /// Returns the notifications that are due that lists have changed, if an event may begin here.
    fn notice(&self) -> Option<Bytes> {
        let is_early = self.ids.is_subscription() && !self.is_acknowledged;
        let goes_on = self.upstream.is_some() || self.late.is_some();
        self.events.as_ref().filter(|(events, _)| events.is_between() && !is_early && goes_on)?;
        let mut events = BytesMut::new();
        for message in self.handle.take_changed_lists().notifications(self.ids.one()) {
            write_event(&mut events, message.as_bytes());
        }
        Some(events.freeze())
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(frame) = self.handle.take_signal().and_then(|signal| self.act_on(signal)) {
            return Poll::Ready(Some(frame));
        }
        if let Some(notice) = self.handle.has_changed_lists().then(|| self.notice()).flatten() {
            return Poll::Ready(Some(Ok(notice)));
        }
        let before = self.read.len();
        // The poll that follows new data comes too soon: the upstream's task has not run since.
        if before > 0 && self.idle_looks == 0 {
            self.idle_looks = 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
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
        let read = match &mut self.stage {
            None => self.read.poll_read(body, JOINED, cx).map(|stop| stop.map_broken(StageEnd::Broken)),
            Some(stage) => stage.poll_read(body, &mut self.read, JOINED, cx),
        };
        match read {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Stop::Full) => {}
            // At once and not at the next poll: a body of known length is not polled again after its last byte.
            Poll::Ready(Stop::End) => {
                if let Some((_, (lease, slot))) = self.upstream.take() {
                    lease.finish(Instant::now());
                    drop(slot);
                }
                self.last = self.wrap.as_ref().map(|_| Ok(Wrap::END));
            }
            Poll::Ready(Stop::Broken(StageEnd::Broken(error))) => {
                let fault = Fault::of_exchange(&error);
                if self.wrap.is_some() || self.is_whole() {
                    self.last = Some(self.give_up(&fault));
                } else {
                    // A client may request the rest of a stream of events (Last-Event-ID), so it does not end with an
                    // error here.
                    self.broken = true;
                    self.fail(&fault);
                }
            }
            Poll::Ready(Stop::Broken(StageEnd::Fault(fault))) => self.last = Some(self.give_up(&fault)),
            Poll::Ready(Stop::Broken(StageEnd::Refused(rejection))) => self.last = Some(self.turn_away(&rejection)),
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
                    if let Some(stage) = &mut self.stage {
                        stage.take_whole();
                    }
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
            (Some((body, _)), None) if self.stage.is_none() => body.size_hint().exact(),
            // A rewritten body has another length. A comment may be added to a stream of events, and a broken one has
            // no length.
            (Some(_), _) => None,
            (None, _) if self.late.is_some() || self.last.is_some() => None,
            (None, _) => (!self.broken).then_some(0),
        };
        let here = u64::try_from(self.read.len()).unwrap_or(u64::MAX);
        rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(rest.saturating_add(here)))
    }
}
