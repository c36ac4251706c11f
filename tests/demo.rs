//! The demo upstream over a real socket. A failure means that a new user of mcpgate first meets a server that breaks
//! the protocol which the gateway enforces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may stop at the first surprise"
)]

#[path = "support/http.rs"]
mod client;

use bytes::Bytes;
use client::{exchange, open, request};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

struct Reply {
    status: StatusCode,
    session: Option<String>,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("the demo answers with JSON")
    }

    fn events(&self) -> Vec<Value> {
        let data = self.text.lines().filter_map(|l| l.strip_prefix("data: "));
        data.map(|d| serde_json::from_str(d).expect("an event carries JSON")).collect()
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_with_the_size_that_is_not() {
    let to = demo().await;
    let message = |size: usize| {
        let text = "x".repeat(size);
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"text": text}}).to_string()
    };
    let refused = send(to, Method::POST, &[], message(64 * 1024)).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        refused.json()["error"]["message"].as_str().is_some_and(|said| said.contains("64 KiB")),
        "{}",
        refused.text
    );
    assert_eq!(send(to, Method::POST, &[], message(63 * 1024)).await.status, StatusCode::OK);
}

async fn demo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(mcpgate::demo::serve(std::sync::Arc::new(listener), std::future::pending()));
    address
}

async fn send(to: std::net::SocketAddr, method: Method, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let socket = TcpStream::connect(to).await.expect("the demo listens");
    let mut connection = open(socket).await.expect("HTTP");
    let usual =
        [("host", "demo"), ("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let request = request(method, "/mcp", &[&usual[..], headers].concat(), body);
    let reply = exchange(&mut connection, request).await.expect("a response");
    let session = reply.headers.get("mcp-session-id").map(|v| v.to_str().expect("ASCII").to_owned());
    let text = String::from_utf8(reply.body.to_vec()).expect("UTF-8");
    Reply { status: StatusCode::from_u16(reply.status).expect("a status"), session, text }
}

async fn post(to: std::net::SocketAddr, headers: &[(&str, &str)], body: &Value) -> Reply {
    send(to, Method::POST, headers, body.to_string()).await
}

async fn initialize(to: std::net::SocketAddr, version: &str) -> (Reply, String) {
    let params =
        json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let reply = post(to, &[], &json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })).await;
    let session = reply.session.clone().expect("initialize opens a session");
    (reply, session)
}

fn call(id: u32, name: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": arguments } })
}

fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "p",
    });
    json!({ "jsonrpc": "2.0", "id": "m", "method": method, "params": params })
}

#[tokio::test]
async fn each_legacy_revision_is_negotiated_and_called() {
    let demo = demo().await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let (reply, session) = initialize(demo, version).await;
        assert_eq!(reply.json()["result"]["protocolVersion"], version);
        let headers = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", version)];
        let sum = post(demo, &headers, &call(2, "add", &json!({ "a": 1.5, "b": 2 }))).await;
        assert_eq!(sum.json()["result"]["content"][0]["text"], "3.5");
        assert_eq!(sum.json()["id"], 2);
    }
    let (unknown, _) = initialize(demo, "1999-01-01").await;
    assert_eq!(unknown.json()["result"]["protocolVersion"], "2025-11-25", "the newest it can offer");
}

