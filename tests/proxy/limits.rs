//! The limits of an upstream (`[[upstream.limit]]`): what each counts, what a refusal says, and when a count ends.

use std::sync::Arc;

use mcpgate::config::{Config, UpstreamKind};
use mcpgate::oauth::{ClientOrigin, Lifetime};
use mcpgate::policy::CallLimits;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::client::{RawRequest, Reply};
use super::log::Log;
use super::upstream::{Act, EVENTS, answer, chunk, send, soon};
use super::world::{ADA, API, MCP, World, upstream};

/// The compiled limits of an upstream with these keys and tables.
fn limits(tables: &str) -> Option<Arc<CallLimits>> {
    upstream(&format!("{tables}[[upstream.scope]]\nname = \"use\"\ntitle = \"Use\"\n")).limits
}

fn set(config: &mut Config, kind: UpstreamKind, tables: &str) {
    for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.kind == kind) {
        upstream.limits = limits(tables);
    }
}

async fn limited(tables: &str) -> World {
    World::with(|config| set(config, UpstreamKind::Mcp, tables)).await
}

fn limit(keys: &str) -> String {
    format!("[[upstream.limit]]\nname = \"few\"\n{keys}\n")
}

fn call(name: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": name}}).to_string()
}

fn tools_list() -> String {
    json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"}).to_string()
}

async fn ask(world: &World, token: &str, body: &str) -> Reply {
    world.ask(&RawRequest::post(body).bearer(token)).await
}

