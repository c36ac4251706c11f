//! Where one event of a stream ends and the next begins: enough to put a comment between two, and to bound one.

/// Follows a stream of events (HTML, server-sent events: lines end with LF, CR or CRLF, a blank line ends an event).
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The last bytes that passed, for a blank line that is cut in two. Zero before the beginning.
    tail: [u8; 3],
    /// Bytes since the last blank line.
    open: usize,
}

impl Events {
    /// Takes note of what passes; false when an event exceeds `limit`.
    pub(super) fn pass(&mut self, data: &[u8], limit: usize) -> bool {
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

    /// Returns whether a comment may stand here.
    pub(super) fn is_between(&self) -> bool {
        self.open == 0
    }

    /// Returns where in `data` the last blank line has ended. Looks from the end: most pieces end with an event.
    fn last_end(&self, data: &[u8]) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use super::Events;

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
