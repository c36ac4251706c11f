//! The frames of one direction of an HTTP/2 connection, told from its bytes as they pass.

/// A frame's head (RFC 9113 4.1).
const HEAD: usize = 9;
/// A setting: its number and its value (RFC 9113 6.5.1).
const ENTRY: usize = 6;

/// The types of frames that are looked for (RFC 9113 6).
pub const DATA: u8 = 0;
/// Also a header field block, of which `CONTINUATION` is the rest.
pub const HEADERS: u8 = 1;
/// Ends a stream at once.
pub const RST_STREAM: u8 = 3;
/// Pairs of a setting and its value.
pub const SETTINGS: u8 = 4;
/// Allows the peer to send more.
pub const WINDOW_UPDATE: u8 = 8;
/// The rest of a header field block.
pub const CONTINUATION: u8 = 9;
/// The flag of `DATA` and `HEADERS` that ends their stream.
pub const END_STREAM: u8 = 1;
/// The flag of `HEADERS` and `CONTINUATION` after which the header field block is complete.
pub const END_HEADERS: u8 = 4;
/// The flag of `SETTINGS` that only confirms the peer's (RFC 9113 6.5).
pub const ACK: u8 = 1;

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of its payload.
    pub length: usize,
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
}

/// A part of what has passed.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A frame begins.
    Head(FrameHead),
    /// Some or all of the payload of the frame that began last.
    Payload(&'a [u8]),
}

/// Follows the bytes of one direction.
#[derive(Debug)]
pub struct FrameReader {
    /// Bytes until the next head, and whether they belong to no frame.
    rest: usize,
    is_preface: bool,
    head: [u8; HEAD],
    filled: usize,
}

impl FrameReader {
    /// What a client begins with (RFC 9113 3.4); h2 compares it.
    const PREFACE: usize = 24;

    /// Begins at the first byte that a client sends.
    #[must_use]
    pub fn of_client() -> Self {
        Self { rest: Self::PREFACE, is_preface: true, head: [0; HEAD], filled: 0 }
    }

    /// Begins at the first byte that a server sends.
    #[must_use]
    pub fn of_server() -> Self {
        Self { rest: 0, is_preface: false, head: [0; HEAD], filled: 0 }
    }

    /// Returns whether a frame has ended and no other one has begun.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.rest == 0 && self.filled == 0
    }

    /// Takes the next part off `bytes`; `None` when nothing is left of them.
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

/// Reads the settings that one side sends, as their frames pass.
#[derive(Debug, Default)]
pub struct Settings {
    /// Bytes of the frame that are yet to come.
    left: usize,
    entry: [u8; ENTRY],
    filled: usize,
}

impl Settings {
    /// Notes that a frame begins. Returns whether it holds settings of its sender's own.
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
