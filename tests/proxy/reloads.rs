//! SC-14: a reload of the rules is in force for open answers, too.

use std::sync::Arc;
use std::time::Duration;

use mcpgate::config::{Config, UpstreamKind};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::client::{Client, RawRequest};
use super::rules::rules;
use super::upstream::{Act, EVENTS, chunk, send, soon};
use super::world::{API, MCP, World};

const BEGUN: &str = "data: begun\n\n";
const OVER: &str = "the rules of this server have changed";

/// Scopes of a map.
const MAP: &str = r#"
[[upstream.scope]]
name = "use"
title = "Use it"
allow = ["tools/*", "subscriptions/listen"]
"#;

/// A deny rule about these operations, as in the file.
pub(super) fn deny(operations: &str, arguments: &str) -> String {
    format!("[[upstream.rule]]\neffect = \"deny\"\noperations = [{operations}]\narguments = [{arguments}]\n")
}

/// Gives the upstreams of a kind these scopes and rules.
fn ruled(kind: UpstreamKind, tables: &str) -> impl Fn(&mut Config) {
    let rules = if tables.is_empty() { None } else { rules(tables) };
    move |config| {
        for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.kind == kind) {
            upstream.rules.clone_from(&rules);
        }
    }
}

pub(super) fn mcp(tables: &str) -> impl Fn(&mut Config) {
    ruled(UpstreamKind::Mcp, tables)
}

fn request(method: &str, params: &Value) -> RawRequest {
    let body = json!({"jsonrpc": "2.0", "id": 9, "method": method, "params": params}).to_string();
    RawRequest::post(body).field("Accept", "application/json, text/event-stream")
}

fn call(name: &str, arguments: &Value) -> RawRequest {
    request("tools/call", &json!({"name": name, "arguments": arguments}))
}

pub(super) fn get() -> RawRequest {
    RawRequest::new("GET", "/mcp").field("Accept", "text/event-stream")
}

pub(super) fn listen(filter: &Value) -> RawRequest {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let body = json!({
        "jsonrpc": "2.0", "id": 9, "method": "subscriptions/listen", "params": {"_meta": meta, "notifications": filter}
    });
    RawRequest::modern(body.to_string())
        .field("Mcp-Method", "subscriptions/listen")
        .field("Accept", "application/json, text/event-stream")
}

/// Opens an answer that has begun, and goes on like this.
pub(super) async fn open(world: &World, ask: &RawRequest, rest: impl IntoIterator<Item = Act>) -> Client {
    world.mcp.then([send(EVENTS), chunk(BEGUN)].into_iter().chain(rest));
    let mut client = world.connect().await;
    client.send(&ask.bytes()).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.chunks_until(BEGUN).await, BEGUN);
    client
}

pub(super) async fn hanging(world: &World, ask: &RawRequest) -> Client {
    open(world, ask, [Act::Hang]).await
}

/// Asserts that an answer ends with an error for its request.
async fn assert_ended(mut client: Client, what: &str) {
    let end = soon(client.chunks_until("\n\n")).await;
    let error = json!({"jsonrpc": "2.0", "id": 9, "error": {"code": -32603, "message": OVER}});
    let data = end.strip_prefix("event: message\ndata: ").unwrap_or_else(|| panic!("{what}: {end:?}"));
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), error, "{what}");
    assert_eq!(soon(client.chunk()).await, Some(vec![]), "{what}: the stream ends properly");
}

pub(super) async fn assert_open(client: &mut Client, what: &str) {
    let unread = tokio::time::timeout(Duration::from_millis(20), client.chunk()).await;
    assert!(unread.is_err(), "{what}: {unread:?}");
}

