//! The daily warning of old client secrets.

use std::time::Duration;

use mcpgate::oauth::{Client, ClientOrigin};

use super::client_credentials::service;
use super::driver::*;
use super::log::Log;
use super::records;

const DAY: u64 = 86_400;

#[tokio::test]
async fn the_log_names_clients_with_old_secrets_at_the_start_and_once_a_day() {
    let world = World::new().await;
    let old = service(&world, None, None).await.0;
    let off = service(&world, None, None).await.0;
    world.inner().set_client_disabled(&off.id, true, world.row()).await.unwrap();
    // It registered itself, so nobody could give it a new secret.
    let own = Client { secrets: old.secrets.clone(), ..records::client("own", ClientOrigin::Registered) };
    world.inner().insert_client(own, u64::MAX, world.row()).await.unwrap();
    let log = Log::start();
    let started = async || {
        let watch = world.issuer.warn_of_old_secrets_forever();
        assert!(tokio::time::timeout(Duration::from_millis(5), watch).await.is_err());
        log.warnings()
    };
    let age = world.now().since(START).as_secs();
    world.pass(90 * DAY - age);
    assert!(started().await.is_empty(), "90 days are not too many");
    world.pass(1);
    let warned = started().await;
    assert_eq!(warned.len(), 1, "at the start, and then a day later: {warned:?}");
    let expected = format!("count=1 clients=\"{}\"", old.id.as_str());
    assert!(warned.iter().all(|line| line.contains(&expected)), "{warned:?}");
    world.reload(|config| config.tokens.secret_age_warning = mcpgate::oauth::Lifetime::from_secs(0));
    assert!(started().await.is_empty());
}
