//! SC: what a token may do at an upstream whose scopes say what they allow.

use std::sync::LazyLock;

use hyper::Method;
use serde_json::json;

use crate::shared::Shared;
use crate::support::client::{Client, Reply, request};
use crate::support::gateway::{self, Gateway};
use crate::support::upstream::Upstream;

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let upstream = Upstream::start();
    let config = format!(
        r#"
[[upstream]]
name = "tools"
path = "/mcp"
url = "{url}"
scopes = "mcp"

[[upstream.scope]]
name = "search"
title = "Search"
allow = ["tools/call:search_*"]
includes = ["mcp:tools:read"]

[[upstream]]
name = "files"
path = "/files"
kind = "http"
url = "{url}"
required_scopes = ["files:use"]

[[upstream.scope]]
name = "files:use"
title = "Use files"
allow = ["GET /public/**"]

[[upstream.scope]]
name = "files:write"
title = "Change files"
allow = ["* /public/**"]
sensitive = true
"#,
        url = upstream.url
    );
    Shared { home: gateway::shared(&config, None), upstream }
});

async fn gateway() -> &'static Shared {
    SHARED.home.wait_until_healthy().await;
    &SHARED
}

fn token(upstream: &str, scope: &str) -> String {
    let words = ["token", "issue", "--user", "admin", "--upstream", upstream, "--scope", scope];
    SHARED.home.command(&words)["access_token"].as_str().expect("a token").to_owned()
}

async fn ask(token: &str, headers: &[(&str, &str)], body: String) -> Reply {
    let authorization = format!("Bearer {token}");
    let mut all = vec![("authorization", &*authorization), ("content-type", "application/json")];
    all.extend([("accept", "application/json, text/event-stream")]);
    all.extend(headers);
    Client::new(&gateway().await.home).send(request(Method::POST, "/mcp", &all, body)).await
}

fn call(tool: &str, marker: &str) -> String {
    json!({"jsonrpc": "2.0", "id": marker, "method": "tools/call", "params": {"name": tool}}).to_string()
}

#[tokio::test]
async fn an_unticked_scope_of_the_demo_has_no_force() {
    let gateway = Gateway::start().await;
    let words = ["token", "issue", "--user", "admin", "--scope", "mcp:read"];
    let authorization = format!("Bearer {}", gateway.home.command(&words)["access_token"].as_str().expect("a token"));
    let headers = [
        ("authorization", &*authorization),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let asked = request(Method::POST, "/mcp", &headers, call("add_note", "demo"));
    challenged(&Client::new(&gateway.home).send(asked).await, "mcp:read mcp:write");
}

fn challenged(reply: &Reply, scope: &str) {
    assert_eq!(reply.status, 403, "{reply:?}");
    let challenge = reply.header("www-authenticate");
    let is_whole = challenge.starts_with("Bearer error=\"insufficient_scope\"")
        && challenge.contains("/.well-known/oauth-protected-resource/")
        && challenge.ends_with(&format!(", scope=\"{scope}\""));
    assert!(is_whole, "{scope}: {challenge}");
}

#[tokio::test]
async fn sc_01_a_token_that_may_list_tools_calls_none() {
    let shared = gateway().await;
    let list = token("tools", "mcp:tools:read");
    let reply = ask(&list, &[], call("search_web", "sc-01")).await;
    challenged(&reply, "mcp:tools:execute mcp:tools:read");
    assert_eq!(reply.json()["id"], "sc-01");
    assert!(reply.json()["error"]["message"].as_str().is_some_and(|text| text.contains("mcp:tools:execute")));
    assert!(shared.upstream.seen("sc-01").is_empty());
    let listed = json!({"jsonrpc": "2.0", "id": "sc-01", "method": "tools/list"}).to_string();
    assert_eq!(ask(&list, &[], listed).await.status, 200);
    assert_eq!(ask(&token("tools", "mcp:tools:execute"), &[], call("search_web", "sc-01")).await.status, 200);
    assert_eq!(shared.upstream.seen("sc-01").len(), 2);
}

#[tokio::test]
async fn sc_02_two_missing_scopes_are_in_one_challenge() {
    let shared = gateway().await;
    let read = token("tools", "mcp:server:read");
    let listed = json!({"jsonrpc": "2.0", "id": "sc-02", "method": "resources/list"}).to_string();
    let batch = format!("[{},{listed}]", call("write", "sc-02"));
    let reply = ask(&read, &[("mcp-protocol-version", "2025-03-26")], batch).await;
    challenged(&reply, "mcp:resources:read mcp:server:read mcp:tools:execute");
    assert!(shared.upstream.seen("sc-02").is_empty());
}

#[tokio::test]
async fn sc_03_a_scope_does_what_those_do_that_it_includes() {
    let search = token("tools", "search");
    let listed = json!({"jsonrpc": "2.0", "id": "sc-03", "method": "tools/list"}).to_string();
    assert_eq!(ask(&search, &[], listed).await.status, 200);
    assert_eq!(ask(&search, &[], call("search_web", "sc-03")).await.status, 200);
    challenged(&ask(&search, &[], call("write", "sc-03")).await, "mcp:tools:execute search");
}

#[tokio::test]
async fn sc_08_what_is_judged_is_what_the_upstream_reads() {
    let shared = gateway().await;
    let search = token("tools", "search");
    let lying = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "search_web")];
    assert_eq!(ask(&search, &lying, call("write", "sc-08")).await.status, 400);
    let twice = call("write", "sc-08").replace(r#""name":"write""#, r#""name":"search_web","name":"write""#);
    assert_eq!(ask(&search, &[], twice).await.status, 400);
    let escaped = call("write", "sc-08").replace("write", "\\u0077rite");
    challenged(&ask(&search, &[], escaped).await, "mcp:tools:execute search");
    assert!(shared.upstream.seen("sc-08").is_empty());
}

#[tokio::test]
async fn sc_09_what_no_scope_opens_is_refused_without_a_challenge() {
    let shared = gateway().await;
    let all = token("tools", "mcp:tools:execute");
    let unknown = json!({"jsonrpc": "2.0", "id": "sc-09", "method": "x/unknown"}).to_string();
    let reply = ask(&all, &[], unknown).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (200, &json!(-32601)), "{reply:?}");
    assert!(!reply.headers.contains_key("www-authenticate"), "{reply:?}");
    assert!(shared.upstream.seen("sc-09").is_empty());
}

#[tokio::test]
async fn scopes_of_a_plain_service_open_methods_and_paths() {
    let shared = gateway().await;
    let authorization = format!("Bearer {}", token("files", "files:use"));
    let ask = async |method: Method, path: &str| {
        let asked = request(method, &format!("/files{path}?plain-scopes"), &[("authorization", &authorization)], "");
        Client::new(&shared.home).send(asked).await
    };
    assert_eq!(ask(Method::GET, "/public/a").await.status, 200);
    challenged(&ask(Method::DELETE, "/public/a").await, "files:use files:write");
    let reply = ask(Method::GET, "/private").await;
    assert_eq!((reply.status, reply.headers.contains_key("www-authenticate")), (403, false), "{reply:?}");
    assert_eq!(shared.upstream.seen("plain-scopes").len(), 1);
}
