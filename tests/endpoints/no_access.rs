//! The page for a person who may hold no token for what is asked for.

use mcpgate::store::AuditEvent;

use super::authorize::{REDIRECT, request};
use super::page::{Browser, Page};
use super::password::PASSWORD;
use super::site::{NAME, Site, only};

/// An upstream that is not for `NAME`.
const CLOSED: &str = r#"
[[upstream]]
name = "closed"
path = "/mcp/closed"
url = "http://127.0.0.1:1/mcp"
display_name = "Acme <payroll>"
allow_users = ["grace"]

[[upstream.scope]]
name = "payroll:read"
title = "Read it"
"#;

#[tokio::test]
async fn who_may_hold_no_token_is_told_so_and_the_button_leads_back_with_access_denied() {
    let site = Site::with(CLOSED).await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let asked = [("resource", "https://gw.example/mcp/closed"), ("scope", "payroll:read")];
    let login = browser.begin(&request(&client, &asked)).await;
    let answer = browser.post("/login", &login.form(&[("username", NAME), ("password", PASSWORD)])).await;
    let at = answer.header("location").to_owned();
    let shown = browser.get(&at).await;
    assert_eq!(shown.status, 403);
    let page = Page::new(&at, shown.text());
    for words in
        ["You have no access to", "Acme &#60;payroll&#62;", "<strong>ada</strong>", "administrator", "Not you?"]
    {
        assert!(page.html.contains(words), "{words}: {page}");
    }
    assert!(!page.html.contains("value=\"approve\""), "{page}");
    // A form that approves nevertheless gets the page again.
    let approve = [("scope", "payroll:read"), ("decision", "approve")];
    assert_eq!(browser.post("/consent", &page.form(&approve)).await.status, 403);
    assert_eq!(site.count(AuditEvent::ConsentGiven).await, 0);
    let back = browser.post("/consent", &page.form(&[("decision", "deny")])).await.redirected(REDIRECT);
    assert_eq!((only(&back, "error"), only(&back, "state")), ("access_denied", "s 1"));
}
