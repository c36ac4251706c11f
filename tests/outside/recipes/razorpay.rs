//! The OAuth 2.0 integration guide of the Razorpay MCP server.

use hyper::Method;
use serde_json::{Value, json};

use super::curl::curl;
use super::recipe::Recipe;
use crate::expect;
use crate::support::application::{challenge, parameter, random};
use crate::support::client::{Client, Reply, request};
use crate::support::gateway::Home;
use crate::support::page::Browser;
use crate::support::upstream::Upstream;

/// The grant of clients that act for people.
const JWT_BEARER: &str = mcpgate::oauth::GrantType::JwtBearer.as_str();

const DISCOVER: &str = "curl -X GET https://mcp.razorpay.com/.well-known/oauth-authorization-server";
const REGISTER: &str = r#"curl -H 'Content-Type: application/json' \
-X POST https://mcp.razorpay.com/register \
-d '{ "client_name": "MCP Inspector", "redirect_uris": [ "http://localhost:6274/oauth/callback/debug" ], "grant_types": [ "authorization_code", "refresh_token" ], "response_types": [ "code" ], "scope": "read_only", "token_endpoint_auth_method": "none", "client_uri": "https://github.com/modelcontextprotocol/inspector" }'"#;
const AUTHORIZE: &str = "https://mcp.razorpay.com/authorize?response_type=code&client_id=xyz123&redirect_uri=https://cli.tool/callback&scope=read_only&state=random_state_string&code_challenge=hashed_code_verifier&code_challenge_method=S256";
const EXCHANGE: &str = r#"curl -X POST https://mcp.razorpay.com/token \
-H "Content-Type: application/x-www-form-urlencoded" \
-d "grant_type=authorization_code" \
-d "client_id=xyz123" \
-d "client_secret=secret456" \
-d "code=authCodeXYZ" \
-d "redirect_uri=https://cli.tool/callback" \
-d "code_verifier=rawRandomStringUsedEarlier""#;
const CALL: &str = r#"curl -X GET https://mcp.razorpay.com/api/tool-endpoint \
-H "Authorization: Bearer mcp_access_token_abc123""#;
const CALL_PAYMENTS: &str = r#"curl -X GET https://mcp.razorpay.com/api/payments/pay_123456 \
-H "Authorization: Bearer mcp_access_token_abc123""#;

/// The tools of the MCP server: one says that it only reads.
fn upstream() -> Upstream {
    let tool =
        |name: &str, reads: bool| json!({"name": name, "inputSchema": {}, "annotations": {"readOnlyHint": reads}});
    let tools = json!({"tools": [tool("fetch_payment", true), tool("create_refund", false)]});
    Upstream::with(move |method| match method {
        "initialize" => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}),
        "tools/list" => tools.clone(),
        _ => json!({}),
    })
}

/// Steps 1 and 2: discovery, and clients that register themselves.
async fn discover_and_register(home: &Home) {
    let (mut client, issuer) = (Client::new(home), home.origin());
    let metadata = client.send(curl(DISCOVER, &[])).await.json();
    for (member, value) in [
        ("issuer", json!(issuer)),
        ("authorization_endpoint", json!(format!("{issuer}/authorize"))),
        ("token_endpoint", json!(format!("{issuer}/token"))),
        ("registration_endpoint", json!(format!("{issuer}/register"))),
        ("response_types_supported", json!(["code"])),
        ("grant_types_supported", json!(["authorization_code", "client_credentials", "refresh_token", JWT_BEARER])),
        ("code_challenge_methods_supported", json!(["S256"])),
        // Not as in the guide.
        ("scopes_supported", json!(["read_only", "offline_access"])),
    ] {
        assert_eq!(metadata[member], value, "{member}");
    }
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("client_secret_post")) && methods.contains(&json!("none")), "{methods:?}");
    let public = client.send(curl(REGISTER, &[])).await;
    let confidential = client.send(curl(REGISTER, &[("\"none\"", "\"client_secret_post\"")])).await;
    for (reply, method) in [(public, "none"), (confidential, "client_secret_post")] {
        assert_eq!(reply.status, 201, "{reply:?}");
        let registered = reply.json();
        assert!(registered["client_id"].is_string() && registered["client_id_issued_at"].is_u64(), "{registered}");
        for (member, value) in [
            ("client_name", json!("MCP Inspector")),
            ("redirect_uris", json!(["http://localhost:6274/oauth/callback/debug"])),
            ("grant_types", json!(["authorization_code", "refresh_token"])),
            ("response_types", json!(["code"])),
            ("token_endpoint_auth_method", json!(method)),
            ("scope", json!("read_only")),
            ("application_id", Value::Null),
            ("client_secret_expires_at", if method == "none" { Value::Null } else { json!(0) }),
        ] {
            assert_eq!(registered[member], value, "{member}");
        }
        assert_eq!(registered["client_secret"].is_string(), method != "none");
        assert_ne!(registered["application_type"], "public");
    }
}

