//! A borrowed look at a JSON-RPC message: id, method, the name it acts on, the version it claims. Builds no tree.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::strict_json::{Members, Text, Value, Walk};

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Has a method and an id.
    Request,
    /// Has a method and no id.
    Notification,
    /// Has a result or an error (legacy sessions only).
    Response,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What it is.
    pub kind: MessageKind,
    /// The id as raw JSON.
    pub id: Option<&'a str>,
    /// The method.
    pub method: Option<Cow<'a, str>>,
    /// `params.name`, `params.uri` or `params.taskId`, whichever its method's routing header mirrors.
    pub name: Option<Cow<'a, str>>,
    /// `params._meta["io.modelcontextprotocol/protocolVersion"]`.
    pub version: Option<Cow<'a, str>>,
}

/// Why a body is no JSON-RPC message, with the id if it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeError {
    /// -32700 (not JSON) or -32600 (not JSON-RPC).
    pub code: i32,
    /// What is wrong.
    pub message: &'static str,
    /// The id as raw JSON, if it was readable.
    pub id: Option<String>,
}

/// The text is JSON, but no message (JSON-RPC 2.0 5.1).
const INVALID_REQUEST: i32 = -32600;
/// The text is not JSON (JSON-RPC 2.0 5.1).
const PARSE_ERROR: i32 = -32700;
/// The longest method; those of the specification have at most 40 bytes.
const MAX_METHOD: usize = 128;
/// The most messages in a batch.
const MAX_BATCH: usize = 50;

impl<'a> Envelope<'a> {
    /// Reads a body: one message, or a batch (1 to 50) where `batch` allows it.
    ///
    /// # Errors
    /// `EnvelopeError` for anything two parsers might read differently: duplicate members (also escaped), invalid
    /// UTF-8, lone surrogates, a byte order mark, trailing bytes, depth over 64, a method over 128 bytes.
    pub fn read(body: &'a [u8], batch: bool) -> Result<Vec<Self>, EnvelopeError> {
        let Ok(text) = std::str::from_utf8(body) else {
            return Err(EnvelopeError { code: PARSE_ERROR, message: "the body is not UTF-8", id: None });
        };
        let mut reader = Reader { walk: Walk::new(), batch, last_id: None, messages: Vec::with_capacity(1) };
        let mut json = serde_json::Deserializer::from_str(text);
        match reader.read(&mut json).and_then(|()| json.end()) {
            Ok(()) => Ok(reader.messages),
            Err(error) => {
                let is_json = error.classify() == serde_json::error::Category::Data;
                let (code, message) = match reader.walk.broken {
                    Some(rule) => (INVALID_REQUEST, rule),
                    None if is_json => (INVALID_REQUEST, "the body is not a JSON-RPC message"),
                    None => (PARSE_ERROR, "the body is not JSON"),
                };
                // In a batch no single id can be blamed.
                let id = reader.last_id.filter(|_| reader.messages.is_empty()).map(str::to_owned);
                Err(EnvelopeError { code, message, id })
            }
        }
    }
}

/// Reads the outermost value.
struct Reader<'a> {
    walk: Walk<'a>,
    batch: bool,
    last_id: Option<&'a str>,
    messages: Vec<Envelope<'a>>,
}

impl<'a> Reader<'a> {
    fn read<D: Deserializer<'a>>(&mut self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'a> DeserializeSeed<'a> for &mut Reader<'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<(), D::Error> {
        self.read(value)
    }
}

impl<'a> Visitor<'a> for &mut Reader<'a> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC message")
    }
    fn visit_map<M: MapAccess<'a>>(self, map: M) -> Result<(), M::Error> {
        let mut draft = Draft::default();
        let read = self.walk.object(map, &mut draft);
        self.last_id = draft.id;
        read?;
        let message = draft.finish().map_err(|rule| self.walk.fail(rule))?;
        self.messages.push(message);
        Ok(())
    }
    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<(), S::Error> {
        // JSON-RPC batches ended with 2025-06-18, and an element of a batch is never a batch.
        if !std::mem::take(&mut self.batch) {
            return Err(self.walk.fail("a batch is not allowed here"));
        }
        while seq.next_element_seed(&mut *self)?.is_some() {
            if self.messages.len() > MAX_BATCH {
                return Err(self.walk.fail("too many messages in a batch"));
            }
        }
        if self.messages.is_empty() { Err(self.walk.fail("the batch is empty")) } else { Ok(()) }
    }
}

/// A message while it is being read: members may come in any order.
#[derive(Default)]
struct Draft<'a> {
    version_2: bool,
    answers: bool,
    id: Option<&'a str>,
    method: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
    task: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
}

