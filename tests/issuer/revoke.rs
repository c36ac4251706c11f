//! RV: revocation.

use mcpgate::issuer::TokenRejection;
use mcpgate::oauth::{Client, TenantId};
use mcpgate::store::AuditEvent;

use super::driver::*;
use super::failing_store::FaultPoint;

async fn signed_in() -> (World, Client, Tokens) {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    (world, client, tokens)
}

async fn revoke(world: &World, client: &Client, extra: &[(&str, &str)]) -> Result<(), TokenRejection> {
    let pairs: Vec<_> = extra.iter().copied().chain([("client_id", client.id.as_str())]).collect();
    world.request(&caller(1)).revoke(None, &form(&pairs)).await
}

#[tokio::test]
async fn a_refresh_token_takes_its_grant_along_at_once() {
    let (world, client, first) = signed_in().await;
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    revoke(&world, &client, &[("token", &second.refresh)]).await.unwrap();
    assert!(!world.is_live(&first.access).await && !world.is_live(&second.access).await);
    assert_eq!(refused(world.refresh(&client.id, &second.refresh).await), "invalid_grant");
    assert_eq!(world.count(AuditEvent::TokenRevoked).await, 1);
}

#[tokio::test]
async fn an_access_token_goes_alone() {
    let (world, client, first) = signed_in().await;
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    revoke(&world, &client, &[("token", &first.access)]).await.unwrap();
    assert!(!world.is_live(&first.access).await);
    assert!(world.is_live(&second.access).await);
    assert!(world.refresh(&client.id, &second.refresh).await.is_ok());
}

#[tokio::test]
async fn rv_02_another_clients_token_stays_valid_and_the_answer_does_not_tell() {
    let (world, _, tokens) = signed_in().await;
    let other = world.public_client(CALLBACK).await;
    revoke(&world, &other, &[("token", &tokens.refresh)]).await.unwrap();
    revoke(&world, &other, &[("token", &tokens.access)]).await.unwrap();
    assert!(world.is_live(&tokens.access).await);
    let foreign = world.audit().await.into_iter().filter(|r| r.reason.as_deref() == Some("token_of_another_client"));
    assert_eq!(foreign.count(), 2);
}

#[tokio::test]
async fn rv_03_rv_04_unknown_tokens_and_wrong_hints_are_fine() {
    let (world, client, tokens) = signed_in().await;
    for unknown in ["x", "mcp_access_unknown", &tokens.access[1..]] {
        revoke(&world, &client, &[("token", unknown)]).await.unwrap();
    }
    revoke(&world, &client, &[("token", &tokens.access), ("token_type_hint", "refresh_token")]).await.unwrap();
    assert!(!world.is_live(&tokens.access).await);
    revoke(&world, &client, &[("token", &tokens.refresh), ("token_type_hint", "nonsense")]).await.unwrap();
    revoke(&world, &client, &[("token", &tokens.refresh)]).await.unwrap();
    assert_eq!(refused(revoke(&world, &client, &[]).await), "invalid_request");
    assert_eq!(refused(revoke(&world, &client, &[("token", "a"), ("token", "b")]).await), "invalid_request");
}

#[tokio::test]
async fn a_store_that_fails_is_never_a_success() {
    let (world, client, tokens) = signed_in().await;
    for token in [&tokens.access, &tokens.refresh] {
        for place in 0..3 {
            world.store.fail_at(place, FaultPoint::Before);
            let outcome = revoke(&world, &client, &[("token", token)]).await;
            assert!(matches!(outcome, Err(TokenRejection::Unavailable)), "at {place}: {outcome:?}");
        }
    }
    assert!(world.is_live(&tokens.access).await);
}

#[tokio::test]
async fn a_client_must_be_known_to_revoke() {
    let (world, _, tokens) = signed_in().await;
    let nobody = form(&[("client_id", "mcp_client_nobody"), ("token", &tokens.access)]);
    assert_eq!(refused(world.request(&caller(1)).revoke(None, &nobody).await), "invalid_client");
    assert!(world.is_live(&tokens.access).await);
}

#[tokio::test]
async fn cn_20_a_user_ends_a_grant_on_the_account_page() {
    let world = World::new().await;
    world.account("ada").await;
    world.account("bob").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[("scope", "sales:write")], "ada").await;
    let mut ada = world.browser(&client.id, &[]).await;
    world.log_in(&mut ada, "ada").await;
    let mut bob = world.browser(&client.id, &[]).await;
    world.log_in(&mut bob, "bob").await;
    let (ada, bob) = (ada.session.unwrap(), bob.session.unwrap());

    let page = world.request(&caller(1)).account(&ada).await.unwrap().expect("the account page");
    assert_eq!(page.name, "ada");
    let [app] = page.apps.as_slice() else { panic!("{:?}", page.apps) };
    assert_eq!((app.client_name.as_str(), app.resource_name.as_str()), ("Some client", "The sales server"));
    assert_eq!(app.scopes, ["Title of sales:write"]);
    assert_eq!(world.request(&caller(1)).account(&bob).await.unwrap().unwrap().apps.len(), 0);

    assert!(!world.request(&caller(1)).revoke_own_grant(&bob, app.sessions[0].grant).await.unwrap(), "not Bob's");
    assert!(world.is_live(&tokens.access).await);
    assert!(world.request(&caller(1)).revoke_own_grant(&ada, app.sessions[0].grant).await.unwrap());
    assert!(!world.is_live(&tokens.access).await);
    assert_eq!(refused(world.refresh(&client.id, &tokens.refresh).await), "invalid_grant");
    let grant = world.inner().find_grant(&TenantId::default(), tokens.grant).await.unwrap().unwrap();
    assert!(grant.revoked_at.is_some());
}
