//! DS-02: a client that sends next to nothing takes no place from others.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Client, RawRequest};
use super::upstream::soon;
use super::world::{ALPHA, API, MCP, World};

/// A world in which a whole body may take a minute.
async fn patient() -> World {
    World::with(|config| config.timeouts.mcp_body = Duration::from_secs(60)).await
}

/// The same, with one given upstream for all routes.
async fn patient_before(listener: &TcpListener) -> World {
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let change = |config: &mut mcpgate::config::Config| {
        config.upstreams.iter_mut().for_each(|u| u.url = Clone::clone(&url));
        config.timeouts.mcp_body = Duration::from_secs(60);
        config.limits.mcp_body = 64 << 20;
    };
    World::with(change).await
}

/// The beginning of a message that consists of one string.
const OPEN: &str = r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"x":""#;

/// Sends the head of a message of this length, and the first `here` bytes of its body.
async fn begin(world: &World, target: &str, token: &str, length: usize, here: usize) -> Client {
    let mut client = world.connect().await;
    let head = RawRequest::new("POST", target).field("Content-Type", "application/json").bearer(token);
    client.send(&head.field("Content-Length", &length.to_string()).bytes()).await;
    client.send(format!("{OPEN}{}", "x".repeat(here - OPEN.len())).as_bytes()).await;
    client
}

/// Continues slowly after a beginning, and returns the status of the answer and the time that it took.
async fn drip(mut client: Client) -> (u16, Duration) {
    let began = Instant::now();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.send(b"x").await;
    }
    (client.reply().await.status, began.elapsed())
}

#[tokio::test]
async fn ds_02_a_body_that_drips_while_it_holds_a_place_is_given_up_whatever_came_before() {
    let world = patient().await;
    world.reload(|config| {
        config.upstreams.iter_mut().filter(|u| u.name == "alpha").for_each(|u| u.check_envelope = false)
    });
    let (mcp, api) = (world.token(MCP).text, world.token(API).text);
    let alpha = world.make(ALPHA, "admin");
    world.cache.insert(&alpha.record);
    let unseen = alpha.text;
    let cases = [("/mcp", &mcp, 300_000), ("/mcp/alpha", &unseen, 100), ("/mcp/alpha", &unseen, 300_000)];
    let cases = cases.into_iter().chain([("/api/x", &api, 100), ("/api/x", &api, 300_000)]);
    let dripping = cases.map(|(target, token, here)| {
        let world = &world;
        async move {
            let (status, time) = drip(begin(world, target, token, 1_500_000, here).await).await;
            assert_eq!(status, 408, "{target} {here}");
            let expected = Duration::from_millis(4500)..Duration::from_secs(9);
            assert!(expected.contains(&time), "{target} {here}: {time:?}");
        }
    });
    futures_util::future::join_all(dripping).await;
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn ds_02_a_body_that_comes_slowly_but_at_the_rate_is_served() {
    let world = patient().await;
    let (mcp, api) = (world.token(MCP).text, world.token(API).text);
    let (piece, pieces, here) = (4096, 10, 300_000);
    let slow = [("/mcp", mcp), ("/api/x", api)].map(|(target, token)| {
        let world = &world;
        async move {
            let end = r#""}}"#;
            let length = here + piece * pieces + end.len();
            let mut client = begin(world, target, &token, length, here).await;
            for _ in 0..pieces {
                tokio::time::sleep(Duration::from_millis(700)).await;
                client.send("x".repeat(piece).as_bytes()).await;
            }
            client.send(end.as_bytes()).await;
            assert_eq!(client.reply().await.status, 200, "{target}");
        }
    });
    futures_util::future::join_all(slow).await;
}

/// Reads the head of a request.
async fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        assert!(soon(stream.read_buf(&mut head)).await.unwrap() > 0, "closed within the head");
    }
    let end = head.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    head.split_off(end + 4)
}

#[tokio::test]
async fn ds_02_a_client_does_not_pay_for_the_time_in_which_the_upstream_takes_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = patient_before(&listener).await;
    let token = world.token(API).text;
    // More than the system buffers for a client that does not read.
    let length = 32 << 20;
    let mut client = world.connect().await;
    let asked = tokio::spawn(async move {
        let ask = RawRequest::new("POST", "/api/x").bearer(&token).body("x".repeat(length));
        client.send(&ask.bytes()).await;
        client.reply().await
    });
    let (mut upstream, _) = soon(listener.accept()).await.unwrap();
    let mut came = read_head(&mut upstream).await.len();
    tokio::time::sleep(Duration::from_secs(7)).await;
    let mut buffer = vec![0; 1 << 16];
    while came < length {
        let read = soon(upstream.read(&mut buffer)).await.unwrap();
        assert!(read > 0, "closed after {came}");
        came += read;
    }
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(soon(asked).await.unwrap().status, 200);
}

#[tokio::test]
async fn ds_02_an_upload_beside_a_stream_of_events_holds_no_place_and_may_pause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = patient_before(&listener).await;
    let token = world.token(API).text;
    let mut client = begin(&world, "/api/x", &token, 104, 100).await;
    let (mut upstream, _) = soon(listener.accept()).await.unwrap();
    let mut came = read_head(&mut upstream).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    upstream.write_all(format!("{head}9\r\ndata: a\n\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.chunks_until("data: a\n\n").await, "data: a\n\n");
    tokio::time::sleep(Duration::from_secs(7)).await;
    client.send(b"last").await;
    while !came.ends_with(b"last") {
        assert!(soon(upstream.read_buf(&mut came)).await.unwrap() > 0, "closed after {}", came.len());
    }
    upstream.write_all(b"9\r\ndata: b\n\n\r\n0\r\n\r\n").await.unwrap();
    assert!(client.chunks_until("data: b\n\n").await.ends_with("data: b\n\n"));
}
