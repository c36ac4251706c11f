//! If a configured limit refuses or ends a request, the access line has the key of that limit.

use std::time::Duration;

use super::client::RawRequest;
use super::log::Log;
use super::upstream::{Act, EVENTS, answer, chunk, send};
use super::world::{ALPHA, MCP, PING, World};

/// Waits for the access line of an answer with this status, and returns its key.
async fn key(log: &Log, status: u16) -> String {
    let mut lines = Vec::new();
    for _ in 0..500 {
        lines.extend(log.take("mcpgate::access"));
        if let Some(line) = lines.iter().find(|line| line.contains(&format!(" status={status} "))) {
            let key = line.split(" key=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            for name in key.split(", ") {
                assert!(mcpgate::config::keys().any(|known| known == name), "{line}");
            }
            return key.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no answer with {status}: {lines:?}");
}

#[tokio::test]
async fn what_a_limit_refuses_has_its_key() {
    let log = Log::start();
    let world = World::with(|config| (config.rates.mcp_per_second, config.rates.mcp_burst) = (1, 1)).await;
    let ask = RawRequest::post(PING).bearer(&world.token(MCP).text);
    world.ask(&ask).await;
    world.ask(&ask).await;
    assert_eq!(key(&log, 429).await, "rates.mcp_per_second");

    let world = World::with(|config| config.limits.streams_per_principal = 1).await;
    let token = world.token(MCP).text;
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut stream = world.connect().await;
    stream.send(&RawRequest::new("GET", "/mcp").bearer(&token).field("Accept", "text/event-stream").bytes()).await;
    stream.head().await;
    world.ask(&RawRequest::post(PING).bearer(&token)).await;
    assert_eq!(key(&log, 429).await, "limits.streams_per_principal, upstream.max_connections");
    drop((stream, world));

    let world = World::with(|c| c.upstreams.iter_mut().for_each(|u| u.max_connections = 1)).await;
    for _ in 0..10 {
        world
            .mcp
            .then([Act::Wait(Duration::from_millis(50)), answer("200 OK\r\nContent-Type: application/json", "{}")]);
    }
    let token = |n: usize| world.token_of(MCP, &format!("user-{n}"), "mcp_client_test");
    let asks: Vec<_> = (0..10).map(|n| RawRequest::post(PING).bearer(&token(n))).collect();
    futures_util::future::join_all(asks.iter().map(|ask| world.ask(ask))).await;
    assert_eq!(key(&log, 503).await, "upstream.max_connections");

    let world = World::with(|config| {
        config.timeouts.mcp_body = Duration::from_millis(50);
        config.limits.mcp_body = 1024;
    })
    .await;
    let head = |length: &str| {
        let ask =
            RawRequest::new("POST", "/mcp").field("Content-Type", "application/json").bearer(&world.token(MCP).text);
        ask.field("Content-Length", length).bytes()
    };
    for (length, status, expected) in [("40", 408, "timeouts.mcp_body"), ("4000", 413, "limits.mcp_body")] {
        let mut client = world.connect().await;
        client.send(&head(length)).await;
        client.reply().await;
        assert_eq!(key(&log, status).await, expected);
    }
    let poor = world.make(ALPHA, "other");
    world.cache.insert(&poor.record);
    let ask =
        RawRequest::new("POST", "/mcp/alpha").field("Content-Type", "application/json").body(PING).bearer(&poor.text);
    world.ask(&ask).await;
    assert_eq!(key(&log, 403).await, "upstream.required_scopes");
    world.ask(&RawRequest::post(PING).field("Origin", "https://evil.example")).await;
    assert_eq!(key(&log, 403).await, "cors.allowed_origins");
}

#[tokio::test]
async fn what_a_limit_ends_has_its_key_and_a_fault_without_one_has_none() {
    let log = Log::start();
    let world = World::with(|c| {
        c.limits.sse_event = 1000;
        c.upstreams.iter_mut().for_each(|u| u.call_timeout = Duration::from_millis(50));
    })
    .await;
    let ask = RawRequest::post(PING).bearer(&world.token(MCP).text);
    world.mcp.then([Act::Hang]);
    world.ask(&ask).await;
    assert_eq!(key(&log, 504).await, "upstream.call_timeout, upstream.first_byte_timeout");
    world.mcp.then([send(EVENTS), chunk(&format!("data: {}", "x".repeat(2000))), Act::Hang]);
    world.ask(&ask).await;
    assert_eq!(key(&log, 200).await, "limits.sse_event");
    // The limit of an answer's head is not configurable.
    let json = "Content-Type: application/json";
    world.mcp.then([answer(&format!("200 OK\r\nx: {}\r\n{json}", "y".repeat(70_000)), "{}")]);
    world.ask(&ask).await;
    let lines = log.take("too_large");
    assert!(!lines.is_empty() && lines.iter().all(|line| !line.contains(" key=")), "{lines:?}");
    // Nothing answers at this address, which is reserved for documentation (RFC 5737).
    let world = World::with(|c| {
        c.upstreams.iter_mut().for_each(|u| {
            u.url = "http://192.0.2.1/".parse().unwrap();
            u.connect_timeout = Duration::from_millis(50);
        });
    })
    .await;
    world.ask(&RawRequest::post(PING).bearer(&world.token(MCP).text)).await;
    let line = log.take("mcpgate::access").concat();
    assert!(!line.contains("too_slow") || line.contains(" key=\"upstream.connect_timeout\""), "{line}");
}
