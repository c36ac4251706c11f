//! `OwnSession`: a conversation of the gateway's own with an MCP server, of any revision.

use std::future::poll_fn;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::content::Content;
use super::lease::Lease;
use super::own_client::{OwnClient, PATIENCE, read};
use crate::proxy::field::{MCP_METHOD, MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use crate::proxy::response::gather::{BufferedBody, Stop};
use crate::proxy::response::head::{self, BodyKind};
use crate::proxy::response::rewrite::event;
use crate::strict_json;

/// The revisions that are asked for, with and without a handshake.
const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
/// The longest answer that is read.
const MOST_BYTES: usize = 4 << 20;
/// How deep an answer may be nested.
const DEPTH: usize = 64;

/// A session at an upstream, or what takes its place in 2026-07-28.
pub(in crate::proxy) struct OwnSession<'a> {
    client: &'a OwnClient,
    target: &'a PathAndQuery,
    version: HeaderValue,
    is_modern: bool,
    /// What the server called the session, if it did.
    id: Option<HeaderValue>,
    /// How many requests were sent.
    sent: u32,
}

/// Why there is no result.
enum NoResult {
    /// The server answered with an error, or in another form: it may speak another revision.
    Answered(String),
    /// The server cannot be asked.
    Unanswered(String),
}

impl<'a> OwnSession<'a> {
    /// Begins a session, and returns it with the capabilities of the server.
    ///
    /// # Errors
    /// The server does not let it, with the reason.
    pub(in crate::proxy) async fn begin(
        client: &'a OwnClient,
        target: &'a PathAndQuery,
    ) -> Result<(Self, Value), String> {
        let version = HeaderValue::from_static(LEGACY);
        let mut session = Self { client, target, version, is_modern: false, id: None, sent: 0 };
        let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client_info()});
        let first = match session.request("initialize", params).await {
            Ok(result) => match result.get("protocolVersion").and_then(Value::as_str).map(HeaderValue::from_str) {
                Some(Ok(version)) => {
                    session.version = version;
                    if let Err(why) = session.say_initialized().await {
                        session.end().await;
                        return Err(why);
                    }
                    return Ok((session, capabilities(&result)));
                }
                Some(Err(_)) | None => "its answer to initialize has no protocolVersion".to_owned(),
            },
            Err(NoResult::Answered(why)) => why,
            Err(NoResult::Unanswered(why)) => return Err(why),
        };
        session.end().await;
        (session.is_modern, session.version) = (true, HeaderValue::from_static(MODERN));
        match session.request("server/discover", json!({})).await {
            Ok(result) if result.get("capabilities").is_some() => Ok((session, capabilities(&result))),
            Ok(_) | Err(NoResult::Answered(_)) => Err(first),
            Err(NoResult::Unanswered(why)) => Err(why),
        }
    }

    /// Asks for a page of a list, and returns the result.
    ///
    /// # Errors
    /// There is none, with the reason.
    pub(in crate::proxy) async fn ask(
        &mut self,
        method: &'static str,
        cursor: Option<&Value>,
    ) -> Result<Value, String> {
        let params = cursor.map_or_else(|| json!({}), |cursor| json!({"cursor": cursor}));
        self.request(method, params).await.map_err(|failed| match failed {
            NoResult::Answered(why) | NoResult::Unanswered(why) => why,
        })
    }

    /// Ends it, if the server knows of it.
    pub(in crate::proxy) async fn end(&mut self) {
        if let Some(id) = self.id.take() {
            self.client.end_session(self.target, &id).await;
        }
    }

    async fn say_initialized(&self) -> Result<(), String> {
        let message = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let said = async {
            let headers = self.headers("notifications/initialized");
            let (response, lease) = self.post(&message, headers).await?;
            let status = response.status();
            read(response.into_body(), lease, PATIENCE).await;
            if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
        };
        timeout(PATIENCE, said).await.unwrap_or_else(|_| Err(no_answer()))
    }

    async fn request(&mut self, method: &'static str, mut params: Value) -> Result<Value, NoResult> {
        if self.is_modern
            && let Some(params) = params.as_object_mut()
        {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": client_info(),
            });
            params.insert("_meta".to_owned(), meta);
        }
        self.sent += 1;
        let id = json!(self.sent);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let heard = timeout(PATIENCE, Box::pin(self.exchange(method, &message))).await;
        let answer = heard.unwrap_or_else(|_| Err(NoResult::Unanswered(no_answer())))?;
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => {
                let why = answer.get("error").and_then(|error| error.get("message")).and_then(Value::as_str);
                let why: String = why.unwrap_or_default().chars().filter(|c| !c.is_control()).take(100).collect();
                Err(NoResult::Answered(format!("it answered {method} with an error: {why}")))
            }
        }
    }

    async fn exchange(&mut self, method: &'static str, message: &Value) -> Result<Value, NoResult> {
        // A handshake names the revision in its message.
        let headers = if method == "initialize" { HeaderMap::new() } else { self.headers(method) };
        let (response, lease) = self.post(message, headers).await.map_err(NoResult::Unanswered)?;
        let (head, body) = response.into_parts();
        if let Some(id) = head.headers.get(MCP_SESSION_ID).filter(|_| self.id.is_none() && !self.is_modern) {
            self.id = Some(id.clone());
        }
        if matches!(head.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(NoResult::Unanswered(format!("it answered {}", head.status)));
        }
        let kind = head::form(&head.headers);
        let id = message.get("id");
        let answer = if kind == BodyKind::Other { None } else { answer(body, lease, kind, id).await };
        answer.ok_or_else(|| {
            NoResult::Answered(format!("it answered {} to {method} without a JSON-RPC answer", head.status))
        })
    }

    async fn post(&self, message: &Value, headers: HeaderMap) -> Result<super::lease::LeasedResponse, String> {
        self.client.post(self.target, Bytes::from(message.to_string()), self.id.as_ref(), headers).await
    }

    fn headers(&self, method: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(MCP_PROTOCOL_VERSION, self.version.clone());
        if self.is_modern {
            headers.insert(HeaderName::clone(&MCP_METHOD), HeaderValue::from_static(method));
        }
        headers
    }
}

