//! HTTP/2 frames that cost their sender nothing and move no request on, counted: h2 answers each of them, however many.
//! And data in small frames, of which h2 takes only so many that nobody has read.

use std::time::Duration;

use tokio::time::Instant;

/// How many of them within how long: clients send a handful (CVE-2019-9512, CVE-2019-9515).
const MOST: u32 = 1000;
const WITHIN: Duration = Duration::from_secs(10);
/// Bytes that we write for each window update a peer may send, which answers data (RFC 9113 6.9): one for the stream
/// and one for the connection, for the smallest event that anybody sends.
const BYTES_PER_UPDATE: u64 = 16;

/// Below this h2 counts a frame of data against what may wait to be read.
const SMALL_DATA: usize = 256;
/// How many of those are taken at a time.
const SMALL_AT_A_TIME: u32 = 32;

/// What every connection begins with (RFC 9113 3.4); h2 compares it.
const PREFACE: usize = 24;
/// A frame's head (RFC 9113 4.1).
const HEAD: usize = 9;

const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Follows the frames of one connection.
#[derive(Debug)]
pub(super) struct ControlFrames {
    /// Bytes until the next head.
    skip: usize,
    head: [u8; HEAD],
    /// Bytes of the head that are here.
    filled: usize,
    count: u32,
    since: Instant,
    small_data: u32,
    updates: u64,
    written: u64,
}

impl ControlFrames {
    /// Begins at the first byte of a connection.
    pub(super) fn begin() -> Self {
        let since = Instant::now();
        Self { skip: PREFACE, head: [0; HEAD], filled: 0, count: 0, since, small_data: 0, updates: 0, written: 0 }
    }

    /// Notes bytes that we wrote.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Follows bytes that came. Returns whether they are too many frames for nothing.
    pub(super) fn are_a_flood(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            let (_, rest) = bytes.split_at_checked(skipped).unwrap_or_default();
            let wanted = self.head.get_mut(self.filled..).unwrap_or_default();
            let taken = if self.skip == 0 { wanted.len().min(rest.len()) } else { 0 };
            let (new, rest) = rest.split_at_checked(taken).unwrap_or_default();
            wanted.iter_mut().zip(new).for_each(|(to, from)| *to = *from);
            self.filled += taken;
            bytes = rest;
            if self.filled == HEAD {
                self.filled = 0;
                let [high, middle, low, kind, flags, ..] = self.head;
                self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                if self.counts(kind, flags) && self.is_one_too_many() {
                    return true;
                }
            }
        }
        false
    }

    /// Returns whether the small frames of data that came are enough for now: whoever reads them should have a chance to,
    /// or h2 takes them for a flood.
    pub(super) fn are_enough_for_now(&mut self) -> bool {
        let enough = self.small_data >= SMALL_AT_A_TIME;
        if enough {
            self.small_data = 0;
        }
        enough
    }

    /// Returns whether a frame of this kind counts. h2 has limits of its own for what opens and resets streams.
    fn counts(&mut self, kind: u8, flags: u8) -> bool {
        match kind {
            // CVE-2019-9518: data that brings nothing and ends nothing.
            DATA => {
                let goes_on = flags & END_STREAM == 0;
                self.small_data = self.small_data.saturating_add((goes_on && self.skip < SMALL_DATA).into());
                self.skip == 0 && goes_on
            }
            HEADERS | RST_STREAM | CONTINUATION => false,
            WINDOW_UPDATE => {
                self.updates = self.updates.saturating_add(1);
                self.updates > self.written / BYTES_PER_UPDATE
            }
            _ => true,
        }
    }

    fn is_one_too_many(&mut self) -> bool {
        self.count += 1;
        if self.count <= MOST {
            return false;
        }
        let begun = std::mem::replace(&mut self.since, Instant::now());
        self.count = 1;
        begun.elapsed() < WITHIN
    }
}

#[cfg(test)]
mod tests {
    use super::{ControlFrames, DATA, END_STREAM, HEADERS};

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        [vec![0, 0, length, kind, 0, 0, 0, 0, 1], vec![0xff; usize::from(length)]].concat()
    }

    #[test]
    fn h2_05_frames_for_nothing_are_counted_however_they_are_cut() {
        // Empty data, SETTINGS, PRIORITY, PING, an unknown kind, and window updates that answer nothing.
        for (kind, length) in [(0, 0), (4, 0), (4, 6), (2, 5), (6, 8), (0x42, 0), (8, 4)] {
            for cut in [1, 7, 1000] {
                let sent = [vec![b'P'; 24], frame(kind, length).repeat(1000)].concat();
                let mut frames = ControlFrames::begin();
                assert!(!sent.chunks(cut).any(|part| frames.are_a_flood(part)), "{kind}");
                assert!(frame(kind, length).chunks(cut).any(|part| frames.are_a_flood(part)), "{kind}");
            }
        }
    }

    #[test]
    fn small_frames_of_data_are_taken_in_portions() {
        let mut frames = ControlFrames::begin();
        let small = [vec![b'P'; 24], frame(DATA, 1).repeat(31)].concat();
        assert!(!frames.are_a_flood(&small) && !frames.are_enough_for_now());
        let last = [vec![0, 0, 1, DATA, END_STREAM, 0, 0, 0, 1, b'a'], frame(HEADERS, 9), frame(DATA, 1)].concat();
        assert!(!frames.are_a_flood(&last));
        assert!(frames.are_enough_for_now() && !frames.are_enough_for_now(), "the 32nd, and then anew");
        let large = [vec![0, 1, 0, DATA, 0, 0, 0, 0, 1], vec![b'a'; 256]].concat().repeat(100);
        assert!(!frames.are_a_flood(&large) && !frames.are_enough_for_now());
    }

    #[test]
    fn h2_05_what_answers_data_or_carries_requests_is_not_counted() {
        let mut frames = ControlFrames::begin();
        frames.wrote(64 * 10_000);
        let sent = [frame(8, 4), frame(8, 4), frame(1, 200), frame(0, 255), frame(9, 3), frame(3, 4)].concat();
        assert!(!frames.are_a_flood(&[vec![b'P'; 24], sent.repeat(10_000)].concat()));
    }
}
