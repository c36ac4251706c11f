//! Set-password links: one use, one hour, and passwords that are not the first to be guessed (LI-07, LI-08).

use mcpgate::oauth::Lifetime;

use super::browser::Browser;
use super::site::{PASSWORD, Site};

#[tokio::test]
async fn li_08_a_link_works_once_and_not_for_ever() {
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
        assert!(!answer.body.contains("<script>"));
    }
}

#[tokio::test]
async fn li_07_a_bad_password_is_refused_with_its_reason_and_costs_nothing() {
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
        assert!(answer.body.contains(reason), "{password}: {}", answer.body);
        assert!(!answer.body.contains(password), "a password is not sent back");
    }
    let form = [("link", link.as_str()), ("password", PASSWORD), ("repeat", PASSWORD)];
    assert_eq!(browser.post("/setup", &form).await.status, 303);
}
