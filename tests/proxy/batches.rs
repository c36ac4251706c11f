//! Batches (MCP 2025-03-26) are judged message by message: what is refused is answered alone, the rest is forwarded.

use std::time::Duration;

use mcpgate::config::UpstreamKind;
use serde_json::json;

use super::client::{RawRequest, Reply};
use super::log::Log;
use super::rules::rules;
use super::upstream::{Act, EVENTS, answer, chunk, send};
use super::world::{MCP, World};

const JSON: &str = "200 OK\r\nContent-Type: application/json";
const TABLES: &str = r#"
[[upstream.scope]]
name = "read"
title = "Read"
allow = ["tools/list", "tools/call:read_*"]
[[upstream.scope]]
name = "write"
title = "Write"
allow = ["tools/call:write_*", "tools/call:wipe"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:wipe"]
reason = "nothing is wiped"
"#;

async fn world(change: impl FnOnce(&mut mcpgate::config::Config)) -> World {
    World::with(|config| {
        for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.kind == UpstreamKind::Mcp) {
            upstream.rules = rules(TABLES);
        }
        change(config);
    })
    .await
}

fn token(world: &World) -> String {
    let made = world.make(MCP, "read");
    world.cache.insert(&made.record);
    made.text
}

fn call(id: u32, name: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name}}).to_string()
}

fn notice(method: &str, name: &str) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": {"name": name}}).to_string()
}

fn result(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{ "content": [] }}}}"#)
}

fn error(id: u32, code: i32, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#)
}

fn lacking(id: u32) -> String {
    error(id, -32003, "this needs the scope write, which the token lacks: authorize again")
}

fn hidden(id: u32) -> String {
    error(id, -32602, "Unknown tool: wipe")
}

async fn post(world: &World, token: &str, messages: &[&str]) -> Reply {
    let body = format!("[{}]", messages.join(", "));
    let ask = RawRequest::post(body).bearer(token).field("MCP-Protocol-Version", "2025-03-26");
    world.ask(&ask.field("Accept", "application/json, text/event-stream")).await
}

fn assert_json(reply: &Reply, messages: &[&str]) {
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("application/json")), "{reply:?}");
    assert_eq!(reply.field("www-authenticate"), None);
    assert_eq!(reply.text(), format!("[{}]", messages.join(",")));
}

