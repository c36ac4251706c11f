//! The grammar of JSON numbers, byte by byte.

/// The most digits of a number that are read at once.
const MOST_DIGITS: usize = 16;

/// The position within a number (RFC 8259 6).
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Begin,
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Number {
    /// Returns the position after another byte; `None` where the byte cannot belong to the number.
    pub(super) const fn then(self, byte: u8) -> Option<Self> {
        use Number::{Begin, E, Exponent, Fraction, Minus, Point, Sign, Whole, Zero};
        Some(match (self, byte) {
            (Begin, b'-') => Minus,
            (Begin | Minus, b'0') => Zero,
            (Begin | Minus | Whole, b'0'..=b'9') => Whole,
            (Zero | Whole, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Whole | Fraction, b'e' | b'E') => E,
            (E, b'+' | b'-') => Sign,
            (E | Sign | Exponent, b'0'..=b'9') => Exponent,
            (Begin | Minus | Zero | Whole | Point | Fraction | E | Sign | Exponent, _) => return None,
        })
    }

    /// Returns whether a number may end here.
    pub(super) const fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Exponent)
    }
}

/// Returns the number at the beginning of a text, if it is a whole one of a few digits and certain to end there. Most
/// are; the others are read byte by byte.
pub(super) fn short_whole(text: &str) -> Option<&str> {
    let digits = text.bytes().take(MOST_DIGITS).take_while(u8::is_ascii_digit).count();
    let (number, after) = text.split_at_checked(digits)?;
    let may_be_zero = matches!(number.as_bytes(), [] | [b'0', ..]);
    Some(number).filter(|_| !may_be_zero && after.starts_with([',', '}', ']']))
}

#[cfg(test)]
mod tests {
    use super::{Number, short_whole};

    #[test]
    fn numbers_are_read_as_rfc_8259_has_them() {
        let is_number = |text: &str| text.bytes().try_fold(Number::Begin, Number::then).is_some_and(Number::may_end);
        for text in ["0", "-0", "10", "-1.50", "1e5", "0E-07", "12.0e+3"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "-", "01", "+1", "1.", ".5", "1e", "1e+", "0x1", "1_0", "--1", "1.2.3"] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn a_short_whole_number_is_one_that_ends() {
        for (text, number) in [("7,", "7"), ("10}", "10"), ("1234567890123456]", "1234567890123456"), ("10,2", "10")] {
            assert_eq!(short_whole(text), Some(number), "{text}");
        }
        for text in ["", ",", "7", "0,", "01,", "-7,", "7.5,", "7e1,", "7 ,", "7x", "12345678901234567,", "7\u{661},"] {
            assert_eq!(short_whole(text), None, "{text}");
        }
    }
}
