//! The applications on the account page: one entry for each client and upstream, what it can do, and what ends with
//! which button.

use std::sync::Arc;

use mcpgate::clock::Clock as _;
use mcpgate::oauth::{AccountId, ClientId, Lifetime, TenantId};
use mcpgate::store::{AuditEvent, AuditRow, AuditStore as _, ClientStore as _, GrantFilter, GrantStore as _};

use super::account::at_account;
use super::authorize::{REDIRECT, VERIFIER, request};
use super::page::{Browser, Page};
use super::site::{RESOURCE, Site, only};
use super::tools::{FILES, Scripted, approve, consent, four, site, words};

const NOTES: &str = "https://gw.example/mcp/notes";

/// Connects a client once more.
async fn connect(site: &Site, browser: &mut Browser<'_>, client: &str, resource: &str) {
    let scope = if resource == RESOURCE { "sales:read sales:write" } else { "" };
    let consent = browser.begin(&request(client, &[("resource", resource), ("scope", scope)])).await;
    let pairs = browser.post("/consent", &consent.approval()).await.redirected(REDIRECT);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", only(&pairs, "code")),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
        ("resource", resource),
    ];
    assert_eq!(site.submit("/token", &form, &[]).await.status, 200);
    site.clock.advance(Lifetime::from_secs(1));
}

/// The grants that stand, each as its client and resource.
async fn standing(site: &Site) -> Vec<(String, String)> {
    let all = GrantFilter::of_account(&TenantId::default(), &AccountId::parse("user-ada").unwrap());
    let grants = site.store.list_grants(&all, site.clock.now()).await.unwrap();
    grants.iter().map(|grant| (grant.client.as_str().to_owned(), grant.resource.as_str().to_owned())).collect()
}

/// Two clients, one of them connected twice to the same upstream and once to another.
async fn connected(site: &Site) -> (Browser<'_>, Page, [String; 2]) {
    let (mut browser, _) = at_account(site).await;
    let (tea, wiki) = (site.register(REDIRECT).await, site.vouched(REDIRECT).await);
    for (client, resource) in [(&tea, RESOURCE), (&tea, RESOURCE), (&tea, NOTES), (&wiki, RESOURCE)] {
        connect(site, &mut browser, client, resource).await;
    }
    let page = browser.page("/account").await;
    (browser, page, [tea, wiki])
}

#[tokio::test]
async fn an_application_is_one_entry_for_each_upstream_with_its_sessions_inside() {
    let site = Site::start().await;
    let (_, page, _) = connected(&site).await;
    let said = words(&page);
    assert_eq!(said.matches(">Disconnect<").count(), 3, "{page}");
    assert_eq!(said.matches("2 sessions:").count(), 1, "{page}");
    assert_eq!(said.matches(">End<").count(), 2, "{page}");
    assert!(said.contains("aria-label=\"End session 2 of Tea &#60;img"), "{page}");
    assert!(said.contains(">Disconnect all applications<"), "{page}");
    let places: Vec<_> =
        ["<bdi>Wiki</bdi>", ">notes<", "2 sessions"].iter().map(|at| said.find(at).expect(at)).collect();
    assert!(places.is_sorted(), "the newest first: {page}");
}

