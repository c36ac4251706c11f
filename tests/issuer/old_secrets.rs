//! The daily warnings about clients of the operator.

use std::time::Duration;

use mcpgate::oauth::{Client, ClientOrigin, ResourceIndicator};

use super::client_credentials::service;
use super::config::SALES;
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

#[tokio::test]
async fn the_log_names_clients_that_are_bound_to_a_resource_that_is_not_there_any_more() {
    let world = World::new().await;
    let bound = service(&world, Some("sales:read"), Some(SALES)).await.0;
    service(&world, Some("sales:read"), None).await;
    assert_eq!(world.issuer.clients_without_resource().await.unwrap(), Vec::<String>::new());
    world.reload(|config| {
        for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.resource.as_str() == SALES) {
            upstream.resource = ResourceIndicator::parse("https://gw.example").unwrap();
        }
    });
    assert_eq!(world.issuer.clients_without_resource().await.unwrap(), [bound.id.as_str()]);
    let log = Log::start();
    let watch = world.issuer.warn_of_old_secrets_forever();
    assert!(tokio::time::timeout(Duration::from_millis(5), watch).await.is_err());
    let expected = format!("count=1 clients=\"{}\"", bound.id.as_str());
    assert!(log.warnings().iter().any(|line| line.contains(&expected) && line.contains("bound to a resource")));
    world.inner().set_client_disabled(&bound.id, true, world.row()).await.unwrap();
    assert_eq!(world.issuer.clients_without_resource().await.unwrap(), Vec::<String>::new());
}
