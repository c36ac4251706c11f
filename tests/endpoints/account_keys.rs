//! API keys on the account page: made with the current password, shown once, listed and revoked (AK).

use mcpgate::clock::Clock as _;
use mcpgate::oauth::{TenantId, Timestamp, recognise_bearer};
use mcpgate::store::{AuditEvent, GrantStore as _};

use super::account::at_account;
use super::http::Reply;
use super::page::{Browser, Page};
use super::password::PASSWORD;
use super::site::{RESOURCE, Site};

/// Sends the form of the page that makes a key, with some fields in place of the usual ones.
pub(crate) async fn make(browser: &mut Browser<'_>, page: &Page, other: &[(&str, &str)]) -> Reply {
    let usual = [
        ("form_token", page.hidden("form_token")),
        ("upstream", "sales"),
        ("name", "nightly <b>"),
        ("scope", "sales:read"),
        ("life", "usual"),
        ("present", PASSWORD),
    ];
    let is_other = |name: &str| other.iter().any(|(known, _)| *known == name);
    let form: Vec<_> = usual.into_iter().filter(|(name, _)| !is_other(name)).chain(other.iter().copied()).collect();
    browser.post("/account/keys", &form).await
}

/// The token that a page shows, as the store has it.
async fn stored(site: &Site, made: &Reply) -> Option<mcpgate::oauth::AccessTokenRecord> {
    let html = made.text();
    let key = html.split("<code>").find(|part| part.starts_with("mcp_key_"))?.split('<').next()?;
    let hash = recognise_bearer(key.as_bytes(), &site.services.keys.load())?;
    site.store.find_access_token(&TenantId::default(), &hash, site.clock.now()).await.unwrap()
}

#[tokio::test]
async fn a_key_is_made_shown_once_listed_and_revoked() {
    let site = Site::start().await;
    let (mut browser, page) = at_account(&site).await;
    assert!(page.html.contains("You have no API keys"), "{page}");
    let made = make(&mut browser, &page, &[]).await;
    assert_eq!((made.status, made.header("cache-control")), (200, "no-store"));
    let token = stored(&site, &made).await.unwrap();
    assert_eq!((token.resource.as_str(), token.scopes.to_string().as_str()), (RESOURCE, "sales:read"));
    assert_eq!(token.expires_at.since(site.clock.now()).as_secs(), 90 * 86_400);
    assert!(made.text().contains("nightly &#60;b&#62;") && made.text().contains("19 February 2027"), "{}", made.text());
    let page = browser.page("/account").await;
    for said in ["nightly &#60;b&#62;", "Read sales data", "19 February 2027", ">Revoke<", "revoke all API keys"] {
        assert!(page.html.contains(said), "{said} in {page}");
    }
    assert!(!page.html.contains("mcp_key_") && page.html.contains("No application is connected"), "{page}");
    let form = [("form_token", page.hidden("form_token")), ("grant", page.hidden("grant")), ("key", "yes")];
    let answer = browser.post("/account/revoke", &form).await;
    assert_eq!(answer.header("location"), "/account?done=key-revoked");
    assert!(browser.page(answer.header("location")).await.html.contains("no longer accepted"));
    assert!(stored(&site, &made).await.is_none());
    assert_eq!(site.reasons(AuditEvent::KeyCreated).await, ["nightly <b>"]);
    assert_eq!(site.reasons(AuditEvent::KeyRevoked).await, ["nightly <b>"]);
}

#[tokio::test]
async fn ak_05_a_key_needs_the_password_the_form_of_the_page_and_what_its_owner_may() {
    let site = Site::with("[tokens]\nkey_longest = \"100d\"\n").await;
    let (mut browser, page) = at_account(&site).await;
    assert!(!page.html.contains("until I revoke it") && page.html.contains("90 days"), "{page}");
    for (other, status, said) in [
        ([("present", "wrong")], 400, "The current password is wrong."),
        ([("form_token", "forged")], 403, ""),
        ([("name", "\u{200b}")], 400, "1 to 100 characters"),
        ([("life", "none")], 400, "at most 2400 hours"),
        ([("life", "365d")], 400, "at most 2400 hours"),
        ([("scope", "sales:admin")], 400, "Choose at least one permission."),
        ([("upstream", "unknown")], 400, ""),
    ] {
        let refused = make(&mut browser, &page, &other).await;
        assert!(refused.status == status && refused.text().contains(said), "{other:?}: {refused:?}");
        assert!(!refused.text().contains("mcp_key_"), "{other:?}");
    }
    let mut stranger = Browser::new(&site);
    assert_eq!(make(&mut stranger, &page, &[]).await.header("location"), "/account");
    assert_eq!(site.count(AuditEvent::KeyCreated).await, 0);
    let form = [("form_token", page.hidden("form_token"))];
    let from = [("origin", "https://evil.example")];
    let crossed = browser.post_from("/account/keys", &form, &from).await;
    assert_eq!(crossed.status, 403);
    // More than the owner may is left out.
    let made = make(&mut browser, &page, &[("scope", "sales:read"), ("scope", "sales:admin")]).await;
    assert_eq!(stored(&site, &made).await.unwrap().scopes.to_string(), "sales:read");
}

#[tokio::test]
async fn a_new_password_ends_keys_where_that_is_wished() {
    let site = Site::start().await;
    let (mut browser, page) = at_account(&site).await;
    let made = make(&mut browser, &page, &[("life", "none")]).await;
    assert_eq!(stored(&site, &made).await.unwrap().expires_at, Timestamp::NEVER);
    let page = browser.page("/account").await;
    assert!(page.html.contains("<dt>Expires</dt><dd>Never</dd>") && page.html.contains("stay valid unless"), "{page}");
    super::account::change(&mut browser, PASSWORD, super::account::NEW, &[]).await;
    assert!(stored(&site, &made).await.is_some());
    let more = [("disconnect", "yes")];
    super::account::change(&mut browser, super::account::NEW, "six-kettles-in-a-row", &more).await;
    assert!(stored(&site, &made).await.is_none());
}
