//! The grammar of JSON numbers, byte by byte.

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

#[cfg(test)]
mod tests {
    use super::Number;

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
}
