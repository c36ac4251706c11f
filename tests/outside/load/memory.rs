//! Memory in proportion to the bytes sent: the process holds at most four bytes for each byte on the wire, whoever
//! sends it and however small the pieces are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::http2::{self, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Peer, WINDOW_UPDATE};
use crate::shared::CALLBACK;
use crate::support::application::{Application, random};
use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};

/// Bytes of memory for each byte sent.
const RATIO: u64 = 4;
/// Allowance beside the proportion, in bytes: the requests themselves, and whole pages of the allocator.
const NOISE: u64 = 3 << 20;
/// Connections that send in turn, so that the gateway reads each piece separately.
const LINES: usize = 16;
/// How long each connection sends.
pub(super) const SENDING: Duration = Duration::from_secs(1);
/// A stream without progress for this long is stalled.
pub(super) const STALLED: Duration = Duration::from_millis(300);
/// A TLS 1.3 record of one byte: head, the byte, its type, the tag (RFC 8446 5.2).
pub(super) const RECORD: u64 = 5 + 1 + 1 + 16;

/// How a body is split into pieces.
#[derive(Debug, Clone, Copy)]
enum Pieces {
    /// One byte in each TLS record.
    Records,
    /// One byte in each chunk of HTTP/1.1, a record for each chunk.
    Chunks,
    /// One byte in each DATA frame of HTTP/2, a record for each frame.
    Frames,
}

/// The endpoint that reads the body.
struct Reader {
    path: &'static str,
    fields: Vec<(&'static str, String)>,
    /// The first bytes of the body.
    begin: &'static [u8],
}

impl Reader {
    fn form(path: &'static str) -> Self {
        Self { path, fields: vec![("content-type", "application/x-www-form-urlencoded".to_owned())], begin: b"a=" }
    }

    fn message(token: &str) -> Self {
        let fields = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
            ("authorization", format!("Bearer {token}")),
        ];
        Self { path: "/mcp", fields, begin: br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":""# }
    }

    /// Opens a connection and sends the start of the request.
    async fn begin(&self, home: &Home, pieces: Pieces) -> Peer {
        let authority = format!("localhost:{}", home.public.port());
        let (mut peer, head) = match pieces {
            Pieces::Frames => {
                let peer = Peer::connect(home, &[]).await;
                let pseudo = [
                    (":method", "POST"),
                    (":scheme", "https"),
                    (":authority", authority.as_str()),
                    (":path", self.path),
                ];
                let fields: Vec<_> =
                    pseudo.into_iter().chain(self.fields.iter().map(|(name, value)| (*name, value.as_str()))).collect();
                let head = http2::frame(HEADERS, END_HEADERS, 1, &http2::fields(&fields));
                (peer, [head, http2::frame(DATA, 0, 1, self.begin)].concat())
            }
            Pieces::Records | Pieces::Chunks => {
                let chunked = matches!(pieces, Pieces::Chunks);
                let stream = Client::new(home).raw().await.expect("a connection");
                let mut head = format!("POST {} HTTP/1.1\r\nhost: {authority}\r\n", self.path);
                for (name, value) in &self.fields {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str(if chunked {
                    "transfer-encoding: chunked\r\n\r\n"
                } else {
                    "content-length: 60000\r\n\r\n"
                });
                let size = format!("{:x}\r\n", self.begin.len());
                let begin = if chunked { [size.as_bytes(), self.begin, b"\r\n"].concat() } else { self.begin.to_vec() };
                (Peer { stream, authority }, [head.into_bytes(), begin].concat())
            }
        };
        assert!(peer.send(&head).await, "the gateway did not accept the request");
        peer
    }
}

impl Pieces {
    fn one(self) -> Vec<u8> {
        match self {
            Self::Records => b"a".to_vec(),
            Self::Chunks => b"1\r\na\r\n".to_vec(),
            Self::Frames => http2::frame(DATA, 0, 1, b"a"),
        }
    }
}

/// The peak size of the process, sampled from time to time.
pub(super) struct Watched<'a> {
    gateway: &'a Gateway,
    before: u64,
    peak: u64,
}

impl<'a> Watched<'a> {
    pub(super) fn begin(gateway: &'a Gateway) -> Self {
        let before = gateway.resident_bytes();
        Self { gateway, before, peak: before }
    }

    pub(super) fn look(&mut self) {
        self.peak = self.peak.max(self.gateway.resident_bytes());
    }

