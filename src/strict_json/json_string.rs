//! JSON strings: finding their end, and decoding them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Visitor};

/// Returns how many leading bytes are plain string content: no quote, escape or control character.
pub(crate) fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks();
    let mut plain = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // The highest bit of each byte says whether it is special; bits after the first such byte may be wrong. With
        // its second bit turned, a quote is the number after the control characters.
        let below_quote = (word ^ (ONES * 2)).wrapping_sub(ONES * 0x21);
        let is_escape = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        let special = (below_quote | is_escape) & !word & HIGH;
        if special != 0 {
            return plain + usize::try_from(special.trailing_zeros() / 8).unwrap_or(0);
        }
        plain += 8;
    }
    plain + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count()
}

/// Returns the text of a JSON string, or `None` if it contains half a surrogate pair.
pub(crate) fn text(raw: &str) -> Option<Cow<'_, str>> {
    if raw.contains('\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    raw.get(1..raw.len().saturating_sub(1)).map(Cow::Borrowed)
}

/// Returns the bytes of a JSON string; half a surrogate pair is encoded as if it were a character.
#[inline]
pub(crate) fn unescape(raw: &str, is_escaped: bool) -> Option<Cow<'_, [u8]>> {
    if !is_escaped {
        return Some(Cow::Borrowed(raw.as_bytes().get(1..raw.len().saturating_sub(1)).unwrap_or_default()));
    }
    decoded(raw).map(Cow::Owned)
}

// Apart, because few strings have escapes.
#[cold]
fn decoded(raw: &str) -> Option<Vec<u8>> {
    serde_json::Deserializer::from_str(raw).deserialize_bytes(RawBytes).ok()
}

struct RawBytes;

impl Visitor<'_> for RawBytes {
    type Value = Vec<u8>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::{plain, text, unescape};

    #[test]
    fn plain_bytes_end_where_something_else_begins() {
        for length in 0..40 {
            for special in [&b"\""[..], b"\\n", b"\x1f", b"\0"] {
                let bytes = [&b"\x7f \xff".repeat(14)[..length], special, b" \"\x01"].concat();
                assert_eq!(plain(&bytes), length, "{bytes:?}");
                assert_eq!(plain(&bytes[..length]), length, "{bytes:?}");
            }
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        assert_eq!(text(r#""\ud83d\ude00""#).as_deref(), Some("😀"));
        assert_eq!(text(r#""\ud83d""#), None);
        assert_eq!(text(r#""""#).as_deref(), Some(""));
        assert_eq!(unescape(r#""\u0061\ud83d""#, true).as_deref(), Some(&b"a\xed\xa0\xbd"[..]));
    }
}