fn client_info() -> Value {
    json!({"name": "mcpgate", "version": env!("CARGO_PKG_VERSION")})
}

fn capabilities(result: &Value) -> Value {
    result.get("capabilities").cloned().unwrap_or_default()
}

fn no_answer() -> String {
    format!("there was no answer within {PATIENCE:?}")
}

/// Reads until the answer to a request has arrived.
async fn answer(mut body: Content, lease: Lease, kind: BodyKind, id: Option<&Value>) -> Option<Value> {
    let (mut arrived, mut read) = (Vec::new(), BufferedBody::default());
    loop {
        let stop = poll_fn(|cx| read.poll_read(&mut body, 1, cx)).await;
        arrived.extend_from_slice(&read.take());
        if arrived.len() > MOST_BYTES {
            return None;
        }
        let is_end = match stop {
            Stop::End => true,
            Stop::Full => false,
            Stop::Broken(_) => return None,
        };
        let found = match kind {
            BodyKind::Events => {
                let whole = arrived.ends_with(b"\n\n") || arrived.ends_with(b"\n\r\n") || arrived.ends_with(b"\r\r");
                if !whole && !is_end {
                    continue;
                }
                let found = event::events(&arrived).find_map(|event| message(&event::message(event), id));
                arrived.clear();
                found
            }
            BodyKind::Json | BodyKind::Other if is_end => message(&arrived, id),
            BodyKind::Json | BodyKind::Other => None,
        };
        if is_end {
            lease.finish(Instant::now());
            return found;
        }
        if found.is_some() {
            return found;
        }
    }
}

/// Returns a message if it answers a request. An error may come without the id of the request (JSON-RPC 2.0, 5).
fn message(text: &[u8], id: Option<&Value>) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?;
    strict_json::check(text, DEPTH).ok()?;
    let message: Value = serde_json::from_str(text).ok()?;
    let answers = message.get("id") == id && message.get("result").is_some();
    (answers || message.get("error").is_some()).then_some(message)
}