    /// Compares the growth of the process with the number of bytes sent.
    pub(super) fn expect_proportion(mut self, sent: u64, what: &str) {
        self.look();
        let grown = self.peak.saturating_sub(self.before);
        println!("{what}: {sent} bytes sent, grown by {} KiB", grown >> 10);
        assert!(grown <= RATIO * sent + NOISE, "{what}: {sent} bytes sent, {grown} bytes held");
    }
}

/// Sends one-byte pieces on many connections in turn and samples the memory of the process meanwhile.
async fn drip(gateway: &Gateway, reader: &Reader, pieces: Pieces) {
    let what = format!("{} in {pieces:?}", reader.path);
    let mut lines = Vec::new();
    for _ in 0..LINES {
        lines.push(reader.begin(&gateway.home, pieces).await);
    }
    let mut watched = Watched::begin(gateway);
    let (began, piece, mut count) = (Instant::now(), pieces.one(), 0_u64);
    while began.elapsed() < SENDING {
        for line in &mut lines {
            assert!(line.send(&piece).await, "{what}: the gateway closed the connection after {count} pieces");
            count += 1;
        }
        if count % 1024 == 0 {
            watched.look();
        }
    }
    assert!(count > 5000, "{what}: {count} pieces are too few");
    let each = RECORD - 1 + u64::try_from(piece.len()).expect("a small number");
    watched.expect_proportion(count * each, &what);
}

pub(super) fn token(home: &Home, upstream: &str) -> String {
    let issued = home.command(&["token", "issue", "--user", "admin", "--upstream", upstream]);
    issued["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_form_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    for pieces in [Pieces::Records, Pieces::Chunks, Pieces::Frames] {
        drip(&Gateway::start().await, &Reader::form("/token"), pieces).await;
    }
}

#[tokio::test]
async fn a_message_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    for pieces in [Pieces::Records, Pieces::Chunks, Pieces::Frames] {
        let gateway = Gateway::start().await;
        drip(&gateway, &Reader::message(&token(&gateway.home, "mcp")), pieces).await;
    }
}

#[tokio::test]
async fn a_head_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    let gateway = Gateway::start().await;
    let mut lines = Vec::new();
    for _ in 0..LINES {
        let mut stream = Client::new(&gateway.home).raw().await.expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.expect("the head can begin");
        lines.push(stream);
    }
    let mut watched = Watched::begin(&gateway);
    for _ in 0..1000 {
        for line in &mut lines {
            line.write_all(b"a").await.expect("the head can go on");
            line.flush().await.expect("the head can go on");
        }
        watched.look();
    }
    watched.expect_proportion(1000 * u64::try_from(LINES).expect("a number") * RECORD, "a head");
}

#[tokio::test]
async fn a_head_of_http_2_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    let gateway = Gateway::start().await;
    let mut lines = Vec::new();
    for _ in 0..LINES {
        let mut line = Peer::connect(&gateway.home, &[]).await;
        let begin = http2::fields(&[(":method", "GET"), (":scheme", "https"), (":path", "/")]);
        // The rest of the head: the start of a field of 12,000 bytes (RFC 7541 5.1, 5.2), which is never completed.
        let more = [&[0, 1, b'x', 0x7f, 0xe1, 0x5c][..], &[b'a'; 100]].concat();
        let mut head = http2::frame(HEADERS, END_STREAM, 1, &[begin, more].concat());
        // A few frames of one byte, too few to count as an attack, and a large frame that arrives byte by byte.
        head.extend((0..3).flat_map(|_| http2::frame(CONTINUATION, 0, 1, b"a")));
        head.extend(&http2::frame(CONTINUATION, 0, 1, &[b'a'; 8000])[..9]);
        assert!(line.send(&head).await, "the head can begin");
        lines.push(line);
    }
    let mut watched = Watched::begin(&gateway);
    for _ in 0..1000 {
        for line in &mut lines {
            assert!(line.send(b"a").await, "the head can go on");
        }
        watched.look();
    }
    watched.expect_proportion(1000 * u64::try_from(LINES).expect("a number") * RECORD, "a head of HTTP/2");
}

#[tokio::test]
async fn a_handshake_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    let gateway = Gateway::start().await;
    let mut lines = Vec::new();
    for _ in 0..LINES {
        let mut stream = TcpStream::connect(gateway.home.public).await.expect("a connection");
        stream.set_nodelay(true).expect("a TCP socket");
        // The start of a ClientHello of 60,000 bytes (RFC 8446 4).
        stream.write_all(&[22, 3, 1, 0, 4, 1, 0, 234, 96]).await.expect("the handshake can begin");
        lines.push(stream);
    }
    let mut watched = Watched::begin(&gateway);
    for _ in 0..1000 {
        for line in &mut lines {
            line.write_all(&[22, 3, 1, 0, 1, 0]).await.expect("the handshake can go on");
        }
        watched.look();
    }
    watched.expect_proportion(1000 * u64::try_from(LINES).expect("a number") * 6, "a handshake");
}

/// Serves one TLS connection on which the gateway fetches a metadata document. The document arrives byte by byte and
/// stops before its end; returns the number of bytes sent.
async fn serve_document(listener: TcpListener, config: rustls::ServerConfig, pieces: Pieces) -> u64 {
    let (tcp, _) = listener.accept().await.expect("the gateway comes");
    tcp.set_nodelay(true).expect("a TCP socket");
    let mut stream = TlsAcceptor::from(Arc::new(config)).accept(tcp).await.expect("TLS");
    let _asked = stream.read(&mut [0; 4096]).await.expect("a request");
    let (head, piece): (&str, &[u8]) = match pieces {
        Pieces::Chunks => ("transfer-encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n \r\n"),
        Pieces::Records | Pieces::Frames => ("\r\n{", b" "),
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}");
    stream.write_all(head.as_bytes()).await.expect("a head");
    for _ in 0..5000 {
        stream.write_all(piece).await.expect("the gateway reads");
        stream.flush().await.expect("the gateway reads");
    }
    // Wait until the gateway times out.
    let _closed = stream.read(&mut [0; 1]).await;
    5000 * (RECORD - 1 + u64::try_from(piece.len()).expect("a small number"))
}

