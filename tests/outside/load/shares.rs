//! The share of an upstream that one user may take over all clients: slow calls and stalled uploads leave capacity for
//! everyone else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{FLOOD, PROMPT};
use crate::login::new_user;
use crate::shared::CALLBACK;
use crate::support::application::{Application, Authorized, Tokens, parameter, random};
use crate::support::client::{Client, ask_operator, request};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::Browser;
use crate::support::password::PASSWORD;

/// The upstream's capacity per worker; there is one worker.
const PLACES: usize = 64;
/// Clients of the greedy user, and the concurrent calls and uploads of each.
const CLIENTS: usize = 3;
const CALLS: usize = 40;
const UPLOADS: usize = 8;

/// Larger than the limit for a small message, in bytes.
const LARGE: usize = 1_500_000;

/// An upstream that never answers a call of the tool `slow`, and answers everything else at once; returns its URL.
async fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|n| n > 0) {
                    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
                        continue;
                    };
                    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
                    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
                    if read.len() < end + length {
                        continue;
                    }
                    if read.windows(6).any(|six| six == b"\"slow\"") {
                        return std::future::pending().await;
                    }
                    read.drain(..end + length);
                    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 36\r\n\r\n";
                    if stream.write_all(format!("{head}{answer}").as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn message(tool: &str, argument: usize) -> String {
    let text = "x".repeat(argument);
    let params = serde_json::json!({"name": tool, "arguments": {"text": text}});
    serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

/// A token of this user for a client of its own.
async fn token(gateway: &Gateway, user: &str) -> String {
    let application = Application::register(&gateway.home, CALLBACK).await;
    let (mut browser, verifier) = (Browser::new(&gateway.home), random());
    let page = browser.open(&application.request(&verifier, &[])).await;
    let page = browser.log_in(&page, user, PASSWORD).await;
    let code = parameter(&browser.decide(&page, "approve").await, "code");
    let authorized = Authorized { code, verifier };
    Tokens::from(&application.redeem(&mut Client::new(&gateway.home), &authorized).await).access
}

/// Sends a request with this much of its body on its own connection, which stays open until the task ends.
async fn send(gateway: &Gateway, token: &str, body: &str, part: usize) {
    let mut stream = Client::new(&gateway.home).raw().await.expect("a connection");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n",
        gateway.home.public.port(),
        body.len()
    );
    // A refusal may come before the whole body is written.
    let _refused = stream.write_all(&[head.as_bytes(), &body.as_bytes()[..part]].concat()).await;
    let _answer = stream.read_to_end(&mut Vec::new()).await;
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_persons_slow_calls_and_stopped_uploads_leave_an_upstream_to_the_others() {
    let config = format!(
        "[[upstream]]\nname = \"slow\"\npath = \"/mcp\"\nurl = \"{}\"\nmax_connections = {PLACES}\n",
        upstream().await
    );
    let gateway = Arc::new(Home::new(&config, None).start().await);
    let (greedy, other) = (new_user(&gateway.home, "greedy"), new_user(&gateway.home, "other"));
    let others = token(&gateway, &other).await;
    let mut held = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let token: Arc<str> = token(&gateway, &greedy).await.into();
        for number in 0..CALLS + UPLOADS {
            let (gateway, token) = (Arc::clone(&gateway), Arc::clone(&token));
            held.spawn(async move {
                let body = message("slow", if number < CALLS { 0 } else { LARGE });
                let part = if number < CALLS { body.len() } else { LARGE / 3 };
                send(&gateway, &token, &body, part).await;
            });
        }
    }

    let began = Instant::now();
    let mut client = Client::new(&gateway.home);
    let (mut slowest, mut asked) = (Duration::ZERO, 0);
    while began.elapsed() < FLOOD {
        for argument in [0, LARGE] {
            let authorization = format!("Bearer {others}");
            let fields = [
                ("authorization", authorization.as_str()),
                ("content-type", "application/json"),
                ("accept", "application/json, text/event-stream"),
            ];
            let call = request(hyper::Method::POST, "/mcp", &fields, message("quick", argument));
            let at = Instant::now();
            let reply = client.send(call).await;
            assert_eq!(reply.status, 200, "after {:?}: {reply:?}", began.elapsed());
            slowest = slowest.max(at.elapsed());
            asked += 1;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{asked} calls beside {} that were held; {slowest:?} at most", held.len());
    assert!(slowest < PROMPT, "another user waited {slowest:?}");
    let metrics = ask_operator(gateway.home.operator, "/metrics", &[]).await.expect("metrics").text();
    let refused = metrics.lines().any(|line| line.starts_with("mcpgate_") && line.contains("\"429\""));
    assert!(refused, "the greedy user was never refused:\n{metrics}");
}
