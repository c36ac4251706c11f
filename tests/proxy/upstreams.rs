//! UP: upstreams that are absent, slow, or wrong.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::client::RawRequest;
use super::refusing::Refusing;
use super::upstream::{Act, EVENTS, Upstream, answer, chunk, send, soon};
use super::world::{API, MCP, PING, World};

#[tokio::test]
async fn up_01_an_absent_upstream_is_named_without_its_address() {
    let refusing = Refusing::new();
    let closed = refusing.address();
    let url = |host: String| {
        move |c: &mut mcpgate::config::Config| c.upstreams.iter_mut().for_each(|u| u.url = host.parse().unwrap())
    };
    for host in [format!("http://{closed}/"), "http://nowhere.invalid/".to_owned(), format!("https://{closed}/")] {
        let world = World::with(url(host)).await;
        let reply = world.ask(&RawRequest::post(PING).bearer(&world.token(MCP).text)).await;
        reply.assert_rpc(502, -32603, json!(7));
        assert!(!reply.text().contains("127.0.0.1") && !reply.text().contains("nowhere"), "{reply:?}");
    }
}

#[tokio::test]
async fn up_01_a_slow_upstream_is_given_up() {
    let world = World::with(|c| c.upstreams.iter_mut().for_each(|u| u.call_timeout = Duration::from_millis(50))).await;
    world.mcp.then([Act::Hang]);
    let reply = world.ask(&RawRequest::post(PING).bearer(&world.token(MCP).text)).await;
    reply.assert_rpc(504, -32603, json!(7));
    world.mcp.wait_for_closed(1).await;
}

#[tokio::test]
async fn the_time_that_a_client_takes_for_its_body_is_not_the_upstreams() {
    let limit = Duration::from_secs(1);
    let world = World::with(|c| c.upstreams.iter_mut().for_each(|u| u.call_timeout = limit)).await;
    let request = RawRequest::post(PING).bearer(&world.token(MCP).text);
    // The second request goes on the connection of the first.
    assert_eq!(world.ask(&request).await.status, 200);
    let mut client = world.connect().await;
    let bytes = request.bytes();
    let (begin, rest) = bytes.split_at(bytes.len() - 5);
    client.send(begin).await;
    tokio::time::sleep(limit + Duration::from_millis(100)).await;
    client.send(rest).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn up_03_a_part_never_looks_like_the_whole() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let json = "Content-Type: application/json";
    let wait = Act::Wait(Duration::from_millis(50));
    for part in [
        vec![
            send(format!("HTTP/1.1 200 OK\r\n{json}\r\nContent-Length: 100\r\n\r\n{{\"a\":")),
            wait.clone(),
            Act::Close,
        ],
        vec![
            send(format!("HTTP/1.1 200 OK\r\n{json}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{\"a\":")),
            wait.clone(),
            Act::Close,
        ],
        vec![send(EVENTS), chunk("data: a\n\n"), wait.clone(), send("5\r\nda"), Act::Close],
    ] {
        world.mcp.then(part);
        let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
        assert!(reply.status == 502 || !reply.complete, "{reply:?}");
    }
}

#[tokio::test]
async fn up_04_excess_bytes_are_discarded_with_their_connection() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let excess = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    world.mcp.then([send(excess)]);
    let mut client = world.connect().await;
    let reply = client.ask(&RawRequest::post(PING).bearer(&token)).await;
    assert_eq!((reply.status, reply.text()), (200, "{}"));
    let reply = client.ask(&RawRequest::post(PING).bearer(&token)).await;
    assert_eq!((reply.status, &reply.json()["id"]), (200, &json!(7)), "{reply:?}");
    assert_eq!(world.mcp.connections(), 2);
}

#[tokio::test]
async fn up_05_hs_17_answers_that_are_not_http_or_too_large_become_502() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let fields = |n: usize| (0..n).map(|i| format!("x-{i}: y\r\n")).collect::<String>();
    for odd in [
        format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\n{{}}", fields(101)),
        format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\n{{}}", fields(65)),
        format!("HTTP/1.1 200 OK\r\nx: {}\r\nContent-Length: 2\r\n\r\n{{}}", "y".repeat(70_000)),
        format!("HTTP/1.1 200 OK\r\nx: {}\r\nContent-Length: 2\r\n\r\n{{}}", "y".repeat(1 << 20)),
        "HTTP/1.1 200 OK\r\nLocation: a\rb\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}".to_owned(),
        "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
        "HTTP/1.1 999999 No\r\n\r\n".to_owned(),
    ] {
        world.mcp.then([send(&odd), Act::Close]);
        let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
        reply.assert_rpc(502, -32603, json!(7));
    }
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 200);
}

