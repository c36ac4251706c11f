//! Limits for each day outlive the process.

use std::time::{Duration, Instant};

use mcpgate::clock::{Clock as _, SystemClock};
use mcpgate::oauth::Lifetime;
use serde_json::{Value, json};

use crate::support::client::{Client, Reply, mcp_request};
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

async fn call(home: &Home, token: &str) -> Reply {
    let params = json!({"name": "search", "arguments": {}});
    Client::new(home).send(mcp_request(token, "tools/call", &params)).await
}

async fn stop(mut gateway: Gateway) -> Home {
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0), "{}", gateway.log());
    gateway.kill()
}

fn assert_refused(reply: &Reply) {
    assert_eq!(reply.status, 429, "{reply:?}");
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
    let error: Value = serde_json::from_slice(&reply.body).unwrap();
    let text = error["error"]["message"].as_str().unwrap();
    let expected = "the limit \"searches\" of this server (3 a day for each user) is reached: try again after midnight";
    assert!(text.starts_with(expected), "{text}");
}

#[tokio::test]
async fn what_is_used_of_a_day_outlives_a_stop_a_kill_and_a_reload() {
    let upstream = Upstream::with(|method| match method {
        "tools/call" => json!({"content": [{"type": "text", "text": "done"}]}),
        _ => json!({}),
    });
    let config = format!(
        "[[upstream]]\nname = \"files\"\npath = \"/mcp\"\nurl = \"{}\"\n\
         [[upstream.limit]]\nname = \"searches\"\noperations = [\"tools/call:search\"]\nper_day = 3\n\
         [[upstream.scope]]\nname = \"use\"\ntitle = \"Use\"\n",
        upstream.url
    );
    // Not across midnight.
    while SystemClock.now().midnight() != SystemClock.now().plus(Lifetime::from_secs(60)).midnight() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let gateway = Home::new(&config, None).start().await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--scope", "use"]);
    let token = issued["access_token"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(call(&gateway.home, &token).await.status, 200, "{}", gateway.log());
    }
    let gateway = stop(gateway).await.start().await;
    assert_eq!(call(&gateway.home, &token).await.status, 200, "a clean stop forgets nothing and counts nothing twice");
    assert_refused(&call(&gateway.home, &token).await);
    // A kill loses what is younger than a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let gateway = gateway.kill().start().await;
    assert_refused(&call(&gateway.home, &token).await);
    assert_eq!(gateway.home.command(&["db", "check"])["sound"], true);
    // A limit that a reload leaves out, and the next one brings back: its counts are read at once.
    for config in [config.replace("\"searches\"", "\"other\""), config.clone()] {
        std::fs::write(gateway.home.config(), config).unwrap();
        let reloads = gateway.log().matches("the new configuration is in force").count();
        gateway.signal("HUP");
        let deadline = Instant::now() + Duration::from_secs(20);
        while gateway.log().matches("the new configuration is in force").count() == reloads {
            assert!(Instant::now() < deadline, "{}", gateway.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut reply = call(&gateway.home, &token).await;
    for _ in 0..2 {
        if reply.status == 200 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            reply = call(&gateway.home, &token).await;
        }
    }
    assert_refused(&reply);
}