#[tokio::test]
async fn sc_14_an_answer_ends_when_its_request_would_now_be_refused() {
    let path = |path: &str| json!({"path": path});
    let large = json!({"path": "/tmp", "content": "x".repeat(5000)});
    let etc = r#"{ pointer = "/path", pattern = "/etc/*" }"#;
    let narrowed = MAP.replace("tools/*", "tools/list\", \"tools/call:sub");
    for (before, after, ended, kept) in [
        ("", &*deny(r#""tools/call:add""#, ""), call("add", &json!({})), call("sub", &json!({}))),
        (MAP, &*narrowed, call("add", &json!({})), call("sub", &json!({}))),
        (MAP, &*deny(r#""tools/call:write""#, etc), call("write", &path("/etc/passwd")), call("write", &path("/tmp"))),
        ("", &*deny(r#""tools/call:write""#, etc), call("write", &large), call("read", &large)),
        (MAP, &*MAP.replace(", \"subscriptions/listen\"", ""), listen(&json!({})), call("add", &json!({}))),
        (
            MAP,
            &*format!("{MAP}{}", deny(r#""tools/list""#, "")),
            request("tools/list", &json!({})),
            call("add", &json!({})),
        ),
    ] {
        let world = World::with(mcp(before)).await;
        let token = world.token(MCP).text;
        let ending = hanging(&world, &ended.bearer(&token)).await;
        let mut going_on = hanging(&world, &kept.bearer(&token)).await;
        world.adopt(mcp(after));
        assert_ended(ending, after).await;
        world.mcp.wait_for_closed(1).await;
        assert_open(&mut going_on, after).await;
        // A further reload without a difference, and one that lifts the rules.
        world.adopt(|config| config.timeouts.keep_alive += Duration::from_secs(1));
        world.adopt(mcp(MAP));
        sleep(Duration::from_millis(1200)).await;
        assert_open(&mut going_on, after).await;
    }
}

#[tokio::test]
async fn sc_14_answers_over_http_and_without_a_token_end_too() {
    let open_to_all = "anonymous = [\"tools/call:search_*\", \"subscriptions/listen\"]\n";
    let world = World::with(mcp(open_to_all)).await;
    world.adopt(|config| {
        let limits = super::world::upstream(open_to_all).anonymous_limits;
        config.upstreams.iter_mut().for_each(|upstream| upstream.anonymous_limits.clone_from(&limits));
    });
    let listening = hanging(&world, &listen(&json!({}))).await;
    let mut calling = hanging(&world, &call("search_web", &json!({}))).await;
    world.adopt(mcp("anonymous = [\"tools/call:search_*\"]\n"));
    assert_ended(listening, "shorter").await;
    assert_open(&mut calling, "still allowed").await;
    world.adopt(mcp(&format!("anonymous = [\"tools/call:search_*\"]\n{}", deny(r#""tools/call:search_web""#, ""))));
    assert_ended(calling, "denied").await;

    let world = World::with(ruled(UpstreamKind::Http, "kind = \"http\"\n")).await;
    let token = world.token(API).text;
    let begin = async |path: &str| {
        world.api.then([send(EVENTS.replace("event-stream", "plain")), chunk("begun"), Act::Hang]);
        let mut client = world.connect().await;
        client.send(&RawRequest::new("GET", path).bearer(&token).bytes()).await;
        assert_eq!(client.head().await.status, 200);
        client.chunks_until("begun").await;
        client
    };
    let (mut ending, mut going_on) = (begin("/api/private/a").await, begin("/api/public").await);
    world.adopt(ruled(UpstreamKind::Http, &format!("kind = \"http\"\n{}", deny(r#""GET /private/**""#, ""))));
    assert_eq!(soon(ending.chunk()).await, None, "a truncated answer must not look whole");
    assert_open(&mut going_on, "not denied").await;
}

fn tools(names: &[&str]) -> String {
    let tools: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    format!("data: {}\n\n", json!({"jsonrpc": "2.0", "id": 9, "result": {"tools": tools}}))
}

#[tokio::test]
async fn sc_14_lists_on_open_streams_are_filtered_by_the_new_rules() {
    let list = request("tools/list", &json!({}));
    for ask in [list, get().field("Last-Event-ID", "e1")] {
        let world = World::with(mcp(MAP)).await;
        let token = world.token(MCP).text;
        let gate = Arc::new(Notify::new());
        let rest = [Act::Gate(Arc::clone(&gate)), chunk(&tools(&["add", "delete"])), Act::Hang];
        let mut client = open(&world, &ask.bearer(&token), rest).await;
        world.adopt(mcp(&format!("{MAP}{}", deny(r#""tools/call:delete""#, ""))));
        gate.notify_one();
        let rest = soon(client.chunks_until("}\n\n")).await;
        assert!(rest.ends_with(&tools(&["add"])), "{rest:?}");
    }
}

#[tokio::test]
async fn sc_14_a_stream_that_was_not_filtered_ends_when_there_are_rules() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let mut stream = hanging(&world, &get().bearer(&token)).await;
    let list = hanging(&world, &request("tools/list", &json!({})).bearer(&token)).await;
    let mut calling = hanging(&world, &call("add", &json!({})).bearer(&token)).await;
    world.adopt(mcp(&deny(r#""tools/call:delete""#, "")));
    assert_eq!(soon(stream.chunks_until("\n\n")).await, format!(": {OVER}\n\n"));
    assert_ended(list, "a list").await;
    assert_open(&mut calling, "a call's answer is no list").await;
}