#[tokio::test]
async fn refused_messages_are_answered_alone_and_the_others_forwarded() {
    let world = world(|_| ()).await;
    let token = token(&world);
    let (one, two, three, four) = (call(1, "read_a"), call(2, "write_b"), call(3, "wipe"), call(4, "read_d"));
    let ready = notice("notifications/initialized", "x");
    let messages: [&str; 5] = [&one, &two, &ready, &three, &four];
    for (given, expected) in [
        (answer(JSON, &format!("[{},{}]", result(1), result(4))), vec![result(1), result(4)]),
        (answer(JSON, &result(1)), vec![result(1)]),
        (answer("202 Accepted", ""), vec![]),
    ] {
        world.mcp.then([given]);
        let reply = post(&world, &token, &messages).await;
        let expected: Vec<String> = [lacking(2), hidden(3)].into_iter().chain(expected).collect();
        assert_json(&reply, &expected.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(world.mcp.last().body, format!("[{one},{ready},{four}]").into_bytes(), "as they were written");
    }
    // A batch of one stays one for the upstream.
    world.mcp.then([answer(JSON, &format!("[{}]", result(1)))]);
    assert_json(&post(&world, &token, &[&three, &one]).await, &[&hidden(3), &result(1)]);
    assert_eq!(world.mcp.last().body, format!("[{one}]").into_bytes());
}

#[tokio::test]
async fn the_errors_join_answers_of_every_form() {
    let world = world(|config| config.timeouts.sse_keep_alive = Duration::from_millis(200)).await;
    let token = token(&world);
    let (one, two) = (call(1, "read_a"), call(2, "write_b"));
    let event = |message: &str| format!("event: message\ndata: {message}\n\n");
    let late = || Act::Wait(Duration::from_millis(500));
    let long = result(1).replace("[]", &format!("[\"{}\"]", "x".repeat(200_000)));
    let expected_events = event(&lacking(2)) + &event(&result(1));
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (head, tail) = long.split_at(70_000);
    for (acts, expected) in [
        (vec![answer(JSON, &format!("[{long}]"))], format!("[{},{long}]", lacking(2))),
        (vec![send(chunked), chunk(head), late(), chunk(tail), chunk("")], format!("[{},{long}]", lacking(2))),
        (vec![send(EVENTS), chunk(&event(&result(1))), chunk("")], expected_events.clone()),
        (vec![send(EVENTS), late(), chunk(&event(&result(1))), chunk("")], expected_events.clone()),
        // The client has the head before the upstream answers.
        (vec![late(), send(EVENTS), chunk(&event(&result(1))), chunk("")], expected_events.clone()),
        (vec![late(), answer(JSON, &result(1))], expected_events),
    ] {
        world.mcp.then(acts);
        let reply = post(&world, &token, &[&one, &two]).await;
        assert_eq!((reply.status, reply.text().replace(":\n\n", "")), (200, expected));
    }
    // An upstream that breaks off: nobody waits for an id.
    world.mcp.then([late(), Act::Close]);
    let reply = post(&world, &token, &[&one, &two]).await;
    let text = reply.text();
    assert!(text.contains(&lacking(2)) && text.contains(r#""id":1,"error""#), "{text}");
}

#[tokio::test]
async fn a_list_in_what_is_forwarded_is_filtered() {
    let world = world(|_| ()).await;
    let token = token(&world);
    let list = |names: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{names}]}}}}"#);
    world.mcp.then([answer(JSON, &format!("[{}]", list(r#"{"name":"wipe"},{"name":"read_a"}"#)))]);
    let asked = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let reply = post(&world, &token, &[&asked, &call(2, "wipe")]).await;
    assert_json(&reply, &[&hidden(2), &list(r#"{"name":"read_a"}"#)]);
}

#[tokio::test]
async fn a_batch_of_which_no_request_passes() {
    let world = world(|_| ()).await;
    let token = token(&world);
    let (two, three, five) = (call(2, "write_b"), call(3, "wipe"), call(5, "nothing"));
    let unopened = error(5, -32601, "no scope of this server allows this");
    let (ready, dropped) = (notice("notifications/initialized", "x"), notice("tools/call", "write_b"));
    // A new login would open all of it, so that the client sends all of it again.
    for messages in [vec![&two], vec![&two, &two], vec![&ready, &two], vec![&two, &dropped]] {
        let messages: Vec<_> = messages.into_iter().map(String::as_str).collect();
        let reply = post(&world, &token, &messages).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (403, &json!(-32003)), "{reply:?}");
        assert!(reply.field("www-authenticate").unwrap().ends_with("scope=\"read write\""), "{reply:?}");
    }
    // And here only some of it, or nothing.
    assert_json(&post(&world, &token, &[&three]).await, &[&hidden(3)]);
    assert_json(&post(&world, &token, &[&two, &three, &five]).await, &[&lacking(2), &hidden(3), &unopened]);
    let reply = post(&world, &token, &[&dropped, &notice("tools/call", "wipe")]).await;
    assert_eq!((reply.status, reply.field("www-authenticate")), (403, None), "there is nobody to answer");
    world.mcp.assert_nothing();
    // Notifications that pass are forwarded, and have no answer.
    for given in [answer("202 Accepted", ""), answer("200 OK\r\nContent-Type: text/plain", "ok"), answer(JSON, "{}")] {
        world.mcp.then([given]);
        assert_json(&post(&world, &token, &[&ready, &three, &two]).await, &[&hidden(3), &lacking(2)]);
        assert_eq!(world.mcp.last().body, format!("[{ready}]").into_bytes());
    }
}

#[tokio::test]
async fn a_refused_notification_is_left_out_and_not_answered() {
    let world = world(|_| ()).await;
    let token = token(&world);
    let (one, dropped) = (call(1, "read_a"), notice("tools/call", "wipe"));
    world.mcp.then([answer(JSON, &format!(" [{}]", result(1)))]);
    let reply = post(&world, &token, &[&one, &dropped]).await;
    assert_eq!((reply.status, reply.text()), (200, &*format!(" [{}]", result(1))), "the upstream's own bytes");
    assert_eq!(world.mcp.last().body, format!("[{one}]").into_bytes());
    world.mcp.then([answer("202 Accepted", "")]);
    let ready = notice("notifications/initialized", "x");
    assert_eq!(post(&world, &token, &[&ready, &dropped]).await.status, 202);
    assert_eq!(world.mcp.last().body, format!("[{ready}]").into_bytes());
}

#[tokio::test]
async fn an_upstream_that_refuses_the_rest_answers_for_all_of_it() {
    let world = world(|_| ()).await;
    let token = token(&world);
    let gone = error(0, -32001, "Session not found").replace("\"id\":0", "\"id\":null");
    for messages in [[call(1, "read_a"), call(3, "wipe")], [notice("notifications/x", "x"), call(3, "wipe")]] {
        world.mcp.then([answer("404 Not Found\r\nContent-Type: application/json", &gone)]);
        let reply = post(&world, &token, &[&messages[0], &messages[1]]).await;
        assert_eq!((reply.status, reply.text()), (404, &*gone));
    }
    world.mcp.then([Act::Close]);
    assert_eq!(post(&world, &token, &[&call(1, "read_a"), &call(3, "wipe")]).await.status, 502);
}

#[tokio::test]
async fn the_log_names_the_rule_that_refuses_a_part() {
    let log = Log::start();
    let world = world(|_| ()).await;
    let token = token(&world);
    world.mcp.then([answer(JSON, &result(1))]);
    assert_eq!(post(&world, &token, &[&call(1, "read_a"), &call(3, "wipe")]).await.status, 200);
    let line = loop {
        if let Some(line) = log.take("mcpgate::access").pop() {
            break line;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(line.contains("outcome=\"forwarded\" reason=\"message_denied\""), "{line}");
    assert!(line.contains("nothing is wiped") && line.contains("rpc_error=-32602"), "{line}");
}

#[tokio::test]
async fn a_long_batch_is_left_out_of_as_it_is_written() {
    let world = world(|_| ()).await;
    let token = token(&world);
    let padded = call(1, "read_a").replace("{\"name\"", &format!("{{ \"x\": \"{}\", \"name\"", "],{".repeat(200_000)));
    world.mcp.then([answer(JSON, &format!("[{}]", result(1)))]);
    assert_json(&post(&world, &token, &[&call(3, "wipe"), &padded]).await, &[&hidden(3), &result(1)]);
    assert_eq!(world.mcp.last().body, format!("[{padded}]").into_bytes());
}

#[tokio::test]
async fn without_the_scopes_that_every_request_needs_nothing_passes() {
    let world = world(|config| {
        let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
        main.required_scopes = mcpgate::oauth::ScopeSet::parse("write").unwrap();
    })
    .await;
    let token = token(&world);
    let reply = post(&world, &token, &[&call(1, "read_a"), &call(2, "write_b")]).await;
    assert!(reply.field("www-authenticate").unwrap().ends_with("scope=\"read write\""), "{reply:?}");
    assert_json(&post(&world, &token, &[&call(1, "read_a"), &call(3, "wipe")]).await, &[&lacking(1), &hidden(3)]);
    world.mcp.assert_nothing();
}
