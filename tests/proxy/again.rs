//! UP-13: which requests are sent a second time, and which never are.

use super::client::RawRequest;
use super::upstream::{Act, answer, send};
use super::world::{API, MCP, PING, World};

fn message(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}"}}"#)
}

#[tokio::test]
async fn up_13_what_only_reads_is_sent_once_more_when_a_kept_connection_ends_before_an_answer() {
    let world = World::new().await;
    let (mcp, api) = (world.token(MCP).text, world.token(API).text);
    let batch = |methods: &[&str]| format!("[{}]", methods.iter().map(|m| message(m)).collect::<Vec<_>>().join(","));
    let post = |body: String| RawRequest::post(body).bearer(&mcp);
    let large = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"ping","params":{{"x":"{}"}}}}"#, "x".repeat(5000));
    for (ask, again) in [
        (post(message("ping")), true),
        (post(message("tools/list")), true),
        (post(message("resources/read")), true),
        (post(batch(&["tools/list", "ping"])), true),
        (RawRequest::new("GET", "/mcp").bearer(&mcp), true),
        (RawRequest::new("DELETE", "/mcp").bearer(&mcp), true),
        (RawRequest::new("GET", "/api/x").bearer(&api), true),
        (RawRequest::new("PUT", "/api/x").bearer(&api), true),
        (post(message("tools/call")), false),
        (post(message("initialize")), false),
        (post(batch(&["tools/list", "tools/call"])), false),
        (post(r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#.to_owned()), false),
        (RawRequest::new("POST", "/api/x").bearer(&api), false),
        // The gateway no longer has the body.
        (RawRequest::new("PUT", "/api/x").body("{}").bearer(&api), false),
        (post(large), false),
    ] {
        let (upstream, warm) = if ask.bytes().windows(5).any(|w| w == b" /api") {
            (&world.api, RawRequest::new("GET", "/api/x").bearer(&api))
        } else {
            (&world.mcp, post(message("ping")))
        };
        assert_eq!(world.ask(&warm).await.status, 200);
        let (seen, opened) = (upstream.seen().len(), upstream.connections());
        upstream.then([Act::Close]);
        let reply = world.ask(&ask).await;
        assert_eq!(reply.status, if again { 200 } else { 502 }, "{ask:?}: {reply:?}");
        assert_eq!(upstream.seen().len() - seen, if again { 2 } else { 1 }, "{ask:?}");
        assert_eq!(upstream.connections() - opened, usize::from(again), "on a new connection: {ask:?}");
        let [.., one, other] = &*upstream.seen() else { panic!("two") };
        assert!(!again || (one.line == other.line && one.body == other.body));
    }
}

#[tokio::test]
async fn up_13_once_more_and_no_more_and_not_after_a_byte_of_an_answer_or_on_a_new_connection() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let ask = RawRequest::post(PING).bearer(&token);
    // On a new connection the request itself may be the cause of the close.
    world.mcp.then([Act::Close]);
    assert_eq!((world.ask(&ask).await.status, world.mcp.seen().len()), (502, 1));
    assert_eq!(world.ask(&ask).await.status, 200);
    world.mcp.then([Act::Close]);
    world.mcp.then([Act::Close]);
    assert_eq!((world.ask(&ask).await.status, world.mcp.seen().len()), (502, 4));
    for begun in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n"] {
        assert_eq!(world.ask(&ask).await.status, 200);
        let before = world.mcp.seen().len();
        world.mcp.then([send(begun), Act::Close]);
        assert_eq!(world.ask(&ask).await.status, 502, "{begun:?}");
        assert_eq!(world.mcp.seen().len(), before + 1, "{begun:?}");
    }
}

#[tokio::test]
async fn up_13_a_session_goes_along_when_a_request_is_sent_once_more() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let head = "200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: sid-1";
    world.mcp.then([answer(head, "{}"), Act::Close]);
    let session = world.ask(&RawRequest::post(message("initialize")).bearer(&token)).await;
    let session = session.field("mcp-session-id").unwrap().to_owned();
    world.mcp.wait_for_closed(1).await;
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 200);
    world.mcp.then([Act::Close]);
    let list = RawRequest::post(message("tools/list")).bearer(&token).field("Mcp-Session-Id", &session);
    assert_eq!(world.ask(&list).await.status, 200);
    assert_eq!(world.mcp.last().field("mcp-session-id"), Some("sid-1"));
}
