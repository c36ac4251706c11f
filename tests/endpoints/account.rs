//! The account page: its list of applications, how one is disconnected, and how a session ends (CN-19, CN-20).

use mcpgate::clock::Clock as _;
use mcpgate::oauth::{AccountId, GrantId, Lifetime, TenantId};
use mcpgate::store::{AuditEvent, GrantFilter, GrantStore as _};

use super::authorize::{REDIRECT, VERIFIER, request};
use super::page::{Browser, Page, cookie};
use super::password::PASSWORD;
use super::site::{NAME, RESOURCE, Site, only};

pub(crate) async fn at_account(site: &Site) -> (Browser<'_>, Page) {
    let mut browser = Browser::new(site);
    let answer = browser.get("/account").await;
    assert_eq!(answer.status, 303);
    let login = browser.page(answer.header("location")).await;
    let account = browser.log_in(&login).await;
    assert_eq!(account.at, "/account");
    let transactions = browser.cookies.keys().filter(|name| name.starts_with(&cookie("t_")));
    assert_eq!(transactions.count(), 0, "the transaction has ended");
    (browser, account)
}

/// Connects an application and returns its refresh token.
async fn connect(site: &Site, browser: &mut Browser<'_>) -> (String, String) {
    let client = site.register(REDIRECT).await;
    let consent = browser.begin(&request(&client, &[])).await;
    let pairs = browser.post("/consent", &consent.approval()).await.redirected(REDIRECT);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client.as_str()),
        ("code", only(&pairs, "code")),
        ("code_verifier", VERIFIER),
        ("resource", RESOURCE),
    ];
    let tokens = site.submit("/token", &form, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    (client, tokens.json()["refresh_token"].as_str().unwrap().to_owned())
}

async fn newest_grant(site: &Site) -> GrantId {
    let all = GrantFilter::of_account(&TenantId::default(), &AccountId::parse("user-ada").unwrap());
    site.store.list_grants(&all, site.clock.now()).await.unwrap()[0].id
}

#[tokio::test]
async fn the_page_lists_what_is_connected() {
    let site = Site::start().await;
    let (mut browser, empty) = at_account(&site).await;
    assert!(empty.html.contains("No application is connected"));
    connect(&site, &mut browser).await;
    let page = browser.page("/account").await;
    for said in ["Tea &#60;img", "Acme sales", "Read sales data", "Change orders", "21 November 2026", ">Disconnect<"] {
        assert!(page.html.contains(said), "{said} in {page}");
    }
}

#[tokio::test]
async fn the_page_says_when_an_application_was_last_used() {
    let site = Site::start().await;
    let (mut browser, _) = at_account(&site).await;
    connect(&site, &mut browser).await;
    let page = browser.page("/account").await;
    assert!(page.html.contains("<dt>Last used</dt><dd>No use recorded</dd>"), "{page}");
    let grant = newest_grant(&site).await;
    let at = site.clock.now().plus(Lifetime::from_secs(2 * 86_400));
    site.store.note_activity(&[(TenantId::default(), grant, at)]).await.unwrap();
    let page = browser.page("/account").await;
    assert!(page.html.contains("<dt>Last used</dt><dd>23 November 2026</dd>"), "{page}");
}

#[tokio::test]
async fn a_disconnected_application_is_out_at_once() {
    let site = Site::start().await;
    let (mut browser, _) = at_account(&site).await;
    let (client, refresh) = connect(&site, &mut browser).await;
    let page = browser.page("/account").await;
    let token = page.hidden("form_token");
    let app = [("client", page.hidden("client")), ("resource", page.hidden("resource"))];

    assert_eq!(browser.post("/account/revoke", &app).await.status, 403);
    assert_eq!(site.count(AuditEvent::GrantRevoked).await, 0);
    let foreign = browser.post("/account/revoke", &[("form_token", token), ("grant", &"0".repeat(32))]).await;
    assert_eq!((foreign.status, foreign.header("location")), (303, "/account"));

    let answer = browser.post("/account/revoke", &[&app[..], &[("form_token", token)]].concat()).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/account?done=disconnected"));
    let page = browser.page(answer.header("location")).await;
    assert!(page.html.contains("role=\"status\"") && page.html.contains("No application is connected"));
    let form = [("grant_type", "refresh_token"), ("client_id", client.as_str()), ("refresh_token", refresh.as_str())];
    site.submit("/token", &form, &[]).await.assert_tok(400, "invalid_grant");
}

#[tokio::test]
async fn one_users_grant_is_not_anothers_to_end() {
    let site = Site::start().await;
    site.add_account("grace").await;
    let (mut ada, _) = at_account(&site).await;
    connect(&site, &mut ada).await;
    let grant = newest_grant(&site).await.to_string();
    let hers = ada.page("/account").await;
    let app = [("client", hers.hidden("client")), ("resource", hers.hidden("resource"))];

    let mut grace = Browser::new(&site);
    let answer = grace.get("/account").await;
    let login = grace.page(answer.header("location")).await;
    let form = login.form(&[("username", "grace"), ("password", PASSWORD)]);
    assert_eq!(grace.post("/login", &form).await.header("location"), "/account");
    let page = grace.page("/account").await;
    assert!(page.html.contains("No application is connected"), "{page}");
    let token = ("form_token", page.hidden("form_token"));
    for form in [vec![token, ("grant", grant.as_str())], [&app[..], &[token]].concat(), vec![token, ("all", "yes")]] {
        assert_eq!(grace.post("/account/revoke", &form).await.header("location"), "/account");
    }
    assert_eq!(site.count(AuditEvent::GrantRevoked).await, 0);
}

