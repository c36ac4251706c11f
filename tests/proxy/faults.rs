//! UP: each fault of an upstream has a cause: the log has all of it, the caller gets a few words.

use std::time::Duration;

use mcpgate::config::Config;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::client::{RawRequest, Reply};
use super::log::Log;
use super::refusing::Refusing;
use super::upstream::{Act, EVENTS, answer, chunk, send};
use super::world::{MCP, PING, REQUEST_ID, World};

/// Asserts that the caller is given the cause and no address, and that the log has the cause and `detail`.
fn assert_fault(reply: &Reply, log: &Log, (status, cause, words, detail): (u16, &str, &str, &str)) {
    reply.assert_rpc(status, -32603, json!(7));
    let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(words), "{cause}: {message}");
    assert!(!message.contains("127.0.0.1") && !message.contains("nowhere"), "{message}");
    let warnings = log.warnings();
    let [line] = &*warnings else { panic!("{cause}: one line, not {warnings:?}") };
    for part in ["upstream=\"main\"", &format!("cause=\"{cause}\""), detail, &format!("request_id=\"{REQUEST_ID}\"")] {
        assert!(line.contains(part), "{cause}: {part} is missing in {line}");
    }
}

#[tokio::test]
async fn up_01_an_upstream_that_cannot_be_connected_to_is_told_by_its_cause() {
    let refusing = Refusing::new();
    let closed = refusing.address();
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_address = plain.local_addr().unwrap();
    // The answer of a server without TLS to the beginning of a handshake.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    });
    let url = |url: String| move |c: &mut Config| c.upstreams.iter_mut().for_each(|u| u.url = url.parse().unwrap());
    let log = Log::start();
    for (to, expected) in [
        (format!("http://{closed}/"), (502, "connection_refused", "refuses connections", "Connection refused")),
        ("http://nowhere.invalid/".to_owned(), (502, "unknown_host", "cannot be resolved", "nowhere.invalid: ")),
        (format!("https://{closed}/"), (502, "connection_refused", "refuses connections", "127.0.0.1")),
        (format!("https://{}/", plain_address), (502, "tls", "TLS handshake with the upstream failed", "127.0.0.1")),
    ] {
        let world = World::with(url(to)).await;
        assert_fault(&world.ask(&RawRequest::post(PING).bearer(&world.token(MCP).text)).await, &log, expected);
    }
}

#[tokio::test]
async fn up_01_an_answer_that_cannot_be_passed_on_is_told_by_its_cause() {
    let log = Log::start();
    // Only for this case: on a busy machine every other answer might take longer than this.
    let brief = World::with(|c| c.upstreams.iter_mut().for_each(|u| u.call_timeout = Duration::from_millis(50))).await;
    brief.mcp.then([Act::Hang]);
    let reply = brief.ask(&RawRequest::post(PING).bearer(&brief.token(MCP).text)).await;
    assert_fault(&reply, &log, (504, "too_slow", "in time", "50ms"));
    let world = World::new().await;
    let token = world.token(MCP).text;
    let json = "Content-Type: application/json";
    let coded = EVENTS.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n");
    for (acts, expected) in [
        (vec![Act::Close], (502, "closed_early", "closed the connection", "connection closed")),
        (
            vec![send(format!("HTTP/1.1 200 OK\r\n{json}\r\nContent-Length: 9\r\n\r\n{{")), Act::Close],
            (502, "closed_early", "closed the connection", ""),
        ),
        (vec![send("SSH-2.0-OpenSSH_9.2\r\n\r\n")], (502, "not_http", "not HTTP", "invalid HTTP version")),
        (
            vec![send("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(8))],
            (502, "not_http", "not HTTP", "too many interim answers"),
        ),
        (
            vec![answer(&format!("200 OK\r\nx: {}\r\n{json}", "y".repeat(70_000)), "{}")],
            (502, "too_large", "larger than allowed", "message head is too large"),
        ),
        (
            vec![answer(&format!("200 OK\r\n{}{json}", "x: y\r\n".repeat(65)), "{}")],
            (502, "too_large", "larger than allowed", "67 header fields"),
        ),
        (vec![answer("302 Found\r\nLocation: http://10.0.0.1/x", "")], (502, "redirect", "redirects", "10.0.0.1/x")),
        (vec![answer("302 Found", "")], (502, "redirect", "redirects", "nowhere")),
        (
            vec![send(coded), chunk("data: a\n\n"), Act::Hang],
            (502, "compressed_stream", "compresses", "Content-Encoding"),
        ),
        (vec![answer("401 Unauthorized", "")], (502, "credential_refused", "credential", "401")),
        (vec![answer("407 Proxy", "")], (502, "credential_refused", "credential", "407")),
        (
            vec![answer(&format!("200 OK\r\n{json}\r\nMcp-Session-Id: {}", "y".repeat(1025)), "{}")],
            (502, "session_id", "session id", "1025 bytes"),
        ),
        (
            vec![answer(&format!("200 OK\r\n{json}\r\nMcp-Session-Id: a b"), "{}")],
            (502, "session_id", "session id", "visible ASCII"),
        ),
        (vec![answer("200 OK\r\nContent-Type: text/html", "<form>")], (502, "not_mcp", "not MCP", "text/html")),
    ] {
        world.mcp.then(acts);
        assert_fault(&world.ask(&RawRequest::post(PING).bearer(&token)).await, &log, expected);
    }
}

#[tokio::test]
async fn up_03_an_answer_that_breaks_off_after_its_head_leaves_its_cause_in_the_log() {
    let world = World::with(|config| config.limits.sse_event = 100_000).await;
    let token = world.token(MCP).text;
    let log = Log::start();
    let line = "x".repeat(60_000);
    // A client may ask for the rest of a stream that was cut off; an event that is too large is an error for its
    // request.
    for (acts, cause, complete) in [
        (
            vec![send(EVENTS), chunk("data: a\n\n"), Act::Wait(Duration::from_millis(50)), Act::Close],
            "closed_early",
            false,
        ),
        (vec![send(EVENTS), chunk("data: "), chunk(&line), chunk(&line), Act::Hang], "too_large", true),
    ] {
        world.mcp.then(acts);
        assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.complete, complete, "{cause}");
        let warnings = log.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(&format!("cause=\"{cause}\"")), "{warnings:?}");
    }
}

#[tokio::test]
async fn what_needs_no_content_or_was_not_asked_for_may_be_of_any_type() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    for (body, status) in [(note, "202 Accepted"), (note, "200 OK"), (PING, "404 Not Found"), (PING, "202 Accepted")] {
        world.mcp.then([answer(&format!("{status}\r\nContent-Type: text/plain"), "text")]);
        let reply = world.ask(&RawRequest::post(body).bearer(&token)).await;
        assert_eq!((reply.status.to_string().as_str(), reply.text()), (&status[..3], "text"), "{reply:?}");
        assert_eq!(reply.field("content-type"), Some("application/octet-stream"));
    }
}
