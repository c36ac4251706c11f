//! The connection table: strangers from many sites who open silent connections neither keep out anyone who sends
//! requests, nor displace a connection on which a valid token was presented.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;

use super::{FLOOD, Flood, PROMPT};
use crate::shared::CALLBACK;
use crate::support::application::Application;
use crate::support::client::{Client, ask_operator};
use crate::support::gateway::Home;
use crate::support::upstream::Upstream;

/// The limit of connections; the strangers try to hold several times as many.
const CONNECTIONS: usize = 300;
const SITES: u8 = 20;
const HOSTS: u8 = 2;
const EACH: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_from_many_sites_keep_nobody_out() {
    let config = format!("[limits]\nconnections = {CONNECTIONS}\nconnections_per_address = 40\n");
    let gateway = Arc::new(Home::new(&config, Some(Upstream::start().url)).start().await);
    let application = Application::register(&gateway.home, CALLBACK).await;
    let token = application.tokens(&gateway.home).await.access;
    let mut known = Client::from(&gateway.home, Ipv4Addr::new(127, 0, 200, 1));
    assert_eq!(known.call("/mcp", &token, "1").await.status, 200);

    let mut flood = Flood::new();
    for (site, host) in (0..SITES).flat_map(|site| (1..=HOSTS).map(move |host| (site, host))) {
        let gateway = Arc::clone(&gateway);
        flood.join(async move |over| {
            let client = Client::from(&gateway.home, Ipv4Addr::new(127, 0, site, host));
            let (mut opened, mut held) = (0_usize, std::collections::VecDeque::new());
            while !over.has_come() {
                // Replaces connections that the gateway closed; above `EACH` the stranger closes its oldest one itself.
                if let Ok(stream) = client.raw().await {
                    held.push_back(stream);
                    opened += 1;
                }
                if held.len() > EACH {
                    held.pop_front();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let mut alive = 0_usize;
            for mut stream in held {
                let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 64])).await;
                alive += usize::from(read.is_err());
            }
            (opened, alive)
        });
    }

    let began = Instant::now();
    let (mut slowest, mut visits) = (Duration::ZERO, 0_u8);
    while began.elapsed() < FLOOD {
        let asked = Instant::now();
        let mut newcomer = Client::from(&gateway.home, Ipv4Addr::new(127, 0, 201, visits + 1));
        let reply = newcomer.get("/.well-known/oauth-authorization-server").await;
        assert_eq!(reply.status, 200, "after {:?}: {reply:?}", began.elapsed());
        slowest = slowest.max(asked.elapsed());
        visits += 1;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert!(known.is_alive().await, "the connection of a known user was closed");
    assert_eq!(known.call("/mcp", &token, "2").await.status, 200);
    let metrics = ask_operator(gateway.home.operator, "/metrics", &[]).await.expect("metrics").text();
    let all = flood.end().await.into_iter();
    let (opened, alive) = all.fold((0, 0), |(opened, alive), one| (opened + one.0, alive + one.1));
    println!("{opened} connections opened, {alive} kept; {visits} visits, {slowest:?} at most");
    assert!(opened > 2 * CONNECTIONS, "{opened} connections are too few for a flood\n{metrics}");
    assert!(alive <= CONNECTIONS, "{alive} connections are held");
    assert!(slowest < PROMPT, "a user waited {slowest:?}");
}
