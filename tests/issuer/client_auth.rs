//! CA: client authentication at `/token`, and its limits on guessing.

use mcpgate::issuer::{Caller, Face, TokenRejection};
use mcpgate::oauth::Client;
use mcpgate::store::AuditEvent;

use super::driver::*;

async fn confidential(world: &World, method: &str) -> (Client, String) {
    let body = serde_json::json!({"client_name": "Confidential", "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": method});
    let registered = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap();
    (registered.client, registered.secret.expect("a secret").reveal().to_owned())
}

async fn redeem(world: &World, code: &str, extra: &[(&str, &str)], from: u8) -> Result<Tokens, TokenRejection> {
    let mut pairs = vec![("grant_type", "authorization_code"), ("code", code), ("code_verifier", VERIFIER)];
    pairs.extend(extra);
    let response = world.request(&caller(from)).token(None, &form(&pairs)).await?;
    Ok(world.tokens(&response))
}

#[tokio::test]
async fn a_client_switched_off_or_unknown_is_invalid_client() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    world.inner().set_client_disabled(&client.id, true, world.row()).await.unwrap();
    assert_eq!(refused(world.refresh(&client.id, &tokens.refresh).await), "invalid_client");
}

#[tokio::test]
async fn ca_14_guessing_ends_in_waiting_and_the_right_secret_is_still_heard() {
    let world = World::new().await;
    world.account("ada").await;
    let (client, secret) = confidential(&world, "client_secret_post").await;
    let id = client.id.as_str();
    let code = world.code(&client.id, &[], "ada").await;
    for n in 0..20 {
        let wrong = [("client_id", id), ("client_secret", "wrong")];
        assert_eq!(refused(redeem(&world, &code, &wrong, 100 + n).await), "invalid_client", "guess {n}");
    }
    // The 21st guess is throttled, both from a new address and from one that has failed before.
    for from in [200, 100] {
        let outcome = redeem(&world, &code, &[("client_id", id), ("client_secret", "wrong")], from).await;
        let Err(TokenRejection::Throttled(wait)) = outcome else { panic!("{outcome:?}") };
        assert!((1..=60).contains(&wait.as_secs()), "{wait:?}");
    }
    let right = [("client_id", id), ("client_secret", secret.as_str())];
    assert!(redeem(&world, &code, &right, 1).await.is_ok(), "the client with the right secret is still served");
    world.pass(61);
    let wrong = [("client_id", id), ("client_secret", "wrong")];
    assert_eq!(refused(redeem(&world, &code, &wrong, 100).await), "invalid_client", "the limit resets after a minute");
}

#[tokio::test]
async fn ca_14_wrong_authentications_of_neighbours_lock_out_no_host_where_somebody_got_a_token() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let at = |host: u8| Caller::new(Some([192, 0, 2, host].into()), None);
    let code = world.code(&client.id, &[], "ada").await;
    let own = [("grant_type", "authorization_code"), ("client_id", client.id.as_str()), ("redirect_uri", CALLBACK)];
    let proof = [("code", code.as_str()), ("code_verifier", VERIFIER)];
    world.token_from(&at(200), &[&own[..], &proof[..]].concat()).await.unwrap();
    for n in 0u16..400 {
        let unknown = format!("unknown-{n}");
        let pairs = [("grant_type", "refresh_token"), ("client_id", unknown.as_str()), ("refresh_token", "x")];
        assert_eq!(refused(world.token_from(&at(n.to_le_bytes()[0] % 4), &pairs).await), "invalid_client");
    }
    for (host, is_heard) in [(0, false), (201, false), (200, true)] {
        for face in [Face::Token, Face::Registration] {
            let outcome = world.request(&at(host)).admit_request(face).await;
            assert_eq!(outcome.is_ok(), is_heard, "{host}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_client_at_one_address_has_its_own_budget() {
    let world = World::new().await;
    let client = world.public_client(CALLBACK).await;
    let pairs = [("grant_type", "unknown"), ("client_id", client.id.as_str())];
    for _ in 0..100 {
        assert_eq!(refused(world.token(&pairs).await), "unsupported_grant_type");
    }
    let outcome = world.token(&pairs).await;
    assert!(matches!(outcome, Err(TokenRejection::Throttled(_))), "{outcome:?}");
    // A stranger who sends a public client's id uses up only his own budget.
    assert_eq!(refused(world.token_from(&caller(2), &pairs).await), "unsupported_grant_type");
    world.pass(1);
    assert_eq!(refused(world.token(&pairs).await), "unsupported_grant_type");
}

#[tokio::test]
async fn a_stranger_fills_neither_the_disk_nor_the_audit_trail() {
    let world = World::with(|config| config.rates.token_per_second = 1_000_000).await;
    let client = world.public_client(CALLBACK).await;
    let refusal = [("grant_type", "unknown"), ("client_id", client.id.as_str())];
    for _ in 0..600 {
        assert_eq!(refused(world.token(&refusal).await), "unsupported_grant_type", "it is still refused");
    }
    assert_eq!(world.count(AuditEvent::TokenRefused).await, 20);
    world.pass(61);
    world.issuer.record_counted_refusals().await;
    for _ in 0..600 {
        assert_eq!(refused(world.token(&refusal).await), "unsupported_grant_type");
    }
    assert_eq!(world.count(AuditEvent::TokenRefused).await, 41, "twenty rows a minute, and one that counts the rest");
}
