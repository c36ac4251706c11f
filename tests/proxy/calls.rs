//! Calls that take long, and calls that are ended: every request with an id gets an answer to that id.

use std::time::Duration;

use mcpgate::config::Config;
use mcpgate::oauth::Lifetime;
use serde_json::{Value, json};

use super::client::{Client, RawRequest, Reply};
use super::log::Log;
use super::upstream::{Act, EVENTS, answer, chunk, send, soon};
use super::world::{MCP, PING, World};

pub(super) const BOTH: &str = "application/json, text/event-stream";
pub(super) const JSON: &str = "200 OK\r\nContent-Type: application/json";

pub(super) fn call(token: &str) -> RawRequest {
    RawRequest::post(PING).bearer(token).field("Accept", BOTH)
}

/// A world whose clients soon get a keep-alive.
pub(super) async fn world(change: impl FnOnce(&mut Config)) -> World {
    World::with(|config| {
        config.timeouts.sse_keep_alive = Duration::from_millis(40);
        change(config);
    })
    .await
}

pub(super) fn wait(millis: u64) -> Act {
    Act::Wait(Duration::from_millis(millis))
}

/// The messages of a stream as a client sees them: events without a type or of the type `message`.
pub(super) fn messages(text: &str) -> Vec<Value> {
    let events = text.split("\n\n").filter_map(|event| {
        let fields: Vec<_> = event.split(['\n', '\r']).filter_map(|line| line.split_once(':')).collect();
        let kind = fields.iter().rev().find(|(name, _)| *name == "event").map_or("message", |(_, kind)| kind.trim());
        let data: Vec<_> = fields.iter().filter(|(name, _)| *name == "data").map(|(_, data)| data.trim()).collect();
        (kind == "message" && !data.is_empty()).then(|| data.join("\n"))
    });
    events.map(|data| serde_json::from_str(&data).unwrap_or_else(|e| panic!("{e}: {data}"))).collect()
}

/// Asserts that the answer is a stream that ended properly, and that its last message is this error for id 7.
pub(super) fn assert_ended(reply: &Reply, code: i32, why: &str) {
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("text/event-stream")), "{reply:?}");
    assert!(reply.complete, "{reply:?}");
    let last = messages(reply.text()).pop().unwrap_or_else(|| panic!("a message in {reply:?}"));
    assert_eq!((&last["id"], &last["error"]["code"]), (&json!(7), &json!(code)), "{last}");
    assert!(last["error"]["message"].as_str().unwrap().contains(why), "{last}");
}

#[tokio::test]
async fn a_json_answer_that_takes_long_comes_as_an_event_behind_signs_of_life() {
    let world = world(|_| ()).await;
    let token = world.token(MCP).text;
    world.mcp.then([wait(300), answer(JSON, "{\"jsonrpc\":\"2.0\",\r\n \"id\":7,\n\"result\":{\"a\":\"b\"}}\n")]);
    let mut client = world.connect().await;
    client.send(&call(&token).bytes()).await;
    let head = client.head().await;
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")));
    assert_eq!((head.field("x-accel-buffering"), head.field("cache-control")), (Some("no"), Some("no-store")));
    let reply = rest(&mut client, "").await;
    assert!(reply.complete && reply.text().starts_with(":\n\n:\n\n"), "{reply:?}");
    let text = reply.text().replace(":\n\n", "");
    assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), 2, "one event: {text:?}");
    assert_eq!(messages(&text), [json!({"jsonrpc": "2.0", "id": 7, "result": {"a": "b"}})]);
    // The connection to the upstream is used again.
    assert_eq!((world.ask(&call(&token)).await.status, world.mcp.connections()), (200, 1));
}

