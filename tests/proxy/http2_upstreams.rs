//! UP: HTTP/2 upstreams that allow few streams, refuse some, stall, or send unsolicited frames. A fault costs only the
//! callers on that connection; later requests use another one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection, SendResponse};
use http::Response;
use mcpgate::config::Config;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

use super::client::{Client, RawRequest, Reply};
use super::log::Log;
use super::secure::tls_for_localhost;
use super::upstream::soon;
use super::world::{API, MCP, PING, World};

pub(super) type Line = Connection<TlsStream<TcpStream>, Bytes>;

/// A server whose connections are served by `serve`, which gets the number of each.
pub(super) struct Server {
    address: SocketAddr,
    ca: PathBuf,
    /// The number of the connection of each request.
    pub(super) seen: watch::Receiver<Vec<usize>>,
    _folder: tempfile::TempDir,
}

#[derive(Clone)]
pub(super) struct Seen(watch::Sender<Vec<usize>>);

impl Seen {
    pub(super) fn add(&self, connection: usize) {
        self.0.send_modify(|seen| seen.push(connection));
    }
}

pub(super) async fn start<F>(builder: Builder, serve: impl Fn(Line, usize, Seen) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let (acceptor, ca, folder) = tls_for_localhost(&[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, seen) = watch::channel(Vec::new());
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let Ok(line) = builder.handshake(stream).await else { continue };
            tokio::spawn(serve(line, number, Seen(tell.clone())));
        }
    });
    Server { address, ca, seen, _folder: folder }
}

impl Server {
    async fn world(&self) -> World {
        self.world_with(|_| ()).await
    }

    pub(super) async fn world_with(&self, change: impl FnOnce(&mut Config)) -> World {
        let (url, ca) = (format!("https://localhost:{}/tls", self.address.port()), self.ca.clone());
        World::with(|config| {
            for upstream in &mut config.upstreams {
                upstream.url = url.parse().unwrap();
                upstream.ca_file = Some(ca.clone());
                // The time limit for the answer to a ping.
                upstream.connect_timeout = Duration::from_millis(300);
                upstream.call_timeout = Duration::from_secs(2);
            }
            change(config);
        })
        .await
    }

    pub(super) async fn wait_for(&mut self, count: usize) -> Vec<usize> {
        soon(self.seen.wait_for(|seen| seen.len() >= count)).await.unwrap().clone()
    }
}

pub(super) fn respond(send: &mut SendResponse<Bytes>, body: &'static str) {
    let head = Response::builder().header("content-type", "application/json").body(()).unwrap();
    if let Ok(mut stream) = send.send_response(head, false) {
        drop(stream.send_data(Bytes::from_static(body.as_bytes()), true));
    }
}

pub(super) const ANSWER: &str = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;

/// Answers every request, except those with the query `hold`, which stay open.
async fn answer_or_hold(mut line: Line, number: usize, seen: Seen) {
    let mut held = Vec::new();
    while let Some(Ok((request, mut send))) = line.accept().await {
        seen.add(number);
        if request.uri().query() == Some("hold") { held.push((request, send)) } else { respond(&mut send, ANSWER) }
    }
}

pub(super) fn ask(query: &str, token: &str) -> RawRequest {
    RawRequest::new("POST", &format!("/mcp{query}")).field("Content-Type", "application/json").body(PING).bearer(token)
}

fn call(token: &str) -> RawRequest {
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay"}}"#;
    RawRequest::post(call).bearer(token)
}

pub(super) async fn hold(world: &World, token: &str) -> Client {
    let mut client = world.connect().await;
    client.send(&ask("?hold", token).bytes()).await;
    client
}

pub(super) fn assert_good(reply: &Reply) {
    assert_eq!((reply.status, &reply.json()["id"]), (200, &json!(7)), "{reply:?}");
}

