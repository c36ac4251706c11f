//! The allocation budget of a warm request, and how often it asks the clock. A failure means that the data path has a
//! new copy, box or reading, which would otherwise only show in a benchmark.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[cfg(test)]
#[path = "support/costs.rs"]
mod costs;
#[path = "support/own_thread.rs"]
mod own_thread;
#[path = "support/records.rs"]
mod records;
#[path = "support/serve_proxy.rs"]
mod serve_proxy;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use costs::Costs;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcpgate::clock::{Clock, SystemClock};
use mcpgate::config::{Config, Overrides};
use mcpgate::oauth::{AccessToken, Grant, Lifetime, ScopeSet, ScopeToken, Timestamp};
use mcpgate::policy::{Pattern, Rules, ScopeRule};
use mcpgate::proxy::{Proxy, RouteTable, Sessions};
use mcpgate::store::memory::MemoryStore;
use mcpgate::telemetry::Metrics;
use mcpgate::token_cache::TokenCache;
use own_thread::serve_on_own_thread;
use serve_proxy::serve_proxy;
use tokio::net::TcpListener;

/// Allocations of one warm request beyond those of hyper's server and client, which a ten-line forwarder makes as well.
/// The largest share is the check of the message, then the identifiers that are sent upstream with it, of which two are
/// new for each request: its id, and the trace that begins with it. One is the wait for the answer, which may have to
/// outlive the head that its client gets (docs/decisions/0017).
const BUDGET: f64 = 8.5;

/// All allocations of one warm request while eight connections have one request each in progress.
const BUDGET_OF_EIGHT: f64 = 18.0;

/// The tolerance of the recorded counts in percent: less than one allocation.
const TOLERANCE: f64 = 3.0;

const WARM_UP: usize = 100;
const REQUESTS: usize = 500;

#[test]
fn a_warm_request_keeps_to_its_budget() {
    let upstream = start_upstream();
    let gateway = Gateway::new(upstream);
    let asked = gateway.request();
    let through_gateway = measure(&asked, 1, move |listener| gateway.listen(listener));
    let through_ten_lines = measure(&asked, 1, move |listener| forward(listener, upstream));
    let difference = through_gateway - through_ten_lines;
    println!("a request: {through_gateway} allocations, of them hyper's {through_ten_lines}");
    assert!(difference <= BUDGET, "{difference} allocations, {BUDGET} are allowed");
    let mut costs = Costs::new("test", "allocations", &[]);
    costs.add("allocations_of_a_request", through_gateway, TOLERANCE);
    costs.check();
}

#[test]
fn a_warm_request_of_eight_at_once_keeps_to_its_budget() {
    let gateway = Gateway::new(start_upstream());
    let asked = gateway.request();
    let through_gateway = measure(&asked, 8, move |listener| gateway.listen(listener));
    println!("a request of eight at once: {through_gateway} allocations");
    assert!(through_gateway <= BUDGET_OF_EIGHT, "{through_gateway} allocations, {BUDGET_OF_EIGHT} are allowed");
    let mut costs = Costs::new("test", "allocations_of_eight", &[]);
    costs.add("allocations_of_a_request_of_eight_at_once", through_gateway, TOLERANCE);
    costs.check();
}

#[test]
fn a_warm_request_asks_the_clock_once() {
    let gateway = Gateway::new(start_upstream());
    let (asked, clock) = (gateway.request(), Arc::clone(&gateway.clock));
    let before = clock.asked.load(Relaxed);
    measure(&asked, 1, move |listener| gateway.listen(listener));
    assert_eq!(clock.asked.load(Relaxed) - before, WARM_UP + REQUESTS);
}

#[test]
fn what_scopes_allow_is_judged_without_an_allocation() {
    let upstream = start_upstream();
    let scope = |n: usize| ScopeRule {
        name: ScopeToken::parse(&if n == 0 { "use".to_owned() } else { format!("s{n}") }).unwrap(),
        sensitive: false,
        allow: ["tools/list", "tools/call:ec*o", "tools/call:echo"].map(|text| Pattern::of_mcp(text).unwrap()).into(),
        includes: Vec::new(),
    };
    let rules = Arc::new(Rules::compile(&(0..20).map(scope).collect::<Vec<_>>()));
    let (plain, mapped) = (Gateway::new(upstream), Gateway::with(upstream, Some(rules)));
    let (asked, asked_mapped) = (plain.request(), mapped.request());
    let without = measure(&asked, 1, move |listener| plain.listen(listener));
    let with = measure(&asked_mapped, 1, move |listener| mapped.listen(listener));
    assert!((with - without).abs() < 0.1, "{with} allocations with a map, {without} without");
}

