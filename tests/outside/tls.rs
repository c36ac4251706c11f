//! TL: the TLS handshake, at the level of records.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, ClientConnection, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::shared;
use crate::support::client::{Client, authorities};
use crate::support::gateway::Home;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const UNRECOGNIZED_NAME: u8 = 112;

/// Sends bytes and returns everything that arrives until the connection is closed.
async fn exchange(home: &Home, chunks: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut stream = TcpStream::connect(home.public).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for chunk in chunks {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "not closed");
    answer
}

/// The ClientHello that rustls would send to `name`.
fn hello(home: &Home, name: ServerName<'static>, change: impl FnOnce(&mut ClientConfig)) -> Vec<u8> {
    let mut config = ClientConfig::clone(&Client::new(home).config());
    change(&mut config);
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

/// A ClientHello with this version and these cipher suites, without any extension for newer versions.
fn old_hello(version: [u8; 2], suites: &[[u8; 2]]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(u16::try_from(suites.len() * 2).unwrap().to_be_bytes());
    body.extend(suites.concat());
    body.extend([1, 0]);
    let mut message = vec![1];
    message.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    message.extend(body);
    let mut record = vec![HANDSHAKE, 3, 1];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}

#[tokio::test]
async fn tl_01_old_versions_and_weak_suites_get_an_alert() {
    let shared = shared::gateway().await;
    let modern = [[0xc0, 0x2b], [0xc0, 0x2f], [0x13, 0x01]];
    for (name, hello) in [
        ("SSL 3.0", old_hello([3, 0], &modern)),
        ("TLS 1.0", old_hello([3, 1], &modern)),
        ("TLS 1.1", old_hello([3, 2], &modern)),
        ("CBC", old_hello([3, 3], &[[0xc0, 0x13], [0xc0, 0x09]])),
        ("RC4", old_hello([3, 3], &[[0x00, 0x05]])),
        ("static RSA", old_hello([3, 3], &[[0x00, 0x9c], [0x00, 0x2f]])),
    ] {
        let answer = exchange(&shared.home, [hello]).await;
        assert_eq!(answer.first(), Some(&ALERT), "{name}: {answer:?}");
        assert_eq!(answer.len(), 7, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn tl_03_odd_hellos() {
    let shared = shared::gateway().await;
    let home = &shared.home;
    let ours = || ServerName::try_from("localhost").unwrap();
    // Byte by byte: a valid ClientHello gets a handshake, however it is split.
    let whole = hello(home, ours(), |_| {});
    let mut stream = TcpStream::connect(home.public).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in &whole {
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(stream.read_u8().await.unwrap(), HANDSHAKE);
    // In records of one byte each.
    let tiny: Vec<u8> = whole[5..].iter().flat_map(|byte| [HANDSHAKE, 3, 1, 0, 1, *byte]).collect();
    let mut stream = TcpStream::connect(home.public).await.unwrap();
    stream.write_all(&tiny).await.unwrap();
    let first = stream.read_u8().await;
    assert!(matches!(first, Ok(HANDSHAKE | ALERT) | Err(_)), "{first:?}");
    // 64 KB that never form a complete ClientHello.
    let mut endless = vec![vec![HANDSHAKE, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff]];
    endless.push(vec![0; (16 << 10) - 4]);
    endless.extend((0..3).map(|_| [vec![HANDSHAKE, 3, 1, 0x40, 0], vec![0; 16 << 10]].concat()));
    exchange(home, endless).await;
    // A name that the gateway does not serve.
    let answer = exchange(home, [hello(home, ServerName::try_from("evil.example").unwrap(), |_| {})]).await;
    assert_eq!(answer, [ALERT, 3, 3, 0, 2, 2, UNRECOGNIZED_NAME]);
    // No server name; rustls sends none for an address either.
    for name in [ours(), ServerName::try_from("127.0.0.1").unwrap()] {
        let mut stream = TcpStream::connect(home.public).await.unwrap();
        stream.write_all(&hello(home, name, |config| config.enable_sni = false)).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), HANDSHAKE);
    }
    // Unassigned values (RFC 8701), and an address as the server name, which RFC 6066 3 does not allow.
    let nameless = || hello(home, ours(), |config| config.enable_sni = false);
    let address = b"127.0.0.1";
    let address = [&[0, 12, 0, 0, 9][..], address].concat();
    for (name, bytes) in [
        ("GREASE", with_extension(&with_extension(&whole, [0x0a, 0x0a], &[]), [0xfa, 0xfa], &[0])),
        ("an address for a name", with_extension(&nameless(), [0, 0], &address)),
    ] {
        let mut stream = TcpStream::connect(home.public).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), HANDSHAKE, "{name}");
    }
    assert!(Client::new(home).is_alive().await);
}

/// A ClientHello in one record, with one more extension.
fn with_extension(hello: &[u8], kind: [u8; 2], content: &[u8]) -> Vec<u8> {
    let mut bytes = hello.to_vec();
    // Record and handshake heads, version, random; then session id, suites and compressions, each with its length.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(bytes[at]);
    at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    at += 1 + usize::from(bytes[at]);
    let added = [&kind[..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat();
    for length in [3, 7, at] {
        let longer = usize::from(u16::from_be_bytes([bytes[length], bytes[length + 1]])) + added.len();
        bytes[length..length + 2].copy_from_slice(&u16::try_from(longer).unwrap().to_be_bytes());
    }
    bytes.splice(at + 2..at + 2, added);
    bytes
}

/// Connects with these versions and cipher suites, in this order; returns the suite that the gateway chose.
async fn chosen(
    home: &Home,
    versions: &[&'static SupportedProtocolVersion],
    named: &[CipherSuite],
) -> Option<CipherSuite> {
    let all = rustls::crypto::ring::ALL_CIPHER_SUITES;
    let provider = CryptoProvider {
        cipher_suites: named.iter().map(|name| *all.iter().find(|suite| suite.suite() == *name).unwrap()).collect(),
        ..rustls::crypto::ring::default_provider()
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions).unwrap();
    let config = config.with_root_certificates(authorities(home)).with_no_client_auth();
    let tcp = TcpStream::connect(home.public).await.unwrap();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.ok()?;
    stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite())
}

const MODERN: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];
const OLD: [CipherSuite; 3] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];

#[tokio::test]
async fn our_order_decides_on_the_cipher_unless_the_client_prefers_chacha20() {
    let shared = shared::gateway().await;
    let strict = Home::new("[tls]\nminimum_key_bits = 256\n", None).start().await;
    for (version, [aes_128, aes_256, chacha20]) in [(&TLS13, MODERN), (&TLS12, OLD)] {
        for (named, by_default, with_256) in [
            (&[aes_256, chacha20, aes_128][..], Some(aes_128), Some(aes_256)),
            (&[aes_128, aes_256, chacha20], Some(aes_128), Some(aes_256)),
            (&[aes_256, chacha20], Some(aes_256), Some(aes_256)),
            (&[chacha20, aes_256, aes_128], Some(chacha20), Some(chacha20)),
            (&[chacha20], Some(chacha20), Some(chacha20)),
            (&[aes_128, chacha20], Some(aes_128), Some(chacha20)),
            (&[aes_128], Some(aes_128), None),
        ] {
            assert_eq!(chosen(&shared.home, &[version], named).await, by_default, "{named:?}");
            assert_eq!(chosen(&strict.home, &[version], named).await, with_256, "{named:?} with 256 bits");
        }
    }
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let shared = shared::gateway().await;
    let answer = exchange(&shared.home, [b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()]).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("https://"), "{text}");
}

#[tokio::test]
async fn md_12_a_host_that_the_certificate_was_not_shown_for_is_misdirected() {
    let home = Home::new("", None);
    let config = std::fs::read_to_string(home.config()).unwrap();
    std::fs::write(home.config(), format!("extra_hosts = [\"gw.example\"]\n{config}")).unwrap();
    let gateway = home.start().await;
    let ask = |host: &str| format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let port = gateway.home.public.port();
    let answer = Client::new(&gateway.home).raw_exchange(ask("gw.example").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    // RFC 6066 3: an address is not a server name, so an address in Host does not contradict the server name.
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let answer = Client::new(&gateway.home).raw_exchange(ask(&format!("{host}:{port}")).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let answer = Client::new(&gateway.home).raw_exchange(ask(&format!("192.0.2.1:{port}")).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "an address that the gateway does not serve: {answer}");
}
