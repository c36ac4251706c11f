//! Lifetimes that an operator gave one client: of codes that are redeemed, of refreshes, and of a client for itself.

use mcpgate::oauth::{Client, ClientId, ClientLifetimes, Lifetime, TenantId};
use mcpgate::store::{ClientChange, GrantFilter};

use super::client_credentials::service;
use super::driver::*;

const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// Gives a client lifetimes, as `mcpgate client edit` does.
async fn give(world: &World, id: &ClientId, access: u64, idle: u64, absolute: u64) {
    let before = world.inner().find_client(&TenantId::default(), id).await.unwrap().unwrap();
    let own = |seconds| Some(Lifetime::from_secs(seconds));
    let lifetimes = ClientLifetimes { access: own(access), refresh_idle: own(idle), refresh_absolute: own(absolute) };
    let after = Client { lifetimes, ..before.clone() };
    world.inner().change_client(ClientChange { before, after }, world.row()).await.unwrap().unwrap();
}

/// How long the only grant of a client still lives: unless used, and in any case.
async fn ends(world: &World, id: &ClientId) -> (u64, u64) {
    let of = GrantFilter::of_client(&TenantId::default(), id);
    let grant = world.inner().list_grants(&of, world.now()).await.unwrap().pop().unwrap();
    (grant.idle_until.since(world.now()).as_secs(), grant.expires_at.since(world.now()).as_secs())
}

#[tokio::test]
async fn a_client_has_its_own_lifetimes_and_a_bound_that_is_lowered_later_holds() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await.id;
    give(&world, &client, 4 * HOUR, 7 * DAY, 100 * DAY).await;
    let tokens = world.sign_in(&client, &[], "ada").await;
    assert_eq!((tokens.expires_in, ends(&world, &client).await), (4 * HOUR, (7 * DAY, 100 * DAY)));
    world.pass(DAY);
    let tokens = world.refresh(&client, &tokens.refresh).await.unwrap();
    assert_eq!((tokens.expires_in, ends(&world, &client).await), (4 * HOUR, (7 * DAY, 99 * DAY)));
    world.reload(|config| {
        config.tokens.access_longest = Lifetime::from_secs(2 * HOUR);
        config.tokens.refresh_longest = Lifetime::from_secs(5 * DAY);
    });
    let tokens = world.refresh(&client, &tokens.refresh).await.unwrap();
    assert_eq!((tokens.expires_in, ends(&world, &client).await), (2 * HOUR, (5 * DAY, 99 * DAY)));
    let other = world.public_client(CALLBACK).await.id;
    let tokens = world.sign_in(&other, &[], "ada").await;
    assert_eq!(
        (tokens.expires_in, ends(&world, &other).await),
        (HOUR, (30 * DAY, 90 * DAY)),
        "others have those of all"
    );
}

#[tokio::test]
async fn an_upstream_with_a_lifetime_of_its_own_is_the_bound_at_that_upstream() {
    let world = World::new().await;
    let robot = service(&world, Some("sales:read"), Some(super::config::SALES)).await;
    give(&world, &robot.0.id, 4 * HOUR, DAY, 2 * DAY).await;
    let own = [("grant_type", "client_credentials"), ("client_id", robot.0.id.as_str()), ("client_secret", &robot.1)];
    assert_eq!(world.token(&own).await.unwrap().expires_in, 4 * HOUR);
    assert_eq!(ends(&world, &robot.0.id).await.1, DAY);
    let sales = |config: &mut mcpgate::config::Config, lifetime: u64| {
        let upstream = config.upstreams.iter_mut().find(|u| u.resource.as_str() == super::config::SALES).unwrap();
        upstream.access_lifetime = Some(Lifetime::from_secs(lifetime));
    };
    for (of_upstream, granted) in [(600, 600), (3 * HOUR, 3 * HOUR), (12 * HOUR, 4 * HOUR)] {
        world.reload(|config| sales(config, of_upstream));
        assert_eq!(world.token(&own).await.unwrap().expires_in, granted, "{of_upstream}");
    }
}
