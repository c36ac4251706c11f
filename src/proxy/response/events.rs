//! Finds the boundaries between the events of a stream: enough to insert a comment between two, and to limit the size
//! of one. Writes messages as events.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

/// Writes a message, which has no line breaks, as an event.
pub(super) fn write_event(to: &mut BytesMut, message: &[u8]) {
    to.extend_from_slice(b"event: message\ndata: ");
    to.extend_from_slice(message);
    to.extend_from_slice(b"\n\n");
}

/// Tracks a stream of events (HTML, server-sent events: lines end with LF, CR or CRLF, an empty line ends an event).
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::proxy) struct Events {
    /// The last bytes that passed, for an empty line that is split between two pieces. Zero before the beginning.
    tail: [u8; 3],
    /// Bytes since the last empty line.
    open: usize,
}

impl Events {
    /// Records bytes that pass; false when an event exceeds `limit`.
    pub(in crate::proxy) fn pass(&mut self, data: &[u8], limit: usize) -> bool {
        match self.last_end(data) {
            Some(end) => self.open = data.len() - end,
            None => self.open = self.open.saturating_add(data.len()),
        }
        for byte in data.iter().skip(data.len().saturating_sub(self.tail.len())) {
            let [_, b, c] = self.tail;
            self.tail = [b, c, *byte];
        }
        self.open <= limit
    }

    /// Returns whether a comment may be inserted here.
    pub(in crate::proxy) fn is_between(&self) -> bool {
        self.open == 0
    }

    /// Returns what makes clients ignore the open event: the last field `event` sets its type, and clients do not know
    /// this one (HTML, dispatch the event).
    pub(in crate::proxy) fn discard(&self) -> &'static [u8] {
        match self.tail {
            _ if self.is_between() => b"",
            [.., b'\n' | b'\r'] => b"event: discarded\n\n",
            _ => b"\nevent: discarded\n\n",
        }
    }

    /// Returns where the last empty line in `data` ends. Searches from the end, because most pieces end with an event.
    pub(in crate::proxy) fn last_end(&self, data: &[u8]) -> Option<usize> {
        let line_ends = data.iter().enumerate().rev().filter(|(_, byte)| matches!(byte, b'\n' | b'\r'));
        line_ends.map(|(at, _)| at + 1).find(|end| self.is_blank_line_before(data, *end))
    }

    fn is_blank_line_before(&self, data: &[u8], end: usize) -> bool {
        let before = |back: usize| match end.checked_sub(back) {
            Some(place) => data.get(place).copied(),
            None => self.tail.iter().rev().nth(back - end - 1).copied(),
        };
        match (before(1), before(2)) {
            (Some(b'\n'), Some(b'\n')) | (Some(b'\r'), Some(b'\n' | b'\r')) => true,
            (Some(b'\n'), Some(b'\r')) => matches!(before(3), Some(b'\n' | b'\r')),
            (Some(_) | None, _) => false,
        }
    }
}

/// Turns a JSON message into one event while it passes.
#[derive(Debug)]
pub(in crate::proxy) struct Wrap {
    is_begun: bool,
    heard: Instant,
    pause: Duration,
}

impl Wrap {
    /// The bytes that end the event.
    pub(in crate::proxy) const END: Bytes = Bytes::from_static(b"\n\n");

    /// Starts an event. `pause` is the longest pause allowed within the message.
    pub(in crate::proxy) fn new(pause: Duration) -> Self {
        Self { is_begun: false, heard: Instant::now(), pause }
    }

    /// Returns these bytes as a part of the event. Line ends, which would start a new field of the event, become
    /// spaces: in JSON they only occur as white space between tokens (RFC 8259 2, 7).
    pub(in crate::proxy) fn pass(&mut self, data: &[u8]) -> Bytes {
        self.heard = Instant::now();
        let begin: &[u8] = if std::mem::replace(&mut self.is_begun, true) { b"" } else { b"event: message\ndata: " };
        let mut event = BytesMut::with_capacity(begin.len() + data.len());
        event.extend_from_slice(begin);
        event.extend(data.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        event.freeze()
    }

    /// Returns whether the message has paused for too long.
    pub(in crate::proxy) fn is_stuck(&self) -> bool {
        self.heard.elapsed() > self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::{Events, Wrap};
    use std::time::Duration;

    #[test]
    fn what_is_open_is_discarded_and_nothing_else() {
        for (passed, mark) in [
            ("", ""),
            ("data: a\n\n", ""),
            ("data: a", "\nevent: discarded\n\n"),
            ("data: a\n", "event: discarded\n\n"),
            ("data: a\r", "event: discarded\n\n"),
            ("data: a\n\ndata: b", "\nevent: discarded\n\n"),
        ] {
            let mut events = Events::default();
            assert!(events.pass(passed.as_bytes(), usize::MAX));
            assert_eq!(events.discard(), mark.as_bytes(), "{passed:?}");
        }
    }

    #[test]
    fn a_message_of_several_lines_is_one_line_of_an_event() {
        let mut wrap = Wrap::new(Duration::ZERO);
        let event: Vec<u8> = ["{\r\n", "\"a\": 1\n", "}"].iter().flat_map(|part| wrap.pass(part.as_bytes())).collect();
        assert_eq!(event, b"event: message\ndata: {  \"a\": 1 }");
    }

    fn between(pieces: &[&str]) -> bool {
        let mut events = Events::default();
        assert!(pieces.iter().all(|p| events.pass(p.as_bytes(), usize::MAX)));
        events.is_between()
    }

    #[test]
    fn ss_08_blank_lines_of_every_kind_end_an_event_however_they_are_cut() {
        for text in
            ["data: a\n\n", "data: a\r\r", "data: a\r\n\r\n", "data: a\n\r\n", "data: a\n\r", ": c\n\ndata: b\n\n", ""]
        {
            assert!(between(&[text]), "{text:?}");
            for cut in 0..text.len() {
                assert!(between(&[&text[..cut], &text[cut..]]), "{text:?} at {cut}");
            }
            let bytes: Vec<_> = text.split_inclusive(|_| true).collect();
            assert!(between(&bytes), "{text:?} byte by byte");
        }
        for text in ["data: a", "data: a\n", "data: a\r", "data: a\r\n", "data: a\n\ndata: b\n", "data: a\n\n:"] {
            assert!(!between(&[text]), "{text:?}");
        }
    }

    #[test]
    fn ss_02_an_event_is_bounded() {
        let mut events = Events::default();
        assert!(events.pass(b"data: 1234\n\ndata", 10) && events.pass(b": 1234", 10) && !events.pass(b"5", 10));
        let mut events = Events::default();
        assert!((0..100).all(|_| events.pass(b"data: 12\n\n", 10)));
    }
}
