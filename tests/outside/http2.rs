//! H2: attacks on HTTP/2, framed by hand because no library would send such frames. Each ends the stream or the
//! connection, and other clients are served meanwhile.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::shared;
use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;
/// The time within which another client must be answered: one second, and one more for a machine that is busy with
/// other tests.
const ALIVE: Duration = Duration::from_secs(2);
/// Stands for the statuses without an index in RFC 7541, for example 401.
pub(crate) const NOT_INDEXED: u16 = 0;
/// A page: an answer with a body that needs no authorization.
const PAGE: &str = "/";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Literal fields without indexing (RFC 7541 6.2.2), names and values below 127 bytes.
pub(crate) fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in list {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

pub(crate) fn get<'a>(authority: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", path)]
}

/// The head of an MCP message.
pub(crate) fn message(authority: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", authority),
        (":path", "/mcp"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ]
}

/// A received frame: type, flags, stream, payload.
pub(crate) type Frame = (u8, u8, u32, Vec<u8>);

pub(crate) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

pub(crate) struct Peer {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) authority: String,
}

impl Peer {
    pub(crate) async fn connect(home: &Home, settings: &[u8]) -> Self {
        Self::over(Client::new(home).raw_with(&[b"h2"]).await.unwrap(), home, settings).await
    }

    pub(crate) async fn over(mut stream: TlsStream<TcpStream>, home: &Home, settings: &[u8]) -> Self {
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
        Self { stream, authority: format!("localhost:{}", home.public.port()) }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }

    pub(crate) async fn ask(&mut self, stream: u32, list: &[(&str, &str)]) {
        let block = fields(list);
        assert!(self.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)).await);
    }

    /// Reads one frame.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        read_frame(&mut self.stream).await
    }

    /// Reads frames for at most `seconds` until one matches.
    pub(crate) async fn until(&mut self, seconds: u64, fits: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let search = async {
            while let Some(frame) = read_frame(&mut self.stream).await {
                if fits(&frame) {
                    return Some(frame);
                }
            }
            None
        };
        tokio::time::timeout(Duration::from_secs(seconds), search).await.unwrap_or(None)
    }

    /// The error code of the stream's RST_STREAM or of the GOAWAY, whichever comes first.
    async fn refusal(&mut self, stream: u32) -> Option<u32> {
        let fits = |f: &Frame| (f.0 == RST_STREAM && f.2 == stream) || (f.0 == GOAWAY && code(&f.3[4..8]) != 0);
        let found = self.until(5, fits).await?;
        Some(if found.0 == GOAWAY { code(&found.3[4..8]) } else { code(&found.3) })
    }

    /// Returns the status from the first byte of the answer's header block: RFC 7541 indexes the common statuses.
    pub(crate) async fn status(&mut self, stream: u32) -> Option<u16> {
        let (_, _, _, block) = self.until(5, |f| f.0 == HEADERS && f.2 == stream).await?;
        Some(match block.first()? {
            0x88 => 200,
            0x8c => 400,
            0x8d => 404,
            // A literal value with the indexed name `:status`, plain or in Huffman's code.
            _ => NOT_INDEXED,
        })
    }
}

