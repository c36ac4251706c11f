//! Base62 of fixed-size blocks: letters and digits only, so that a double click selects a whole token.

const DIGITS: [u8; 62] = *b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns the last `D` base62 digits of a big-endian number. They hold all `N` bytes when 62^D > 256^N: 43 digits for
/// 32 bytes, 11 for 8, 6 for 4, 61 for 45.
pub(super) fn encode<const N: usize, const D: usize>(mut number: [u8; N]) -> [u8; D] {
    let mut digits = [b'0'; D];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0;
        for byte in &mut number {
            // At most 61 * 256 + 255, so that the quotient fits into a byte.
            let dividend = rest * 256 + u16::from(*byte);
            [*byte, _] = (dividend / 62).to_le_bytes();
            rest = dividend % 62;
        }
        *digit = DIGITS.get(usize::from(rest)).copied().unwrap_or(b'0');
    }
    digits
}

/// Decodes what `encode` wrote with as many digits as `N` bytes need; `None` for any other character or a number that
/// is too large. Every number has exactly one encoding.
pub(super) fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut number = [0_u8; N];
    for digit in digits {
        let mut carry = u16::from(match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            _ => return None,
        });
        for byte in number.iter_mut().rev() {
            let [low, high] = (u16::from(*byte) * 62 + carry).to_le_bytes();
            *byte = low;
            carry = u16::from(high);
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_there_and_back() {
        for block in [[0; 32], [255; 32], [0x5a; 32]] {
            let digits: [u8; 43] = encode(block);
            assert_eq!(decode(&digits), Some(block));
        }
        assert_eq!(&encode::<4, 6>(61_u32.to_be_bytes()), b"00000z");
        assert_eq!(&encode::<4, 6>(62_u32.to_be_bytes()), b"000010");
        assert_eq!(&encode::<32, 3>([255; 32]), &encode::<32, 43>([255; 32])[40..]);
    }

    #[test]
    fn overflow_and_foreign_characters_are_refused() {
        assert_eq!(decode::<4>(b"4gfFC3"), Some([255; 4]));
        assert_eq!(decode::<4>(b"4gfFC4"), None);
        assert_eq!(decode::<4>(b"zzzzzz"), None);
        assert_eq!(decode::<4>(b"0000-0"), None);
    }
}
