//! `RefusedPart`: the requests of a batch that the rules refuse while its other messages are forwarded. Their errors
//! join the upstream's answer.

use bytes::{Bytes, BytesMut};

use super::events::write_event;
use crate::proxy::rejection::{RefusedOfBatch, Rejection};

/// The part of a batch that is refused, and the ids of the requests that are forwarded.
#[derive(Debug)]
pub(in crate::proxy) struct RefusedPart {
    /// The ids of the forwarded requests, as raw JSON.
    pub(super) ids: Box<[Bytes]>,
    /// A JSON-RPC error for each refused request.
    errors: Vec<Vec<u8>>,
    /// Why the first message is refused.
    first: Rejection,
}

impl RefusedPart {
    /// Makes the part from its requests. `first` says why its first message is refused, which may be a notification.
    pub(in crate::proxy) fn new(first: Rejection, requests: &[RefusedOfBatch], ids: Box<[Bytes]>) -> Self {
        Self { ids, errors: requests.iter().map(RefusedOfBatch::to_json).collect(), first }
    }

    /// Returns why its first message is refused, for the record.
    pub(in crate::proxy) fn first(&self) -> &Rejection {
        &self.first
    }

    /// Returns whether nothing but notifications was refused, which nobody answers.
    pub(in crate::proxy) fn is_unanswered(&self) -> bool {
        self.errors.is_empty()
    }

    /// Returns whether an upstream's answer has nothing for the client, because no request was forwarded.
    pub(in crate::proxy) fn is_whole_answer(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the errors as events.
    pub(in crate::proxy) fn events(&self) -> Bytes {
        let mut events = BytesMut::new();
        self.errors.iter().for_each(|error| write_event(&mut events, error));
        events.freeze()
    }

    /// Returns the errors and an answer as one batch.
    pub(in crate::proxy) fn join(&self, answer: &[u8]) -> Bytes {
        let mut join = self.joining();
        [join.pass(answer), join.end()].concat().into()
    }

    /// Begins to join the errors with an answer that arrives in pieces.
    pub(in crate::proxy) fn joining(&self) -> Joining {
        Joining { errors: self.errors.join(&b','), place: JoinStep::Before }
    }
}

/// Joins errors with a JSON answer while it passes: they come first in the array.
pub(in crate::proxy) struct Joining {
    errors: Vec<u8>,
    place: JoinStep,
}

/// What of the answer has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JoinStep {
    Before,
    /// The bracket that opens its array.
    Opened,
    /// A part of its array; the rest passes unchanged.
    InArray,
    /// A part of a message that is no array.
    InMessage,
}

impl Joining {
    /// Takes the next piece of the answer, and returns what to send.
    pub(in crate::proxy) fn pass(&mut self, mut piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if self.place == JoinStep::Before {
            piece = piece.trim_ascii_start();
            let Some(first) = piece.first() else { return out };
            out.push(b'[');
            out.append(&mut self.errors);
            match first {
                b'[' => {
                    piece = piece.get(1..).unwrap_or_default();
                    self.place = JoinStep::Opened;
                }
                _ => {
                    out.push(b',');
                    self.place = JoinStep::InMessage;
                }
            }
        }
        if self.place == JoinStep::Opened {
            piece = piece.trim_ascii_start();
            let Some(first) = piece.first() else { return out };
            if *first != b']' {
                out.push(b',');
            }
            self.place = JoinStep::InArray;
        }
        out.extend_from_slice(piece);
        out
    }

    /// Returns what to send after the last piece.
    pub(in crate::proxy) fn end(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.place, JoinStep::InArray) {
            JoinStep::Before => [b"[".as_slice(), &std::mem::take(&mut self.errors), b"]"].concat(),
            JoinStep::InMessage => b"]".to_vec(),
            // One that broke off stays broken.
            JoinStep::Opened | JoinStep::InArray => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::RefusedPart;
    use crate::proxy::rejection::{RefusedOfBatch, Rejection};

    fn part(ids: &[&str]) -> RefusedPart {
        let request = |id: &&str| RefusedOfBatch { id: (*id).into(), why: Rejection::UnopenedMessage };
        let requests: Vec<_> = ids.iter().map(request).collect();
        RefusedPart::new(Rejection::UnopenedMessage, &requests, Box::new([Bytes::from_static(b"9")]))
    }

    #[test]
    fn errors_come_first_in_an_array_however_the_answer_is_cut() {
        let error = |id| String::from_utf8(Rejection::UnopenedMessage.to_json_rpc(Some(id))).unwrap();
        let (one, both) = (error("1"), format!("{},{}", error("1"), error("\"b\"")));
        for (ids, answer, expected) in [
            (&["1"][..], r#"[{"id":2},{"id":3}]"#, format!(r#"[{one},{{"id":2}},{{"id":3}}]"#)),
            (&["1", "\"b\""], " \n[ {\"id\":2} ]\n", format!("[{both},{{\"id\":2}} ]\n")),
            (&["1"], r#"{"id":2}"#, format!(r#"[{one},{{"id":2}}]"#)),
            (&["1"], "[]", format!("[{one}]")),
            (&["1"], "[ ] ", format!("[{one}] ")),
            (&["1"], "", format!("[{one}]")),
            (&["1"], " ", format!("[{one}]")),
            (&["1"], "[", format!("[{one}")),
        ] {
            let part = part(ids);
            assert_eq!(part.join(answer.as_bytes()), expected, "{answer:?}");
            let mut join = part.joining();
            let pieces = answer.as_bytes().chunks(1).flat_map(|piece| join.pass(piece)).collect::<Vec<_>>();
            assert_eq!([pieces, join.end()].concat(), expected.as_bytes(), "{answer:?} byte by byte");
        }
        let events = String::from_utf8(part(&["1"]).events().to_vec()).unwrap();
        assert_eq!(events, format!("event: message\ndata: {one}\n\n"));
    }
}