fn code(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

pub(crate) async fn assert_alive(home: &Home) {
    let began = Instant::now();
    let mut other = Client::new(home);
    assert_eq!(other.get("/.well-known/oauth-authorization-server").await.status, 200);
    assert!(began.elapsed() < ALIVE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn h2_01_rapid_reset_ends_the_connection() {
    let shared = shared::gateway().await;
    let mut peer = Peer::connect(&shared.home, &[]).await;
    let block = fields(&get(&peer.authority, "/mcp"));
    let mut open = true;
    for burst in 0..100 {
        let mut bytes = Vec::new();
        for n in 0..100 {
            let stream = 2 * (burst * 100 + n) + 1;
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block));
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        open = peer.send(&bytes).await;
        if !open {
            break;
        }
    }
    let gone = peer.until(5, |f| f.0 == GOAWAY && code(&f.3[4..8]) != 0).await;
    assert!(gone.is_some() || !open, "the connection is still open after 10000 resets");
    if let Some(gone) = gone {
        assert_eq!(code(&gone.3[4..8]), ENHANCE_YOUR_CALM);
    }
    assert_alive(&shared.home).await;
}

#[tokio::test]
async fn h2_03_a_flood_of_continuations_ends_the_connection() {
    let shared = shared::gateway().await;
    for size in [1, 10_000] {
        let mut peer = Peer::connect(&shared.home, &[]).await;
        let block = fields(&get(&peer.authority, "/mcp"));
        assert!(peer.send(&frame(HEADERS, END_STREAM, 1, &block)).await);
        // An endless field, in pieces.
        let mut piece = vec![0, 1, b'x', 0x7f, 0xff, 0xff, 0xff, 0x7f];
        piece.resize(size.max(1), b'a');
        let began = Instant::now();
        let mut open = true;
        while open && began.elapsed() < Duration::from_secs(5) {
            open = peer.send(&frame(CONTINUATION, 0, 1, &piece[..size]).repeat(64)).await;
        }
        assert!(!open, "the connection accepts continuations of {size} without a limit");
        assert_alive(&shared.home).await;
    }
}

#[tokio::test]
async fn h2_05_floods_of_control_frames_end_their_connection_and_harm_nobody_else() {
    let gateway = Home::new("", None).start().await;
    let lines = gateway.log().lines().count();
    for flood in [
        frame(SETTINGS, 0, 0, &[]),
        frame(PING, 0, 0, &[0; 8]),
        // The acknowledgement of a ping that was never sent.
        frame(PING, 1, 0, &[0; 8]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        frame(0x42, 0, 0, &[]),
    ] {
        let mut peer = Peer::connect(&gateway.home, &[]).await;
        let many = flood.repeat(1000);
        let began = Instant::now();
        while tokio::time::timeout(Duration::from_secs(2), peer.send(&many)).await == Ok(true) {
            assert!(began.elapsed() < Duration::from_secs(5), "{:?} may be sent without a limit", &flood[..9]);
        }
        assert_alive(&gateway.home).await;
    }
    // None of these attacks may fill the log: the end of a connection is not logged.
    let grown = gateway.log().lines().count() - lines;
    assert!(grown < 20, "{grown} lines\n{}", gateway.log());
}

#[tokio::test]
async fn who_floods_is_told_to_go_away() {
    let shared = shared::gateway().await;
    let mut peer = Peer::connect(&shared.home, &[]).await;
    assert!(peer.send(&frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]).repeat(1001)).await);
    assert!(peer.until(5, |f| f.0 == GOAWAY).await.is_some());
    assert!(peer.until(5, |_| false).await.is_none(), "closed");
}

#[tokio::test]
async fn h2_07_a_stream_whose_window_never_opens_ends() {
    let gateway = Home::new("[timeouts]\nwrite_stall = \"1s\"\n", None).start().await;
    // SETTINGS_HEADER_TABLE_SIZE 2^32-1, SETTINGS_INITIAL_WINDOW_SIZE 0, SETTINGS_MAX_FRAME_SIZE 2^24-1.
    let settings = [0, 1, 255, 255, 255, 255, 0, 4, 0, 0, 0, 0, 0, 5, 0, 255, 255, 255];
    let mut peer = Peer::connect(&gateway.home, &settings).await;
    let authority = peer.authority.clone();
    peer.ask(1, &get(&authority, PAGE)).await;
    assert_eq!(peer.status(1).await, Some(200));
    let began = Instant::now();
    assert!(peer.until(4, |f| f.0 == RST_STREAM && f.2 == 1).await.is_some(), "the stream was not reset");
    assert!(began.elapsed() > Duration::from_millis(500));
    // The connection stays open: an answer without a body still arrives.
    peer.ask(3, &[(":method", "HEAD"), (":scheme", "https"), (":authority", &authority), (":path", PAGE)]).await;
    assert_eq!(peer.status(3).await, Some(200));
}

/// RFC 9110 9.3.2. hyper omits the content of an answer to HEAD over HTTP/1.1 only.
#[tokio::test]
async fn head_has_no_content_over_http2_not_even_in_a_refusal() {
    let shared = shared::gateway().await;
    let mut peer = Peer::connect(&shared.home, &[]).await;
    let authority = peer.authority.clone();
    let asked = [
        (&*authority, PAGE),
        (&authority, "/.well-known/oauth-authorization-server"),
        (&authority, "/.well-known/oauth-protected-resource/nothing"),
        (&authority, "/nothing"),
        (&authority, "/authorize"),
        (&authority, "/token"),
        (&authority, "/mcp"),
        ("elsewhere.example", PAGE),
    ];
    for (n, (host, path)) in (0_u32..).zip(asked) {
        let stream = 2 * n + 1;
        peer.ask(stream, &[(":method", "HEAD"), (":scheme", "https"), (":authority", host), (":path", path)]).await;
        let (kind, flags, _, content) = peer
            .until(5, |f| (f.2 == stream && (f.0 == DATA || f.1 & END_STREAM != 0)) || f.0 == GOAWAY)
            .await
            .unwrap();
        assert!(kind == HEADERS || (kind == DATA && content.is_empty()), "{host}{path}: {kind} {flags} {content:?}");
    }
}

#[tokio::test]
async fn h2_08_the_stream_beyond_the_limit_is_refused_and_the_connection_lives() {
    let gateway = Gateway::start().await;
    let mut peer = Peer::connect(&gateway.home, &[]).await;
    let authority = peer.authority.clone();
    let list = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", authority.as_str()),
        (":path", "/token"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let mut bytes = Vec::new();
    for n in 0..101 {
        // Without END_STREAM: the form has not ended, so each stream stays open.
        bytes.extend(frame(HEADERS, END_HEADERS, 2 * n + 1, &fields(&list)));
    }
    assert!(peer.send(&bytes).await);
    assert_eq!(peer.refusal(201).await, Some(REFUSED_STREAM));
    assert!(peer.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await);
    peer.ask(203, &get(&authority, "/")).await;
    assert_eq!(peer.status(203).await, Some(200));
}

#[tokio::test]
async fn h2_09_who_takes_one_byte_at_a_time_is_not_waited_for() {
    let limits = "[timeouts]\nwrite_stall = \"1s\"\nkeep_alive = \"2s\"\n";
    let gateway = Home::new(limits, None).start().await;
    // SETTINGS_INITIAL_WINDOW_SIZE 1.
    let mut peer = Peer::connect(&gateway.home, &[0, 4, 0, 0, 0, 1]).await;
    let block = fields(&get(&peer.authority, PAGE));
    let mut asked = Vec::new();
    for n in 0..100 {
        asked.extend(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block));
    }
    assert!(peer.send(&asked).await);
    let began = Instant::now();
    let mut open = true;
    while open && began.elapsed() < Duration::from_secs(15) {
        let one = 1_u32.to_be_bytes();
        let more: Vec<u8> = (0..100).flat_map(|n| frame(WINDOW_UPDATE, 0, 2 * n + 1, &one)).collect();
        open = peer.send(&more).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!open, "the connection is still open");
    assert_alive(&gateway.home).await;
}

#[tokio::test]
async fn h2_10_what_is_not_http2_is_closed() {
    let gateway = Home::new("[timeouts]\nrequest_head = \"2s\"\n", None).start().await;
    // The gateway waits for the rest of a partial preface as long as for a request head.
    let wrong = [
        PREFACE[..16].to_vec(),
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        [&b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat(),
    ];
    for (n, bytes) in wrong.iter().enumerate() {
        let mut stream = Client::new(&gateway.home).raw_with(&[b"h2"]).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "case {n} is still open");
        assert!(!answer.starts_with(b"HTTP/1"), "case {n}");
    }
    // HTTP/2 on a connection that negotiated HTTP/1.1.
    let mut stream = Client::new(&gateway.home).raw_with(&[b"http/1.1"]).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "HTTP/2 without ALPN is still open");
}

