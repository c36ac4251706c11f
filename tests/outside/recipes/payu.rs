//! The authentication page of PayU's Remote MCP. It has no literal requests: the headings of its "Flow Steps" and what
//! it says about tokens, permissions and revocation are replayed. That a token ends after its lifetime is tested with a
//! clock elsewhere.

use hyper::Method;
use serde_json::{Value, json};

use super::recipe::Recipe;
use crate::expect;
use crate::shared::CALLBACK;
use crate::support::application::{Application, Authorized, Tokens, parameter, random};
use crate::support::client::{Client, Reply, mcp_request, request};
use crate::support::gateway::Home;
use crate::support::page::{Browser, form_to};
use crate::support::upstream::Upstream;

/// Tools as a payment service has them, one for each permission.
const TOOLS: [&str; 4] = ["list_transactions", "create_refund", "get_settlement", "download_report"];
/// "Common permissions include": titles and words.
const PERMISSIONS: [[&str; 2]; 4] = [
    ["Transaction Access", "View and manage transactions"],
    ["Refund Operations", "Process refunds"],
    ["Settlement Information", "Access settlement data"],
    ["Report Generation", "Create and download reports"],
];

fn upstream() -> Upstream {
    Upstream::with(|method| match method {
        "tools/list" => json!({ "tools": TOOLS.map(|name| json!({"name": name, "inputSchema": {}})) }),
        _ => json!({}),
    })
}

async fn call(client: &mut Client, token: &str, tool: &str) -> Reply {
    client.send(mcp_request(token, "tools/call", &json!({ "name": tool }))).await
}

/// "Client Discovers Authentication": only the URL of the server is known.
async fn discover(home: &Home) -> Application {
    let mut client = Client::new(home);
    let challenged = client.send(request(Method::POST, "/mcp", &[("content-type", "application/json")], "{}")).await;
    expect::challenged(&challenged, &home.origin(), "/mcp", None);
    let resource = client.get("/.well-known/oauth-protected-resource/mcp").await.json();
    assert_eq!(resource["authorization_servers"], json!([home.origin()]));
    assert_eq!(resource["scopes_supported"], json!(["refunds", "reports", "settlements", "transactions"]));
    let server = client.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));
    Application::register(home, CALLBACK).await
}

/// "Browser Opens", "Enter Credentials", "Approve Permissions", "Tokens Stored Securely". Refunds can do harm, so they
/// are approved only if the user ticks their box.
async fn sign_in(home: &Home, application: &Application, browser: &mut Browser, with_refunds: bool) -> Value {
    let verifier = random();
    let page = browser.ask(&application.request(&verifier, &[])).await;
    for words in PERMISSIONS.as_flattened() {
        assert!(page.text().contains(words), "{words} is not on {}", page.text());
    }
    let mut form = form_to(&page, "/consent");
    form.set("decision", "approve");
    if with_refunds {
        form.fields.push(("scope".to_owned(), "refunds".to_owned()));
    }
    let answer = browser.submit(&form).await;
    let authorized = Authorized { code: parameter(&answer, "code"), verifier };
    application.redeem(&mut Client::new(home), &authorized).await.json()
}

#[tokio::test]
async fn every_step_of_the_payu_page_happens_as_its_recipe_says() {
    let (recipe, upstream) = (Recipe::read("payu"), upstream());
    let gateway = recipe.start(&upstream).await;
    let (home, mut browser) = (&gateway.home, Browser::new(&gateway.home));
    let application = discover(home).await;
    let tokens = sign_in(home, &application, &mut browser, false).await;
    assert_eq!(tokens["expires_in"], 4 * 3600, "several hours");
    assert_eq!(tokens["scope"], "reports settlements transactions");

    // "All subsequent requests use stored tokens", and "every request is validated before execution".
    let mut client = Client::new(home);
    let token = tokens["access_token"].as_str().unwrap();
    for tool in TOOLS {
        let is_refund = tool == "create_refund";
        let reply = call(&mut client, token, tool).await;
        assert_eq!(reply.status, if is_refund { 403 } else { 200 }, "{tool}: {reply:?}");
        assert_eq!(upstream.seen(tool).is_empty(), is_refund, "{tool}");
    }
    let listed = client.send(mcp_request(token, "tools/list", &json!({}))).await;
    assert!(listed.text().contains("get_settlement") && !listed.text().contains("create_refund"), "{listed:?}");

    // "Your client automatically refreshes tokens when needed".
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let refreshed = Tokens::from(&application.refresh(&mut client, refresh).await);
    assert_eq!(call(&mut client, &refreshed.access, "get_settlement").await.status, 200);

    // "Revoking Access", on the page that users know.
    let page = browser.open("/security").await;
    assert!(page.text().contains("Connected applications"), "{}", page.text());
    let revoked = browser.submit(&form_to(&page, "/account/revoke")).await;
    assert_eq!(revoked.status, 303, "{revoked:?}");
    let refused = call(&mut client, &refreshed.access, "get_settlement").await;
    expect::challenged(&refused, &home.origin(), "/mcp", Some("invalid_token"));
    expect::refused(&application.refresh(&mut client, &refreshed.refresh).await, "invalid_grant");

    // "Re-Authentication".
    let tokens = sign_in(home, &application, &mut browser, true).await;
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(call(&mut client, token, "create_refund").await.status, 200);
}
