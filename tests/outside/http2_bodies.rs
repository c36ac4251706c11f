//! Request and answer bodies over HTTP/2: refused bodies, large answers that are not read, and bodies that wait for 100
//! (Continue).

use std::time::Duration;

use crate::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, NOT_INDEXED, PING, Peer, RST_STREAM, WINDOW_UPDATE, assert_alive, fields,
    frame, get, message,
};
use crate::shared;
use crate::support::gateway::Home;

/// RFC 9113 8.1 allows a reset after an early answer, but curl 7.88 loses that answer if it is still sending.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let shared = shared::gateway().await;
    for authorization in [None, Some(("authorization", "Bearer mcp_access_none"))] {
        let mut peer = Peer::connect(&shared.home, &[]).await;
        let authority = peer.authority.clone();
        let mut list = message(&authority);
        list.extend(authorization);
        assert!(peer.send(&frame(HEADERS, END_HEADERS, 1, &fields(&list))).await);
        for flags in [0, END_STREAM] {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(peer.send(&frame(DATA, flags, 1, &[b' '; 8192])).await);
        }
        // A ping after the answer: once it is acknowledged, every earlier frame has arrived.
        let mut seen = Vec::new();
        while let Some(next) = peer.until(5, |f| f.2 == 1 || f.0 == PING).await {
            match next.0 {
                PING => break,
                _ if next.1 & END_STREAM != 0 => assert!(peer.send(&frame(PING, 0, 0, &[7; 8])).await),
                _ => {}
            }
            seen.push((next.0, next.1 & END_STREAM, next.3));
        }
        let kinds: Vec<_> = seen.iter().map(|(kind, end, _)| (*kind, *end)).collect();
        assert_eq!(kinds.first(), Some(&(HEADERS, 0)), "{kinds:?}");
        assert_eq!(kinds.last(), Some(&(DATA, END_STREAM)), "{kinds:?}");
        assert!(kinds.iter().all(|(kind, _)| [HEADERS, DATA].contains(kind)), "unexpected frames: {kinds:?}");
        let body: Vec<u8> = seen.into_iter().filter(|(kind, ..)| *kind == DATA).flat_map(|(.., data)| data).collect();
        let body: serde_json::Value = serde_json::from_slice(&body).expect("the whole answer");
        assert!(body["error"].is_string() || body["error"].is_object(), "{body}");
    }
}

/// The answer may come before the end of the body: the gateway still reads the rest, and resets nothing.
#[tokio::test]
async fn a_large_body_that_is_refused_is_taken_after_the_answer() {
    let shared = shared::gateway().await;
    for (path, kind) in
        [("/mcp", "application/json"), ("/token", "application/x-www-form-urlencoded"), ("/nope", "a/b")]
    {
        let mut peer = Peer::connect(&shared.home, &[]).await;
        let authority = peer.authority.clone();
        let list = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", authority.as_str()),
            (":path", path),
            ("content-type", kind),
            ("content-length", "200000"),
        ];
        assert!(peer.send(&frame(HEADERS, END_HEADERS, 1, &fields(&list))).await);
        let answered = peer.until(5, |f| f.2 == 1 && (f.0 == RST_STREAM || f.1 & END_STREAM != 0)).await;
        assert_eq!(answered.map(|f| f.0), Some(DATA), "{path}: the answer is incomplete");
        for part in 0..20 {
            let flags = if part == 19 { END_STREAM } else { 0 };
            assert!(peer.send(&frame(DATA, flags, 1, &[b' '; 10_000])).await);
            if part % 5 == 4 && part < 19 {
                let credit = peer.until(5, |f| f.2 == 1 && [WINDOW_UPDATE, RST_STREAM].contains(&f.0)).await;
                assert_eq!(credit.map(|f| f.0), Some(WINDOW_UPDATE), "{path}: {part}");
            }
        }
        assert!(peer.send(&frame(PING, 0, 0, &[7; 8])).await);
        let last = peer.until(5, |f| f.0 == PING || (f.2 == 1 && f.0 == RST_STREAM)).await;
        assert_eq!(last.map(|f| f.0), Some(PING), "{path}");
    }
}

#[tokio::test]
async fn a_hundred_large_answers_that_nobody_takes_cost_little_memory() {
    let (upstream, mut open) = crate::streams::fountain().await;
    let gateway = Home::new("[timeouts]\nwrite_stall = \"5s\"\n", Some(upstream)).start().await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let authorization = format!("Bearer {}", issued["access_token"].as_str().unwrap());
    assert_alive(&gateway.home).await;
    let before = gateway.resident_bytes();
    // SETTINGS_INITIAL_WINDOW_SIZE 1.
    let mut peer = Peer::connect(&gateway.home, &[0, 4, 0, 0, 0, 1]).await;
    let mut list = get(&peer.authority, "/mcp");
    list.push(("authorization", &authorization));
    let block = fields(&list);
    let asked = (0..100).flat_map(|n| frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block));
    assert!(peer.send(&asked.collect::<Vec<_>>()).await);
    let all = tokio::time::timeout(Duration::from_secs(10), open.wait_for(|open| *open == 100)).await.is_ok();
    assert!(all, "not every request was served");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < 24 << 20, "{} MiB", grown >> 20);
    let ended = tokio::time::timeout(Duration::from_secs(15), open.wait_for(|open| *open == 0)).await;
    assert!(ended.is_ok(), "the upstream's streams outlive the stall");
}

#[tokio::test]
async fn a_client_that_holds_its_body_back_is_told_to_go_on() {
    let shared = shared::gateway().await;
    let issued = shared.home.command(&["token", "issue", "--user", "admin", "--upstream", "files"]);
    let authorization = format!("Bearer {}", issued["access_token"].as_str().unwrap());
    let mut peer = Peer::connect(&shared.home, &[]).await;
    let authority = peer.authority.clone();
    let expecting = |path, content_type| {
        let target = [(":method", "POST"), (":scheme", "https"), (":authority", &*authority), (":path", path)];
        [&target[..], &[("content-type", content_type), ("expect", "100-continue")]].concat()
    };
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let mut call = expecting("/mcp", "application/json");
    // A request that is refused by its head gets that answer, and no 100 (Continue).
    assert!(peer.send(&frame(HEADERS, END_HEADERS, 1, &fields(&call))).await);
    let (_, _, _, block) = peer.until(5, |f| f.0 == HEADERS && f.2 == 1).await.unwrap();
    assert_ne!(block, b"\x08\x03100", "401");
    call.extend([("accept", "application/json, text/event-stream"), ("authorization", &*authorization)]);
    let form = expecting("/token", "application/x-www-form-urlencoded");
    for (stream, head, body, status) in
        [(3, call, &ping[..], 200), (5, form, b"grant_type=password&client_id=x", NOT_INDEXED)]
    {
        assert!(peer.send(&frame(HEADERS, END_HEADERS, stream, &fields(&head))).await);
        let told = peer.until(2, |f| f.0 == HEADERS && f.2 == stream).await.unwrap();
        assert_eq!((told.1, &told.3[..]), (END_HEADERS, &b"\x08\x03100"[..]), "{status}");
        assert!(peer.send(&frame(DATA, END_STREAM, stream, body)).await);
        assert_eq!(peer.status(stream).await, Some(status));
    }
}
