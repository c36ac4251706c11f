//! Answers that are given before the request's body has arrived, over HTTP/1.1. Many clients send head and body apart,
//! and use the connection again unless the answer says `Connection: close` (RFC 9112 9.3).

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
/// Requests that are refused because of their heads, with the status.
const REFUSED: [(&str, &str, u16); 6] = [
    ("/mcp", "", 401),
    ("/mcp", "authorization: Bearer mcp_access_none\r\n", 401),
    ("/mcp", "origin: https://elsewhere.example\r\n", 403),
    ("/nowhere", "", 404),
    ("/.well-known/oauth-authorization-server", "", 405),
    ("/token", "content-encoding: gzip\r\n", 400),
];

/// With a limit for heads that a wait of `PAUSE` exceeds.
async fn start() -> Gateway {
    Home::new("[timeouts]\nrequest_head = \"1s\"\n", None).start().await
}

const PAUSE: Duration = Duration::from_millis(1300);

fn head(gateway: &Gateway, path: &str, fields: &str) -> String {
    let (port, length) = (gateway.home.public.port(), BODY.len());
    let kind = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
    format!("POST {path} HTTP/1.1\r\nhost: localhost:{port}\r\n{kind}content-length: {length}\r\n{fields}\r\n")
}

/// Reads an answer whose length is given; returns its head and its body.
async fn answer(stream: &mut TlsStream<TcpStream>) -> (String, String) {
    let mut read = Vec::new();
    let read_on = async {
        loop {
            let byte = stream.read_u8().await.expect("the connection stays open");
            read.push(byte);
            let text = String::from_utf8_lossy(&read);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.map_or(0, |length| length.parse().unwrap()) == body.len() {
                return (head.to_owned(), body.to_owned());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), read_on).await.expect("an answer")
}

#[tokio::test]
async fn the_connection_persists_when_the_body_arrives_after_its_answer() {
    let gateway = start().await;
    for (path, fields, status) in REFUSED {
        let mut stream = Client::new(&gateway.home).raw_with(&[b"http/1.1"]).await.expect("a TLS connection");
        for _ in 0..2 {
            stream.write_all(head(&gateway, path, fields).as_bytes()).await.expect("the head can be sent");
            let (head, _) = answer(&mut stream).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {fields}: {head}");
            assert!(!head.contains("connection: close"), "{path} {fields}: {head}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream.write_all(BODY.as_bytes()).await.expect("the body can be sent");
        }
        // The rest of a body is not a head that takes too long.
        tokio::time::sleep(PAUSE).await;
        let last = format!("GET /.well-known/oauth-authorization-server HTTP/1.1\r\n{}", host(&gateway));
        stream.write_all(last.as_bytes()).await.expect("the connection is open");
        let (head, body) = answer(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && body.ends_with('}'), "{path} {fields}: {head}");
    }
}

fn host(gateway: &Gateway) -> String {
    format!("host: localhost:{}\r\n\r\n", gateway.home.public.port())
}

/// RFC 9110 10.1.1: no `100 (Continue)` when the head alone is refused, and the answer says that the connection closes.
#[tokio::test]
async fn a_client_that_waits_for_100_gets_the_refusal_and_the_end_of_the_connection() {
    let gateway = start().await;
    for (path, fields, status) in REFUSED {
        let head = head(&gateway, path, &format!("{fields}expect: 100-continue\r\n"));
        let answer = Client::new(&gateway.home).raw_exchange(head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {fields}: {answer}");
        assert!(answer.contains("connection: close"), "{path} {fields}: {answer}");
    }
}

/// A body that does not arrive at all does not keep the connection.
#[tokio::test]
async fn a_body_that_does_not_come_ends_the_connection_after_a_moment() {
    let gateway = start().await;
    let mut stream = Client::new(&gateway.home).raw_with(&[b"http/1.1"]).await.expect("a TLS connection");
    stream.write_all(head(&gateway, "/mcp", "").as_bytes()).await.expect("the head can be sent");
    answer(&mut stream).await;
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(4), stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok() && rest.is_empty(), "{rest:?}");
}
