//! The tool `count` and the standalone stream: slow event streams. A count continues until its client disconnects; the
//! standalone stream also ends with the server.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::features::tool_error;
use super::message::{DemoMessage, success};

const MAX_STEPS: u64 = 1000;
const MAX_DELAY_MS: u64 = 60_000;

/// A response body of the demo: bytes at once, or events as they come.
pub(super) enum DemoBody {
    /// Bytes that are sent at once.
    Full(Option<Bytes>),
    /// Events as they are produced; dropping the receiver (the client disconnected) stops the producer.
    Events(mpsc::Receiver<Bytes>),
}

impl http_body::Body for DemoBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Events(events) => events.poll_recv(cx).map(|event| event.map(|b| Ok(Frame::data(b)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }
}

fn event(message: &Value) -> Bytes {
    format!("event: message\ndata: {message}\n\n").into()
}

/// How far and how slowly to count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    to: u64,
    delay: Duration,
}

impl Count {
    /// Reads the arguments of a call; `None` when the message does not call `count`, a tool error when they are
    /// invalid.
    pub(super) fn of(message: &DemoMessage) -> Option<Result<Self, Value>> {
        if message.method != "tools/call" || message.text("name") != Some("count") {
            return None;
        }
        let number = |key, absent: u64, max: u64| match message.params.get("arguments").and_then(|a| a.get(key)) {
            None => Some(absent),
            Some(value) => value.as_u64().filter(|n| *n <= max),
        };
        let read = number("to", 5, MAX_STEPS).filter(|to| *to > 0).zip(number("delay_ms", 500, MAX_DELAY_MS));
        Some(
            read.map(|(to, delay)| Self { to, delay: Duration::from_millis(delay) })
                .ok_or_else(|| tool_error("count takes to (1 to 1000) and delay_ms (0 to 60000)")),
        )
    }

    /// Starts counting; each step is an event, then the result made by `finish`.
    pub(super) fn stream(self, message: &DemoMessage, finish: impl Fn(Value) -> Value + Send + 'static) -> DemoBody {
        let (events, body) = mpsc::channel(4);
        let id = message.id.clone().unwrap_or_default();
        let token = message.meta("progressToken").cloned();
        tokio::spawn(async move {
            for step in 1..=self.to {
                tokio::select! {
                    () = tokio::time::sleep(self.delay) => {}
                    // The client has disconnected: stop counting.
                    () = events.closed() => return,
                }
                let Some(token) = &token else { continue };
                let progress = json!({
                    "jsonrpc": "2.0",
                    "method": "notifications/progress",
                    "params": { "progressToken": token, "progress": step, "total": self.to, "message": format!("{step} of {}", self.to) },
                });
                if events.send(event(&progress)).await.is_err() {
                    return;
                }
            }
            let result =
                json!({ "content": [{ "type": "text", "text": format!("counted to {}", self.to) }], "isError": false });
            if events.send(event(&success(&id, finish(result)))).await.is_err() {
                tracing::debug!("nobody waited for the end of the count");
            }
        });
        DemoBody::Events(body)
    }
}

/// Makes a standalone stream, which sends only comments and ends with the server or its session.
pub(super) fn idle_stream(mut stopped: watch::Receiver<bool>, mut ended: watch::Receiver<bool>) -> DemoBody {
    let (events, body) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            if events.send(Bytes::from_static(b": the demo has nothing to say\n\n")).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(15)) => {}
                () = events.closed() => return,
                _ = stopped.wait_for(|stop| *stop) => return,
                _ = ended.wait_for(|end| *end) => return,
            }
        }
    });
    DemoBody::Events(body)
}

/// A response with a JSON body.
pub(super) fn json_response(status: StatusCode, body: &Value) -> http::Response<DemoBody> {
    let mut response = http::Response::new(DemoBody::Full(Some(body.to_string().into())));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

/// A response that is an event stream.
pub(super) fn event_response(body: DemoBody) -> http::Response<DemoBody> {
    let mut response = http::Response::new(body);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/event-stream"));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    response
}
