//! Answers that the gateway ends early: because the token was revoked, or because the process shuts down.

use std::sync::Arc;
use std::time::Duration;

use mcpgate::config::Config;
use mcpgate::oauth::Lifetime;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::calls::{BOTH, HALF, JSON, PROGRESS, assert_ended, call, open, rest, stream, wait, world};
use super::client::{RawRequest, Reply};
use super::upstream::{Act, EVENTS, answer, chunk, send, soon};
use super::world::{MCP, PING, World};

#[tokio::test]
async fn tv_14_a_call_that_waits_when_its_token_is_revoked_is_not_answered_afterwards() {
    let secret = r#"{"jsonrpc":"2.0","id":7,"result":"secret"}"#;
    let head = format!("HTTP/1.1 {JSON}\r\nContent-Length: {}\r\n\r\n", secret.len());
    // Before the head, and before the body.
    for acts in [vec![wait(300), answer(JSON, secret)], vec![send(&head), wait(300), send(secret)]] {
        let world = World::with(|config| config.limits.tokens_in_memory = 1000).await;
        let (revoked, other) = (world.token(MCP), world.stored(MCP).await);
        let ask = async |token: &str| {
            world.mcp.then(acts.clone());
            world.ask(&RawRequest::post(PING).bearer(token)).await
        };
        let (reply, kept, ()) = tokio::join!(ask(&revoked.text), ask(&other.text), async {
            world.mcp.wait_for_requests(2).await;
            world.cache.forget_grant(&revoked.record.tenant, revoked.record.grant);
            // The other token is evicted from memory, and is still valid.
            for n in 0..1000 {
                let mut made = world.make(MCP, "use");
                made.record.expires_at = made.record.issued_at.plus(Lifetime::from_secs(7200 + n));
                world.cache.insert(&made.record);
            }
            world.cache.sweep();
            assert!(!world.is_hit(&other.record.hash));
        });
        assert_eq!((reply.status, reply.text().contains("secret")), (401, false), "{reply:?}");
        assert_eq!((kept.status, kept.text()), (200, secret));
    }
}

