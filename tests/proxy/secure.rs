//! Upstreams behind TLS: HTTP/1.1, and HTTP/2 if ALPN selects it; and a certificate that is not trusted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcpgate::config::MinimumKeyBits;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::client::RawRequest;
use super::hello;
use super::upstream::soon;
use super::world::{MCP, PING, World};

struct Secure {
    address: SocketAddr,
    ca: PathBuf,
    connections: watch::Receiver<usize>,
    cancelled: watch::Receiver<usize>,
    arrived: watch::Receiver<usize>,
    _folder: tempfile::TempDir,
}

/// Reports when an exchange is dropped before it was answered.
struct Guard(watch::Sender<usize>, bool);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n += usize::from(!self.1));
    }
}

async fn answer(
    request: Request<Incoming>,
    cancelled: watch::Sender<usize>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let mut guard = Guard(cancelled, false);
    if head.uri.query() == Some("slow") {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let body = body.collect().await?.to_bytes();
    guard.1 = true;
    if head.uri.query() == Some("large") {
        return Ok(Response::new(Full::from(vec![b'x'; 24 << 20])));
    }
    let (host, version) = (head.headers.get("host").map(|h| h.to_str().unwrap_or_default()), head.version);
    let authority = head.uri.authority().map(ToString::to_string);
    let seen = json!({"version": format!("{version:?}"), "host": host, "authority": authority, "path": head.uri.path(),
        "subject": head.headers["x-mcpgate-subject"].to_str().unwrap_or_default(), "length": body.len()});
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::from(seen.to_string())).unwrap())
}

/// Starts an upstream behind TLS that offers these protocols.
async fn start(protocols: &[&[u8]]) -> Secure {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    start_with(protocols, &made.cert, &made.signing_key, &made.cert.pem()).await
}

/// TLS with a certificate for localhost, and the file that makes it trusted.
pub(crate) fn tls_for_localhost(protocols: &[&[u8]]) -> (TlsAcceptor, PathBuf, tempfile::TempDir) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    tls(protocols, &made.cert, &made.signing_key, &made.cert.pem())
}

fn tls(
    protocols: &[&[u8]],
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    trusted: &str,
) -> (TlsAcceptor, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, trusted).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate.der().to_vec())], key)
        .unwrap();
    tls.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(tls)), ca, folder)
}

/// Starts an upstream with this certificate, and writes the file of trusted authorities.
async fn start_with(protocols: &[&[u8]], certificate: &rcgen::Certificate, key: &KeyPair, trusted: &str) -> Secure {
    let (acceptor, ca, folder) = tls(protocols, certificate, key, trusted);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (opened, connections) = watch::channel(0);
    let (cancels, cancelled) = watch::channel(0);
    let (arrive, arrived) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            opened.send_modify(|n| *n += 1);
            let (cancels, arrive) = (cancels.clone(), arrive.clone());
            let service = service_fn(move |request| {
                arrive.send_modify(|n| *n += 1);
                answer(request, cancels.clone())
            });
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let io = TokioIo::new(stream);
                let mut speaking = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(speaking.max_concurrent_streams(100).serve_connection(io, service));
            } else {
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        }
    });
    Secure { address, ca, connections, cancelled, arrived, _folder: folder }
}

async fn world_of(secure: &Secure, with_ca: bool) -> World {
    world_at("localhost", secure, with_ca).await
}

async fn world_at(host: &str, secure: &Secure, with_ca: bool) -> World {
    let url = format!("https://{host}:{}/tls", secure.address.port());
    World::with(|config| {
        for upstream in &mut config.upstreams {
            upstream.url = url.parse().unwrap();
            upstream.ca_file = with_ca.then(|| secure.ca.clone());
        }
    })
    .await
}

#[tokio::test]
async fn https_is_spoken_in_the_version_that_alpn_chooses() {
    for (protocols, version) in [
        (&[b"http/1.1".as_slice()][..], Version::HTTP_11),
        (&[], Version::HTTP_11),
        (&[b"h2".as_slice(), b"http/1.1"], Version::HTTP_2),
    ] {
        let secure = start(protocols).await;
        let world = world_of(&secure, true).await;
        let token = world.token(MCP).text;
        for _ in 0..5 {
            let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let (seen, here) = (reply.json(), format!("localhost:{}", secure.address.port()));
            assert_eq!(seen["version"], format!("{version:?}"));
            assert_eq!(seen[if version == Version::HTTP_2 { "authority" } else { "host" }], here);
            assert_eq!((&seen["path"], &seen["length"]), (&json!("/tls"), &json!(PING.len())));
            assert_eq!(seen["subject"], "ada-lovelace-0001");
        }
        assert_eq!(*secure.connections.borrow(), 1, "one connection serves all");
        // The request has another name in Host; the certificate is still that of the URL's host.
        world.reload(|config| {
            config.upstreams.iter_mut().for_each(|upstream| upstream.host = Some("internal.example:8443".to_owned()));
        });
        let reply = world.ask(&RawRequest::post(PING).bearer(&token)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let names =
            if version == Version::HTTP_2 { ("internal.example:8443", "") } else { ("", "internal.example:8443") };
        let seen = reply.json();
        let text = |key: &str| seen[key].as_str().unwrap_or_default().to_owned();
        assert_eq!((text("authority"), text("host")), (names.0.to_owned(), names.1.to_owned()));
    }
}

#[tokio::test]
async fn many_requests_share_one_http_2_connection_and_each_can_be_cancelled() {
    let mut secure = start(&[b"h2"]).await;
    let world = world_of(&secure, true).await;
    let token = world.token(MCP).text;
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 200);
    let ask = RawRequest::post(PING).bearer(&token);
    let replies = futures_util::future::join_all((0..50).map(|_| world.ask(&ask))).await;
    assert!(replies.iter().all(|r| r.status == 200));
    let mut client = world.connect().await;
    let slow = RawRequest::new("POST", "/mcp?slow").field("Content-Type", "application/json").body(PING).bearer(&token);
    client.send(&slow.bytes()).await;
    assert!(tokio::time::timeout(Duration::from_millis(200), client.head()).await.is_err());
    drop(client);
    soon(secure.cancelled.wait_for(|n| *n == 1)).await.unwrap();
    assert_eq!(world.ask(&ask).await.status, 200);
    assert_eq!(*secure.connections.borrow(), 1);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let secure = start(&[b"http/1.1"]).await;
    let world = world_of(&secure, false).await;
    let reply = world.ask(&RawRequest::post(PING).bearer(&world.token(MCP).text)).await;
    reply.assert_rpc(502, -32603, json!(7));
}

