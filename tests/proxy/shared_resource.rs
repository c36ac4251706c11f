//! Routes under one audience: one token is good for all of them, and each judges its own operations by its own map.

use std::time::Duration;

use mcpgate::config::Config;
use mcpgate::oauth::ResourceIndicator;
use serde_json::json;
use tokio::time::sleep;

use super::client::{RawRequest, Reply};
use super::reloads::{assert_open, get, hanging};
use super::upstream::answer;
use super::world::{ADA, ALPHA, MCP, PING, World, client, upstream};

const ORIGIN: &str = "https://gw.example";
const TOOLS: &str = "[[upstream.scope]]\nname = \"read\"\ntitle = \"T\"\nallow = [\"tools/list\", \"tools/call:look\"]\n\
                     [[upstream.scope]]\nname = \"pay\"\ntitle = \"T\"\nallow = [\"tools/call:pay\"]\n";
const PATHS: &str = "kind = \"http\"\n[[upstream.scope]]\nname = \"read\"\ntitle = \"T\"\nallow = [\"GET\"]\n\
                     [[upstream.scope]]\nname = \"pay\"\ntitle = \"T\"\nallow = [\"POST /payments/*\"]\n";

/// Puts the upstreams of these names under the origin.
fn share(config: &mut Config, names: &[&str]) {
    for shared in config.upstreams.iter_mut().filter(|upstream| names.contains(&upstream.name.as_str())) {
        let text = if shared.name == "api" { PATHS } else { TOOLS };
        let written = upstream(text);
        shared.resource = ResourceIndicator::parse(ORIGIN).unwrap();
        (shared.rules, shared.scopes, shared.required_scopes) =
            (written.rules, written.scopes, written.required_scopes);
    }
}

/// The MCP server and the plain HTTP service under the origin; the other MCP server has a resource of its own.
async fn shared() -> World {
    World::with(|config| share(config, &["main", "api"])).await
}

fn token(world: &World, scopes: &str) -> String {
    let made = world.make(ORIGIN, scopes);
    world.cache.insert(&made.record);
    made.text
}

fn call(tool: &str) -> RawRequest {
    let message = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": tool}});
    RawRequest::post(message.to_string())
}

async fn status(world: &World, request: RawRequest, token: &str) -> u16 {
    world.ask(&request.bearer(token)).await.status
}

fn metadata(reply: &Reply) -> &str {
    let challenge = reply.field("www-authenticate").expect("a challenge");
    challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a URL")
}

#[tokio::test]
async fn one_token_is_good_for_all_of_them_and_each_judges_by_its_own_map() {
    let world = shared().await;
    let (reading, paying) = (token(&world, "read"), token(&world, "read pay"));
    let seen = || world.mcp.seen().len() + world.api.seen().len();
    let passes = async |request: RawRequest, token: &str| {
        let before = seen();
        world.ask(&request.bearer(token)).await;
        seen() > before
    };
    // More than once and in turn: what a worker keeps of a caller is for one route.
    for _ in 0..3 {
        for (token, pays) in [(&reading, false), (&paying, true)] {
            let at = |method: &str| passes(RawRequest::new(method, "/api/payments/pay_123456"), token);
            assert!(passes(call("look"), token).await && at("GET").await);
            assert_eq!((passes(call("pay"), token).await, at("POST").await), (pays, pays));
            assert!(!passes(call("wipe"), token).await && !at("DELETE").await, "no scope opens them");
        }
    }
    for seen in [world.mcp.last(), world.api.last()] {
        let told = ["subject", "user", "client", "scopes"]
            .map(|name| seen.field(&format!("x-mcpgate-{name}")).map(str::to_owned));
        let expected = [ADA, "ada", client().as_str(), "pay read"].map(|text| Some(text.to_owned()));
        assert_eq!(told, expected, "{seen:?}");
    }
}

#[tokio::test]
async fn the_challenge_of_each_names_the_one_document() {
    let world = shared().await;
    let reading = token(&world, "read");
    let document = "https://gw.example/.well-known/oauth-protected-resource";
    for request in [
        RawRequest::post(PING),
        RawRequest::new("POST", "/mcp/").field("Content-Type", "application/json").body(PING),
        RawRequest::new("GET", "/api/reports"),
        RawRequest::new("GET", "/api/"),
        RawRequest::new("POST", "/api/payments/1").bearer(&reading),
        call("pay").bearer(&reading),
    ] {
        let reply = world.ask(&request).await;
        assert!(matches!(reply.status, 401 | 403), "{reply:?}");
        assert_eq!(metadata(&reply), document, "{request:?}");
    }
    let other = world.ask(&RawRequest::new("POST", "/mcp/alpha").body(PING)).await;
    assert_eq!(metadata(&other), "https://gw.example/.well-known/oauth-protected-resource/mcp/alpha");
}

