//! The page "OAuth 2.1 Clients" of the n8n MCP Bridge: its endpoints at one port and the server at another. Left for
//! later: its dashboard.

use std::net::SocketAddr;

use hyper::Method;
use serde_json::{Value, json};

use super::recipe::Recipe;
use crate::expect;
use crate::support::application::{challenge, parameter, random};
use crate::support::client::{Client, Reply, encoded, request};
use crate::support::gateway::Home;
use crate::support::page::Browser;
use crate::support::upstream::Upstream;

const AUTHORIZE: &str = "/oauth/authorize?
  client_id=mcp_client_abc123&
  redirect_uri=http://localhost:8080/callback&
  response_type=code&
  code_challenge=ABC123...&
  code_challenge_method=S256&
  state=random_state_value";
const EXCHANGE: &str = "grant_type=authorization_code&
code=AUTH_CODE_HERE&
redirect_uri=http://localhost:8080/callback&
client_id=mcp_client_abc123&
client_secret=mcp_secret_xyz789&
code_verifier=ORIGINAL_CODE_VERIFIER";
const MESSAGE: &str = r#"{
  "method": "tools/call",
  "params": {
    "name": "ping_n8n"
  }
}"#;
const REFRESH: &str = "grant_type=refresh_token&
refresh_token=mcp_refresh_xyz789...&
client_id=mcp_client_abc123&
client_secret=mcp_secret_xyz789";
/// "How It Works": the verifier and the challenge of RFC 7636, and the fragment of a request.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const FRAGMENT: &str = "/oauth/authorize?code_challenge=E9Melhoa...&code_challenge_method=S256";

/// A client as an operator gets it.
struct Made {
    id: String,
    secret: String,
    /// Where the server is.
    server: SocketAddr,
}

/// The page breaks lines within requests.
fn joined(text: &str, values: &[(&str, &str)]) -> String {
    let joined: String = text.split_ascii_whitespace().collect();
    values.iter().fold(joined, |text, (name, value)| text.replace(name, value))
}

impl Made {
    async fn post(&self, home: &Home, body: &str, values: &[(&str, &str)]) -> Reply {
        let own = [("mcp_client_abc123", self.id.as_str()), ("mcp_secret_xyz789", &self.secret)];
        post(home, &joined(body, &[values, &own].concat())).await
    }

    /// Steps 1 to 4 with this verifier.
    async fn sign_in(&self, home: &Home, verifier: &str, challenge: &str) -> Value {
        let target = joined(AUTHORIZE, &[("mcp_client_abc123", &self.id), ("ABC123...", challenge)]);
        let mut browser = Browser::new(home);
        let page = browser.ask(&target).await;
        for words in ["My Mobile App", "n8n workflows", "Execute workflows", "read their results", "n8n connection"] {
            assert!(page.text().contains(words), "{words}: {}", page.text());
        }
        let answer = browser.decide(&page, "approve").await;
        assert!(answer.header("location").starts_with("http://localhost:8080/callback?"), "{answer:?}");
        assert_eq!(parameter(&answer, "state"), "random_state_value");
        let code = parameter(&answer, "code");
        let values = [("AUTH_CODE_HERE", code.as_str()), ("ORIGINAL_CODE_VERIFIER", verifier)];
        let reply = self.post(home, EXCHANGE, &values).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }
}

impl Made {
    async fn call(&self, home: &Home, token: &str, message: &str) -> Reply {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        Client::at(home, self.server).send(request(Method::POST, "/mcp", &headers, message.to_owned())).await
    }
}

async fn post(home: &Home, body: &str) -> Reply {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    Client::new(home).send(request(Method::POST, "/oauth/token", &headers, body.to_owned())).await
}

/// The message of the page, completed to one of JSON-RPC.
fn whole(message: &str) -> String {
    message.replacen('{', r#"{"jsonrpc": "2.0", "id": 1,"#, 1)
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member} in {value}")).to_owned()
}

/// "Creating an OAuth Client", and its format.
fn make(recipe: &Recipe, home: &Home) -> Made {
    let added = recipe.run(home, "mcpgate client add");
    let redirects = json!(["http://localhost:8080/callback", "https://app.example.com/oauth/callback"]);
    assert_eq!(added["redirect_uris"], redirects);
    assert!(added.get("clientId").is_none() && added.get("clientSecret").is_none(), "not as on the page");
    let made = Made { id: text(&added, "client_id"), secret: text(&added, "client_secret"), server: recipe.own };
    assert!(made.id.starts_with("mcp_client_") && made.secret.starts_with("mcp_secret_"), "{added}");
    made
}