#[tokio::test]
async fn h2_12_push_and_extended_connect_are_protocol_errors() {
    let shared = shared::gateway().await;
    let mut peer = Peer::connect(&shared.home, &[]).await;
    let block = [&2_u32.to_be_bytes()[..], &fields(&get("localhost", "/"))].concat();
    assert!(peer.send(&frame(PUSH_PROMISE, END_HEADERS, 1, &block)).await);
    assert_eq!(peer.refusal(1).await, Some(PROTOCOL_ERROR));

    let mut peer = Peer::connect(&shared.home, &[]).await;
    let authority = peer.authority.clone();
    let mut list = get(&authority, "/mcp");
    list[0] = (":method", "CONNECT");
    list.push((":protocol", "websocket"));
    peer.ask(1, &list).await;
    assert_eq!(peer.refusal(1).await, Some(PROTOCOL_ERROR));
}

#[tokio::test]
async fn hd_10_malformed_fields_end_the_stream_and_reach_nobody() {
    let shared = shared::gateway().await;
    let authority = format!("localhost:{}", shared.home.public.port());
    let path = "/mcp?hd-10";
    let with = |extra: (&'static str, &'static str)| {
        let mut list = get(&authority, path);
        list.push(extra);
        list
    };
    let mut late = get(&authority, path);
    late.insert(1, ("x", "a"));
    let mut empty_path = get(&authority, path);
    empty_path[3].1 = "";
    for (name, list) in [
        ("connection", with(("connection", "close"))),
        ("transfer-encoding", with(("transfer-encoding", "chunked"))),
        ("upgrade", with(("upgrade", "h2c"))),
        ("te", with(("te", "gzip"))),
        ("upper case", with(("X-Upper", "a"))),
        ("CR LF", with(("x", "a\r\nhost: evil"))),
        ("NUL", with(("x", "a\0b"))),
        ("pseudo after regular", late),
        ("duplicate pseudo", with((":path", "/other"))),
        ("unknown pseudo", with((":x", "a"))),
        ("empty path", empty_path),
        ("no path", get(&authority, path)[..3].to_vec()),
    ] {
        let mut peer = Peer::connect(&shared.home, &[]).await;
        peer.ask(1, &list).await;
        let refused = peer.refusal(1).await;
        assert_eq!(refused, Some(PROTOCOL_ERROR), "{name}");
    }
    assert!(shared.upstream.seen("hd-10").is_empty());
}