/// Steps 3 and 4; returns the code, and the verifier of its challenge.
async fn sign_in(home: &Home, id: &str) -> (String, String) {
    let mut browser = Browser::new(home);
    let target = AUTHORIZE.trim_start_matches("https://mcp.razorpay.com");
    expect::local(&browser.get(target).await);
    let target = target.replace("xyz123", id);
    // The challenge of the example, and none: it is recommended there, and required here.
    for (target, words) in [
        (target.clone(), "43"),
        (target.replace("&code_challenge=hashed_code_verifier&code_challenge_method=S256", ""), "code_challenge"),
    ] {
        let answer = browser.get(&target).await;
        assert_eq!(parameter(&answer, "error"), "invalid_request");
        assert!(parameter(&answer, "error_description").contains(words), "{answer:?}");
    }
    let verifier = random();
    let target = target.replace("hashed_code_verifier", &challenge(&verifier));
    let page = browser.ask(&target).await;
    assert!(page.text().contains("My application") && page.text().contains("Razorpay"), "{}", page.text());
    let denied = browser.decide(&page, "deny").await;
    assert_eq!(parameter(&denied, "error"), "access_denied");
    let page = browser.ask(&target).await;
    let answer = browser.decide(&page, "approve").await;
    assert!(answer.header("location").starts_with("https://cli.tool/callback?"), "{answer:?}");
    assert_eq!(parameter(&answer, "state"), "random_state_string");
    assert_eq!(parameter(&answer, "iss"), home.origin());
    (parameter(&answer, "code"), verifier)
}

#[tokio::test]
async fn every_request_of_the_razorpay_guide_is_answered_as_its_recipe_says() {
    let (recipe, upstream) = (Recipe::read("razorpay"), upstream());
    let gateway = recipe.start(&upstream).await;
    let home = &gateway.home;
    discover_and_register(home).await;
    let added = recipe.run(home, "mcpgate client add");
    let (id, secret) = (added["client_id"].as_str().unwrap(), added["client_secret"].as_str().unwrap());
    let (code, verifier) = sign_in(home, id).await;

    // Step 5.
    let mut client = Client::new(home);
    expect::refused(&client.send(curl(EXCHANGE, &[])).await, "invalid_client");
    let values = [("xyz123", id), ("secret456", secret), ("authCodeXYZ", &code)];
    let short = client.send(curl(EXCHANGE, &values)).await;
    expect::refused(&short, "invalid_grant");
    assert!(short.member("error_description").contains("43"), "{short:?}");
    let values = [&values[..], &[("rawRandomStringUsedEarlier", &verifier)]].concat();
    let tokens = client.send(curl(EXCHANGE, &values)).await.json();
    let expected = (&json!("Bearer"), &json!(3600), &json!("read_only"));
    assert_eq!((&tokens["token_type"], &tokens["expires_in"], &tokens["scope"]), expected);
    assert!(tokens["refresh_token"].is_string(), "not as in the guide");

    // Step 6, and the end of the session.
    let token = tokens["access_token"].as_str().unwrap();
    assert!(token.starts_with("mcp_access_"), "{token}");
    let mut call = async |command: &str, token: &str| -> Reply {
        client.send(curl(command, &[("mcp_access_token_abc123", token)])).await
    };
    assert_eq!(call(CALL, "mcp_access_token_abc123").await.status, 401);
    for (command, end) in [(CALL, "/tool-endpoint"), (CALL_PAYMENTS, "/payments/pay_123456")] {
        assert_eq!(call(command, token).await.status, 200);
        let seen = upstream.seen(end);
        assert_eq!((seen.len(), &seen[0].headers["x-mcpgate-user"]), (1, &"admin".parse().unwrap()));
    }
    // What the guide is about: the tools of the server, with the same token.
    let tool = async |name: &str, token: &str| -> Reply {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}});
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        Client::new(home).send(request(Method::POST, "/mcp", &headers, message.to_string())).await
    };
    assert_eq!(tool("fetch_payment", "mcp_access_token_abc123").await.status, 401);
    assert_eq!(tool("fetch_payment", token).await.status, 200);
    let seen = upstream.seen("fetch_payment");
    assert_eq!((seen.len(), &seen[0].headers["x-mcpgate-user"]), (1, &"admin".parse().unwrap()));
    let refused = tool("create_refund", token).await.json();
    assert_eq!(refused["error"]["message"], "no scope of this server allows this");
    assert!(upstream.seen("create_refund").is_empty());
    let document = Client::new(home).get("/.well-known/oauth-protected-resource").await.json();
    assert_eq!((&document["resource"], &document["resource_name"]), (&json!(home.origin()), &json!("Razorpay")));
    let changed = call(&CALL_PAYMENTS.replace("-X GET", "-X POST"), token).await;
    assert_eq!(changed.status, 403, "the scope only reads");
    expect::refused(&client.send(curl(EXCHANGE, &values)).await, "invalid_grant");
    assert_eq!(client.send(curl(CALL, &[("mcp_access_token_abc123", token)])).await.status, 401, "a code is used once");
}
