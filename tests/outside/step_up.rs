//! How clients ask for a scope that they lack, each as it is known to: for the union of what they have and what the
//! challenge names, for what is new alone, as a client registered anew, and as ChatGPT does.

use std::net::TcpListener;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::shared::Shared;
use crate::support::application::{Application, Authorized, parameter, random};
use crate::support::client::{Client, Reply, mcp_request};
use crate::support::gateway;
use crate::support::page::Browser;
use crate::support::upstream::Upstream;

const WEB: &str = "https://app.example/callback";
const LOOPBACK: &str = "http://127.0.0.1/callback";

/// A proxy that never answers, so that the copy of ChatGPT's document that comes with the program is used.
static SILENT: LazyLock<TcpListener> = LazyLock::new(|| TcpListener::bind("127.0.0.1:0").expect("a free port"));

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let upstream = Upstream::with(|method| match method {
        "tools/list" => json!({"tools": [{"name": "look"}, {"name": "write"}]}),
        _ => json!({"content": []}),
    });
    let config = format!(
        r#"
[outbound]
proxy = "http://{proxy}"

[[upstream]]
name = "tools"
path = "/mcp"
url = "{url}"
security_schemes = true

[[upstream.scope]]
name = "read"
title = "Look"
allow = ["tools/list", "tools/call:look"]

[[upstream.scope]]
name = "write"
title = "Write"
allow = ["tools/call:write"]
"#,
        url = upstream.url,
        proxy = SILENT.local_addr().expect("an address"),
    );
    Shared { home: gateway::shared(&config, None), upstream }
});

/// A user with a client, which has a token.
struct Profile {
    application: Application,
    browser: Browser,
    token: String,
}

impl Profile {
    /// Connects with `read` alone.
    async fn connect(application: Application) -> Self {
        let mut profile = Self { application, browser: Browser::new(&SHARED.home), token: String::new() };
        assert_eq!(profile.authorize("read").await, "read");
        assert_eq!(profile.ask("tools/list", json!({})).await.status, 200);
        profile
    }

    async fn registered(redirect_uri: &str) -> Self {
        Self::connect(Application::register(&shared().await.home, redirect_uri).await).await
    }

    /// Sends the user to approve what the page proposes, and returns the scopes of the token.
    async fn authorize(&mut self, scope: &str) -> String {
        let verifier = random();
        let page = self.browser.ask(&self.application.request(&verifier, &[("scope", scope)])).await;
        let code = parameter(&self.browser.decide(&page, "approve").await, "code");
        let authorized = Authorized { code, verifier };
        let reply = self.application.redeem(&mut Client::new(&SHARED.home), &authorized).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        self.token = reply.member("access_token");
        reply.member("scope")
    }

    async fn ask(&self, method: &str, params: Value) -> Reply {
        Client::new(&SHARED.home).send(mcp_request(&self.token, method, &params)).await
    }

    async fn write(&self) -> Reply {
        self.ask("tools/call", json!({"name": "write"})).await
    }

    /// Calls what the token does not open; returns the scopes that the challenge names.
    async fn challenged(&self) -> String {
        let reply = self.write().await;
        assert_eq!(reply.status, 403, "{reply:?}");
        scope_of(reply.header("www-authenticate"))
    }

    async fn assert_writes(&self) {
        let reply = self.write().await;
        assert_eq!((reply.status, reply.json()["result"]["content"].is_array()), (200, true), "{reply:?}");
        assert!(reply.json()["result"]["isError"].is_null(), "{reply:?}");
    }
}

async fn shared() -> &'static Shared {
    SHARED.home.wait_until_healthy().await;
    &SHARED
}

/// The value of `scope` in a challenge for a scope.
fn scope_of(challenge: &str) -> String {
    assert!(challenge.starts_with("Bearer error=\"insufficient_scope\", error_description=\""), "{challenge}");
    let scope = challenge.split_once("scope=\"").and_then(|(_, rest)| rest.split_once('"'));
    scope.unwrap_or_else(|| panic!("no scope in {challenge}")).0.to_owned()
}

#[tokio::test]
async fn a_client_asks_for_the_union_and_goes_on_with_it() {
    for redirect in [WEB, LOOPBACK] {
        let mut profile = Profile::registered(redirect).await;
        let wanted = profile.challenged().await;
        assert_eq!(wanted, "read write");
        assert_eq!(profile.authorize(&wanted).await, "read write", "{redirect}");
        profile.assert_writes().await;
        assert_eq!(profile.ask("tools/list", json!({})).await.status, 200);
    }
}

#[tokio::test]
async fn a_client_that_asks_for_what_is_new_keeps_the_rest_where_its_page_is_known() {
    let mut profile = Profile::registered(WEB).await;
    assert_eq!(profile.authorize("write").await, "read write");
    profile.assert_writes().await;
    // Another program on the computer could pass for this one, so what it held is not ticked.
    let mut profile = Profile::registered(LOOPBACK).await;
    assert_eq!(profile.authorize("write").await, "write");
    profile.assert_writes().await;
    let list = profile.ask("tools/list", json!({})).await;
    assert_eq!((list.status, scope_of(list.header("www-authenticate"))), (403, "read write".to_owned()));
    assert_eq!(profile.authorize("read write").await, "read write");
    assert_eq!(profile.ask("tools/list", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_client_that_registers_anew_gets_what_the_challenge_names() {
    let mut profile = Profile::registered(LOOPBACK).await;
    let (wanted, before) = (profile.challenged().await, profile.token.clone());
    profile.application = Application::register(&shared().await.home, LOOPBACK).await;
    assert_eq!(profile.authorize(&wanted).await, "read write");
    profile.assert_writes().await;
    profile.token = before;
    assert_eq!(profile.challenged().await, "read write", "the client before has what it had");
}

#[tokio::test]
async fn chatgpt_reads_the_challenge_in_the_result_and_asks_for_the_union() {
    let application = Application {
        client_id: "https://chatgpt.com/oauth/client.json".to_owned(),
        secret: None,
        redirect_uri: "https://chatgpt.com/connector_platform_oauth_redirect".to_owned(),
        resource: format!("{}/mcp", shared().await.home.origin()),
    };
    let mut profile = Profile::connect(application).await;
    let list = profile.ask("tools/list", json!({})).await.json();
    let schemes = |scope: &str| json!([{"type": "oauth2", "scopes": [scope]}]);
    let look =
        json!({"name": "look", "securitySchemes": schemes("read"), "_meta": {"securitySchemes": schemes("read")}});
    assert_eq!(list["result"]["tools"], json!([look]), "{list}");
    let reply = profile.write().await;
    assert_eq!((reply.status, reply.headers.contains_key("www-authenticate")), (200, false), "{reply:?}");
    let result = &reply.json()["result"];
    assert_eq!(result["isError"], true, "{reply:?}");
    let challenge = result["_meta"]["mcp/www_authenticate"][0].as_str().expect("a challenge").to_owned();
    let metadata = format!("resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\"", SHARED.home.origin());
    assert!(challenge.contains(&metadata), "{challenge}");
    assert_eq!(profile.authorize(&scope_of(&challenge)).await, "read write");
    profile.assert_writes().await;
    let list = profile.ask("tools/list", json!({})).await.json();
    assert_eq!(list["result"]["tools"][1]["securitySchemes"], schemes("write"));
}
