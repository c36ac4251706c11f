//! Legacy sessions: bound to upstream, user and client; unknown in the modern revision.

use std::time::Duration;

use serde_json::json;

use super::client::RawRequest;
use super::upstream::{Act, answer};
use super::world::{ALPHA, MCP, PING, World};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;

async fn open(world: &World, token: &str) -> String {
    world.mcp.then([answer(
        "200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: sid-1",
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    )]);
    let reply = world.ask(&RawRequest::post(INITIALIZE).bearer(token)).await;
    reply.field("mcp-session-id").expect("a session").to_owned()
}

#[tokio::test]
async fn a_session_comes_back_to_the_upstream_as_it_gave_it() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let session = open(&world, &token).await;
    assert!(session.ends_with(".sid-1") && session.find('.') == Some(22), "{session}");
    for ask in [
        RawRequest::post(PING),
        RawRequest::new("GET", "/mcp").field("Last-Event-ID", "e-7"),
        RawRequest::new("DELETE", "/mcp"),
    ] {
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
    let forged = format!("{}.sid-2", session.rsplit_once('.').unwrap().0);
    let later = session.replacen('.', ".f", 1);
    for (token, id) in [
        (&other.text, session.as_str()),
        (&client.text, &session),
        (&ada.text, &forged),
        (&ada.text, &later),
        (&ada.text, "sid-1"),
        (&ada.text, ".sid-1"),
        (&ada.text, ""),
    ] {
        world.ask(&RawRequest::post(PING).bearer(token).field("Mcp-Session-Id", id)).await.assert_rpc(
            404,
            -32001,
            json!(7),
        );
    }
    let twice =
        RawRequest::post(PING).bearer(&ada.text).field("Mcp-Session-Id", &session).field("Mcp-Session-Id", &session);
    assert_eq!(world.ask(&twice).await.status, 404);
    assert_eq!(world.mcp.seen().len(), before);
    let alpha = world.make(ALPHA, "admin");
    world.cache.insert(&alpha.record);
    let elsewhere = RawRequest::new("POST", "/mcp/alpha").field("Content-Type", "application/json").body(PING);
    assert_eq!(world.ask(&elsewhere.bearer(&alpha.text).field("Mcp-Session-Id", &session)).await.status, 404);
    world.alpha.assert_nothing();
}

#[tokio::test]
async fn hd_12_an_id_that_an_upstream_gives_again_is_dead_for_the_one_before() {
    let world = World::new().await;
    let (ada, charles) = (world.token(MCP).text, world.token_of(MCP, "charles-babbage", "mcp_client_test"));
    let ping = async |token: &str, session: &str| {
        world.ask(&RawRequest::post(PING).bearer(token).field("Mcp-Session-Id", session)).await.status
    };
    let first = open(&world, &ada).await;
    assert_eq!((ping(&ada, &first).await, open(&world, &ada).await == first), (200, true), "her own again");
    // The upstream has been restarted and numbers its sessions from 1 again.
    let second = open(&world, &charles).await;
    let before = world.mcp.seen().len();
    world.ask(&RawRequest::post(PING).bearer(&ada).field("Mcp-Session-Id", &first)).await.assert_rpc(
        404,
        -32001,
        json!(7),
    );
    assert_eq!(
        world.ask(&RawRequest::new("GET", "/mcp").bearer(&ada).field("Mcp-Session-Id", &first)).await.status,
        404
    );
    assert_eq!(world.mcp.seen().len(), before, "none of her requests reaches his session");
    assert_eq!(ping(&charles, &second).await, 200);
    let third = open(&world, &ada).await;
    assert!(third != first, "{third}");
    assert_eq!((ping(&charles, &second).await, ping(&ada, &first).await, ping(&ada, &third).await), (404, 404, 200));
}

#[tokio::test]
async fn a_session_that_every_answer_names_stays_as_it_is() {
    let world = World::new().await;
    let (ada, charles) = (world.token(MCP).text, world.token_of(MCP, "charles-babbage", "mcp_client_test"));
    let first = open(&world, &ada).await;
    let named = || [answer("200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: sid-1", "{}")];
    world.mcp.then(named());
    let reply = world.ask(&RawRequest::post(PING).bearer(&ada).field("Mcp-Session-Id", &first)).await;
    assert_eq!(reply.field("mcp-session-id"), Some(&*first));
    // A request was in progress when its session id was assigned to another user; its answer does not undo that.
    world.mcp.then([vec![Act::Wait(Duration::from_millis(300))], named().to_vec()].concat());
    let late = async { world.ask(&RawRequest::post(PING).bearer(&ada).field("Mcp-Session-Id", &first)).await };
    let other = async {
        world.mcp.wait_for_requests(3).await;
        open(&world, &charles).await
    };
    let (_, second) = tokio::join!(late, other);
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&charles).field("Mcp-Session-Id", &second)).await.status, 200);
}

#[tokio::test]
async fn the_modern_revision_knows_no_sessions() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let session = open(&world, &token).await;
    world.mcp.then([answer("200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: sid-2", "{}")]);
    let ask = RawRequest::modern(PING)
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
    world.ask(&RawRequest::new("GET", "/mcp").bearer(&token).field("Last-Event-ID", "e-7")).await;
    assert_eq!(world.mcp.last().field("last-event-id"), None);
}

#[tokio::test]
async fn a_dead_session_is_the_upstreams_to_announce() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let session = open(&world, &token).await;
    world.mcp.then([answer("404 Not Found\r\nContent-Type: application/json", r#"{"error":"gone"}"#)]);
    let reply = world.ask(&RawRequest::post(PING).bearer(&token).field("Mcp-Session-Id", &session)).await;
    assert_eq!((reply.status, reply.text()), (404, r#"{"error":"gone"}"#));
}
