//! AN: what passes without a token where an upstream has `anonymous`, and how everything else is refused.

use std::time::Duration;

use mcpgate::config::UpstreamKind;
use mcpgate::oauth::Timestamp;
use serde_json::json;
use tokio::sync::Notify;

use super::client::{RawRequest, Reply};
use super::upstream::{Act, EVENTS, answer, chunk, send, soon};
use super::world::{API, MCP, PING, World, upstream};

const OPEN: &str = r#"
anonymous = ["tools/list", "tools/call:search_*", "subscriptions/listen"]
anonymous_per_minute = 100
[[upstream.scope]]
name = "use"
title = "Use it"
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:search_secret"]
"#;
const VERSIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":9,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;

/// A world whose upstreams of a kind have these keys.
async fn open(kind: UpstreamKind, keys: &str) -> World {
    let keys = upstream(keys);
    World::with(|config| {
        for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.kind == kind) {
            upstream.rules.clone_from(&keys.rules);
            upstream.anonymous_limits.clone_from(&keys.anonymous_limits);
        }
    })
    .await
}

async fn mcp() -> World {
    open(UpstreamKind::Mcp, OPEN).await
}

fn message(method: &str, name: &str, version: &str) -> RawRequest {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": version});
    let params = json!({"name": name, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 9, "method": method, "params": params}).to_string();
    let ask = RawRequest::post(body).field("MCP-Protocol-Version", version);
    let ask = ask.field("Mcp-Method", method).field("Accept", "application/json, text/event-stream");
    if name.is_empty() { ask } else { ask.field("Mcp-Name", name) }
}

/// TV-01's 401: the same for whatever is refused without a token.
fn assert_asked_to_sign_in(reply: Reply, expected: &Reply, what: &str) {
    let reply = reply.timeless();
    assert_eq!((reply.status, reply.field("www-authenticate")), (401, expected.field("www-authenticate")), "{what}");
    assert_eq!((&reply.fields, &reply.body), (&expected.fields, &expected.body), "{what}");
}

async fn refused(world: &World) -> Reply {
    let closed = World::new().await;
    let reply = closed.ask(&RawRequest::post(PING)).await.timeless();
    assert_eq!(reply.status, 401);
    world.mcp.assert_nothing();
    reply
}

#[tokio::test]
async fn an_01_what_is_listed_passes_in_every_revision_and_names_nobody() {
    let world = mcp().await;
    let expected = refused(&world).await;
    for version in VERSIONS {
        for (method, name, passes) in [
            ("tools/list", "", true),
            ("tools/call", "search_web", true),
            ("tools/call", "delete", false),
            ("tools/call", "search_secret", false),
            ("prompts/list", "", false),
            ("x/unknown", "", false),
        ] {
            let before = world.mcp.seen().len();
            let reply = world.ask(&message(method, name, version)).await;
            if passes {
                assert_eq!((reply.status, world.mcp.seen().len()), (200, before + 1), "{version} {method} {name}");
                let seen = world.mcp.last();
                let told = ["subject", "user", "client", "scopes", "tenant"].map(|own| format!("x-mcpgate-{own}"));
                assert!(told.iter().all(|own| seen.field(own).is_none()), "{seen:?}");
                assert_eq!(seen.field("x-upstream-key"), Some("s3cret"), "the gateway's own credential");
            } else {
                assert_asked_to_sign_in(reply, &expected, &format!("{version} {method} {name}"));
                assert_eq!(world.mcp.seen().len(), before, "{version} {method} {name}");
            }
        }
    }
}

#[tokio::test]
async fn an_01_the_handshake_passes_and_lists_show_what_calls_allow() {
    let world = mcp().await;
    for (method, version) in [("initialize", "2025-06-18"), ("ping", "2025-06-18"), ("server/discover", "2026-07-28")] {
        assert_eq!(world.ask(&message(method, "", version)).await.status, 200, "{method}");
    }
    let started = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(world.ask(&RawRequest::post(started)).await.status, 200);
    let list = |names: &[&str]| {
        let tools: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"jsonrpc": "2.0", "id": 9, "result": {"tools": tools}})
    };
    let all = list(&["search_web", "delete", "search_secret", "search_files"]);
    world.mcp.then([answer("200 OK\r\nContent-Type: application/json", &all.to_string())]);
    let reply = world.ask(&message("tools/list", "", "2025-06-18")).await;
    assert_eq!(reply.json(), list(&["search_web", "search_files"]));
}

