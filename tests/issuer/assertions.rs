//! Clients that sign assertions (private_key_jwt): at which endpoints, how often, and how failures count.

use mcpgate::issuer::TokenRejection;
use mcpgate::oauth::{
    AuthMethod, Client, ClientId, ClientMetadata, ClientOrigin, GrantType, Lifetime, RegisteredRedirects, Rule,
    ScopeSet,
};
use serde_json::{Value, json};

use super::config::{ISSUER, SALES};
use super::driver::*;
use super::records;
use super::signing_key::SigningKey;

pub(crate) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The claims of a good assertion.
pub(crate) fn claims(world: &World, id: &ClientId, jti: &str) -> Value {
    let now = world.now().as_secs();
    json!({"iss": id.as_str(), "sub": id.as_str(), "aud": ISSUER, "exp": now + 60, "iat": now, "jti": jti})
}

/// Registers a client with this key.
pub(crate) async fn keyed(world: &World, key: &SigningKey) -> Client {
    let body = json!({"client_name": "Keyed", "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": key.jwks("k")});
    let registered = world.request(&caller(8)).register(body.to_string().as_bytes()).await.unwrap();
    assert!(registered.secret.is_none(), "its keys are all that it needs");
    registered.client
}

/// Registers a client that publishes its keys at a URL.
pub(crate) async fn published(world: &World, url: &str) -> Client {
    let body = json!({"client_name": "Published", "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": url});
    world.request(&caller(8)).register(body.to_string().as_bytes()).await.unwrap().client
}

/// Sends a token request with an assertion beside other parameters.
pub(crate) async fn send(
    world: &World,
    assertion: &str,
    more: &[(&str, &str)],
    from: u8,
) -> Result<Tokens, TokenRejection> {
    let own = [("client_assertion_type", TYPE), ("client_assertion", assertion)];
    world.token_from(&caller(from), &[&own[..], more].concat()).await
}

