//! SS: streams in both directions: what is joined, limited, kept alive and cut off.

use std::time::Duration;

use mcpgate::oauth::Lifetime;
use mcpgate::store::AuditEvent;

use super::client::{Client, RawRequest};
use super::upstream::{Act, EVENTS, answer, chunk, send, soon};
use super::world::{MCP, PING, World};

async fn listen(world: &World, token: &str) -> Client {
    let mut client = world.connect().await;
    client.send(&RawRequest::new("GET", "/mcp").bearer(token).field("Accept", "text/event-stream").bytes()).await;
    let head = client.head().await;
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")), "{head:?}");
    assert_eq!(head.field("x-accel-buffering"), Some("no"));
    assert_eq!(head.field("cache-control"), Some("no-store"));
    client
}

#[tokio::test]
async fn ss_08_events_pass_at_once_and_byte_for_byte() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let wait = || Act::Wait(Duration::from_millis(50));
    let events = ["\u{feff}: open\r\n\r\n", "id: 1\rdata: a\r\r", "retry: 10\ndata: b", "\n\ndata: c\n\n"];
    world.mcp.then([
        send(EVENTS),
        chunk(events[0]),
        wait(),
        chunk(events[1]),
        wait(),
        chunk(events[2]),
        chunk(events[3]),
        chunk(""),
    ]);
    let mut client = listen(&world, &token).await;
    let first = client.chunks_until("\r\n\r\n").await;
    assert_eq!(first, events[0], "the first event does not wait for the second");
    assert_eq!(client.chunks_until("c\n\n").await, events[1..].concat());
    assert_eq!(client.chunk().await, Some(vec![]));
}

#[tokio::test]
async fn a_burst_of_events_is_joined() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let burst: Vec<u8> = (0..200)
        .flat_map(|n| match chunk(&format!("data: {n}\n\n")) {
            Act::Send(bytes) => bytes,
            Act::Wait(_) | Act::Gate(_) | Act::Hang | Act::Close => vec![],
        })
        .collect();
    world.mcp.then([
        send(EVENTS),
        Act::Wait(Duration::from_millis(50)),
        send(burst),
        Act::Wait(Duration::from_millis(50)),
        chunk(""),
    ]);
    let mut client = listen(&world, &token).await;
    let mut chunks = Vec::new();
    while let Some(data) = client.chunk().await.filter(|data| !data.is_empty()) {
        chunks.push(data);
    }
    let expected: String = (0..200).map(|n| format!("data: {n}\n\n")).collect();
    assert_eq!(String::from_utf8(chunks.concat()).unwrap(), expected);
    assert!(chunks.len() < 20, "{} chunks for 200 events", chunks.len());
}

#[tokio::test]
async fn ss_02_an_endless_event_is_cut() {
    let world = World::with(|config| config.limits.sse_event = 100_000).await;
    let token = world.token(MCP).text;
    let line = "x".repeat(20_000);
    world.mcp.then(
        [send(EVENTS), chunk("data: ok\n\n"), chunk("data: ")]
            .into_iter()
            .chain((0..8).map(|_| chunk(&line)))
            .chain([Act::Hang]),
    );
    let mut client = listen(&world, &token).await;
    let mut length = 0;
    while let Some(data) = client.chunk().await {
        assert!(!data.is_empty(), "it must not look like an end");
        length += data.len();
    }
    assert!(length < 120_000, "{length}");
    world.mcp.wait_for_closed(1).await;
}

#[tokio::test]
async fn ss_02_no_coding_hides_an_endless_event() {
    let world = World::with(|config| config.limits.sse_event = 100_000).await;
    let token = world.token(MCP).text;
    let coded = |codings: &str| send(EVENTS.replace("\r\n\r\n", &format!("\r\nContent-Encoding: {codings}\r\n\r\n")));
    world.mcp.then(
        [coded("Identity"), chunk("data: ")]
            .into_iter()
            .chain((0..8).map(|_| chunk(&"x".repeat(20_000))))
            .chain([Act::Hang]),
    );
    let mut client = listen(&world, &token).await;
    let mut length = 0;
    while let Some(data) = client.chunk().await {
        length += data.len();
    }
    assert!(length < 120_000, "{length}");
    for codings in ["gzip", "identity, gzip", "x"] {
        world.mcp.then([coded(codings), chunk("data: a\n\n"), Act::Hang]);
        let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
        reply.assert_rpc(502, -32603, serde_json::json!(7));
    }
}

#[tokio::test]
async fn ss_04_a_silent_stream_is_kept_alive_between_events_only() {
    let world = World::with(|config| config.timeouts.sse_keep_alive = Duration::from_millis(40)).await;
    let token = world.token(MCP).text;
    world.mcp.then([
        send(EVENTS),
        chunk("data: a\n\n"),
        Act::Wait(Duration::from_millis(400)),
        chunk("data: half"),
        Act::Wait(Duration::from_millis(400)),
        chunk(" whole\n\n"),
        Act::Hang,
    ]);
    let mut client = listen(&world, &token).await;
    let text = client.chunks_until("whole\n\n").await;
    assert!(text.starts_with("data: a\n\n:\n\n:\n\n"), "{text:?}");
    assert!(text.ends_with(":\n\ndata: half whole\n\n"), "{text:?}");
    client.chunks_until(":\n\n").await;
}

