//! The connection table: strangers from many sites who open connections and say nothing keep out nobody who asks, and cost
//! nobody a connection on which a good token was shown.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;

use crate::shared::CALLBACK;
use crate::support::application::Application;
use crate::support::client::{Client, ask_operator};
use crate::support::gateway::Home;
use crate::support::upstream::Upstream;

/// Connections in all; the strangers hold on to several times as many.
const CONNECTIONS: usize = 300;
const SITES: u8 = 20;
const HOSTS: u8 = 2;
const EACH: usize = 25;
const FLOOD: Duration = Duration::from_secs(10);

/// How long somebody waits at most, on a machine that is busy with other tests.
const PROMPT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ds_05_silent_connections_from_many_sites_keep_nobody_out() {
    let config = format!("[limits]\nconnections = {CONNECTIONS}\nconnections_per_address = 40\n");
    let gateway = Arc::new(Home::new(&config, Some(Upstream::start().url)).start().await);
    let application = Application::register(&gateway.home, CALLBACK).await;
    let token = application.tokens(&gateway.home).await.access;
    let mut known = Client::from(&gateway.home, Ipv4Addr::new(127, 0, 200, 1));
    assert_eq!(known.call("/mcp", &token, "1").await.status, 200);

    let (over, opened) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicU32>::default());
    let mut strangers = Vec::new();
    for (site, host) in (0..SITES).flat_map(|site| (1..=HOSTS).map(move |host| (site, host))) {
        let (gateway, over, opened) = (Arc::clone(&gateway), Arc::clone(&over), Arc::clone(&opened));
        strangers.push(tokio::spawn(async move {
            let client = Client::from(&gateway.home, Ipv4Addr::new(127, 0, site, host));
            let mut held = std::collections::VecDeque::new();
            while !over.load(Relaxed) {
                // Whatever was closed is opened again; the oldest is given up by itself at last.
                if let Ok(stream) = client.raw().await {
                    held.push_back(stream);
                    opened.fetch_add(1, Relaxed);
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
            alive
        }));
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
    assert!(known.is_alive().await, "the connection of somebody known was taken");
    assert_eq!(known.call("/mcp", &token, "2").await.status, 200);
    let metrics = ask_operator(gateway.home.operator, "/metrics").await.expect("metrics").text();
    over.store(true, Relaxed);
    let mut alive = 0;
    for stranger in strangers {
        alive += stranger.await.expect("a stranger's connections");
    }
    let opened = opened.load(Relaxed);
    println!("{opened} connections opened, {alive} kept; {visits} visits, {slowest:?} at most");
    assert!(opened > 2 * u32::try_from(CONNECTIONS).expect("few"), "{opened} connections are no flood\n{metrics}");
    assert!(alive <= CONNECTIONS, "{alive} connections are held");
    assert!(slowest < PROMPT, "somebody waited {slowest:?}");
}
