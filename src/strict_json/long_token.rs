//! Tokens that may be long: strings and numbers that have escapes, fractions, or no end within the work.

use super::json_number::Number;
use super::json_string::plain;
use super::walk::{JsonFault, Long, Walk, WalkStep};

impl<'a> Walk<'a> {
    /// Continues a long token.
    pub(super) fn go_on(&mut self, long: Long, begin: usize, work: &mut usize) -> Result<WalkStep<'a>, JsonFault> {
        let ended = match long {
            Long::String { .. } => self.string(work)?,
            Long::Number(place) => self.number(place, begin, work)?,
        };
        if !ended {
            return Ok(WalkStep::Paused);
        }
        self.long = None;
        let raw = self.text.get(begin..self.at).unwrap_or_default();
        match long {
            Long::String { is_name: true } => self.end_name(raw),
            Long::String { is_name: false } | Long::Number(_) => Ok(self.end_scalar(raw)),
        }
    }

    /// Continues a string. Returns whether it has ended.
    fn string(&mut self, work: &mut usize) -> Result<bool, JsonFault> {
        while *work > 0 {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let plain = plain(rest.get(..*work).unwrap_or(rest));
            *work -= plain;
            self.at += plain;
            match rest.get(plain..).unwrap_or_default() {
                _ if *work == 0 => return Ok(false),
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(true);
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'u', digits @ ..] if digits.iter().take(4).filter(|b| b.is_ascii_hexdigit()).count() == 4 => {
                    self.at += 6;
                }
                // It does not end, or contains a control character.
                _ => return Err(JsonFault::NotJson),
            }
            self.is_escaped = true;
            *work = work.saturating_sub(6);
        }
        Ok(false)
    }

    /// Continues a number. Returns whether it has ended.
    fn number(&mut self, mut place: Number, begin: usize, work: &mut usize) -> Result<bool, JsonFault> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let mut taken = 0;
        for byte in rest.get(..*work).unwrap_or(rest) {
            match place.then(*byte) {
                Some(next) => place = next,
                None if place.may_end() => break,
                None => return Err(JsonFault::NotJson),
            }
            taken += 1;
        }
        self.at += taken;
        *work -= taken;
        self.long = Some((Long::Number(place), begin));
        match *work {
            0 => Ok(false),
            _ if place.may_end() => Ok(true),
            _ => Err(JsonFault::NotJson),
        }
    }
}