#[tokio::test]
async fn calls_beyond_the_streams_that_an_upstream_allows_go_over_another_connection() {
    for limit in [1, 2] {
        let mut builder = Builder::new();
        builder.max_concurrent_streams(limit);
        let mut server = start(builder, answer_or_hold).await;
        // A busy machine may take long over twenty handshakes, and this test is not about time.
        let patient = |config: &mut Config| {
            config.upstreams.iter_mut().for_each(|upstream| {
                upstream.connect_timeout = Duration::from_secs(30);
                upstream.call_timeout = Duration::from_secs(60);
            });
        };
        let world = server.world_with(patient).await;
        let token = world.token(MCP).text;
        assert_good(&world.ask(&ask("", &token)).await);
        let mut held = Vec::new();
        for n in 1..=5 {
            held.push(hold(&world, &token).await);
            server.wait_for(n + 1).await;
        }
        assert_good(&world.ask(&call(&token)).await);
        let seen = server.wait_for(7).await;
        for (connection, most) in [(0, usize::try_from(limit).unwrap() + 1), (1, usize::try_from(limit).unwrap())] {
            assert!(seen.iter().filter(|n| **n == connection).count() <= most, "{seen:?}");
        }
        // The same for requests that come at once.
        let many = futures_util::future::join_all((0..20).map(|_| world.connect())).await;
        let asked = many.into_iter().map(|mut client| {
            let ask = call(&token);
            async move { client.ask(&ask).await }
        });
        futures_util::future::join_all(asked).await.iter().for_each(assert_good);
    }
}

#[tokio::test]
async fn a_late_answer_of_an_http_2_upstream_comes_as_an_event_too() {
    let late = |mut line: Line, number: usize, seen: Seen| async move {
        while let Some(Ok((_, mut send))) = line.accept().await {
            seen.add(number);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                respond(&mut send, ANSWER);
            });
        }
    };
    let mut server = start(Builder::new(), late).await;
    let world = server.world_with(|config| config.timeouts.sse_keep_alive = Duration::from_millis(40)).await;
    let token = world.token(MCP).text;
    let ask = call(&token).field("Accept", "application/json, text/event-stream");
    for n in 1..=2 {
        let reply = world.ask(&ask).await;
        let event = format!("event: message\ndata: {ANSWER}\n\n");
        assert!(reply.complete && reply.text().ends_with(&event), "{reply:?}");
        assert_eq!(server.wait_for(n).await, vec![0; n], "its connection is still used");
    }
}

#[tokio::test]
async fn an_upstream_that_allows_no_stream_at_all_is_too_slow_and_no_more() {
    let mut builder = Builder::new();
    builder.max_concurrent_streams(0);
    let server = start(builder, answer_or_hold).await;
    let world = server.world().await;
    let token = world.token(MCP).text;
    let reply = world.ask(&call(&token)).await;
    assert!(matches!(reply.status, 502 | 504), "{reply:?}");
}

#[tokio::test]
async fn up_13_what_an_upstream_says_it_has_not_looked_at_is_sent_once_more_whatever_it_is() {
    let refuse = |mut line: Line, number: usize, seen: Seen| async move {
        while let Some(Ok((_, mut send))) = line.accept().await {
            seen.add(number);
            if number == 0 { send.send_reset(Reason::REFUSED_STREAM) } else { respond(&mut send, ANSWER) }
        }
    };
    let server = start(Builder::new(), refuse).await;
    let world = server.world().await;
    let token = world.token(MCP).text;
    assert_good(&world.ask(&call(&token)).await);
    assert_eq!(*server.seen.borrow(), [0, 1]);

    // An upstream that refuses every stream gets one retry and no more.
    let always = |mut line: Line, number: usize, seen: Seen| async move {
        while let Some(Ok((_, mut send))) = line.accept().await {
            seen.add(number);
            send.send_reset(Reason::REFUSED_STREAM);
        }
    };
    let server = start(Builder::new(), always).await;
    let world = server.world().await;
    let token = world.token(MCP).text;
    world.ask(&call(&token)).await.assert_rpc(502, -32603, json!(7));
    assert_eq!(*server.seen.borrow(), [0, 1]);

    // Any other reset may come after the upstream has acted.
    let fail = |mut line: Line, number: usize, seen: Seen| async move {
        while let Some(Ok((_, mut send))) = line.accept().await {
            seen.add(number);
            send.send_reset(Reason::INTERNAL_ERROR);
        }
    };
    let server = start(Builder::new(), fail).await;
    let world = server.world().await;
    let token = world.token(MCP).text;
    for asked in [call(&token), ask("", &token)] {
        world.ask(&asked).await.assert_rpc(502, -32603, json!(7));
    }
    assert_eq!(*server.seen.borrow(), [0, 0], "the connection is still used");
}

