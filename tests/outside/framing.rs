//! HS: HTTP/1.1 framing, injection and paths. The gateway must refuse every ambiguous request, and the upstream must
//! see one well-framed request for each accepted one.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::shared::{self, Shared};
use crate::support::client::Client;

const SERVER: &str = "/.well-known/oauth-authorization-server";

/// Sends bytes and returns the status lines that came back before the gateway closed the connection.
async fn statuses(shared: &Shared, bytes: &[u8]) -> Vec<u16> {
    let began = Instant::now();
    let answer = Client::new(&shared.home).raw_exchange(bytes).await;
    assert!(began.elapsed() < Duration::from_secs(5), "the connection is not closed: {answer}");
    answer.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].parse().unwrap()).collect()
}

/// RFC 9112 9.6: closing while data still arrives would reset the connection, and the client would lose the answer. Of
/// more than 4 MiB the rest is not read, so this connection is closed.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending_much() {
    let shared = shared::gateway().await;
    let mut stream = Client::new(&shared.home).raw_with(&[b"http/1.1"]).await.expect("a TLS connection");
    let head = format!(
        "POST /register HTTP/1.1\r\n{}content-type: application/json\r\ncontent-length: 6000000\r\n\r\n",
        host(shared)
    );
    stream.write_all(head.as_bytes()).await.expect("the head can be sent");
    for _ in 0..60 {
        stream.write_all(&[b' '; 100_000]).await.expect("the gateway reads on");
        stream.flush().await.expect("the gateway reads on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    ended.expect("the gateway closes the connection").expect("the gateway closes without a reset");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with('}'), "{answer}");
}

fn host(shared: &Shared) -> String {
    format!("host: localhost:{}\r\n", shared.home.public.port())
}

fn token(shared: &Shared) -> String {
    let issued = shared.home.command(&["token", "issue", "--user", "admin", "--upstream", "files"]);
    issued["access_token"].as_str().unwrap().to_owned()
}

/// The head of a call with a valid token, without framing fields and without the final empty line.
fn call_head(shared: &Shared, token: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\n{}authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n",
        host(shared)
    )
}

#[tokio::test]
async fn hs_01_length_and_chunked_together_are_read_as_chunked_and_end_the_connection() {
    let shared = shared::gateway().await;
    let head = call_head(shared, &token(shared));
    for (marker, fields) in [
        ("hs-01-a", "content-length: 5\r\ntransfer-encoding: chunked\r\n"),
        ("hs-01-b", "transfer-encoding: chunked\r\ncontent-length: 5\r\n"),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":"{marker}","method":"ping"}}"#);
        let smuggled = format!("GET {SERVER} HTTP/1.1\r\n{}\r\n", host(shared));
        let request = format!("{head}{fields}\r\n{:x}\r\n{body}\r\n0\r\n\r\n{smuggled}", body.len());
        assert_eq!(statuses(shared, request.as_bytes()).await, [200], "{fields}");
        let seen = shared.upstream.seen(marker);
        assert_eq!(seen.len(), 1, "{seen:?}");
        let framing = ["content-length", "transfer-encoding"].map(|name| seen[0].headers.get_all(name).iter().count());
        assert_eq!(framing.iter().sum::<usize>(), 1, "{seen:?}");
    }
}

#[tokio::test]
async fn hs_03_transfer_codings_that_we_do_not_know_are_refused() {
    let shared = shared::gateway().await;
    for fields in [
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: identity, chunked\r\n",
        "transfer-encoding: ,chunked\r\n",
    ] {
        let request = format!("POST /token HTTP/1.1\r\n{}{fields}\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", host(shared));
        let got = statuses(shared, request.as_bytes()).await;
        assert_eq!(got, [400], "{fields:?}");
    }
    let old = format!("POST /token HTTP/1.0\r\n{}transfer-encoding: chunked\r\n\r\n0\r\n\r\n", host(shared));
    let got = statuses(shared, old.as_bytes()).await;
    assert_eq!(got, [400]);
}

