//! The budget of our own pages: every page that reads the store for a stranger asks the budget first, and people who
//! sign in from one address are not held up by it.

use mcpgate::endpoints::ROUTES;

use super::authorize::{REDIRECT, request};
use super::failing_store::FaultPoint;
use super::page::{Browser, Page, cookie};
use super::password::PASSWORD;
use super::site::{NAME, Site};

/// Every path that answers GET, with a query and cookies that cause a store read: a signed-in user, a sign-in in
/// progress and a set-password link.
async fn gets(site: &Site) -> (Browser<'_>, Vec<(&'static str, String)>) {
    let client = site.vouched(REDIRECT).await;
    let link = site.invite("grace").await;
    let mut browser = Browser::new(site);
    let login = browser.begin(&request(&client, &[])).await;
    let consent = browser.log_in(&login).await;
    let all = ROUTES.iter().flat_map(|route| route.methods.split(", ").map(|method| (route.path, method)));
    let gets = all.filter(|(_, method)| matches!(*method, "GET" | "HEAD")).map(|(path, method)| {
        let target = match path {
            "/authorize" => request(&client, &[]),
            "/.well-known/" => "/.well-known/oauth-authorization-server".to_owned(),
            // The values fit every page, so that each finds what it needs.
            path => format!("{path}?t={}&link={link}", consent.transaction()),
        };
        (method, target)
    });
    let gets = gets.collect();
    (browser, gets)
}

/// Sends one of them, and returns the answer's status and whether the store was called.
async fn ask(site: &Site, browser: &Browser<'_>, (method, target): &(&str, String)) -> (u16, bool) {
    let jar = browser.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ");
    site.faulty.fail_at(0, FaultPoint::Before);
    let answer = site.ask(method, target, &[("cookie", &jar)]).await;
    (answer.status, site.faulty.mend())
}

#[tokio::test]
async fn no_get_asks_the_store_when_the_budget_of_its_address_is_used_up() {
    let site = Site::with("[rates]\nauthorize_per_second = 1\n").await;
    let (browser, gets) = gets(&site).await;
    let mut reading = Vec::new();
    for get in &gets {
        if ask(&site, &browser, get).await.1 {
            reading.push(get.1.split('?').next().unwrap());
        }
    }
    assert_eq!(reading, ["/account", "/authorize", "/consent", "/login", "/setup"], "only these read the store");
    // Until both budgets are used up and refusals get no row of their own any more. The clock stands still.
    for target in ["/authorize", "/login"] {
        for _ in 0..50 {
            site.ask("GET", target, &[]).await;
        }
    }
    for get in &gets {
        let (status, asked) = ask(&site, &browser, get).await;
        assert!(!asked, "{} {}: {status}; a page asks the budget before it asks the store", get.0, get.1);
        assert_eq!(status == 429, reading.iter().any(|path| get.1.split('?').next() == Some(path)), "{}", get.1);
    }
    let answer = site.ask("GET", "/login", &[]).await;
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(answer.text().contains("One moment, please"), "{answer:?}");
}

#[tokio::test]
async fn as_many_as_may_begin_at_once_from_one_address_can_also_finish() {
    let site = Site::with("[rates]\nauthorize_per_second = 4\n").await;
    let client = site.vouched(REDIRECT).await;
    let mut at_login: Vec<(Browser<'_>, Page)> = Vec::new();
    for _ in 0..12 {
        let mut browser = Browser::new(&site);
        let login = browser.begin(&request(&client, &[])).await;
        at_login.push((browser, login));
    }
    assert_eq!(site.ask("GET", &request(&client, &[]), &[]).await.status, 429, "no further sign-in may begin now");
    for (browser, login) in &mut at_login {
        browser.page(&login.at).await;
        let answer = browser.post("/login", &login.form(&[("username", NAME), ("password", PASSWORD)])).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let consent = browser.page(answer.header("location")).await;
        // An approval would be remembered, and the next sign-in is by the same user.
        browser.post("/consent", &consent.form(&[("decision", "deny")])).await.redirected(REDIRECT);
    }
}

#[tokio::test]
async fn a_transaction_in_the_place_of_a_session_signs_nobody_in() {
    let site = Site::start().await;
    let mut browser = Browser::new(&site);
    let answer = browser.get("/account").await;
    let login = browser.page(answer.header("location")).await;
    browser.cookies.insert(cookie("s"), login.transaction().to_owned());
    for at in ["/account", &login.at] {
        let answer = browser.get(at).await;
        assert!(answer.status == 200 || answer.header("location").starts_with("/login?t="), "{answer:?}");
        assert!(!answer.text().contains(NAME));
    }
}
