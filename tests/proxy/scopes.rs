//! SC: what the scopes of a token open, by the map of its upstream. For every refusal, the tests also check that the
//! upstream received nothing.

use std::sync::Arc;

use mcpgate::config::UpstreamKind;
use mcpgate::oauth::{AccessTokenRecord, ClientOrigin, ScopeToken};
use mcpgate::policy::{Pattern, Rules, ScopeRule};
use serde_json::json;

use super::client::{RawRequest, Reply};
use super::records;
use super::world::{API, MCP, World};

/// A world whose first upstream has a map, and the plain HTTP service too.
async fn mapped() -> World {
    World::with(|config| {
        for upstream in &mut config.upstreams {
            let scopes: &[(&str, &[&str], &[&str])] = match upstream.kind {
                UpstreamKind::Http => &[("read", &["GET"], &[]), ("write", &["* /reports/**"], &["read"])],
                UpstreamKind::Mcp => &[
                    ("list", &["tools/list"], &[]),
                    ("search", &["tools/call:search_*"], &["list"]),
                    ("write", &["tools/call:write"], &[]),
                    ("logs", &["logging/setLevel"], &[]),
                ],
            };
            let rule = |(name, allow, includes): &(&str, &[&str], &[&str])| ScopeRule {
                name: ScopeToken::parse(name).unwrap(),
                sensitive: false,
                allow: allow.iter().map(|text| pattern(upstream.kind, text)).collect(),
                includes: includes.iter().map(|name| ScopeToken::parse(name).unwrap()).collect(),
            };
            upstream.rules = Some(Arc::new(Rules::compile(&scopes.iter().map(rule).collect::<Vec<_>>())));
        }
    })
    .await
}

fn pattern(kind: UpstreamKind, text: &str) -> Pattern {
    match kind {
        UpstreamKind::Mcp => Pattern::of_mcp(text).unwrap(),
        UpstreamKind::Http => Pattern::of_http(text).unwrap(),
    }
}

fn token(world: &World, resource: &str, scopes: &str) -> String {
    let made = world.make(resource, scopes);
    world.cache.insert(&made.record);
    made.text
}

fn call(name: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": name}}).to_string()
}

fn plain(method: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 9, "method": method}).to_string()
}

fn assert_403s(reply: &Reply, scope: &str) {
    assert_eq!(reply.status, 403, "{reply:?}");
    let challenge = reply.field("www-authenticate").unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"insufficient_scope\", error_description=\"this needs"),
        "{challenge}"
    );
    assert!(challenge.contains("resource_metadata=\"https://gw.example/.well-known/oauth-protected-resource/"));
    assert!(challenge.ends_with(&format!(", scope=\"{scope}\"")), "{scope}: {challenge}");
    assert_eq!(reply.field("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn sc_01_a_call_that_no_held_scope_opens_is_challenged_with_the_one_that_does() {
    let world = mapped().await;
    let list = token(&world, MCP, "list");
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let ask = |body: &str| RawRequest::post(body).bearer(&list).field("MCP-Protocol-Version", version);
        let reply = world.ask(&ask(&call("write"))).await;
        assert_403s(&reply, "list write");
        reply.assert_rpc(403, -32003, json!(9));
        let text = "this needs the scope write, which the token lacks: authorize again";
        assert_eq!(reply.json()["error"]["message"], text);
        world.mcp.assert_nothing();
    }
    for body in [plain("tools/list"), plain("initialize"), plain("ping"), plain("notifications/initialized")] {
        assert_eq!(world.ask(&RawRequest::post(&body).bearer(&list)).await.status, 200, "{body}");
        assert_eq!(world.mcp.last().body, body.as_bytes());
    }
    let both = token(&world, MCP, "list write");
    assert_eq!(world.ask(&RawRequest::post(call("write")).bearer(&both)).await.status, 200);
}

#[tokio::test]
async fn sc_02_two_missing_scopes_are_in_one_challenge() {
    let world = mapped().await;
    world.reload(|config| {
        let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
        main.required_scopes = records::scopes("logs");
    });
    let list = token(&world, MCP, "list");
    assert_403s(&world.ask(&RawRequest::post(call("write")).bearer(&list)).await, "list logs write");
    // Each message of a batch counts, and the scopes of others do not.
    let other = token(&world, MCP, "list logs gone");
    let batch = format!("[{},{}]", call("write"), call("search_web"));
    assert_403s(&world.ask(&RawRequest::post(&batch).bearer(&other)).await, "list logs search write");
    world.mcp.assert_nothing();
    let all = token(&world, MCP, "logs search write");
    assert_eq!(world.ask(&RawRequest::post(&batch).bearer(&all)).await.status, 200);
}

