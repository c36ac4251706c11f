//! An upstream that records every request and answers any JSON-RPC call with a result, which is empty unless a test
//! wants another.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A request that arrived at the upstream server.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// The upstream; it runs on its own thread until the test binary exits.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::with(|_| serde_json::json!({}))
    }

    /// An upstream whose results depend on the method.
    pub(crate) fn with(result: impl Fn(&str) -> serde_json::Value + Clone + Send + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (tell, told) = std::sync::mpsc::channel();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("an address")).expect("the test waits");
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    let seen = Arc::clone(&shared);
                    let result = result.clone();
                    let service = service_fn(move |request| answer(request, Arc::clone(&seen), result.clone()));
                    // A killed gateway leaves broken connections; the upstream ignores them.
                    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                }
            });
        });
        let address = told.recv().expect("the upstream listens");
        Self { url: format!("http://{address}/mcp"), seen }
    }

    /// The requests with `marker` in the body or the target.
    pub(crate) fn seen(&self, marker: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no test panics while it holds the lock");
        seen.iter().filter(|one| one.body.contains(marker) || one.line.contains(marker)).cloned().collect()
    }
}

/// Returns whether this is the start of a gateway's probe connection.
pub(crate) fn is_trial(read: &[u8]) -> bool {
    const AGENT: &[u8] = b"user-agent: mcpgate/";
    read.is_empty() || read.windows(AGENT.len()).any(|part| part.eq_ignore_ascii_case(AGENT))
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
    result: impl Fn(&str) -> serde_json::Value,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    let asked: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let line = format!("{} {}", head.method, head.uri);
    seen.lock().expect("no test panics while it holds the lock").push(Seen { line, headers: head.headers, body: text });
    let result = result(asked["method"].as_str().unwrap_or_default());
    let answer = serde_json::json!({"jsonrpc": "2.0", "id": asked["id"], "result": result});
    let response = Response::builder().header("content-type", "application/json").body(Full::from(answer.to_string()));
    Ok(response.expect("a response"))
}
