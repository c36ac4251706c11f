//! A start with many tokens in the store: the gateway serves requests at once, and reads the tokens into memory
//! meanwhile.

use std::time::{Duration, Instant};

use crate::life::{metric, operator};
use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};
use crate::support::stock::{issued, stocked};
use crate::support::upstream::Upstream;

/// So many that a debug build takes longer to read them than to start.
const TOKENS: u64 = 60_000;

/// Returns whether the log says that all tokens have been read since the last start.
fn is_filled(gateway: &Gateway) -> bool {
    gateway.log().rsplit("mcpgate is ready.").next().is_some_and(|since| since.contains("tokens are in memory"))
}

#[tokio::test]
async fn tv_24_before_all_tokens_are_in_memory_good_ones_are_served_and_what_is_revoked_stays_so() {
    let home = stocked(Home::new("", Some(Upstream::start().url)), TOKENS).await;
    // The token that was issued last, and so is read last.
    let [good, gone, unseen] = std::array::from_fn(|_| issued(&home));
    let gateway = home.start().await;
    let home = &gateway.home;
    let mut client = Client::new(home);
    for [token, _] in [&good, &gone] {
        assert_eq!(client.call("/mcp", token, "early").await.status, 200);
    }
    let (ready, filling) = (operator(home, "/readyz", &[]).await, metric(home, "mcpgate_token_cache_filling ").await);
    assert!(!is_filled(&gateway), "the tokens were in memory before the first answer:\n{}", gateway.log());
    assert_eq!((ready.status, filling), (200, 1));
    assert!(ready.text().starts_with("ready; tokens are still being read into memory\n"), "{}", ready.text());
    for [_, grant] in [&gone, &unseen] {
        home.command(&["session", "revoke", "--id", grant]);
    }
    for [token, _] in [&gone, &unseen] {
        assert_eq!(client.call("/mcp", token, "revoked").await.status, 401);
    }

    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_filled(&gateway) {
        assert!(Instant::now() < deadline, "the tokens are not in memory:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(metric(home, "mcpgate_token_cache_filling ").await, 0);
    let entries = metric(home, "mcpgate_token_cache_entries ").await;
    assert!(entries > TOKENS, "{entries}");
    for [token, _] in [&gone, &unseen] {
        assert_eq!(client.call("/mcp", token, "revoked").await.status, 401, "the revoked token is valid again");
    }
    assert_eq!(client.call("/mcp", &good[0], "late").await.status, 200);
}