#[tokio::test]
async fn sc_03_a_scope_does_what_those_do_that_it_includes() {
    let world = mapped().await;
    let search = token(&world, MCP, "search");
    for body in [plain("tools/list"), call("search_web")] {
        assert_eq!(world.ask(&RawRequest::post(&body).bearer(&search)).await.status, 200, "{body}");
    }
    assert_eq!(world.mcp.last().field("x-mcpgate-scopes"), Some("search"));
}

#[tokio::test]
async fn sc_08_what_is_judged_is_what_the_upstream_reads() {
    let world = mapped().await;
    let token = token(&world, MCP, "search");
    let modern = |body: &str, method: &str, name: &str| {
        RawRequest::modern(body).bearer(&token).field("Mcp-Method", method).field("Mcp-Name", name)
    };
    let escaped = call("write").replace("write", "\\u0077rite");
    assert_403s(&world.ask(&RawRequest::post(&escaped).bearer(&token)).await, "search write");
    assert_403s(&world.ask(&modern(&call("write"), "tools/call", "write")).await, "search write");
    // Headers that name an allowed tool do not help.
    for (method, name) in [("tools/call", "search_web"), ("tools/list", "write")] {
        world.ask(&modern(&call("write"), method, name)).await.assert_rpc(400, -32020, json!(9));
    }
    let twice = call("write").replace(r#""name":"write""#, r#""name":"search_a","name":"write""#);
    world.ask(&RawRequest::post(&twice).bearer(&token)).await.assert_rpc(400, -32600, json!(9));
    // A call without an id, and one in a form that only a lenient server understands.
    let silent = call("write").replace(r#""id":9,"#, "");
    assert_403s(&world.ask(&RawRequest::post(&silent).bearer(&token)).await, "search write");
    let lenient = call("search_a").replace(r#"{"name":"search_a"}"#, r#"["search_a"]"#);
    world.ask(&RawRequest::post(&lenient).bearer(&token)).await.assert_rpc(200, -32601, json!(9));
    world.mcp.assert_nothing();
    assert_eq!(world.ask(&modern(&call("search_web"), "tools/call", "search_web")).await.status, 200);
}

#[tokio::test]
async fn sc_09_what_no_scope_opens_is_refused_without_a_challenge() {
    let world = mapped().await;
    let token = token(&world, MCP, "list search write logs");
    for body in [plain("x/unknown"), plain("resources/list"), call("delete"), plain("Tools/list")] {
        let reply = world.ask(&RawRequest::post(&body).bearer(&token)).await;
        reply.assert_rpc(200, -32601, json!(9));
        assert_eq!(reply.field("www-authenticate"), None, "a login would not help");
    }
    let batch = format!("[{},{}]", plain("ping"), plain("x/unknown"));
    world.mcp.assert_nothing();
    let reply = world.ask(&RawRequest::post(&batch).bearer(&token)).await;
    assert_eq!((reply.status, &reply.json()[0]["error"]["code"]), (200, &json!(-32601)), "{reply:?}");
    assert_eq!(reply.field("www-authenticate"), None);
    assert_eq!(world.mcp.last().body, format!("[{}]", plain("ping")).into_bytes());
}

#[tokio::test]
async fn sc_09_a_scope_that_the_client_may_not_ask_for_is_not_asked_for() {
    let world = mapped().await;
    let limited = |resource: &str, scopes: &str, limit: &str| {
        let made = world.make(resource, scopes);
        let client_limit = Some(records::scopes(limit));
        let client_origin = ClientOrigin::Manual;
        world.cache.insert(&AccessTokenRecord { client_limit, client_origin, ..made.record.clone() });
        made.text
    };
    let list = limited(MCP, "list", "list write");
    let reply = world.ask(&RawRequest::post(call("search_web")).bearer(&list)).await;
    reply.assert_rpc(200, -32601, json!(9));
    assert_eq!(reply.field("www-authenticate"), None, "a login would not help");
    assert_403s(&world.ask(&RawRequest::post(call("write")).bearer(&list)).await, "list write");
    let read = limited(API, "read", "read");
    let reply = world.ask(&RawRequest::new("POST", "/api/reports/1").bearer(&read)).await;
    assert_eq!((reply.status, reply.field("www-authenticate")), (403, None), "{reply:?}");
    world.reload(|config| {
        let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
        main.required_scopes = records::scopes("logs");
    });
    let reply = world.ask(&RawRequest::post(plain("tools/list")).bearer(&list)).await;
    reply.assert_rpc(403, -32601, json!(9));
    assert_eq!(reply.field("www-authenticate"), None, "a login would not help");
    world.mcp.assert_nothing();
    world.api.assert_nothing();
    // What the token has keeps its force.
    let search = limited(MCP, "search logs", "list logs");
    assert_eq!(world.ask(&RawRequest::post(call("search_web")).bearer(&search)).await.status, 200);
}

#[tokio::test]
async fn a_token_without_any_scope_of_the_upstream_does_nothing_there() {
    let world = mapped().await;
    let token = token(&world, MCP, "gone");
    assert_403s(&world.ask(&RawRequest::post(plain("initialize")).bearer(&token)).await, "list");
    for method in ["GET", "DELETE"] {
        assert_403s(&world.ask(&RawRequest::new(method, "/mcp").bearer(&token)).await, "list");
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn sc_01_sc_03_http_requests_are_opened_by_method_and_path() {
    let world = mapped().await;
    let (read, write) = (token(&world, API, "read"), token(&world, API, "write"));
    let ask = |method: &str, path: &str, token: &str| RawRequest::new(method, path).bearer(token);
    let reply = world.ask(&ask("DELETE", "/api/reports/1", &read)).await;
    assert_403s(&reply, "read write");
    assert_eq!(reply.json()["error"], "insufficient_scope");
    let reply = world.ask(&ask("DELETE", "/api/other", &write)).await;
    assert_eq!((reply.status, reply.field("www-authenticate")), (403, None), "{reply:?}");
    for path in ["/api/reports/../other", "/api/reports/%2e%2e/other", "/api/reports%2fx"] {
        assert_eq!(world.ask(&ask("DELETE", path, &write)).await.status, 400, "{path}");
    }
    world.api.assert_nothing();
    for (method, path, token) in [
        ("GET", "/api/reports/1?x=/../y", &read),
        ("GET", "/api", &read),
        ("DELETE", "/api/reports/1", &write),
        ("GET", "/api/other", &write),
    ] {
        assert_eq!(world.ask(&ask(method, path, token)).await.status, 200, "{method} {path}");
    }
}

#[tokio::test]
async fn a_reload_changes_what_a_scope_opens_at_once() {
    let world = mapped().await;
    let list = token(&world, MCP, "list");
    let ask = RawRequest::post(plain("tools/list")).bearer(&list);
    assert_eq!(world.ask(&ask).await.status, 200);
    world.reload(|config| {
        for upstream in &mut config.upstreams {
            let rule = ScopeRule {
                name: ScopeToken::parse("list").unwrap(),
                sensitive: false,
                allow: vec![Pattern::of_mcp("prompts/list").unwrap()],
                includes: Vec::new(),
            };
            upstream.rules = Some(Arc::new(Rules::compile(&[rule])));
        }
    });
    world.ask(&ask).await.assert_rpc(200, -32601, json!(9));
    world.reload(|config| config.upstreams.iter_mut().for_each(|upstream| upstream.rules = None));
    assert_eq!(world.ask(&ask).await.status, 200);
}

#[tokio::test]
async fn a_client_that_asks_again_and_again_gets_words_instead_of_a_challenge() {
    let world = mapped().await;
    let (list, other, read) = (token(&world, MCP, "list"), token(&world, MCP, "list"), token(&world, API, "read"));
    let write = RawRequest::post(call("write")).bearer(&list);
    for _ in 0..4 {
        assert_403s(&world.ask(&write).await, "list write");
    }
    world.reload(|config| config.rates.mcp_burst += 1);
    for _ in 0..2 {
        let reply = world.ask(&write).await;
        reply.assert_rpc(200, -32003, json!(9));
        assert_eq!(reply.field("www-authenticate"), None, "a client would begin another login");
        let text = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(text.starts_with("this needs the scope write, which the token lacks. "), "{text}");
        assert!(text.contains("connect this application again"), "{text}");
    }
    // What else it lacks, and what others lack, is another matter.
    assert_403s(&world.ask(&RawRequest::post(call("search_web")).bearer(&list)).await, "list search");
    assert_403s(&world.ask(&RawRequest::post(call("write")).bearer(&other)).await, "list write");
    let delete = RawRequest::new("DELETE", "/api/reports/1").bearer(&read);
    for _ in 0..4 {
        assert_403s(&world.ask(&delete).await, "read write");
    }
    let reply = world.ask(&delete).await;
    assert_eq!((reply.status, reply.field("www-authenticate")), (403, None));
    assert_eq!(reply.json()["error"], "insufficient_scope");
    world.mcp.assert_nothing();
    world.api.assert_nothing();
}