#[tokio::test]
async fn up_13_a_shared_connection_that_ends_takes_a_call_along_and_lets_a_read_go_on() {
    // The first connection answers once, and ends at the next request.
    let ends = |mut line: Line, number: usize, seen: Seen| async move {
        let mut answered = 0;
        while let Some(Ok((_, mut send))) = line.accept().await {
            seen.add(number);
            if number == 0 && answered > 0 {
                return;
            }
            answered += 1;
            respond(&mut send, ANSWER);
        }
    };
    for (read, status, connections) in [(true, 200, vec![0, 0, 1]), (false, 502, vec![0, 0])] {
        let server = start(Builder::new(), ends).await;
        let world = server.world().await;
        let token = world.token(MCP).text;
        assert_good(&world.ask(&ask("", &token)).await);
        let second = if read { ask("", &token) } else { call(&token) };
        assert_eq!(world.ask(&second).await.status, status);
        assert_eq!(*server.seen.borrow(), connections);
    }
}

#[tokio::test]
async fn up_13_a_goaway_costs_nobody_anything() {
    let leave = |mut line: Line, number: usize, seen: Seen| async move {
        while let Some(Ok((request, mut send))) = line.accept().await {
            seen.add(number);
            if request.uri().query() == Some("hold") {
                line.graceful_shutdown();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    respond(&mut send, ANSWER);
                });
            } else {
                respond(&mut send, ANSWER);
            }
        }
    };
    let mut server = start(Builder::new(), leave).await;
    let world = server.world().await;
    let token = world.token(MCP).text;
    let mut first = hold(&world, &token).await;
    server.wait_for(1).await;
    for _ in 0..10 {
        assert_good(&world.ask(&call(&token)).await);
    }
    assert_good(&first.reply().await);
}

/// Serves for a while, then neither reads nor writes.
async fn freeze_on_hold(mut line: Line, number: usize, seen: Seen) {
    while let Some(Ok((request, mut send))) = line.accept().await {
        seen.add(number);
        if request.uri().query() == Some("hold") {
            std::future::pending::<()>().await;
        }
        respond(&mut send, ANSWER);
    }
}

#[tokio::test]
async fn a_connection_that_has_gone_quiet_gets_no_new_calls() {
    let mut server = start(Builder::new(), freeze_on_hold).await;
    let world = server.world().await;
    let token = world.token(MCP).text;
    assert_good(&world.ask(&ask("", &token)).await);
    let mut stuck = hold(&world, &token).await;
    server.wait_for(2).await;
    // Twice the time limit for the answer to a ping.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_good(&world.ask(&call(&token)).await);
    assert_eq!(server.wait_for(3).await, [0, 0, 1]);
    let late = stuck.reply().await;
    assert!(matches!(late.status, 502 | 504), "{late:?}");
    assert_good(&world.ask(&call(&token)).await);
    assert_eq!(*server.seen.borrow(), [0, 0, 1, 1]);
}

#[tokio::test]
async fn a_connection_that_answers_pings_alone_gets_no_new_calls_after_one_has_waited_in_vain() {
    let mut server = start(Builder::new(), answer_or_hold).await;
    let world = server.world().await;
    let token = world.token(MCP).text;
    assert_good(&world.ask(&ask("", &token)).await);
    let mut waiting = hold(&world, &token).await;
    server.wait_for(2).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_good(&world.ask(&call(&token)).await);
    assert_eq!(*server.seen.borrow(), [0, 0, 0], "a slow tool does not end its connection");
    waiting.reply().await.assert_rpc(504, -32603, json!(7));
    assert_good(&world.ask(&call(&token)).await);
    assert_eq!(*server.seen.borrow(), [0, 0, 0, 1]);
}

#[tokio::test]
async fn a_call_of_which_nothing_is_let_through_goes_over_another_connection() {
    let serve = |mut line: Line, number: usize, seen: Seen| async move {
        while let Some(Ok((request, mut send))) = line.accept().await {
            seen.add(number);
            if number == 0 {
                drop(line.set_initial_window_size(0));
            }
            tokio::spawn(async move {
                let mut body = request.into_body();
                while let Some(Ok(_)) = body.data().await {}
                respond(&mut send, ANSWER);
            });
        }
    };
    let server = start(Builder::new(), serve).await;
    let world = server.world().await;
    let token = world.token(MCP).text;
    // The settings arrive at some time after the first answer.
    let mut seen = Vec::new();
    while seen.len() < 20 && !seen.ends_with(&[1, 1]) {
        assert_good(&world.ask(&call(&token)).await);
        seen.clone_from(&server.seen.borrow());
    }
    assert!(seen.ends_with(&[0, 1, 1]), "{seen:?}");
}

