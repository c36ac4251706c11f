//! An upstream whose answers are ready made, on a thread of its own.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::map_of_twenty::list;
use crate::own_thread::serve_on_own_thread;

/// An event of about 200 bytes.
const EVENT: &str = concat!(
    "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"text\":\"",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}\n\n"
);

/// What a message asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask {
    /// An answer of so many bytes, after a pause.
    Bytes(usize, Duration),
    /// An answer of so many bytes, when all requests of the round have come.
    Together(usize, Round),
    /// An event stream that ends after so many events, all sent at once.
    Events(usize),
    /// A list of tools, when all requests of the round have come.
    Tools(Round),
}

/// Requests that are answered at once. The gateway stands still while they are sent, and again while the answers are:
/// otherwise it would depend on the machine how many it finds ready when it looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) requests: usize,
    pub(crate) gateway: Pid,
}

impl Round {
    /// Lets the gateway stand still for as long as the messages of a round take.
    pub(crate) fn stand_still(self) {
        kill_process(self.gateway, Signal::STOP).unwrap();
        let messages = u32::try_from(self.requests).unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20) + Duration::from_micros(200) * messages).await;
            // A test that failed meanwhile has killed it.
            let _gone = kill_process(self.gateway, Signal::CONT);
        });
    }

    /// Waits for the other requests.
    async fn wait(self) {
        static COME: AtomicUsize = AtomicUsize::new(0);
        static ALL: Notify = Notify::const_new();
        let mut all = pin!(ALL.notified());
        all.as_mut().enable();
        if COME.fetch_add(1, SeqCst) + 1 == self.requests {
            COME.store(0, SeqCst);
            self.stand_still();
            ALL.notify_waiters();
        }
        all.await;
    }
}

impl Ask {
    /// A message of some 200 bytes that asks for it.
    pub(crate) fn message(self) -> String {
        let round = |bytes, Round { requests, gateway }: Round| json!({"bytes": bytes, "requests": requests, "gateway": gateway.as_raw_nonzero()});
        let arguments = match self {
            Self::Bytes(bytes, pause) => json!({"bytes": bytes, "pause": pause.as_millis()}),
            Self::Together(bytes, all) => round(bytes, all),
            Self::Events(events) => json!({"events": events}),
            Self::Tools(all) => {
                let params = json!({"arguments": round(0, all)});
                return json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}).to_string();
            }
        };
        let params = json!({"name": "answer", "arguments": arguments, "text": "a".repeat(60)});
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
    }

    /// Checks that an answer is complete.
    pub(crate) fn expect_answer(self, body: &[u8]) {
        let expected = match self {
            Self::Bytes(bytes, _) | Self::Together(bytes, _) => bytes,
            Self::Events(events) => events * EVENT.len(),
            Self::Tools(_) => return assert!(tools(body) > 0, "{}", String::from_utf8_lossy(body)),
        };
        assert_eq!(body.len(), expected, "{}", String::from_utf8_lossy(body));
    }
}

/// Returns how many tools an answer lists.
pub(crate) fn tools(answer: &[u8]) -> usize {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer["result"]["tools"].as_array().map_or(0, Vec::len)
}

/// Starts it; returns its URL.
pub(crate) fn start_upstream() -> String {
    format!("http://{}/mcp", serve_on_own_thread(answer))
}

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    // A gateway that goes away breaks off its requests.
    let message = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if head.method == Method::GET {
        return Ok(events(stream::iter([": open\n\n"]).chain(stream::pending())));
    }
    let message: Value = serde_json::from_slice(&message).unwrap_or_default();
    let wished = |name: &str| message["params"]["arguments"][name].as_u64().unwrap_or_default();
    let count = |name: &str| usize::try_from(wished(name)).unwrap();
    if count("events") > 0 {
        return Ok(events(stream::iter(std::iter::repeat_n(EVENT, count("events")))));
    }
    if let Some(gateway) = i32::try_from(wished("gateway")).ok().and_then(Pid::from_raw) {
        Round { requests: count("requests"), gateway }.wait().await;
    }
    if count("pause") > 0 {
        tokio::time::sleep(Duration::from_millis(wished("pause"))).await;
    }
    let (begin, end) = (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":""#, r#""}]}}"#);
    let text = "a".repeat(count("bytes").saturating_sub(begin.len() + end.len()));
    let is_list = message["method"] == "tools/list";
    let body = Full::from(if is_list { list() } else { [begin, &text, end].concat() });
    Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(body.boxed()).unwrap())
}

fn events(
    events: impl futures_util::Stream<Item = &'static str> + Send + Sync + 'static,
) -> Response<BoxBody<Bytes, Infallible>> {
    let body = StreamBody::new(events.map(|event| Ok(Frame::data(Bytes::from_static(event.as_bytes())))));
    Response::builder().header(CONTENT_TYPE, "text/event-stream").body(BoxBody::new(body)).unwrap()
}
