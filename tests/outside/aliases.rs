//! Aliases: further paths of the gateway's endpoints, which are answered like the endpoints themselves.

use std::collections::BTreeMap;

use hyper::Method;

use crate::life::{until_reloads, until_said, write_config};
use crate::shared::CALLBACK;
use crate::support::application::{Application, Authorized, Tokens, parameter, random};
use crate::support::client::{Client, Reply, request};
use crate::support::gateway::Home;
use crate::support::page::Browser;

const SERVER: &str = "/.well-known/oauth-authorization-server";

const ALIASES: &str = r#"
alias = [
    { from = "/oauth/authorize", to = "/authorize", in_metadata = true },
    { from = "/oauth/consent", to = "/authorize" },
    { from = "/api/oauth/token", to = "/token", in_metadata = true },
    { from = "/oauth/register", to = "/register", in_metadata = true },
    { from = "/api/oauth/revoke", to = "/revoke", in_metadata = true },
    { from = "/oauth/introspect", to = "/introspect", in_metadata = true },
    { from = "/security", to = "/account" },
]
"#;

/// What two answers to the same request have in common.
fn told(reply: &Reply) -> (u16, BTreeMap<String, String>) {
    let own = ["date", "set-cookie", "x-request-id"];
    let kept = reply.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    // A transaction has a name of its own.
    let text = |value: &hyper::header::HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        text.split("?t=").next().unwrap_or_default().to_owned()
    };
    (reply.status, kept.map(|(name, value)| (name.to_string(), text(value))).collect())
}

#[tokio::test]
async fn an_alias_is_answered_like_its_endpoint_in_every_respect() {
    let gateway = Home::new("", None);
    write_config(&gateway, ALIASES, "");
    let gateway = gateway.start().await;
    let mut client = Client::new(&gateway.home);
    let metadata = client.get(SERVER).await.json();
    for (from, to) in [
        ("/oauth/authorize", "/authorize"),
        ("/oauth/consent", "/authorize"),
        ("/api/oauth/token", "/token"),
        ("/oauth/register", "/register"),
        ("/api/oauth/revoke", "/revoke"),
        ("/oauth/introspect", "/introspect"),
        ("/security", "/account"),
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::PUT] {
            let headers =
                [("origin", "https://inspector.example"), ("content-type", "application/x-www-form-urlencoded")];
            let mut ask = async |path: &str| {
                let target = format!("{path}?client_id=x&state=%2Foauth");
                client.send(request(method.clone(), &target, &headers, "")).await
            };
            let (at_alias, at_endpoint) = (ask(from).await, ask(to).await);
            assert_eq!(told(&at_alias), told(&at_endpoint), "{method} {from}");
            assert_ne!(at_alias.status, 404, "{method} {from}");
        }
        assert_eq!(client.get(&format!("{from}/")).await.status, 404);
    }
    for (member, path) in [
        ("authorization_endpoint", "/oauth/authorize"),
        ("token_endpoint", "/api/oauth/token"),
        ("registration_endpoint", "/oauth/register"),
        ("revocation_endpoint", "/api/oauth/revoke"),
        ("introspection_endpoint", "/oauth/introspect"),
    ] {
        assert_eq!(metadata[member], format!("{}{path}", gateway.home.origin()));
    }

    sign_in_and_out(&gateway.home).await;
    until_said(&gateway.home, "/revoke").await;
    let log = gateway.log();
    let wrong: Vec<_> = log.lines().filter(|line| line.contains("oauth/") && !line.contains("status=404")).collect();
    assert!(wrong.is_empty(), "the log has the paths of the endpoints: {wrong:?}");
}

/// A whole sign-in, and the end of its session.
async fn sign_in_and_out(home: &Home) {
    let mut client = Client::new(home);
    let application = Application::register(home, CALLBACK).await;
    let (mut browser, verifier) = (Browser::new(home), random());
    let page = browser.ask(&application.request(&verifier, &[]).replace("/authorize?", "/oauth/consent?")).await;
    let answer = browser.decide(&page, "approve").await;
    let authorized = Authorized { code: parameter(&answer, "code"), verifier };
    let tokens = Tokens::from(&client.post_form("/api/oauth/token", &application.redemption(&authorized)).await);
    assert_ne!(client.call("/mcp", &tokens.access, "x").await.status, 401);
    let form = [("token", tokens.refresh.as_str()), ("client_id", &application.client_id)];
    assert_eq!(client.post_form("/api/oauth/revoke", &form).await.status, 200);
    assert_eq!(client.call("/mcp", &tokens.access, "x").await.status, 401);
}

#[tokio::test]
async fn a_reload_gives_other_aliases_and_a_budget_does_not_depend_on_the_path() {
    let gateway = Home::new("", None);
    write_config(&gateway, ALIASES, "");
    let gateway = gateway.start().await;
    let mut client = Client::new(&gateway.home);
    let other = "alias = [{ from = \"/token/x\", to = \"/token\" }, { from = \"/t\", to = \"/token\" }]";
    write_config(&gateway.home, other, "");
    gateway.signal("HUP");
    until_reloads(&gateway.home, "rejected", 1).await;
    assert_eq!(client.get("/api/oauth/token").await.status, 405);
    let text = format!("{}\n[rates]\ntoken_per_second = 1\n", other.replace("/token/x", "/oauth/token"));
    std::fs::write(gateway.home.config(), text).unwrap();
    gateway.signal("HUP");
    until_reloads(&gateway.home, "reloaded", 1).await;
    assert_eq!(client.get("/api/oauth/token").await.status, 404);
    assert_eq!(client.get(SERVER).await.member("token_endpoint"), format!("{}/token", gateway.home.origin()));
    let mut stranger = Client::from(&gateway.home, [127, 0, 9, 1].into());
    let mut heard = 0;
    for path in ["/token", "/oauth/token", "/t"].into_iter().cycle().take(60) {
        heard += u32::from(stranger.post_form(path, &[]).await.status != 429);
    }
    assert!((10..40).contains(&heard), "{heard} requests: ten at once, then five per second");
}
