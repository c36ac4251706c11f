//! What the gateway's own client lists of an upstream, and how it does.

use mcpgate::catalogue::ListedTool;
use mcpgate::clock::Clock as _;
use serde_json::{Value, json};

use super::client::RawRequest;
use super::lists::{ask, mapped_by, token};
use super::upstream::{Act, EVENTS, Seen, answer, chunk, send};
use super::world::{MCP, World};

const JSON: &str = "200 OK\r\nContent-Type: application/json";
const READ: &[(&str, &[&str])] = &[("read", &["tools/list", "tools/call@readOnly"])];

fn result(id: u32, result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
}

fn tool(name: &str, is_read_only: bool) -> Value {
    json!({"name": name, "title": format!("The {name}"), "annotations": {"readOnlyHint": is_read_only}})
}

fn initialized(capabilities: &Value) -> String {
    result(1, &json!({"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": {"name": "x"}}))
}

async fn offered(world: &World, subject: &str) -> Option<Vec<ListedTool>> {
    world.table().offered("main", subject, world.clock.now()).await
}

fn method(seen: &Seen) -> String {
    let message: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let verb = seen.line.split(' ').next().unwrap_or_default();
    message["method"].as_str().unwrap_or(verb).to_owned()
}

fn methods(world: &World) -> Vec<String> {
    world.mcp.seen().iter().map(method).collect()
}

async fn calls(world: &World, token: &str, tool: &str) -> bool {
    let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": tool}}).to_string();
    let before = world.mcp.seen().len();
    world.ask(&RawRequest::post(&call).bearer(token)).await;
    world.mcp.seen().len() > before
}

#[tokio::test]
async fn it_lists_page_by_page_in_one_session_that_it_ends() {
    let world = mapped_by(READ, |_| ()).await;
    let capabilities = json!({"tools": {}, "prompts": {}});
    world.mcp.then([answer(&format!("{JSON}\r\nMcp-Session-Id: s-1"), &initialized(&capabilities))]);
    world.mcp.then([answer("202 Accepted", "")]);
    world.mcp.then([answer(JSON, &result(2, &json!({"tools": [tool("add", true)], "nextCursor": "p2"})))]);
    // The stream has another message first, and stays open.
    let page = result(3, &json!({"tools": [tool("write", false)]}));
    let note = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
    world.mcp.then([send(EVENTS), chunk(&format!("data: {note}\n\n")), chunk(&format!("data: {page}\n\n")), Act::Hang]);
    world.mcp.then([answer("404 Not Found", "")]);
    world.mcp.then([answer("200 OK", "")]);
    world.list().await;
    let seen = world.mcp.seen();
    assert_eq!(
        methods(&world),
        ["initialize", "notifications/initialized", "tools/list", "tools/list", "prompts/list", "DELETE"]
    );
    let [first, rest @ ..] = &*seen else { panic!("{seen:?}") };
    assert_eq!((first.field("mcp-session-id"), first.field("mcp-protocol-version")), (None, None));
    for request in rest {
        assert_eq!((request.field("mcp-session-id"), request.field("x-upstream-key")), (Some("s-1"), Some("s3cret")));
        assert!(request.fields.iter().all(|(name, _)| !name.starts_with("x-mcpgate-")), "{request:?}");
    }
    assert!(rest[..4].iter().all(|request| request.field("mcp-protocol-version") == Some("2025-06-18")), "{rest:?}");
    let cursor: Value = serde_json::from_slice(&seen[3].body).unwrap();
    assert_eq!(cursor["params"]["cursor"], "p2");
    let tools = offered(&world, "anybody").await.unwrap();
    let read: Vec<_> = tools.iter().map(|tool| (&*tool.name, tool.title.as_deref().unwrap())).collect();
    assert_eq!(read, [("add", "The add"), ("write", "The write")]);
    let caller = token(&world, "read");
    assert!(calls(&world, &caller, "add").await, "nobody need have listed the tools");
    assert!(!calls(&world, &caller, "write").await && !calls(&world, &caller, "other").await);
}

#[tokio::test]
async fn what_only_a_person_was_told_is_unknown_to_the_next_process() {
    let list = result(9, &json!({"tools": [tool("hers", true)]}));
    for (is_restarted, passes) in [(false, true), (true, false)] {
        let mut world = mapped_by(READ, |_| ()).await;
        let mut caller = token(&world, "read");
        let lists = async |world: &World, caller: &str| {
            world.mcp.then([answer(JSON, &list)]);
            world.ask(&ask("tools/list", "2025-11-25", caller)).await.text().contains("hers")
        };
        assert!(lists(&world, &caller).await);
        if is_restarted {
            world = mapped_by(READ, |_| ()).await;
            caller = token(&world, "read");
        }
        assert_eq!(calls(&world, &caller, "hers").await, passes, "unknown counts as dangerous");
        assert!(lists(&world, &caller).await && calls(&world, &caller, "hers").await, "until the next list");
    }
}