impl<'a> Draft<'a> {
    fn finish(self) -> Result<Envelope<'a>, &'static str> {
        if !self.version_2 {
            return Err("jsonrpc must be \"2.0\"");
        }
        let kind = match (&self.method, self.answers, self.id) {
            // MCP (basic: requests): unlike in JSON-RPC itself the id is never null.
            (Some(_), false, Some("null")) => return Err("the id must not be null"),
            (Some(_), false, Some(_)) => MessageKind::Request,
            (Some(_), false, None) => MessageKind::Notification,
            (None, true, _) => MessageKind::Response,
            (Some(_), true, _) => return Err("a message is a request or a response, not both"),
            (None, false, _) => return Err("the method is missing"),
        };
        let name = match self.method.as_deref() {
            Some("resources/read") => self.uri,
            Some("tasks/get" | "tasks/update" | "tasks/cancel") => self.task,
            Some(_) | None => self.name,
        };
        Ok(Envelope { kind, id: self.id, method: self.method, name, version: self.version })
    }
}

impl<'a> Members<'a> for Draft<'a> {
    fn member<M: MapAccess<'a>>(&mut self, walk: &mut Walk<'a>, name: &str, map: &mut M) -> Result<(), M::Error> {
        match name {
            "jsonrpc" => self.version_2 = map.next_value_seed(Text)? == "2.0",
            "id" => {
                let id = map.next_value::<&'a RawValue>()?.get();
                if !is_id(id) {
                    return Err(walk.fail("the id must be a string or a number"));
                }
                self.id = Some(id);
            }
            "method" => {
                let method = map.next_value_seed(Text)?;
                if method.len() > MAX_METHOD || method.chars().any(char::is_control) {
                    return Err(walk.fail("the method is too long or has control characters"));
                }
                self.method = Some(method);
            }
            "params" => drop(map.next_value_seed(Value::object(walk, Params(self)))?),
            "result" | "error" => {
                self.answers = true;
                map.next_value_seed(Value::skip(walk))?;
            }
            _ => drop(map.next_value_seed(Value::skip(walk))?),
        }
        Ok(())
    }
}

/// The members of `params`.
struct Params<'d, 'a>(&'d mut Draft<'a>);

impl<'a> Members<'a> for Params<'_, 'a> {
    fn member<M: MapAccess<'a>>(&mut self, walk: &mut Walk<'a>, name: &str, map: &mut M) -> Result<(), M::Error> {
        match name {
            "name" => self.0.name = map.next_value_seed(Value::text(walk))?,
            "uri" => self.0.uri = map.next_value_seed(Value::text(walk))?,
            "taskId" => self.0.task = map.next_value_seed(Value::text(walk))?,
            "_meta" => drop(map.next_value_seed(Value::object(walk, Meta(self.0)))?),
            _ => drop(map.next_value_seed(Value::skip(walk))?),
        }
        Ok(())
    }
}

/// The members of `params._meta`.
struct Meta<'d, 'a>(&'d mut Draft<'a>);

impl<'a> Members<'a> for Meta<'_, 'a> {
    fn member<M: MapAccess<'a>>(&mut self, walk: &mut Walk<'a>, name: &str, map: &mut M) -> Result<(), M::Error> {
        match name {
            "io.modelcontextprotocol/protocolVersion" => self.0.version = map.next_value_seed(Value::text(walk))?,
            _ => drop(map.next_value_seed(Value::skip(walk))?),
        }
        Ok(())
    }
}

/// Returns whether raw JSON is a string, a number or null. Raw JSON was not unescaped yet: a lone surrogate shows now.
fn is_id(raw: &str) -> bool {
    match raw.as_bytes() {
        [b'"', ..] => !raw.contains('\\') || serde_json::from_str::<String>(raw).is_ok(),
        [b'-' | b'0'..=b'9', ..] => true,
        other => other == b"null",
    }
}

#[cfg(test)]
mod tests {
    use super::{Envelope, MessageKind};

