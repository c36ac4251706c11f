//! Upstreams under one audience: one document, one consent page, and the URL of each stands for their resource.

use std::sync::Arc;

use async_trait::async_trait;
use mcpgate::clock::Clock as _;
use mcpgate::issuer::{OfferedTool, OfferedTools};
use mcpgate::oauth::{AccountId, TenantId, Timestamp};
use mcpgate::policy::Annotations;
use mcpgate::store::{GrantFilter, GrantStore};

use super::authorize::{REDIRECT, VERIFIER, request};
use super::page::Browser;
use super::site::{Site, only};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const SHOP: &str = r#"
[[upstream]]
name = "mcp"
path = "/mcp"
resource = "/"
url = "http://127.0.0.1:1/mcp"
display_name = "Shop"
scopes = "read_only"

[[upstream]]
name = "more"
path = "/mcp/more"
resource = "/"
url = "http://127.0.0.1:1/more"

[[upstream.scope]]
name = "stock"
title = "Change the stock"
allow = ["tools/call"]

[[upstream]]
name = "api"
path = "/v1/api"
kind = "http"
resource = "/"
url = "http://127.0.0.1:1/"
scopes = "read_only"

[[upstream]]
name = "other"
path = "/other"
url = "http://127.0.0.1:1/"
"#;

/// The tools of the two MCP servers.
struct Tools;

#[async_trait]
impl OfferedTools for Tools {
    async fn tools(&self, upstream: &str, _: &AccountId, _: Timestamp) -> Option<Vec<OfferedTool>> {
        let tool = |name: &str, annotations| OfferedTool { name: name.to_owned(), title: None, annotations };
        let reads = Annotations::of(Some(true), None, None);
        match upstream {
            "mcp" => Some(vec![tool("look", reads), tool("count", reads)]),
            "more" => Some(vec![tool("count", Annotations::UNKNOWN), tool("refill", Annotations::UNKNOWN)]),
            _ => panic!("{upstream} has no tools"),
        }
    }
}

async fn shop() -> Site {
    Site::offering(SHOP, Arc::new(Tools)).await
}

#[tokio::test]
async fn upstreams_that_share_a_resource_have_one_document() {
    let site = shop().await;
    let mut shared = None;
    // Clients that were not told of the document look for one of the URL that they call.
    for (suffix, resource) in [
        ("", "https://gw.example"),
        ("/", "https://gw.example/"),
        ("/mcp", "https://gw.example/mcp"),
        ("/mcp/", "https://gw.example/mcp/"),
        ("/v1/api", "https://gw.example/v1/api"),
    ] {
        let answer = site.ask("GET", &format!("{WELL_KNOWN}{suffix}"), &[]).await;
        assert_eq!((answer.status, answer.member("resource")), (200, resource.to_owned()), "{suffix}");
        let mut document = answer.json();
        document.as_object_mut().unwrap().remove("resource");
        let shared = shared.get_or_insert_with(|| document.clone());
        assert_eq!((&*shared, &document["resource_name"]), (&document, &serde_json::json!("Shop")));
        assert_eq!(document["scopes_supported"], serde_json::json!(["read_only"]));
    }
    assert_eq!(site.ask("GET", &format!("{WELL_KNOWN}/v1"), &[]).await.status, 404);
    let other = site.ask("GET", &format!("{WELL_KNOWN}/other"), &[]).await;
    assert_eq!(other.member("resource"), "https://gw.example/other");
}

#[tokio::test]
async fn one_consent_covers_all_of_them_and_lists_the_tools_of_each() {
    let site = shop().await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    // The URL that the client calls.
    let named = [("resource", "https://gw.example/mcp/more"), ("scope", "read_only stock")];
    let login = browser.begin(&request(&client, &named)).await;
    let page = browser.log_in(&login).await;
    for words in ["Shop", "Read only", "Change the stock", "look", "refill", "https://gw.example"] {
        assert!(page.html.contains(words), "{words}: {page}");
    }
    // Both servers have a tool of this name: leaving it out concerns both, so it stands there once.
    assert_eq!(page.html.matches("<bdi>count</bdi>").count(), 1, "{page}");
    assert_eq!(page.html.matches("Tools that only read (1)").count(), 1, "{page}");
    assert_eq!(page.html.matches("Tools that may delete or overwrite (2)").count(), 1, "{page}");
    let form = page.form(&[("listed", page.hidden("listed")), ("scope", "read_only"), ("decision", "approve")]);
    let pairs = browser.post("/consent", &form).await.redirected(REDIRECT);
    let redeem = async |resource: &str| {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client.as_str()),
            ("code", only(&pairs, "code")),
            ("code_verifier", VERIFIER),
            ("redirect_uri", REDIRECT),
            ("resource", resource),
        ];
        site.submit("/token", &form, &[]).await
    };
    assert_eq!(redeem("https://gw.example/other").await.member("error"), "invalid_target");
    let tokens = redeem("https://gw.example/v1/api").await;
    assert_eq!((tokens.status, tokens.member("scope")), (200, "read_only".to_owned()));
    let all = GrantFilter::of_tenant(&TenantId::default());
    let grants = site.store.list_grants(&all, site.clock.now()).await.unwrap();
    assert_eq!(grants[0].resource.as_str(), "https://gw.example");
    let refreshed = [
        ("grant_type", "refresh_token"),
        ("client_id", client.as_str()),
        ("refresh_token", &*tokens.member("refresh_token")),
        ("resource", "https://gw.example/mcp"),
    ];
    assert_eq!(site.submit("/token", &refreshed, &[]).await.status, 200);
    let page = browser.page("/account").await;
    assert_eq!(page.html.matches("Make an API key for Shop").count(), 1, "one key is good for all: {page}");
    assert!(page.html.contains("Make an API key for other"), "{page}");
}
