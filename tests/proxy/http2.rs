//! HTTP/2 downstream: the same answers without connection-specific fields, and a reset that cancels.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::upstream::{Act, EVENTS, chunk, send};
use super::world::{MCP, PING, World};

async fn connect(world: &World) -> SendRequest<Full<Bytes>> {
    let stream = world.connect_http2().await;
    let (line, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    line
}

fn post(token: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post("https://gw.example/mcp")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::from(body))
        .unwrap()
}

#[tokio::test]
async fn many_streams_of_one_connection_are_served_each_by_its_own_token() {
    let world = World::new().await;
    let line = connect(&world).await;
    let (good, bad) = (world.token(MCP).text, world.make(MCP, "use").text);
    let asks = (0..50).map(|n| {
        let (mut line, request) = (line.clone(), post(if n % 2 == 0 { &good } else { &bad }, PING));
        async move { (n, line.send_request(request).await.unwrap().status()) }
    });
    for (n, status) in futures_util::future::join_all(asks).await {
        assert_eq!(status, if n % 2 == 0 { StatusCode::OK } else { StatusCode::UNAUTHORIZED });
    }
    assert_eq!(world.mcp.last().field("host"), Some(&*world.mcp.address.to_string()));
}

#[tokio::test]
async fn ds_06_a_refusal_has_no_field_of_a_connection() {
    let world = World::with(|config| config.limits.mcp_body = 1024).await;
    let token = world.token(MCP).text;
    let response =
        connect(&world).await.send_request(post(&token, Box::leak("x".repeat(2000).into_boxed_str()))).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().get("connection")), (413, None));
}

#[tokio::test]
async fn ss_05_h2_01_a_reset_stream_cancels_at_the_upstream() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let mut line = connect(&world).await;
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut response = line.send_request(post(&token, PING)).await.unwrap();
    assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "data: a\n\n");
    drop(response);
    world.mcp.wait_for_closed(1).await;
    world.mcp.then([Act::Hang]);
    let early = tokio::spawn({
        let (mut line, request) = (line.clone(), post(&token, PING));
        async move { line.send_request(request).await }
    });
    world.mcp.wait_for_requests(2).await;
    early.abort();
    world.mcp.wait_for_closed(2).await;
    assert_eq!(line.send_request(post(&token, PING)).await.unwrap().status(), 200, "the connection lives");
}

#[tokio::test]
async fn h2_01_no_request_outlives_its_stream_at_the_upstream() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let line = connect(&world).await;
    let mut under_way = Vec::new();
    for _ in 0..15 {
        world.mcp.then([Act::Hang]);
        let mut line = line.clone();
        let request = post(&token, PING);
        under_way.push(tokio::spawn(async move { line.send_request(request).await }));
    }
    world.mcp.wait_for_requests(15).await;
    under_way.iter().for_each(tokio::task::JoinHandle::abort);
    // The reset closes them: the upstream would hang for as long as a call may take.
    world.mcp.wait_for_closed(15).await;
    let mut line = line;
    assert_eq!(line.send_request(post(&token, PING)).await.unwrap().status(), 200, "the connection lives");
}
