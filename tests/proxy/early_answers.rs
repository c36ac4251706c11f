//! UP: HTTP/2 upstreams that answer before they have the whole request, and upstreams that cut an answer off.

use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use serde_json::json;
use tokio::sync::mpsc;

use super::client::RawRequest;
use super::http2_upstreams::{ANSWER, Line, Seen, Server, assert_good, respond, start};
use super::upstream::soon;
use super::world::{API, MCP};

/// More than twice the size of the flow-control window.
const LARGE: usize = 200_000;

/// Reads what the window allows, and returns why the rest was not sent.
async fn why_it_ended(mut body: RecvStream) -> Option<Reason> {
    loop {
        match body.data().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.reason(),
            None => return None,
        }
    }
}

fn begin(send: &mut SendResponse<Bytes>) -> SendStream<Bytes> {
    let head = Response::builder().header("content-type", "application/json").body(()).unwrap();
    let mut stream = send.send_response(head, false).unwrap();
    stream.send_data(Bytes::from_static(b"{"), false).unwrap();
    stream
}

/// Answers at once, as the query says, and accepts only the first window of a request. Reports how requests ended.
async fn early() -> (Server, mpsc::UnboundedReceiver<Option<Reason>>) {
    let (tell, told) = mpsc::unbounded_channel();
    let serve = move |mut line: Line, number: usize, seen: Seen| {
        let tell = tell.clone();
        async move {
            let mut held = Vec::new();
            while let Some(Ok((request, mut send))) = line.accept().await {
                seen.add(number);
                let tell = tell.clone();
                match request.uri().query() {
                    Some("hold") => held.push((request, send)),
                    // h2 then resets the stream with NO_ERROR (RFC 9113 8.1).
                    Some("refuse") => respond(&mut send, ANSWER),
                    Some("whole") => {
                        respond(&mut send, ANSWER);
                        tokio::spawn(async move { tell.send(why_it_ended(request.into_body()).await) });
                    }
                    Some("part") => {
                        let mut stream = begin(&mut send);
                        tokio::spawn(async move {
                            let ended = why_it_ended(request.into_body());
                            let go_on = async {
                                while stream.send_data(Bytes::from_static(b" "), false).is_ok() {
                                    tokio::time::sleep(Duration::from_millis(30)).await;
                                }
                                std::future::pending::<()>().await;
                            };
                            tokio::select! {
                                why = ended => tell.send(why).unwrap(),
                                () = go_on => {}
                            }
                        });
                    }
                    _ => {
                        let mut stream = begin(&mut send);
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            stream.send_reset(Reason::NO_ERROR);
                        });
                    }
                }
            }
        }
    };
    (start(Builder::new(), serve).await, told)
}

fn large(method: &str, target: &str, token: &str) -> RawRequest {
    let params = json!({"name": "a", "arguments": "y".repeat(LARGE)});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    RawRequest::new(method, target).field("Content-Type", "application/json").body(body.to_string()).bearer(token)
}

#[tokio::test]
async fn what_no_http_2_upstream_takes_of_a_request_is_not_kept_once_it_is_answered() {
    let (mut server, mut told) = early().await;
    let world = server.world_with(|_| ()).await;
    let token = world.token(MCP).text;
    for n in 1..=3 {
        assert_good(&world.ask(&large("POST", "/mcp?whole", &token)).await);
        assert_eq!(soon(told.recv()).await, Some(Some(Reason::CANCEL)));
        assert_eq!(server.wait_for(n).await, vec![0; n], "its connection is still used");
    }
    assert_good(&world.ask(&large("POST", "/mcp?refuse", &token)).await);
}

#[tokio::test]
async fn an_upload_that_an_http_2_upstream_does_not_take_ends_with_its_client_although_its_answer_has_begun() {
    let (mut server, mut told) = early().await;
    let world = server.world_with(|_| ()).await;
    let api = world.token(API).text;
    // Once it has announced how many streams it allows, a connection is shared.
    assert_good(&world.ask(&RawRequest::new("GET", "/api/a?refuse").bearer(&api)).await);
    let mut other = world.connect().await;
    other.send(&RawRequest::new("GET", "/api/a?hold").bearer(&api).bytes()).await;
    server.wait_for(2).await;
    let mut client = world.connect().await;
    client.send(&large("PUT", "/api/a?part", &api).bytes()).await;
    assert_eq!(soon(client.head()).await.status, 200);
    drop(client);
    assert_eq!(soon(told.recv()).await, Some(Some(Reason::CANCEL)));
    assert_eq!(*server.seen.borrow(), [0, 0, 0], "on the connection that another user's request keeps open");
}

#[tokio::test]
async fn an_answer_that_an_http_2_upstream_breaks_off_without_an_error_does_not_look_whole() {
    let (server, _told) = early().await;
    let world = server.world_with(|_| ()).await;
    let reply = world.ask(&RawRequest::new("GET", "/api/a").bearer(&world.token(API).text)).await;
    assert!(reply.status == 200 && reply.body == b"{" && !reply.complete, "{reply:?}");
}
