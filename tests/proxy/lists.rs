//! SC-10: lists show what calls allow, in every form that an answer has.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcpgate::config::Config;
use mcpgate::oauth::{Lifetime, ScopeToken};
use mcpgate::policy::{Pattern, Rules, ScopeRule};
use serde_json::json;

use super::client::{RawRequest, Reply};
use super::upstream::{Act, EVENTS, answer, chunk, send};
use super::world::{MCP, World};

const VERSIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
const JSON: &str = "200 OK\r\nContent-Type: application/json";

const SCOPES: &[(&str, &[&str])] = &[
    ("list", &["*/list", "resources/templates/list"]),
    ("search", &["tools/call:search_*"]),
    ("public", &["resources/read:file:///public/**", "prompts/get:greet"]),
    ("admin", &["tools/call", "resources/read", "prompts/get", "logging/setLevel", "completion/complete"]),
];

async fn mapped(change: impl FnOnce(&mut Config)) -> World {
    mapped_by(SCOPES, change).await
}

pub(super) async fn mapped_by(scopes: &[(&str, &[&str])], change: impl FnOnce(&mut Config)) -> World {
    World::with(|config| {
        let rule = |(name, allow): &(&str, &[&str])| ScopeRule {
            name: ScopeToken::parse(name).unwrap(),
            sensitive: false,
            allow: allow.iter().map(|text| Pattern::of_mcp(text).unwrap()).collect(),
            includes: Vec::new(),
        };
        let rules = Rules::compile(&scopes.iter().map(rule).collect::<Vec<_>>());
        config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap().rules = Some(Arc::new(rules));
        change(config);
    })
    .await
}

pub(super) fn token(world: &World, scopes: &str) -> String {
    let made = world.make(MCP, scopes);
    world.cache.insert(&made.record);
    made.text
}

pub(super) fn ask(method: &str, version: &str, token: &str) -> RawRequest {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": version});
    let body = json!({"jsonrpc": "2.0", "id": 9, "method": method, "params": {"_meta": meta}}).to_string();
    let ask = RawRequest::post(body).bearer(token).field("MCP-Protocol-Version", version);
    ask.field("Mcp-Method", method).field("Accept", "application/json, text/event-stream")
}

