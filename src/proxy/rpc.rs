//! What the access log says about messages: the method and tool of a request, and the error code in its answer.

use std::io::BufRead as _;

use bytes::Bytes;
use serde::Deserialize;

use super::upstream::resend::LARGEST_KEPT;
use crate::mcp::Envelope;

/// The longest name that is logged, in bytes. Methods and tools are normally shorter.
const LONGEST: usize = 128;
/// How many bytes are searched for an error, which comes after version and id, and before anything long.
const LOOKED_AT: usize = 512;

/// The method and tool of a request.
#[derive(Default)]
pub(super) struct RpcCall {
    method: LoggedWord,
    tool: LoggedWord,
}

/// A word of a message.
enum LoggedWord {
    /// One of those that most messages have.
    Known(&'static str),
    /// Any other, in UTF-8.
    Kept(Bytes),
}

impl Default for LoggedWord {
    fn default() -> Self {
        Self::Known("")
    }
}

impl RpcCall {
    /// Reads method and tool from the messages of a body.
    pub(super) fn of(body: &Bytes, messages: &[Envelope<'_>]) -> Self {
        let [message] = messages else {
            return Self { method: LoggedWord::Known("batch"), tool: LoggedWord::default() };
        };
        let method = message.method.as_deref().unwrap_or_default();
        let tool = message.name.as_deref().filter(|_| method == "tools/call").unwrap_or_default();
        Self { method: LoggedWord::of(body, method), tool: LoggedWord::of(body, tool) }
    }

    /// Returns the method, if there was one, in UTF-8.
    pub(super) fn method(&self) -> Option<&[u8]> {
        self.method.bytes()
    }

    /// Returns whether it may ask for the completion of an argument.
    pub(super) fn may_complete(&self) -> bool {
        matches!(self.method(), Some(b"completion/complete" | b"batch"))
    }

    /// Returns the tool that is called, in UTF-8.
    pub(super) fn tool(&self) -> Option<&[u8]> {
        self.tool.bytes()
    }
}

impl LoggedWord {
    /// Keeps a word: as a slice of a small body, or as a copy, so that a large body is not kept until its answer
    /// has ended.
    fn of(body: &Bytes, word: &str) -> Self {
        let word = word.get(..word.floor_char_boundary(LONGEST)).unwrap_or_default();
        let (begin, end) = (body.as_ptr().addr(), body.as_ptr().addr().saturating_add(body.len()));
        // A word that contained escapes is not a slice of the body.
        let is_part = (begin..end).contains(&word.as_ptr().addr());
        match word {
            "" => Self::Known(""),
            "tools/call" => Self::Known("tools/call"),
            "tools/list" => Self::Known("tools/list"),
            part if is_part && body.len() <= LARGEST_KEPT => Self::Kept(body.slice_ref(part.as_bytes())),
            other => Self::Kept(Bytes::copy_from_slice(other.as_bytes())),
        }
    }

    /// Returns the word, if there was one.
    fn bytes(&self) -> Option<&[u8]> {
        let bytes = match self {
            Self::Known(word) => word.as_bytes(),
            Self::Kept(bytes) => bytes,
        };
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }
}

/// Finds the code of a JSON-RPC error in an answer: one message, or the events in a piece of a stream.
pub(super) fn error_code(answer: &[u8], is_events: bool) -> Option<i64> {
    #[derive(Deserialize)]
    struct ErrorAnswer {
        error: Option<ErrorObject>,
    }
    #[derive(Deserialize)]
    struct ErrorObject {
        code: i64,
    }
    let code_of = |message: &[u8]| {
        // Nearly all answers are results, and nearly all events in between are notifications.
        if !may_be_error(message.get(..LOOKED_AT).unwrap_or(message)) {
            return None;
        }
        serde_json::from_slice::<ErrorAnswer>(message).ok()?.error.map(|fault| fault.code)
    };
    let looked_at = if is_events { answer } else { answer.get(..LOOKED_AT).unwrap_or(answer) };
    if !may_name_error(looked_at) {
        return None;
    }
    if !is_events {
        return code_of(answer);
    }
    lines(answer).filter_map(|line| line.strip_prefix(b"data:")).find_map(code_of)
}

/// Returns whether `"er` occurs in a text. Compares eight places at once, because every byte of a stream comes through
/// here; the last eight may be compared twice.
fn may_name_error(text: &[u8]) -> bool {
    let end = text.len().saturating_sub(2);
    let [quotes, es, rs] = [0, 1, 2].map(|begin| text.get(begin..begin + end).unwrap_or_default());
    let (Some(quote), Some(e), Some(r)) = (quotes.last_chunk(), es.last_chunk(), rs.last_chunk()) else {
        return text.windows(3).any(|three| three == b"\"er");
    };
    let eights = quotes.as_chunks().0.iter().zip(es.as_chunks().0).zip(rs.as_chunks().0);
    eights.fold(name_of_error_begins(quote, e, r), |found, ((quote, e), r)| found | name_of_error_begins(quote, e, r))
        != 0
}

/// Returns not 0 where one of eight bytes is a quote, the byte at the same place in `e` an `e`, and that in `r` an `r`:
/// then a byte of `differences` is 0, and only a subtraction from that sets a highest bit that was not set before.
fn name_of_error_begins(quote: &[u8; 8], e: &[u8; 8], r: &[u8; 8]) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let difference = |eight: &[u8; 8], byte: u8| u64::from_ne_bytes(*eight) ^ (EACH * u64::from(byte));
    let differences = difference(quote, b'"') | difference(e, b'e') | difference(r, b'r');
    differences.wrapping_sub(EACH) & !differences & (EACH * 0x80)
}

/// Returns the lines of a text, with their ends. By `BufRead`, which finds them many bytes at a time.
fn lines(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let text = rest;
        let length = rest.skip_until(b'\n').ok().filter(|length| *length > 0)?;
        text.get(..length)
    })
}

