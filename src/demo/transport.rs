//! Streamable HTTP: dispatches by method and revision, then handles one message or a batch.

use std::time::Duration;

use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::count::{Count, DemoBody, event_response, idle_stream, json_response};
use super::message::{DemoMessage, LEGACY, RpcError, success};
use super::notes::Notes;
use super::sessions::DemoSessions;
use super::{features, modern};
use crate::web::{BodyError, Pace, read_bounded};

/// Maximum size of a body in bytes: it is parsed in one go on a shared thread, and no tool here needs more.
const MAX_BODY: usize = 64 * 1024;
const PACE: Pace = Pace { total: Duration::from_secs(60), grace: Duration::from_secs(60) };
const SESSION_ID: &str = "mcp-session-id";

/// The state behind one listener.
#[derive(Debug)]
pub(super) struct DemoTransport {
    sessions: DemoSessions,
    notes: Notes,
    stopped: watch::Receiver<bool>,
}

type DemoAnswer = Response<DemoBody>;

fn empty(status: StatusCode) -> DemoAnswer {
    let mut response = Response::new(DemoBody::Full(None));
    *response.status_mut() = status;
    response
}

fn refusal(error: &RpcError, id: Option<&Value>) -> DemoAnswer {
    json_response(error.status, &error.to_json(id))
}

fn accepts_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .any(|v| v.contains("text/event-stream") || v.contains("*/*"))
}

/// Returns whether a request comes from no web page or from one on this machine. MCP 2025-11-25, transports: a server
/// must check `Origin`, or any page could reach it through DNS rebinding.
fn origin_is_local(headers: &HeaderMap) -> bool {
    let local = |origin: &HeaderValue| match url::Url::parse(origin.to_str().unwrap_or_default()).ok()?.host()? {
        url::Host::Domain(name) => Some(name == "localhost"),
        url::Host::Ipv4(address) => Some(address.is_loopback()),
        url::Host::Ipv6(address) => Some(address.is_loopback()),
    };
    headers.get_all(ORIGIN).iter().all(|origin| local(origin) == Some(true))
}

impl DemoTransport {
    /// Makes the state; `stopped` ends standalone streams.
    pub(super) fn new(stopped: watch::Receiver<bool>) -> Self {
        Self { sessions: DemoSessions::default(), notes: Notes::default(), stopped }
    }