#[tokio::test]
async fn up_07_an_upstreams_logins_do_not_pass() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let challenge = "WWW-Authenticate: Bearer resource_metadata=\"https://evil.example/\"";
    for status in ["401 Unauthorized", "407 Proxy Authentication Required"] {
        world.mcp.then([answer(&format!("{status}\r\n{challenge}"), "log in")]);
        let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
        reply.assert_rpc(502, -32603, json!(7));
        assert_eq!(reply.field("www-authenticate"), None);
    }
    world.mcp.then([answer(&format!("403 Forbidden\r\nContent-Type: application/json\r\n{challenge}"), "{}")]);
    let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
    assert_eq!((reply.status, reply.field("www-authenticate"), reply.text()), (403, None, "{}"));
}

#[tokio::test]
async fn statuses_and_bodies_pass_as_they_are() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let error =
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32022,"message":"no","data":{"supported":["2025-06-18"]}}}"#;
    for status in ["400 Bad Request", "404 Not Found", "405 Method Not Allowed", "429 Too Many", "500 Oops", "503 Busy"]
    {
        world.mcp.then([answer(&format!("{status}\r\nContent-Type: application/json"), error)]);
        let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
        assert_eq!((reply.status.to_string().as_str(), reply.text()), (&status[..3], error));
    }
    world.mcp.then([send("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")]);
    let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
    assert_eq!((reply.status, reply.body.len(), reply.field("content-type")), (202, 0, None));
}

#[tokio::test]
async fn connections_are_used_again_and_large_answers_pass_whole() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let mut client = world.connect().await;
    let body = "x".repeat(1 << 20);
    for n in 0..10 {
        if n % 2 == 0 {
            world.mcp.then([answer("200 OK\r\nContent-Type: application/json", &body)]);
        }
        let reply = client.ask(&RawRequest::post(PING).bearer(&token)).await;
        assert!(reply.complete && (n % 2 == 1 || reply.text() == body));
    }
    assert_eq!(world.mcp.connections(), 1);
}

#[tokio::test]
async fn up_13_a_connection_closed_while_idle_costs_no_error() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let call = RawRequest::post(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#).bearer(&token);
    world.mcp.then([answer("200 OK\r\nContent-Type: application/json", "{}"), Act::Close]);
    let mut client = world.connect().await;
    assert_eq!(client.ask(&call).await.status, 200);
    world.mcp.wait_for_closed(1).await;
    assert_eq!(
        (client.ask(&call).await.status, world.mcp.seen().len()),
        (200, 2),
        "nothing was sent on the closed one"
    );
}

#[tokio::test]
async fn hs_19_mc_09_an_abandoned_exchange_takes_its_connection_along() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    world.mcp.then([Act::Wait(Duration::from_millis(200)), answer("200 OK\r\nContent-Type: application/json", "late")]);
    let mut first = world.connect().await;
    first.send(&RawRequest::post(PING).bearer(&token).bytes()).await;
    world.mcp.wait_for_requests(1).await;
    drop(first);
    world.mcp.wait_for_closed(1).await;
    let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
    assert_eq!(reply.json()["id"], 7);
    assert_eq!(world.mcp.last().connection, 1);
}

#[tokio::test]
async fn too_many_at_once_wait_and_beyond_that_are_refused() {
    let world = World::with(|c| c.upstreams.iter_mut().for_each(|u| u.max_connections = 2)).await;
    for _ in 0..10 {
        world
            .mcp
            .then([Act::Wait(Duration::from_millis(100)), answer("200 OK\r\nContent-Type: application/json", "{}")]);
    }
    let token = |n: usize| world.token_of(MCP, &format!("user-{n}"), "mcp_client_test");
    let asks: Vec<_> = (0..14).map(|n| RawRequest::post(PING).bearer(&token(n))).collect();
    let replies = futures_util::future::join_all(asks.iter().map(|ask| world.ask(ask))).await;
    let served = replies.iter().filter(|r| r.status == 200).count();
    assert_eq!(served, 10, "two at a time, eight wait");
    for refused in replies.iter().filter(|r| r.status != 200) {
        assert_eq!((refused.status, refused.field("retry-after")), (503, Some("5")));
    }
    assert_eq!(world.mcp.connections(), 2);
}

#[tokio::test]
async fn one_user_with_several_clients_leaves_as_many_places_as_he_takes() {
    let world = World::with(|c| c.upstreams.iter_mut().for_each(|u| u.max_connections = 8)).await;
    let mut greedy = Vec::new();
    for n in 0..16 {
        world.mcp.then([Act::Hang]);
        let token = world.token_of(MCP, "ada", &format!("mcp_client_{n}"));
        let mut client = world.connect().await;
        client.send(&RawRequest::post(PING).bearer(&token).bytes()).await;
        greedy.push(client);
    }
    world.mcp.wait_for_requests(4).await;
    let others: Vec<_> = (0..4).map(|n| world.token_of(MCP, &format!("user-{n}"), "mcp_client_1")).collect();
    // The hanging answers were queued for further requests of the greedy user.
    let mut clients = Vec::new();
    for token in &others {
        let mut client = world.connect().await;
        client.send(&RawRequest::post(PING).bearer(token).bytes()).await;
        clients.push(client);
    }
    world.mcp.wait_for_requests(8).await;
    let subjects = world.mcp.seen().iter().filter(|seen| seen.field("x-mcpgate-subject") == Some("ada")).count();
    assert_eq!(subjects, 4, "half of the places, over all clients");
}

