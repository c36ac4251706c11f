//! `BatchReader`: finds the messages of a batch in its body, so that some of them can be forwarded without the others.

use crate::strict_json::{Token, Walk, WalkStep};

/// How deep the messages of a batch are: in one array.
const MESSAGE: u32 = 2;

/// Reads a body in pieces, so that a large one does not keep other requests waiting.
#[derive(Debug)]
pub struct BatchReader<'a> {
    body: &'a str,
    walk: Walk<'a>,
    depth: u32,
    /// Where the current message begins.
    begin: usize,
    messages: Vec<&'a str>,
}

impl<'a> BatchReader<'a> {
    /// Begins to read a batch that [`Envelope::read`](super::Envelope::read) has accepted.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        let body = std::str::from_utf8(body).unwrap_or_default();
        let mut walk = Walk::new(body);
        // They were compared when the batch was checked.
        walk.compare_names(false);
        Self { body, walk, depth: 0, begin: 0, messages: Vec::new() }
    }

    /// Continues for an amount of `work`, measured in bytes of a plain string. Returns the raw messages, in their
    /// order, when the body has ended; of any other body, those before its fault.
    pub fn step(&mut self, mut work: usize) -> Option<Vec<&'a str>> {
        loop {
            match self.walk.next(&mut work) {
                Ok(WalkStep::Token(token)) => self.take(&token),
                Ok(WalkStep::Paused) => return None,
                Ok(WalkStep::End) | Err(_) => return Some(std::mem::take(&mut self.messages)),
            }
        }
    }

    fn take(&mut self, token: &Token<'a>) {
        match token {
            Token::Object | Token::Array => {
                self.depth = self.depth.saturating_add(1);
                if self.depth == MESSAGE {
                    self.begin = self.walk.end_of_token().saturating_sub(1);
                }
            }
            Token::Close => {
                if self.depth == MESSAGE {
                    self.messages.extend(self.body.get(self.begin..self.walk.end_of_token()));
                }
                self.depth = self.depth.saturating_sub(1);
            }
            Token::Name(..) | Token::Scalar(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BatchReader;

    #[test]
    fn the_messages_of_a_batch_are_found_as_they_were_written() {
        let messages = [
            r#"{"jsonrpc":"2.0","id":"],{","method":"a"}"#,
            r#"{ "jsonrpc": "2.0", "method": "b", "params": {"x": [{"y": []}, 1]} }"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"\"":null}}"#,
        ];
        for (open, between, close) in [("[", ",", "]"), (" [\n ", " ,\t", "\r\n] ")] {
            for count in 1..=messages.len() {
                let body = format!("{open}{}{close}", messages[..count].join(between));
                for work in [1, 7, usize::MAX] {
                    let mut reader = BatchReader::new(body.as_bytes());
                    let found = std::iter::repeat_with(|| reader.step(work)).flatten().next().unwrap();
                    assert_eq!(found, &messages[..count], "{body}, {work} at a time");
                }
            }
        }
    }

    #[test]
    fn what_is_no_batch_has_no_messages() {
        for body in [&b"\xff"[..], b"", b"7", b"{}", b"[7]", b"[{"] {
            assert_eq!(BatchReader::new(body).step(usize::MAX), Some(Vec::new()), "{body:?}");
        }
    }
}
