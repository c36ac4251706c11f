//! Pending sign-ins: a user's pending sign-in survives while strangers from many networks begin thousands, and nobody
//! has to wait.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{FLOOD, Flood, PROMPT};
use crate::shared::CALLBACK;
use crate::support::application::{Application, random};
use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::page::{Browser, form_to};
use crate::support::password::PASSWORD;

/// Networks that begin sign-ins, and addresses in each.
const NETWORKS: u8 = 10;
const HOSTS: u8 = 4;
/// The least number of sign-ins that a debug build on a busy machine begins in that time; several times the limit of
/// one address.
const BEGUN: u32 = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_sign_ins_pushes_out_nobody_elses_and_holds_up_nobody() {
    let gateway = Arc::new(Gateway::start().await);
    let application = Arc::new(Application::register(&gateway.home, CALLBACK).await);
    let mut person = Browser::new(&gateway.home);
    person.client = Client::from(&gateway.home, Ipv4Addr::new(127, 0, 200, 1));
    let page = person.open(&application.request(&random(), &[])).await;

    let mut flood = Flood::new();
    for (network, host) in (0..NETWORKS).flat_map(|network| (1..=HOSTS).map(move |host| (network, host))) {
        let (gateway, application) = (Arc::clone(&gateway), Arc::clone(&application));
        flood.join(async move |over| {
            let mut client = Client::from(&gateway.home, Ipv4Addr::new(127, 0, network, host));
            let mut begun = 0_u32;
            while !over.has_come() {
                let reply = client.get(&application.request(&random(), &[])).await;
                assert_eq!(reply.status, 303, "{reply:?}");
                begun += 1;
            }
            begun
        });
    }

    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < FLOOD {
        let asked = Instant::now();
        // Each of these requests stores a new sign-in.
        let mut browser = Browser::new(&gateway.home);
        browser.client = Client::from(&gateway.home, Ipv4Addr::new(127, 0, 201, 1));
        form_to(&browser.open(&application.request(&random(), &[])).await, "/login");
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let begun: u32 = flood.end().await.into_iter().sum();
    println!("{begun} sign-ins begun in {FLOOD:?}; somebody else waited {slowest:?} at most");
    assert!(begun >= BEGUN, "{begun} sign-ins are too few for a flood");
    assert!(slowest < PROMPT, "a page took {slowest:?}");
    let consent = person.log_in(&page, "admin", PASSWORD).await;
    form_to(&consent, "/consent");
}