#[tokio::test]
async fn hs_04_broken_chunks_end_the_connection_and_reach_nobody() {
    let shared = shared::gateway().await;
    let head = format!("{}transfer-encoding: chunked\r\n\r\n", call_head(shared, &token(shared)));
    for (name, chunks) in [
        ("overflow", "fffffffffffffffff\r\nhs-04\r\n0\r\n\r\n".to_owned()),
        ("negative", "-5\r\nhs-04\r\n0\r\n\r\n".to_owned()),
        ("not a number", "zz\r\nhs-04\r\n0\r\n\r\n".to_owned()),
        ("extension of 20 KB", format!("5;{}\r\nhs-04\r\n0\r\n\r\n", "x".repeat(20 << 10))),
        (
            "extensions of 20 KB in all",
            format!("{}5\r\nhs-04\r\n0\r\n\r\n", format!("1;{}\r\n \r\n", "x".repeat(2 << 10)).repeat(10)),
        ),
        ("no end of chunk", "5\r\nhs-04xx0\r\n\r\n".to_owned()),
        ("bare line feed behind a size", "5\nhs-04\r\n0\r\n\r\n".to_owned()),
        ("bare line feed behind a chunk", "5\r\nhs-04\n0\r\n\r\n".to_owned()),
        ("no last line end", format!("5\r\nhs-04\r\n0\r\nGET {SERVER} HTTP/1.1\r\n{}\r\n", host(shared))),
    ] {
        let got = statuses(shared, format!("{head}{chunks}").as_bytes()).await;
        assert!(got.is_empty() || got == [400], "{name}: {got:?}");
    }
    assert!(shared.upstream.seen("hs-04").is_empty());
}

#[tokio::test]
async fn hs_05_malformed_fields_are_refused() {
    let shared = shared::gateway().await;
    for field in ["x: a\r\n folded", "x : a", "x: a\rb", "x: a\0b", "x y: a", ": a", "x"] {
        let request = format!("GET {SERVER} HTTP/1.1\r\n{}{field}\r\n\r\n", host(shared));
        assert_eq!(statuses(shared, request.as_bytes()).await, [400], "{field:?}");
    }
}

#[tokio::test]
async fn hs_07_an_unwanted_body_is_not_the_next_request() {
    let shared = shared::gateway().await;
    let inner = format!("GET {SERVER} HTTP/1.1\r\n{}\r\n", host(shared));
    for method in ["GET", "HEAD"] {
        let head = format!("{method} {SERVER} HTTP/1.1\r\n{}content-length: {}\r\n\r\n", host(shared), inner.len());
        let last = format!("GET {SERVER} HTTP/1.1\r\n{}connection: close\r\n\r\n", host(shared));
        let got = statuses(shared, format!("{head}{inner}{last}").as_bytes()).await;
        // The gateway must not answer the body as a request: it drops the body, or closes the connection after the
        // first answer.
        assert!(got == [200, 200] || got == [200] || got == [400], "{method}: {got:?}");
    }
}

#[tokio::test]
async fn hs_08_an_early_refusal_arrives_although_the_body_still_comes() {
    let shared = shared::gateway().await;
    let mut stream = Client::new(&shared.home).raw().await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\n{}content-type: application/json\r\ncontent-length: 3000000\r\n\r\n",
        host(shared)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let body = vec![b' '; 16 << 10];
    let mut sent = 0;
    while sent < 3_000_000 && stream.write_all(&body).await.is_ok() {
        sent += body.len();
    }
    let mut answer = Vec::new();
    let began = Instant::now();
    let _reset_or_end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&answer));
    assert!(began.elapsed() < Duration::from_secs(4), "the gateway does not close the connection");
}

#[tokio::test]
async fn hs_09_expectations() {
    let shared = shared::gateway().await;
    let request =
        |value: &str| format!("GET {SERVER} HTTP/1.1\r\n{}expect: {value}\r\nconnection: close\r\n\r\n", host(shared));
    for strange in ["200-ok", "100-continue, x", "x 100-continue"] {
        assert_eq!(statuses(shared, request(strange).as_bytes()).await, [417], "{strange}");
    }
    let got = statuses(shared, request("100-Continue").as_bytes()).await;
    assert!(got == [200] || got == [100, 200], "{got:?}");
}

#[tokio::test]
async fn hs_10_there_is_no_upgrade_and_pipelined_bytes_stand_for_themselves() {
    let shared = shared::gateway().await;
    for protocol in ["h2c", "websocket"] {
        let upgrading =
            format!("GET {SERVER} HTTP/1.1\r\n{}connection: upgrade\r\nupgrade: {protocol}\r\n\r\n", host(shared));
        let next = format!("POST /mcp HTTP/1.1\r\n{}content-length: 0\r\nconnection: close\r\n\r\n", host(shared));
        assert_eq!(statuses(shared, format!("{upgrading}{next}").as_bytes()).await, [200, 401], "{protocol}");
    }
}

#[tokio::test]
async fn hs_11_methods_that_are_not_served() {
    let shared = shared::gateway().await;
    let long = "A".repeat(5 << 10);
    for (line, wanted) in [
        ("CONNECT localhost:1 HTTP/1.1", &[501][..]),
        ("TRACE / HTTP/1.1", &[405]),
        ("BREW /authorize HTTP/1.1", &[405]),
        ("PRI * HTTP/2.0", &[400]),
        (&format!("{long} /authorize HTTP/1.1"), &[400, 405]),
    ] {
        let request = format!("{line}\r\n{}connection: close\r\n\r\n", host(shared));
        let got = statuses(shared, request.as_bytes()).await;
        assert!(got.len() <= 1 && got.iter().all(|status| wanted.contains(status)), "{line:.40}: {got:?}");
    }
}

