//! API keys against a running gateway, behind a proxy that it trusts.

use std::time::{Duration, Instant};

use crate::life::until_said;
use crate::support::client::{Client, call};
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

/// The status of a call with a key by a client at an address, as the proxy reports it.
async fn status(gateway: &Gateway, key: &serde_json::Value, address: &'static str) -> u16 {
    let mut asked = call("/mcp", key["key"].as_str().unwrap_or_default(), "key");
    asked.headers_mut().append("x-forwarded-for", http::HeaderValue::from_static(address));
    Client::new(&gateway.home).send(asked).await.status
}

async fn until_refused(gateway: &Gateway, key: &serde_json::Value) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while status(gateway, key, "198.51.100.7").await != 401 {
        assert!(Instant::now() < deadline, "still accepted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn ak_01_ak_02_a_key_works_from_where_it_may_until_it_ends_also_over_a_restart() {
    let upstream = Upstream::start();
    let behind = "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let gateway = Home::new(behind, Some(upstream.url.clone())).start().await;
    let create = ["key", "create", "--user", "admin", "--name", "nightly"];
    let bound = gateway.home.command(&[&create[..], &["--address", "198.51.100.0/24"]].concat());
    let free = gateway.home.command(&create);
    let gateway = gateway.kill().start().await;
    assert_eq!(status(&gateway, &bound, "198.51.100.7").await, 200);
    assert_eq!(status(&gateway, &bound, "198.51.101.7").await, 401);
    // The proxy appends the address that it saw, whatever the client has sent.
    assert_eq!(status(&gateway, &bound, "198.51.100.7, 203.0.113.5").await, 401);
    assert_eq!(status(&gateway, &free, "203.0.113.5").await, 200);
    until_said(&gateway.home, "wrong_address").await;

    let renewed = gateway.home.command(&["key", "rotate", free["id"].as_str().unwrap()]);
    until_refused(&gateway, &free).await;
    assert_eq!(status(&gateway, &renewed, "198.51.100.7").await, 200);
    // Through the server's socket, so at once.
    gateway.home.command(&["key", "revoke", bound["id"].as_str().unwrap()]);
    assert_eq!(status(&gateway, &bound, "198.51.100.7").await, 401);
    gateway.home.command(&["user", "disable", "admin"]);
    assert_eq!(status(&gateway, &renewed, "198.51.100.7").await, 401);
}
