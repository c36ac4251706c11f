//! Our own pages, opened by a stranger as fast as possible: each reads the store, so each is subject to a budget.

use std::net::Ipv4Addr;
use std::time::Instant;

use bytes::Bytes;
use hyper::Method;

use crate::shared::CALLBACK;
use crate::support::application::{Application, random};
use crate::support::client::{Client, request};
use crate::support::gateway::Home;
use crate::support::page::{Browser, form_to};
use crate::support::password::PASSWORD;

/// Authorization requests per second of one address. Pages and forms may be six times as many, and three times that in
/// a burst.
const RATE: u32 = 2;
const BURST: f64 = 36.0;
const PER_SECOND: f64 = 12.0;
/// Requests for each page.
const TRIES: u32 = 150;

#[tokio::test]
async fn pages_that_are_opened_too_fast_are_answered_429_and_nobody_else_notices() {
    let home = Home::new("", None);
    let text = std::fs::read_to_string(home.config()).expect("the configuration");
    let strict = text.replace("authorize_per_second = 100000", &format!("authorize_per_second = {RATE}"));
    std::fs::write(home.config(), strict).expect("the configuration");
    let gateway = home.start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;

    let began = Instant::now();
    let mut stranger = Client::from(&gateway.home, Ipv4Addr::new(127, 0, 7, 1));
    let begun = stranger.get(&application.request(&random(), &[])).await;
    let login = begun.header("location").to_owned();
    let id = login.strip_prefix("/login?t=").expect("a sign-in begins").to_owned();
    // The transaction's own cookie, and the transaction's id as the session cookie: both values are genuine.
    let own = begun.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    let cookies = format!("{own}; {}={id}", gateway.home.cookie("s"));
    let mut answered = 0.0;
    for page in [&login, &format!("/consent?t={id}"), "/account", &format!("/setup?link={id}")] {
        let mut refused = 0;
        for _ in 0..TRIES {
            let reply = stranger.send(request(Method::GET, page, &[("cookie", &cookies)], Bytes::new())).await;
            if reply.status == 429 {
                refused += 1;
                assert!(reply.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{reply:?}");
                assert!(reply.text().contains("One moment, please"), "{}", reply.text());
            } else {
                assert!(matches!(reply.status, 200 | 303 | 400), "{page}: {reply:?}");
                answered += 1.0;
            }
        }
        assert!(refused > 0, "{page} was answered {TRIES} times");
    }
    let allowed = BURST + PER_SECOND * began.elapsed().as_secs_f64() + 1.0;
    assert!(answered <= allowed, "{answered} pages, and {allowed} are allowed");

    let mut person = Browser::new(&gateway.home);
    person.client = Client::from(&gateway.home, Ipv4Addr::new(127, 0, 8, 1));
    let page = person.open(&application.request(&random(), &[])).await;
    let consent = person.log_in(&page, "admin", PASSWORD).await;
    form_to(&consent, "/consent");
}
