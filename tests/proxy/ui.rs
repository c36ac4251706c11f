//! The `ui://` resources of tools, with which clients show what the tools return: who may call the tool may read them.

use mcpgate::catalogue::KnownTool;
use mcpgate::config::{Config, PinMode};
use mcpgate::mcp::ToolDefinition;
use mcpgate::policy::{Annotations, Said};
use serde_json::{Value, json};

use super::client::{RawRequest, Reply};
use super::lists::{ask, mapped_by, token};
use super::upstream::answer;
use super::world::{MCP, World};

const JSON: &str = "200 OK\r\nContent-Type: application/json";
const SCOPES: &[(&str, &[&str])] = &[
    ("list", &["tools/list", "resources/list"]),
    ("search", &["tools/call:search"]),
    ("write", &["tools/call:write"]),
    ("files", &["resources/read:file:///**"]),
];

fn result(result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 9, "result": result}).to_string()
}

fn tools() -> Value {
    json!({"tools": [
        {"name": "search", "_meta": {"ui": {"resourceUri": "ui://search/page"}}},
        {"name": "write", "_meta": {"openai/outputTemplate": "ui://write/page", "ui/resourceUri": "ui://write/old"}},
    ]})
}

fn resources(uris: &[&str]) -> Value {
    json!({"resources": uris.iter().map(|uri| json!({"uri": uri})).collect::<Vec<_>>()})
}

const ALL: [&str; 5] = ["ui://search/page", "ui://write/page", "ui://write/old", "ui://other", "file:///a"];

async fn lists(world: &World, token: &str, method: &str, list: &Value) -> Value {
    world.mcp.then([answer(JSON, &result(list))]);
    world.ask(&ask(method, "2025-11-25", token)).await.json()["result"].take()
}

async fn read(world: &World, token: &str, uri: &str) -> Reply {
    let read = json!({"jsonrpc": "2.0", "id": 9, "method": "resources/read", "params": {"uri": uri}});
    world.ask(&RawRequest::post(read.to_string()).bearer(token)).await
}

/// Checks that a caller sees and reads these of the resources, and no other.
async fn assert_reads(world: &World, token: &str, uris: &[&str]) {
    assert_eq!(lists(world, token, "resources/list", &resources(&ALL)).await, resources(uris));
    for uri in ALL {
        let before = world.mcp.seen().len();
        let reply = read(world, token, uri).await;
        assert_eq!(world.mcp.seen().len() > before, uris.contains(&uri), "{uri}: {reply:?}");
    }
}

#[tokio::test]
async fn what_opens_a_tool_opens_the_resource_that_it_names() {
    let world = mapped_by(SCOPES, |_| ()).await;
    let (search, write) = (token(&world, "list search"), token(&world, "list write files"));
    // Nothing is known of the tools yet.
    assert_reads(&world, &search, &[]).await;
    assert_eq!(read(&world, &search, "ui://search/page").await.json()["error"]["code"], -32601);
    lists(&world, &search, "tools/list", &tools()).await;
    assert_reads(&world, &search, &["ui://search/page"]).await;
    assert_reads(&world, &write, &["ui://write/page", "ui://write/old", "file:///a"]).await;
    // The challenge names what would open the tool.
    let reply = read(&world, &search, "ui://write/page").await;
    assert_eq!(reply.status, 403, "{reply:?}");
    assert!(reply.field("www-authenticate").unwrap().ends_with("scope=\"list search write\""), "{reply:?}");
    // The latest list counts.
    let moved = json!({"tools": [{"name": "search", "_meta": {"ui": {"resourceUri": "ui://other"}}}]});
    lists(&world, &search, "tools/list", &moved).await;
    assert_reads(&world, &search, &["ui://other"]).await;
}

#[tokio::test]
async fn what_one_person_was_told_opens_nothing_to_another() {
    let world = mapped_by(SCOPES, |_| ()).await;
    let ada = token(&world, "list search");
    let made = world.make_for(MCP, "list search", "bob-0001");
    world.cache.insert(&made.record);
    lists(&world, &ada, "tools/list", &tools()).await;
    assert_reads(&world, &ada, &["ui://search/page"]).await;
    assert_reads(&world, &made.text, &[]).await;
}

#[tokio::test]
async fn what_the_gateway_listed_itself_serves_everybody_from_the_handshake_on() {
    let world = mapped_by(SCOPES, |_| ()).await;
    let (search, few) = (token(&world, "search"), token(&world, "files"));
    let capabilities = json!({"tools": {}, "resources": {}});
    let begun = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {"name": "x"}});
    let initialize = async |token: &str| {
        world.mcp.then([answer(JSON, &result(&begun))]);
        world.ask(&ask("initialize", "2025-11-25", token)).await.json()["result"]["capabilities"].take()
    };
    assert_eq!(initialize(&search).await, json!({"tools": {}}), "no resource is known that it may read");
    let numbered = |id: u32, result: &Value| json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    world.mcp.then([answer(JSON, &numbered(1, &begun))]);
    world.mcp.then([answer("202 Accepted", "")]);
    world.mcp.then([answer(JSON, &numbered(2, &tools()))]);
    world.mcp.then([answer(JSON, &numbered(3, &resources(&ALL)))]);
    world.mcp.then([answer("404 Not Found", "")]);
    world.list().await;
    assert_eq!(initialize(&search).await, capabilities);
    assert_eq!(initialize(&few).await, json!({"resources": {}}));
    let list = token(&world, "list search");
    assert_reads(&world, &list, &["ui://search/page"]).await;
}

#[tokio::test]
async fn a_tool_that_is_held_opens_nothing() {
    let pin = |config: &mut Config| config.upstreams.iter_mut().for_each(|upstream| upstream.pin = PinMode::Hold);
    let world = mapped_by(SCOPES, pin).await;
    let entry = &tools()["tools"][0];
    let stored = KnownTool {
        name: "search".to_owned(),
        said: Some(Said::only(Annotations::UNKNOWN)),
        pinned: Some(ToolDefinition::of(entry)),
    };
    for of in world.table().catalogues() {
        of.catalogue.adopt(std::slice::from_ref(&stored));
    }
    let token = token(&world, "list search write");
    // `write` was never pinned.
    lists(&world, &token, "tools/list", &tools()).await;
    assert_reads(&world, &token, &["ui://search/page"]).await;
    let mut changed = tools();
    changed["tools"][0]["description"] = "Searches and sends.".into();
    lists(&world, &token, "tools/list", &changed).await;
    assert_reads(&world, &token, &[]).await;
}