#[tokio::test]
async fn hd_11_a_length_that_is_not_the_datas_ends_the_stream() {
    let shared = shared::gateway().await;
    let issued = shared.home.command(&["token", "issue", "--user", "admin", "--upstream", "files"]);
    let authorization = format!("Bearer {}", issued["access_token"].as_str().unwrap());
    let body = br#"{"jsonrpc":"2.0","id":"hd-11","method":"ping"}"#;
    for length in ["10", "1000"] {
        let mut peer = Peer::connect(&shared.home, &[]).await;
        let authority = peer.authority.clone();
        let mut list = message(&authority);
        list.extend([("content-length", length), ("authorization", authorization.as_str())]);
        let block = fields(&list);
        assert!(peer.send(&frame(HEADERS, END_HEADERS, 1, &block)).await);
        assert!(peer.send(&frame(DATA, END_STREAM, 1, body)).await);
        assert_eq!(peer.refusal(1).await, Some(PROTOCOL_ERROR), "{length}");
    }
}

#[tokio::test]
async fn md_07_host_and_authority_must_agree() {
    let shared = shared::gateway().await;
    let mut peer = Peer::connect(&shared.home, &[]).await;
    let authority = peer.authority.clone();
    let path = "/.well-known/oauth-authorization-server";
    let mut list = get(&authority, path);
    list.push(("host", "evil.example"));
    peer.ask(1, &list).await;
    assert_eq!(peer.status(1).await, Some(400));
    list[4].1 = &authority;
    peer.ask(3, &list).await;
    assert_eq!(peer.status(3).await, Some(200));
}