    /// Answers any request.
    pub(super) async fn answer(&self, request: Request<hyper::body::Incoming>) -> DemoAnswer {
        let (head, body) = request.into_parts();
        if head.uri.path() != "/mcp" && head.uri.path() != "/" {
            return empty(StatusCode::NOT_FOUND);
        }
        if !origin_is_local(&head.headers) {
            return empty(StatusCode::FORBIDDEN);
        }
        match head.method {
            Method::POST => {}
            Method::GET | Method::DELETE if !modern::is_modern(&head.headers, &Value::Null) => {
                return self.session_method(&head.method, &head.headers);
            }
            _ => {
                let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                return response;
            }
        }
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !content_type.trim_start().starts_with("application/json") {
            return empty(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let body = match read_bounded(body, MAX_BODY, PACE).await {
            Ok(body) => body,
            Err(BodyError::TooLarge) => {
                let error = RpcError::new(-32600, "the demo server takes messages of up to 64 KiB");
                return refusal(&error.with_status(StatusCode::PAYLOAD_TOO_LARGE), None);
            }
            Err(BodyError::Slow) => return empty(StatusCode::REQUEST_TIMEOUT),
            Err(BodyError::Broken) => return empty(StatusCode::BAD_REQUEST),
        };
        let Ok(body) = serde_json::from_slice::<Value>(&body) else {
            let error = RpcError::new(-32700, "not JSON").with_status(StatusCode::BAD_REQUEST);
            return refusal(&error, None);
        };
        if modern::is_modern(&head.headers, &body) {
            self.modern(&body, &head.headers)
        } else {
            self.legacy(&body, &head.headers)
        }
    }

    fn modern(&self, body: &Value, headers: &HeaderMap) -> DemoAnswer {
        let message = match DemoMessage::read(body) {
            Ok(Some(message)) => message,
            // 2026-07-28: a client posts requests and notifications, never responses.
            Ok(None) => {
                return refusal(&RpcError::new(-32600, "not a request").with_status(StatusCode::BAD_REQUEST), None);
            }
            Err(error) => return refusal(&error, None),
        };
        if let Err(error) = modern::check(&message, headers) {
            return refusal(&error, message.id.as_ref());
        }
        let Some(id) = &message.id else {
            return empty(StatusCode::ACCEPTED);
        };
        match Count::of(&message) {
            Some(Ok(count)) => {
                return event_response(count.stream(&message, |result| modern::complete("tools/call", result)));
            }
            Some(Err(result)) => {
                return json_response(StatusCode::OK, &success(id, modern::complete("tools/call", result)));
            }
            None => {}
        }
        match modern::answer(&message, headers, &self.notes) {
            Ok(result) => json_response(StatusCode::OK, &success(id, result)),
            Err(error) => refusal(&error, Some(id)),
        }
    }

    fn legacy(&self, body: &Value, headers: &HeaderMap) -> DemoAnswer {
        if body.get("method").and_then(Value::as_str) == Some("initialize") {
            return self.initialize(body);
        }
        let header = headers.get("mcp-protocol-version").map(|v| String::from_utf8_lossy(v.as_bytes()));
        if let Some(unknown) = header.filter(|v| !LEGACY.contains(&&**v)) {
            return refusal(&RpcError::unsupported_version(&unknown), body.get("id"));
        }
        let version = match self.session(headers) {
            Ok((version, _)) => version,
            Err(status) => {
                let error = RpcError::new(-32000, "no such session; initialize first").with_status(status);
                return refusal(&error, body.get("id"));
            }
        };
        match body.as_array() {
            // JSON-RPC batches exist in 2025-03-26 only.
            Some(batch) if version == LEGACY[0] && !batch.is_empty() => self.batch(batch, headers),
            Some(_) => refusal(&RpcError::new(-32600, "no batches here").with_status(StatusCode::BAD_REQUEST), None),
            None => self.single(body, headers),
        }
    }

    fn initialize(&self, body: &Value) -> DemoAnswer {
        let message = match DemoMessage::read(body) {
            Ok(Some(message)) => message,
            Ok(None) => return empty(StatusCode::BAD_REQUEST),
            Err(error) => return refusal(&error, None),
        };
        let Some(id) = &message.id else { return empty(StatusCode::BAD_REQUEST) };
        let asked = message.text("protocolVersion");
        let [.., newest] = LEGACY;
        let version = LEGACY.into_iter().find(|known| Some(*known) == asked).unwrap_or(newest);
        let result = json!({
            "protocolVersion": version,
            "capabilities": features::capabilities(),
            "serverInfo": features::server_info(),
            "instructions": features::INSTRUCTIONS,
        });
        let mut response = json_response(StatusCode::OK, &success(id, result));
        if let Ok(session) = HeaderValue::from_str(&self.sessions.open(version)) {
            response.headers_mut().insert(SESSION_ID, session);
        }
        response
    }

    fn session(&self, headers: &HeaderMap) -> Result<(&'static str, watch::Receiver<bool>), StatusCode> {
        let id = headers.get(SESSION_ID).and_then(|v| v.to_str().ok()).ok_or(StatusCode::BAD_REQUEST)?;
        self.sessions.find(id).ok_or(StatusCode::NOT_FOUND)
    }

    fn session_method(&self, method: &Method, headers: &HeaderMap) -> DemoAnswer {
        let ended = match self.session(headers) {
            Ok((_, ended)) => ended,
            Err(status) => return empty(status),
        };
        if *method == Method::DELETE {
            let id = headers.get(SESSION_ID).and_then(|v| v.to_str().ok()).unwrap_or_default();
            return empty(if self.sessions.end(id) { StatusCode::OK } else { StatusCode::NOT_FOUND });
        }
        if !accepts_events(headers) {
            return empty(StatusCode::NOT_ACCEPTABLE);
        }
        event_response(idle_stream(self.stopped.clone(), ended))
    }

    fn single(&self, body: &Value, headers: &HeaderMap) -> DemoAnswer {
        let message = match DemoMessage::read(body) {
            Ok(Some(message)) => message,
            Ok(None) => return empty(StatusCode::ACCEPTED),
            Err(error) => return refusal(&error, None),
        };
        let Some(id) = &message.id else { return empty(StatusCode::ACCEPTED) };
        match Count::of(&message) {
            Some(Ok(_)) if !accepts_events(headers) => return empty(StatusCode::NOT_ACCEPTABLE),
            Some(Ok(count)) => return event_response(count.stream(&message, |result| result)),
            Some(Err(result)) => return json_response(StatusCode::OK, &success(id, result)),
            None => {}
        }
        json_response(StatusCode::OK, &self.legacy_reply(&message, id, headers))
    }

    fn legacy_reply(&self, message: &DemoMessage, id: &Value, headers: &HeaderMap) -> Value {
        let result = match message.method.as_str() {
            "ping" => Some(Ok(json!({}))),
            _ => features::answer(message, headers, &self.notes),
        };
        match result {
            Some(Ok(result)) => success(id, result),
            Some(Err(error)) => error.to_json(Some(id)),
            None => RpcError::new(-32601, "method not found").to_json(Some(id)),
        }
    }

    fn batch(&self, batch: &[Value], headers: &HeaderMap) -> DemoAnswer {
        let mut replies = Vec::new();
        for member in batch {
            match DemoMessage::read(member) {
                Ok(Some(message)) => {
                    let Some(id) = &message.id else { continue };
                    replies.push(match Count::of(&message) {
                        Some(_) => {
                            RpcError::new(-32602, "count streams: call it alone, not in a batch").to_json(Some(id))
                        }
                        None => self.legacy_reply(&message, id, headers),
                    });
                }
                Ok(None) => {}
                Err(error) => replies.push(error.to_json(member.get("id"))),
            }
        }
        if replies.is_empty() {
            empty(StatusCode::ACCEPTED)
        } else {
            json_response(StatusCode::OK, &Value::Array(replies))
        }
    }
}