/// Reads every body and answers; of requests with the query `hold` it reads no byte.
async fn read_or_hold(mut line: Line, number: usize, seen: Seen) {
    let mut held = Vec::new();
    while let Some(Ok((request, mut send))) = line.accept().await {
        seen.add(number);
        if request.uri().query() == Some("hold") {
            held.push((request, send));
            continue;
        }
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(data)) = body.data().await {
                drop(body.flow_control().release_capacity(data.len()));
            }
            respond(&mut send, ANSWER);
        });
    }
}

#[tokio::test]
async fn a_call_that_takes_the_whole_window_of_a_connection_costs_others_a_moment_whatever_their_size() {
    let large = |size: usize, method: &str, target: &str, token: &str| {
        let arguments = "y".repeat(size);
        let body =
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "a", "arguments": arguments}});
        RawRequest::new(method, target).field("Content-Type", "application/json").body(body.to_string()).bearer(token)
    };
    let mut server = start(Builder::new(), read_or_hold).await;
    let world = server.world_with(|config| {
        config.upstreams.iter_mut().for_each(|upstream| upstream.call_timeout = Duration::from_secs(20));
    });
    let world = world.await;
    let (token, api) = (world.token(MCP).text, world.token(API).text);
    assert_good(&world.ask(&ask("", &token)).await);
    let mut stuck = world.connect().await;
    stuck.send(&large(200_000, "POST", "/mcp?hold", &token).bytes()).await;
    server.wait_for(2).await;
    for _ in 0..2 {
        assert_good(&world.ask(&large(70_000, "POST", "/mcp", &token)).await);
    }
    assert_eq!(*server.seen.borrow(), [0, 0, 0, 1, 1], "sent once more, because the upstream received none of it");

    // An upload cannot be sent twice, but the next one uses another connection.
    let upload = |size, target| large(size, "PUT", target, &api);
    assert_eq!(world.ask(&upload(1, "/api/a")).await.status, 200);
    let mut stuck = world.connect().await;
    stuck.send(&upload(200_000, "/api/a?hold").bytes()).await;
    server.wait_for(7).await;
    let mut waiting = world.connect().await;
    waiting.send(&upload(70_000, "/api/a").bytes()).await;
    server.wait_for(8).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(world.ask(&upload(70_000, "/api/a")).await.status, 200);
    assert_eq!(server.seen.borrow()[5..], [2, 2, 2, 3]);
}

#[tokio::test]
async fn the_log_says_the_whole_time_that_a_large_request_was_waited_for() {
    let server = start(Builder::new(), read_or_hold).await;
    let world = server.world_with(|config| config.timeouts.sse_keep_alive = Duration::from_millis(700)).await;
    let token = world.token(MCP).text;
    let log = Log::start();
    assert_good(&world.ask(&ask("", &token)).await);
    let params = json!({"name": "a", "arguments": "y".repeat(100_000)});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    for accepted in ["application/json", "application/json, text/event-stream"] {
        let large =
            RawRequest::new("POST", "/mcp?hold").field("Content-Type", "application/json").field("Accept", accepted);
        let large = large.body(body.to_string()).bearer(&token);
        let reply = world.ask(&large).await;
        let lines = log.take("no head of an answer");
        assert!(!lines.is_empty(), "{reply:?}");
        assert!(lines.iter().all(|line| line.contains("no head of an answer within 2s")), "{lines:?}");
    }
}

#[tokio::test]
async fn up_05_interim_answers_over_http_2_are_few_or_the_connection_ends() {
    let hint = || Response::builder().status(103).body(()).unwrap();
    let serve = move |mut line: Line, number: usize, seen: Seen| async move {
        let mut held = Vec::new();
        while let Some(Ok((request, mut send))) = line.accept().await {
            seen.add(number);
            let count = request.uri().query().map_or(0, |q| q.parse().unwrap());
            (0..count).for_each(|_| send.send_informational(hint()).unwrap());
            if count < 100 { respond(&mut send, ANSWER) } else { held.push(send) }
        }
    };
    let server = start(Builder::new(), serve).await;
    let world = server.world().await;
    let token = world.token(MCP).text;
    for (count, status) in [(0, 200), (1, 200), (7, 200), (9, 502), (7, 200), (200, 502), (0, 200)] {
        let reply = world.ask(&ask(&format!("?{count}"), &token)).await;
        assert_eq!(reply.status, status, "{count}: {reply:?}");
    }
}
