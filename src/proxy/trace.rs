//! W3C Trace Context towards upstreams: a valid parent is forwarded, a missing or malformed one is replaced.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderValue};

use super::field::{TRACEPARENT, TRACESTATE};

/// Makes trace ids: unique, not secret. std's hasher has a random key.
#[derive(Default)]
pub(super) struct Traces {
    key: RandomState,
    made: AtomicU64,
}

impl Traces {
    /// Adds the trace context of a request to the head for the upstream. `baggage` is not forwarded: it is free text
    /// from outside, which telemetry libraries copy into all further requests (W3C Baggage, security considerations).
    pub(super) fn forward(&self, from: &HeaderMap, to: &mut HeaderMap) {
        match from.get(TRACEPARENT).filter(|v| is_parent(v.as_bytes())) {
            Some(parent) => {
                to.insert(TRACEPARENT, parent.clone());
                // Trace Context 3.3: meaningless without a readable parent.
                for state in from.get_all(TRACESTATE) {
                    to.append(TRACESTATE, state.clone());
                }
            }
            None => drop(to.insert(TRACEPARENT, self.parent())),
        }
    }

    fn parent(&self) -> HeaderValue {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        let [high, low, span] = [0_u8, 1, 2].map(|part| self.key.hash_one((n, part)) | 1);
        let mut text = [0_u8; 55];
        let mut at = text.iter_mut();
        let mut put = |byte: u8| {
            if let Some(place) = at.next() {
                *place = byte;
            }
        };
        b"00-".iter().for_each(|b| put(*b));
        for (word, end) in [(high, None), (low, Some(b'-')), (span, Some(b'-'))] {
            for byte in word.to_be_bytes() {
                put(hex(byte >> 4));
                put(hex(byte & 15));
            }
            end.into_iter().for_each(&mut put);
        }
        // Not sampled: recording is the upstream's decision.
        b"00".iter().for_each(|b| put(*b));
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// Trace Context 3.2: version 00, trace id and parent id not all zero, lower case.
fn is_parent(value: &[u8]) -> bool {
    let lower_hex =
        |part: &[u8], len: usize| part.len() == len && part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let some = |part: &[u8]| part.iter().any(|b| *b != b'0');
    let mut parts = value.split(|b| *b == b'-');
    let (version, trace, span, flags, end) = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    version == Some(b"00".as_slice())
        && trace.is_some_and(|t| lower_hex(t, 32) && some(t))
        && span.is_some_and(|s| lower_hex(s, 16) && some(s))
        && flags.is_some_and(|f| lower_hex(f, 2))
        && end.is_none()
}

#[cfg(test)]
mod tests {
    use super::{Traces, is_parent};

    #[test]
    fn what_is_made_is_valid_and_new() {
        let traces = Traces::default();
        let (one, two) = (traces.parent(), traces.parent());
        assert!(is_parent(one.as_bytes()), "{one:?}");
        assert_ne!(one, two);
    }

    #[test]
    fn only_exact_parents_are_passed_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_parent(good.as_bytes()));
        for bad in [
            "",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert!(!is_parent(bad.as_bytes()), "{bad}");
        }
    }
}