    fn one(body: &str) -> Envelope<'_> {
        let mut read = Envelope::read(body.as_bytes(), false).unwrap_or_else(|e| panic!("{body}: {e:?}"));
        assert_eq!(read.len(), 1);
        read.remove(0)
    }

    fn code(body: impl AsRef<[u8]>, batch: bool) -> i32 {
        Envelope::read(body.as_ref(), batch).map_or_else(|e| e.code, |_| 0)
    }

    #[test]
    fn members_come_in_any_order() {
        let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","x":[{}]}"#;
        let read = one(&format!(
            r#" {{"params":{{"_meta":{meta},"arguments":{{"name":"no"}},"name":"add"}},"id":"a\"b","method":"tools/call","jsonrpc":"2.0"}} "#
        ))
        .into_parts();
        assert_eq!(
            read,
            (MessageKind::Request, r#""a\"b""#.into(), "tools/call".into(), "add".into(), "2026-07-28".into())
        );
    }

    impl Envelope<'_> {
        fn into_parts(self) -> (MessageKind, String, String, String, String) {
            let text = |t: Option<std::borrow::Cow<'_, str>>| t.unwrap_or_default().into_owned();
            let id = self.id.unwrap_or_default().to_owned();
            (self.kind, id, text(self.method), text(self.name), text(self.version))
        }
    }

    #[test]
    fn kinds_follow_from_the_members() {
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).kind, MessageKind::Request);
        assert_eq!(
            one(r#"{"jsonrpc":"2.0","method":"ping","params":[1,null,true,-1.5]}"#).kind,
            MessageKind::Notification
        );
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).kind, MessageKind::Response);
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#).kind, MessageKind::Response);
        assert_eq!(
            one(r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"u","name":"n"}}"#)
                .name
                .as_deref(),
            Some("u")
        );
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#).name, None);
        for not_rpc in [
            "5",
            "null",
            r#""text""#,
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#,
            r#"{"id":1,"method":"a"}"#,
            r#"{"jsonrpc":2.0,"id":1,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":true,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
        ] {
            assert_eq!(code(not_rpc, true), -32600, "{not_rpc}");
        }
    }

    #[test]
    fn mc_05_a_member_that_occurs_twice_is_refused_at_every_level() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","name":"evil"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":[{"x":{"y":1,"y":1}}]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{},"params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#,
        ] {
            assert_eq!(code(body, false), -32600, "{body}");
        }
        let many: Vec<String> = (0..40).map(|i| format!(r#""k{i}":{i}"#)).collect();
        let with = |last: &str| format!(r#"{{"jsonrpc":"2.0","method":"a","params":{{{},{last}}}}}"#, many.join(","));
        assert_eq!(code(with(r#""k40":0"#), false), 0);
        assert_eq!(code(with(r#""k3":0"#), false), -32600);
        assert_eq!(code(with(r#""k39":0"#), false), -32600);
    }

    #[test]
    fn mc_06_what_two_parsers_read_differently_is_refused() {
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"\u006dethod":"ping"}"#).method.as_deref(), Some("ping"));
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"method":"a","\u006dethod":"b"}"#, false), -32600);
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let utf16: Vec<u8> = ping.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for body in [
            utf16,
            [b"\xef\xbb\xbf", ping.as_bytes()].concat(),
            [ping.as_bytes(), b"x"].concat(),
            [ping.as_bytes(), ping.as_bytes()].concat(),
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}".to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":"\ud800"}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"\udc00":1}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":NaN}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":01}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a",}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a"#.to_vec(),
            b"".to_vec(),
        ] {
            assert_eq!(code(&body, true), -32700, "{}", String::from_utf8_lossy(&body));
        }
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":"\ud800","method":"a"}"#, false), -32600);
    }

    #[test]
    fn mc_11_methods_are_short_and_printable() {
        let with = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        assert_eq!(code(with(&"a".repeat(128)), false), 0);
        assert_eq!(code(with(&"a".repeat(129)), false), -32600);
        assert_eq!(code(with(r"a\nb"), false), -32600);
        assert_eq!(code(with(r"a\u0000b"), false), -32600);
    }

    #[test]
    fn depth_and_batches_are_bounded() {
        let nested =
            |n: usize| format!(r#"{{"jsonrpc":"2.0","method":"a","params":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        assert_eq!(code(nested(63), false), 0);
        assert_eq!(code(nested(64), false), -32600);
        assert_ne!(code(nested(100_000), false), 0);
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let batch = |n: usize| format!("[{}]", vec![ping; n].join(","));
        assert_eq!(Envelope::read(batch(50).as_bytes(), true).map(|m| m.len()), Ok(50));
        for (body, allowed) in
            [(batch(51), true), (batch(0), true), (batch(1), false), (format!("[{}]", batch(1)), true)]
        {
            assert_eq!(code(&body, allowed), -32600, "{body}");
        }
    }

    #[test]
    fn the_id_is_told_where_it_was_read() {
        let id = |body: &str| Envelope::read(body.as_bytes(), true).expect_err("refused").id;
        assert_eq!(id(r#"{"jsonrpc":"2.0","id":7,"method":"a","method":"b"}"#).as_deref(), Some("7"));
        assert_eq!(id(r#"{"method":"a","method":"b","id":7}"#), None);
        assert_eq!(id(r#"[{"jsonrpc":"2.0","id":7,"method":"a"},{"id":8}]"#), None);
    }
}
