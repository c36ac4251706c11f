//! The OAuth integration page of Conexor. Left for later: access tokens that are JWTs, and its dashboard.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::curl::curl;
use super::recipe::Recipe;
use crate::expect;
use crate::support::application::{challenge, parameter, random};
use crate::support::client::{Client, Reply, post_message, request};
use crate::support::gateway::Home;
use crate::support::page::Browser;
use crate::support::upstream::Upstream;

const CREDENTIALS: &str = r#"curl -X POST https://app.conexor.io/api/oauth/token -d "grant_type=client_credentials" -d "client_id=client_xxxxx" -d "client_secret=secret_xxxxx" -d "scope=mcp:tools:read mcp:tools:execute""#;
const CONSENT: &str = "https://app.conexor.io/oauth/consent? client_id=client_xxxxx &response_type=code &scope=mcp:tools:read,mcp:tools:execute &redirect_uri=http://localhost:3000/callback &code_challenge=$code_challenge &code_challenge_method=S256 &state=random_state_value";
const EXCHANGE: &str = r#"curl -X POST https://app.conexor.io/api/oauth/token \
-d "grant_type=authorization_code" \
-d "code=AUTH_CODE_FROM_CALLBACK" \
-d "code_verifier=$code_verifier" \
-d "client_id=client_xxxxx" \
-d "redirect_uri=http://localhost:3000/callback""#;
const DESKTOP: &str = r#"{
"mcpServers": {
"conexor-sales": {
"url": "https://app.conexor.io/mcp/acme/sales-api",
"oauth": {
"clientId": "client_xxxxx",
"clientSecret": "secret_xxxxx",
"scopes": ["mcp:tools:read", "mcp:tools:execute"]
}
}
}
}"#;
const ENDPOINT: [&str; 2] = [
    "grant_type=client_credentials&client_id=xxx&client_secret=xxx&scope=xxx",
    "grant_type=authorization_code&code=xxx&code_verifier=xxx&client_id=xxx&redirect_uri=xxx",
];

/// Sends a message of MCP to the server.
async fn call(home: &Home, token: &str, method: &str, params: Value) -> Reply {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    Client::new(home).send(post_message("/mcp/acme/sales-api", token, &message)).await
}

/// Checks an answer of the token endpoint, and that the token lists and calls tools and does nothing else.
async fn is_for_tools(home: &Home, reply: &Reply) {
    let tokens = reply.json();
    let expected = (&json!("Bearer"), &json!(3600), &json!("mcp:tools:execute mcp:tools:read"));
    assert_eq!((&tokens["token_type"], &tokens["expires_in"], &tokens["scope"]), expected, "{reply:?}");
    let token = reply.member("access_token");
    assert!(token.starts_with("mcp_access_"), "no JWT yet");
    for (method, params, is_allowed) in [
        ("tools/list", json!({}), true),
        ("tools/call", json!({"name": "query"}), true),
        ("resources/read", json!({"uri": "file:///skill"}), false),
        ("logging/setLevel", json!({"level": "info"}), false),
    ] {
        let reply = call(home, &token, method, params).await;
        // 403 asks for another scope; a client that may have none gets an error of JSON-RPC.
        let is_answered = reply.status == 200 && reply.json().get("result").is_some();
        assert_eq!(is_answered, is_allowed, "{method}: {reply:?}");
    }
}

/// The verifier and the challenge that the commands of step 1 make of 32 bytes.
fn step_1(bytes: [u8; 32]) -> [String; 2] {
    let encoded = |bytes: &[u8]| STANDARD.encode(bytes).replace(['=', '/', '+'], "");
    let verifier = encoded(&bytes);
    let challenge = encoded(&Sha256::digest(&verifier));
    [verifier, challenge]
}

/// Asks for consent as step 2 does, and approves; returns the answer at the redirect URI.
async fn consent(home: &Home, id: &str, challenge: &str) -> Reply {
    let target = CONSENT.trim_start_matches("https://app.conexor.io").replace(' ', "");
    let mut browser = Browser::new(home);
    expect::local(&browser.get(&target).await);
    let page = browser.ask(&target.replace("client_xxxxx", id).replace("$code_challenge", challenge)).await;
    if page.status == 303 { page } else { browser.decide(&page, "approve").await }
}

