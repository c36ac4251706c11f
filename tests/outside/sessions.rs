//! What an operator sees of sessions, and how long those of one client live.

use serde_json::json;

use crate::shared::CALLBACK;
use crate::support::application::Application;
use crate::support::browser::SHOWN_AGENT;
use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};
use crate::support::page::Browser;

#[tokio::test]
async fn sessions_show_from_where_they_were_opened_and_end_by_their_upstream() {
    let gateway = Gateway::start().await;
    let home = &gateway.home;
    let app = Application::register(home, CALLBACK).await;
    let mut browser = Browser::new(home);
    let authorized = app.authorize(&mut browser).await;
    let mut client = Client::new(home);
    assert_eq!(app.redeem(&mut client, &authorized).await.status, 200);
    home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let listed = home.command(&["session", "list"]);
    let seen = |n: usize| (listed[n]["signed_in_from"].clone(), listed[n]["signed_in_with"].clone());
    assert_eq!(seen(1), (json!("127.0.0.1"), json!(SHOWN_AGENT)), "{listed}");
    assert_eq!(seen(0), (json!(null), json!(null)), "nobody signed in for an operator's token");
    assert!(
        listed[1]["idle_until"].is_string()
            && listed[1]["expires_at"].is_string()
            && listed[1]["last_activity_at"].is_string()
    );
    assert_eq!(home.command(&["session", "revoke", "--upstream", "mcp", "--client", &app.client_id])["revoked"], 1);
    assert_eq!(home.command(&["session", "revoke", "--upstream", "mcp"])["revoked"], 1);
    assert_eq!(home.command(&["session", "list"]), json!([]));
}

/// The lines of a file between two others.
fn between(text: &str, first: &str, last: &str) -> String {
    let lines = text.lines().skip_while(|line| *line != first).skip(1);
    lines.take_while(|line| *line != last).map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn one_client_may_have_tokens_of_several_hours_as_docs_operations_says() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let section = page.split("## How long the tokens of one client live\n").nth(1).expect("the section");
    let home = Home::new(&between(section, "```toml", "```"), None);
    let gateway = home.start().await;
    let home = &gateway.home;
    let app = Application::register(home, CALLBACK).await;
    for line in between(section, "```sh", "```").lines() {
        let words = line.split('#').next().unwrap_or_default().split_whitespace().skip(1);
        let words: Vec<_> =
            words.map(|word| if word == "mcp_client_…" { app.client_id.as_str() } else { word }).collect();
        home.command(&words);
    }
    let mut client = Client::new(home);
    let authorized = app.authorize(&mut Browser::new(home)).await;
    let reply = app.redeem(&mut client, &authorized).await.json();
    assert_eq!(reply["expires_in"], 4 * 3600, "{reply}");
    let reply = app.refresh(&mut client, reply["refresh_token"].as_str().unwrap()).await.json();
    assert_eq!(reply["expires_in"], 4 * 3600, "{reply}");
    let shown = home.command(&["client", "show", &app.client_id]);
    assert_eq!((&shown["access_lifetime"], &shown["refresh_idle"]), (&json!("4h"), &json!("7d")));
}
