//! Completions propose only what the caller may read.

use std::time::Duration;

use mcpgate::config::UpstreamKind;
use serde_json::{Value, json};

use super::client::RawRequest;
use super::rules::{ruled, rules, token};
use super::upstream::{Act, EVENTS, answer, chunk, send};
use super::world::{MCP, World};

const JSON: &str = "200 OK\r\nContent-Type: application/json";
const TABLES: &str = r#"
[[upstream.scope]]
name = "all"
title = "All"
allow = ["*"]
[[upstream.scope]]
name = "public"
title = "Public files"
allow = ["completion/complete", "resources/read:file:///public/**", "prompts/get"]
[[upstream.rule]]
effect = "deny"
operations = ["resources/read:file:///private/**", "resources/read:file:///public/hidden/**", "resources/read:file:///public/secret*"]
scopes = ["public"]
"#;

fn resource(uri: &str) -> Value {
    json!({"type": "ref/resource", "uri": uri})
}

fn complete(id: u32, reference: &Value, argument: &str, others: &Value) -> Value {
    let argument = json!({"name": argument, "value": ""});
    let params = json!({"ref": reference, "argument": argument, "context": {"arguments": others}});
    json!({"jsonrpc": "2.0", "id": id, "method": "completion/complete", "params": params})
}

fn completed(id: u32, values: &[&str]) -> Value {
    let completion = json!({"values": values, "total": values.len(), "hasMore": false});
    json!({"jsonrpc": "2.0", "id": id, "result": {"completion": completion}})
}

fn event(data: &Value) -> String {
    format!("event: message\nid: e1\ndata: {data}\n\n")
}

fn post(body: &Value, token: &str, version: &str) -> RawRequest {
    let ask = RawRequest::post(body.to_string()).bearer(token).field("MCP-Protocol-Version", version);
    ask.field("Mcp-Method", "completion/complete").field("Accept", "application/json, text/event-stream")
}

/// The answer to a caller, which is the same in JSON and in an event.
async fn shown(world: &World, (token, version): (&str, &str), ask: &Value, given: &Value) -> Value {
    world.mcp.then([answer(JSON, &given.to_string())]);
    let reply = world.ask(&post(ask, token, version)).await.json();
    world.mcp.then([send(EVENTS), chunk(&event(given)), chunk("")]);
    assert_eq!(world.ask(&post(ask, token, version)).await.text(), event(&reply));
    reply
}

#[tokio::test]
async fn sc_11_a_completion_proposes_what_the_caller_may_read_and_nothing_else() {
    let world = ruled(UpstreamKind::Mcp, TABLES).await;
    let (all, public) = (token(&world, MCP, "all"), token(&world, MCP, "public"));
    let (none, hidden) = (json!({}), json!({"dir": "hidden"}));
    let one = resource("file:///public/{name}");
    let two = resource("file:///public/{dir}/{name}");
    for (reference, argument, others, values, left) in [
        (&one, "name", &none, vec!["a", "secret-1", "b c", "d/e", "Secret", "../private/x"], vec!["a", "b c", "d/e"]),
        (&resource("file:///public/{+name}"), "name", &none, vec!["a", "hidden/b", "c/d"], vec!["a", "c/d"]),
        (&resource("file:///public/hidden{/name}"), "name", &none, vec!["a"], vec![]),
        // Whether any resource of it may be read: of this folder none.
        (&two, "dir", &none, vec!["hidden", "docs", "secret"], vec!["docs", "secret"]),
        (&two, "name", &hidden, vec!["a", "b"], vec![]),
        (&two, "name", &json!({"dir": "docs"}), vec!["a", "secret"], vec!["a", "secret"]),
        (&two, "name", &none, vec!["a", "secret"], vec!["a", "secret"]),
        (&json!({"type": "ref/prompt", "name": "greet"}), "name", &none, vec!["secret-1"], vec!["secret-1"]),
    ] {
        let ask = complete(9, reference, argument, others);
        for version in ["2025-06-18", "2025-11-25"] {
            let given = completed(9, &values);
            assert_eq!(shown(&world, (&public, version), &ask, &given).await, completed(9, &left), "{ask}");
            assert_eq!(shown(&world, (&all, version), &ask, &given).await, given, "{ask}");
        }
    }
}

#[tokio::test]
async fn sc_11_each_completion_of_a_batch_is_judged_for_itself() {
    let world = ruled(UpstreamKind::Mcp, TABLES).await;
    let public = token(&world, MCP, "public");
    let (uri, prompt) = (resource("file:///public/{name}"), json!({"type": "ref/prompt", "name": "greet"}));
    let ask = json!([complete(1, &uri, "name", &json!({})), complete(2, &prompt, "name", &json!({}))]);
    let values = ["a", "secret-1"];
    let given = json!([completed(2, &values), completed(1, &values), completed(3, &values)]);
    let left = json!([completed(2, &values), completed(1, &["a"]), completed(3, &[])]);
    assert_eq!(shown(&world, (&public, "2025-03-26"), &ask, &given).await, left);
}

#[tokio::test]
async fn sc_11_what_was_asked_for_elsewhere_is_shown_to_those_who_may_read_everything() {
    let world = ruled(UpstreamKind::Mcp, TABLES).await;
    let (all, public) = (token(&world, MCP, "all"), token(&world, MCP, "public"));
    let given = completed(9, &["a", "secret-1"]);
    let ask = complete(9, &resource("file:///public/{name}"), "name", &json!({}));
    let mut large = ask.clone();
    large["params"]["_meta"] = json!({"x": "x".repeat(8192)});
    for (token, left) in [(&all, &given), (&public, &completed(9, &[]))] {
        world.mcp.then([send(EVENTS), chunk(&event(&given)), chunk("")]);
        let resume = RawRequest::new("GET", "/mcp").bearer(token).field("Last-Event-ID", "e0");
        assert_eq!(world.ask(&resume.field("Accept", "text/event-stream")).await.text(), event(left));
        // Of a large request nothing is kept.
        world.mcp.then([answer(JSON, &given.to_string())]);
        assert_eq!(world.ask(&post(&large, token, "2025-11-25")).await.json(), *left);
    }
}

#[tokio::test]
async fn sc_11_a_completion_is_judged_where_the_client_gets_the_head_before_the_upstream_answers() {
    let world = World::with(|config| {
        config.timeouts.sse_keep_alive = Duration::from_millis(50);
        for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.kind == UpstreamKind::Mcp) {
            upstream.rules = rules(TABLES);
        }
    })
    .await;
    let given = completed(9, &["a", "secret-1"]);
    let ask = complete(9, &resource("file:///public/{name}"), "name", &json!({}));
    for (scope, left) in [("all", &given), ("public", &completed(9, &["a"]))] {
        let token = token(&world, MCP, scope);
        world.mcp.then([Act::Wait(Duration::from_millis(200)), send(EVENTS), chunk(&event(&given)), chunk("")]);
        let reply = world.ask(&post(&ask, &token, "2025-11-25")).await;
        assert_eq!(reply.text().replace(":\n\n", ""), event(left));
    }
}