#[tokio::test]
async fn a_json_answer_that_comes_soon_or_to_who_takes_no_stream_stays_json() {
    let world = world(|_| ()).await;
    let token = world.token(MCP).text;
    let late = || [wait(200), answer(JSON, r#"{"jsonrpc":"2.0","id":7,"result":{}}"#)];
    for accept in ["application/json", "*/*"] {
        world.mcp.then(late());
        let reply = world.ask(&RawRequest::post(PING).bearer(&token).field("Accept", accept)).await;
        assert_eq!((reply.status, reply.field("content-type")), (200, Some("application/json")));
    }
    // The session's id is in the head of the answer.
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    world.mcp.then([wait(200), answer(&format!("{JSON}\r\nMcp-Session-Id: sid-1"), "{}")]);
    let reply = world.ask(&RawRequest::post(initialize).bearer(&token).field("Accept", BOTH)).await;
    assert!(reply.field("mcp-session-id").is_some_and(|id| id.ends_with(".sid-1")), "{reply:?}");
    // A message that is not a request is answered by a status alone.
    world.mcp.then([wait(200), answer("202 Accepted", "")]);
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(world.ask(&RawRequest::post(note).bearer(&token).field("Accept", BOTH)).await.status, 202);
}

#[tokio::test]
async fn a_late_stream_of_events_passes_as_it_comes() {
    let world = world(|_| ()).await;
    let token = world.token(MCP).text;
    let event = "id: 1\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\r\n\r\n";
    world.mcp.then([wait(200), send(EVENTS), chunk(event), chunk("")]);
    let reply = world.ask(&call(&token)).await;
    assert!(reply.complete && reply.text().starts_with(":\n\n") && reply.text().ends_with(event), "{reply:?}");
}

#[tokio::test]
async fn a_late_answer_that_cannot_be_passed_on_is_an_error_for_the_id() {
    let world = world(|config| {
        config.upstreams.iter_mut().for_each(|upstream| upstream.call_timeout = Duration::from_millis(500));
    });
    let world = world.await;
    let token = world.token(MCP).text;
    let log = Log::start();
    let coded = EVENTS.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n");
    for (acts, code, why, cause) in [
        (vec![answer("404 Not Found", "")], -32001, "Session not found", ""),
        (vec![answer("500 Oops\r\nContent-Type: application/json", "{}")], -32603, "answered 500", ""),
        (vec![answer("202 Accepted", "")], -32603, "answered 202", ""),
        (vec![answer("401 Unauthorized", "")], -32603, "credential", "credential_refused"),
        (vec![answer("200 OK\r\nContent-Type: text/html", "<p>")], -32603, "not MCP", "not_mcp"),
        (vec![send(coded), Act::Hang], -32603, "compresses", "compressed_stream"),
        (vec![Act::Close], -32603, "closed the connection", "closed_early"),
        (
            vec![send(format!("HTTP/1.1 {JSON}\r\nContent-Length: 9\r\n\r\n{{")), wait(50), Act::Close],
            -32603,
            "closed",
            "closed_early",
        ),
        (
            vec![send(format!("HTTP/1.1 {JSON}\r\nContent-Length: 9\r\n\r\n{{")), Act::Hang],
            -32603,
            "in time",
            "too_slow",
        ),
        (vec![Act::Hang], -32603, "in time", "too_slow"),
    ] {
        world.mcp.then([vec![wait(200)], acts].concat());
        assert_ended(&world.ask(&call(&token)).await, code, why);
        let warnings = log.warnings();
        let is_told = warnings.iter().any(|line| line.contains(&format!("cause=\"{cause}\"")));
        assert!(if cause.is_empty() { warnings.is_empty() } else { is_told }, "{cause}: {warnings:?}");
    }
}

/// Opens a call and reads its stream up to this text.
pub(super) async fn open(world: &World, token: &str, events: &str) -> Client {
    world.mcp.then([send(EVENTS), chunk(events), Act::Hang]);
    let mut client = world.connect().await;
    client.send(&call(token).bytes()).await;
    let head = client.head().await;
    assert_eq!(head.status, 200, "{head:?}");
    client.chunks_until(events).await;
    client
}

/// Reads the rest of a stream.
pub(super) async fn rest(client: &mut Client, already: &str) -> Reply {
    let (mut body, mut complete) = (already.as_bytes().to_vec(), false);
    while let Some(chunk) = soon(client.chunk()).await {
        complete = chunk.is_empty();
        if complete {
            break;
        }
        body.extend(chunk);
    }
    let fields = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
    Reply { status: 200, fields, body, complete }
}

pub(super) const PROGRESS: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
pub(super) const HALF: &str = "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"resu";

#[tokio::test]
async fn tv_15_ss_06_whatever_ends_a_running_call_is_the_answer_to_its_id() {
    for sent in [PROGRESS, HALF, "data: {\ndata: \"jsonrpc\"\n"] {
        let world = world(|config| config.limits.sse_event = 100_000).await;
        let revoked = world.token(MCP);
        let mut client = open(&world, &revoked.text, sent).await;
        world.cache.forget_grant(&revoked.record.tenant, revoked.record.grant);
        assert_ended(&rest(&mut client, sent).await, -32603, "the access token has ended");
        world.metric("mcpgate_requests_total{upstream=\"main\",outcome=\"invalid_token\"} 1").await;
        let token = world.token(MCP).text;
        let mut client = open(&world, &token, sent).await;
        let other = world.token(MCP).text;
        world.adopt(|config| config.upstreams.retain(|upstream| upstream.name != "main"));
        assert_ended(&rest(&mut client, sent).await, -32603, "the resource has been removed");
        world.metric("mcpgate_requests_total{upstream=\"main\",outcome=\"removed\"} 1").await;
        drop(other);
    }
}

#[tokio::test]
async fn a_call_that_is_too_old_or_that_nobody_vouches_for_gets_its_answer() {
    let world = world(|config| {
        config.upstreams.iter_mut().for_each(|upstream| upstream.max_stream = Duration::from_millis(100));
    });
    let world = world.await;
    let token = world.token(MCP).text;
    let mut client = open(&world, &token, HALF).await;
    assert_ended(&rest(&mut client, HALF).await, -32603, "the stream is too old");
    world.metric("mcpgate_requests_total{upstream=\"main\",outcome=\"too_old\"} 1").await;
    let world = World::with(|config| {
        config.max_stale = Lifetime::from_millis(300);
        config.timeouts.expired_stream = Duration::from_millis(300);
        config.timeouts.sse_keep_alive = Duration::from_millis(40);
    });
    let world = world.await;
    let token = world.token(MCP).text;
    let mut client = open(&world, &token, HALF).await;
    assert_ended(&rest(&mut client, HALF).await, -32603, "tokens cannot be checked at present");
    world.metric("mcpgate_requests_total{upstream=\"main\",outcome=\"unprovable\"} 1").await;
}

#[tokio::test]
async fn ss_02_an_event_over_the_limit_is_an_error_for_the_id() {
    let world = world(|config| config.limits.sse_event = 100_000).await;
    let token = world.token(MCP).text;
    let line = "x".repeat(60_000);
    for head in ["data: ", "data: {\"a\":1}\n\ndata: ", "data: a\ndata: "] {
        world.mcp.then([send(EVENTS), chunk(head), chunk(&line), chunk(&line), Act::Hang]);
        let reply = world.ask(&call(&token)).await;
        assert_ended(&reply, -32603, "larger than allowed");
        assert!(reply.body.len() < 200_000, "{}", reply.body.len());
    }
    // Events that are complete in the same chunk are forwarded.
    world.mcp.then([send(EVENTS), chunk(&format!("data: {{\"first\":1}}\n\ndata: {line}{line}")), Act::Hang]);
    let reply = world.ask(&call(&token)).await;
    assert_ended(&reply, -32603, "larger than allowed");
    world.metric("mcpgate_requests_total{upstream=\"main\",outcome=\"upstream_protocol\"} 4").await;
}

#[tokio::test]
async fn a_call_that_is_under_way_when_the_process_ends_gets_its_answer() {
    let world = world(|_| ()).await;
    let token = world.token(MCP).text;
    let mut open = open(&world, &token, HALF).await;
    world.mcp.then([Act::Hang]);
    let mut late = world.connect().await;
    late.send(&call(&token).bytes()).await;
    late.head().await;
    world.mcp.then([Act::Hang]);
    let mut silent = world.connect().await;
    silent.send(&RawRequest::post(PING).bearer(&token).bytes()).await;
    world.mcp.wait_for_requests(3).await;
    world.close();
    assert_ended(&rest(&mut open, HALF).await, -32603, "shutting down");
    assert_ended(&rest(&mut late, "").await, -32603, "shutting down");
    let reply = silent.reply().await;
    reply.assert_rpc(503, -32603, json!(7));
    assert!(reply.text().contains("shutting down"), "{reply:?}");
    world.metric("mcpgate_requests_total{upstream=\"main\",outcome=\"going_down\"} 3").await;
}

#[tokio::test]
async fn each_request_of_a_batch_gets_its_answer() {
    let world = world(|_| ()).await;
    let made = world.token(MCP);
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":"b","method":"ping"}]"#;
    world.mcp.then([send(EVENTS), chunk(PROGRESS), Act::Hang]);
    let mut client = world.connect().await;
    let ask =
        RawRequest::post(batch).bearer(&made.text).field("Accept", BOTH).field("MCP-Protocol-Version", "2025-03-26");
    client.send(&ask.bytes()).await;
    client.head().await;
    client.chunks_until(PROGRESS).await;
    world.cache.forget_grant(&made.record.tenant, made.record.grant);
    let ids: Vec<_> = messages(rest(&mut client, "").await.text()).iter().map(|error| error["id"].clone()).collect();
    assert_eq!(ids, [json!(1), json!("b")]);
}

pub(super) fn stream(token: &str) -> RawRequest {
    RawRequest::new("GET", "/mcp").bearer(token).field("Accept", "text/event-stream")
}

#[tokio::test]
async fn a_stream_whose_upstream_sends_no_head_is_open_after_two_seconds() {
    let world = world(|_| ()).await;
    let token = world.token(MCP).text;
    world.mcp.then([wait(2300), send(EVENTS), chunk("data: first\n\n"), Act::Hang]);
    let mut client = world.connect().await;
    client.send(&stream(&token).bytes()).await;
    let head = client.head().await;
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")), "{head:?}");
    let text = client.chunks_until("data: first\n\n").await;
    assert!(text.starts_with(":\n\n"), "{text:?}");
    // A refusal that comes in time is forwarded.
    world.mcp.then([wait(100), answer("405 Method Not Allowed\r\nAllow: POST", "")]);
    let reply = world.ask(&stream(&token)).await;
    assert_eq!((reply.status, reply.field("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn a_refusal_of_a_stream_that_comes_late_is_what_the_next_get_gets() {
    let world = world(|_| ()).await;
    let (token, other) = (world.token(MCP).text, world.token_of(MCP, "charles-babbage", "mcp_client_test"));
    let late = |acts: Act| [wait(2300), acts];
    world.mcp.then(late(answer("405 Method Not Allowed\r\nAllow: POST", "")));
    world.mcp.then(late(answer("200 OK\r\nContent-Type: text/html", "<p>")));
    let (ended, failed) = tokio::join!(async { world.ask(&stream(&token)).await }, async {
        world.mcp.wait_for_requests(1).await;
        world.ask(&stream(&other)).await
    });
    for reply in [&ended, &failed] {
        assert_eq!((reply.status, reply.complete), (200, true), "{reply:?}");
        assert!(reply.text().ends_with(": the upstream refused this stream\n\n"), "{reply:?}");
    }
    let before = world.mcp.seen().len();
    let reply = world.ask(&stream(&token)).await;
    assert_eq!((reply.status, reply.field("allow")), (405, Some("POST")));
    assert_eq!(world.ask(&stream(&other)).await.status, 502);
    assert_eq!(world.mcp.seen().len(), before, "the upstream's answer is remembered");
    assert_eq!(world.ask(&stream(&token)).await.status, 200, "it is asked again after that");
}

#[tokio::test]
async fn ss_05_a_client_that_leaves_before_a_late_answer_cancels_at_the_upstream() {
    let world = world(|_| ()).await;
    let token = world.token(MCP).text;
    world.mcp.then([Act::Hang]);
    let mut client = world.connect().await;
    client.send(&call(&token).bytes()).await;
    client.head().await;
    drop(client);
    world.mcp.wait_for_closed(1).await;
}