/// An upstream that answers every head at once with its path, and takes the bytes of a body for the next head. Counts
/// its connections and those that have ended.
async fn hasty() -> (std::net::SocketAddr, watch::Receiver<(usize, usize)>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = watch::channel((0, 0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tell.send_modify(|(opened, _)| *opened += 1);
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut buffer = Vec::new();
                while stream.read_buf(&mut buffer).await.is_ok_and(|n| n > 0) {
                    while let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                        let head = String::from_utf8(buffer.drain(..end + 4).collect()).unwrap();
                        let path = head.split(' ').nth(1).unwrap();
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
                        drop(stream.write_all(answer.as_bytes()).await);
                    }
                }
                tell.send_modify(|(_, ended)| *ended += 1);
            });
        }
    });
    (address, told)
}

#[tokio::test]
async fn hs_19_a_connection_that_answered_before_the_upload_had_ended_serves_nobody_else() {
    let poison = b"GET /poison HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = poison.len().to_string();
    let framings = [
        ("Content-Length", &*length, &b""[..], &b""[..]),
        ("Transfer-Encoding", "chunked", b"22\r\n", b"\r\n0\r\n\r\n"),
    ];
    for (name, value, before, after) in framings {
        let (address, mut told) = hasty().await;
        let url = format!("http://{address}/base").parse().unwrap();
        let world = World::with(|c| c.upstreams.iter_mut().for_each(|u| u.url = Clone::clone(&url))).await;
        let token = world.token(API).text;
        let mut uploading = world.connect().await;
        let upload = RawRequest::new("POST", "/api/up").bearer(&token).field(name, value);
        uploading.send(&[&upload.bytes(), before].concat()).await;
        let early = uploading.reply().await;
        assert_eq!((early.status, early.text()), (200, "/base/up"));
        // These bytes would be read as a request if the connection lived.
        uploading.send(&[poison, after].concat()).await;
        for _ in 0..3 {
            let reply = world.ask(&RawRequest::new("GET", "/api/other").bearer(&token)).await;
            assert_eq!((reply.status, reply.text()), (200, "/base/other"));
        }
        soon(told.wait_for(|told| *told == (2, 1))).await.unwrap();
    }
}

#[tokio::test]
async fn hs_19_a_connection_that_answered_before_a_large_message_was_written_serves_nobody_else() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let world = World::with(|config| {
        config.upstreams.iter_mut().for_each(|u| u.url = Clone::clone(&url));
        config.limits.mcp_body = 32 << 20;
    });
    let world = world.await;
    let token = world.token(MCP).text;
    // More than the system buffers for a client that does not read.
    let large = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"ping","params":{{"x":"{}"}}}}"#, "x".repeat(24 << 20));
    let asked = tokio::spawn({
        let (mut client, ask) = (world.connect().await, RawRequest::post(large).bearer(&token));
        async move { client.ask(&ask).await }
    });
    let (mut first, _) = listener.accept().await.unwrap();
    let head = first.read(&mut [0; 1024]).await.unwrap();
    assert!(head > 0);
    first.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    assert_eq!(soon(asked).await.unwrap().status, 200);
    let next = tokio::spawn({
        let (mut client, ask) = (world.connect().await, RawRequest::post(PING).bearer(&token));
        async move { client.ask(&ask).await }
    });
    // It continues to read, so that the connection would be ready again.
    let reading = tokio::spawn(async move { tokio::io::copy(&mut first, &mut tokio::io::sink()).await });
    let (second, _) = soon(listener.accept()).await.unwrap();
    drop(soon(reading).await);
    drop(second);
    assert_eq!(soon(next).await.unwrap().status, 502);
}

#[tokio::test]
async fn hs_19_an_upload_that_ended_before_its_answer_lets_the_connection_serve_again() {
    let world = World::new().await;
    let token = world.token(API).text;
    let mut client = world.connect().await;
    for (head, body) in [
        (RawRequest::new("POST", "/api/x").field("Content-Length", "4"), "abcd"),
        (RawRequest::new("POST", "/api/x").field("Transfer-Encoding", "chunked"), "4\r\nabcd\r\n0\r\n\r\n"),
    ] {
        client.send(&head.bearer(&token).bytes()).await;
        client.send(body.as_bytes()).await;
        assert_eq!(client.reply().await.status, 200);
        assert_eq!(world.api.last().body, b"abcd");
    }
    assert_eq!(world.api.connections(), 1);
}