#[tokio::test]
async fn it_asks_a_server_without_sessions_in_its_own_way() {
    let world = mapped_by(READ, |_| ()).await;
    let refused = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"unsupported"}}"#;
    world.mcp.then([answer("400 Bad Request\r\nContent-Type: application/json", refused)]);
    world
        .mcp
        .then([answer(JSON, &result(2, &json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}})))]);
    world.mcp.then([answer(JSON, &result(3, &json!({"tools": [tool("add", true)]})))]);
    world.list().await;
    assert_eq!(methods(&world), ["initialize", "server/discover", "tools/list"]);
    for request in &world.mcp.seen()[1..] {
        let message: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        assert_eq!(request.field("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(request.field("mcp-method"), message["method"].as_str());
    }
    assert_eq!(offered(&world, "anybody").await.unwrap().len(), 1);
}

#[tokio::test]
async fn where_it_may_not_list_it_knows_what_passes() {
    for head in ["401 Unauthorized", "403 Forbidden"] {
        let world = mapped_by(READ, |_| ()).await;
        world.mcp.then([answer(head, "")]);
        world.list().await;
        assert_eq!(methods(&world), ["initialize"], "{head}");
        assert_eq!(offered(&world, "anybody").await, None);
        world.mcp.then([answer(JSON, &result(9, &json!({"tools": [tool("add", true)]})))]);
        let made = world.make(MCP, "read");
        world.cache.insert(&made.record);
        world.ask(&ask("tools/list", "2025-11-25", &made.text)).await;
        assert_eq!(offered(&world, made.record.subject.as_str()).await.unwrap()[0].name, "add");
        assert_eq!(offered(&world, "anybody").await, None, "what one person was told is that person's");
    }
}

#[tokio::test]
async fn upstreams_are_not_asked_that_have_no_rules_or_do_not_want_it() {
    let passive = mapped_by(READ, |config| config.upstreams.iter_mut().for_each(|up| up.is_listed = false)).await;
    for world in [passive, World::new().await] {
        world.list().await;
        world.mcp.assert_nothing();
        world.api.assert_nothing();
    }
}

#[tokio::test]
async fn a_passing_note_of_a_change_makes_it_list_again() {
    let world = mapped_by(READ, |_| ()).await;
    let caller = token(&world, "read");
    world.mcp.then([answer(JSON, r#"{"jsonrpc":"2.0","id":"mcpgate","result":{}}"#)]);
    for _ in 0..3 {
        world.mcp.then([answer(JSON, &initialized(&json!({})))]);
        world.mcp.then([answer("202 Accepted", "")]);
    }
    let watch = world.watch();
    world.mcp.wait_for_requests(3).await;
    assert_eq!(methods(&world), ["ping", "initialize", "notifications/initialized"]);
    let note = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let pong = r#"{"jsonrpc":"2.0","id":9,"result":{}}"#;
    // The script is in the order of requests, so the caller's comes before that of the own client.
    let events = format!("data: {note}\n\ndata: {pong}\n\n");
    let streamed = vec![send(EVENTS), chunk(&events), chunk("")];
    let at_once = vec![answer("200 OK\r\nContent-Type: text/event-stream", &events)];
    for (acts, requests) in [(streamed, 6), (at_once, 9)] {
        world.mcp.then_first(acts);
        let reply = world.ask(&ask("ping", "2025-11-25", &caller)).await;
        assert!(reply.text().contains(note), "it passes: {}", reply.text());
        world.mcp.wait_for_requests(requests).await;
        assert_eq!(methods(&world)[requests - 2..], ["initialize", "notifications/initialized"]);
    }
    watch.abort();
}

#[tokio::test]
async fn an_upstream_that_was_down_is_listed_soon_after_it_is_found_again() {
    let address = super::free_address::free_address();
    let change = |config: &mut mcpgate::config::Config| {
        let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
        main.url.set_port(Some(address.port())).unwrap();
        main.url.set_path("/mcp");
    };
    let world = mapped_by(READ, change).await;
    let watch = world.watch();
    let caller = token(&world, "read");
    let ping = || ask("ping", "2025-11-25", &caller);
    // Long enough for the pauses of the own client to become longer than this test.
    while world.ask(&ping()).await.status != 502 {}
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    let upstream = super::upstream::Upstream::start_on(tokio::net::TcpListener::bind(address).await.unwrap());
    let moved = || [answer("307 Temporary Redirect\r\nLocation: /mcp/", "")];
    upstream.then([answer(JSON, r#"{"jsonrpc":"2.0","id":9,"result":{}}"#)]);
    upstream.then(moved());
    upstream.then([answer(JSON, r#"{"jsonrpc":"2.0","id":"mcpgate","result":{}}"#)]);
    upstream.then([answer(JSON, &initialized(&json!({"tools": {}})))]);
    upstream.then([answer("202 Accepted", "")]);
    upstream.then([answer(JSON, &result(2, &json!({"tools": [tool("add", true)]})))]);
    let begun = std::time::Instant::now();
    while world.ask(&ping()).await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    while offered(&world, "anybody").await.is_none() {
        assert!(begun.elapsed().as_secs() < 6, "{:?}", upstream.seen());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let lines: Vec<_> = upstream.seen().iter().map(|seen| seen.line.clone()).collect();
    assert_eq!(lines[..3], ["POST /mcp HTTP/1.1", "POST /mcp HTTP/1.1", "POST /mcp/ HTTP/1.1"]);
    assert!(lines[3..].iter().all(|line| line == "POST /mcp/ HTTP/1.1"), "it is listed where it answers: {lines:?}");
    watch.abort();
}
