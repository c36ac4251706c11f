//! How a relayed answer ends early: because of a signal, or of a fault of the upstream.

use std::io;

use bytes::Bytes;

use super::events::Wrap;
use super::gather::BufferedBody;
use super::relay::{KEEP_ALIVE, Relay};
use super::stream_handle::StreamSignal;
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::rejection::Rejection;
use crate::proxy::row::INTERNAL_ERROR;
use crate::proxy::upstream::waiting::ANSWER_TIMES;

impl Relay {
    /// Acts on a signal; returns the last frame if it ends the answer.
    pub(super) fn act_on(&mut self, signal: StreamSignal) -> Option<io::Result<Bytes>> {
        match signal {
            StreamSignal::KeepAlive => {
                let is_between = self.events.as_ref().is_some_and(|(events, _)| events.is_between());
                if self.wrap.as_ref().is_some_and(Wrap::is_stuck) {
                    return Some(
                        self.give_up(&Fault::new(Cause::TooSlow, "an answer paused for too long").by(ANSWER_TIMES)),
                    );
                }
                return (is_between && self.read.len() == 0).then_some(Ok(KEEP_ALIVE));
            }
            StreamSignal::TooSilent => {
                return Some(
                    self.give_up(&Fault::new(Cause::TooSlow, "an answer paused for too long").by(ANSWER_TIMES)),
                );
            }
            StreamSignal::TokenEnded
            | StreamSignal::RulesChanged
            | StreamSignal::TakenOver
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
    pub(super) fn fail(&mut self, fault: &Fault) {
        self.late = None;
        self.upstream = None;
        self.record.fail(fault);
    }

    /// Ends the answer because of the upstream, and tells the client.
    pub(super) fn give_up(&mut self, fault: &Fault) -> io::Result<Bytes> {
        self.stop();
        self.record.fail(fault);
        self.last_frame(INTERNAL_ERROR, fault.cause.row().text)
    }

    /// Ends the answer because the gateway has no room for it, and tells the client.
    pub(super) fn turn_away(&mut self, rejection: &Rejection) -> io::Result<Bytes> {
        self.stop();
        let row = rejection.row();
        self.record.break_off(row.outcome);
        self.last_frame(INTERNAL_ERROR, row.text)
    }

    /// Returns whether the answer is one message, which is forwarded only when all of it was read.
    pub(super) fn is_whole(&self) -> bool {
        self.stage.is_some() && self.events.is_none() && self.is_open
    }

    /// Returns the last bytes of an incomplete answer: an error for each request that it answers.
    pub(super) fn last_frame(&mut self, code: i32, why: &str) -> io::Result<Bytes> {
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
}