fn ask_for(what: &str, token: &str) -> RawRequest {
    RawRequest::new("POST", &format!("/mcp?{what}")).field("Content-Type", "application/json").body(PING).bearer(token)
}

#[tokio::test]
async fn more_requests_than_one_connection_takes_get_another_that_goes_when_it_is_not_needed() {
    let mut secure = start(&[b"h2"]).await;
    let world = world_of(&secure, true).await;
    let token = world.token(MCP).text;
    let ask = RawRequest::post(PING).bearer(&token);
    assert_eq!(world.ask(&ask).await.status, 200);
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut client = world.connect().await;
        client.send(&ask_for("slow", &token).bytes()).await;
        waiting.push(client);
    }
    soon(secure.arrived.wait_for(|n| *n == 101)).await.unwrap();
    assert_eq!(world.ask(&ask).await.status, 200);
    assert_eq!(*secure.connections.borrow(), 2);
    world.metric("mcpgate_upstream_connections{upstream=\"main\",state=\"in_use\"} 2").await;
    drop(waiting);
    soon(secure.cancelled.wait_for(|n| *n == 100)).await.unwrap();
    assert_eq!(world.ask(&ask).await.status, 200);
    world.metric("mcpgate_upstream_connections{upstream=\"main\",state=\"in_use\"} 1").await;
}

#[tokio::test]
async fn ss_01_answers_that_nobody_reads_leave_the_others_their_share_of_a_connection() {
    let secure = start(&[b"h2"]).await;
    let world = world_of(&secure, true).await;
    let token = world.token(MCP).text;
    let ask = RawRequest::post(PING).bearer(&token);
    assert_eq!(world.ask(&ask).await.status, 200);
    let mut parked = Vec::new();
    for _ in 0..4 {
        let mut client = world.connect().await;
        client.send(&ask_for("large", &token).bytes()).await;
        client.head().await;
        parked.push(client);
    }
    // This fills the buffers of the kernel and the connection.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.ask(&ask).await.status, 200);
    assert_eq!(*secure.connections.borrow(), 1);
}

#[tokio::test]
async fn tl_09_a_certificate_of_another_name_or_time_is_refused_before_anything_is_sent() {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let trusted = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, &ca_key);
    let (past, future) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(4000, 1, 1));
    for (asked, named, until, good) in [
        ("localhost", "localhost", future, true),
        ("127.0.0.1", "127.0.0.1", future, true),
        ("localhost", "localhost.example", future, false),
        ("localhost", "127.0.0.1", future, false),
        ("127.0.0.1", "127.0.0.2", future, false),
        ("127.0.0.1", "localhost", future, false),
        ("localhost", "localhost", past, false),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![named.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2019, 1, 1), until);
        let secure = start_with(&[b"http/1.1"], &params.signed_by(&key, &issuer).unwrap(), &key, &trusted).await;
        let world = world_at(asked, &secure, true).await;
        let reply = world.ask(&RawRequest::post(PING).bearer(&world.token(MCP).text)).await;
        assert_eq!(reply.status, if good { 200 } else { 502 }, "{asked} with a certificate of {named}: {reply:?}");
        assert_eq!(*secure.connections.borrow(), usize::from(good), "no handshake ends, so nothing is sent");
    }
}

#[tokio::test]
async fn an_upstream_is_offered_aes_128_first_or_with_256_bits_not_at_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/tls", listener.local_addr().unwrap().port());
    let world =
        World::with(|config| config.upstreams.iter_mut().for_each(|upstream| upstream.url = url.parse().unwrap()))
            .await;
    let ask = RawRequest::post(PING).bearer(&world.token(MCP).text);
    for minimum in [MinimumKeyBits::Bits128, MinimumKeyBits::Bits256] {
        world.reload(|config| config.minimum_key_bits = minimum);
        let (named, reply) = tokio::join!(hello::suites_named(&listener), world.ask(&ask));
        assert!(hello::are_in_our_order(&named, minimum == MinimumKeyBits::Bits128), "{minimum:?}: {named:?}");
        assert_eq!(reply.status, 502);
    }
}