#[tokio::test]
async fn a_person_ends_one_session_one_application_or_all() {
    let site = Site::start().await;
    let (mut browser, page, [tea, wiki]) = connected(&site).await;
    let token = page.hidden("form_token").to_owned();
    let at = |client: &str, resource: &str| (client.to_owned(), resource.to_owned());
    let end = async |browser: &mut Browser<'_>, fields: &[(&str, &str)], done: &str| {
        let form = [&[("form_token", token.as_str())], fields].concat();
        let answer = browser.post("/account/revoke", &form).await;
        assert_eq!((answer.status, answer.header("location")), (303, done), "{fields:?}");
    };
    // What is not theirs, or not there, ends nothing.
    for fields in [
        &[("client", "nobody"), ("resource", RESOURCE)][..],
        &[("client", &tea), ("resource", "https://gw.example/mcp/none")],
        &[("client", &tea)],
        &[("grant", "x")],
        &[],
    ] {
        end(&mut browser, fields, "/account").await;
    }
    assert_eq!(standing(&site).await.len(), 4);
    let session = page.hidden("grant").to_owned();
    end(&mut browser, &[("grant", &session)], "/account?done=session-ended").await;
    assert_eq!(standing(&site).await, [at(&wiki, RESOURCE), at(&tea, NOTES), at(&tea, RESOURCE)]);
    end(&mut browser, &[("client", &tea), ("resource", RESOURCE)], "/account?done=disconnected").await;
    assert_eq!(standing(&site).await, [at(&wiki, RESOURCE), at(&tea, NOTES)]);
    end(&mut browser, &[("client", &tea), ("resource", RESOURCE)], "/account").await;
    end(&mut browser, &[("all", "yes")], "/account?done=all-disconnected").await;
    assert!(standing(&site).await.is_empty());
    assert_eq!(site.count(AuditEvent::GrantRevoked).await, 4, "a row for each session");
    let page = browser.page("/account?done=all-disconnected").await;
    assert!(page.html.contains("All applications are disconnected."), "still signed in: {page}");
}

#[tokio::test]
async fn disconnecting_all_applications_leaves_api_keys() {
    let site = Site::start().await;
    let (mut browser, page, _) = connected(&site).await;
    let made = super::account_keys::make(&mut browser, &page, &[]).await;
    assert_eq!(made.status, 200);
    let form = [("form_token", page.hidden("form_token")), ("all", "yes")];
    assert_eq!(browser.post("/account/revoke", &form).await.header("location"), "/account?done=all-disconnected");
    assert_eq!(standing(&site).await.len(), 1);
    assert!(browser.page("/account").await.html.contains("nightly &#60;b&#62;"));
}

#[tokio::test]
async fn the_page_says_which_tools_an_application_can_use() {
    let site = site(four()).await;
    let client = site.register(REDIRECT).await;
    let (mut browser, page) = consent(&site, &client).await;
    // Without what may destroy, and without one that reads.
    approve(&site, (&mut browser, &page), &client, [&["0", "1"], &["0", "2", "3"]]).await;
    let page = browser.page("/account").await;
    let said = words(&page);
    assert!(said.contains("It can use 2 tools: <span>1 that only reads, 1 that adds or changes</span>"), "{page}");
    for tool in ["<h4>Tools that only read (1)</h4>", "<bdi>get_one</bdi>", "<bdi>add</bdi>"] {
        assert!(said.contains(tool), "{tool} in {page}");
    }
    assert!(!said.contains("get_all") && !said.contains("Drop"), "left out: {page}");
    let tea = ClientId::parse(&client).unwrap();
    let row = AuditRow::new(site.clock.now(), TenantId::default(), AuditEvent::ClientDisabled);
    site.store.set_client_disabled(&tea, true, row).await.unwrap();
    let page = browser.page("/account").await;
    assert!(page.html.contains("An operator has disabled this application."), "{page}");
    assert!(!page.html.contains("It can use 2"), "{page}");
}

