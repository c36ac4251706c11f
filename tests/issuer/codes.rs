//! CR and PK: the redemption of codes.

use std::sync::Arc;

use mcpgate::issuer::{AuthorizeRejection, TokenRejection};
use mcpgate::store::{AuditEvent, EmbeddedStore};

use super::config::NOTES;
use super::driver::*;
use super::failing_store::FaultPoint;

#[tokio::test]
async fn a_code_becomes_tokens_that_mcp_accepts() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[("scope", "sales:read sales:write")], "ada").await;
    assert_eq!((tokens.expires_in, tokens.scopes.as_str()), (3600, "sales:read sales:write"));
    assert_eq!(tokens.generation, 0);
    assert!(world.is_live(&tokens.access).await);
    world.pass(3600);
    assert!(!world.is_live(&tokens.access).await);
    assert_eq!(world.count(AuditEvent::CodeRedeemed).await, 1);
}

#[tokio::test]
async fn a_client_registered_without_refresh_gets_no_refresh_token() {
    let world = World::new().await;
    world.account("ada").await;
    let body = serde_json::json!({"client_name": "x", "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"]});
    let client = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap().client;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    assert_eq!(tokens.refresh, "");
    let other = world.public_client(CALLBACK).await;
    let foreign = world.sign_in(&other.id, &[], "ada").await.refresh;
    assert_eq!(refused(world.refresh(&client.id, &foreign).await), "unauthorized_client");
}

#[tokio::test]
async fn what_is_not_a_code_of_ours_is_refused_without_a_store_read() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let code = world.code(&client.id, &[], "ada").await;
    let flipped = code.replace(&code[20..21], if &code[20..21] == "A" { "B" } else { "A" });
    let long = code.repeat(1500);
    let access = world.redeem(&client.id, &code).await.unwrap().access;
    for bad in [flipped.as_str(), &code[..code.len() - 1], &long, &access, "x"] {
        // Only the client is read; a code is not looked up.
        assert_eq!(refused(world.redeem(&client.id, bad).await), "invalid_grant");
    }
    world.store.fail_at(1, FaultPoint::Before);
    assert_eq!(refused(world.redeem(&client.id, &flipped).await), "invalid_grant");
    assert!(world.store.mend(), "the second call writes the audit row; its failure does not change the answer");
}

#[tokio::test]
async fn a_store_that_fails_costs_no_code_and_leaks_no_token() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let mut places = 0;
    loop {
        let code = world.code(&client.id, &[], "ada").await;
        world.store.fail_at(places, FaultPoint::Before);
        let outcome = world.redeem(&client.id, &code).await;
        if !world.store.mend() {
            assert!(outcome.is_ok(), "{outcome:?}");
            break;
        }
        assert!(matches!(outcome, Err(TokenRejection::Unavailable)), "at {places}: {outcome:?}");
        assert!(world.redeem(&client.id, &code).await.is_ok(), "at {places}: the code is still good");
        places += 1;
    }
    assert_eq!(places, 4, "client, code, account, redemption");
}

#[tokio::test]
async fn a_lost_acknowledgement_means_a_dead_code_and_no_live_token() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let code = world.code(&client.id, &[], "ada").await;
    world.store.fail_at(3, FaultPoint::After);
    let outcome = world.redeem(&client.id, &code).await;
    assert!(matches!(outcome, Err(TokenRejection::Unavailable)), "{outcome:?}");
    assert_eq!(refused(world.redeem(&client.id, &code).await), "invalid_grant");
    let (live, _) = world.inner().live_access_tokens(0, 10, world.now()).await.unwrap();
    assert_eq!(live, [], "the retry is a replay and revokes the tokens of the lost answer");
}

#[tokio::test]
async fn a_code_for_a_resource_or_scope_that_is_configured_no_more_is_refused_or_narrowed() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let both = [("scope", "sales:read sales:write")];
    let (first, second) =
        (world.code(&client.id, &both, "ada").await, world.code(&client.id, &[("resource", NOTES)], "ada").await);
    world.reload(|config| {
        config.upstreams.retain(|u| u.name != "notes");
        config.upstreams.iter_mut().for_each(|u| u.scopes.retain(|s| s.name.as_str() != "sales:write"));
    });
    assert_eq!(world.redeem(&client.id, &first).await.unwrap().scopes, "sales:read");
    assert_eq!(refused(world.redeem(&client.id, &second).await), "invalid_grant");
}

/// A store on disk, and a connection for editing it.
pub(crate) async fn world_on_disk() -> (World, rusqlite::Connection, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcpgate.db");
    let store = EmbeddedStore::open(&file, None, START).unwrap();
    let world = World::over(Arc::new(store), |_| {}).await;
    world.account("ada").await;
    (world, rusqlite::Connection::open(&file).unwrap(), folder)
}

#[tokio::test]
async fn pk_09_an_edited_code_is_refused_and_the_trail_says_why() {
    let (world, hand, _folder) = world_on_disk().await;
    let client = world.public_client(CALLBACK).await;
    for edit in ["challenge_method = 'plain'", "challenge_method = 'none'", "resource = 'https://elsewhere.example/'"] {
        let code = world.code(&client.id, &[], "ada").await;
        hand.execute_batch(&format!("UPDATE code SET {edit} WHERE used_at IS NULL")).unwrap();
        assert_eq!(refused(world.redeem(&client.id, &code).await), "invalid_grant", "{edit}");
        assert_eq!(world.last_event().await.as_str(), "store.invariant", "{edit}");
    }
}

#[tokio::test]
async fn pk_09_other_damage_is_told_in_the_trail_too() {
    let (world, hand, _folder) = world_on_disk().await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    hand.execute_batch("UPDATE grants SET scopes = 'everything'").unwrap();
    let refused = world.refresh(&client.id, &tokens.refresh).await;
    assert!(matches!(refused, Err(TokenRejection::Unavailable)), "{refused:?}");
    let rows = world.audit().await;
    let told = rows.last().unwrap();
    assert_eq!(told.event, AuditEvent::StoreInvariant);
    assert_eq!(told.reason.as_deref(), Some("a grant does not match its seal"));
}

/// The description of a refused token request.
fn described<T: std::fmt::Debug>(outcome: Result<T, TokenRejection>) -> String {
    let Err(TokenRejection::Refused { error, .. }) = outcome else { panic!("{outcome:?}") };
    error.description().to_owned()
}

#[tokio::test]
async fn an_error_says_what_is_wrong_with_a_verifier_and_where_a_redirect_uri_differs() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    for (sent, said) in [
        (("code_verifier", "a".repeat(40).as_str()), "code_verifier has 40 characters: it needs 43 to 128"),
        (("code_verifier", &"a+".repeat(30)), "code_verifier has characters other than A to Z"),
        (("code_verifier", &"a".repeat(43)), "code_verifier does not match the code_challenge"),
        (("code_verifier", ""), "code_verifier is missing"),
        (("redirect_uri", "https://client.example/callback/"), "it differs in the trailing slash"),
        (("redirect_uri", "http://client.example:8080/callback"), "it differs in the scheme and port"),
    ] {
        let code = world.code(&client.id, &[], "ada").await;
        let description = described(world.redeem_with(&client.id, &code, &[sent]).await);
        assert!(description.contains(said), "{sent:?}: {description}");
    }
    let shown = world.begin(&client.id, &[("redirect_uri", "https://other.example/callback")], None).await;
    let Err(AuthorizeRejection::Page(error)) = shown else { panic!("{shown:?}") };
    assert!(error.description().ends_with("it differs from what is registered in the host"), "{error:?}");
}