#[tokio::test]
async fn an_02_what_somebody_could_have_taken_for_credentials_is_never_anonymous() {
    let world = mcp().await;
    let expected = refused(&world).await;
    let body = r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#;
    for value in ["Basic Zm9v", "Bearer", "Bearer ", "Token x"] {
        let reply = world.ask(&RawRequest::post(body).field("Authorization", value)).await;
        assert_asked_to_sign_in(reply, &expected, value);
    }
    for value in ["Bearer mcp_access_none", "Bearer a b"] {
        let reply = world.ask(&RawRequest::post(body).field("Authorization", value)).await;
        assert!([400, 401].contains(&reply.status), "{value}: {reply:?}");
        assert!(reply.field("www-authenticate").unwrap().contains("error="), "{value}: {reply:?}");
    }
    let query = RawRequest::new("POST", "/mcp?access_token=x").field("Content-Type", "application/json").body(body);
    assert_eq!(world.ask(&query).await.status, 401);
    let token = world.make(MCP, "use");
    world.cache.insert(&token.record);
    world.cache.forget_token(&token.record.hash);
    assert_eq!(world.ask(&RawRequest::post(body).bearer(&token.text)).await.status, 401);
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn an_02_what_cannot_be_read_is_refused_like_everything_else() {
    let world = mcp().await;
    let expected = refused(&world).await;
    for (what, ask) in [
        ("no JSON", RawRequest::post("{")),
        ("no type", RawRequest::new("POST", "/mcp").body(PING)),
        ("another method", RawRequest::new("PUT", "/mcp").body(PING)),
        ("no session", RawRequest::new("GET", "/mcp").field("Accept", "text/event-stream")),
        ("no session to end", RawRequest::new("DELETE", "/mcp")),
        ("a session with a token", RawRequest::post(PING).field("Mcp-Session-Id", "AAAA.1.sid-1")),
        ("a duplicate member", RawRequest::post(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#)),
    ] {
        assert_asked_to_sign_in(world.ask(&ask).await, &expected, what);
    }
    world.mcp.assert_nothing();
}

/// Opens a session and returns its id.
async fn session(world: &World) -> String {
    let head = "200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: sid-1";
    world.mcp.then([answer(head, r#"{"jsonrpc":"2.0","id":9,"result":{}}"#)]);
    let reply = world.ask(&RawRequest::post(INITIALIZE)).await;
    reply.field("mcp-session-id").expect("a session").to_owned()
}

#[tokio::test]
async fn an_03_a_session_belongs_to_whoever_knows_its_whole_id() {
    let world = mcp().await;
    let id = session(&world).await;
    let within = |ask: RawRequest, id: &str| {
        ask.field("Mcp-Session-Id", id).field("MCP-Protocol-Version", "2025-06-18").field("Accept", "text/event-stream")
    };
    for ask in [RawRequest::post(PING), RawRequest::new("GET", "/mcp"), RawRequest::new("DELETE", "/mcp")] {
        assert_eq!(world.ask(&within(ask, &id)).await.status, 200);
        assert_eq!(world.mcp.last().field("mcp-session-id"), Some("sid-1"));
    }
    let before = world.mcp.seen().len();
    let (name, rest) = id[1..].split_once('.').unwrap();
    let other: String = name.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect();
    for (what, id) in [
        ("another name", format!("~{other}.{rest}")),
        ("another id of the upstream", id.replace("sid-1", "sid-2")),
        ("a later time", id.replacen(".1", ".2", 1)),
    ] {
        // As for everybody: an MCP client then starts a new session.
        world.ask(&within(RawRequest::post(PING), &id)).await.assert_rpc(404, -32001, json!(7));
        assert_eq!(world.mcp.seen().len(), before, "{what}");
    }
}

#[tokio::test]
async fn an_03_who_signs_in_takes_the_session_along() {
    let world = mcp().await;
    let id = session(&world).await;
    let within = |ask: RawRequest| ask.field("Mcp-Session-Id", &id).field("MCP-Protocol-Version", "2025-06-18");
    assert_eq!(world.ask(&within(RawRequest::post(PING))).await.status, 200);
    let (ada, other) = (world.token(MCP).text, world.token_of(MCP, "charles-babbage", "mcp_client_test"));
    for _ in 0..2 {
        assert_eq!(world.ask(&within(RawRequest::post(PING)).bearer(&ada)).await.status, 200);
        assert_eq!(world.mcp.last().field("mcp-session-id"), Some("sid-1"));
        assert!(world.mcp.last().field("x-mcpgate-subject").is_some());
    }
    let before = world.mcp.seen().len();
    assert_eq!(world.ask(&within(RawRequest::post(PING))).await.status, 404, "nobody without a token");
    assert_eq!(world.ask(&within(RawRequest::post(PING)).bearer(&other)).await.status, 404, "and nobody else");
    assert_eq!(world.mcp.seen().len(), before);
}

#[tokio::test]
async fn an_03_a_refused_request_takes_no_session_along() {
    let world = mcp().await;
    let id = session(&world).await;
    let within = |ask: RawRequest| ask.field("Mcp-Session-Id", &id).field("MCP-Protocol-Version", "2025-06-18");
    let ada = world.token(MCP).text;
    let denied = r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"search_secret"}}"#;
    let before = world.mcp.seen().len();
    let reply = world.ask(&within(RawRequest::post(denied)).bearer(&ada)).await;
    assert_eq!((reply.json()["error"]["code"].as_i64(), world.mcp.seen().len()), (Some(-32602), before));
    assert_eq!(world.ask(&within(RawRequest::post(PING))).await.status, 200, "it is still nobody's");
    assert_eq!(world.ask(&within(RawRequest::post(PING)).bearer(&ada)).await.status, 200);
    assert_eq!(world.ask(&within(RawRequest::post(PING))).await.status, 404);
}

#[tokio::test]
async fn an_03_a_restart_ends_sessions_without_a_token_which_somebody_may_have_taken_over() {
    let (before, world) = (mcp().await, mcp().await);
    let head = "200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: 1868a90c-7d5e-4b8f-9c3a-52f0e6d1b7a4";
    before.clock.set(Timestamp::from_secs(1_799_999_000));
    before.mcp.then([answer(head, r#"{"jsonrpc":"2.0","id":9,"result":{}}"#)]);
    let reply = before.ask(&RawRequest::post(INITIALIZE)).await;
    let id = reply.field("mcp-session-id").unwrap().to_owned();
    let within = |ask: RawRequest| ask.field("Mcp-Session-Id", &id).field("MCP-Protocol-Version", "2025-06-18");
    world.ask(&within(RawRequest::post(PING))).await.assert_rpc(404, -32001, json!(7));
    world.mcp.assert_nothing();
    let ada = world.token(MCP).text;
    assert_eq!(world.ask(&within(RawRequest::post(PING)).bearer(&ada)).await.status, 200, "who signs in still has it");
}

#[tokio::test]
async fn an_04_requests_are_limited_by_address_and_streams_count_until_they_end() {
    let world = open(UpstreamKind::Mcp, &OPEN.replace("= 100", "= 3")).await;
    for _ in 0..3 {
        assert_eq!(world.ask(&message("tools/list", "", "2025-06-18")).await.status, 200);
    }
    let reply = world.ask(&message("tools/list", "", "2025-06-18")).await;
    assert_eq!(reply.status, 429, "{reply:?}");
    let wait: u64 = reply.field("retry-after").unwrap().parse().unwrap();
    assert!((15..=20).contains(&wait), "{wait}");
    assert!(reply.text().contains("(3 a minute for each address) is reached"), "{reply:?}");
    // What needs a token does so whoever else has used the limit up: a login can always begin.
    assert_eq!(world.ask(&message("tools/call", "delete", "2025-06-18")).await.status, 401);
    let token = world.token(MCP).text;
    let with_token = message("tools/list", "", "2025-06-18").bearer(&token);
    assert_eq!(world.ask(&with_token).await.status, 200, "who has a token is not counted");

    let world = mcp().await;
    let id = session(&world).await;
    let end = std::sync::Arc::new(Notify::new());
    let mut streams = Vec::new();
    for _ in 0..16 {
        world.mcp.then([send(EVENTS), Act::Gate(end.clone()), chunk("")]);
        let mut client = world.connect().await;
        let ask = RawRequest::new("GET", "/mcp").field("Mcp-Session-Id", &id).field("Accept", "text/event-stream");
        client.send(&ask.field("MCP-Protocol-Version", "2025-06-18").bytes()).await;
        assert_eq!(client.head().await.status, 200);
        streams.push(client);
    }
    let reply = world.ask(&message("tools/list", "", "2025-06-18")).await;
    assert!(reply.status == 429 && reply.text().contains("(16 at the same time for each address)"), "{reply:?}");
    soon(async {
        end.notify_waiters();
        while world.ask(&message("tools/list", "", "2025-06-18")).await.status != 200 {
            end.notify_waiters();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_05_a_reload_that_closes_the_upstream_ends_open_streams() {
    let world = mcp().await;
    let id = session(&world).await;
    world.mcp.then([send(EVENTS), Act::Gate(std::sync::Arc::new(Notify::new()))]);
    let mut client = world.connect().await;
    let ask = RawRequest::new("GET", "/mcp").field("Mcp-Session-Id", &id).field("Accept", "text/event-stream");
    client.send(&ask.field("MCP-Protocol-Version", "2025-06-18").bytes()).await;
    assert_eq!(client.head().await.status, 200);
    world.adopt(|config| config.timeouts.keep_alive += Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(client.unread().is_empty(), "another change leaves it alone");
    world.adopt(|config| {
        for upstream in &mut config.upstreams {
            (upstream.rules, upstream.anonymous_limits) = (None, None);
        }
    });
    let last = soon(client.chunk()).await.unwrap();
    assert!(String::from_utf8_lossy(&last).starts_with(": "), "{last:?}");
    assert_eq!(soon(client.chunk()).await.unwrap(), b"", "the stream ends properly");
    assert_eq!(world.ask(&RawRequest::post(PING)).await.status, 401);
}

#[tokio::test]
async fn an_01_plain_services_are_opened_by_method_and_path() {
    let world = open(UpstreamKind::Http, "kind = \"http\"\nanonymous = [\"GET /public/**\"]\n").await;
    for (method, path, status) in [
        ("GET", "/api/public/a", 200),
        ("GET", "/api/private", 401),
        ("POST", "/api/public/a", 401),
        ("GET", "/api/public/../private", 400),
    ] {
        let reply = world.ask(&RawRequest::new(method, path)).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
    }
    let token = world.token(API).text;
    assert_eq!(world.ask(&RawRequest::new("POST", "/api/public/a").bearer(&token)).await.status, 200);
}

#[tokio::test]
async fn an_02_a_batch_of_which_a_part_needs_a_token_is_refused_as_a_whole() {
    let world = mcp().await;
    let expected = refused(&world).await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for other in [
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete"}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"search_secret"}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"x/unknown"}"#,
        r#"{"jsonrpc":"2.0","method":"x/unknown"}"#,
    ] {
        let ask = RawRequest::post(format!("[{list},{other}]")).field("MCP-Protocol-Version", "2025-03-26");
        assert_asked_to_sign_in(world.ask(&ask).await, &expected, other);
    }
    world.mcp.assert_nothing();
    let ask = RawRequest::post(format!("[{list}]")).field("MCP-Protocol-Version", "2025-03-26");
    assert_eq!(world.ask(&ask).await.status, 200, "a batch that needs none passes");
}

#[tokio::test]
async fn an_03_a_stream_opened_without_a_token_ends_when_the_session_is_taken_over() {
    let world = mcp().await;
    let id = session(&world).await;
    let within = |ask: RawRequest| ask.field("Mcp-Session-Id", &id).field("MCP-Protocol-Version", "2025-06-18");
    world.mcp.then([send(EVENTS), Act::Gate(std::sync::Arc::new(Notify::new()))]);
    let mut client = world.connect().await;
    client.send(&within(RawRequest::new("GET", "/mcp").field("Accept", "text/event-stream")).bytes()).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(world.ask(&within(RawRequest::post(PING))).await.status, 200);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(client.unread().is_empty(), "it stays open while the session is nobody's");
    let ada = world.token(MCP).text;
    assert_eq!(world.ask(&within(RawRequest::post(PING)).bearer(&ada)).await.status, 200);
    let last = soon(client.chunk()).await.unwrap();
    assert!(String::from_utf8_lossy(&last).starts_with(": "), "{last:?}");
    assert_eq!(soon(client.chunk()).await.unwrap(), b"", "the stream ends properly");
}
