//! SC-11: subscribing to a resource is judged like reading it, and so is what is told of its changes.

use mcpgate::config::UpstreamKind;
use serde_json::{Value, json};

use super::client::RawRequest;
use super::rules::{HIDING, assert_denied, request, ruled, token};
use super::upstream::{answer, chunk, send};
use super::world::MCP;

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn listen(uris: &Value) -> String {
    request("subscriptions/listen", &json!({"notifications": {"resourceSubscriptions": uris}}))
}

#[tokio::test]
async fn sc_11_a_subscription_is_judged_like_reading_its_resource() {
    let world = ruled(UpstreamKind::Mcp, HIDING).await;
    let token = token(&world, MCP, "use");
    let ask = async |body: &str| world.ask(&RawRequest::post(body).bearer(&token)).await;
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        let body = |uri: &Value| request(method, &json!({"uri": uri}));
        let hidden = "Resource not found: file:///private/a";
        assert_denied(&ask(&body(&json!("file:///private/a"))).await, -32002, hidden);
        assert_denied(&ask(&body(&json!(7))).await, -32002, "Resource not found");
        world.mcp.assert_nothing();
    }
    let modern = |body: &str| {
        RawRequest::modern(body).bearer(&token).field("Mcp-Method", "subscriptions/listen").field("Accept", "*/*")
    };
    let private = "file:///private/a";
    for uris in [json!([private]), json!(["file:///public/a", private]), json!([7]), json!(private), json!([[private]])]
    {
        let reply = world.ask(&modern(&listen(&uris))).await;
        reply.assert_rpc(200, -32602, json!(9));
        let text = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(text.starts_with("Resource not found"), "{uris}: {text}");
    }
    world.mcp.assert_nothing();
    let public = json!({"uri": "file:///public/a"});
    for body in [request("resources/subscribe", &public), request("resources/unsubscribe", &public)] {
        assert_eq!(ask(&body).await.status, 200, "{body}");
        assert_eq!(world.mcp.last().body, body.as_bytes());
    }
    for body in [listen(&json!(["file:///public/a"])), request("subscriptions/listen", &json!({}))] {
        assert_eq!(world.ask(&modern(&body)).await.status, 200, "{body}");
        assert_eq!(world.mcp.last().body, body.as_bytes());
    }
}

#[tokio::test]
async fn sc_11_changes_of_what_may_not_be_read_are_not_told() {
    let world = ruled(UpstreamKind::Mcp, HIDING).await;
    let token = token(&world, MCP, "use");
    let updated = |uri: &str| {
        json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}}).to_string()
    };
    let (public, private) = (updated("file:///public/a"), updated("file:///private/a"));
    let odd = private.replace('/', "\\/");
    let none = private.replace("\"uri\"", "\"url\"");
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"uri":"file:///private/a"}}"#;
    let event = |data: &str| format!("event: message\nid: 1\ndata: {data}\n\n");
    let stream = |all: &[&str]| all.iter().map(|data| event(data)).collect::<String>();
    let sent = stream(&[&private, &public, &odd, &none, progress, &private]);
    let expected = stream(&[&public, progress]);
    // As the answer to a request, and on the stream of a session.
    world.mcp.then([send(EVENTS), chunk(&sent), chunk("")]);
    let body = request("tools/call", &json!({"name": "add"}));
    assert_eq!(world.ask(&RawRequest::post(body).bearer(&token)).await.text(), expected);
    world.mcp.then([send(EVENTS), chunk(&sent[..50]), chunk(&sent[50..]), chunk("")]);
    let get = RawRequest::new("GET", "/mcp").bearer(&token).field("Accept", "text/event-stream");
    assert_eq!(world.ask(&get).await.text(), expected);
    // In the answer to a batch.
    let (list, result) = (request("tools/list", &json!({})), r#"{"jsonrpc":"2.0","id":9,"result":{}}"#);
    world.mcp.then([answer(
        "200 OK\r\nContent-Type: application/json",
        &format!("[{private}, {result},{public},{private}]"),
    )]);
    let batch = RawRequest::post(format!("[{list}]")).bearer(&token).field("MCP-Protocol-Version", "2025-03-26");
    assert_eq!(world.ask(&batch).await.text(), format!("[{result},{public}]"));
}