/// A TLS server for `localhost` that speaks these protocols, and the CA that vouches for it.
pub(super) fn tls(protocols: &[&[u8]]) -> (rustls::ServerConfig, String) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name").signed_by(&key, &ca);
    let chain = vec![certificate.expect("a certificate").der().clone()];
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).expect("a private key"))
        .expect("a server");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (config, ca.pem())
}

async fn fetch_a_document(pieces: Pieces) {
    let (config, ca) = tls(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let id = format!("https://localhost:{}/client", listener.local_addr().expect("an address").port());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).expect("a file");
    let outbound = format!("[outbound]\nallow_addresses = [\"127.0.0.0/8\", \"::1\"]\nextra_ca_file = {file:?}\n");
    let gateway = Home::new(&outbound, None).start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let asked = application.request(&random(), &[("client_id", &id)]);
    let mut watched = Watched::begin(&gateway);
    let mut server = tokio::spawn(serve_document(listener, config, pieces));
    let mut client = Client::new(&gateway.home);
    let fetch = client.get(&asked);
    tokio::pin!(fetch);
    let sent = loop {
        tokio::select! {
            sent = &mut server => break sent.expect("the document was served"),
            reply = &mut fetch => panic!("{reply:?}"),
            () = tokio::time::sleep(Duration::from_millis(20)) => watched.look(),
        }
    };
    assert_eq!(fetch.await.status, 503, "an endless document was accepted");
    watched.expect_proportion(sent, &format!("a document in {pieces:?}"));
}

#[tokio::test]
async fn ci_07_a_document_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    for pieces in [Pieces::Records, Pieces::Chunks] {
        fetch_a_document(pieces).await;
    }
}

/// An upstream that accepts connections and reads nothing.
async fn deaf() -> u16 {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a size");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(64).expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    port
}

/// Sends a body until the gateway no longer extends the stream's window, because its upstream reads nothing.
async fn fill(peer: &mut Peer) {
    let mut window = 65_535_usize;
    let block = vec![b'a'; 8192];
    loop {
        while window > 20_000 {
            assert!(peer.send(&http2::frame(DATA, 0, 1, &block)).await);
            window -= block.len();
        }
        let granted = tokio::time::timeout(STALLED, async {
            loop {
                let (kind, _, stream, payload) = peer.next().await.expect("the gateway goes on");
                if kind == WINDOW_UPDATE && stream == 1 {
                    return u32::from_be_bytes(payload.try_into().expect("RFC 9113 6.9"));
                }
            }
        });
        let Ok(granted) = granted.await else { return };
        window += usize::try_from(granted).expect("a window");
    }
}

/// A gateway in front of an upstream that reads nothing, and the endpoint for uploads to it.
async fn before_a_deaf_upstream() -> (Gateway, Reader) {
    let port = deaf().await;
    let config = format!(
        "[limits]\nmcp_body = \"64MiB\"\n[[upstream]]\nname = \"files\"\npath = \"/mcp\"\nkind = \"http\"\n\
         url = \"http://127.0.0.1:{port}/\"\n"
    );
    let gateway = Home::new(&config, None).start().await;
    let reader = Reader { begin: b"a", ..Reader::message(&token(&gateway.home, "files")) };
    (gateway, reader)
}

#[tokio::test]
async fn an_upload_in_small_pieces_takes_no_more_memory_than_its_bytes() {
    for pieces in [Pieces::Records, Pieces::Chunks] {
        let (gateway, reader) = before_a_deaf_upstream().await;
        drip(&gateway, &reader, pieces).await;
    }
}

#[tokio::test]
async fn an_upload_that_no_upstream_takes_costs_no_more_memory_than_its_bytes() {
    let (gateway, reader) = before_a_deaf_upstream().await;
    let mut lines = Vec::new();
    for _ in 0..LINES / 2 {
        let mut line = reader.begin(&gateway.home, Pieces::Frames).await;
        fill(&mut line).await;
        lines.push(line);
    }
    let mut watched = Watched::begin(&gateway);
    let (piece, mut sent) = (Pieces::Frames.one(), 0);
    for _ in 0..2000 {
        for line in &mut lines {
            // The gateway treats more small frames than the window allows as an attack, and closes the connection.
            if line.send(&piece).await {
                sent += RECORD - 1 + u64::try_from(piece.len()).expect("a small number");
            }
        }
        watched.look();
    }
    watched.expect_proportion(sent, "an upload");
}