#[tokio::test]
async fn connections_are_counted_as_what_they_are_now() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let line = |state, n| format!("mcpgate_upstream_connections{{upstream=\"main\",state=\"{state}\"}} {n}");
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut client = world.connect().await;
    client.send(&RawRequest::new("GET", "/mcp").bearer(&token).bytes()).await;
    client.head().await;
    client.chunks_until("a\n\n").await;
    world.metric(&line("in_use", 1)).await;
    drop(client);
    world.metric(&line("in_use", 0)).await;
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 200);
    world.metric(&line("idle", 1)).await;
    world.metric(&line("in_use", 0)).await;
}

#[tokio::test]
async fn up_05_interim_answers_are_few_or_the_connection_ends() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    for (count, status) in [(0, 200), (7, 200), (8, 502), (5000, 502), (7, 200)] {
        world.mcp.then([send(format!("{}{last}", hint.repeat(count)))]);
        let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
        assert_eq!(reply.status, status, "{count}: {reply:?}");
    }
    world.mcp.wait_for_closed(2).await;
    // Interim responses without end are not waited for.
    let hints = (0..100).flat_map(|_| [send(hint), Act::Wait(Duration::from_millis(5))]);
    world.mcp.then(hints.chain([Act::Hang]));
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 502);
}

#[tokio::test]
async fn up_13_an_upstream_that_is_down_is_left_alone_for_a_moment_and_then_tried() {
    // Bound and not listening: connections are refused, and no other program can take the port.
    let place = tokio::net::TcpSocket::new_v4().unwrap();
    place.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = place.local_addr().unwrap();
    let url = format!("http://{address}/").parse().unwrap();
    let world = World::with(|c| c.upstreams.iter_mut().for_each(|u| u.url = Clone::clone(&url))).await;
    let ask = RawRequest::post(PING).bearer(&world.token(MCP).text);
    for _ in 0..5 {
        assert_eq!(world.ask(&ask).await.status, 502);
    }
    let reply = world.ask(&ask).await;
    reply.assert_rpc(503, -32603, json!(7));
    assert_eq!(reply.field("retry-after"), Some("1"));
    let back = Upstream::start_on(place.listen(16).unwrap());
    assert_eq!(world.ask(&ask).await.status, 503, "it rests");
    assert_eq!(back.connections(), 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..10 {
        assert_eq!(world.ask(&ask).await.status, 200);
    }
}

#[tokio::test]
async fn a_short_answer_in_two_pieces_comes_in_one_and_a_slow_one_as_a_stream() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let head = || send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n");
    let pause = |millis| Act::Wait(Duration::from_millis(millis));
    world.mcp.then([head(), pause(100), send("{}")]);
    let mut client = world.connect().await;
    client.send(&RawRequest::post(PING).bearer(&token).bytes()).await;
    assert_eq!((client.head().await.field("content-length"), client.unread()), (Some("2"), b"{}".as_slice()));
    world.mcp.then([head(), pause(1500), send("{}")]);
    let mut client = world.connect().await;
    client.send(&RawRequest::post(PING).bearer(&token).bytes()).await;
    assert_eq!((client.head().await.field("content-length"), client.unread()), (Some("2"), b"".as_slice()));
    world.mcp.then([head(), pause(100), send("{"), Act::Close]);
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 502, "it is not too late to say so");
}

#[tokio::test]
async fn up_12_an_answer_reaches_the_one_who_asked_whatever_id_it_names() {
    let world = World::new().await;
    let (ada, other) = (world.token(MCP).text, world.make_for(MCP, "use", "somebody-else"));
    world.cache.insert(&other.record);
    let foreign = r#"{"jsonrpc":"2.0","id":8,"result":"for another"}"#;
    let two = format!("{foreign}{foreign}");
    let note = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
    let mut bob = world.connect().await;
    for (asked, said) in [(PING, foreign), (PING, &two), (note, foreign)] {
        // Bob waits for the same id, on his own connection to the same upstream.
        world
            .mcp
            .then([Act::Wait(Duration::from_millis(100)), answer("200 OK\r\nContent-Type: application/json", "{}")]);
        let before = world.mcp.seen().len();
        bob.send(&RawRequest::post(PING.replace('7', "8")).bearer(&other.text).bytes()).await;
        world.mcp.wait_for_requests(before + 1).await;
        world.mcp.then([answer("200 OK\r\nContent-Type: application/json", said)]);
        assert_eq!(world.ask(&RawRequest::post(asked).bearer(&ada)).await.text(), said);
        assert_eq!(bob.reply().await.text(), "{}");
    }
}
