//! Counts HTTP/2 frames that cost their sender nothing and advance no request, because h2 answers every one of them;
//! and small data frames, of which h2 accepts only a limited number before they are read.

use std::time::Duration;

use tokio::time::Instant;

use super::frames::{CONTINUATION, DATA, END_STREAM, FrameHead, HEADERS, RST_STREAM, WINDOW_UPDATE};

/// The most such frames within `WITHIN`; clients send a handful (CVE-2019-9512, CVE-2019-9515).
const MOST: u32 = 1000;
const WITHIN: Duration = Duration::from_secs(10);
/// How many bytes we must have written for each window update of the peer, which acknowledges data (RFC 9113 6.9): two
/// updates, for stream and connection, per event of the smallest size in use.
const BYTES_PER_UPDATE: u64 = 16;

/// Size in bytes below which h2 limits the number of unread data frames.
const SMALL_DATA: usize = 256;
/// How many small data frames are taken at a time.
const SMALL_AT_A_TIME: u32 = 32;

/// Counts the frames that one side of a connection sends.
#[derive(Debug)]
pub struct ControlFrames {
    count: u32,
    since: Instant,
    small_data: u32,
    updates: u64,
    written: u64,
}

impl Default for ControlFrames {
    fn default() -> Self {
        Self { count: 0, since: Instant::now(), small_data: 0, updates: 0, written: 0 }
    }
}

impl ControlFrames {
    /// Records the number of bytes that we wrote.
    pub fn wrote(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Records a received frame. Returns whether there were too many useless ones.
    pub fn record_frame(&mut self, frame: FrameHead) -> bool {
        self.record_kind(frame) && self.record_one()
    }

    /// Returns whether so many small data frames were received that their reader must get its turn first, or h2 would
    /// take them for a flood. Starts counting anew then.
    pub fn take_reader_turn(&mut self) -> bool {
        let enough = self.small_data >= SMALL_AT_A_TIME;
        if enough {
            self.small_data = 0;
        }
        enough
    }

    /// Records a frame's kind. Returns whether it counts as useless; h2 has its own limits for frames that open and
    /// reset streams.
    fn record_kind(&mut self, frame: FrameHead) -> bool {
        match frame.kind {
            // CVE-2019-9518: an empty data frame that does not end its stream.
            DATA => {
                let goes_on = frame.flags & END_STREAM == 0;
                self.small_data = self.small_data.saturating_add((goes_on && frame.length < SMALL_DATA).into());
                frame.length == 0 && goes_on
            }
            HEADERS | RST_STREAM | CONTINUATION => false,
            WINDOW_UPDATE => {
                self.updates = self.updates.saturating_add(1);
                self.updates > self.written / BYTES_PER_UPDATE
            }
            _ => true,
        }
    }

    fn record_one(&mut self) -> bool {
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
    use super::{ControlFrames, DATA, END_STREAM, FrameHead, HEADERS};

    fn frame(kind: u8, length: usize) -> FrameHead {
        FrameHead { length, kind, flags: 0, stream: 1 }
    }

    #[test]
    fn small_frames_of_data_are_taken_in_portions() {
        let mut frames = ControlFrames::default();
        assert!((0..31).all(|_| !frames.record_frame(frame(DATA, 1))) && !frames.take_reader_turn());
        let last = [FrameHead { flags: END_STREAM, ..frame(DATA, 1) }, frame(HEADERS, 9), frame(DATA, 1)];
        assert!(last.into_iter().all(|sent| !frames.record_frame(sent)));
        assert!(frames.take_reader_turn() && !frames.take_reader_turn(), "the 32nd, and then anew");
        assert!((0..100).all(|_| !frames.record_frame(frame(DATA, 256))) && !frames.take_reader_turn());
    }

    #[test]
    fn h2_05_frames_for_nothing_are_counted() {
        // Empty data, SETTINGS, PRIORITY, PING, an unknown kind, and window updates without data.
        for (kind, length) in [(0, 0), (4, 0), (4, 6), (2, 5), (6, 8), (0x42, 0), (8, 4)] {
            let mut frames = ControlFrames::default();
            assert!(!(0..1000).any(|_| frames.record_frame(frame(kind, length))), "{kind}");
            assert!(frames.record_frame(frame(kind, length)), "{kind}");
        }
    }

    #[test]
    fn h2_05_what_answers_data_or_carries_requests_is_not_counted() {
        let mut frames = ControlFrames::default();
        frames.wrote(64 * 10_000);
        let sent = [frame(8, 4), frame(8, 4), frame(1, 200), frame(0, 255), frame(9, 3), frame(3, 4)];
        assert!((0..10_000).flat_map(|_| sent).all(|sent| !frames.record_frame(sent)));
    }
}
