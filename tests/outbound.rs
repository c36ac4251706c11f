//! The outbound dialer against a real TLS server. A failure means that a party that chooses a URL can make the gateway
//! connect to an internal host, follow a redirect, or read or wait without limit.

#![cfg(test)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mcpgate::config::{MinimumKeyBits, OutboundConfig, Rates};
use mcpgate::outbound::{Dialer, Fetch as _, FetchError, Fetched};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[path = "support/refusing.rs"]
mod refusing;
use refusing::Refusing;
#[path = "support/hello.rs"]
mod hello;

const MAX: usize = 5120;

/// A certificate for `name`, issued by an authority whose own certificate is in a file.
struct Certificates {
    ca_file: PathBuf,
    acceptor: TlsAcceptor,
    _folder: tempfile::TempDir,
}

fn certificates(name: &str, expired: bool) -> Certificates {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    }
    let leaf = params.signed_by(&key, &ca).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    Certificates { ca_file, acceptor: TlsAcceptor::from(Arc::new(tls)), _folder: folder }
}

/// The server sends these pieces with a pause between them, and then, if set, stays silent without closing.
#[derive(Clone)]
struct Answer {
    pieces: Vec<Vec<u8>>,
    pause: Duration,
    stay_open: bool,
}

fn answer(text: impl Into<Vec<u8>>) -> Answer {
    Answer { pieces: vec![text.into()], pause: Duration::ZERO, stay_open: false }
}

fn ok(headers: &str, body: &str) -> Answer {
    answer(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()))
}

const JSON: &str = "content-type: application/json\r\n";

struct Server {
    address: SocketAddr,
    /// TCP connections accepted.
    connections: Arc<AtomicUsize>,
    /// The request heads, one after another.
    requests: Arc<std::sync::Mutex<String>>,
    certificates: Certificates,
}

async fn serve_as(certificates: Certificates, answer: Answer) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(String::new())));
    let (counted, recorded, acceptor) =
        (Arc::clone(&connections), Arc::clone(&requests), certificates.acceptor.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let (answer, recorded, acceptor) = (answer.clone(), Arc::clone(&recorded), acceptor.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                recorded.lock().unwrap().push_str(&String::from_utf8_lossy(&head));
                for piece in answer.pieces {
                    stream.write_all(&piece).await?;
                    stream.flush().await?;
                    tokio::time::sleep(answer.pause).await;
                }
                if answer.stay_open {
                    std::future::pending::<()>().await;
                }
                stream.shutdown().await
            });
        }
    });
    Server { address, connections, requests, certificates }
}

async fn serve(answer: Answer) -> Server {
    serve_as(certificates("localhost", false), answer).await
}

fn rates(fetches_per_host_per_minute: u32) -> Rates {
    Rates {
        authorize_per_second: 1,
        token_per_second: 1,
        client_failures_per_minute: 1,
        registrations_per_hour: 1,
        exempt_loopback: false,
        fetches_per_host_per_minute,
        mcp_per_second: 1,
        mcp_burst: 1,
        store_reads_per_second: 1,
        login_free_failures: 1,
        login_pause_failures: 1,
    }
}

/// A dialer with this many fetches from a host in a minute.
fn dialer_of(config: &OutboundConfig, per_minute: u32) -> Result<Dialer, String> {
    Dialer::new(config, &rates(per_minute), MinimumKeyBits::Bits128)
}

impl Server {
    /// A dialer that allows loopback and trusts this server's authority.
    fn dialer(&self) -> Dialer {
        dialer_of(&self.opened(), 10).unwrap()
    }

    fn opened(&self) -> OutboundConfig {
        let loopback = ["127.0.0.0/8", "::1/128"].map(|block| block.parse().unwrap()).to_vec();
        let extra_ca_file = Some(self.certificates.ca_file.clone());
        OutboundConfig { allow_addresses: loopback, extra_ca_file, proxy: None }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/client.json?v=1", self.address.port())
    }