#[tokio::test]
async fn hs_12_a_thousand_pipelined_requests_are_answered_in_order_each_for_itself() {
    let shared = shared::gateway().await;
    let mut stream = Client::new(&shared.home).raw().await.unwrap();
    let mut text = String::new();
    for n in 0..1000 {
        let path = if n % 2 == 0 { SERVER } else { "/mcp" };
        let close = if n == 999 { "connection: close\r\n" } else { "" };
        text.push_str(&format!("GET {path} HTTP/1.1\r\n{}{close}\r\n", host(shared)));
    }
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let mut answer = Vec::new();
    let (sent, received) = tokio::join!(write.write_all(text.as_bytes()), read.read_to_end(&mut answer));
    sent.unwrap();
    received.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let got: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
    assert_eq!(got.len(), 1000);
    for (n, status) in got.iter().enumerate() {
        assert_eq!(*status, if n % 2 == 0 { "200" } else { "401" }, "answer {n}");
    }
}

#[tokio::test]
async fn hs_13_heads_beyond_the_limits() {
    let shared = shared::gateway().await;
    let fill = |line: &str, length: usize| {
        let rest = length - line.len() - " HTTP/1.1\r\n".len();
        format!("{line}{} HTTP/1.1\r\n{}\r\n", "a".repeat(rest), host(shared))
    };
    let fields = |count: usize| {
        let fields: String = (1..count).map(|n| format!("x{n}: a\r\n")).collect();
        format!("GET {SERVER} HTTP/1.1\r\n{}{fields}\r\n", host(shared))
    };
    let padded = |value: usize, count: usize| {
        let field = format!("x: {}\r\n", "a".repeat(value));
        format!("GET {SERVER} HTTP/1.1\r\n{}{}connection: close\r\n\r\n", host(shared), field.repeat(count))
    };
    for (name, request, wanted) in [
        ("request line of 65535 bytes", fill("GET /", 65_535), 414),
        ("target just beyond 16 KiB", fill("GET /", 16_384 + 20), 414),
        ("101 fields", fields(101), 431),
        ("head of 65 KB", padded(8_000, 8), 431),
        ("head of 200 KB", padded(8_000, 25), 431),
        ("one value beyond 16 KiB", padded((16 << 10) + 1, 1), 431),
        ("much, but within", padded(7_500, 4), 200),
    ] {
        assert_eq!(statuses(shared, request.as_bytes()).await, [wanted], "{name}");
    }
}

#[tokio::test]
async fn hs_14_a_path_is_what_its_bytes_say() {
    let shared = shared::gateway().await;
    for target in [
        "//evil/mcp",
        "/mcp/../admin",
        "/%2e%2e/mcp",
        "/mcp%2fadmin",
        "/mcp;/admin",
        "/mcp%00",
        "/MCP",
        "/./mcp",
        "/mcp//x",
        "\\mcp",
        "/%252e/mcp",
        "/mcp%20",
        "/mcp%2f",
        "/%6dcp",
    ] {
        let request =
            format!("POST {target} HTTP/1.1\r\n{}content-length: 0\r\nconnection: close\r\n\r\n", host(shared));
        let got = statuses(shared, request.as_bytes()).await;
        assert!(got == [404] || got == [400], "{target}: {got:?}");
    }
}

#[tokio::test]
async fn hs_15_targets_that_are_no_path_are_refused() {
    let shared = shared::gateway().await;
    for target in ["/mcp#x", "/#", "*", "localhost:443", "ftp://localhost/mcp", "mcp", "?x"] {
        let request = format!("GET {target} HTTP/1.1\r\n{}\r\n", host(shared));
        assert_eq!(statuses(shared, request.as_bytes()).await, [400], "{target}");
    }
    // Sent in two pieces, so that no single read contains the whole line.
    let mut stream = Client::new(&shared.home).raw().await.unwrap();
    stream.write_all(b"GET /mc").await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.write_all(format!("p#x HTTP/1.1\r\n{}\r\n", host(shared)).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn hs_18_trailers_are_not_fields() {
    let shared = shared::gateway().await;
    let body = r#"{"jsonrpc":"2.0","id":"hs-18","method":"ping"}"#;
    let request = format!(
        "{}connection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nauthorization: Bearer x\r\n\
         x-mcpgate-subject: admin2\r\ncontent-length: 3\r\n\r\n",
        call_head(shared, &token(shared)),
        body.len()
    );
    assert_eq!(statuses(shared, request.as_bytes()).await, [200]);
    let seen = shared.upstream.seen("hs-18");
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].headers.contains_key("authorization"));
    assert!(seen[0].headers.get_all("x-mcpgate-subject").iter().all(|subject| subject != "admin2"));
}
