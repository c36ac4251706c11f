//! Legacy sessions: bound to upstream, user and client; unknown to the modern revision.

use serde_json::json;

use super::client::Ask;
use super::upstream::answer;
use super::world::{ALPHA, MCP, PING, World};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;

async fn open(world: &World, token: &str) -> String {
    world.mcp.then([answer(
        "200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: sid-1",
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    )]);
    let reply = world.ask(&Ask::post(INITIALIZE).bearer(token)).await;
    reply.field("mcp-session-id").expect("a session").to_owned()
}

#[tokio::test]
async fn a_session_comes_back_to_the_upstream_as_it_gave_it() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let session = open(&world, &token).await;
    assert!(session.ends_with(".sid-1") && session.len() == 22 + 6, "{session}");
    for ask in [Ask::post(PING), Ask::new("GET", "/mcp").field("Last-Event-ID", "e-7"), Ask::new("DELETE", "/mcp")] {
        let reply = world
            .ask(&ask.bearer(&token).field("Mcp-Session-Id", &session).field("MCP-Protocol-Version", "2025-06-18"))
            .await;
        assert_eq!(reply.status, 200);
        assert_eq!(world.mcp.last().field("mcp-session-id"), Some("sid-1"));
    }
    assert_eq!(world.mcp.seen()[2].field("last-event-id"), Some("e-7"));
}

#[tokio::test]
async fn hd_12_the_session_of_another_is_unknown() {
    let world = World::new().await;
    let ada = world.token(MCP);
    let session = open(&world, &ada.text).await;
    let before = world.mcp.seen().len();
    let other = world.make_for(MCP, "use", "charles-babbage");
    world.cache.insert(&other.record);
    let mut client = world.make(MCP, "use");
    client.record.client = mcpgate::oauth::ClientId::parse("mcp_client_other").unwrap();
    world.cache.insert(&client.record);
    let forged = format!("{}.sid-2", session.split_once('.').unwrap().0);
    for (token, id) in [
        (&other.text, session.as_str()),
        (&client.text, &session),
        (&ada.text, &forged),
        (&ada.text, "sid-1"),
        (&ada.text, ".sid-1"),
        (&ada.text, ""),
    ] {
        world.ask(&Ask::post(PING).bearer(token).field("Mcp-Session-Id", id)).await.assert_rpc(404, -32001, json!(7));
    }
    let twice = Ask::post(PING).bearer(&ada.text).field("Mcp-Session-Id", &session).field("Mcp-Session-Id", &session);
    assert_eq!(world.ask(&twice).await.status, 404);
    assert_eq!(world.mcp.seen().len(), before);
    let alpha = world.make(ALPHA, "admin");
    world.cache.insert(&alpha.record);
    let elsewhere = Ask::new("POST", "/mcp/alpha").field("Content-Type", "application/json").body(PING);
    assert_eq!(world.ask(&elsewhere.bearer(&alpha.text).field("Mcp-Session-Id", &session)).await.status, 404);
    world.alpha.assert_nothing();
}

#[tokio::test]
async fn the_modern_revision_knows_no_sessions() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let session = open(&world, &token).await;
    world.mcp.then([answer("200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: sid-2", "{}")]);
    let ask = Ask::modern(PING)
        .bearer(&token)
        .field("Mcp-Method", "ping")
        .field("Mcp-Session-Id", &session)
        .field("Last-Event-ID", "1");
    let reply = world.ask(&ask).await;
    assert_eq!((reply.status, reply.field("mcp-session-id")), (200, None));
    let seen = world.mcp.last();
    assert_eq!((seen.field("mcp-session-id"), seen.field("last-event-id")), (None, None));
}

#[tokio::test]
async fn events_are_not_replayed_without_a_session() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    world.ask(&Ask::new("GET", "/mcp").bearer(&token).field("Last-Event-ID", "e-7")).await;
    assert_eq!(world.mcp.last().field("last-event-id"), None);
}

#[tokio::test]
async fn a_dead_session_is_the_upstreams_to_announce() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let session = open(&world, &token).await;
    world.mcp.then([answer("404 Not Found\r\nContent-Type: application/json", r#"{"error":"gone"}"#)]);
    let reply = world.ask(&Ask::post(PING).bearer(&token).field("Mcp-Session-Id", &session)).await;
    assert_eq!((reply.status, reply.text()), (404, r#"{"error":"gone"}"#));
}
