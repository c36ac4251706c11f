//! SS-01: clients that do not read, on a connection to an HTTP/2 upstream that others share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, poll_fn};
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, client};
use http::{Request, Response};
use tokio::sync::{oneshot, watch};

use super::client::Client;
use super::http2_upstreams::{ANSWER, Line, Seen, Server, ask, assert_good, hold, respond, start};
use super::upstream::soon;
use super::world::{MCP, PING, World};

/// Clients that do not read.
const READERS: usize = 4;
/// Clients that leave, one after the other.
const LEAVERS: usize = 40;
/// Events for each of them: three times the size of a stream's window.
const EVENTS: usize = 16_000;

fn event(n: usize) -> String {
    format!("data: {n:05}\n\n")
}

/// Sends small events, each in its own frame, as far as the window of the stream allows; counts them.
async fn flood(mut send: SendResponse<Bytes>, after: Duration, sent: Arc<AtomicUsize>) {
    tokio::time::sleep(after).await;
    let head = Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
    let mut stream = send.send_response(head, false).unwrap();
    for n in 0..EVENTS {
        let event = Bytes::from(event(n));
        stream.reserve_capacity(event.len());
        while stream.capacity() < event.len() {
            if !matches!(poll_fn(|cx| stream.poll_capacity(cx)).await, Some(Ok(_))) {
                return;
            }
        }
        stream.send_data(event, n + 1 == EVENTS).unwrap();
        sent.fetch_add(1, Relaxed);
    }
}

/// Streams that read one byte, until they are told to read more.
async fn ask_without_reading(world: &World, token: &str) -> (Vec<RecvStream>, oneshot::Sender<()>) {
    let mut builder = client::Builder::new();
    builder.initial_window_size(1);
    let (mut send, mut connection) = builder.handshake::<_, Bytes>(world.connect_http2().await).await.unwrap();
    let (open, opened) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            ended = &mut connection => panic!("{ended:?}"),
            _ = opened => {
                connection.set_initial_window_size(65_535).unwrap();
                connection.await
            }
        }
    });
    let mut bodies = Vec::new();
    for _ in 0..READERS {
        let request = Request::post("https://gw.example/mcp?flood")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("authorization", format!("Bearer {token}"));
        send = send.ready().await.unwrap();
        let (answer, mut body) = send.send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data(Bytes::from_static(PING.as_bytes()), true).unwrap();
        bodies.push(soon(answer).await.unwrap().into_body());
    }
    (bodies, open)
}

/// Waits until sending has stopped.
async fn until_held_up(sent: &AtomicUsize) -> usize {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let now = sent.load(Relaxed);
        if now > 0 && now == before {
            return now;
        }
        before = now;
    }
}

async fn read(mut body: RecvStream) -> String {
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap_or_else(|error| panic!("after {} bytes: {error}", text.len()));
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
    }
    String::from_utf8(text).unwrap()
}

/// An upstream that floods requests with the query `flood` after `after`, and counts what it has sent on them. It
/// answers requests without a query at once, and the others when it is told to.
async fn flooding(after: Duration, sent: Arc<AtomicUsize>, wait: watch::Receiver<bool>) -> Server {
    let serve = move |mut line: Line, number: usize, seen: Seen| {
        let (sent, wait) = (Arc::clone(&sent), wait.clone());
        async move {
            while let Some(Ok((request, mut send))) = line.accept().await {
                seen.add(number);
                if request.uri().query() == Some("flood") {
                    tokio::spawn(flood(send, after, Arc::clone(&sent)));
                } else if request.uri().query().is_none() {
                    respond(&mut send, ANSWER);
                } else {
                    let mut wait = wait.clone();
                    tokio::spawn(async move {
                        wait.wait_for(|go_on| *go_on).await.unwrap();
                        respond(&mut send, ANSWER);
                    });
                }
            }
        }
    };
    start(Builder::new(), serve).await
}

/// A world in which a client waits for the answer to a call, and the token of another client.
async fn with_a_call(server: &mut Server) -> (World, Client, String) {
    let world = server.world_with(|config| {
        config.timeouts.sse_keep_alive = Duration::from_millis(100);
        config.upstreams.iter_mut().for_each(|upstream| upstream.call_timeout = Duration::from_secs(30));
    });
    let world = world.await;
    let (one, other) = (world.token_of(MCP, "one", "mcp_client_a"), world.token_of(MCP, "other", "mcp_client_b"));
    assert_good(&world.ask(&ask("", &one)).await);
    let call = hold(&world, &one).await;
    server.wait_for(2).await;
    (world, call, other)
}

/// Clients that do not read answers which begin after `after`.
async fn small_events_that_nobody_reads(after: Duration) {
    let sent = Arc::new(AtomicUsize::new(0));
    let (go_on, wait) = watch::channel(false);
    let mut server = flooding(after, Arc::clone(&sent), wait).await;
    let (world, mut call, other) = with_a_call(&mut server).await;
    let (bodies, open) = ask_without_reading(&world, &other).await;
    let held_up = until_held_up(&sent).await;
    assert!(held_up < READERS * EVENTS, "a client that does not read holds up sending");
    go_on.send_replace(true);
    assert_good(&call.reply().await);

    // A client that reads again has lost nothing.
    open.send(()).unwrap();
    let expected: String = (0..EVENTS).map(event).collect();
    for text in soon(join_all(bodies.into_iter().map(read))).await {
        assert!(text.replace(":\n\n", "") == expected, "{} bytes instead of {}", text.len(), expected.len());
    }
    assert_eq!(*server.seen.borrow(), [0; READERS + 2], "all on one connection");
}

#[tokio::test]
async fn ss_01_who_does_not_read_small_events_harms_no_other_call_on_the_connection_and_loses_none() {
    small_events_that_nobody_reads(Duration::ZERO).await;
}

#[tokio::test]
async fn ss_01_who_does_not_read_an_answer_that_begins_late_harms_no_other_call_and_loses_nothing() {
    small_events_that_nobody_reads(Duration::from_millis(400)).await;
}

/// Frames for a stream that was given up are ignored, and must not count against the connection.
#[tokio::test]
async fn ss_05_those_who_leave_in_the_middle_of_small_events_end_no_other_call_on_the_connection() {
    let (go_on, wait) = watch::channel(false);
    let mut server = flooding(Duration::ZERO, Arc::default(), wait).await;
    let (world, mut call, other) = with_a_call(&mut server).await;
    for n in 0..LEAVERS {
        let mut leaver = world.connect().await;
        leaver.send(&ask("?flood", &other).field("Accept", "application/json, text/event-stream").bytes()).await;
        server.wait_for(3 + n).await;
        assert_eq!(leaver.head().await.status, 200);
    }
    go_on.send_replace(true);
    assert_good(&call.reply().await);
    assert!(server.seen.borrow().iter().all(|connection| *connection == 0), "all on one connection");
}