/// Returns whether a message that begins with these bytes may be an error: a member `error` begins in them, and before
/// it neither a `method` nor a `result` with a value (JSON-RPC 2.0 4 and 5: a message has one of the three).
fn may_be_error(beginning: &[u8]) -> bool {
    let mut rest = beginning;
    while rest.skip_until(b'"').is_ok_and(|length| length > 0) {
        let (is_error, after) = match rest {
            [b'r', b'e', b's', b'u', b'l', b't', b'"', after @ ..] => (false, after),
            [b'm', b'e', b't', b'h', b'o', b'd', b'"', after @ ..] => (false, after),
            [b'e', b'r', b'r', b'o', b'r', b'"', after @ ..] => (true, after),
            _ => continue,
        };
        // What is not followed by a value is a value itself, such as an id.
        if let Some(value) = after.trim_ascii_start().strip_prefix(b":")
            && (is_error || !value.trim_ascii_start().starts_with(b"null"))
        {
            return is_error;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> (Option<String>, Option<String>) {
        let body = Bytes::from(body.to_owned());
        let messages = Envelope::read(&body, true).unwrap();
        let asked = RpcCall::of(&body, &messages);
        let text = |word: Option<&[u8]>| word.map(|word| String::from_utf8(word.to_vec()).unwrap());
        (text(asked.method()), text(asked.tool()))
    }

    #[test]
    fn method_and_tool_are_noted_and_bounded() {
        let call = |name: &str| {
            asked(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#))
        };
        let told = |tool: &str| (Some("tools/call".to_owned()), Some(tool.to_owned()));
        assert_eq!(call("echo"), told("echo"));
        assert_eq!(call("\\u0065cho"), told("echo"));
        assert_eq!(call(&"x".repeat(1000)), told(&"x".repeat(128)));
        assert_eq!(call(&"x".repeat(10_000)), told(&"x".repeat(128)));
        assert_eq!(asked(r#"{"jsonrpc":"2.0","method":"x/y"}"#), (Some("x/y".to_owned()), None));
        let read = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///secret"}}"#;
        assert_eq!(asked(read), (Some("resources/read".to_owned()), None), "only a tool is named");
        assert_eq!(asked(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), (None, None));
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert_eq!(asked(&format!("[{ping},{ping}]")), (Some("batch".to_owned()), None));
    }

    #[test]
    fn the_code_of_an_error_is_found_and_nothing_else_is_taken_for_one() {
        let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"x"}}"#;
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"error":{"code":7}}}"#;
        for (answer, is_events, code) in [
            (error.to_owned(), false, Some(-32602)),
            (format!("event: message\ndata: {error}\n\n"), true, Some(-32602)),
            (format!("data: {error}\r\n\r\n"), true, Some(-32602)),
            (format!("data: {progress}\n\nevent: message\ndata: {error}\n\n"), true, Some(-32602)),
            (format!("data: {}\n\ndata: {error}\n\n", "x".repeat(10_000)), true, Some(-32602)),
            (format!("data: {progress}\n\ndata: {}\n\n", error.replace("error", "result")), true, None),
            (format!("data: {}", &error[..40]), true, None),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"error":{"code":7}}}"#.to_owned(), false, None),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(), false, None),
            (r#"{"error":"code"}"#.to_owned(), false, None),
            (error.replace("\"id\":1", r#""id" : "result", "x":"error""#), false, Some(-32602)),
            (error.replace("\"error\"", r#""error" "#), false, Some(-32602)),
            (error.replace("\"error\"", r#""result": null, "error""#), false, Some(-32602)),
            (format!("{}{error}", " ".repeat(10_000)), false, None),
            (String::new(), true, None),
        ] {
            assert_eq!(error_code(answer.as_bytes(), is_events), code, "{answer}");
        }
    }

    #[test]
    fn the_name_of_an_error_is_found_wherever_it_is() {
        for length in 0..40 {
            let rest = "e\"r \"ep\"\u{e5}r\"de".chars().cycle();
            let text: String = rest.take(length).collect();
            assert!(!may_name_error(text.as_bytes()), "{text}");
            for (at, _) in text.char_indices() {
                let mut text = text.clone();
                text.insert_str(at, "\"er");
                assert!(may_name_error(text.as_bytes()), "{text}");
            }
        }
        assert!(may_name_error(b"\"er") && !may_name_error(b"\"e"));
    }
}
