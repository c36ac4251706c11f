//! Parses the frames of one direction of an HTTP/2 connection from the bytes that pass.

/// Length of a frame's head (RFC 9113 4.1).
const HEAD: usize = 9;
/// Length of a setting: its number and its value (RFC 9113 6.5.1).
const ENTRY: usize = 6;

/// The type of a data frame (RFC 9113 6).
pub const DATA: u8 = 0;
/// The type of a header field block, which `CONTINUATION` continues.
pub const HEADERS: u8 = 1;
/// The type of a frame that ends a stream at once.
pub const RST_STREAM: u8 = 3;
/// The type of a frame with settings.
pub const SETTINGS: u8 = 4;
/// The type of a frame that allows the peer to send more.
pub const WINDOW_UPDATE: u8 = 8;
/// The type of a frame with the rest of a header field block.
pub const CONTINUATION: u8 = 9;
/// The flag of `DATA` and `HEADERS` that ends their stream.
pub const END_STREAM: u8 = 1;
/// The flag of `HEADERS` and `CONTINUATION` after which the header field block is complete.
pub const END_HEADERS: u8 = 4;
/// The flag of a `SETTINGS` frame that only acknowledges the peer's (RFC 9113 6.5).
pub const ACK: u8 = 1;

/// The fields of a frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Length of the payload in bytes.
    pub length: usize,
    /// The frame's type.
    pub kind: u8,
    /// The frame's flags.
    pub flags: u8,
    /// The frame's stream; 0 for the connection.
    pub stream: u32,
}

/// A part of the bytes that passed.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A frame begins.
    Head(FrameHead),
    /// Some or all of the payload of the current frame.
    Payload(&'a [u8]),
}

/// Parses the bytes of one direction.
#[derive(Debug)]
pub struct FrameReader {
    /// Bytes until the next head, and whether they are not part of a frame.
    rest: usize,
    is_preface: bool,
    head: [u8; HEAD],
    filled: usize,
}

impl FrameReader {
    /// Length of the preface that a client begins with (RFC 9113 3.4); h2 checks its content.
    const PREFACE: usize = 24;

    /// Starts at the first byte that a client sends.
    #[must_use]
    pub fn of_client() -> Self {
        Self { rest: Self::PREFACE, is_preface: true, head: [0; HEAD], filled: 0 }
    }

    /// Starts at the first byte that a server sends.
    #[must_use]
    pub fn of_server() -> Self {
        Self { rest: 0, is_preface: false, head: [0; HEAD], filled: 0 }
    }

    /// Returns whether the position is between two frames.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.rest == 0 && self.filled == 0
    }

    /// Takes the next part off `bytes`; `None` when nothing is left.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Part<'a>> {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let (passed, rest) = bytes.split_at_checked(self.rest).unwrap_or((bytes, &[]));
                *bytes = rest;
                self.rest -= passed.len();
                if !self.is_preface {
                    return Some(Part::Payload(passed));
                }
                continue;
            }
            self.is_preface = false;
            let wanted = self.head.get_mut(self.filled..).unwrap_or_default();
            let (new, rest) = bytes.split_at_checked(wanted.len()).unwrap_or((bytes, &[]));
            wanted.iter_mut().zip(new).for_each(|(to, from)| *to = *from);
            self.filled += new.len();
            *bytes = rest;
            if self.filled == HEAD {
                self.filled = 0;
                let [high, middle, low, kind, flags, stream @ ..] = self.head;
                self.rest = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                // RFC 9113 4.1: the first bit is reserved.
                let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
                return Some(Part::Head(FrameHead { length: self.rest, kind, flags, stream }));
            }
        }
        None
    }
}

/// Reads the settings that one side sends from its frames.
#[derive(Debug, Default)]
pub struct Settings {
    /// Bytes of the frame that are still to come.
    left: usize,
    entry: [u8; ENTRY],
    filled: usize,
}

impl Settings {
    /// Starts a frame. Returns whether it contains settings of the sender.
    pub fn begin(&mut self, frame: FrameHead) -> bool {
        let is_settings = frame.kind == SETTINGS && frame.flags & ACK == 0;
        *self = Self { left: if is_settings { frame.length } else { 0 }, ..Self::default() };
        is_settings
    }

    /// Reads a payload: `each` gets the number and the value of every setting in it. Returns whether the settings have
    /// ended with it.
    pub fn read(&mut self, payload: &[u8], mut each: impl FnMut(u16, u32)) -> bool {
        if self.left == 0 {
            return false;
        }
        for byte in payload {
            if let Some(place) = self.entry.get_mut(self.filled) {
                *place = *byte;
            }
            self.filled += 1;
            if self.filled == ENTRY {
                self.filled = 0;
                let [high, low, value @ ..] = self.entry;
                each(u16::from_be_bytes([high, low]), u32::from_be_bytes(value));
            }
        }
        self.left = self.left.saturating_sub(payload.len());
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameHead, FrameReader, Part};

    #[test]
    fn frames_are_told_however_they_are_cut() {
        let frame = |kind: u8, stream: u8, payload: &[u8]| {
            let length = u8::try_from(payload.len()).unwrap();
            [&[0, 0, length, kind, 5, 0x80, 0, 0, stream], payload].concat()
        };
        let sent = [vec![b'P'; 24], frame(4, 0, b"settings"), frame(1, 7, b""), frame(0, 7, b"x")].concat();
        for cut in 1..sent.len() {
            let mut reader = FrameReader::of_client();
            let (mut heads, mut payload) = (Vec::new(), Vec::new());
            for mut piece in sent.chunks(cut) {
                while let Some(part) = reader.next(&mut piece) {
                    match part {
                        Part::Head(FrameHead { length, kind, flags: 5, stream }) => heads.push((kind, stream, length)),
                        Part::Head(other) => panic!("{other:?}"),
                        Part::Payload(bytes) => payload.extend_from_slice(bytes),
                    }
                }
            }
            assert_eq!((heads, payload), (vec![(4, 0, 8), (1, 7, 0), (0, 7, 1)], b"settingsx".to_vec()), "{cut}");
        }
    }
}
