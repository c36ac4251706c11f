//! Large messages with as many member names as fit: parsing them does not delay other requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::memory::Watched;
use crate::support::client::{Client, request};
use crate::support::gateway::{Gateway, Home};

/// Names in one message of 3.4 MB; slightly more would fit into 4 MiB.
const NAMES: usize = 350_000;
const MOST_NAMES: usize = 425_000;
/// Connections that send such messages one after the other.
const SENDERS: usize = 3;
/// The most CPU time that the flood may add to the 99th percentile of another user's calls.
const SLOWER: Duration = Duration::from_millis(20);
const CALLS: usize = 200;
/// The median wait of another user's calls is at most the duration of a large message divided by this. A call that has
/// to wait until a large message has been parsed waits for about a quarter of that duration.
const PART: u32 = 20;
/// The number of rounds, of which the best counts.
const ROUNDS: usize = 3;

/// An upstream that reads any body to its end, and then answers.
async fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut buffer, mut end) = (vec![0; 1 << 16], [0; 2]);
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    for byte in &buffer[..read] {
                        end = [end[1], *byte];
                    }
                    // A ping ends like this, and so does the large message.
                    if &end == b"}}" {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 36\r\n\r\n\
                                       {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";
                        stream.write_all(answer).await.expect("the gateway reads");
                    }
                }
            });
        }
    });
    format!("http://{address}/mcp")
}

fn message(names: usize) -> Bytes {
    let names: Vec<_> = (0..names).map(|name| format!("\"{name:x}\":0")).collect();
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{{}}}}}"#, names.join(",")).into()
}

fn token(home: &Home) -> String {
    let issued = home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    issued["access_token"].as_str().expect("a token").to_owned()
}

async fn send(client: &mut Client, token: &str, message: &Bytes) {
    let authorization = format!("Bearer {token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let reply = client.send(request(Method::POST, "/mcp", &headers, message.clone())).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// Returns the 99th percentile of the CPU time that the process spends, on all of its work, until a small call is
/// answered; it does not depend on the load of the machine. Also returns the median wait of the callers, which shows
/// waiting that takes no CPU time.
async fn p99_and_wait(gateway: &Gateway, token: &str) -> (Duration, Duration) {
    let ping = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}"#);
    let mut client = Client::new(&gateway.home);
    let (mut times, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        let (before, began) = (gateway.fine_cpu_time(), Instant::now());
        send(&mut client, token, &ping).await;
        waits.push(began.elapsed());
        times.push(gateway.fine_cpu_time().saturating_sub(before));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort_unstable();
    (times[CALLS * 99 / 100 - 1], median(waits))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ds_10_messages_with_many_names_hold_nobody_up() {
    let gateway = Arc::new(Home::new("", Some(upstream().await)).start().await);
    let token = token(&gateway.home);
    let large = message(NAMES);
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS {
        let (alone, _) = p99_and_wait(&gateway, &token).await;
        let over = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (gateway, token, large) = (Arc::clone(&gateway), token.clone(), large.clone());
                let over = Arc::clone(&over);
                tokio::spawn(async move {
                    let (mut client, mut took) = (Client::new(&gateway.home), Vec::new());
                    while !over.load(Relaxed) {
                        let began = Instant::now();
                        send(&mut client, &token, &large).await;
                        took.push(began.elapsed());
                    }
                    took
                })
            })
            .collect();
        let (beside, wait) = p99_and_wait(&gateway, &token).await;
        over.store(true, Relaxed);
        let mut took = Vec::new();
        for sender in senders {
            took.extend(sender.await.expect("a sender is answered"));
        }
        let (sent, message) = (took.len(), median(took));
        println!("p99 of CPU time {alone:?} alone, {beside:?} beside {sent} messages of {} bytes", large.len());
        println!("half of the calls beside them wait for {wait:?}, half of the messages take {message:?}");
        rounds.push((alone, beside, wait, message));
        if beside <= alone + SLOWER && wait * PART <= message {
            return;
        }
    }
    panic!("{rounds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_with_many_names_take_no_more_memory_than_their_bytes() {
    let gateway = Arc::new(Home::new("", Some(upstream().await)).start().await);
    let (token, large) = (token(&gateway.home), message(MOST_NAMES));
    assert!((4_000_000..4 << 20).contains(&large.len()), "{} bytes", large.len());
    let mut watched = Watched::begin(&gateway);
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (gateway, token, large) = (Arc::clone(&gateway), token.clone(), large.clone());
            tokio::spawn(async move { send(&mut Client::new(&gateway.home), &token, &large).await })
        })
        .collect();
    while !senders.iter().all(tokio::task::JoinHandle::is_finished) {
        watched.look();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for sender in senders {
        sender.await.expect("a sender is answered");
    }
    watched.expect_proportion(u64::try_from(SENDERS * large.len()).expect("a size"), "messages with many names");
}
