//! What a user left unticked is neither listed nor called.

use std::sync::Arc;

use mcpgate::oauth::{Exclusions, ScopeToken, ToolKind};
use mcpgate::policy::{Pattern, Rules, ScopeRule};
use serde_json::json;

use super::client::{RawRequest, Reply};
use super::upstream::answer;
use super::world::{MCP, World};

const JSON: &str = "200 OK\r\nContent-Type: application/json";
const TOOLS: &str = r#"{"jsonrpc":"2.0","id":9,"result":{"tools":[{"name":"read"},{"name":"delete"}]}}"#;

async fn world() -> World {
    World::with(|config| {
        let scope = ScopeRule {
            name: ScopeToken::parse("all").unwrap(),
            sensitive: false,
            allow: vec![Pattern::of_mcp("*").unwrap()],
            includes: Vec::new(),
        };
        let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
        main.rules = Some(Arc::new(Rules::compile(&[scope])));
    })
    .await
}

fn token(world: &World, left_out: &[&str]) -> String {
    token_of(world, &[], left_out)
}

fn token_of(world: &World, kinds: &[ToolKind], tools: &[&str]) -> String {
    let mut made = world.make(MCP, "all");
    let groups = kinds.iter().map(|kind| (ScopeToken::parse("all").unwrap(), *kind)).collect();
    let tools = tools.iter().map(|tool| Box::from(*tool)).collect();
    made.record.exclusions = Exclusions::new(groups, tools).unwrap();
    world.cache.insert(&made.record);
    made.text
}

fn call(name: &str) -> serde_json::Value {
    json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": name}})
}

async fn post(world: &World, token: &str, body: &serde_json::Value, version: &str) -> Reply {
    let ask = RawRequest::post(body.to_string()).bearer(token).field("MCP-Protocol-Version", version);
    world.ask(&ask.field("Accept", "application/json, text/event-stream")).await
}

#[tokio::test]
async fn cn_21_an_unticked_tool_is_neither_listed_nor_called() {
    let world = world().await;
    let (some, all) = (token(&world, &["delete"]), token(&world, &[]));
    let list = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": {}});
    for (token, expected) in [(&some, vec!["read"]), (&all, vec!["read", "delete"])] {
        world.mcp.then([answer(JSON, TOOLS)]);
        let listed = post(&world, token, &list, "2025-06-18").await.json();
        let names: Vec<_> = listed["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, expected);
    }
    let before = world.mcp.seen().len();
    let refused = post(&world, &some, &call("delete"), "2025-06-18").await;
    let said = refused.text();
    assert!(refused.status == 200 && said.contains("left this tool out") && said.contains("-32602"), "{said}");
    assert_eq!(world.mcp.seen().len(), before, "nothing was forwarded");
    let batch = json!([call("read"), call("delete")]);
    let reply = post(&world, &some, &batch, "2025-03-26").await;
    assert!(reply.text().starts_with('[') && reply.text().contains("left this tool out"), "{reply:?}");
    assert_eq!(world.mcp.last().body, json!([call("read")]).to_string().into_bytes());
    for (token, name) in [(&some, "read"), (&all, "delete")] {
        world.mcp.then([answer(JSON, r#"{"jsonrpc":"2.0","id":9,"result":{}}"#)]);
        let reply = post(&world, token, &call(name), "2025-06-18").await;
        assert_eq!((reply.status, &reply.json()["result"]), (200, &json!({})), "{name}");
    }
}

#[tokio::test]
async fn a_kind_that_was_left_out_covers_the_tools_that_say_so_or_of_which_nothing_is_known() {
    let world = world().await;
    let caller = token_of(&world, &[ToolKind::Destructive], &[]);
    let tools = r#"{"name":"read","annotations":{"readOnlyHint":true}},{"name":"add","annotations":{"destructiveHint":false}},{"name":"silent"}"#;
    world.mcp.then([answer(JSON, &format!(r#"{{"jsonrpc":"2.0","id":9,"result":{{"tools":[{tools}]}}}}"#))]);
    let list = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": {}});
    let listed = post(&world, &caller, &list, "2025-11-25").await.json();
    let names: Vec<_> = listed["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["read", "add"], "a tool that says nothing of itself may destroy");
    for (name, passes) in [("read", true), ("add", true), ("silent", false), ("later", false)] {
        let before = world.mcp.seen().len();
        if passes {
            world.mcp.then([answer(JSON, r#"{"jsonrpc":"2.0","id":9,"result":{}}"#)]);
        }
        let reply = post(&world, &caller, &call(name), "2025-11-25").await;
        assert_eq!(world.mcp.seen().len() > before, passes, "{name}: {reply:?}");
    }
    // What says nothing of itself is known, so leaving out another kind does not cover it.
    let other = token_of(&world, &[ToolKind::Reading], &[]);
    world.mcp.then([answer(JSON, r#"{"jsonrpc":"2.0","id":9,"result":{}}"#)]);
    assert!(post(&world, &other, &call("silent"), "2025-11-25").await.json()["result"].is_object());
    assert!(post(&world, &other, &call("later"), "2025-11-25").await.text().contains("left this tool out"));
}
