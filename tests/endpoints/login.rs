//! The login page: what a failure reveals, whose session is created, and where the page may lead (LI, CN, AZ).

use super::authorize::{REDIRECT, request};
use super::page::{Browser, Page, cookie};
use super::password::PASSWORD;
use super::site::{NAME, Site};
use mcpgate::oauth::Lifetime;
use mcpgate::store::AuditEvent;

async fn at_login(site: &Site) -> (Browser<'_>, Page) {
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(site);
    let login = browser.begin(&request(&client, &[])).await;
    (browser, login)
}

#[tokio::test]
async fn the_answer_to_a_failed_login_is_the_same_whoever_was_named() {
    let site = Site::start().await;
    site.add_account("eve").await;
    let (mut browser, login) = at_login(&site).await;
    let mut answers = Vec::new();
    for name in ["eve", "bob"] {
        let answer = browser.post("/login", &login.form(&[("username", name), ("password", "wrong")])).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("role=\"alert\""));
        assert!(!answer.headers.contains_key("www-authenticate"));
        assert!(!answer.headers.contains_key("set-cookie"));
        assert!(!answer.text().contains("wrong\""), "the password is not sent back");
        let mut fields = answer.headers.clone();
        fields.remove("date");
        answers.push((fields, answer.text().replace(&format!("value=\"{name}\""), "")));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn what_was_typed_comes_back_as_text() {
    let site = Site::start().await;
    let (mut browser, login) = at_login(&site).await;
    let name = "\"><script>alert(1)</script>";
    let answer = browser.post("/login", &login.form(&[("username", name), ("password", "x")])).await;
    assert!(!answer.text().contains("<script>"));
    assert!(answer.text().contains("&#34;&#62;&#60;script&#62;"), "{}", answer.text());
}

#[tokio::test]
async fn az_19_az_30_the_transaction_alone_says_where_to_go() {
    let site = Site::start().await;
    let (mut browser, login) = at_login(&site).await;
    let more = [
        ("username", NAME),
        ("password", PASSWORD),
        ("return_to", "https://evil.example"),
        ("next", "//evil.example"),
        ("continue", "https://evil.example"),
        ("redirect_uri", "https://evil.example/cb"),
    ];
    let answer = browser.post("/login", &login.form(&more)).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), format!("/consent?t={}", login.transaction()));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn cn_05_every_login_makes_a_new_session_and_ends_the_old_one() {
    let site = Site::start().await;
    let (mut browser, login) = at_login(&site).await;
    browser.cookies.insert(cookie("s"), "planted".to_owned());
    browser.log_in(&login).await;
    let first = browser.session().unwrap().clone();
    assert_ne!(first, "planted");

    // A login satisfies `prompt=login` if it is not older than the request.
    site.clock.advance(Lifetime::from_secs(1));
    let client = site.register(REDIRECT).await;
    let again = browser.begin(&request(&client, &[("prompt", "login")])).await;
    browser.log_in(&again).await;
    let second = browser.session().unwrap().clone();
    assert_ne!(first, second);

    let mut thief = Browser::new(&site);
    thief.cookies.insert(cookie("s"), first);
    assert!(thief.get("/account").await.header("location").starts_with("/login?t="));
}

#[tokio::test]
async fn cn_06_a_cookie_that_comes_twice_is_believed_in_neither_form() {
    let site = Site::start().await;
    let (mut browser, login) = at_login(&site).await;
    browser.log_in(&login).await;
    let session = browser.session().unwrap();
    let both = format!("{0}={session}; {0}=x", cookie("s"));
    site.ask("GET", "/account", &[("cookie", &both)]).await.assert_local();
    let (name, value) = browser.cookies.iter().find(|(name, _)| name.starts_with(&cookie("t_"))).unwrap();
    let tossed = format!("{name}={value}; {name}={value}");
    site.ask("GET", &login.at, &[("cookie", &tossed)]).await.assert_local();
    assert_eq!(site.refused_pages().await, ["repeated_cookie"; 2]);
}

#[tokio::test]
async fn cn_02_a_post_from_elsewhere_is_refused_before_anything_happens() {
    let site = Site::start().await;
    let (mut browser, login) = at_login(&site).await;
    let before = browser.cookies.clone();
    for from in [
        &[("origin", "https://evil.example")][..],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://sub.gw.example")],
        &[("origin", "http://gw.example")],
        &[("origin", "null")],
    ] {
        for path in ["/login", "/consent", "/switch-account", "/account/revoke", "/logout", "/setup"] {
            let form = login.form(&[("username", NAME), ("password", PASSWORD)]);
            let answer = browser.post_from(path, &form, from).await;
            assert_eq!(answer.status, 403, "{path} {from:?}");
            assert!(!answer.headers.contains_key("set-cookie"));
        }
    }
    assert_eq!(before, browser.cookies);
    assert_eq!(site.count(AuditEvent::LoginSucceeded).await, 1, "that of setting the password, in another browser");
    assert_eq!(site.refused_pages().await, ["cross_site"; 20], "of one minute, the others are counted");
    let from = [("origin", "https://other.example"), ("sec-fetch-site", "same-origin")];
    let form = login.form(&[("username", NAME), ("password", PASSWORD)]);
    assert_eq!(browser.post_from("/login", &form, &from).await.status, 303, "another of our own names");
}

#[tokio::test]
async fn cn_07_the_login_form_is_this_browsers() {
    let site = Site::start().await;
    let (mut victim, login) = at_login(&site).await;
    let (_, attackers) = at_login(&site).await;
    for token in [attackers.hidden("form_token"), "", "x"] {
        let form = [("t", login.transaction()), ("form_token", token), ("username", NAME), ("password", PASSWORD)];
        let answer = victim.post("/login", &form).await;
        assert_eq!(answer.status, 403, "{token}");
    }
    assert!(victim.session().is_none());
}

#[tokio::test]
async fn too_many_failures_are_told_when_to_come_again() {
    let site = Site::with("[rates]\nlogin_free_failures = 1\n").await;
    let (mut browser, login) = at_login(&site).await;
    let mut last = None;
    for _ in 0..4 {
        last = Some(browser.post("/login", &login.form(&[("username", NAME), ("password", "wrong")])).await);
    }
    let last = last.unwrap();
    assert_eq!(last.status, 429, "{last:?}");
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(last.text().contains("too many sign-in attempts"));
    assert!(last.text().contains("name=\"password\""), "the form is still there");
}

#[tokio::test]
async fn pages_that_may_lead_to_a_client_let_the_redirect_through() {
    let site = Site::start().await;
    let (mut browser, login) = at_login(&site).await;
    let consent = browser.log_in(&login).await;
    let second = Browser::new(&site).get("/").await;
    assert!(second.header("content-security-policy").contains("form-action 'self'"));
    for at in [login.at.replace("/login", "/consent"), consent.at] {
        let answer = browser.get(&at).await;
        assert!(!answer.header("content-security-policy").contains("form-action"));
        assert!(!answer.headers.contains_key("cross-origin-opener-policy"));
    }
}