#[tokio::test]
async fn tools_are_judged_by_the_rules_and_by_what_the_person_may() {
    let upstream = |users: &str, admitted: &str| {
        format!(
            r#"
[[upstream]]
name = "files"
path = "/mcp/files"
url = "http://127.0.0.1:1/mcp"
display_name = "Files"
{admitted}
default_scopes = ["files:read", "files:all"]
scope = [
    {{ name = "files:read", title = "Read files", allow = ["tools/call:get_*"] }},
    {{ name = "files:all", title = "Change files", allow = ["tools/call"], users = ["{users}"] }},
]

[[upstream.rule]]
effect = "deny"
operations = ["tools/call:get_all"]
"#
        )
    };
    for (users, admitted, expected) in [
        ("ada", "", "It can use 3 tools:"),
        ("grace", "", "It can use 1 tool:"),
        ("ada", "allow_users = [\"grace\"]", "It can use nothing at the moment"),
        ("ada", "required_scopes = [\"files:all\"]", "It can use 3 tools:"),
        ("grace", "required_scopes = [\"files:all\"]", "It can use nothing at the moment"),
    ] {
        let site = Site::offering(&upstream("ada", ""), Arc::new(Scripted(four()))).await;
        let client = site.register(REDIRECT).await;
        let (mut browser, page) = consent(&site, &client).await;
        approve(&site, (&mut browser, &page), &client, [&["0", "1", "2"], &["0", "1", "2"]]).await;
        // The configuration is another one by now.
        site.config.store(Arc::new(super::site::config(&upstream(users, admitted))));
        let page = browser.page("/account").await;
        assert!(words(&page).contains(expected), "{users} {admitted}: {page}");
        assert!(!page.html.contains("get_all"), "a rule denies it: {page}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_does_not_hold_up_the_page() {
    let silent = site(None).await;
    let (mut browser, _) = at_account(&silent).await;
    let client = silent.register(REDIRECT).await;
    connect(&silent, &mut browser, &client, FILES).await;
    let page = browser.page("/account").await;
    assert!(words(&page).contains("Files did not say which tools it has"), "{page}");
    let plain = Site::start().await;
    let (_, page, _) = connected(&plain).await;
    assert_eq!(words(&page).matches("It can use everything that").count(), 3, "nothing there has a map: {page}");
}

#[tokio::test]
async fn the_page_tells_recent_activity_in_words() {
    let site = Site::start().await;
    let (mut browser, page, [tea, _]) = connected(&site).await;
    let wrong = [("present", "wrong-saucer-41")];
    for _ in 0..2 {
        assert_eq!(super::account_keys::make(&mut browser, &page, &wrong).await.status, 400);
    }
    super::account_keys::make(&mut browser, &page, &[]).await;
    let form = [("form_token", page.hidden("form_token")), ("client", &*tea), ("resource", RESOURCE)];
    browser.post("/account/revoke", &form).await;
    let page = browser.page("/account").await;
    let said = words(&page);
    let lines = [
        "You disconnected Tea &#60;img src=x onerror=alert(1)&#62; {{7*7}} from Acme sales",
        "You made the API key nightly &#60;b&#62; for Acme sales",
        "A sign-in with a wrong password failed (2 times)",
        "You approved that Wiki uses Acme sales",
        "You approved that Tea &#60;img src=x onerror=alert(1)&#62; {{7*7}} uses notes",
        "You signed in",
        "You set a new password",
    ];
    let places: Vec<_> =
        lines.iter().map(|line| said.find(line).unwrap_or_else(|| panic!("{line} in {page}"))).collect();
    assert!(places.is_sorted(), "{places:?} in {page}");
    assert!(said.contains("21 November 2026, 00:00 UTC, from 127.0.0.1"), "{page}");
    site.add_account("grace").await;
    let mut grace = Browser::new(&site);
    let answer = grace.get("/account").await;
    let login = grace.page(answer.header("location")).await;
    grace.post("/login", &login.form(&[("username", "grace"), ("password", super::password::PASSWORD)])).await;
    let page = grace.page("/account").await;
    assert!(!words(&page).contains("Acme sales from"), "another person's: {page}");
    for n in 0..50 {
        let subject = Some(AccountId::parse("user-grace").unwrap());
        let event = [AuditEvent::SetupLinkMade, AuditEvent::GroupMemberAdded][n % 2];
        let row = AuditRow { subject, ..AuditRow::new(site.clock.now(), TenantId::default(), event) };
        site.store.append_audit(row).await.unwrap();
    }
    let page = grace.page("/account").await;
    assert_eq!(page.html.matches("An operator").count(), 20, "{page}");
}