/// Asserts that a limit has refused a call, and returns the seconds to wait.
fn assert_reached(reply: &Reply, words: &str) -> u64 {
    reply.assert_rpc(429, -32004, json!(9));
    let body = reply.json();
    let text = body["error"]["message"].as_str().unwrap();
    assert!(text.starts_with(&format!("the limit \"few\" of this server ({words}) is reached: ")), "{text}");
    reply.field("retry-after").unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_user_grant_client_or_upstream_has_a_count_of_its_own() {
    for (per, words, shared) in [
        // Whether another grant, another client, and another user are counted together with the first.
        ("per = \"user\"", "1 a minute for each user", [true, true, false]),
        ("per = \"grant\"", "1 a minute for each authorization", [false, false, false]),
        ("per = \"client\"\nclients = [\"own\"]", "1 a minute for each client", [true, false, true]),
        ("per = \"client\"\nclients = [\"x\"]", "1 a minute for each client", [false, false, false]),
        ("per = \"upstream\"", "1 a minute for all users together", [true, true, true]),
    ] {
        let world = limited(&limit(&format!("{per}\nper_minute = 1"))).await;
        let token = |subject: &str, client: &str| world.token_by(subject, client, ClientOrigin::Manual);
        let first = token(ADA, "own");
        assert_eq!(ask(&world, &first, &call("add")).await.status, 200, "{per}");
        let wait = assert_reached(&ask(&world, &first, &call("add")).await, words);
        assert!((50..=60).contains(&wait), "{wait}");
        let others = [token(ADA, "own"), token(ADA, "other"), token("grace-hopper-0001", "own")];
        for (other, is_shared) in others.iter().zip(shared) {
            let status = ask(&world, other, &call("add")).await.status;
            assert_eq!(status, if is_shared { 429 } else { 200 }, "{per} {shared:?}");
        }
    }
}

#[tokio::test]
async fn only_a_client_of_the_operator_has_a_count_of_its_own() {
    let world = limited(&limit("per = \"client\"\nclients = [\"app\"]\nper_minute = 1")).await;
    for (origin, is_shared) in
        [(ClientOrigin::Registered, false), (ClientOrigin::MetadataDocument, false), (ClientOrigin::Manual, true)]
    {
        for nth in 0..2 {
            let token = world.token_by(ADA, "app", origin);
            let status = ask(&world, &token, &call("add")).await.status;
            assert_eq!(status, if is_shared && nth == 1 { 429 } else { 200 }, "{origin:?} {nth}");
        }
    }
}

#[tokio::test]
async fn a_day_has_as_many_uses_as_its_limit_and_ends_at_midnight() {
    let world = limited(&limit("operations = [\"tools/call\"]\nper_day = 3")).await;
    let token = world.token(MCP).text;
    let batch = |names: &[&str]| {
        let calls: Vec<Value> = names.iter().map(|name| serde_json::from_str(&call(name)).unwrap()).collect();
        RawRequest::post(json!(calls).to_string()).field("MCP-Protocol-Version", "2025-03-26").bearer(&token)
    };
    let four = world.ask(&batch(&["add"; 4])).await;
    let expected = "the limit \"few\" of this server (3 a day for each user) is reached: send fewer in one request";
    assert_eq!((four.status, &four.json()["error"]["message"]), (429, &json!(expected)));
    assert_eq!(world.ask(&batch(&["add", "add"])).await.status, 200);
    assert_eq!(world.ask(&batch(&["add", "add"])).await.status, 429, "two are one too many");
    assert_eq!(ask(&world, &token, &call("add")).await.status, 200, "and none of them was counted");
    // The clock of the tests stands at 08:00 UTC.
    let refused = ask(&world, &token, &call("add")).await;
    assert_eq!(assert_reached(&refused, "3 a day for each user"), 16 * 3600);
    let text = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(text.ends_with("is reached: try again after midnight in UTC, in 16 hours"), "{text}");
    assert_eq!(ask(&world, &token, &tools_list()).await.status, 200, "lists are not counted");
    world.clock.advance(Lifetime::from_secs(16 * 3600 - 1));
    let token = world.token(MCP).text;
    assert_eq!(assert_reached(&ask(&world, &token, &call("add")).await, "3 a day for each user"), 1);
    world.clock.advance(Lifetime::from_secs(1));
    assert_eq!(ask(&world, &token, &call("add")).await.status, 200, "a new day");
}

#[tokio::test]
async fn what_scopes_rules_or_another_limit_refuse_uses_nothing_of_a_day() {
    let tables = format!(
        "{}[[upstream.limit]]\nname = \"slow\"\noperations = [\"tools/call:add\"]\nper_minute = 1\n\
         [[upstream.rule]]\neffect = \"deny\"\noperations = [\"tools/call:sub\"]\n",
        limit("operations = [\"tools/call\"]\nper_day = 2")
    );
    let world = World::with(|config| {
        for own in config.upstreams.iter_mut().filter(|own| own.kind == UpstreamKind::Mcp) {
            let read = upstream(&format!("{tables}[[upstream.scope]]\nname = \"use\"\ntitle = \"Use\"\n"));
            (own.limits, own.rules) = (read.limits, read.rules);
        }
    })
    .await;
    let token = world.token(MCP).text;
    assert_eq!(ask(&world, &token, &call("add")).await.status, 200);
    assert_eq!(ask(&world, &token, &call("add")).await.status, 429);
    let denied = ask(&world, &token, &call("sub")).await;
    assert_eq!((denied.status, &denied.json()["error"]["code"]), (200, &json!(-32602)));
    let taken: Vec<_> = world.table().quotas().iter().map(|quota| (quota.clone(), quota.take_unwritten(9))).collect();
    assert_eq!(taken.iter().flat_map(|(_, uses)| uses).map(|uses| uses.used).collect::<Vec<_>>(), [1]);
    taken.into_iter().for_each(|(quota, uses)| quota.wrote(uses, None));
    assert_eq!(ask(&world, &token, &call("other")).await.status, 200);
    assert_reached(&ask(&world, &token, &call("other")).await, "2 a day for each user");
}

#[tokio::test]
async fn a_reload_keeps_what_is_used_of_a_day() {
    let world = limited(&limit("per_day = 1")).await;
    let token = world.token(MCP).text;
    assert_eq!(ask(&world, &token, &call("add")).await.status, 200);
    world.adopt(|config| set(config, UpstreamKind::Mcp, &limit("per_day = 2")));
    assert_eq!(ask(&world, &token, &call("add")).await.status, 200);
    assert_reached(&ask(&world, &token, &call("add")).await, "2 a day for each user");
}

#[tokio::test]
async fn two_tokens_of_a_grant_have_one_count() {
    let world = limited(&limit("per = \"grant\"\nper_minute = 1")).await;
    let (first, mut second) = (world.make(MCP, "use"), world.make(MCP, "use"));
    second.record.grant = first.record.grant;
    world.cache.insert(&first.record);
    world.cache.insert(&second.record);
    assert_eq!(ask(&world, &first.text, &call("add")).await.status, 200);
    assert_eq!(ask(&world, &second.text, &call("add")).await.status, 429);
}

#[tokio::test]
async fn only_the_operations_of_a_limit_are_counted_and_each_message_of_a_batch() {
    let world = limited(&limit("operations = [\"tools/call:search_*\"]\nper_minute = 3")).await;
    let token = world.token(MCP).text;
    let batch = |names: &[&str]| {
        let calls: Vec<Value> = names.iter().map(|name| serde_json::from_str(&call(name)).unwrap()).collect();
        RawRequest::post(json!(calls).to_string()).field("MCP-Protocol-Version", "2025-03-26").bearer(&token)
    };
    for other in [call("add"), json!({"jsonrpc": "2.0", "id": 9, "method": "ping"}).to_string()] {
        for _ in 0..4 {
            assert_eq!(ask(&world, &token, &other).await.status, 200);
        }
    }
    assert_eq!(world.ask(&batch(&["search_a", "add", "search_b"])).await.status, 200);
    assert_eq!(world.ask(&batch(&["search_a", "search_b"])).await.status, 429, "two are one too many");
    assert_eq!(ask(&world, &token, &call("search_a")).await.status, 200, "and none of them was counted");
    assert_eq!(ask(&world, &token, &call("search_a")).await.status, 429);
    let reply = world.ask(&batch(&["search_a"; 4])).await;
    assert_eq!(reply.status, 429);
    let expected = "the limit \"few\" of this server (3 in one request for each user) is reached: send fewer in one \
                    request";
    assert_eq!(reply.json()["error"]["message"], expected);
}

#[tokio::test]
async fn a_request_that_one_limit_refuses_is_counted_by_none() {
    let tables = format!(
        "[[upstream.limit]]\nname = \"many\"\nper_minute = 2\n{}",
        limit("operations = [\"tools/call:add\"]\nper_minute = 1")
    );
    let world = limited(&tables).await;
    let token = world.token(MCP).text;
    assert_eq!(ask(&world, &token, &call("add")).await.status, 200);
    for _ in 0..3 {
        assert_reached(&ask(&world, &token, &call("add")).await, "1 a minute for each user");
    }
    assert_eq!(ask(&world, &token, &call("sub")).await.status, 200, "the other limit counted one");
    assert_eq!(ask(&world, &token, &call("sub")).await.status, 429);
    assert_eq!(world.mcp.seen().len(), 2);
}

#[tokio::test]
async fn a_call_counts_as_running_until_its_answer_has_ended() {
    let world = limited(&limit("at_once = 1")).await;
    let token = world.token(MCP).text;
    let request = RawRequest::post(call("add")).bearer(&token).field("Accept", "application/json, text/event-stream");
    let words = "1 at the same time for each user";
    // An answer that is not complete yet.
    let gate = Arc::new(Notify::new());
    world.mcp.then([Act::Gate(gate.clone()), answer("200 OK\r\nContent-Type: application/json", "{}")]);
    let mut first = world.connect().await;
    first.send(&request.bytes()).await;
    world.mcp.wait_for_requests(1).await;
    assert_eq!(assert_reached(&ask(&world, &token, &call("add")).await, words), 1);
    gate.notify_one();
    assert_eq!(first.reply().await.status, 200);
    // A stream that stands, until the client leaves.
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut stream = world.connect().await;
    stream.send(&request.bytes()).await;
    assert_eq!(stream.head().await.status, 200);
    assert_reached(&ask(&world, &token, &call("add")).await, words);
    drop(stream);
    passes_again(&world, &token).await;
    // A stream that breaks off, and an upstream that does not answer.
    for acts in [vec![send(EVENTS), chunk("data: a\n\n"), Act::Close], vec![Act::Close]] {
        world.mcp.then(acts);
        let mut client = world.connect().await;
        client.send(&request.bytes()).await;
        client.reply().await;
        passes_again(&world, &token).await;
    }
}

async fn passes_again(world: &World, token: &str) {
    soon(async {
        while ask(world, token, &call("add")).await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn requests_of_a_plain_service_are_counted_by_method_and_path() {
    let tables = format!("kind = \"http\"\n{}", limit("operations = [\"GET /reports/**\"]\nper_minute = 1"));
    let world = World::with(|config| set(config, UpstreamKind::Http, &tables)).await;
    let token = world.token(API).text;
    let get = async |path: &str| world.ask(&RawRequest::new("GET", path).bearer(&token)).await;
    assert_eq!(get("/api/reports/1").await.status, 200);
    assert_eq!(get("/api/other").await.status, 200);
    let refused = get("/api/%72eports/2").await;
    assert_eq!((refused.status, &refused.json()["error"]), (429, &json!("slow_down")));
    assert!(refused.field("retry-after").is_some());
}

#[tokio::test]
async fn a_reload_keeps_the_counts_of_limits_with_the_same_name() {
    let world = limited(&limit("per_minute = 1")).await;
    let token = world.token(MCP).text;
    assert_eq!(ask(&world, &token, &call("add")).await.status, 200);
    world.adopt(|config| set(config, UpstreamKind::Mcp, &limit("per_minute = 1\nat_once = 9")));
    assert_eq!(ask(&world, &token, &call("add")).await.status, 429);
    world.adopt(|config| set(config, UpstreamKind::Mcp, &limit("per_minute = 1").replace("few", "new")));
    assert_eq!(ask(&world, &token, &call("add")).await.status, 200);
    world.adopt(|config| set(config, UpstreamKind::Mcp, ""));
    assert_eq!(ask(&world, &token, &call("add")).await.status, 200);
}

#[tokio::test]
async fn the_log_and_the_counters_name_a_limit_that_refuses() {
    let log = Log::start();
    let world = limited(&limit("per_minute = 1")).await;
    let token = world.token(MCP).text;
    for _ in 0..2 {
        ask(&world, &token, &call("add")).await;
    }
    let line = soon(async {
        loop {
            if let Some(line) = log.take("mcpgate::access").into_iter().find(|line| line.contains(" status=429 ")) {
                break line;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    for expected in
        ["outcome=\"rate_limited\"", "reason=\"limit_reached\"", "key=\"upstream.limit.per_minute\"", "value=\"few\""]
    {
        assert!(line.contains(expected), "{line}");
    }
}
