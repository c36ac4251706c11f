//! The client address when a proxy or load balancer stands in front of the gateway (HD).

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::life::SERVER;
use crate::support::client::{Client, call};
use crate::support::gateway::{Gateway, Home};
use crate::support::http::{exchange, open};
use crate::support::upstream::Upstream;

#[tokio::test]
async fn behind_a_balancer_that_ends_tls_plain_http_is_served_under_the_public_name() {
    let listen = "[listen]\ntls = \"off\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let gateway = Home::new(listen, None).start().await;
    let exchange = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(gateway.home.public).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "not closed");
        String::from_utf8_lossy(&answer).into_owned()
    };
    let ask = |host: &str| format!("GET {SERVER} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let answer = exchange(ask(gateway.home.origin().trim_start_matches("https://")).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&gateway.home.origin()), "{answer}");
    assert!(exchange(ask("evil.example").as_bytes()).await.starts_with("HTTP/1.1 421 "));
    // H2-10: HTTP/2 by prior knowledge.
    let answer = exchange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(!answer.contains(" 200 "), "{answer}");
}

#[tokio::test]
async fn hd_07_forwarded_for_counts_from_trusted_proxies_alone() {
    let upstream = Upstream::start();
    for (trusted, wanted) in
        [("", "127.0.0.1"), ("[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n", "1.1.1.1, 127.0.0.1")]
    {
        let gateway = Home::new(trusted, Some(upstream.url.clone())).start().await;
        let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
        let marker = format!("hd-07 {}", trusted.len());
        let mut asked = call("/mcp", issued["access_token"].as_str().unwrap(), &marker);
        asked.headers_mut().append("x-forwarded-for", "6.6.6.6, nonsense".parse().unwrap());
        asked.headers_mut().append("x-forwarded-for", "1.1.1.1".parse().unwrap());
        assert_eq!(Client::new(&gateway.home).send(asked).await.status, 200);
        let seen = upstream.seen(&marker);
        assert_eq!(seen[0].headers.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), [wanted]);
    }
}

#[tokio::test]
async fn hd_08_the_proxy_header_is_believed_of_its_proxy_and_of_nobody_else() {
    let upstream = Upstream::start();
    let ask = async |gateway: &Gateway, header: &[u8], marker: &str| -> std::io::Result<u16> {
        let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
        let mut tcp = TcpStream::connect(gateway.home.public).await?;
        tcp.write_all(header).await?;
        let tls = TlsConnector::from(Client::new(&gateway.home).config());
        let stream = tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await?;
        let mut connection = open(stream).await.map_err(std::io::Error::other)?;
        let mut asked = call("/mcp", issued["access_token"].as_str().unwrap(), marker);
        let host = format!("localhost:{}", gateway.home.public.port());
        asked.headers_mut().insert("host", host.parse().unwrap());
        asked.headers_mut().insert("x-forwarded-for", "6.6.6.6".parse().unwrap());
        Ok(exchange(&mut connection, asked).await.map_err(std::io::Error::other)?.status)
    };
    let v1 = b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 443\r\n";
    let mut local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00".to_vec();
    local.extend([0, 0]);
    let mut long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    long.extend(4096_u16.to_be_bytes());
    long.resize(16 + 4096, 0);

    let listen = "[listen]\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let gateway = Home::new(listen, Some(upstream.url.clone())).start().await;
    for (marker, header, client) in [("hd-08-a", v1.to_vec(), "192.0.2.7"), ("hd-08-b", local, "127.0.0.1")] {
        assert_eq!(ask(&gateway, &header, marker).await.unwrap(), 200);
        assert_eq!(upstream.seen(marker)[0].headers["x-forwarded-for"], client);
    }
    for header in [&b""[..], &long, b"PROXY TCP4 192.0.2.7 127"] {
        assert!(ask(&gateway, header, "hd-08-c").await.is_err());
    }

    let listen = "[listen]\nproxy_protocol = true\ntrusted_proxies = [\"192.0.2.0/24\"]\n";
    let gateway = Home::new(listen, Some(upstream.url.clone())).start().await;
    assert!(ask(&gateway, v1, "hd-08-d").await.is_err(), "an unlisted peer");
    assert!(upstream.seen("hd-08-c").is_empty() && upstream.seen("hd-08-d").is_empty());
}