pub(crate) fn rule(outcome: Result<Tokens, TokenRejection>) -> Rule {
    match outcome {
        Err(TokenRejection::Refused { error, .. }) => error.rule(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_with_keys_signs_in_refreshes_and_revokes_with_assertions_alone() {
    let world = World::new().await;
    world.account("ada").await;
    let key = SigningKey::p256();
    let client = keyed(&world, &key).await;
    let sign = |jti: &str| key.sign("k", &claims(&world, &client.id, jti));
    let code = world.code(&client.id, &[], "ada").await;
    let redeem = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)];
    let redeem = [&redeem[..], &[("redirect_uri", CALLBACK)]].concat();
    let named = [&redeem[..], &[("client_id", client.id.as_str())]].concat();
    assert_eq!(refused(world.token(&named).await), "invalid_client", "the id alone");
    let secret = [&named[..], &[("client_secret", "x")]].concat();
    assert_eq!(refused(world.token(&secret).await), "invalid_client");
    assert_eq!(refused(send(&world, &sign("0"), &secret, 1).await), "invalid_request", "both");
    let tokens = send(&world, &sign("1"), &redeem, 1).await.unwrap();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    assert_eq!(refused(world.refresh(&client.id, &tokens.refresh).await), "invalid_client");
    let next = send(&world, &sign("2"), &refresh, 1).await.unwrap();
    assert!(world.is_live(&next.access).await);
    let revoke = async |pairs: &[(&str, &str)]| world.request(&caller(1)).revoke(None, &form(pairs)).await;
    let (token, assertion) = (("token", next.refresh.as_str()), sign("3"));
    assert!(revoke(&[token, ("client_id", client.id.as_str())]).await.is_err());
    revoke(&[token, ("client_assertion_type", TYPE), ("client_assertion", &assertion)]).await.unwrap();
    assert!(!world.is_live(&next.access).await);
}

#[tokio::test]
async fn an_assertion_is_used_once_whatever_became_of_its_request() {
    let world = World::new().await;
    let key = SigningKey::ed25519();
    let (client, other) = (keyed(&world, &key).await, keyed(&world, &SigningKey::ed25519()).await);
    let first = key.sign("k", &claims(&world, &client.id, "1"));
    assert_eq!(refused(send(&world, &first, &[("grant_type", "nothing")], 1).await), "unsupported_grant_type");
    assert_eq!(rule(send(&world, &first, &[("grant_type", "nothing")], 2).await), Rule::AssertionReplayed);
    // The id counts, and not the text: a second signature of the same claims is a second text.
    let mut later = claims(&world, &client.id, "1");
    later["exp"] = (world.now().as_secs() + 120).into();
    assert_eq!(rule(send(&world, &key.sign("k", &later), &[], 1).await), Rule::AssertionReplayed);
    // Another client's ids are its own.
    assert_ne!(client.id, other.id);
    world.pass(119);
    world.inner().sweep(world.now(), Lifetime::from_secs(86_400)).await.unwrap();
    assert_eq!(rule(send(&world, &first, &[], 1).await), Rule::AssertionReplayed, "until it has expired");
    world.pass(1);
    assert_eq!(rule(send(&world, &first, &[], 1).await), Rule::AssertionRefused);
    // One whose signature is wrong uses up no id.
    let forged = SigningKey::ed25519().sign("k", &claims(&world, &client.id, "2"));
    assert_eq!(rule(send(&world, &forged, &[], 1).await), Rule::AssertionSignature);
    let good = key.sign("k", &claims(&world, &client.id, "2"));
    assert_eq!(rule(send(&world, &good, &[], 1).await), Rule::GrantTypeMissing);
}

#[tokio::test]
async fn wrong_signatures_are_counted_like_wrong_secrets() {
    let world = World::new().await;
    let key = SigningKey::ed25519();
    let client = keyed(&world, &key).await;
    let wrong = SigningKey::ed25519();
    for n in 0..20_u8 {
        let forged = wrong.sign("k", &claims(&world, &client.id, &n.to_string()));
        assert_eq!(rule(send(&world, &forged, &[], 100 + n).await), Rule::AssertionSignature, "{n}");
    }
    for from in [200, 100] {
        let forged = wrong.sign("k", &claims(&world, &client.id, "x"));
        let outcome = send(&world, &forged, &[], from).await;
        assert!(matches!(outcome, Err(TokenRejection::Throttled(_))), "{outcome:?}");
    }
    let good = key.sign("k", &claims(&world, &client.id, "good"));
    assert_eq!(rule(send(&world, &good, &[], 1).await), Rule::GrantTypeMissing, "the client is still served");
}

/// What an assertion says of itself is told; what only the store knows is not.
#[tokio::test]
async fn a_refusal_does_not_tell_which_clients_exist() {
    let world = World::new().await;
    let key = SigningKey::ed25519();
    let (client, public) = (keyed(&world, &key).await, world.public_client(CALLBACK).await);
    let nobody = ClientId::parse("mcp_client_nobody").unwrap();
    let words = async |text: String| match send(&world, &text, &[], 1).await {
        Err(TokenRejection::Refused { error, .. }) => error.description().to_owned(),
        other => panic!("{other:?}"),
    };
    let wrong = SigningKey::ed25519();
    for id in [&client.id, &public.id, &nobody] {
        assert_eq!(words(wrong.sign("k", &claims(&world, id, "1"))).await, "client authentication failed");
        let mut late = claims(&world, id, "2");
        late["exp"] = (world.now().as_secs() + 3600).into();
        assert!(words(key.sign("k", &late)).await.contains("exp is too far ahead"));
        late["aud"] = "https://gate.example/token".into();
        assert!(words(key.sign("k", &late)).await.contains("aud must be the issuer"));
    }
}

#[tokio::test]
async fn a_service_with_keys_gets_tokens_for_itself() {
    let world = World::new().await;
    let key = SigningKey::p256();
    let keys = keyed(&world, &key).await.metadata.keys;
    let manual = records::client("robot", ClientOrigin::Manual);
    let metadata = ClientMetadata {
        redirect_uris: RegisteredRedirects::default(),
        grant_types: vec![GrantType::ClientCredentials],
        token_endpoint_auth_method: AuthMethod::PrivateKeyJwt,
        keys,
        scope: Some(ScopeSet::parse("sales:read").unwrap()),
        ..manual.metadata
    };
    let robot = Client { metadata, created_at: world.now(), ..manual };
    world.inner().insert_client(robot.clone(), u64::MAX, world.row()).await.unwrap();
    let ask = [("grant_type", "client_credentials"), ("resource", SALES)];
    let tokens = send(&world, &key.sign("k", &claims(&world, &robot.id, "1")), &ask, 1).await.unwrap();
    assert_eq!((tokens.scopes.as_str(), tokens.refresh.as_str()), ("sales:read", ""));
    assert!(world.is_live(&tokens.access).await);
    let named = [&ask[..], &[("client_id", robot.id.as_str())]].concat();
    assert_eq!(refused(world.token(&named).await), "invalid_client");
}
