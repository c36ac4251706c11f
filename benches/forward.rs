//! A request over loopback through the whole data path, and its answer: a small one, a large one, a stream of events.
//! Without TLS, whose cost is the same in every gateway.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench may stop at the first surprise, and criterion's macro documents nothing"
)]

#[path = "../tests/support/own_thread.rs"]
mod own_thread;
#[path = "../tests/support/serve_proxy.rs"]
mod serve_proxy;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use mcpgate::clock::{Clock, SystemClock};
use mcpgate::config::{Config, Overrides};
use mcpgate::oauth::{
    AccessToken, AccessTokenRecord, AccountId, AddressRanges, Brand, ClientId, ClientOrigin, Exclusions, GrantId,
    GroupSet, Lifetime, ScopeSet, Subject, TenantId, TokenKeys,
};
use mcpgate::proxy::{Proxy, RouteTable, Sessions};
use mcpgate::store::memory::MemoryStore;
use mcpgate::telemetry::Metrics;
use mcpgate::token_cache::TokenCache;
use own_thread::{listen_on_own_thread, serve_on_own_thread};
use serve_proxy::serve_proxy;

/// The number of events in one stream.
const EVENTS: usize = 100;

/// The answer of the upstream: the number of frames, and the bytes in each.
struct Frames(usize, Bytes);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(self.1.clone()))))
    }
}

fn answer(request: &Request<Incoming>) -> Response<Frames> {
    let (content_type, frames, data) = match request.uri().query() {
        Some("large") => ("application/json", 1, Bytes::from(vec![b'x'; 16 * 1024])),
        Some("events") => ("text/event-stream", EVENTS, Bytes::from(format!("data: {}\n\n", "x".repeat(240)))),
        _ => ("application/json", 1, Bytes::from(vec![b'x'; 300])),
    };
    Response::builder().header("content-type", content_type).body(Frames(frames, data)).unwrap()
}

/// Starts the gateway; returns its address and a valid token.
fn start_gateway(upstream: SocketAddr) -> (SocketAddr, String) {
    let folder = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        data_dir: Some(folder.path().to_owned()),
        upstream: Some(format!("http://{upstream}/mcp")),
        up: true,
        ..Overrides::default()
    };
    let mut config = Config::load(None, &overrides).unwrap();
    config.max_stale = Lifetime::from_secs(86_400);
    config.rates.mcp_per_second = 10_000_000;
    config.rates.mcp_burst = 10_000_000;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keys = Arc::new(TokenKeys::new(vec![(1, [7; 32])], Brand::parse("mcp").unwrap()).unwrap());
    let cache = TokenCache::new(Arc::new(MemoryStore::new()), Arc::clone(&keys), Arc::clone(&clock), &config);
    let token = AccessToken::mint([1; 32], &keys);
    cache.insert(&AccessTokenRecord {
        hash: token.hash(),
        tenant: TenantId::default(),
        grant: GrantId([1; 16]),
        client: ClientId::parse("mcp_client_a").unwrap(),
        client_origin: ClientOrigin::Registered,
        client_limit: None,
        subject: Subject::Person(AccountId::parse("ada").unwrap()),
        user: "ada".into(),
        groups: GroupSet::default(),
        resource: config.upstreams[0].resource.clone(),
        scopes: config.upstreams[0].required_scopes.union(&ScopeSet::parse("use").unwrap()),
        exclusions: Exclusions::default(),
        consented_at: clock.now(),
        acting: false,
        addresses: AddressRanges::default(),
        generation: 0,
        reports_use: false,
        issued_at: clock.now(),
        expires_at: clock.now().plus(Lifetime::from_secs(86_400)),
    });
    let table = Arc::new(RouteTable::build(&config, Arc::clone(&clock)).unwrap());
    let config = Arc::new(config);
    let address = listen_on_own_thread(move |listener| async move {
        let metrics = Metrics::new(&["main".to_owned()]);
        let sessions = Arc::new(Sessions::new(&[9; 32], clock.now()));
        let proxy = Arc::new(Proxy::new(cache, clock, metrics.worker(), sessions));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            serve_proxy(stream, &proxy, &table, &config);
        }
    });
    (address, token.reveal().to_owned())
}

fn request(target: &str, token: &str) -> Vec<u8> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"}}}"#;
    format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\
         \r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends a request and reads until this many bytes of content (`x`) have arrived.
fn ask(stream: &mut TcpStream, asked: &[u8], content: usize) {
    stream.write_all(asked).unwrap();
    let mut buffer = [0; 64 * 1024];
    let mut have = 0;
    while have < content {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0);
        let here = &buffer[..read];
        // The letter `x` can also occur in the head, and the end of the previous answer may precede the head.
        let body = match here.windows(8).position(|w| w == b"HTTP/1.1") {
            Some(head) => {
                assert!(here[head..].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(here));
                let end = here[head..].windows(4).position(|w| w == b"\r\n\r\n").expect("the head in one piece");
                &here[head + end..]
            }
            None => here,
        };
        have += body.iter().filter(|b| **b == b'x').count();
    }
}

fn forward(c: &mut Criterion) {
    let upstream = serve_on_own_thread(|request| async move { Ok(answer(&request)) });
    let (gateway, token) = start_gateway(upstream);
    let mut group = c.benchmark_group("forward");
    for (name, content) in [("small", 300), ("large", 16 * 1024), ("events", EVENTS * 240)] {
        for (way, address) in [("direct", upstream), ("gateway", gateway)] {
            let asked = request(&format!("/mcp?{name}"), &token);
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            group.bench_function(format!("{name}/{way}"), |b| {
                b.iter_custom(|rounds| {
                    let begun = Instant::now();
                    (0..rounds).for_each(|_| ask(&mut stream, &asked, content));
                    begun.elapsed()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
