//! Set-password links: valid once and for one hour, and easily guessed passwords are refused (LI-07, LI-08).

use mcpgate::oauth::Lifetime;
use mcpgate::store::AuditEvent;

use super::authorize::{REDIRECT, request};
use super::page::{Browser, Page, cookie};
use super::password::PASSWORD;
use super::site::{Site, only};

#[tokio::test]
async fn the_page_of_a_link_that_was_used_or_has_ended_says_no_more() {
    let site = Site::start().await;
    let link = site.invite("grace").await;
    let mut browser = Browser::new(&site);
    let page = browser.page(&format!("/setup?link={link}")).await;
    assert!(page.html.contains("<strong>grace</strong>"));
    assert_eq!(page.hidden("link"), link);
    let form = [("link", link.as_str()), ("password", PASSWORD), ("repeat", PASSWORD)];
    assert_eq!(browser.post("/setup", &form).await.status, 303);
    browser.post("/setup", &form).await.assert_local();
    browser.get(&format!("/setup?link={link}")).await.assert_local();

    let late = site.invite("late").await;
    site.clock.advance(Lifetime::from_secs(3601));
    browser.get(&format!("/setup?link={late}")).await.assert_local();
    let form = [("link", late.as_str()), ("password", PASSWORD), ("repeat", PASSWORD)];
    browser.post("/setup", &form).await.assert_local();
    assert_eq!(site.refused_pages().await, ["dead_link"; 4]);
}

#[tokio::test]
async fn an_invented_link_is_a_dead_one() {
    let site = Site::start().await;
    for target in ["/setup", "/setup?link=", "/setup?link=mcp_session_x", "/setup?link=%3Cscript%3E"] {
        let answer = site.ask("GET", target, &[]).await;
        answer.assert_local();
        assert!(!answer.text().contains("<script>"));
    }
}

#[tokio::test]
async fn a_bad_password_is_refused_with_its_reason_and_costs_nothing() {
    let site = Site::start().await;
    let link = site.invite("grace").await;
    let mut browser = Browser::new(&site);
    for (password, repeat, reason) in [
        ("short", "short", "at least 12 characters"),
        ("Password1!", "Password1!", "at least 12 characters"),
        ("password1234", "password1234", "too easy to guess"),
        ("mcpgatemcpgate", "mcpgatemcpgate", "too easy to guess"),
        (PASSWORD, "something else", "not the same"),
    ] {
        let form = [("link", link.as_str()), ("password", password), ("repeat", repeat)];
        let answer = browser.post("/setup", &form).await;
        assert_eq!(answer.status, 400, "{password}");
        assert!(answer.text().contains(reason), "{password}: {}", answer.text());
        assert!(!answer.text().contains(password), "a password is not sent back");
    }
    assert_eq!(site.refused_pages().await, ["passwords_differ"]);
    let form = [("link", link.as_str()), ("password", PASSWORD), ("repeat", PASSWORD)];
    assert_eq!(browser.post("/setup", &form).await.status, 303);
}

async fn set_password(browser: &mut Browser<'_>, link: &str) -> super::http::Reply {
    browser.post("/setup", &[("link", link), ("password", PASSWORD), ("repeat", PASSWORD)]).await
}

#[tokio::test]
async fn cn_05_setting_a_password_signs_in_with_a_new_session() {
    let site = Site::start().await;
    // Another user is signed in in this browser, and a session is planted in the other one.
    let mut browser = Browser::new(&site);
    let login = browser.get("/account").await;
    let login = browser.page(login.header("location")).await;
    browser.log_in(&login).await;
    let theirs = browser.session().unwrap().clone();
    let mut planted = Browser::new(&site);
    planted.cookies.insert(cookie("s"), "mcp_session_planted".to_owned());
    for (browser, name) in [(&mut browser, "grace"), (&mut planted, "lin")] {
        let before = browser.session().unwrap().clone();
        let link = site.invite(name).await;
        let answer = set_password(browser, &link).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/account?done=password-set"));
        assert_ne!(browser.session(), Some(&before));
        let page = browser.page(answer.header("location")).await;
        assert!(page.html.contains("Your password is set, and you are signed in."), "{page}");
        assert!(page.html.contains(&format!("Signed in as <strong>{name}</strong>")), "{page}");
    }
    let mut copy = Browser::new(&site);
    copy.cookies.insert(cookie("s"), theirs);
    assert_eq!(copy.get("/account").await.status, 303, "the session of before has ended");
    assert_eq!(site.count(AuditEvent::LoginSucceeded).await, 4, "one for each of three passwords, one for the login");
}

#[tokio::test]
async fn setting_a_password_goes_on_with_what_a_client_waits_for() {
    let site = Site::start().await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(&client, &[])).await;
    let link = site.invite("grace").await;
    let answer = set_password(&mut browser, &link).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), format!("/consent?t={}", login.transaction()));
    let consent = browser.page(answer.header("location")).await;
    assert!(consent.html.contains("Signed in as <strong>grace</strong>"), "{consent}");
    let pairs = browser.post("/consent", &consent.approval()).await.redirected(REDIRECT);
    assert_eq!(only(&pairs, "state"), "s 1");

    // A sign-in that another browser began, or that has ended, is not continued.
    let mut stranger = Browser::new(&site);
    let link = site.invite("lin").await;
    assert_eq!(set_password(&mut stranger, &link).await.header("location"), "/account?done=password-set");
    let mut late = Browser::new(&site);
    late.begin(&request(&client, &[])).await;
    site.clock.advance(Lifetime::from_secs(1200));
    let link = site.invite("late").await;
    let answer = set_password(&mut late, &link).await;
    assert_eq!(answer.header("location"), "/account?done=password-set");
    let page = Page::new("/account", late.get("/account").await.text());
    assert!(page.html.contains("<strong>late</strong>"), "{page}");
}

#[tokio::test]
async fn az_32_the_id_alone_moves_no_transaction_on() {
    let site = Site::start().await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(&client, &[])).await;
    let (name, value) = browser.cookies.iter().find(|(name, _)| name.starts_with(&cookie("t_"))).unwrap();
    let (secret, id) = value.split_once('.').unwrap();
    assert!(id == login.transaction() && secret != id, "{value}");
    for forged in [id.to_owned(), format!("{id}.{id}"), format!(".{id}"), format!("{id}.{secret}")] {
        let mut thief = Browser::new(&site);
        thief.cookies.insert(name.clone(), forged);
        assert_eq!(thief.get(&login.at).await.status, 400);
    }
}
