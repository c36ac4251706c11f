//! `RequestId`: the name of a request in the log, in refusals and towards upstreams.

use http::HeaderValue;

/// 128 bits that no other request has. It is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

/// An id as 32 hexadecimal digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits([u8; 32]);

impl RequestId {
    /// Takes the bits. The last of each half is set: neither is zero, which no trace and no span may be.
    #[must_use]
    pub const fn new(mut bits: [u8; 16]) -> Self {
        bits[7] |= 1;
        bits[15] |= 1;
        Self(bits)
    }

    /// Returns it as text.
    #[must_use]
    pub fn digits(self) -> Digits {
        let mut text = [0; 32];
        for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        Digits(text)
    }

    /// Returns it as the value of a header field.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        self.digits().header()
    }
}

impl Digits {
    /// Returns them as the value of a header field.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        // Hexadecimal digits are always a valid header value; the default is never used.
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static("0"))
    }

    /// Returns the digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the digits.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns those of the second half.
    #[must_use]
    pub const fn second_half(&self) -> &[u8] {
        self.0.split_at(16).1
    }
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn an_id_is_written_in_32_digits_and_never_zero() {
        let id = RequestId::new([0, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xce, 0xef, 0, 0, 0, 0, 0, 0, 0xfe]);
        assert_eq!(id.digits().as_str(), "000123456789abcfef000000000000ff");
        assert_eq!(id.header(), id.digits().as_str());
        assert_eq!(RequestId::new([0; 16]).digits().as_str(), "00000000000000010000000000000001");
    }
}