/// Returns how often a request allocates on the thread that serves it, with one request in progress on each connection.
fn measure<F>(asked: &[u8], connections: usize, serve: impl FnOnce(TcpListener) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (done, mut is_done) = tokio::sync::mpsc::channel(1);
    let (go, may_go) = std::sync::mpsc::channel();
    let asked = asked.to_vec();
    let client = std::thread::spawn(move || {
        let mut streams: Vec<_> = (0..connections).map(|_| TcpStream::connect(address).unwrap()).collect();
        for count in [WARM_UP, REQUESTS] {
            may_go.recv().unwrap();
            for _ in 0..count {
                streams.iter_mut().for_each(|stream| stream.write_all(&asked).unwrap());
                streams.iter_mut().for_each(take_answer);
            }
            done.blocking_send(()).unwrap();
        }
    });
    runtime.spawn(serve(listener));
    let mut a_round = || {
        go.send(()).unwrap();
        runtime.block_on(is_done.recv()).unwrap();
    };
    a_round();
    let allocated = allocation_counter::measure(a_round);
    client.join().unwrap();
    let requests = u32::try_from(REQUESTS * connections).unwrap();
    f64::from(u32::try_from(allocated.count_total).unwrap()) / f64::from(requests)
}

fn take_answer(stream: &mut TcpStream) {
    let mut answer = [0; 4096];
    let mut have = 0;
    while !answer[..have].ends_with(b"}}") {
        let read = stream.read(&mut answer[have..]).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer[..have]));
        have += read;
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..have]));
}

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ok"}]}}"#;

/// An upstream whose allocations are not counted.
fn start_upstream() -> SocketAddr {
    serve_on_own_thread(|_| async {
        let answer = Response::builder().header("content-type", "application/json");
        Ok(answer.body(Full::new(Bytes::from_static(ANSWER.as_bytes()))).unwrap())
    })
}

/// A forwarder of ten lines over one connection.
async fn forward(listener: TcpListener, upstream: SocketAddr) {
    let stream = tokio::net::TcpStream::connect(upstream).await.unwrap();
    let (line, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let line = Arc::new(tokio::sync::Mutex::new(line));
    let service = service_fn(move |request: Request<Incoming>| {
        let line = Arc::clone(&line);
        async move { line.lock().await.send_request(request).await }
    });
    let (stream, _) = listener.accept().await.unwrap();
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// The system's clock; counts how often it is asked.
#[derive(Default)]
struct CountedClock {
    asked: AtomicUsize,
}

impl Clock for CountedClock {
    fn now(&self) -> Timestamp {
        self.asked.fetch_add(1, Relaxed);
        SystemClock.now()
    }
}

/// The proxy with one upstream and one token in memory.
struct Gateway {
    clock: Arc<CountedClock>,
    proxy: Arc<Proxy>,
    table: Arc<RouteTable>,
    config: Arc<Config>,
    token: String,
}

impl Gateway {
    fn new(upstream: SocketAddr) -> Self {
        Self::with(upstream, None)
    }

    /// A gateway whose upstream has this map.
    fn with(upstream: SocketAddr, rules: Option<Arc<Rules>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides {
            data_dir: Some(folder.path().to_owned()),
            upstream: Some(format!("http://{upstream}/mcp")),
            up: true,
            ..Overrides::default()
        };
        let mut config = Config::load(None, &overrides).unwrap();
        // The scopes of the tokens below are those of the map, if there is one.
        config.upstreams[0].required_scopes = ScopeSet::default();
        config.upstreams[0].rules = rules;
        config.rates.mcp_per_second = 1_000_000;
        config.rates.mcp_burst = 1_000_000;
        // Nothing follows the change log here, and a busy machine may be slow.
        config.max_stale = Lifetime::from_secs(3600);
        let counted = Arc::<CountedClock>::default();
        let clock: Arc<dyn Clock> = Arc::<CountedClock>::clone(&counted);
        let keys = Arc::new(records::keys());
        let cache = TokenCache::new(Arc::new(MemoryStore::new()), Arc::clone(&keys), Arc::clone(&clock), &config);
        let token = AccessToken::mint([1; 32], &keys);
        let main = &config.upstreams[0];
        let grant = Grant {
            resource: main.resource.clone(),
            scopes: records::scopes("use"),
            ..records::grant_of("ada", clock.now())
        };
        cache.insert(&records::token_of(&grant, token.hash()));
        let sessions = Arc::new(Sessions::new(&[9; 32], clock.now()));
        let metrics = Metrics::new(&["main".to_owned()]);
        Self {
            clock: counted,
            table: Arc::new(RouteTable::build(&config, Arc::clone(&clock)).unwrap()),
            proxy: Arc::new(Proxy::new(cache, clock, metrics.worker(), sessions)),
            config: Arc::new(config),
            token: token.reveal().to_owned(),
        }
    }

    fn request(&self) -> Vec<u8> {
        let body =
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"}}}"#;
        format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, \
             text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\nUser-Agent: test\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        )
        .into_bytes()
    }

    async fn listen(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            serve_proxy(stream, &self.proxy, &self.table, &self.config);
        }
    }
}
