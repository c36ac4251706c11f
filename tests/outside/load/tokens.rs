//! Floods of tokens that are known to be revoked or expired: a valid token that is not yet in memory is still served at
//! once.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{FLOOD, Flood, PROMPT};
use crate::clock::WallClock;
use crate::shared::CALLBACK;
use crate::support::application::{Application, Tokens};
use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

/// The number of revoked tokens, and of expired ones.
const BAD: usize = 100;
/// Sites that present them, and connections from each.
const SITES: u8 = 8;
const AT_ONCE: u8 = 4;
/// The least number of requests that a debug build on a busy machine answers in that time.
const ANSWERED: u32 = 2000;

/// Access tokens of one sign-in, the newest last. With `is_ended` the sign-in is revoked.
async fn access_tokens(gateway: &Gateway, is_ended: bool) -> Vec<String> {
    let application = Application::register(&gateway.home, CALLBACK).await;
    let mut client = Client::new(&gateway.home);
    let mut tokens = application.tokens(&gateway.home).await;
    let mut access = vec![tokens.access];
    while access.len() < BAD {
        tokens = Tokens::from(&application.refresh(&mut client, &tokens.refresh).await);
        access.push(tokens.access);
    }
    if is_ended {
        assert_eq!(application.revoke(&mut client, &tokens.refresh).await.status, 200);
    }
    assert_eq!(client.call("/mcp", access.last().expect("one"), "1").await.status == 200, !is_ended);
    access
}

/// A gateway, and tokens that it issued two hours ago by a shifted clock: they are revoked, or expired after an hour.
async fn with_bad_tokens() -> (Gateway, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = WallClock::new(folder.path());
    clock.set(-7200);
    let home = Home::new("", Some(Upstream::start().url));
    let mut gateway = home.start_in(&clock.environment()).await;
    let bad = [access_tokens(&gateway, true).await, access_tokens(&gateway, false).await].concat();
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    (gateway.kill().start().await, bad)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_tokens_known_to_be_bad_keeps_no_good_one_out_that_memory_does_not_know() {
    let (gateway, bad) = with_bad_tokens().await;
    let mut client = Client::new(&gateway.home);
    for (n, token) in bad.iter().enumerate() {
        assert_eq!(client.call("/mcp", token, "1").await.status, 401, "{n}");
    }
    let (gateway, bad) = (Arc::new(gateway), Arc::<[String]>::from(bad));
    let mut flood = Flood::new();
    for (site, line) in (0..SITES).flat_map(|site| (0..AT_ONCE).map(move |line| (site, line))) {
        let (gateway, bad) = (Arc::clone(&gateway), Arc::clone(&bad));
        flood.join(async move |over| {
            let mut client = Client::from(&gateway.home, Ipv4Addr::new(127, 0, site, 1 + line));
            let mut answered = 0_u32;
            for token in bad.iter().cycle().skip(usize::from(line) * BAD / 2) {
                let reply = client.call("/mcp", token, "1").await;
                assert!(matches!(reply.status, 401 | 429 | 503), "{reply:?}");
                answered += 1;
                if over.has_come() {
                    break;
                }
            }
            answered
        });
    }

    let began = Instant::now();
    let (mut slowest, mut calls) = (Duration::ZERO, 0);
    while began.elapsed() < FLOOD {
        // Another process writes the token to the store; the server's memory learns of it through this very call.
        let home = &gateway.home;
        let issued = home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
        let token = issued["access_token"].as_str().expect("a token").to_owned();
        let asked = Instant::now();
        let reply = Client::from(home, Ipv4Addr::new(127, 0, 200, 1)).call("/mcp", &token, "1").await;
        assert_eq!(reply.status, 200, "after {:?}: {reply:?}", began.elapsed());
        slowest = slowest.max(asked.elapsed());
        calls += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answered: u32 = flood.end().await.into_iter().sum();
    println!("{answered} bad tokens presented; {calls} new ones, {slowest:?} at most");
    assert!(answered >= ANSWERED, "{answered} requests are too few for a flood");
    assert!(slowest < PROMPT, "a good token waited {slowest:?}");
}
