//! Groups, changed by commands while the server runs.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::{Client, Reply, mcp_request};
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

async fn ask(gateway: &Gateway, token: &str) -> Reply {
    Client::new(&gateway.home).send(mcp_request(token, "tools/list", &json!({}))).await
}

/// Asks until the answer has this status; fails after a second.
async fn within_a_second(gateway: &Gateway, token: &str, status: u16) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = ask(gateway, token).await;
        if reply.status == status {
            return reply;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{reply:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_leaves_a_group_loses_access_within_a_second_and_who_joins_it_gets_access() {
    let upstream = Upstream::start();
    let config = format!(
        "[[upstream]]\nname = \"staff-only\"\npath = \"/mcp\"\nurl = \"{}\"\nallow_groups = [\"staff\"]\n\
         [[upstream.scope]]\nname = \"read\"\ntitle = \"Read\"\n",
        upstream.url
    );
    let gateway = Home::new(&config, None).start().await;
    let command = |words: &[&str]| gateway.home.command(words);
    command(&["group", "add", "staff", "admin"]);
    let issued = command(&["token", "issue", "--user", "admin", "--scope", "read"]);
    let token = issued["access_token"].as_str().expect("a token");
    assert_eq!(ask(&gateway, token).await.status, 200);
    command(&["group", "remove", "staff", "admin"]);
    let refused = within_a_second(&gateway, token, 403).await;
    assert!(String::from_utf8_lossy(&refused.body).contains("no access to this server"), "{refused:?}");
    // The token itself is still good.
    command(&["group", "add", "staff", "admin"]);
    within_a_second(&gateway, token, 200).await;
}
