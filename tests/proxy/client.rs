//! A client made of a bare socket: it sends what no library would, and shows the answer byte for byte. The other tests
//! use the client of `tests/support/http.rs`, which can do neither.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::upstream::soon;

/// A request as text, built piece by piece.
#[derive(Debug, Clone)]
pub(crate) struct RawRequest {
    line: String,
    fields: Vec<String>,
    body: Vec<u8>,
}

impl RawRequest {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { line: format!("{method} {target} HTTP/1.1"), fields: vec!["Host: gw.example".to_owned()], body: vec![] }
    }
    /// A POST of JSON to the first upstream.
    pub(crate) fn post(body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", "/mcp").field("Content-Type", "application/json").body(body)
    }
    /// A POST of a modern request, with its version.
    pub(crate) fn modern(body: impl AsRef<[u8]>) -> Self {
        Self::post(body).field("MCP-Protocol-Version", "2026-07-28")
    }
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push(format!("{name}: {value}"));
        self
    }
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.field("Authorization", &format!("Bearer {token}"))
    }
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = format!("Content-Length: {}", self.body.len());
        self.fields.push(length);
        self
    }
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.line.clone().into_bytes();
        for field in &self.fields {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(field.as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&self.body);
        out
    }
}

/// An answer as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended properly.
    pub(crate) complete: bool,
}

impl Reply {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut all = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        let first = all.next();
        assert!(all.next().is_none(), "{name} more than once in {self:?}");
        first
    }
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
    /// Asserts the status and the JSON-RPC error code.
    pub(crate) fn assert_rpc(&self, status: u16, code: i32, id: serde_json::Value) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/json"));
        let body = self.json();
        assert_eq!((&body["error"]["code"], &body["id"]), (&code.into(), &id), "{self:?}");
    }
    /// The reply without the values that differ each time.
    pub(crate) fn timeless(mut self) -> Self {
        self.fields.retain(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"));
        self
    }
}

pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, ask: &RawRequest) -> Reply {
        self.send(&ask.bytes()).await;
        self.reply().await
    }

    /// Reads a whole answer.
    pub(crate) async fn reply(&mut self) -> Reply {
        soon(async {
            let mut reply = self.head().await;
            if let Some(length) = reply.field("content-length") {
                let length: usize = length.parse().unwrap();
                while self.buffer.len() < length && self.read().await {}
                let here = length.min(self.buffer.len());
                reply.body = self.buffer.drain(..here).collect();
                reply.complete = reply.body.len() == length;
            } else if reply.field("transfer-encoding").is_some() {
                while let Some(data) = self.chunk().await {
                    reply.complete = data.is_empty();
                    reply.body.extend(data);
                    if reply.complete {
                        break;
                    }
                }
            } else {
                reply.complete = true;
            }
            reply
        })
        .await
    }

    /// The bytes that were received and not yet parsed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads the head of an answer.
    pub(crate) async fn head(&mut self) -> Reply {
        let end = soon(async {
            loop {
                if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                    break at;
                }
                assert!(self.read().await, "closed without an answer: {:?}", String::from_utf8_lossy(&self.buffer));
            }
        })
        .await;
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let fields = lines.map(|l| l.split_once(": ").unwrap_or_else(|| (l.trim_end_matches(':'), "")));
        let fields = fields.map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
        Reply { status, fields, body: Vec::new(), complete: false }
    }

    /// Reads one chunk; an empty one ends the body, `None` means that it was cut off.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        soon(async {
            let end = loop {
                if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                    break at;
                }
                if !self.read().await {
                    return None;
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..end]).unwrap(), 16).unwrap();
            while self.buffer.len() < end + 2 + size + 2 {
                if !self.read().await {
                    return None;
                }
            }
            let whole: Vec<u8> = self.buffer.drain(..end + 2 + size + 2).collect();
            Some(whole[end + 2..end + 2 + size].to_vec())
        })
        .await
    }

    /// Reads chunks until their text ends with `end`.
    pub(crate) async fn chunks_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let chunk = self.chunk().await.unwrap_or_else(|| panic!("broke off after {text:?}"));
            assert!(!chunk.is_empty(), "ended after {text:?}");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        text
    }

    /// Asserts that the other side closes.
    pub(crate) async fn assert_closed(&mut self) {
        soon(async { while self.read().await {} }).await;
    }

    async fn read(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(n) if n > 0)
    }
}
