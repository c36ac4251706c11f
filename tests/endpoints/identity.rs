//! The consent page on the client's identity: what is known of the client, and nothing that is not (CN-10).

use super::authorize::request;
use super::page::{Browser, Page};
use super::site::{DOCUMENT, Site};

const VERIFIED: &str = "[client_id_metadata_documents]\nverified_publishers = [\"https://app.example/client.json\"]\n";
const SITE: &str = "https://app.example/cb";
const LOCAL: &str = "http://127.0.0.1:4711/cb";

async fn consent(site: &Site, client: &str, redirect: &str) -> Page {
    let mut browser = Browser::new(site);
    let login = browser.begin(&request(client, &[("redirect_uri", redirect)])).await;
    browser.log_in(&login).await
}

fn words(page: &Page) -> String {
    page.html.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn cn_10_a_verified_publisher_is_named_where_a_site_gets_the_code() {
    let site = Site::with(VERIFIED).await;
    let page = words(&consent(&site, DOCUMENT, SITE).await);
    assert!(page.contains(r#"<span class="badge good">Published by app.example</span>"#), "{page}");
    for other in ["Unverified", "chose this name itself", "notice warn", "on this computer", "Described at"] {
        assert!(!page.contains(other), "{other} in {page}");
    }
    // The operator sets the list; without it the same document is unverified.
    let page = words(&consent(&Site::start().await, DOCUMENT, SITE).await);
    assert!(page.contains(r#"<span class="badge warn">Unverified</span>"#), "{page}");
    assert!(page.contains("<dt>Described at</dt><dd><strong>app.example</strong>"), "{page}");
    assert!(!page.contains("Published by"), "{page}");
}

#[tokio::test]
async fn cn_10_a_program_on_this_computer_says_who_it_is_and_nobody_vouches_for_it() {
    for setting in [VERIFIED, ""] {
        let site = Site::with(setting).await;
        for redirect in [LOCAL, "teapot:/cb"] {
            let page = words(&consent(&site, DOCUMENT, redirect).await);
            let said = "An application on this computer that says it is <q><bdi>Teapot</bdi></q>.";
            assert!(
                page.contains(said) && page.contains("Approve only if you have just started this yourself."),
                "{page}"
            );
            for loud in ["badge", "notice", "Unverified", "Published by"] {
                assert!(!page.contains(loud), "{loud} in {page}");
            }
        }
    }
}

#[tokio::test]
async fn cn_10_a_client_that_gave_no_name_has_chosen_none() {
    let site = Site::start().await;
    for redirect in ["https://c.example/cb", LOCAL] {
        let body = serde_json::json!({ "redirect_uris": [redirect], "token_endpoint_auth_method": "none" });
        let answer = site.post_json("/register", &body.to_string()).await.json();
        let client = answer["client_id"].as_str().unwrap();
        let mut browser = Browser::new(&site);
        let login = browser.begin(&request(client, &[("redirect_uri", redirect)])).await;
        assert!(words(&login).contains("to let an application without a name connect to"), "{login}");
        let page = words(&browser.log_in(&login).await);
        assert!(page.contains("<h1>Connect an application without a name to Acme sales?</h1>"), "{page}");
        assert!(page.contains("gave no name"), "{page}");
        assert!(!page.contains("chose this name itself") && !page.contains(client), "{page}");
    }
}

#[tokio::test]
async fn the_page_says_from_where_an_approval_is_remembered() {
    let site = Site::with(&format!("{VERIFIED}remember_consent = true\n")).await;
    let page = words(&consent(&site, DOCUMENT, SITE).await);
    let said = "you are not asked about the same access again for 90 days, as long as you come from app.example.";
    assert!(page.contains(said), "{page}");
    assert!(!words(&consent(&site, DOCUMENT, LOCAL).await).contains("asked about the same access again"));
}