/// Requests that cannot work as they stand on the page, and those of "Troubleshooting".
async fn refusals(home: &Home, made: &Made) {
    let mut browser = Browser::new(home);
    expect::local(&browser.get(&joined(AUTHORIZE, &[])).await);
    expect::local(&browser.get(FRAGMENT).await);
    let own = joined(AUTHORIZE, &[("mcp_client_abc123", &made.id)]);
    let answer = browser.get(&own).await;
    assert_eq!(parameter(&answer, "error"), "invalid_request");
    let words = "code_challenge has 9 characters: a SHA-256 hash has 43 in base64url without padding";
    assert_eq!(parameter(&answer, "error_description"), words);
    for (written, sent) in [("/callback&", "/callback/&"), ("http:", "https:"), ("localhost:8080", "app.example.com")] {
        let page = browser.get(&own.replace(written, sent)).await;
        expect::local(&page);
        assert!(page.text().contains("redirect"), "{}", page.text());
    }
    expect::refused(&post(home, &joined(EXCHANGE, &[])).await, "invalid_client");
    expect::refused(&post(home, &joined(REFRESH, &[])).await, "invalid_client");
    expect::refused(&made.post(home, REFRESH, &[]).await, "invalid_grant");

    let target = own.replace("ABC123...", CHALLENGE);
    let page = browser.ask(&target).await;
    let denied = browser.decide(&page, "deny").await;
    assert_eq!(parameter(&denied, "error"), "access_denied");
    for (verifier, words) in [(random(), "code_verifier"), ("short".to_owned(), "it needs 43 to 128")] {
        let page = browser.ask(&target).await;
        let answer = browser.decide(&page, "approve").await;
        let code = parameter(&answer, "code");
        let values = [("AUTH_CODE_HERE", code.as_str()), ("ORIGINAL_CODE_VERIFIER", &verifier)];
        let reply = made.post(home, EXCHANGE, &values).await;
        expect::refused(&reply, "invalid_grant");
        assert!(reply.member("error_description").contains(words), "{reply:?}");
    }
}

/// Everything about OAuth is at one port, the server at the other, which says where the first one is.
async fn two_ports(home: &Home, made: &Made) {
    let (mut issuer, mut server) = (Client::new(home), Client::at(home, made.server));
    let own = format!("https://localhost:{}", made.server.port());
    expect::challenged(&made.call(home, "", &whole(MESSAGE)).await, &own, "/mcp", None);
    let resource = server.get("/.well-known/oauth-protected-resource/mcp").await.json();
    assert_eq!(
        (&resource["resource"], &resource["authorization_servers"]),
        (&json!(format!("{own}/mcp")), &json!([home.origin()]))
    );
    let metadata = issuer.get("/.well-known/oauth-authorization-server").await.json();
    for (member, path) in [("authorization_endpoint", "/oauth/authorize"), ("token_endpoint", "/oauth/token")] {
        assert_eq!(metadata[member], json!(format!("{}{path}", home.origin())));
    }
    // Clients of 2025-03-26 look for the issuer here.
    for path in
        ["/.well-known/oauth-authorization-server", "/oauth/authorize", "/authorize", "/oauth/token", "/account", "/"]
    {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.text().is_empty()), (404, true), "{path}");
    }
    assert_eq!(issuer.send(request(Method::POST, "/mcp", &[], whole(MESSAGE))).await.status, 404);
}

/// Steps 5 and 6.
async fn use_and_refresh(home: &Home, made: &Made, upstream: &Upstream) {
    let tokens = made.sign_in(home, VERIFIER, CHALLENGE).await;
    let expected = (&json!("Bearer"), &json!(3600), &json!("n8n:execute"));
    assert_eq!((&tokens["token_type"], &tokens["expires_in"], &tokens["scope"]), expected);
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    assert!(access.starts_with("mcp_access_") && refresh.starts_with("mcp_refresh_"), "{tokens}");
    let refused = made.call(home, &access, MESSAGE).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(-32600)), "{refused:?}");
    assert!(upstream.seen("ping_n8n").is_empty());
    assert_eq!(made.call(home, &access, &whole(MESSAGE)).await.status, 200);
    assert_eq!(upstream.seen("ping_n8n").len(), 1);

    let refreshed = made.post(home, REFRESH, &[("mcp_refresh_xyz789...", &refresh)]).await.json();
    assert_eq!((&refreshed["token_type"], &refreshed["expires_in"]), (&json!("Bearer"), &json!(3600)));
    let (new_access, new_refresh) = (text(&refreshed, "access_token"), text(&refreshed, "refresh_token"));
    assert!(new_access != access && new_refresh != refresh, "both are new");
    assert_eq!(made.call(home, &new_access, &whole(MESSAGE)).await.status, 200);
}