/// An answer with a list of tools, with the space and the members that servers add.
fn tools(names: &[&str]) -> String {
    let tools: Vec<String> =
        names.iter().map(|name| format!(r#"{{"inputSchema": {{"type":"object"}},"name":"{name}"}}"#)).collect();
    format!(r#"{{"jsonrpc":"2.0","id":9,"result":{{"x":1.0,"tools":[{}],"nextCursor":"p2"}}}}"#, tools.join(","))
}

const ALL: [&str; 4] = ["search_web", "delete", "search_files", "write"];
const SEEN: [&str; 2] = ["search_web", "search_files"];

fn event(data: &str) -> String {
    format!("event: message\nid: e1\ndata: {data}\n\n")
}

#[tokio::test]
async fn sc_10_a_list_has_what_the_caller_may_use_in_every_revision_and_form() {
    let world = mapped(|_| ()).await;
    let (few, all, none) = (token(&world, "list search"), token(&world, "list admin"), token(&world, "list"));
    for version in VERSIONS {
        for (token, left) in [(&few, &SEEN[..]), (&all, &ALL[..]), (&none, &[])] {
            world.mcp.then([answer(JSON, &tools(&ALL))]);
            let reply = world.ask(&ask("tools/list", version, token)).await;
            assert_eq!((reply.status, reply.text()), (200, &*tools(left)), "{version}");
            assert_eq!(world.mcp.last().field("accept-encoding"), Some("identity"));
            // Around it a notification and a comment, the message in one line or several.
            let stream = |list: &str| {
                format!(": tools\n\n{}{}", event(r#"{"method":"notifications/tools/list_changed"}"#), event(list))
            };
            let lines = |list: &str| list.replacen(',', ",\ndata: ", 2);
            for form in [tools, |names: &[&str]| tools(names).replacen(',', ",\ndata: ", 2)] {
                world.mcp.then([send(EVENTS), chunk(&stream(&form(&ALL))), chunk("")]);
                let reply = world.ask(&ask("tools/list", version, token)).await;
                assert_eq!(reply.text(), stream(&form(left)), "{version}");
            }
            // In pieces, each of which is forwarded as soon as its event is complete.
            let text = stream(&lines(&tools(&ALL)));
            let pieces = text.as_bytes().chunks(50).map(|piece| chunk(std::str::from_utf8(piece).unwrap()));
            world.mcp.then(
                [send(EVENTS), Act::Wait(Duration::from_millis(20))].into_iter().chain(pieces).chain([chunk("")]),
            );
            assert_eq!(world.ask(&ask("tools/list", version, token)).await.text(), stream(&lines(&tools(left))));
        }
    }
}

#[tokio::test]
async fn prompts_resources_and_templates_are_left_out_like_tools() {
    let world = mapped(|_| ()).await;
    let token = token(&world, "list public");
    for (method, list, left) in [
        (
            "prompts/list",
            json!({"prompts": [{"name": "greet"}, {"name": "root"}]}),
            json!({"prompts": [{"name": "greet"}]}),
        ),
        (
            "resources/list",
            json!({"resources": [{"name": "a", "uri": "file:///etc/a"}, {"name": "b", "uri": "file:///public/b"}]}),
            json!({"resources": [{"name": "b", "uri": "file:///public/b"}]}),
        ),
        (
            "resources/templates/list",
            json!({"resourceTemplates": [{"uriTemplate": "file:///public/{x}"}, {"uriTemplate": "file:///{x}"}]}),
            json!({"resourceTemplates": [{"uriTemplate": "file:///public/{x}"}]}),
        ),
    ] {
        let result = |result| json!({"jsonrpc": "2.0", "id": 9, "result": result});
        world.mcp.then([answer(JSON, &result(list).to_string())]);
        assert_eq!(world.ask(&ask(method, "2025-11-25", &token)).await.json(), result(left), "{method}");
    }
}

#[tokio::test]
async fn each_answer_of_a_batch_is_filtered() {
    let world = mapped(|_| ()).await;
    let token = token(&world, "list search");
    let batch =
        |names: &[&str]| format!(r#"[{}, {{"jsonrpc":"2.0","id":8,"result":{{}}}},{}]"#, tools(names), tools(names));
    world.mcp.then([answer(JSON, &batch(&ALL))]);
    let list = r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#;
    let ping = r#"{"jsonrpc":"2.0","id":8,"method":"ping"}"#;
    let ask = RawRequest::post(format!("[{list},{ping},{list}]")).bearer(&token);
    assert_eq!(world.ask(&ask.field("MCP-Protocol-Version", "2025-03-26")).await.text(), batch(&SEEN));
}

#[tokio::test]
async fn sc_10_resumed_and_early_streams_carry_filtered_lists_too() {
    let world = mapped(|config| config.timeouts.sse_keep_alive = Duration::from_millis(50)).await;
    let token = token(&world, "list search");
    // What was asked for earlier, by another request.
    world.mcp.then([send(EVENTS), chunk(&event(&tools(&ALL))), chunk("")]);
    let resume = RawRequest::new("GET", "/mcp").bearer(&token).field("Last-Event-ID", "e0");
    assert_eq!(world.ask(&resume.field("Accept", "text/event-stream")).await.text(), event(&tools(&SEEN)));
    // The client has the head before the upstream answers: with JSON, or with events.
    let late = || Act::Wait(Duration::from_millis(300));
    for (answer, is_json) in [
        (vec![late(), answer(JSON, &tools(&ALL))], true),
        (vec![late(), send(EVENTS), chunk(&event(&tools(&ALL))), chunk("")], false),
    ] {
        world.mcp.then(answer);
        let reply = world.ask(&ask("tools/list", "2025-11-25", &token)).await;
        let text = reply.text().replace(":\n\n", "");
        let expected =
            if is_json { format!("event: message\ndata: {}\n\n", tools(&SEEN)) } else { event(&tools(&SEEN)) };
        assert_eq!(text, expected);
    }
}

#[tokio::test]
async fn lists_over_http_2_have_their_own_length() {
    let world = mapped(|_| ()).await;
    let token = token(&world, "list search");
    let stream = world.connect_http2().await;
    let (mut line, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    world.mcp.then([answer(JSON, &tools(&ALL))]);
    let request = Request::post("https://gw.example/mcp")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::<Bytes>::from(r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#))
        .unwrap();
    let response = line.send_request(request).await.unwrap();
    assert_eq!(response.headers()["content-length"], tools(&SEEN).len().to_string());
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), tools(&SEEN));
}

#[tokio::test]
async fn capabilities_and_caches_are_the_callers_own() {
    let world = mapped(|_| ()).await;
    let token = token(&world, "list search");
    let all = r#""logging":{},"completions":{},"tools":{"listChanged":true},"x":{}"#;
    let initialize = |capabilities: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":9,"result":{{"protocolVersion":"2025-11-25","capabilities":{{{capabilities}}}}}}}"#
        )
    };
    world.mcp.then([answer(JSON, &initialize(all))]);
    let reply = world.ask(&ask("initialize", "2025-11-25", &token)).await;
    assert_eq!(reply.text(), initialize(r#""tools":{"listChanged":true},"x":{}"#));
    let discover = |capabilities: &str, scope: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":9,"result":{{"supportedVersions":["2026-07-28"],"capabilities":{{{capabilities}}},"ttlMs":5,"cacheScope":"{scope}"}}}}"#
        )
    };
    world.mcp.then([answer(JSON, &discover(all, "public"))]);
    let reply = world.ask(&ask("server/discover", "2026-07-28", &token)).await;
    assert_eq!(reply.text(), discover(r#""logging":{},"tools":{"listChanged":true},"x":{}"#, "private"));
}

#[tokio::test]
async fn sc_10_a_tool_that_does_not_exist_is_told_like_one_that_is_hidden() {
    let world = mapped(|_| ()).await;
    let token = token(&world, "admin");
    let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "add"}}).to_string();
    let expected = r#"{"jsonrpc":"2.0","id":9,"error":{"code":-32602,"message":"Unknown tool: add"}}"#;
    let error = r#"{"jsonrpc":"2.0","id":9,"error":{"code":-32601,"message":"Tool add not found","data":7}}"#;
    let result =
        r#"{"jsonrpc":"2.0","id":9,"result":{"content":[{"type":"text","text":"Unknown tool: add"}],"isError":true}}"#;
    for said in [error, result] {
        world.mcp.then([answer("404 Not Found\r\nContent-Type: application/json", said)]);
        let reply = world.ask(&RawRequest::post(&call).bearer(&token)).await;
        assert_eq!((reply.status, reply.text()), (200, expected));
        world.mcp.then([send(EVENTS), chunk(&event(said)), chunk("")]);
        assert_eq!(world.ask(&RawRequest::post(&call).bearer(&token)).await.text(), event(expected));
    }
    // Without a map nothing is changed.
    world.reload(|config| config.upstreams.iter_mut().for_each(|upstream| upstream.rules = None));
    world.mcp.then([answer(JSON, error)]);
    assert_eq!(world.ask(&RawRequest::post(&call).bearer(&token)).await.text(), error);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_fault_of_the_upstream() {
    let world = mapped(|_| ()).await;
    let token = token(&world, "list search");
    let list = || ask("tools/list", "2025-11-25", &token);
    let twice = tools(&ALL).replace("\"x\":1.0", "\"tools\":[]");
    for (head, body) in [
        (JSON, &*twice),
        (JSON, &tools(&ALL)[..60]),
        ("200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip", "anything"),
        // With two types, the client may take it for JSON.
        ("200 OK\r\nContent-Type: text/plain\r\nContent-Type: application/json", &*twice),
    ] {
        world.mcp.then([answer(head, body)]);
        let reply = world.ask(&list()).await;
        reply.assert_rpc(502, -32603, json!(9));
        assert_eq!(reply.json()["error"]["message"], "the upstream's answer cannot be read");
    }
    world.mcp.then([
        send(EVENTS),
        chunk(&event("{}")),
        Act::Wait(Duration::from_millis(50)),
        chunk(&event(&twice)),
        Act::Hang,
    ]);
    let reply = world.ask(&list()).await;
    assert!(reply.text().starts_with(&event("{}")) && reply.text().contains("cannot be read"), "{reply:?}");
    assert!(!reply.text().contains("delete"));
}

/// A list of so many bytes, in chunks, and what is left of it.
fn long(length: usize) -> (Vec<Act>, String) {
    let filler = format!("search_{}", "x".repeat(length));
    let text = tools(&["delete", &filler, "write"]);
    let head = send(EVENTS.replace("text/event-stream", "application/json"));
    let pieces = text.as_bytes().chunks(1 << 14).map(|piece| chunk(std::str::from_utf8(piece).unwrap()));
    ([head].into_iter().chain(pieces).chain([chunk("")]).collect(), tools(&[&filler]))
}

#[tokio::test]
async fn long_lists_are_filtered_up_to_a_limit_and_never_passed_on_unfiltered() {
    let world = mapped(|_| ()).await;
    let token = token(&world, "list search");
    for length in [70 << 10, 3 << 20] {
        let (acts, left) = long(length);
        world.mcp.then(acts);
        let reply = world.ask(&ask("tools/list", "2025-11-25", &token)).await;
        assert!(reply.status == 200 && reply.complete && reply.text() == left, "{length}");
    }
    world.mcp.then(long(5 << 20).0);
    let reply = world.ask(&ask("tools/list", "2025-11-25", &token)).await;
    reply.assert_rpc(200, -32603, json!(9));
    assert_eq!(reply.json()["error"]["message"], "the upstream's answer is larger than allowed");
}

#[tokio::test]
async fn users_who_do_not_read_their_long_lists_leave_room_for_others() {
    let world = mapped(|_| ()).await;
    let mut greedy = Vec::new();
    let hog = token(&world, "list search");
    for _ in 0..20 {
        world.mcp.then(long(3 << 20).0);
        let mut client = world.connect().await;
        client.send(&ask("tools/list", "2025-11-25", &hog).bytes()).await;
        greedy.push(client);
    }
    world.mcp.wait_for_requests(20).await;
    let made = world.make_for(MCP, "list search", "another-user-0002");
    world.cache.insert(&made.record);
    let (acts, left) = long(3 << 20);
    world.mcp.then(acts);
    let reply: Reply = world.ask(&ask("tools/list", "2025-11-25", &made.text)).await;
    assert!(reply.text() == left, "{:?}", &reply.text()[..200]);
    drop(greedy);
}

#[tokio::test]
async fn annotations_count_as_the_answers_to_the_caller_had_them() {
    let scopes: &[(&str, &[&str])] = &[("read", &["tools/list", "tools/call@readOnly"])];
    let world = mapped_by(scopes, |_| ()).await;
    let (ada, bob) = (token(&world, "read"), world.make_for(MCP, "read", "another-user-0002"));
    world.cache.insert(&bob.record);
    let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "add"}}).to_string();
    let passes = async |token: &str| {
        let before = world.mcp.seen().len();
        world.ask(&RawRequest::post(&call).bearer(token)).await;
        world.mcp.seen().len() > before
    };
    let list = |hint: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":9,"result":{{"tools":[{{"name":"add","annotations":{{"readOnlyHint":{hint}}}}}]}}}}"#
        )
    };
    let none = r#"{"jsonrpc":"2.0","id":9,"result":{"tools":[]}}"#;
    assert!(!passes(&ada).await, "nothing is known of it");
    for (hint, shown) in [("true", list("true")), ("false", none.to_owned()), ("true", none.to_owned())] {
        world.mcp.then([answer(JSON, &list(hint))]);
        assert_eq!(world.ask(&ask("tools/list", "2025-11-25", &ada)).await.text(), shown);
        assert_eq!(passes(&ada).await, shown != none, "it does not become milder");
        assert!(!passes(&bob.text).await, "what others were told does not count");
    }
    world.clock.advance(Lifetime::from_secs(1));
    let after = token(&world, "read");
    assert!(passes(&after).await && !passes(&ada).await, "it does for a consent after that");
    for (token, shown) in [(&after, list("true")), (&ada, none.to_owned())] {
        world.mcp.then([answer(JSON, &list("true"))]);
        assert_eq!(world.ask(&ask("tools/list", "2025-11-25", token)).await.text(), shown);
    }
}

#[tokio::test]
async fn a_completion_is_refused_for_what_the_caller_may_not_use() {
    let world = mapped_by(
        &[("public", &["completion/complete", "resources/read:file:///public/**", "prompts/get:greet"])],
        |_| (),
    )
    .await;
    let token = token(&world, "public");
    for (reference, passes) in [
        (json!({"type": "ref/prompt", "name": "greet"}), true),
        (json!({"type": "ref/prompt", "name": "root"}), false),
        (json!({"type": "ref/resource", "uri": "file:///public/{name}"}), true),
        (json!({"type": "ref/resource", "uri": "file:///{name}", "name": "greet"}), false),
        (json!({"name": "greet"}), false),
    ] {
        let before = world.mcp.seen().len();
        let params = json!({"ref": reference, "argument": {"name": "a", "value": "b"}});
        let body = json!({"jsonrpc": "2.0", "id": 9, "method": "completion/complete", "params": params}).to_string();
        world.ask(&RawRequest::post(body).bearer(&token)).await;
        assert_eq!(world.mcp.seen().len() > before, passes, "{params}");
    }
}