#[tokio::test]
async fn tv_10_tv_11_a_token_of_another_resource_is_refused_by_all_of_them() {
    let world = shared().await;
    for resource in [ALPHA, MCP, "https://gw.example/api", "https://gw.example/other", "https://other.example"] {
        let made = world.make(resource, "read pay admin");
        world.cache.insert(&made.record);
        assert_eq!(status(&world, call("look"), &made.text).await, 401, "{resource}");
        assert_eq!(status(&world, RawRequest::new("GET", "/api/x"), &made.text).await, 401, "{resource}");
    }
    let made = world.make(ORIGIN, "read pay admin");
    world.cache.insert(&made.record);
    let alpha = RawRequest::new("POST", "/mcp/alpha").field("Content-Type", "application/json").body(PING);
    assert_eq!(status(&world, alpha, &made.text).await, 401, "not for every path of the origin");
    assert!(world.alpha.seen().is_empty() && world.mcp.seen().is_empty() && world.api.seen().is_empty());
}

#[tokio::test]
async fn hd_12_the_session_of_one_is_unknown_to_another() {
    let world = World::with(|config| share(config, &["main", "alpha"])).await;
    let token = token(&world, "read");
    world.mcp.then([answer(
        "200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: sid-1",
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    )]);
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    let opened = world.ask(&RawRequest::post(initialize).bearer(&token)).await;
    let session = opened.field("mcp-session-id").expect("a session").to_owned();
    let ping = |path: &str| {
        let request = RawRequest::new("POST", path).field("Content-Type", "application/json").body(PING);
        request.bearer(&token).field("Mcp-Session-Id", &session)
    };
    assert_eq!(world.ask(&ping("/mcp")).await.status, 200);
    assert_eq!(world.ask(&ping("/mcp/alpha")).await.status, 404);
    assert!(world.alpha.seen().is_empty());
}

#[tokio::test]
async fn a_user_has_one_budget_and_a_grant_leaves_out_a_tool_everywhere() {
    let world = World::with(|config| {
        share(config, &["main", "alpha"]);
        (config.rates.mcp_per_second, config.rates.mcp_burst) = (1, 2);
    })
    .await;
    let mut made = world.make(ORIGIN, "read");
    let tools = ["look".into()].into();
    made.record.exclusions = mcpgate::oauth::Exclusions::new(std::collections::BTreeSet::new(), tools).unwrap();
    world.cache.insert(&made.record);
    let at = |path: &str| {
        let message = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "look"}});
        RawRequest::new("POST", path).field("Content-Type", "application/json").body(message.to_string())
    };
    for (path, expected) in [("/mcp", 200), ("/mcp/alpha", 200), ("/mcp", 429), ("/mcp/alpha", 429)] {
        let reply = world.ask(&at(path).bearer(&made.text)).await;
        assert_eq!(reply.status, expected, "{path}");
        assert!(
            expected == 429 || String::from_utf8_lossy(&reply.body).contains("the user left this tool out"),
            "{reply:?}"
        );
    }
    assert!(world.mcp.seen().is_empty() && world.alpha.seen().is_empty());
}

#[tokio::test]
async fn a_reload_compares_an_answer_with_the_route_at_its_own_path() {
    let world = shared().await;
    let mut open = hanging(&world, &get().bearer(&token(&world, "read"))).await;
    world.adopt(|config| {
        let without = upstream(&PATHS.replace("read", "export")).rules;
        config.upstreams.iter_mut().filter(|up| up.name == "api").for_each(|up| up.rules.clone_from(&without));
    });
    sleep(Duration::from_millis(1200)).await;
    assert_open(&mut open, "what the other one opens does not matter").await;
    world.adopt(|config| config.upstreams.retain(|up| up.name != "main"));
    world.mcp.wait_for_closed(1).await;
}

#[tokio::test]
async fn what_is_told_of_one_of_them_names_it() {
    let world = World::with(|config| share(config, &["main", "alpha"])).await;
    let token = token(&world, "read");
    for path in ["/mcp", "/mcp/alpha"] {
        let message = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "wipe"}});
        let request = RawRequest::new("POST", path).field("Content-Type", "application/json").body(message.to_string());
        world.ask(&request.bearer(&token)).await;
    }
    assert!(world.mcp.seen().is_empty() && world.alpha.seen().is_empty());
    let refused = world.table().refused_operations().take_all();
    let mut told: Vec<_> = refused
        .iter()
        .map(|of| (of.operation.as_ref().expect("there is room").resource.as_str().to_owned(), of.count))
        .collect();
    told.sort();
    assert_eq!(told, [(MCP.to_owned(), 1), (ALPHA.to_owned(), 1)]);
    let kept = world.table().catalogues();
    for url in [MCP, ALPHA] {
        assert_eq!(kept.iter().filter(|of| of.resource.as_str() == url).count(), 1, "{url}");
    }
}

#[tokio::test]
async fn pages_of_an_upstreams_own_origin_may_call_at_that_origin_alone() {
    let own = "https://gw.example:3001";
    let world = World::with(|config| {
        let address = "127.0.0.1:3001".parse().expect("an address");
        config.own_listeners.push(mcpgate::config::OwnListener { public_url: own.to_owned(), address });
    })
    .await;
    for (origin, expected) in [(own, 403), ("https://gw.example", 200)] {
        let made = world.make(MCP, "use");
        world.cache.insert(&made.record);
        let reply = world.ask(&RawRequest::post(PING).field("Origin", origin).bearer(&made.text)).await;
        assert_eq!(reply.status, expected, "{origin}: {reply:?}");
    }
}
