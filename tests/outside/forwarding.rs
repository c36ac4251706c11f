//! What the gateway sends to an upstream, and to which one (HD, HS, TL).

use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::login::password_file;
use crate::shared;
use crate::support::client::{Client, call};
use crate::support::gateway::Home;
use crate::support::password::PASSWORD;
use crate::support::upstream::Upstream;

fn token(home: &Home, upstream: &str) -> String {
    let issued = home.command(&["token", "issue", "--user", "admin", "--upstream", upstream]);
    issued["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn hd_13_an_upstream_is_asked_for_nothing_that_could_not_be_streamed() {
    let shared = shared::gateway().await;
    let mut asked = call("/mcp", &token(&shared.home, "files"), "hd-13");
    asked.headers_mut().insert("accept-encoding", "gzip, br".parse().expect("a value"));
    assert_eq!(Client::new(&shared.home).send(asked).await.status, 200);
    let seen = &shared.upstream.seen("hd-13")[0].headers;
    assert!(seen.get("accept-encoding").is_none_or(|value| value == "identity"), "{seen:?}");
}

#[tokio::test]
async fn hs_06_bare_line_feeds_are_refused_or_written_anew() {
    let shared = shared::gateway().await;
    let body = r#"{"jsonrpc":"2.0","id":"hs-06","method":"ping"}"#;
    let head = format!(
        "POST /mcp HTTP/1.1\nhost: localhost:{}\nauthorization: Bearer {}\ncontent-type: application/json\n\
         accept: application/json, text/event-stream\ncontent-length: {}\nconnection: close\n\n{body}",
        shared.home.public.port(),
        token(&shared.home, "files"),
        body.len()
    );
    let answer = Client::new(&shared.home).raw_exchange(head.as_bytes()).await;
    let seen = shared.upstream.seen("hs-06");
    match answer.get(9..12) {
        Some("400") => assert!(seen.is_empty()),
        // The upstream's own parser accepts CRLF and LF. That it saw one request proves that the gateway wrote the head
        // itself.
        Some("200") => assert_eq!((seen.len(), seen[0].body.as_str()), (1, body)),
        other => panic!("{other:?}: {answer}"),
    }
}

#[tokio::test]
async fn hs_16_a_name_that_would_break_a_header_is_no_name() {
    let shared = shared::gateway().await;
    let file = password_file(&shared.home, PASSWORD);
    for name in ["a\r\nx-mcpgate-subject: admin", "a\nb", "a\u{1}b"] {
        let output = std::process::Command::new(crate::support::gateway::binary())
            .args(["user", "add", name, "--password-file", &file, "--data"])
            .arg(shared.home.data())
            .output()
            .expect("mcpgate runs");
        assert!(!output.status.success(), "{name:?} was accepted");
    }
}

#[tokio::test]
async fn the_upstream_hears_a_new_login_name_soon_and_the_subject_stays() {
    let upstream = Upstream::start();
    let gateway = Home::new("", Some(upstream.url.clone())).start().await;
    let token = token(&gateway.home, "mcp");
    let told = async |marker: &str| {
        assert_eq!(Client::new(&gateway.home).call("/mcp", &token, marker).await.status, 200);
        let seen = upstream.seen(marker);
        let headers = &seen.last().expect("a request").headers;
        let [user, subject] = ["x-mcpgate-user", "x-mcpgate-subject"].map(|name| headers.get(name).cloned());
        (user.expect("a login name"), subject.expect("a subject"))
    };
    let (user, subject) = told("before").await;
    assert_eq!(user, "admin");
    gateway.home.command(&["user", "rename", "admin", "root+1@example.com"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (user, of) = told("after").await;
        assert_eq!(of, subject);
        if user == "root+1@example.com" {
            break;
        }
        assert!(Instant::now() < deadline, "{user:?}");
    }
}

#[tokio::test]
async fn tl_09_an_upstream_that_cannot_prove_its_name_is_told_nothing() {
    // A self-signed certificate with the right name.
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a private key"),
        )
        .expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let accepted = tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        // One connection for the probe, and one for the request.
        let mut accepted = false;
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.expect("a connection");
            accepted |= acceptor.accept(stream).await.is_ok();
        }
        accepted
    });
    let gateway = Home::new("", Some(format!("https://localhost:{port}/mcp"))).start().await;
    let reply = Client::new(&gateway.home).call("/mcp", &token(&gateway.home, "mcp"), "tl-09").await;
    assert_eq!(reply.status, 502, "{reply:?}");
    assert!(!reply.text().contains(&port.to_string()), "the answer shows an internal address: {}", reply.text());
    assert!(
        !accepted.await.expect("the upstream ran"),
        "the gateway completed the handshake with the wrong certificate"
    );
}
