//! Sign-ins while strangers from many networks guess passwords as fast as they can.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{FLOOD, Flood};
use crate::login::new_user;
use crate::shared::CALLBACK;
use crate::support::application::{Application, random};
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::{Browser, Form, form_to};
use crate::support::password::PASSWORD;

/// Networks that guess passwords, and concurrent guesses from each.
const NETWORKS: u8 = 10;
const AT_ONCE: u8 = 4;

/// The longest that a known user may wait, on a machine that is busy with other tests.
const PROMPT: Duration = Duration::from_secs(5);

/// A login page, opened from this address.
async fn login_form(home: &Home, application: &Application, from: Ipv4Addr) -> (Browser, Form) {
    let mut browser = Browser::new(home);
    browser.client = Client::from(home, from);
    let page = browser.open(&application.request(&random(), &[])).await;
    let form = form_to(&page, "/login");
    (browser, form)
}

async fn sign_in(home: &Home, application: &Application, from: [u8; 4], name: &str, password: &str) -> Reply {
    let (mut browser, mut form) = login_form(home, application, from.into()).await;
    form.set("username", name);
    form.set("password", password);
    browser.submit(&form).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_from_many_networks_keep_nobody_out_who_gives_the_right_password() {
    let gateway = Arc::new(Gateway::start().await);
    let newcomer = new_user(&gateway.home, "newcomer");
    let application = Arc::new(Application::register(&gateway.home, CALLBACK).await);
    let known = sign_in(&gateway.home, &application, [127, 0, 0, 9], "admin", PASSWORD).await;
    assert_eq!(known.status, 303, "{}", known.text());

    let mut flood = Flood::new();
    for (network, host) in (0..NETWORKS).flat_map(|network| (0..AT_ONCE).map(move |host| (network, host))) {
        let (gateway, application) = (Arc::clone(&gateway), Arc::clone(&application));
        flood.join(async move |over| {
            // The first of these addresses are in the owner's network.
            let from = Ipv4Addr::new(127, 0, network, 100 + host);
            let (mut browser, mut form) = login_form(&gateway.home, &application, from).await;
            form.set("password", "wrong wrong wrong");
            let (mut heard, mut refused) = (0_u32, 0_u32);
            for number in 0.. {
                form.set("username", &format!("made-up-{network}-{host}-{number}"));
                match browser.submit(&form).await.status {
                    400 => heard += 1,
                    429 => refused += 1,
                    status => panic!("{status}"),
                };
                if over.has_come() {
                    break;
                }
            }
            (heard, refused)
        });
    }

    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < FLOOD {
        let asked = Instant::now();
        let reply = sign_in(&gateway.home, &application, [127, 0, 0, 9], "admin", PASSWORD).await;
        slowest = slowest.max(asked.elapsed());
        assert_eq!(reply.status, 303, "{}", reply.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let reply = sign_in(&gateway.home, &application, [127, 0, 200, 1], &newcomer, PASSWORD).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    let all = flood.end().await.into_iter();
    let (heard, refused) = all.fold((0, 0), |(heard, refused), one| (heard + one.0, refused + one.1));
    assert!(slowest < PROMPT, "the owner waited {slowest:?}");
    assert!(heard >= 60 && refused > 0, "{heard} were checked, {refused} refused");
    assert!(heard <= 2 * (60 + 5 * u32::from(NETWORKS)), "{heard} hashes in {FLOOD:?}");
}
