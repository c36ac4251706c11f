//! Registrations: the cost of one among thousands, and the capacity that a flood leaves for others.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mcpgate::endpoints::ROUTES;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::shared::CALLBACK;
use crate::support::application::{Application, Tokens, random};
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::Browser;

/// Registrations in one measurement.
const MEASURED: usize = 300;
/// Clients in the store during the last measurement.
const CLIENTS: usize = 6000;
const AT_ONCE: usize = 8;

async fn register(client: &mut Client, name: &str) -> Reply {
    let body = serde_json::json!({
        "client_name": name, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none",
    });
    client.post_json("/register", &body).await
}

/// Registers this many clients with different names.
async fn fill(gateway: &Gateway, count: usize) {
    let each = async |count: usize| {
        let mut client = Client::new(&gateway.home);
        for _ in 0..count {
            let reply = register(&mut client, &random()).await;
            assert_eq!(reply.status, 201, "{reply:?}");
        }
    };
    futures_util::future::join_all((0..AT_ONCE).map(|_| each(count.div_ceil(AT_ONCE)))).await;
}

/// The CPU time that the process takes for `MEASURED` registrations.
async fn cost(gateway: &Gateway) -> Duration {
    let before = gateway.cpu_time();
    fill(gateway, MEASURED).await;
    gateway.cpu_time().saturating_sub(before)
}

#[tokio::test]
async fn a_registration_costs_as_much_beside_thousands_of_clients_as_alone() {
    let gateway = Gateway::start().await;
    fill(&gateway, 100).await;
    let alone = cost(&gateway).await;
    fill(&gateway, CLIENTS).await;
    let beside = cost(&gateway).await;
    println!("{MEASURED} registrations: {alone:?} of CPU, with {CLIENTS} clients {beside:?}");
    assert!(beside < alone * 2 + Duration::from_millis(100), "{alone:?} grew to {beside:?}");
}

/// A gateway where one address may register twenty clients an hour, begin one sign-in a second, and send five times
/// this many requests a second.
async fn strict(token_per_second: u32) -> Gateway {
    let home = Home::new("", None);
    let text = std::fs::read_to_string(home.config()).expect("the configuration");
    let strict = text
        .replace("registrations_per_hour = 100000", "registrations_per_hour = 20")
        .replace("authorize_per_second = 100000", "authorize_per_second = 1")
        .replace("token_per_second = 100000", &format!("token_per_second = {token_per_second}"));
    std::fs::write(home.config(), strict).expect("the configuration");
    home.start().await
}

/// Returns how many clients these addresses may register in total, if each tries `count` new ones.
async fn heard(gateway: &Gateway, from: impl IntoIterator<Item = [u8; 4]>, count: usize) -> u64 {
    let mut heard = 0;
    for address in from {
        let mut client = Client::from(&gateway.home, address.into());
        for _ in 0..count {
            match register(&mut client, &random()).await.status {
                201 => heard += 1,
                429 => {}
                status => panic!("{status}"),
            }
        }
    }
    heard
}

#[tokio::test]
async fn rg_02_a_flood_of_registrations_leaves_others_their_share() {
    let gateway = strict(50).await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    // A user gets a token at this site.
    let known = Ipv4Addr::new(127, 0, 77, 7);
    let code = application.authorize(&mut Browser::new(&gateway.home)).await;
    Tokens::from(&application.redeem(&mut Client::from(&gateway.home, known), &code).await);

    let started = Instant::now();
    // A budget refills evenly, which shows on a slow machine.
    let is_spent = |heard: u64, hourly: u64| {
        let refilled = started.elapsed().as_secs() * hourly / 3600 + 1;
        (hourly..=hourly + refilled).contains(&heard)
    };
    let mut malformed = Client::from(&gateway.home, [127, 0, 1, 1].into());
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(malformed.post_json("/register", &serde_json::json!({"redirect_uris": 1})).await.status);
    }
    let refused = statuses.iter().filter(|status| **status == 400).map(|_| 1).sum();
    assert!(is_spent(refused, 20), "{statuses:?}");
    let mut all = heard(&gateway, [[127, 0, 1, 1]], 30).await;
    assert!(is_spent(all, 20), "{all} registrations of an address, malformed ones aside");
    all += heard(&gateway, (2..12).map(|host| [127, 0, 1, host]), 30).await;
    assert!(is_spent(all, 80), "{all} registrations of a site; its limit is four times as large");
    all += heard(&gateway, (2..12).map(|site| [127, 0, site, 1]), 30).await;
    all += heard(&gateway, [[127, 0, 99, 1]], 1).await;
    assert!(is_spent(all, 200), "{all} registrations of all strangers; their limit is ten times as large");
    assert_eq!(heard(&gateway, [[127, 0, 77, 8]], 5).await, 5, "a site where a user got a token can register");

    // A client that is already registered does not count, wherever the request comes from.
    let mut ids = HashSet::new();
    for host in 1..50 {
        let mut client = Client::from(&gateway.home, [127, 0, 200, host].into());
        let reply = register(&mut client, "first").await;
        let known = register(&mut Client::new(&gateway.home), "first").await;
        let again = register(&mut client, "first").await;
        // The first is refused, unless a place has come back meanwhile.
        assert!(reply.status == 201 || (host == 1 && reply.status == 429), "{reply:?}");
        assert_eq!((known.status, again.status), (201, 201));
        ids.insert(again.member("client_id"));
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn the_budget_of_an_address_is_asked_before_a_body_is_read() {
    // The limits: a burst of ten requests of a client, then five per second; eighteen forms, then six per second.
    const AT_ONCE: usize = 40;
    const REFUSED: usize = 5;
    let gateway = strict(1).await;
    let all: Vec<_> = ROUTES.iter().filter(|route| route.methods.contains("POST")).map(|route| route.path).collect();
    assert_eq!(all.len(), 14, "/token, /revoke, /introspect, /register, /authorize, and the forms of our pages");
    for (site, path) in (30..).zip(all) {
        let from = Client::from(&gateway.home, [127, 0, site, 1].into());
        let streams = futures_util::future::join_all((0..AT_ONCE).map(|_| from.raw())).await;
        let media = if path == "/register" { "application/json" } else { "application/x-www-form-urlencoded" };
        let port = gateway.home.public.port();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost:{port}\r\ncontent-type: {media}\r\ncontent-length: 1000\r\n\r\n"
        );
        let ask = async |mut stream: TlsStream<TcpStream>| {
            stream.write_all(head.as_bytes()).await.expect("a head");
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.expect("an answer");
            status
        };
        let answers: FuturesUnordered<_> =
            streams.into_iter().map(|stream| ask(stream.expect("a connection"))).collect();
        // A body has five seconds before the gateway enforces its minimum rate.
        let refused = tokio::time::timeout(Duration::from_secs(4), answers.take(REFUSED).collect::<Vec<_>>()).await;
        let refused = refused.unwrap_or_else(|_| panic!("{path}: too few were told to wait before their bodies came"));
        assert!(refused.iter().all(|status| status == b"HTTP/1.1 429"), "{path}");
    }
}
