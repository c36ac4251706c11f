//! Clients that wait for an operator, with the operator's commands beside a running gateway.

use crate::shared::CALLBACK;
use crate::support::application::{Application, Authorized, Tokens, parameter, random};
use crate::support::client::Client;
use crate::support::gateway::Home;
use crate::support::page::Browser;

/// Returns the words of the command that the log names.
fn named_in(log: &str, decision: &str) -> Vec<String> {
    let (_, rest) = log.split_once(&format!(" {decision}=\"mcpgate ")).unwrap_or_default();
    rest.split('"').next().unwrap_or_default().split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn cn_24_a_sign_in_waits_over_a_restart_until_the_command_of_the_log_is_given() {
    let gateway = Home::new("[registration]\nmode = \"approval\"\n", None).start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let mut browser = Browser::new(&gateway.home);
    let verifier = random();
    let waiting = browser.ask(&application.request(&verifier, &[])).await;
    assert!(waiting.text().contains("Waiting for approval"), "{}", waiting.text());
    let target = waiting.header("refresh").split_once("url=").expect("it reloads itself").1.to_owned();
    let listed = gateway.home.command(&["client", "list", "--waiting"]);
    assert_eq!(
        (listed[0]["client_id"].as_str(), listed[0]["waiting_user"].as_str()),
        (Some(&*application.client_id), Some("admin"))
    );
    let command = named_in(&gateway.log(), "approve");
    assert_eq!(command[..3], ["client", "approve", application.client_id.as_str()], "{command:?}");
    let trail = gateway.home.command_text(&["audit", "tail", "--event", "client.waits"]);
    assert!(trail.contains(&application.client_id), "{trail}");

    let gateway = gateway.kill().start().await;
    assert!(browser.get(&target).await.text().contains("Waiting for approval"));
    let words: Vec<_> = command.iter().map(String::as_str).collect();
    let approved = gateway.home.command(&words);
    assert_eq!(approved["approval"], "approved");
    let consent = browser.get(&target).await;
    assert_eq!(consent.header("refresh"), "", "it goes on: {}", consent.text());
    let answer = browser.decide(&consent, "approve").await;
    assert_eq!(parameter(&answer, "state"), "the-state");
    let authorized = Authorized { code: parameter(&answer, "code"), verifier };
    Tokens::from(&application.redeem(&mut Client::new(&gateway.home), &authorized).await);
    assert_eq!(gateway.home.command(&["client", "list", "--waiting"]), serde_json::json!([]));
}