    async fn fetch(&self) -> Result<Fetched, FetchError> {
        self.dialer().fetch_json(&self.url(), MAX).await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_document_is_fetched_with_what_was_said_about_it() {
    let headers = format!("{JSON}cache-control: max-age=600\r\n");
    let server = serve(ok(&headers, "{\"a\":1}")).await;
    let fetched = server.fetch().await.unwrap();
    assert_eq!(fetched.body, "{\"a\":1}");
    assert_eq!((fetched.max_age, fetched.no_store), (Some(600), false));
    let request = server.requests.lock().unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /client.json?v=1 http/1.1\r\n"), "{request}");
    for line in [
        "accept: application/json\r\n",
        "accept-encoding: identity\r\n",
        &format!("host: localhost:{}\r\n", server.address.port()),
    ] {
        assert!(request.contains(line), "{line} in {request}");
    }
    assert!(!request.contains("authorization:") && !request.contains("cookie:"));
}

#[tokio::test]
async fn a_fetch_names_aes_128_first_or_with_256_bits_not_at_all() {
    let server = serve(ok(JSON, "{}")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/x", listener.local_addr().unwrap().port());
    for minimum in [MinimumKeyBits::Bits128, MinimumKeyBits::Bits256] {
        let dialer = Dialer::new(&server.opened(), &rates(10), minimum).unwrap();
        let (named, fetched) = tokio::join!(hello::suites_named(&listener), dialer.fetch_json(&url, MAX));
        assert!(hello::are_in_our_order(&named, minimum == MinimumKeyBits::Bits128), "{minimum:?}: {named:?}");
        assert!(fetched.is_err());
    }
}

#[tokio::test]
async fn ci_02_ci_03_an_address_that_is_not_public_sees_no_connection() {
    let server = serve(ok(JSON, "{}")).await;
    let closed = dialer_of(&OutboundConfig { allow_addresses: Vec::new(), ..server.opened() }, 100).unwrap();
    let port = server.address.port();
    for host in ["localhost", "127.0.0.1", "[::ffff:7f00:1]", "0x7f.1", "0177.0.0.1", "2130706433", "127.1"] {
        let fetched = closed.fetch_json(&format!("https://{host}:{port}/x"), MAX).await;
        assert_eq!(fetched.unwrap_err(), FetchError::Refused, "{host}");
    }
    let plain = format!("http://localhost:{port}/x");
    assert_eq!(server.dialer().fetch_json(&plain, MAX).await.unwrap_err(), FetchError::Refused);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn ci_17_an_operators_address_may_stand_in_the_url() {
    let server = serve_as(certificates("127.0.0.1", false), ok(JSON, "{}")).await;
    let url = format!("https://127.0.0.1:{}/x", server.address.port());
    assert!(server.dialer().fetch_json(&url, MAX).await.is_ok());
}

#[tokio::test]
async fn ci_06_redirects_are_not_followed_and_only_200_counts() {
    let elsewhere = serve(ok(JSON, "{}")).await;
    for status in [301, 302, 303, 307, 308, 201, 204, 304, 403, 404, 429, 500, 503] {
        let text = format!("HTTP/1.1 {status} X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
        let server = serve(answer(text)).await;
        assert_eq!(server.fetch().await.unwrap_err(), FetchError::Status { code: status, said: String::new() });
        assert_eq!(server.connections(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_refusal_says_who_refused_in_one_short_line() {
    let page = "<!DOCTYPE html><html><head>\n<title>Just a\u{7} \"moment\"...</title></head><body>x";
    let long = "z".repeat(9_000);
    for (headers, body, expected) in [
        ("server: cloudflare\r\n", page, "Server: cloudflare, \"Just a moment ...\""),
        ("", "error code: 1020\r\n", "\"error code: 1020\""),
        ("server: \r\n", "", ""),
        ("server: \u{e9}x\ty\r\n", "\u{e9}\0", "Server: x y"),
        ("", long.as_str(), &format!("\"{}\"", "z".repeat(80))),
    ] {
        let text = format!("HTTP/1.1 403 X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
        let refused = serve(answer(text)).await.fetch().await.unwrap_err();
        assert_eq!(refused, FetchError::Status { code: 403, said: expected.to_owned() });
    }
    // A status is reported from the head, even if the content does not arrive.
    let silent = Answer { stay_open: true, ..answer("HTTP/1.1 403 X\r\nserver: edge\r\ncontent-length: 9\r\n\r\n") };
    let began = Instant::now();
    let refused = serve(silent).await.fetch().await.unwrap_err();
    assert_eq!(refused, FetchError::Status { code: 403, said: "Server: edge".to_owned() });
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn ci_07_what_is_larger_than_the_limit_is_refused() {
    assert_eq!(serve(ok(JSON, &"x".repeat(MAX))).await.fetch().await.unwrap().body.len(), MAX);
    assert_eq!(serve(ok(JSON, &"x".repeat(MAX + 1))).await.fetch().await.unwrap_err(), FetchError::TooLarge);
    let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{JSON}\r\n");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let endless = Answer { pieces: vec![(head + &chunk.repeat(64)).into_bytes()], ..answer("") };
    let endless = Answer { stay_open: true, ..endless };
    assert_eq!(serve(endless).await.fetch().await.unwrap_err(), FetchError::TooLarge);
    let until_close = answer(format!("HTTP/1.1 200 OK\r\n{JSON}\r\n{}", "x".repeat(MAX + 1)));
    assert_eq!(serve(until_close).await.fetch().await.unwrap_err(), FetchError::TooLarge);
}

#[tokio::test]
async fn ci_07_only_plain_json_is_taken() {
    for headers in [
        "",
        "content-type: text/html\r\n",
        "content-type: text/json\r\n",
        "content-type: application/jsonp\r\n",
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        "content-type: application/json\r\ncontent-encoding: br\r\n",
    ] {
        assert_eq!(serve(ok(headers, "{}")).await.fetch().await.unwrap_err(), FetchError::ContentType, "{headers}");
    }
    for kind in ["Application/JSON; charset=utf-8", "application/cimd+json"] {
        assert!(serve(ok(&format!("content-type: {kind}\r\n"), "{}")).await.fetch().await.is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn ci_08_slow_answers_end_after_five_seconds_and_a_document_that_drips_after_two() {
    let head = ok(JSON, &"x".repeat(100)).pieces.remove(0);
    let drip =
        Answer { pieces: head.chunks(1).map(<[u8]>::to_vec).collect(), pause: Duration::from_secs(1), stay_open: true };
    let silent = Answer { pieces: Vec::new(), pause: Duration::ZERO, stay_open: true };
    let body = Answer { pieces: vec![head[..head.len() - 1].to_vec()], pause: Duration::ZERO, stay_open: true };
    let timed = |answer: Answer, seconds: u64| async move {
        let server = serve(answer).await;
        let start = Instant::now();
        assert_eq!(server.fetch().await.unwrap_err(), FetchError::Slow);
        let took = start.elapsed().as_millis();
        assert!((u128::from(seconds) * 1000 - 100..u128::from(seconds) * 1000 + 900).contains(&took), "{took} ms");
    };
    tokio::join!(timed(drip, 5), timed(silent, 5), timed(body, 2));
}

#[tokio::test]
async fn certificates_are_checked() {
    let unknown = serve(ok(JSON, "{}")).await;
    let another = serve(ok(JSON, "{}")).await;
    let fetched = another.dialer().fetch_json(&unknown.url(), MAX).await;
    assert_eq!(fetched.unwrap_err(), FetchError::Tls, "an unknown authority");
    let wrong = serve_as(certificates("c.example", false), ok(JSON, "{}")).await;
    assert_eq!(wrong.fetch().await.unwrap_err(), FetchError::Tls, "another name");
    let expired = serve_as(certificates("localhost", true), ok(JSON, "{}")).await;
    assert_eq!(expired.fetch().await.unwrap_err(), FetchError::Tls, "expired");
    assert!(unknown.requests.lock().unwrap().is_empty() && wrong.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn one_fetch_of_a_host_at_a_time_and_ten_a_minute() {
    let server = serve(Answer { stay_open: true, ..answer("") }).await;
    let dialer = server.dialer();
    let url = server.url();
    let (first, second) = tokio::join!(dialer.fetch_json(&url, MAX), dialer.fetch_json(&url, MAX));
    assert_eq!((first.unwrap_err(), second.unwrap_err()), (FetchError::Slow, FetchError::Busy));

    let server = serve(ok(JSON, "{}")).await;
    let dialer = server.dialer();
    for _ in 0..10 {
        assert!(dialer.fetch_json(&server.url(), MAX).await.is_ok());
    }
    assert_eq!(dialer.fetch_json(&server.url(), MAX).await.unwrap_err(), FetchError::Busy);
    assert_eq!(server.connections(), 10);
}

#[tokio::test]
async fn many_names_of_one_network_share_a_budget() {
    let server = serve(ok(JSON, "{}")).await;
    let dialer = dialer_of(&server.opened(), 1).unwrap();
    let port = server.address.port();
    for host in 2..8 {
        let fetched = dialer.fetch_json(&format!("https://127.0.0.{host}:{port}/x"), MAX).await;
        assert_eq!(fetched.unwrap_err(), FetchError::Connect, "nothing listens there, and its own budget is unused");
    }
    let url = format!("https://127.0.0.1:{port}/x");
    assert_eq!(dialer.fetch_json(&url, MAX).await.unwrap_err(), FetchError::Busy, "the seventh in its network");
    assert_eq!(server.connections(), 0);
    // Refetches of known documents and fetches for strangers do not use each other's budget.
    assert_eq!(dialer.refetch_json(&url, MAX).await.unwrap_err(), FetchError::Tls, "the certificate is for a name");
    assert_eq!(server.connections(), 1);
}

/// A CONNECT proxy that answers with `status`, and connects every name to `target` if that is 200. Returns its URL and
/// the requests that it received.
async fn proxy(status: u16, target: SocketAddr) -> (url::Url, Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let asked = Arc::new(std::sync::Mutex::new(String::new()));
    let recorded = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let recorded = Arc::clone(&recorded);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await?);
                }
                recorded.lock().unwrap().push_str(&String::from_utf8_lossy(&head));
                client.write_all(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes()).await?;
                if status == 200 {
                    let mut origin = tokio::net::TcpStream::connect(target).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut origin).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    (url, asked)
}

#[tokio::test]
async fn ci_19_the_configured_proxy_is_used_for_everything() {
    // A name that only the proxy can resolve.
    let server = serve_as(certificates("c.example", false), ok(JSON, "{}")).await;
    let (url, asked) = proxy(200, server.address).await;
    let config = OutboundConfig { proxy: Some(url), allow_addresses: Vec::new(), ..server.opened() };
    let dialer = dialer_of(&config, 10).unwrap();
    assert_eq!(dialer.fetch_json("https://c.example/x", MAX).await.unwrap().body, "{}");
    assert_eq!(dialer.refetch_json("https://c.example/x", MAX).await.unwrap().body, "{}");
    let heads = asked.lock().unwrap().clone();
    assert!(heads.starts_with("CONNECT c.example:443 HTTP/1.1\r\n"), "{heads}");
    assert!(heads.to_ascii_lowercase().contains("host: c.example:443\r\n"), "{heads}");
    assert_eq!(heads.matches("CONNECT ").count(), 2);
    assert!(server.requests.lock().unwrap().starts_with("GET /x HTTP/1.1\r\n"), "inside TLS that ends at the origin");

    let other = dialer.fetch_json("https://d.example/x", MAX).await;
    assert_eq!(other.unwrap_err(), FetchError::Tls, "the proxy cannot speak for another name");
    let private = dialer.fetch_json("https://10.0.0.1/x", MAX).await;
    assert_eq!(private.unwrap_err(), FetchError::Refused, "an address in the URL is checked without the proxy");
    assert_eq!(asked.lock().unwrap().matches("CONNECT ").count(), 3);
}

#[tokio::test]
async fn ci_19_what_the_proxy_refuses_is_not_fetched_past_it() {
    let server = serve(ok(JSON, "{}")).await;
    for (status, expected) in
        [(403, FetchError::Refused), (407, FetchError::Connect), (502, FetchError::Connect), (301, FetchError::Connect)]
    {
        let (url, _) = proxy(status, server.address).await;
        let dialer = dialer_of(&OutboundConfig { proxy: Some(url), ..server.opened() }, 10).unwrap();
        assert_eq!(dialer.fetch_json(&server.url(), MAX).await.unwrap_err(), expected, "{status}");
    }
    let refusing = Refusing::new();
    let url = Some(format!("http://{}", refusing.address()).parse().unwrap());
    let dialer = dialer_of(&OutboundConfig { proxy: url, ..server.opened() }, 10).unwrap();
    assert_eq!(dialer.fetch_json(&server.url(), MAX).await.unwrap_err(), FetchError::Connect, "no proxy, no fetch");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_apart() {
    let server = serve(ok(JSON, "{}")).await;
    let refusing = Refusing::new();
    let refused = server.dialer().fetch_json(&format!("https://{}/x", refusing.address()), MAX).await;
    assert_eq!(refused.unwrap_err(), FetchError::Connect);
    let unknown = server.dialer().fetch_json("https://no-such-name.invalid/x", MAX).await;
    assert_eq!(unknown.unwrap_err(), FetchError::Dns);
    let broken = serve(answer("SSH-2.0-x\r\n")).await;
    assert_eq!(broken.fetch().await.unwrap_err(), FetchError::Protocol);
    let headers = (0..65).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    assert_eq!(serve(ok(&(headers + JSON), "{}")).await.fetch().await.unwrap_err(), FetchError::Protocol);
}

#[test]
fn a_ca_file_that_cannot_be_used_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let open = |file: PathBuf| {
        dialer_of(&OutboundConfig { extra_ca_file: Some(file), ..OutboundConfig::default() }, 10).unwrap_err()
    };
    assert!(open(folder.path().join("none.pem")).contains("none.pem"));
    std::fs::write(&file, "no certificate").unwrap();
    assert!(open(file).contains("holds no certificate"));
}
