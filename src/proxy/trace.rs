//! W3C Trace Context towards upstreams: a valid parent is forwarded, a missing or malformed one is replaced by the
//! request id.

use http::{HeaderMap, HeaderValue};

use super::field::{TRACEPARENT, TRACESTATE};
use crate::web::Digits;

/// Adds the trace context of a request to the head for the upstream; `parent` is the first in `from`.
///
/// `baggage` is not forwarded: it is free text from outside, which telemetry libraries copy into all further requests
/// (W3C Baggage, security considerations).
pub(super) fn forward(parent: Option<&HeaderValue>, from: &HeaderMap, to: &mut HeaderMap, id: &Digits) {
    match parent.filter(|v| is_parent(v.as_bytes())) {
        Some(given) => {
            to.insert(TRACEPARENT, given.clone());
            // Trace Context 3.3: meaningless without a readable parent.
            for state in from.get_all(TRACESTATE) {
                to.append(TRACESTATE, state.clone());
            }
        }
        None => drop(to.insert(TRACEPARENT, new_parent(id))),
    }
}

/// Returns the parent for a request without one. Its trace id is the request id, so that whoever has one finds the
/// other.
fn new_parent(id: &Digits) -> HeaderValue {
    // Not sampled: recording is the upstream's decision.
    let mut text = *b"00-tttttttttttttttttttttttttttttttt-ssssssssssssssss-00";
    let (trace, rest) = text.split_at_mut("00-".len()).1.split_at_mut(id.as_bytes().len());
    trace.copy_from_slice(id.as_bytes());
    rest.split_at_mut("-".len()).1.split_at_mut(id.second_half().len()).0.copy_from_slice(id.second_half());
    // Hexadecimal digits are always a valid header value; the default is never used.
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
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
    use super::{is_parent, new_parent};
    use crate::web::RequestId;

    #[test]
    fn a_trace_that_begins_here_has_the_request_id() {
        let made = new_parent(&RequestId::new([0xab; 16]).digits());
        assert_eq!(made, "00-abababababababababababababababab-abababababababab-00");
        assert!(is_parent(made.as_bytes()), "{made:?}");
        assert!(is_parent(new_parent(&RequestId::new([0; 16]).digits()).as_bytes()));
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
