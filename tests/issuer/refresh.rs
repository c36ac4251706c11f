//! RT: refresh tokens, their rotation and reuse.

use std::sync::Arc;

use mcpgate::config::Config;
use mcpgate::issuer::{SetupOutcome, TokenRejection};
use mcpgate::oauth::{Lifetime, ScopeToken, TenantId, TokenHash};
use mcpgate::policy::{AccountList, Pattern, Rules, ScopeRule};

use super::config::{NOTES, SALES};
use super::driver::*;
use super::failing_store::FaultPoint;

async fn signed_in() -> (World, mcpgate::oauth::Client, Tokens) {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[("scope", "sales:read sales:write")], "ada").await;
    (world, client, tokens)
}

#[tokio::test]
async fn another_clients_use_leaves_the_family_alone() {
    let (world, client, first) = signed_in().await;
    let other = world.public_client(CALLBACK).await;
    // The answer reveals nothing about the grant: it is the same for every request.
    for extra in [&[][..], &[("scope", "sales:admin")], &[("resource", NOTES)]] {
        assert_eq!(refused(world.refresh_with(&other.id, &first.refresh, extra).await), "invalid_grant", "{extra:?}");
    }
    assert!(world.is_live(&first.access).await);
    assert_eq!(world.refresh(&client.id, &first.refresh).await.unwrap().generation, 1);
}

#[tokio::test]
async fn rt_07_rt_08_more_scope_or_another_resource_is_refused_before_the_rotation() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let first = world.sign_in(&client.id, &[("scope", "sales:read")], "ada").await;
    let more = [("scope", "sales:read sales:write")];
    assert_eq!(refused(world.refresh_with(&client.id, &first.refresh, &more).await), "invalid_scope");
    assert_eq!(refused(world.refresh_with(&client.id, &first.refresh, &[("resource", NOTES)]).await), "invalid_target");
    let same = [("scope", "sales:read offline_access"), ("resource", SALES)];
    let second = world.refresh_with(&client.id, &first.refresh, &same).await.unwrap();
    assert_eq!((second.generation, second.scopes.as_str()), (1, "sales:read"));
}

#[tokio::test]
async fn rt_07_scopes_that_no_resource_knows_are_ignored_as_they_are_at_authorization() {
    let (world, client, first) = signed_in().await;
    let second = world.refresh_with(&client.id, &first.refresh, &[("scope", "openid sales:read claudeai")]).await;
    let second = second.unwrap();
    assert_eq!(second.scopes, "sales:read");
    let third = world.refresh_with(&client.id, &second.refresh, &[("scope", "openid")]).await.unwrap();
    assert_eq!(third.scopes, "sales:read sales:write");
}

/// `sales:write` includes `sales:read`.
pub(crate) fn including(config: &mut Config) {
    let scope = |name: &str, allow: &str, includes: &[&str]| ScopeRule {
        name: ScopeToken::parse(name).unwrap(),
        sensitive: false,
        allow: vec![Pattern::of_mcp(allow).unwrap()],
        includes: includes.iter().filter_map(|name| ScopeToken::parse(name).ok()).collect(),
    };
    let scopes = [scope("sales:read", "tools/list", &[]), scope("sales:write", "tools/call", &["sales:read"])];
    config.upstreams[0].rules = Some(Arc::new(Rules::compile(&scopes)));
}

#[tokio::test]
async fn rt_07_what_a_granted_scope_includes_may_be_asked_for_and_the_token_then_has_only_that() {
    let world = World::with(including).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let first = world.sign_in(&client.id, &[("scope", "sales:write")], "ada").await;
    assert_eq!(first.scopes, "sales:write");
    let refresh = async |token: &str, scope: &str| world.refresh_with(&client.id, token, &[("scope", scope)]).await;
    let second = refresh(&first.refresh, "sales:read").await.unwrap();
    assert_eq!(second.scopes, "sales:read");
    let hash = TokenHash::of(second.access.as_bytes());
    let stored = world.inner().find_access_token(&TenantId::default(), &hash, world.now()).await.unwrap().unwrap();
    assert_eq!(stored.scopes.to_string(), "sales:read", "nothing that includes it");
    // The grant is as wide as before.
    let third = refresh(&second.refresh, "sales:read sales:write").await.unwrap();
    assert_eq!(third.scopes, "sales:read sales:write");
    let fourth = world.refresh(&client.id, &third.refresh).await.unwrap();
    assert_eq!(fourth.scopes, "sales:write");
    // It is never more than the person may hold, and nothing without the scope that includes it.
    let nobody = |name: &str| vec![(ScopeToken::parse(name).unwrap(), AccountList::default())];
    world.reload(|config| config.upstreams[0].holders.limited = nobody("sales:read"));
    assert_eq!(refused(refresh(&fourth.refresh, "sales:read").await), "invalid_scope");
    world.reload(|config| config.upstreams[0].holders.limited = nobody("sales:write"));
    assert_eq!(refused(refresh(&fourth.refresh, "sales:read").await), "invalid_scope");
    assert_eq!(refused(world.refresh(&client.id, &fourth.refresh).await), "invalid_grant");
    world.reload(|config| config.upstreams[0].holders.limited.clear());
    world.reload(|config| config.upstreams[0].rules = None);
    assert_eq!(refused(refresh(&fourth.refresh, "sales:read").await), "invalid_scope");
    assert_eq!(refresh(&fourth.refresh, "sales:write").await.unwrap().scopes, "sales:write");
}

