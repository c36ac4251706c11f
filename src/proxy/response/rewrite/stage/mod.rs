//! `Stage`: rewrites an upstream's body while it arrives, in memory of limited size.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;

use super::event::events;
use super::rewriter::{Shows, rewrite};
use crate::mcp::{LONGEST_SIGN, Rewritten, ToldUnknown, may_change, may_list, says_list_changed};
use crate::proxy::budget::UserBudget;
use crate::proxy::fair_slots::{FairSlot, FairSlots};
use crate::proxy::fault::{Cause, ExchangeError, Fault};
use crate::proxy::rejection::Rejection;
use crate::proxy::response::events::Events;
use crate::proxy::response::gather::{BufferedBody, Stop};
use crate::proxy::response::refused_part::Joining;

/// How much of an answer, or of an event, is kept without a slot: as much as of an answer that is forwarded whole.
const SMALL: usize = 64 << 10;
/// The longest list: as long as a request may be by default, and several thousand tools. Answers that cannot be lists
/// may be of any size.
const LONGEST: usize = 4 << 20;
/// How long an answer waits for a slot.
const SLOT_WAIT: Duration = Duration::from_secs(5);

/// Why rewriting ended before the body did.
pub(in crate::proxy) enum StageEnd {
    /// The body broke off.
    Broken(ExchangeError),
    /// The upstream is at fault.
    Fault(Fault),
    /// There was no slot for a long answer.
    Refused(Rejection),
}

/// The slots for long answers, and the user who may need one.
pub(in crate::proxy) struct LongAnswers {
    pub(in crate::proxy) slots: Arc<FairSlots>,
    pub(in crate::proxy) user: Arc<UserBudget>,
}

/// What takes a while: waiting for a slot, or reading a long answer.
type StageWork = Pin<Box<dyn Future<Output = Result<Done, StageEnd>> + Send>>;

enum Done {
    Slot(FairSlot),
    Rewritten(Bytes),
}

/// Rewrites one body.
pub(in crate::proxy) struct Stage<S> {
    shows: S,
    long: LongAnswers,
    /// Whether each event is rewritten for itself, and otherwise the whole body.
    is_events: bool,
    /// The most bytes of an event or body that are kept.
    limit: usize,
    /// What was read before.
    first: Option<Bytes>,
    /// The current event or body, as far as it has arrived.
    held: BytesMut,
    events: Events,
    /// The last bytes of an event or body that is too long for a list, and passes.
    passing: Option<Vec<u8>>,
    slot: Option<FairSlot>,
    work: Option<StageWork>,
    /// What joins the errors for the refused part of a batch with the body.
    joining: Option<Joining>,
    end: Option<Stop<StageEnd>>,
}

/// A long answer, which keeps its slot until it is sent or dropped.
struct AnswerInSlot {
    answer: Bytes,
    _slot: FairSlot,
}

impl AsRef<[u8]> for AnswerInSlot {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl<S: Shows + Clone + Send + Sync + 'static> Stage<S> {
    /// Makes the stage of a body. `largest_event` limits what is kept of an event.
    pub(in crate::proxy) fn new(shows: S, long: LongAnswers, is_events: bool, largest_event: usize) -> Self {
        Self {
            shows,
            long,
            is_events,
            limit: if is_events { largest_event.min(LONGEST) } else { LONGEST },
            first: None,
            held: BytesMut::new(),
            events: Events::default(),
            passing: None,
            slot: None,
            work: None,
            joining: None,
            end: None,
        }
    }

    /// Joins the errors for the refused part of a batch with the body, which is JSON.
    pub(in crate::proxy) fn join(&mut self, joining: Joining) {
        self.joining = Some(joining);
    }

    /// Says that the body is one JSON message and no stream of events.
    pub(in crate::proxy) fn take_whole(&mut self) {
        self.is_events = false;
        self.limit = LONGEST;
    }

    /// Takes what was already read of the body.
    pub(in crate::proxy) fn begin_with(&mut self, read: Bytes) {
        self.first = Some(read).filter(|read| !read.is_empty());
    }