#[tokio::test]
async fn a_stream_has_a_longest_age() {
    let world = World::with(|config| {
        config.timeouts.sse_keep_alive = Duration::from_millis(40);
        config.upstreams.iter_mut().for_each(|u| u.max_stream = Duration::from_millis(100));
    });
    let world = world.await;
    let token = world.token(MCP).text;
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut client = listen(&world, &token).await;
    let text = client.chunks_until("the stream is too old\n\n").await;
    assert!(text.starts_with("data: a\n\n"), "{text:?}");
    assert_eq!(client.chunk().await, Some(vec![]));
    world.mcp.wait_for_closed(1).await;
}

#[tokio::test]
async fn ss_05_a_client_that_leaves_cancels_at_the_upstream() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut client = listen(&world, &token).await;
    client.chunks_until("a\n\n").await;
    drop(client);
    world.mcp.wait_for_closed(1).await;
    // Before the head of the answer, too.
    world.mcp.then([Act::Hang]);
    let mut client = world.connect().await;
    client.send(&RawRequest::post(PING).bearer(&token).bytes()).await;
    world.mcp.wait_for_requests(2).await;
    drop(client);
    world.mcp.wait_for_closed(2).await;
}

#[tokio::test]
async fn ss_06_tv_14_a_revocation_ends_open_streams() {
    let world = World::new().await;
    let made = world.token(MCP);
    let other = world.token(MCP).text;
    for _ in 0..2 {
        world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    }
    let mut ended = listen(&world, &made.text).await;
    let mut kept = listen(&world, &other).await;
    ended.chunks_until("a\n\n").await;
    kept.chunks_until("a\n\n").await;
    world.cache.forget_grant(&made.record.tenant, made.record.grant);
    assert_eq!(ended.chunks_until("ended\n\n").await, ": the access token has ended\n\n");
    assert_eq!(ended.chunk().await, Some(vec![]));
    world.mcp.wait_for_closed(1).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(300), kept.chunk()).await.is_err(),
        "the other stream stays open"
    );
}

#[tokio::test]
async fn ss_06_tv_14_filling_the_cache_anew_ends_the_streams_of_revoked_tokens_alone() {
    let world = World::new().await;
    let (good, gone) = (world.stored(MCP).await, world.stored(MCP).await);
    world.cache.fill().await;
    for _ in 0..2 {
        world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    }
    let mut kept = listen(&world, &good.text).await;
    let mut ended = listen(&world, &gone.text).await;
    kept.chunks_until("a\n\n").await;
    ended.chunks_until("a\n\n").await;
    let audit = world.audit(AuditEvent::GrantRevoked);
    world.store.inner.revoke_grant(gone.record.grant, audit).await.unwrap();
    world.cache.refill().await.unwrap();
    assert_eq!(ended.chunks_until("ended\n\n").await, ": the access token has ended\n\n");
    assert!(tokio::time::timeout(Duration::from_millis(300), kept.chunk()).await.is_err(), "the other stays");
}

#[tokio::test]
async fn tv_15_an_expired_token_ends_its_stream_after_a_grace() {
    let world = World::with(|config| {
        config.timeouts.sse_keep_alive = Duration::from_millis(40);
        config.timeouts.expired_stream = Duration::from_secs(60);
    });
    let world = world.await;
    let token = world.token(MCP).text;
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut client = listen(&world, &token).await;
    world.clock.advance(Lifetime::from_secs(3600 + 59));
    client.chunks_until(":\n\n").await;
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 401, "no new request");
    world.clock.advance(Lifetime::from_secs(1));
    client.chunks_until("ended\n\n").await;
    assert_eq!(client.chunk().await, Some(vec![]));
}

#[tokio::test]
async fn ss_09_the_declared_type_counts_not_the_bytes() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    world.mcp.then([answer("200 OK\r\nContent-Type: text/event-stream", "{}")]);
    let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
    assert_eq!((reply.field("content-type"), reply.text()), (Some("text/event-stream"), "{}"));
    world.mcp.then([answer("200 OK\r\nContent-Type: application/json", "data: a\n\n")]);
    let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
    assert_eq!((reply.field("content-type"), reply.text()), (Some("application/json"), "data: a\n\n"));
    assert_eq!(reply.field("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn ss_10_open_streams_are_counted_per_person() {
    let world = World::with(|config| config.limits.streams_per_principal = 3).await;
    let token = world.token(MCP).text;
    let mut open = Vec::new();
    for _ in 0..3 {
        world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
        open.push(listen(&world, &token).await);
    }
    let ask = RawRequest::new("GET", "/mcp").bearer(&token);
    let reply = world.ask(&ask).await;
    assert_eq!((reply.status, reply.field("retry-after")), (429, Some("5")), "{reply:?}");
    assert_eq!(world.mcp.seen().len(), 3);
    open.pop();
    world.mcp.wait_for_closed(1).await;
    world.mcp.then([send(EVENTS), Act::Hang]);
    listen(&world, &token).await;
}

#[tokio::test]
async fn ss_10_a_person_with_several_clients_is_still_one_person() {
    let world = World::with(|config| config.limits.streams_per_principal = 3).await;
    let mut open = Vec::new();
    for n in 0..3 {
        world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
        open.push(listen(&world, &world.token_of(MCP, "ada", &format!("mcp_client_{n}"))).await);
    }
    let fourth = world.token_of(MCP, "ada", "mcp_client_4");
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&fourth)).await.status, 429);
    let other = world.token_of(MCP, "bob", "mcp_client_1");
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&other)).await.status, 200);
}

