//! The memory that unread answers take: at most four bytes for each byte that the upstream has sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::memory::{RECORD, SENDING, STALLED, Watched, tls, token};
use crate::http2::{self, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, Peer, SETTINGS, WINDOW_UPDATE, read_frame};
use crate::support::client::Client;
use crate::support::gateway::Home;
use crate::support::upstream::is_trial;

/// An upstream whose first answer is a flood of large events; every later answer consists of minimal events, each
/// written separately. Returns its URL, whether the flood has stalled, and the number of bytes in the later answers.
async fn flood_and_drizzle() -> (String, watch::Receiver<bool>, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (tell, held_up) = watch::channel(false);
    let drizzled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&drizzled);
    tokio::spawn(async move {
        let mut flood = Some(tell);
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a TCP socket");
            let mut request = [0; 4096];
            let asked = stream.read(&mut request).await.unwrap_or(0);
            if is_trial(&request[..asked]) {
                continue;
            }
            let (flood, count) = (flood.take(), Arc::clone(&count));
            tokio::spawn(async move {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await.expect("a head");
                let Some(tell) = flood else {
                    while stream.write_all(b"3\r\n:\n\n\r\n").await.is_ok() {
                        count.fetch_add(8, Relaxed);
                        // Slowly enough that the gateway reads each event separately.
                        tokio::time::sleep(Duration::from_millis(4)).await;
                    }
                    return;
                };
                let event = format!("4000\r\ndata: {}\n\n\r\n", "x".repeat(0x4000 - 8));
                while tokio::time::timeout(STALLED, stream.write_all(event.as_bytes())).await.is_ok() {}
                tell.send_replace(true);
                std::future::pending().await
            });
        }
    });
    (format!("http://{address}/mcp"), held_up, drizzled)
}

/// A connection that receives at most two packets and then stops reading.
async fn narrow(home: &Home) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a size");
    let tcp = socket.connect(home.public).await.expect("a connection");
    let mut config = rustls::ClientConfig::clone(&Client::new(home).config());
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = "localhost".try_into().expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS")
}

/// The head of a request for a stream of events.
fn asking(peer: &Peer, token: &str) -> Vec<u8> {
    let authorization = format!("Bearer {token}");
    http2::fields(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", &peer.authority),
        (":path", "/mcp"),
        ("accept", "text/event-stream"),
        ("authorization", &authorization),
    ])
}

#[tokio::test]
async fn events_that_nobody_takes_cost_no_more_memory_than_their_bytes() {
    let (upstream, mut held_up, drizzled) = flood_and_drizzle().await;
    let gateway = Home::new("", Some(upstream)).start().await;
    let token = token(&gateway.home, "mcp");
    // The largest windows: SETTINGS_INITIAL_WINDOW_SIZE, and WINDOW_UPDATE for the connection.
    let window = (1_u32 << 30).to_be_bytes();
    let settings = [&[0, 4][..], &window].concat();
    let mut peer = Peer::over(narrow(&gateway.home).await, &gateway.home, &settings).await;
    assert!(peer.send(&http2::frame(WINDOW_UPDATE, 0, 0, &window)).await);
    let fields = asking(&peer, &token);
    let get = |stream| http2::frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields);
    assert!(peer.send(&get(1)).await);
    held_up.wait_for(|held_up| *held_up).await.expect("the flood is held up");
    let mut watched = Watched::begin(&gateway);
    let more: Vec<u8> = (1..32).flat_map(|n| get(2 * n + 1)).collect();
    assert!(peer.send(&more).await);
    let began = Instant::now();
    while began.elapsed() < 3 * SENDING {
        tokio::time::sleep(Duration::from_millis(50)).await;
        watched.look();
    }
    let sent = drizzled.load(Relaxed);
    assert!(sent > 20_000, "{sent} bytes of events are too few");
    watched.expect_proportion(sent, "events");
}

/// The one-byte frames in one answer: they fit into the initial window of a stream (RFC 9113 6.9.2).
const FRAMES: usize = 60_000;