#[tokio::test]
async fn a_session_is_needed_ends_and_stays_ended() {
    let demo = demo().await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(post(demo, &[], &list).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(post(demo, &[("mcp-session-id", "x")], &list).await.status, StatusCode::NOT_FOUND);
    let (_, session) = initialize(demo, "2025-06-18").await;
    let headers = [("mcp-session-id", session.as_str())];
    assert_eq!(post(demo, &headers, &list).await.json()["result"]["tools"].as_array().map(Vec::len), Some(7));
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(post(demo, &headers, &initialized).await.status, StatusCode::ACCEPTED);
    assert_eq!(send(demo, Method::DELETE, &headers, "").await.status, StatusCode::OK);
    assert_eq!(post(demo, &headers, &list).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn batches_belong_to_2025_03_26() {
    let demo = demo().await;
    let batch = json!([call(1, "echo", &json!({ "text": "a" })), { "jsonrpc": "2.0", "id": 2, "method": "ping" }]);
    let (_, old) = initialize(demo, "2025-03-26").await;
    let replies = post(demo, &[("mcp-session-id", &old)], &batch).await.json();
    assert_eq!((&replies[0]["result"]["content"][0]["text"], &replies[1]["id"]), (&json!("a"), &json!(2)));
    let (_, newer) = initialize(demo, "2025-06-18").await;
    assert_eq!(post(demo, &[("mcp-session-id", &newer)], &batch).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn count_streams_progress_and_then_its_result() {
    let demo = demo().await;
    let params = json!({ "name": "count", "arguments": { "to": 3, "delay_ms": 1 } });
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "count")];
    let events = post(demo, &headers, &modern("tools/call", params)).await.events();
    let steps: Vec<_> = events.iter().filter_map(|e| e["params"]["progress"].as_u64()).collect();
    assert_eq!(steps, [1, 2, 3]);
    let last = events.last().expect("a result");
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!("m"), &json!("complete")));
}

#[tokio::test]
async fn the_stateless_revision_is_strict_about_what_a_request_says_of_itself() {
    let demo = demo().await;
    let list = modern("tools/list", json!({}));
    let ok = post(demo, &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")], &list).await;
    assert_eq!((ok.status, &ok.json()["result"]["cacheScope"]), (StatusCode::OK, &json!("public")));
    assert!(ok.session.is_none(), "no session is created");

    for (headers, body, status, code) in [
        (vec![("mcp-method", "tools/list")], list.clone(), 400, -32020),
        (vec![("mcp-protocol-version", "2026-07-28")], list.clone(), 400, -32020),
        (vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", "prompts/list")], list.clone(), 400, -32020),
        (
            vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")],
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }),
            400,
            -32602,
        ),
        (
            vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", "no/such")],
            modern("no/such", json!({})),
            404,
            -32601,
        ),
        (
            vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")],
            modern("tools/call", json!({ "name": "add", "arguments": {} })),
            400,
            -32020,
        ),
    ] {
        let reply = post(demo, &headers, &body).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["error"]["code"]),
            (status, &json!(code)),
            "{headers:?} {body}"
        );
    }
    let mut ahead = modern("tools/list", json!({}));
    ahead["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01".into();
    let reply = post(demo, &[("mcp-protocol-version", "2099-01-01"), ("mcp-method", "tools/list")], &ahead).await;
    let (_, session) = initialize(demo, "2025-06-18").await;
    let behind = [("mcp-protocol-version", "1999-01-01"), ("mcp-session-id", session.as_str())];
    let plain = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for (requested, reply) in [("2099-01-01", reply), ("1999-01-01", post(demo, &behind, &plain).await)] {
        let error = json!({
            "code": -32022,
            "message": "Unsupported protocol version",
            "data": { "supported": ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"], "requested": requested },
        });
        assert_eq!((reply.status, &reply.json()["error"]), (StatusCode::BAD_REQUEST, &error));
    }
    assert_eq!(send(demo, Method::GET, &[("mcp-protocol-version", "2026-07-28")], "").await.status, 405);
}

#[tokio::test]
async fn whoami_tells_what_the_gateway_passed_on() {
    let demo = demo().await;
    let (_, session) = initialize(demo, "2025-11-25").await;
    let headers = [("mcp-session-id", session.as_str()), ("x-mcpgate-subject", "user_1"), ("cookie", "secret")];
    let text =
        post(demo, &headers, &call(1, "whoami", &json!({}))).await.json()["result"]["content"][0]["text"].clone();
    assert_eq!(text, r#"{"x-mcpgate-subject":"user_1"}"#);
}

#[tokio::test]
async fn everybody_has_notes_of_their_own() {
    let demo = demo().await;
    let (_, session) = initialize(demo, "2025-11-25").await;
    let tool = async |owner: &str, tool: &str, arguments: Value| {
        let headers = [("mcp-session-id", session.as_str()), ("x-mcpgate-subject", owner)];
        let reply = post(demo, &headers, &call(1, tool, &arguments)).await.json();
        reply["result"]["content"][0]["text"].as_str().expect("a text").to_owned()
    };
    assert_eq!(tool("ada", "add_note", json!({ "text": "milk" })).await, "Added as number 1.");
    assert_eq!(tool("ada", "add_note", json!({ "text": "eggs" })).await, "Added as number 2.");
    assert_eq!(tool("bob", "delete_note", json!({ "number": 1 })).await, "there is no note with this number");
    assert_eq!(tool("ada", "delete_note", json!({ "number": 1 })).await, "Deleted.");
    assert_eq!(tool("ada", "list_notes", json!({})).await, "2. eggs");
    assert_eq!(tool("bob", "list_notes", json!({})).await, "There are no notes.");
    assert_eq!(
        tool("ada", "add_note", json!({ "text": "x".repeat(1025) })).await,
        "add_note needs a text of up to 1024 bytes"
    );
    for _ in 1..100 {
        assert!(tool("ada", "add_note", json!({ "text": "more" })).await.starts_with("Added"));
    }
    assert_eq!(tool("ada", "add_note", json!({ "text": "full" })).await, "there are too many notes; delete one first");
}

#[tokio::test]
async fn each_tool_says_what_it_does_to_the_world() {
    let demo = demo().await;
    let (_, session) = initialize(demo, "2025-11-25").await;
    let headers = [("mcp-session-id", session.as_str())];
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let listed = post(demo, &headers, &list).await.json();
    let kinds: Vec<_> = listed["result"]["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| {
            let hint = |name: &str| tool["annotations"][name].as_bool().expect("a hint");
            (tool["name"].as_str().expect("a name"), hint("readOnlyHint"), hint("destructiveHint"))
        })
        .collect();
    let reads = ["echo", "add", "count", "whoami", "list_notes"].map(|name| (name, true, false));
    assert_eq!(kinds, [&reads[..], &[("add_note", false, false), ("delete_note", false, true)]].concat());
}

#[tokio::test]
async fn a_page_of_another_machine_is_refused() {
    let demo = demo().await;
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {} });
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    for (origin, status) in [
        ("http://localhost:6274", StatusCode::OK),
        ("http://127.0.0.1", StatusCode::OK),
        ("http://[::1]:9", StatusCode::OK),
        ("http://evil.example.com", StatusCode::FORBIDDEN),
        ("http://localhost.evil.example", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
    ] {
        assert_eq!(post(demo, &[("origin", origin)], &initialize).await.status, status, "{origin}");
    }
}

#[tokio::test]
async fn unsound_arguments_are_the_tools_own_error() {
    let demo = demo().await;
    let (_, session) = initialize(demo, "2025-11-25").await;
    let headers = [("mcp-session-id", session.as_str())];
    for (tool, arguments) in [
        ("echo", json!({})),
        ("add", json!({ "a": "x" })),
        ("delete_note", json!({ "number": "1" })),
        ("count", json!({ "to": 0 })),
    ] {
        let reply = post(demo, &headers, &call(1, tool, &arguments)).await;
        assert_eq!(reply.json()["result"]["isError"], true, "{tool}");
        let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", tool)];
        let message = modern("tools/call", json!({ "name": tool, "arguments": arguments }));
        let reply = post(demo, &headers, &message).await.json();
        assert_eq!((&reply["result"]["isError"], &reply["result"]["resultType"]), (&json!(true), &json!("complete")));
    }
    let unknown = post(demo, &headers, &call(1, "no-such-tool", &json!({}))).await;
    assert_eq!(unknown.json()["error"]["code"], -32602);
}