#[tokio::test]
async fn tv_14_a_call_with_a_head_is_not_answered_after_its_token_was_revoked() {
    let world = world(|_| ()).await;
    let revoked = world.token(MCP);
    world.mcp.then([wait(400), answer(JSON, r#"{"jsonrpc":"2.0","id":7,"result":"secret"}"#)]);
    let mut client = world.connect().await;
    client.send(&call(&revoked.text).bytes()).await;
    client.head().await;
    world.cache.forget_grant(&revoked.record.tenant, revoked.record.grant);
    let reply = rest(&mut client, "").await;
    assert_ended(&reply, -32603, "the access token has ended");
    assert!(!reply.text().contains("secret"), "{reply:?}");
}

#[tokio::test]
async fn tv_14_nothing_of_a_begun_answer_passes_once_its_token_was_revoked() {
    let secret = r#"{"jsonrpc":"2.0","id":7,"result":"secret"}"#;
    let world = world(|_| ()).await;
    // The watch handles the first revocation and goes idle; the second comes some time later.
    let beginnings = [
        (EVENTS.to_owned(), chunk(PROGRESS), chunk(&format!("data: {secret}\n\n"))),
        (EVENTS.to_owned(), chunk(HALF), chunk("lt\":\"secret\"}\n\n")),
        (format!("HTTP/1.1 {JSON}\r\nTransfer-Encoding: chunked\r\n\r\n"), chunk(" "), chunk(secret)),
    ];
    for (head, first, second) in beginnings {
        for pause in [0, 20, 50, 90] {
            let (other, revoked) = (world.token(MCP), world.token(MCP));
            let gate = Arc::new(Notify::new());
            world.mcp.then([send(&head), first.clone(), Act::Gate(Arc::clone(&gate)), second.clone(), Act::Hang]);
            let mut client = world.connect().await;
            client.send(&call(&revoked.text).bytes()).await;
            client.head().await;
            client.chunk().await;
            world.cache.forget_grant(&other.record.tenant, other.record.grant);
            tokio::time::sleep(Duration::from_millis(5)).await;
            world.cache.forget_grant(&revoked.record.tenant, revoked.record.grant);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            gate.notify_one();
            let mut rest = Vec::new();
            while let Some(chunk) = soon(client.chunk()).await.filter(|chunk| !chunk.is_empty()) {
                rest.extend(chunk);
            }
            let rest = String::from_utf8(rest).unwrap();
            assert!(!rest.contains("secret"), "{pause} ms: {rest:?}");
            assert_eq!(rest.contains("the access token has ended"), head == EVENTS, "{pause} ms: {rest:?}");
        }
    }
}

fn listen(token: &str) -> RawRequest {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": {"_meta": meta}});
    RawRequest::modern(body.to_string()).field("Mcp-Method", "subscriptions/listen").bearer(token).field("Accept", BOTH)
}

/// Asserts that a subscription has ended in good order.
fn assert_complete(reply: &Reply, before: &str) {
    // Without the keep-alives in between.
    let text: String = reply.text().split_inclusive("\n\n").filter(|event| *event != ":\n\n").collect();
    let result = text.strip_prefix(before).and_then(|rest| rest.strip_prefix("event: message\ndata: "));
    let result: Value = serde_json::from_str(result.unwrap_or_else(|| panic!("{text:?}"))).unwrap();
    let meta = json!({"io.modelcontextprotocol/subscriptionId": 7});
    let expected = json!({"jsonrpc": "2.0", "id": 7, "result": {"resultType": "complete", "_meta": meta}});
    assert_eq!((result, reply.complete), (expected, true));
}

#[tokio::test]
async fn subscriptions_are_standing_streams_and_end_in_good_order() {
    let world = world(|config| config.upstreams.iter_mut().for_each(|upstream| upstream.max_connections = 1)).await;
    let token = world.token(MCP).text;
    // An upstream sends no head: the client gets one after two seconds, and the stream takes no other request's
    // connection.
    world.mcp.then([Act::Hang]);
    let mut late = world.connect().await;
    late.send(&listen(&token).bytes()).await;
    assert_eq!(late.head().await.status, 200);
    let mut open = Vec::new();
    for sent in [PROGRESS, HALF] {
        world.mcp.then([send(EVENTS), chunk(sent), Act::Hang]);
        let mut client = world.connect().await;
        client.send(&listen(&token).bytes()).await;
        client.head().await;
        client.chunks_until(sent).await;
        open.push(client);
    }
    assert_eq!(world.ask(&call(&token)).await.status, 200);
    world.drain();
    assert_complete(&rest(&mut late, "").await, "");
    for (mut client, before) in open.into_iter().zip(["", "\nevent: discarded\n\n"]) {
        assert_complete(&rest(&mut client, "").await, before);
    }
    world.mcp.then([send(EVENTS), chunk(PROGRESS), Act::Hang]);
    assert_complete(&world.ask(&listen(&token)).await, "");
    world.metric("mcpgate_requests_total{upstream=\"main\",outcome=\"going_down\"} 4").await;
}

#[tokio::test]
async fn a_subscription_that_is_too_old_ends_in_good_order_and_one_that_is_not_read_at_drain() {
    let change = |config: &mut Config| {
        config.upstreams.iter_mut().for_each(|upstream| {
            upstream.max_stream = Duration::from_millis(100);
        })
    };
    let old = world(change).await;
    old.mcp.then([send(EVENTS), chunk(PROGRESS), Act::Hang]);
    assert_complete(&old.ask(&listen(&old.token(MCP).text)).await, PROGRESS);

    let unread = world(|config| config.upstreams.iter_mut().for_each(|upstream| upstream.check_envelope = false)).await;
    let token = unread.token(MCP).text;
    unread.mcp.then([send(EVENTS), chunk(PROGRESS), Act::Hang]);
    let mut client = unread.connect().await;
    client.send(&listen(&token).bytes()).await;
    client.head().await;
    client.chunks_until(PROGRESS).await;
    unread.drain();
    let reply = rest(&mut client, "").await;
    assert!(reply.complete && reply.text().ends_with(": the gateway is shutting down\n\n"), "{reply:?}");
}

#[tokio::test]
async fn streams_that_never_end_are_ended_properly_when_the_process_goes_down_and_calls_are_not() {
    let world = world(|_| ()).await;
    let token = world.token(MCP).text;
    let mut running = open(&world, &token, HALF).await;
    let mut standing = Vec::new();
    for sent in [PROGRESS, HALF] {
        world.mcp.then([send(EVENTS), chunk(sent), Act::Hang]);
        let mut client = world.connect().await;
        client.send(&stream(&token).bytes()).await;
        client.head().await;
        client.chunks_until(sent).await;
        standing.push(client);
    }
    world.drain();
    for (mut client, mark) in standing.into_iter().zip(["", "\nevent: discarded\n\n"]) {
        let reply = rest(&mut client, "").await;
        let text = reply.text().trim_start_matches(":\n\n").to_owned();
        assert_eq!((text, reply.complete), (format!("{mark}: the gateway is shutting down\n\n"), true));
    }
    world.mcp.then([send(EVENTS), chunk(PROGRESS), Act::Hang]);
    assert!(world.ask(&stream(&token)).await.complete, "a stream that begins now is ended, too");
    assert!(tokio::time::timeout(Duration::from_millis(200), running.chunk()).await.is_err(), "the call goes on");
}