/// An HTTP/2 upstream that answers every request with small events, one byte per frame, and counts their bytes.
async fn frame_by_frame(listener: TcpListener, config: rustls::ServerConfig, sent: Arc<AtomicU64>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (tcp, _) = listener.accept().await.expect("a connection");
        let (acceptor, sent) = (acceptor.clone(), Arc::clone(&sent));
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(tcp).await else { return };
            let Ok(_) = stream.read_exact(&mut [0; PREFACE.len()]).await else { return };
            stream.write_all(&http2::frame(SETTINGS, 0, 0, &[])).await.expect("the gateway reads");
            while let Some((kind, flags, id, _)) = read_frame(&mut stream).await {
                if kind != HEADERS && kind != DATA || flags & END_STREAM == 0 {
                    continue;
                }
                // Status 200, and Content-Type by its index (RFC 7541 6.2.2, Appendix A).
                let head = [b"\x88\x0f\x10\x11", &b"text/event-stream"[..]].concat();
                let event: Vec<u8> = b":\n\n".iter().flat_map(|byte| http2::frame(DATA, 0, id, &[*byte])).collect();
                let flood = [http2::frame(HEADERS, END_HEADERS, id, &head), event.repeat(FRAMES / 3)].concat();
                for part in flood.chunks(1000) {
                    if stream.write_all(part).await.is_err() {
                        return;
                    }
                    sent.fetch_add(1000, Relaxed);
                }
            }
        });
    }
}

/// Asks an upstream for eight endless answers that the client does not read, and checks the gateway's memory meanwhile.
/// `serve` counts the bytes that it sends; fewer than `least` would prove nothing.
async fn expect_no_more_than_was_sent<S, F>(serve: S, protocols: &[&[u8]], least: u64, what: &str)
where
    S: FnOnce(TcpListener, rustls::ServerConfig, Arc<AtomicU64>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (config, ca) = tls(protocols);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).expect("a file");
    let sent = Arc::new(AtomicU64::new(0));
    tokio::spawn(serve(listener, config, Arc::clone(&sent)));
    let upstream = format!(
        "[[upstream]]\nname = \"mcp\"\npath = \"/mcp\"\nurl = \"https://localhost:{port}/mcp\"\nca_file = {file:?}\n"
    );
    let gateway = Home::new(&upstream, None).start().await;
    let token = token(&gateway.home, "mcp");
    // Reads nothing: SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let mut peer = Peer::connect(&gateway.home, &[0, 4, 0, 0, 0, 0]).await;
    let fields = asking(&peer, &token);
    let mut watched = Watched::begin(&gateway);
    for stream in 0..8 {
        assert!(peer.send(&http2::frame(HEADERS, END_HEADERS | END_STREAM, 2 * stream + 1, &fields)).await);
    }
    let began = Instant::now();
    while began.elapsed() < 3 * SENDING {
        tokio::time::sleep(Duration::from_millis(50)).await;
        watched.look();
    }
    let sent = sent.load(Relaxed);
    assert!(sent > least, "{sent} bytes of {what} are too few");
    watched.expect_proportion(sent, what);
}

#[tokio::test]
async fn answers_in_frames_of_one_byte_cost_no_more_memory_than_their_bytes() {
    expect_no_more_than_was_sent(frame_by_frame, &[b"h2"], 4_000_000, "answers in frames").await;
}

/// The length of an answer's head, in bytes.
const HEAD: usize = 8000;

/// An HTTP/1.1 upstream that sends head and events byte by byte, one TLS record per byte, and counts them.
async fn record_by_record(listener: TcpListener, config: rustls::ServerConfig, sent: Arc<AtomicU64>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (tcp, _) = listener.accept().await.expect("a connection");
        tcp.set_nodelay(true).expect("a TCP socket");
        let (acceptor, sent) = (acceptor.clone(), Arc::clone(&sent));
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(tcp).await else { return };
            let mut request = [0; 4096];
            let asked = stream.read(&mut request).await.unwrap_or(0);
            if is_trial(&request[..asked]) {
                return;
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nx-padding: {}\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
                "x".repeat(HEAD)
            );
            for byte in head.bytes().chain(b"3\r\n:\n\n\r\n".iter().copied().cycle()) {
                if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                sent.fetch_add(RECORD, Relaxed);
            }
        });
    }
}

#[tokio::test]
async fn heads_and_answers_in_records_of_one_byte_cost_no_more_memory_than_their_bytes() {
    expect_no_more_than_was_sent(record_by_record, &[], 1_000_000, "answers in records").await;
}