/// The flow for people, of the public client.
async fn sign_in(home: &Home, id: &str) {
    let mut client = Client::new(home);
    expect::refused(&client.send(curl(EXCHANGE, &[])).await, "invalid_client");
    let made = |count: u8| (0..count).map(|n| step_1(Sha256::digest([n]).into()));
    let lengths = |[verifier, challenge]: &[String; 2]| (verifier.len(), challenge.len());
    let whole = made(255).find(|pair| lengths(pair) == (43, 43)).unwrap();
    let short_verifier = made(255).find(|pair| lengths(pair) == (42, 43)).unwrap();
    let short_challenge = made(255).find(|pair| lengths(pair) == (43, 42)).unwrap();

    let answer = consent(home, id, &short_challenge[1]).await;
    assert_eq!(parameter(&answer, "error"), "invalid_request");
    let words = "code_challenge has 42 characters: a SHA-256 hash has 43 in base64url without padding";
    assert_eq!(parameter(&answer, "error_description"), words);
    for [verifier, challenge] in [short_verifier, whole] {
        let answer = consent(home, id, &challenge).await;
        assert!(answer.header("location").starts_with("http://localhost:3000/callback?"), "{answer:?}");
        assert_eq!(parameter(&answer, "state"), "random_state_value");
        let code = parameter(&answer, "code");
        let values = [("AUTH_CODE_FROM_CALLBACK", code.as_str()), ("$code_verifier", &verifier), ("client_xxxxx", id)];
        let reply = client.send(curl(EXCHANGE, &values)).await;
        if verifier.len() == 43 {
            is_for_tools(home, &reply).await;
        } else {
            expect::refused(&reply, "invalid_grant");
            let words = "code_verifier has 42 characters: it needs 43 to 128";
            assert_eq!(reply.member("error_description"), words);
        }
    }
}

/// What Claude Desktop is configured with: a client with a secret, which finds everything by the URL.
async fn desktop(home: &Home, id: &str, secret: &str) {
    let server = serde_json::from_str::<Value>(DESKTOP).unwrap()["mcpServers"]["conexor-sales"].take();
    assert_eq!(server["url"], "https://app.conexor.io/mcp/acme/sales-api");
    expect::challenged(&call(home, "", "tools/list", json!({})).await, &home.origin(), "/mcp/acme/sales-api", None);
    let mut client = Client::new(home);
    let metadata = client.get("/.well-known/oauth-authorization-server").await.json();
    let origin = home.origin();
    let path = |member: &str| metadata[member].as_str().unwrap().strip_prefix(&origin).unwrap().to_owned();
    let (token_endpoint, revocation_endpoint) = (path("token_endpoint"), path("revocation_endpoint"));
    let known = [path("authorization_endpoint"), token_endpoint.clone(), revocation_endpoint.clone()];
    assert_eq!(known, ["/oauth/consent", "/api/oauth/token", "/api/oauth/revoke"]);

    let verifier = random();
    let answer = consent(home, id, &challenge(&verifier)).await;
    let code = parameter(&answer, "code");
    let values = [("AUTH_CODE_FROM_CALLBACK", code.as_str()), ("$code_verifier", &verifier), ("client_xxxxx", id)];
    expect::refused(&client.send(curl(EXCHANGE, &values)).await, "invalid_client");
    let with_secret = format!("{EXCHANGE} -d client_secret={secret}");
    let reply = client.send(curl(&with_secret, &values)).await;
    is_for_tools(home, &reply).await;
    let (access, refresh) = (reply.member("access_token"), reply.member("refresh_token"));
    let own = [("client_id", id), ("client_secret", secret)];
    let form = [&own[..], &[("token", refresh.as_str())]].concat();
    assert_eq!(client.post_form(&revocation_endpoint, &form).await.status, 200);
    assert_eq!(call(home, &access, "tools/list", json!({})).await.status, 401);
}

#[tokio::test]
async fn every_request_of_the_conexor_page_is_answered_as_its_recipe_says() {
    let (recipe, upstream) = (Recipe::read("conexor"), Upstream::start());
    let gateway = recipe.start(&upstream).await;
    let home = &gateway.home;
    let [service, app, with_secret] = ["Nightly report", "Sales app", "Claude Desktop"]
        .map(|name| recipe.run(home, &format!("mcpgate client add --name \"{name}\"")));
    let text = |client: &Value, member: &str| client[member].as_str().unwrap().to_owned();

    let mut client = Client::new(home);
    expect::refused(&client.send(curl(CREDENTIALS, &[])).await, "invalid_client");
    let (id, secret) = (text(&service, "client_id"), text(&service, "client_secret"));
    let reply = client.send(curl(CREDENTIALS, &[("client_xxxxx", &id), ("secret_xxxxx", &secret)])).await;
    is_for_tools(home, &reply).await;
    assert!(reply.json().get("refresh_token").is_none(), "{reply:?}");
    sign_in(home, &text(&app, "client_id")).await;
    desktop(home, &text(&with_secret, "client_id"), &text(&with_secret, "client_secret")).await;
    for body in ENDPOINT {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let reply = client.send(request(Method::POST, "/api/oauth/token", &headers, body)).await;
        expect::refused(&reply, "invalid_client");
    }
}