    /// Reads the body until `enough` bytes can be forwarded, which are added to `out`.
    pub(in crate::proxy) fn poll_read<B>(
        &mut self,
        body: &mut B,
        out: &mut BufferedBody,
        enough: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Stop<StageEnd>>
    where
        B: Body<Data = Bytes, Error = ExchangeError> + Unpin,
    {
        loop {
            if let Some(work) = &mut self.work {
                let Poll::Ready(done) = work.as_mut().poll(cx) else { return Poll::Pending };
                self.work = None;
                match done {
                    Ok(Done::Slot(slot)) => self.slot = Some(slot),
                    Ok(Done::Rewritten(bytes)) => self.pass(bytes, out),
                    Err(end) => self.end = Some(Stop::Broken(end)),
                }
            }
            // What comes before an end is forwarded first.
            if out.len() >= enough || (self.end.is_some() && out.len() > 0) {
                return Poll::Ready(Stop::Full);
            }
            match self.end.take() {
                Some(Stop::End) if !self.held.is_empty() => {
                    self.end = Some(Stop::End);
                    let held = self.held.split().freeze();
                    self.release(held, out);
                    continue;
                }
                Some(Stop::End) if self.joining.is_some() => {
                    self.end = Some(Stop::End);
                    let last = self.joining.take().map(|mut joining| joining.end()).unwrap_or_default();
                    out.push(last.into());
                    continue;
                }
                Some(end) => return Poll::Ready(end),
                None => {}
            }
            if let Some(first) = self.first.take() {
                self.take(first, out);
                continue;
            }
            if body.is_end_stream() {
                self.end = Some(Stop::End);
                continue;
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.end = Some(Stop::End),
                Poll::Ready(Some(Err(error))) => self.end = Some(Stop::Broken(StageEnd::Broken(error))),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(data, out);
                    }
                }
            }
        }
    }

    /// Takes the next bytes of the body.
    fn take(&mut self, mut data: Bytes, out: &mut BufferedBody) {
        if self.is_events {
            let end = self.events.last_end(&data);
            self.events.pass(&data, usize::MAX);
            if let Some(end) = end {
                let mut whole = data.split_to(end);
                if self.passing.is_some() {
                    let first = events(&whole).next().map_or(whole.len(), <[u8]>::len);
                    self.watch(whole.split_to(first), out);
                    if self.end.is_some() {
                        return;
                    }
                    self.passing = None;
                }
                if !self.held.is_empty() {
                    self.held.extend_from_slice(&whole);
                    whole = self.held.split().freeze();
                }
                self.release(whole, out);
            }
        }
        if self.passing.is_some() {
            return self.watch(data, out);
        }
        self.held.extend_from_slice(&data);
        if self.held.len() > self.limit {
            let held = self.held.split().freeze();
            self.slot = None;
            self.passing = Some(Vec::new());
            self.watch(held, out);
        } else if self.held.len() > SMALL && self.slot.is_none() && self.work.is_none() {
            self.work = Some(self.wait());
        }
    }

    /// Passes a part of something too long to be kept, unless it could be a part of a list.
    fn watch(&mut self, part: Bytes, out: &mut BufferedBody) {
        let Some(before) = &mut self.passing else { return };
        // A sign may be split between two parts.
        let seam = [before.as_slice(), part.get(..LONGEST_SIGN).unwrap_or(&part)].concat();
        if may_list(&seam) || may_list(&part) {
            let detail = format!("a list of more than {} bytes", self.limit);
            self.end = Some(Stop::Broken(StageEnd::Fault(Fault::new(Cause::TooLarge, detail))));
            return;
        }
        let passed = if part.len() < LONGEST_SIGN { &seam } else { &*part };
        *before = passed.get(passed.len().saturating_sub(LONGEST_SIGN)..).unwrap_or_default().to_vec();
        self.pass(part, out);
    }

    /// Passes bytes of the body.
    fn pass(&mut self, bytes: Bytes, out: &mut BufferedBody) {
        if bytes.is_empty() {
            return;
        }
        out.push(match &mut self.joining {
            Some(joining) => joining.pass(&bytes).into(),
            None => bytes,
        });
    }

    /// Passes whole events, or the whole body, rewritten where necessary.
    fn release(&mut self, whole: Bytes, out: &mut BufferedBody) {
        let slot = self.slot.take();
        if self.is_events && says_list_changed(&whole) {
            self.shows.note_change();
        }
        if !may_change(&whole) {
            return self.pass(in_slot(whole, slot), out);
        }
        let (shows, is_events) = (self.shows.current(), self.is_events);
        let work = async move {
            let rewritten = rewrite(whole.clone(), is_events, &shows).await.map_err(StageEnd::Fault)?;
            Ok(Done::Rewritten(match rewritten {
                Rewritten::Unchanged => in_slot(whole, slot),
                Rewritten::Changed(text) | Rewritten::Unknown(ToldUnknown { answer: text, .. }) => {
                    in_slot(text.into(), slot)
                }
                Rewritten::Hidden => Bytes::new(),
            }))
        };
        self.work = Some(Box::pin(work));
    }

    fn wait(&self) -> StageWork {
        let (slots, user) = (Arc::clone(&self.long.slots), Arc::clone(&self.long.user));
        Box::pin(async move { slots.take(&user, SLOT_WAIT).await.map(Done::Slot).map_err(StageEnd::Refused) })
    }
}

fn in_slot(bytes: Bytes, slot: Option<FairSlot>) -> Bytes {
    match slot {
        Some(slot) => Bytes::from_owner(AnswerInSlot { answer: bytes, _slot: slot }),
        None => bytes,
    }
}

#[cfg(test)]
mod tests;
