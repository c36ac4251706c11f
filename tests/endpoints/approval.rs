//! The page of a sign-in that waits for an operator (`registration.mode = "approval"`).

use mcpgate::issuer::Administration;
use mcpgate::oauth::{Lifetime, TenantId};
use mcpgate::store::AuditEvent;

use super::authorize::{REDIRECT, request};
use super::page::{Browser, Page};
use super::site::{Site, only};

const APPROVAL: &str = "[registration]\nmode = \"approval\"\n";

async fn decide(site: &Site, client: &str, approved: bool) {
    let operator = Administration::new(site.services.clone(), TenantId::default());
    operator.decide_client(client, approved, None).await.unwrap();
}

/// The page that waits, after signing in.
async fn waiting(browser: &mut Browser<'_>, client: &str) -> Page {
    let login = browser.begin(&request(client, &[])).await;
    let page = browser.log_in(&login).await;
    assert!(page.html.contains("<h1>Waiting for approval</h1>"), "{page}");
    page
}

#[tokio::test]
async fn the_page_reloads_itself_until_the_operator_has_decided_and_the_sign_in_goes_on() {
    let site = Site::with(APPROVAL).await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let page = waiting(&mut browser, &client).await;
    for words in ["<strong>ada</strong>", "Not you?", "Acme sales", "10 minutes", "Check now", &client] {
        assert!(page.html.contains(words), "{words}: {page}");
    }
    assert!(!page.html.contains("<script") && !page.html.contains("value=\"approve\""), "{page}");
    let answer = browser.get(&page.at).await;
    assert_eq!(answer.header("refresh"), format!("10; url={}", page.at));
    // Who does not want that reloads by a link.
    let still = browser.get(&format!("{}&still=yes", page.at)).await;
    assert_eq!((still.status, still.headers.contains_key("refresh")), (200, false));
    let text = still.text();
    assert!(text.contains("does not reload by itself") && text.contains("&#38;still=yes\">Check now"), "{text}");
    decide(&site, &client, true).await;
    let consent = browser.page(&page.at).await;
    assert!(!browser.get(&page.at).await.headers.contains_key("refresh"));
    let back = browser.post("/consent", &consent.approval()).await.redirected(REDIRECT);
    assert_eq!(only(&back, "state"), "s 1");
    assert!(!only(&back, "code").is_empty());
}

#[tokio::test]
async fn a_form_approves_nothing_before_the_operator_does() {
    let site = Site::with(APPROVAL).await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let page = waiting(&mut browser, &client).await;
    for decision in [&[("decision", "approve")][..], &[("decision", "approve"), ("scope", "sales:read")]] {
        let answer = browser.post("/consent", &page.form(decision)).await;
        assert!(answer.text().contains("Waiting for approval"), "{answer:?}");
        assert_eq!(answer.header("refresh"), format!("10; url={}", page.at));
    }
    // A page from before the operator changed their mind.
    decide(&site, &client, true).await;
    let consent = browser.page(&page.at).await;
    decide(&site, &client, false).await;
    let answer = browser.post("/consent", &consent.approval()).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("This application may not connect"), "{answer:?}");
    assert_eq!(site.count(AuditEvent::ConsentGiven).await, 0);
}

#[tokio::test]
async fn the_button_leads_back_with_an_error_while_it_waits_and_after_a_rejection() {
    for rejected in [false, true] {
        let site = Site::with(APPROVAL).await;
        let client = site.register(REDIRECT).await;
        let mut browser = Browser::new(&site);
        let page = waiting(&mut browser, &client).await;
        let page = if rejected {
            decide(&site, &client, false).await;
            let answer = browser.get(&page.at).await;
            assert_eq!((answer.status, answer.headers.contains_key("refresh")), (403, false));
            Page::new(&page.at, answer.text())
        } else {
            page
        };
        let back = browser.post("/consent", &page.form(&[("decision", "deny")])).await.redirected(REDIRECT);
        assert_eq!((only(&back, "error"), only(&back, "state")), ("access_denied", "s 1"));
        let said = if rejected { "has not let this application in" } else { "has not approved this application yet" };
        assert!(only(&back, "error_description").contains(said), "{back:?}");
    }
}

#[tokio::test]
async fn when_nobody_has_decided_in_time_the_page_leads_back_and_to_another_try() {
    let site = Site::with(APPROVAL).await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let page = waiting(&mut browser, &client).await;
    site.clock.advance(Lifetime::from_secs(600));
    let answer = browser.get(&page.at).await;
    assert_eq!((answer.status, answer.headers.contains_key("refresh")), (400, false));
    let text = answer.text();
    assert!(text.contains("Nobody has decided yet") && text.contains("10 minutes"), "{text}");
    let links: Vec<_> = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.iter().any(|link| link.starts_with("/authorize?")), "{links:?}");
    let back = links.iter().find(|link| link.starts_with(REDIRECT)).unwrap();
    assert!(back.contains("error=access_denied") && back.contains("state="), "{back}");
    decide(&site, &client, true).await;
    let again = links.iter().find(|link| link.starts_with("/authorize?")).unwrap().replace("&#38;", "&");
    let consent = browser.begin(&again).await;
    assert!(consent.html.contains("value=\"approve\""), "the operator was late: {consent}");
}

#[tokio::test]
async fn a_rejected_client_is_told_so_on_a_page_with_a_link_before_anybody_signs_in() {
    let site = Site::with(APPROVAL).await;
    let client = site.register(REDIRECT).await;
    decide(&site, &client, false).await;
    let answer = Browser::new(&site).get(&request(&client, &[])).await;
    answer.assert_local();
    let text = answer.text();
    for words in ["This application cannot connect", "has not let this application in", "error=access_denied"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
