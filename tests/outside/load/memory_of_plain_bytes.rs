//! The memory of the readers without TLS for input that arrives byte by byte: the operator listener, PROXY headers, the
//! command socket.

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::memory::Watched;
use crate::support::gateway::{Gateway, Home};

/// Sends one byte on each connection in turn.
async fn drip(gateway: &Gateway, mut lines: Vec<impl AsyncWrite + Unpin>, begin: &[u8], bytes: usize, what: &str) {
    let mut watched = Watched::begin(gateway);
    for line in &mut lines {
        line.write_all(begin).await.expect("the beginning is taken");
    }
    for n in 0..bytes {
        for line in &mut lines {
            assert!(line.write_all(b"a").await.is_ok(), "{what}: the gateway closed the connection after {n} bytes");
        }
        watched.look();
    }
    watched.expect_proportion(u64::try_from(lines.len() * bytes).expect("a number"), what);
}

#[tokio::test]
async fn a_head_at_the_operator_listener_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    let gateway = Gateway::start().await;
    let mut lines = Vec::new();
    for _ in 0..16 {
        let line = TcpStream::connect(gateway.home.operator).await.expect("a connection");
        line.set_nodelay(true).expect("a TCP socket");
        lines.push(line);
    }
    drip(&gateway, lines, b"GET /healthz HTTP/1.1\r\nx-padding: ", 4000, "operator").await;
}

#[tokio::test]
async fn a_proxy_header_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    let listen = "[listen]\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let gateway = Home::new(listen, None).start().await;
    let mut lines = Vec::new();
    for _ in 0..16 {
        let line = TcpStream::connect(gateway.home.public).await.expect("a connection");
        line.set_nodelay(true).expect("a TCP socket");
        lines.push(line);
    }
    // Version 2, PROXY, TCP over IPv4, 520 bytes to come.
    let begin = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x02\x08";
    drip(&gateway, lines, begin, 519, "PROXY header").await;
}

#[tokio::test]
async fn a_command_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    let gateway = Gateway::start().await;
    let path = gateway.home.data().join("server.socket");
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(UnixStream::connect(&path).await.expect("a connection"));
    }
    drip(&gateway, lines, b"{\"", 10_000, "command").await;
}
