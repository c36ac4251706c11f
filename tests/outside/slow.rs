//! DS: slow peers and many peers. The gateway closes stalled connections in time, makes room or refuses above the
//! limit, and serves others meanwhile.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};

const SERVER: &str = "/.well-known/oauth-authorization-server";

async fn start(config: &str) -> Gateway {
    Home::new(config, None).start().await
}

fn head(home: &Home) -> String {
    format!("GET {SERVER} HTTP/1.1\r\nhost: localhost:{}\r\n", home.public.port())
}

/// Waits until the peer closes the connection; returns how long that took.
async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin), within: Duration) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(within, stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the connection is not closed within {within:?}");
    began.elapsed()
}

#[tokio::test]
async fn ds_01_a_head_has_a_time_in_all_and_not_for_each_byte() {
    let gateway = start("[timeouts]\nrequest_head = \"2s\"\n").await;
    let mut trickles = Vec::new();
    for _ in 0..100 {
        trickles.push(Client::new(&gateway.home).raw().await.unwrap());
    }
    let began = Instant::now();
    for byte in head(&gateway.home).bytes() {
        let mut open = false;
        for stream in &mut trickles {
            open |= stream.write_all(&[byte]).await.is_ok() && stream.flush().await.is_ok();
        }
        if !open || began.elapsed() > Duration::from_secs(6) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for stream in &mut trickles {
        closed(stream, Duration::from_secs(2)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(Client::new(&gateway.home).is_alive().await);
}

#[tokio::test]
async fn a_connection_that_never_asks_is_closed() {
    let gateway = start("[timeouts]\nrequest_head = \"1s\"\ntls_handshake = \"1s\"\n").await;
    let mut silent = Client::new(&gateway.home).raw().await.unwrap();
    let mut before_tls = TcpStream::connect(gateway.home.public).await.unwrap();
    assert!(closed(&mut silent, Duration::from_secs(4)).await > Duration::from_millis(500));
    closed(&mut before_tls, Duration::from_secs(4)).await;
}

#[tokio::test]
async fn ds_04_who_never_reads_is_closed() {
    let gateway = start("[timeouts]\nwrite_stall = \"1s\"\n").await;
    let mut stream = Client::new(&gateway.home).raw().await.unwrap();
    let request = format!("{}\r\n", head(&gateway.home)).repeat(1000);
    let began = Instant::now();
    // The answers fill the socket buffers; only then does the gateway's timeout begin.
    let mut open = true;
    while open && began.elapsed() < Duration::from_secs(15) {
        let sent = tokio::time::timeout(Duration::from_secs(5), stream.write_all(request.as_bytes())).await;
        open = matches!(sent, Ok(Ok(())));
    }
    let mut rest = vec![0; 1 << 16];
    while tokio::time::timeout(Duration::from_secs(3), stream.read(&mut rest))
        .await
        .expect("closed")
        .is_ok_and(|n| n > 0)
    {}
    assert!(Client::new(&gateway.home).is_alive().await);
}

/// Sends a request over a connection and reads the answer up to its last byte.
async fn ask(stream: &mut TlsStream<TcpStream>, home: &Home) -> std::io::Result<()> {
    stream.write_all(format!("{}\r\n", head(home)).as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let gateway = start("[timeouts]\nkeep_alive = \"1s\"\n").await;
    let mut stream = Client::new(&gateway.home).raw().await.unwrap();
    ask(&mut stream, &gateway.home).await.unwrap();
    assert!(closed(&mut stream, Duration::from_secs(5)).await > Duration::from_millis(500));
}

#[tokio::test]
async fn ds_05_the_longest_idle_connections_make_room_for_new_ones() {
    let gateway = start("[limits]\nconnections = 40\nconnections_per_address = 20\n").await;
    let home = &gateway.home;
    let mut kept = Vec::new();
    for n in 0..30 {
        let mut stream = Client::new(home).raw().await.unwrap();
        // The first connection sends requests all the time, so that it is never the one that has been idle longest.
        if let Some(first) = kept.first_mut() {
            ask(first, home).await.unwrap_or_else(|fault| panic!("the first, before number {n}: {fault}"));
        }
        ask(&mut stream, home).await.unwrap();
        kept.push(stream);
    }
    for stream in &mut kept[1..11] {
        closed(stream, Duration::from_secs(5)).await;
    }
    ask(&mut kept[0], home).await.unwrap();
    for stream in &mut kept[11..] {
        ask(stream, home).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_once_with_the_limit_and_its_address() {
    let gateway = start("[limits]\nconnections_per_address = 2\n").await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = Client::new(&gateway.home).raw().await.unwrap();
        let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n";
        let host = gateway.home.origin().trim_start_matches("https://").to_owned();
        let head = format!("POST /token HTTP/1.1\r\nhost: {host}\r\n{form}\r\ngrant");
        stream.write_all(head.as_bytes()).await.unwrap();
        busy.push(stream);
    }
    // Until both requests have begun, a further connection would replace one of them.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..5 {
        assert!(Client::new(&gateway.home).raw().await.is_err());
    }
    // The gateway writes the log line a moment later.
    let mut log = gateway.log();
    while !log.contains("a connection was refused") {
        tokio::time::sleep(Duration::from_millis(50)).await;
        log = gateway.log();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    log = gateway.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("a connection was refused")).collect();
    assert!(lines.len() == 1 && lines[0].contains(" WARN "), "{log}");
    assert!(lines[0].contains("key=\"limits.connections_per_address\" address=127.0.0.1"), "{lines:?}");
}

#[tokio::test]
async fn handshakes_and_heads_that_do_not_come_make_room_too() {
    let gateway = start("[limits]\nconnections = 40\nconnections_per_address = 20\n").await;
    let mut silent = Vec::new();
    let mut slow = Vec::new();
    for _ in 0..10 {
        silent.push(TcpStream::connect(gateway.home.public).await.unwrap());
        let mut stream = Client::new(&gateway.home).raw().await.unwrap();
        stream.write_all(b"GET / HT").await.unwrap();
        slow.push(stream);
    }
    let mut kept = Vec::new();
    for _ in 0..20 {
        let mut stream = Client::new(&gateway.home).raw().await.unwrap();
        ask(&mut stream, &gateway.home).await.unwrap();
        kept.push(stream);
    }
    for stream in &mut silent {
        closed(stream, Duration::from_secs(2)).await;
    }
    for stream in &mut slow {
        closed(stream, Duration::from_secs(2)).await;
    }
}

#[tokio::test]
async fn ds_12_without_file_descriptors_the_probe_is_answered_and_the_rest_recovers() {
    let home = Home::new("", None);
    let gateway = home.start_with_files(64).await;
    let mut taken = Vec::new();
    for _ in 0..200 {
        match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(gateway.home.public)).await {
            Ok(Ok(stream)) => taken.push(stream),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let before = gateway.cpu_time();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spent = gateway.cpu_time() - before;
    assert!(spent < Duration::from_millis(300), "the listener spins: {spent:?}");
    assert!(crate::support::client::is_healthy(gateway.home.operator).await, "the probe gets no answer");
    drop(taken);
    let deadline = Instant::now() + Duration::from_secs(10);
    while Client::new(&gateway.home).raw().await.is_err() {
        assert!(Instant::now() < deadline, "the listener does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(Client::new(&gateway.home).is_alive().await);
}