#[tokio::test]
async fn rt_09_the_policy_is_asked_at_every_refresh() {
    let (world, client, first) = signed_in().await;
    world.reload(|c| c.upstreams.iter_mut().for_each(|u| u.scopes.retain(|s| s.name.as_str() != "sales:write")));
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert_eq!(second.scopes, "sales:read");
    world.reload(|c| c.upstreams.iter_mut().for_each(|u| u.scopes.clear()));
    assert_eq!(refused(world.refresh(&client.id, &second.refresh).await), "invalid_grant");
    world.reload(|c| c.upstreams.clear());
    assert_eq!(refused(world.refresh(&client.id, &second.refresh).await), "invalid_grant");
}

#[tokio::test]
async fn rt_09_a_user_switched_off_refreshes_no_more() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let first = world.sign_in(&client.id, &[], "ada").await;
    world.inner().set_account_disabled(&subject, true, world.row()).await.unwrap();
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
}

#[tokio::test]
async fn a_grant_ends_after_30_days_unused_and_after_90_in_any_case() {
    let (world, client, first) = signed_in().await;
    world.pass(30 * 86_400 + 1);
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");

    let (world, client, mut tokens) = signed_in().await;
    for _ in 0..4 {
        world.pass(20 * 86_400);
        tokens = world.refresh(&client.id, &tokens.refresh).await.unwrap();
    }
    world.pass(10 * 86_400 - 600);
    let last = world.refresh(&client.id, &tokens.refresh).await.unwrap();
    assert_eq!(last.expires_in, 600, "not beyond the absolute end");
    world.pass(601);
    assert_eq!(refused(world.refresh(&client.id, &last.refresh).await), "invalid_grant");
}

#[tokio::test]
async fn a_store_that_fails_leaves_exactly_one_live_generation() {
    let (world, client, mut tokens) = signed_in().await;
    let mut places = 0;
    loop {
        world.store.fail_at(places, FaultPoint::Before);
        let outcome = world.refresh(&client.id, &tokens.refresh).await;
        if !world.store.mend() {
            assert!(outcome.is_ok());
            break;
        }
        assert!(matches!(outcome, Err(TokenRejection::Unavailable)), "at {places}: {outcome:?}");
        let generation = tokens.generation;
        tokens = world.refresh(&client.id, &tokens.refresh).await.expect("the old token still works");
        assert_eq!(tokens.generation, generation + 1);
        places += 1;
    }
    assert_eq!(places, 4, "client, grant, account, rotation");
    // A lost acknowledgement: the retry within the grace returns the successor that the client never received.
    let (world, client, tokens) = signed_in().await;
    world.store.fail_at(3, FaultPoint::After);
    let outcome = world.refresh(&client.id, &tokens.refresh).await;
    assert!(matches!(outcome, Err(TokenRejection::Unavailable)), "{outcome:?}");
    assert_eq!(world.refresh(&client.id, &tokens.refresh).await.unwrap().generation, 1);
}

#[tokio::test]
async fn a_password_set_by_a_link_ends_every_grant_at_once() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    let link = world.link(&subject, "second").await;
    let outcome = world.request(&caller(1)).redeem_setup(link.reveal(), "another-teapot-42", None).await.unwrap();
    assert!(matches!(outcome, SetupOutcome::Done(Some(_))));
    assert!(!world.is_live(&tokens.access).await);
    assert_eq!(refused(world.refresh(&client.id, &tokens.refresh).await), "invalid_grant");
}

#[tokio::test]
async fn a_strict_gateway_has_no_grace_and_gives_no_answer_twice() {
    let strict = |config: &mut Config| {
        config.tokens.refresh_grace = Lifetime::default();
        config.tokens.refresh_lost_answer = Lifetime::default();
    };
    let world = World::with(strict).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let first = world.sign_in(&client.id, &[], "ada").await;
    world.refresh(&client.id, &first.refresh).await.unwrap();
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
}

#[tokio::test]
async fn an_upstream_may_have_its_own_access_lifetime() {
    let world =
        World::with(|c| c.upstreams.iter_mut().for_each(|u| u.access_lifetime = Some(Lifetime::from_secs(120)))).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let first = world.sign_in(&client.id, &[], "ada").await;
    assert_eq!(first.expires_in, 120);
    assert_eq!(world.refresh(&client.id, &first.refresh).await.unwrap().expires_in, 120);
}