#[tokio::test]
async fn cn_19_only_the_form_signs_out() {
    let site = Site::start().await;
    let (mut browser, page) = at_account(&site).await;
    assert_eq!(browser.get("/logout").await.status, 405);
    assert_eq!(browser.post("/logout", &[]).await.status, 403);
    assert_eq!(browser.get("/account").await.status, 200);

    let old = browser.session().unwrap().clone();
    let answer = browser.post("/logout", &[("form_token", page.hidden("form_token"))]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/?done=signed-out"));
    assert!(browser.session().is_none());
    assert!(browser.page("/?done=signed-out").await.html.contains("You are signed out"));
    let mut thief = Browser::new(&site);
    thief.cookies.insert(cookie("s"), old);
    assert_eq!(thief.get("/account").await.status, 303, "the session is dead, not only its cookie");
}

#[tokio::test]
async fn signing_out_ends_the_applications_of_this_account_only_if_that_is_ticked() {
    let site = Site::start().await;
    let (mut other, page) = at_account(&site).await;
    assert!(!page.html.contains("name=\"applications\""), "nothing is connected: {page}");
    let key = super::account_keys::make(&mut other, &page, &[]).await;
    assert_eq!(key.status, 200);
    for ticked in [false, true] {
        let (mut browser, _) = at_account(&site).await;
        let (client, refresh) = connect(&site, &mut browser).await;
        let page = browser.page("/account").await;
        assert!(page.html.contains("name=\"applications\" value=\"yes\">"), "unticked: {page}");
        let form = [("form_token", page.hidden("form_token")), ("applications", "yes")];
        let answer = browser.post("/logout", if ticked { &form[..] } else { &form[..1] }).await;
        let (done, said) = if ticked {
            ("/?done=signed-out-with-applications", "are disconnected")
        } else {
            ("/?done=signed-out", "stay connected")
        };
        assert_eq!((answer.status, answer.header("location")), (303, done));
        assert!(browser.page(done).await.html.contains(said) && browser.session().is_none());
        let form = [("grant_type", "refresh_token"), ("client_id", &*client), ("refresh_token", &*refresh)];
        assert_eq!(site.submit("/token", &form, &[]).await.status, if ticked { 400 } else { 200 });
    }
    let page = other.page("/account").await;
    assert!(page.html.contains("nightly &#60;b&#62;"), "other browsers and API keys stay: {page}");
}

#[tokio::test]
async fn signing_out_everywhere_ends_other_browsers_and_applications() {
    let site = Site::start().await;
    let (mut stolen, _) = at_account(&site).await;
    let (mut browser, _) = at_account(&site).await;
    let (client, refresh) = connect(&site, &mut browser).await;
    let page = browser.page("/account").await;
    assert!(page.html.contains("Sign out everywhere"));
    assert_eq!(browser.post("/logout", &[("everywhere", "yes")]).await.status, 403);
    assert_eq!(stolen.get("/account").await.status, 200);

    let form = [("form_token", page.hidden("form_token")), ("everywhere", "yes")];
    let answer = browser.post("/logout", &form).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/?done=signed-out-everywhere"));
    assert!(browser.page(answer.header("location")).await.html.contains("signed out everywhere"));
    assert_eq!(stolen.get("/account").await.status, 303, "no browser is signed in");
    assert_eq!(site.count(AuditEvent::SignedOutEverywhere).await, 1);
    let form = [("grant_type", "refresh_token"), ("client_id", client.as_str()), ("refresh_token", refresh.as_str())];
    site.submit("/token", &form, &[]).await.assert_tok(400, "invalid_grant");
}

#[tokio::test]
async fn what_the_query_says_is_never_shown() {
    let site = Site::start().await;
    let (mut browser, _) = at_account(&site).await;
    for target in ["/?done=evil-words", "/account?done=evil-words"] {
        assert!(!browser.page(target).await.html.contains("evil-words"));
    }
}

pub(crate) const NEW: &str = "five-kettles-in-a-row";

/// The form that changes the password, sent by this browser.
pub(crate) async fn change(
    browser: &mut Browser<'_>,
    present: &str,
    new: &str,
    more: &[(&str, &str)],
) -> super::http::Reply {
    let page = browser.page("/account").await;
    let form = [("form_token", page.hidden("form_token")), ("present", present), ("password", new)];
    let form = if more.iter().any(|(name, _)| *name == "repeat") {
        form.to_vec()
    } else {
        [&form[..], &[("repeat", new)]].concat()
    };
    browser.post("/account/password", &[&form[..], more].concat()).await
}

#[tokio::test]
async fn ones_own_new_password_signs_other_browsers_out_and_this_one_in_anew() {
    let site = Site::start().await;
    let (mut stolen, _) = at_account(&site).await;
    let (mut browser, page) = at_account(&site).await;
    assert!(page.html.contains("Change your password"));
    let (client, refresh) = connect(&site, &mut browser).await;
    let old = browser.session().unwrap().clone();
    let answer = change(&mut browser, PASSWORD, NEW, &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/account?done=password-changed"));
    assert_ne!(browser.session(), Some(&old), "a new session");
    let page = browser.page(answer.header("location")).await;
    assert!(page.html.contains("Your password is changed") && page.html.contains("Acme sales"), "{page}");
    assert_eq!(stolen.get("/account").await.status, 303, "signed out");
    let mut copy = Browser::new(&site);
    copy.cookies.insert(cookie("s"), old);
    assert_eq!(copy.get("/account").await.status, 303, "and so is a copy of this browser's cookie");
    // Applications keep their access; the old password is no longer valid.
    let form = [("grant_type", "refresh_token"), ("client_id", client.as_str()), ("refresh_token", refresh.as_str())];
    assert_eq!(site.submit("/token", &form, &[]).await.status, 200);
    for (password, status) in [(PASSWORD, 400), (NEW, 303)] {
        let mut other = Browser::new(&site);
        let login = other.get("/account").await;
        let login = other.page(login.header("location")).await;
        let answer = other.post("/login", &login.form(&[("username", NAME), ("password", password)])).await;
        assert_eq!(answer.status, status);
    }
    assert_eq!(site.count(AuditEvent::PasswordChanged).await, 1);
}

#[tokio::test]
async fn a_new_password_ends_applications_where_that_is_wished() {
    let site = Site::start().await;
    let (mut browser, _) = at_account(&site).await;
    let (client, refresh) = connect(&site, &mut browser).await;
    let answer = change(&mut browser, PASSWORD, NEW, &[("disconnect", "yes")]).await;
    let page = browser.page(answer.header("location")).await;
    assert!(page.html.contains("No application is connected"), "{page}");
    let form = [("grant_type", "refresh_token"), ("client_id", client.as_str()), ("refresh_token", refresh.as_str())];
    site.submit("/token", &form, &[]).await.assert_tok(400, "invalid_grant");
    assert_eq!(site.reasons(AuditEvent::PasswordChanged).await, ["with_grants"]);
}

#[tokio::test]
async fn a_password_is_changed_by_its_own_form_and_the_present_password_only() {
    let site = Site::start().await;
    let (mut browser, page) = at_account(&site).await;
    let session = browser.session().unwrap().clone();
    for (present, new, more, said) in [
        ("wrong-saucer-41", NEW, &[][..], "The current password is wrong."),
        ("", NEW, &[], "The current password is wrong."),
        (PASSWORD, NEW, &[("repeat", "another-kettle")], "The two passwords are not the same."),
        (PASSWORD, "short", &[], "at least 12 characters"),
        (PASSWORD, "manchesterunited", &[], "too easy to guess"),
    ] {
        let answer = change(&mut browser, present, new, more).await;
        assert_eq!(answer.status, 400, "{said}");
        assert!(answer.text().contains(said) && answer.text().contains("<details class=\"fold\" open>"), "{answer:?}");
        assert!(!answer.text().contains(new), "no password is written into a page");
    }
    let form = [("present", PASSWORD), ("password", NEW), ("repeat", NEW)];
    for token in ["", "forged"] {
        let form = [&form[..], &[("form_token", token)]].concat();
        assert_eq!(browser.post("/account/password", &form).await.status, 403);
    }
    let form = [&form[..], &[("form_token", page.hidden("form_token"))]].concat();
    let foreign = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(browser.post_from("/account/password", &form, &foreign).await.status, 403);
    assert_eq!(browser.get("/account/password").await.status, 405);
    let nobody = Browser::new(&site).post("/account/password", &form).await;
    assert_eq!((nobody.status, nobody.header("location")), (303, "/account"));
    assert_eq!(site.count(AuditEvent::PasswordChanged).await, 0);
    assert_eq!(site.reasons(AuditEvent::LoginFailed).await, ["wrong_password"; 2]);
    assert_eq!(browser.session(), Some(&session));
}

#[tokio::test]
async fn the_present_password_is_not_guessed_on_the_account_page() {
    let site = Site::start().await;
    let (mut browser, _) = at_account(&site).await;
    let mut answer = change(&mut browser, "wrong-saucer-41", NEW, &[]).await;
    for _ in 0..20 {
        if answer.status == 429 {
            break;
        }
        answer = change(&mut browser, "wrong-saucer-41", NEW, &[]).await;
    }
    assert_eq!(answer.status, 429, "guesses are delayed as at the login page");
    assert!(answer.text().contains("too many wrong passwords") && answer.headers.contains_key("retry-after"));
    assert_eq!(change(&mut browser, PASSWORD, NEW, &[]).await.status, 429, "the right password is delayed too");
    site.clock.advance(Lifetime::from_secs(60));
    assert_eq!(change(&mut browser, PASSWORD, NEW, &[]).await.status, 303);
}