#[tokio::test]
async fn ss_10_streams_that_are_asked_for_at_once_are_counted_too() {
    let world = World::with(|config| config.limits.streams_per_principal = 3).await;
    let token = world.token(MCP).text;
    let ask = RawRequest::new("GET", "/mcp").bearer(&token).bytes();
    let mut clients = Vec::new();
    for _ in 0..10 {
        world.mcp.then([Act::Wait(Duration::from_millis(200)), send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
        let mut client = world.connect().await;
        client.send(&ask).await;
        clients.push(client);
    }
    let heads = futures_util::future::join_all(clients.iter_mut().map(Client::head)).await;
    let count = |status| heads.iter().filter(|head| head.status == status).count();
    assert_eq!((count(200), count(429)), (3, 7), "{heads:?}");
    assert_eq!(world.mcp.seen().len(), 3, "the others do not reach the upstream");
}

#[tokio::test]
async fn ss_10_ds_02_requests_under_way_are_counted_like_streams_until_they_end() {
    let world = World::with(|config| config.limits.streams_per_principal = 3).await;
    let (token, other) = (world.token(MCP).text, world.make_for(MCP, "use", "somebody-else"));
    world.cache.insert(&other.record);
    let ask = RawRequest::post(PING).bearer(&token);
    let late = || [Act::Wait(Duration::from_millis(300)), answer("200 OK\r\nContent-Type: application/json", "{}")];
    (0..3).for_each(|_| world.mcp.then(late()));
    let replies = futures_util::future::join_all((0..10).map(|_| world.ask(&ask))).await;
    let count = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((count(200), count(429), world.mcp.seen().len()), (3, 7, 3), "{replies:?}");
    assert!(replies.iter().all(|reply| reply.status == 200 || reply.field("retry-after") == Some("5")));
    // Streams that were given up have ended as well.
    let mut clients = Vec::new();
    for _ in 0..3 {
        world.mcp.then([Act::Hang]);
        let mut client = world.connect().await;
        client.send(&ask.bytes()).await;
        clients.push(client);
    }
    world.mcp.wait_for_requests(6).await;
    assert_eq!(world.ask(&ask).await.status, 429);
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&other.text)).await.status, 200, "a limit for each");
    let closed = world.mcp.connections() - 1;
    drop(clients);
    world.mcp.wait_for_closed(closed.min(3)).await;
    assert_eq!(world.ask(&ask).await.status, 200);
}

#[tokio::test]
async fn tv_23_a_token_that_nobody_vouches_for_ends_its_stream_after_the_grace() {
    let world = World::with(|config| {
        config.max_stale = Lifetime::from_millis(300);
        config.timeouts.expired_stream = Duration::from_millis(300);
        config.timeouts.sse_keep_alive = Duration::from_millis(40);
    });
    let world = world.await;
    let token = world.token(MCP).text;
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut client = listen(&world, &token).await;
    let text = soon(client.chunks_until(": tokens cannot be checked at present\n\n")).await;
    assert!(text.contains(":\n\n:\n\n"), "it lives for a while: {text:?}");
    assert_eq!(client.chunk().await, Some(vec![]));
}

#[tokio::test]
async fn ss_10_open_streams_count_on_when_the_configuration_is_loaded_anew() {
    let world = World::with(|config| config.limits.streams_per_principal = 1).await;
    let token = world.token(MCP).text;
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut client = listen(&world, &token).await;
    client.chunks_until("a\n\n").await;
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 429);
    world.reload(|config| config.timeouts.keep_alive = Duration::from_secs(61));
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 429);
}

#[tokio::test]
async fn connections_outlive_a_configuration_that_leaves_their_upstream_as_it_is() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let ask = || RawRequest::post(PING).bearer(&token);
    assert_eq!(world.ask(&ask()).await.status, 200);
    world.reload(|config| config.timeouts.keep_alive = Duration::from_secs(61));
    assert_eq!((world.ask(&ask()).await.status, world.mcp.connections()), (200, 1));
    world.reload(|config| config.upstreams.iter_mut().for_each(|u| u.headers.clear()));
    assert_eq!((world.ask(&ask()).await.status, world.mcp.connections()), (200, 2));
    assert_eq!(world.mcp.last().field("x-upstream-key"), None);
}