/// The example in JavaScript: its parameters are encoded, and it lists workflows.
async fn example(home: &Home, made: &Made) {
    let (verifier, state) = (random(), "0123456789abcdef".repeat(4));
    let query = encoded(&[
        ("client_id", &made.id),
        ("redirect_uri", "http://localhost:8080/callback"),
        ("response_type", "code"),
        ("code_challenge", &challenge(&verifier)),
        ("code_challenge_method", "S256"),
        ("state", &state),
    ]);
    let mut browser = Browser::new(home);
    let page = browser.ask(&format!("/oauth/authorize?{query}")).await;
    let answer = browser.decide(&page, "approve").await;
    assert_eq!(parameter(&answer, "state"), state);
    let tokens = post(
        home,
        &encoded(&[
            ("grant_type", "authorization_code"),
            ("code", &parameter(&answer, "code")),
            ("redirect_uri", "http://localhost:8080/callback"),
            ("client_id", &made.id),
            ("client_secret", &made.secret),
            ("code_verifier", &verifier),
        ]),
    )
    .await;
    let message = r#"{"method":"tools/call","params":{"name":"list_workflows"}}"#;
    let token = tokens.member("access_token");
    assert_eq!(made.call(home, &token, message).await.json()["error"]["code"], -32600);
    assert_eq!(made.call(home, &token, &whole(message)).await.status, 200);
}

/// "Managing OAuth Clients" and "OAuth Sessions". A verifier of 128 characters, as the page recommends.
async fn manage(recipe: &Recipe, home: &Home, made: Made) {
    let verifier = "v".repeat(128);
    let tokens = made.sign_in(home, &verifier, &challenge(&verifier)).await;
    let token = text(&tokens, "access_token");
    let listed = recipe.run(home, "mcpgate client list");
    let client = listed.as_array().unwrap().iter().find(|client| client["client_id"] == made.id.as_str()).unwrap();
    assert_eq!(
        (&client["client_name"], &client["resource"]),
        (&json!("My Mobile App"), &json!(format!("https://localhost:{}/mcp", made.server.port())))
    );
    assert!(client["redirect_uris"].is_array() && client["created_at"].is_string(), "{client}");
    assert!(client.get("client_secret").is_none());

    // "Edit OAuth Client": sessions go on.
    recipe.run_with(home, "mcpgate client edit", &[("CLIENT_ID", &made.id)]);
    let listed = recipe.run(home, "mcpgate client list");
    let client = listed.as_array().unwrap().iter().find(|client| client["client_id"] == made.id.as_str()).unwrap();
    assert!(client["redirect_uris"].to_string().contains("/oauth/other"), "{client}");
    assert_eq!(made.call(home, &token, &whole(MESSAGE)).await.status, 200);

    // One session after the other: revoked at once, also for refreshing.
    let sessions = recipe.run(home, "mcpgate session list");
    let of_client = || sessions.as_array().unwrap().iter().filter(|session| session["client_id"] == made.id.as_str());
    assert!(of_client().count() >= 3, "{sessions:?}");
    for session in of_client() {
        assert!(session["created_at"].is_string() && session["expires_at"].is_string(), "{session}");
        recipe.run_with(home, "mcpgate session revoke", &[("SESSION_ID", &text(session, "id"))]);
    }
    assert_eq!(made.call(home, &token, &whole(MESSAGE)).await.status, 401);
    let values = [("mcp_refresh_xyz789...", text(&tokens, "refresh_token"))];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    expect::refused(&made.post(home, REFRESH, &values).await, "invalid_grant");

    // A new secret in place; the old one works for a while.
    let token = text(&made.sign_in(home, &verifier, &challenge(&verifier)).await, "access_token");
    let id = [("CLIENT_ID", made.id.as_str())];
    let rotated = recipe.run_with(home, "mcpgate client rotate-secret", &id);
    let new = Made { secret: text(&rotated, "client_secret"), id: made.id.clone(), ..made };
    assert_ne!(new.secret, made.secret);
    for client in [&new, &made] {
        expect::refused(&client.post(home, REFRESH, &[]).await, "invalid_grant");
    }
    assert_eq!(made.call(home, &token, &whole(MESSAGE)).await.status, 200);

    recipe.run_with(home, "mcpgate client delete", &id);
    assert_eq!(made.call(home, &token, &whole(MESSAGE)).await.status, 401);
    expect::refused(&new.post(home, REFRESH, &[]).await, "invalid_client");
    let target = joined(AUTHORIZE, &[("mcp_client_abc123", &made.id), ("ABC123...", CHALLENGE)]);
    expect::local(&Browser::new(home).get(&target).await);
    let listed = recipe.run(home, "mcpgate client list");
    assert!(listed.as_array().unwrap().iter().all(|client| client["client_id"] != made.id.as_str()), "{listed:?}");
}

#[tokio::test]
async fn every_request_of_the_n8n_page_is_answered_as_its_recipe_says() {
    let (recipe, upstream) = (Recipe::read("n8n-bridge"), Upstream::start());
    let gateway = recipe.start(&upstream).await;
    let home = &gateway.home;
    let made = make(&recipe, home);
    two_ports(home, &made).await;
    refusals(home, &made).await;
    use_and_refresh(home, &made, &upstream).await;
    example(home, &made).await;
    manage(&recipe, home, made).await;
}
