//! What a rule refuses is in the audit trail, with the rule's reason, however often it is asked for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::{Client, mcp_request};
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

fn rows(home: &Home) -> Vec<Value> {
    let rows = home.command_text(&["audit", "tail", "--event", "operation.refused"]);
    rows.lines().filter_map(|row| serde_json::from_str(row).ok()).collect()
}

async fn call(gateway: &Gateway, client: &mut Client, token: &str) {
    let params = json!({"name": "wipe", "arguments": {}});
    let reply = client.send(mcp_request(token, "tools/call", &params)).await;
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{reply:?}: {}", gateway.log()));
    assert_eq!(answer["error"]["message"], "Unknown tool: wipe");
}

#[tokio::test]
async fn what_a_rule_refuses_is_in_the_audit_trail_once_however_often_it_is_asked_for() {
    let upstream = Upstream::with(|_| json!({}));
    let config = format!(
        "[[upstream]]\nname = \"files\"\npath = \"/mcp\"\nurl = \"{}\"\n\
         [[upstream.rule]]\neffect = \"deny\"\noperations = [\"tools/call:wipe\"]\nreason = \"nothing is wiped\"\n\
         [[upstream.scope]]\nname = \"use\"\ntitle = \"Use\"\n",
        upstream.url
    );
    let mut gateway = Home::new(&config, None).start().await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--scope", "use"]);
    let (token, grant) = (issued["access_token"].as_str().unwrap().to_owned(), issued["session"].clone());
    let mut client = Client::new(&gateway.home);
    call(&gateway, &mut client, &token).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while rows(&gateway.home).is_empty() {
        assert!(Instant::now() < deadline, "{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let row = rows(&gateway.home).remove(0);
    assert_eq!(row["reason"], "tools/call wipe: rule 0: nothing is wiped");
    assert_eq!((&row["user"], &row["target"]), (&json!("admin"), &grant), "{row}");
    assert!(row["resource"].as_str().unwrap().ends_with("/mcp") && row["client_id"].is_string(), "{row}");
    for _ in 0..1000 {
        call(&gateway, &mut client, &token).await;
    }
    // A clean stop writes what waits for its minute to end.
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0), "{}", gateway.log());
    let home = gateway.kill();
    let rows = rows(&home);
    // A slow machine may need more than a minute.
    assert!((2..=5).contains(&rows.len()), "{rows:?}");
    let times = |row: &Value| {
        let reason = row["reason"].as_str().unwrap();
        assert!(reason.starts_with("tools/call wipe") && reason.ends_with(": rule 0: nothing is wiped"), "{row}");
        let times = reason.split_once('(').and_then(|(_, rest)| rest.split_once(" times)"));
        times.map_or(1, |(times, _)| times.parse::<u32>().unwrap())
    };
    assert_eq!(rows.iter().map(times).sum::<u32>(), 1001, "{rows:?}");
}
