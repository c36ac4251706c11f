//! Access tokens for a program (client_credentials): what `/token` issues, and what the embedded store alone can
//! commit, in one run. As many requests wait at once in both; the load is a thread of this process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench may stop at the first surprise, and criterion's macro documents nothing"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use mcpgate::clock::{Clock as _, SystemClock};
use mcpgate::oauth::{AccountId, ClientOrigin, Grant, Subject};
use mcpgate::store::{Account, AuditEvent, ClientStore as _, EmbeddedStore, GrantStore as _, IssueFor, IssueToClient};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[allow(dead_code, reason = "it is shared with the tests")]
#[path = "../tests/support/mod.rs"]
mod support;

use support::client::Client;
use support::gateway::{Gateway, Home};
use support::records;
use support::upstream::Upstream;

const AT_ONCE: [u64; 2] = [64, 256];

/// Issues tokens to one client through the store, without HTTP.
struct Alone {
    store: EmbeddedStore,
    issued: AtomicU64,
}

impl Alone {
    async fn new(home: &Home) -> Self {
        let store = EmbeddedStore::open(&home.data().join("mcpgate.db"), None, SystemClock.now()).unwrap();
        let client = records::client("app", ClientOrigin::Manual);
        store.insert_client(client, 1000, records::row(AuditEvent::ClientAdded, SystemClock.now())).await.unwrap();
        Self { store, issued: AtomicU64::new(0) }
    }

    async fn issue(&self) {
        let now = SystemClock.now();
        let name = format!("alone {}", self.issued.fetch_add(1, Ordering::Relaxed));
        let subject = Subject::Service(AccountId::parse(records::client_id("app").as_str()).unwrap());
        let service = Account { subject: subject.clone(), password: None, ..records::account("app") };
        let grant = Grant { subject, ..records::grant_of(&name, now) };
        let access = records::new_token(&name);
        let audit = records::row(AuditEvent::ClientTokenIssued, now);
        let request =
            IssueToClient { subject: IssueFor::Service(service), grant, access, now, record_success: false, audit };
        self.store.issue_to_client(request).await.unwrap().unwrap();
    }
}

/// A running gateway with one client, and the bytes of its token request.
struct OverHttp {
    gateway: Gateway,
    request: Vec<u8>,
}

impl OverHttp {
    async fn new() -> Self {
        let gateway = Home::new("", Some(Upstream::start().url)).start().await;
        let words = ["client", "add", "--name", "Bench", "--grant", "client_credentials", "--confidential"];
        let words = [&words[..], &["--upstream", "mcp", "--scope", "mcp:use"]].concat();
        let added = gateway.home.command(&words);
        let [id, secret] = ["client_id", "client_secret"].map(|member| added[member].as_str().unwrap());
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = format!(
            "POST /token HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            gateway.home.public.port(),
            form.len(),
        );
        Self { request: request.into_bytes(), gateway }
    }

    /// Asks for `count` tokens, one after the other, on each of `connections`.
    async fn ask(&self, connections: &mut [impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin], count: u64) {
        join_all(connections.iter_mut().map(|connection| async move {
            let mut answer = vec![0; 4096];
            for _ in 0..count {
                connection.write_all(&self.request).await.unwrap();
                connection.flush().await.unwrap();
                let mut length = 0;
                // The answer is one JSON object.
                while !answer[..length].ends_with(b"}") {
                    let read = connection.read(&mut answer[length..]).await.unwrap();
                    assert!(read > 0, "{}", String::from_utf8_lossy(&answer[..length]));
                    length += read;
                }
                assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
            }
        }))
        .await;
    }
}

fn token(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let over_http = runtime.block_on(OverHttp::new());
    let stopped = runtime.block_on(Home::new("", Some(Upstream::start().url)).start()).kill();
    let alone = Arc::new(runtime.block_on(Alone::new(&stopped)));
    let mut group = c.benchmark_group("tokens_for_a_program");
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    for at_once in AT_ONCE {
        group.throughput(Throughput::Elements(at_once));
        group.bench_function(BenchmarkId::new("store_alone", at_once), |b| {
            b.iter_custom(|rounds| {
                runtime.block_on(async {
                    let begun = Instant::now();
                    join_all((0..at_once).map(|_| async {
                        for _ in 0..rounds {
                            alone.issue().await;
                        }
                    }))
                    .await;
                    begun.elapsed()
                })
            });
        });
        let client = Client::new(&over_http.gateway.home);
        let mut connections: Vec<_> = runtime
            .block_on(join_all((0..at_once).map(|_| client.raw())))
            .into_iter()
            .map(|connection| connection.unwrap())
            .collect();
        group.bench_function(BenchmarkId::new("over_http", at_once), |b| {
            b.iter_custom(|rounds| {
                let begun = Instant::now();
                runtime.block_on(over_http.ask(&mut connections, rounds));
                begun.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, token);
criterion_main!(benches);
