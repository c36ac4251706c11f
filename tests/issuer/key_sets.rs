//! Keys that clients publish at a URL (jwks_uri): when they are fetched, how long they are believed, and what a change
//! of them ends.

use mcpgate::issuer::TokenRejection;
use mcpgate::oauth::{Client, ClientId, Rule, TenantId};
use mcpgate::outbound::FetchError;
use mcpgate::store::{AuditEvent, GrantFilter};
use serde_json::json;

use super::assertions::{claims, published, rule, send};
use super::driver::*;
use super::failing_store::State;
use super::scripted_fetch::status;
use super::signing_key::SigningKey;

const URL: &str = "https://app.example/keys";

/// Whether an assertion that names a key is accepted; the request itself asks for nothing.
async fn accepts(world: &World, client: &Client, key: &SigningKey, kid: &str) -> bool {
    let jti = format!("{}", world.services.entropy.random_16().iter().map(|b| u64::from(*b)).sum::<u64>());
    let text = key.sign(kid, &claims(world, &client.id, &format!("{jti} {}", world.now().as_millis())));
    match rule(send(world, &text, &[], 1).await) {
        Rule::GrantTypeMissing => true,
        Rule::AssertionSignature | Rule::KeysUnusable => false,
        other => panic!("{other:?}"),
    }
}

async fn is_unavailable(world: &World, client: &Client, key: &SigningKey) -> bool {
    let text = key.sign("a", &claims(world, &client.id, &world.now().as_millis().to_string()));
    matches!(send(world, &text, &[], 1).await, Err(TokenRejection::Unavailable))
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_when_they_are_old_or_another_is_named() {
    let world = World::new().await;
    let (a, b) = (SigningKey::ed25519(), SigningKey::ed25519());
    let client = published(&world, URL).await;
    assert_eq!(world.fetch.calls(), 0, "a registration fetches nothing");
    world.fetch.serve(URL, &a.jwks("a"), Some(3600), false);
    assert!(accepts(&world, &client, &a, "a").await && accepts(&world, &client, &a, "a").await);
    assert_eq!(world.fetch.calls(), 1);
    // A key that is not in the set: asked for at most once a minute, whoever names it.
    assert!(!accepts(&world, &client, &b, "b").await);
    assert_eq!(world.fetch.calls(), 1, "the set is a few seconds old");
    world.fetch.serve(URL, &json!({"keys": [a.jwk("a"), b.jwk("b")]}), Some(3600), false);
    world.pass(60);
    assert!(accepts(&world, &client, &b, "b").await && accepts(&world, &client, &a, "a").await);
    assert_eq!(world.fetch.calls(), 2);
    for name in ["c", "d", "e"] {
        assert!(!accepts(&world, &client, &b, name).await, "{name}");
    }
    assert_eq!(world.fetch.calls(), 2);
    // A key that was taken out is refused once the set is old.
    world.fetch.serve(URL, &b.jwks("b"), Some(1), false);
    assert!(accepts(&world, &client, &a, "a").await);
    world.pass(3600);
    assert!(!accepts(&world, &client, &a, "a").await);
    assert_eq!(world.fetch.calls(), 3);
    // A second is too short: ten minutes are the least.
    world.pass(599);
    assert!(accepts(&world, &client, &b, "b").await);
    assert_eq!(world.fetch.calls(), 3);
    world.pass(1);
    assert!(accepts(&world, &client, &b, "b").await);
    assert_eq!(world.fetch.calls(), 4);
}

/// RFC 7515 4.1.4: `kid` is optional, so that a new key may show only by a signature that no known key has made.
#[tokio::test]
async fn keys_are_fetched_again_for_a_signature_of_none_of_them() {
    let world = World::new().await;
    let (a, b, c) = (SigningKey::ed25519(), SigningKey::ed25519(), SigningKey::ed25519());
    let client = published(&world, URL).await;
    world.fetch.serve(URL, &a.jwks("a"), Some(86_400), false);
    let ask = async |key: &SigningKey, kid: Option<&str>, jti: &str| {
        let claims = claims(&world, &client.id, jti);
        let header = match kid {
            Some(kid) => json!({"alg": key.algorithm(), "kid": kid}),
            None => json!({"alg": key.algorithm()}),
        };
        rule(send(&world, &key.sign_texts(&header.to_string(), &claims.to_string()), &[], 1).await)
    };
    assert_eq!(ask(&a, None, "1").await, Rule::GrantTypeMissing);
    world.fetch.serve(URL, &json!({"keys": [a.jwk("a"), b.jwk("b")]}), Some(86_400), false);
    assert_eq!(ask(&b, None, "2").await, Rule::AssertionSignature, "the set is a few seconds old");
    world.pass(60);
    assert_eq!(ask(&a, None, "3").await, Rule::GrantTypeMissing);
    assert_eq!(world.fetch.calls(), 1, "a signature of a known key needs no other");
    assert_eq!(ask(&b, None, "4").await, Rule::GrantTypeMissing);
    assert_eq!(world.fetch.calls(), 2);
    for jti in ["5", "6", "7"] {
        assert_eq!(ask(&c, None, jti).await, Rule::AssertionSignature);
    }
    assert_eq!(world.fetch.calls(), 2, "once a minute");
    // The host replaces a key, and keeps its name.
    world.fetch.serve(URL, &json!({"keys": [c.jwk("a"), b.jwk("b")]}), Some(86_400), false);
    world.pass(60);
    assert_eq!(ask(&c, Some("a"), "8").await, Rule::GrantTypeMissing);
}

#[tokio::test]
async fn all_who_wait_for_keys_share_one_fetch() {
    let world = World::new().await;
    let key = SigningKey::ed25519();
    let client = published(&world, URL).await;
    world.fetch.serve(URL, &key.jwks("a"), None, false);
    let texts: Vec<_> = ["1", "2", "3"].iter().map(|jti| key.sign("a", &claims(&world, &client.id, jti))).collect();
    let (one, two, three) =
        tokio::join!(send(&world, &texts[0], &[], 1), send(&world, &texts[1], &[], 2), send(&world, &texts[2], &[], 3));
    for outcome in [one, two, three] {
        assert_eq!(rule(outcome), Rule::GrantTypeMissing);
    }
    assert_eq!(world.fetch.calls(), 1);
}

#[tokio::test]
async fn an_outage_of_the_clients_host_is_bridged_for_a_day() {
    let world = World::new().await;
    let key = SigningKey::ed25519();
    let client = published(&world, URL).await;
    world.fetch.fail(URL, FetchError::Slow);
    assert!(is_unavailable(&world, &client, &key).await, "nothing is known yet");
    world.pass(1);
    assert!(is_unavailable(&world, &client, &key).await);
    assert_eq!(world.fetch.calls(), 1, "it is not asked again for half a minute");
    world.pass(30);
    world.fetch.serve(URL, &key.jwks("a"), None, false);
    assert!(accepts(&world, &client, &key, "a").await);
    for fault in [FetchError::Connect, FetchError::Dns, status(503), FetchError::ContentType] {
        world.fetch.fail(URL, fault);
        world.pass(3600);
        assert!(accepts(&world, &client, &key, "a").await);
    }
    let calls = world.fetch.calls();
    assert!(accepts(&world, &client, &key, "a").await);
    assert_eq!(world.fetch.calls(), calls, "it is not asked again for half a minute");
    world.pass(24 * 3600);
    world.fetch.fail(URL, FetchError::Connect);
    assert!(is_unavailable(&world, &client, &key).await);
}

/// Otherwise whoever has a key that was taken out could keep it in use, by causing fetches until they are refused.
#[tokio::test]
async fn the_gateways_own_limits_make_no_old_set_valid() {
    let world = World::new().await;
    let (a, b) = (SigningKey::ed25519(), SigningKey::ed25519());
    let client = published(&world, URL).await;
    let ask = async |key: &SigningKey, kid: &str, jti: &str| {
        send(&world, &key.sign(kid, &claims(&world, &client.id, jti)), &[], 1).await
    };
    let is_throttled = |outcome| matches!(outcome, Err(TokenRejection::Throttled(_)));
    world.fetch.fail(URL, FetchError::Busy);
    assert!(is_throttled(ask(&a, "a", "1").await), "nothing is known yet");
    world.fetch.serve(URL, &a.jwks("a"), Some(3600), false);
    assert_eq!(rule(ask(&a, "a", "2").await), Rule::GrantTypeMissing, "it is not the fault of the client's server");
    world.pass(3600);
    world.fetch.fail(URL, FetchError::Busy);
    assert!(is_throttled(ask(&a, "a", "3").await), "the set is old");
    world.fetch.serve(URL, &b.jwks("b"), Some(3600), false);
    assert_eq!(rule(ask(&b, "b", "4").await), Rule::GrantTypeMissing);
    // Somebody at the same address uses up all fetches from the host.
    world.pass(3600);
    for n in 0..3 {
        let id = ClientId::parse(&format!("https://app.example/{n}")).unwrap();
        paged(world.begin(&id, &[], None).await);
    }
    assert!(is_throttled(ask(&b, "b", "5").await));
    world.pass(60);
    assert_eq!(rule(ask(&b, "b", "6").await), Rule::GrantTypeMissing);
}

/// What an attacker could bring about ends the trust in the old set at once; and so does a set that must not be used.
#[tokio::test]
async fn a_set_that_must_not_be_used_is_refused() {
    let world = World::new().await;
    let key = SigningKey::ed25519();
    let mut private = key.jwks("a");
    private["keys"][0]["d"] = "AA".into();
    let many: Vec<_> = (0..1000).map(|n| key.jwk(&n.to_string())).collect();
    for (n, set) in
        [private, json!({"keys": [key.jwk("a"), key.jwk("a")]}), json!({ "keys": many }), json!({"keys": []})]
            .into_iter()
            .enumerate()
    {
        let url = format!("https://c{n}.example/keys");
        let client = published(&world, &url).await;
        world.fetch.serve(&url, &set, None, false);
        assert!(!accepts(&world, &client, &key, "a").await, "{set}");
    }
    let client = published(&world, URL).await;
    world.fetch.serve(URL, &key.jwks("a"), None, false);
    assert!(accepts(&world, &client, &key, "a").await);
    for fault in [FetchError::Tls, FetchError::Refused, FetchError::TooLarge, status(404)] {
        world.pass(3600);
        world.fetch.fail(URL, fault.clone());
        assert!(!accepts(&world, &client, &key, "a").await, "{fault:?}");
    }
    // Whether an internal name exists is not told apart.
    let text = |client: &Client| key.sign("a", &claims(&world, &client.id, "1"));
    for (n, fault) in [FetchError::Dns, FetchError::Refused].into_iter().enumerate() {
        let url = format!("https://n{n}.example/keys");
        let client = published(&world, &url).await;
        world.fetch.fail(&url, fault);
        assert_eq!(rule(send(&world, &text(&client), &[], 2).await), Rule::KeysUnusable);
    }
}

/// Strangers name their own hosts, whose names may lead into the operator's network.
#[tokio::test]
async fn strangers_do_not_learn_what_is_in_a_network_that_is_open_to_documents() {
    let world = World::with(|config| config.outbound.allow_addresses = vec!["10.0.0.0/8".parse().unwrap()]).await;
    let key = SigningKey::ed25519();
    for inside in ["https://10.0.0.5:8443/admin/do", "https://intranet/keys"] {
        let body = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": inside});
        let outcome = world.request(&caller(8)).register(body.to_string().as_bytes()).await;
        assert_eq!(refused(outcome), "invalid_client_metadata", "{inside}");
    }
    for (n, fault) in [FetchError::Refused, FetchError::Connect, FetchError::Tls, FetchError::Slow, status(503)]
        .into_iter()
        .enumerate()
    {
        let url = format!("https://n{n}.example/keys");
        let client = published(&world, &url).await;
        world.fetch.fail(&url, fault);
        let text = key.sign("a", &claims(&world, &client.id, "1"));
        assert_eq!(rule(send(&world, &text, &[], 2).await), Rule::KeysUnusable);
    }
}

/// A client that publishes the key `a` at [`URL`], and what it was issued for Ada by an assertion.
async fn signed_in(world: &World, a: &SigningKey) -> (Client, Tokens) {
    let client = published(world, URL).await;
    world.fetch.serve(URL, &a.jwks("a"), None, false);
    let code = world.code(&client.id, &[], "ada").await;
    let redeem = [("grant_type", "authorization_code"), ("code", code.as_str()), ("code_verifier", VERIFIER)];
    let redeem = [&redeem[..], &[("redirect_uri", CALLBACK)]].concat();
    let tokens = send(world, &a.sign("a", &claims(world, &client.id, "1")), &redeem, 1).await.unwrap();
    (client, tokens)
}

#[tokio::test]
async fn a_set_with_a_key_of_the_one_before_ends_nothing_and_any_other_ends_all() {
    let world = World::new().await;
    world.account("ada").await;
    let (a, b, c) = (SigningKey::ed25519(), SigningKey::ed25519(), SigningKey::ed25519());
    let (client, tokens) = signed_in(&world, &a).await;
    world.fetch.serve(URL, &json!({"keys": [b.jwk("b"), a.jwk("a")]}), None, false);
    world.pass(3600);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    let tokens = send(&world, &b.sign("b", &claims(&world, &client.id, "2")), &refresh, 1).await.unwrap();
    world.fetch.serve(URL, &c.jwks("c"), None, false);
    world.pass(3600);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    let outcome = send(&world, &c.sign("c", &claims(&world, &client.id, "3")), &refresh, 1).await;
    assert_eq!(refused(outcome), "invalid_grant");
    assert!(!world.is_live(&tokens.access).await);
    assert_eq!(world.count(AuditEvent::ClientKeysReplaced).await, 1);
}

const DOCUMENT: &str = "https://app.example/client.json";

fn document(listed: &[&str], keys: &serde_json::Value) -> serde_json::Value {
    json!({"client_id": DOCUMENT, "client_name": "An app", "redirect_uris": [CALLBACK], "jwks": keys,
        "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_methods_supported": listed})
}

/// Signs in to the application of the document, and redeems the code with or without an assertion.
async fn sign_in(world: &World, assertion: Option<&str>) -> Result<Tokens, TokenRejection> {
    let id = ClientId::parse(DOCUMENT).unwrap();
    let code = world.code(&id, &[], "ada").await;
    let redeem = [("grant_type", "authorization_code"), ("code", code.as_str()), ("code_verifier", VERIFIER)];
    let redeem = [&redeem[..], &[("redirect_uri", CALLBACK), ("client_id", DOCUMENT)]].concat();
    match assertion {
        Some(assertion) => send(world, assertion, &redeem, 1).await,
        None => world.token(&redeem).await,
    }
}

#[tokio::test]
async fn a_document_may_allow_both_and_what_an_assertion_opened_nothing_less_refreshes() {
    let world = World::new().await;
    world.account("ada").await;
    let (a, b) = (SigningKey::ed25519(), SigningKey::ed25519());
    let id = ClientId::parse(DOCUMENT).unwrap();
    world.fetch.serve(DOCUMENT, &document(&["none", "private_key_jwt"], &a.jwks("a")), Some(3600), false);
    let open = sign_in(&world, None).await.unwrap();
    let open = world.refresh(&id, &open.refresh).await.unwrap();
    let signed = sign_in(&world, Some(&a.sign("a", &claims(&world, &id, "1")))).await.unwrap();
    assert_eq!(rule(world.refresh(&id, &signed.refresh).await), Rule::RefreshNeedsAssertion);
    assert!(world.is_live(&signed.access).await, "which ends nothing");
    // With any key that the client has by then; and the other way round it may prove more than it did before.
    let both = json!({"keys": [a.jwk("a"), b.jwk("b")]});
    world.fetch.serve(DOCUMENT, &document(&["none", "private_key_jwt"], &both), Some(3600), false);
    world.pass(3600);
    world.browser(&id, &[]).await;
    let refresh = |token: &Tokens| token.refresh.clone();
    let (first, second) = (refresh(&signed), refresh(&open));
    let ask = |token: &str| [("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())];
    for (jti, token) in [("2", first), ("3", second)] {
        let pairs = ask(&token);
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert!(send(&world, &b.sign("b", &claims(&world, &id, jti)), &pairs, 1).await.is_ok(), "{jti}");
    }
}

#[tokio::test]
async fn ci_14_a_document_with_other_keys_ends_what_was_granted() {
    let world = World::new().await;
    world.account("ada").await;
    let (a, b, c) = (SigningKey::ed25519(), SigningKey::ed25519(), SigningKey::ed25519());
    let id = ClientId::parse(DOCUMENT).unwrap();
    world.fetch.serve(DOCUMENT, &document(&[], &a.jwks("a")), Some(3600), false);
    assert_eq!(refused(sign_in(&world, None).await), "invalid_client", "the document allows nothing else");
    let tokens = sign_in(&world, Some(&a.sign("a", &claims(&world, &id, "1")))).await.unwrap();
    for (set, is_live) in [(json!({"keys": [b.jwk("b"), a.jwk("a")]}), true), (b.jwks("b"), true), (c.jwks("c"), false)]
    {
        world.fetch.serve(DOCUMENT, &document(&[], &set), Some(3600), false);
        world.pass(3600);
        world.browser(&id, &[]).await;
        let of = GrantFilter::of_client(&TenantId::default(), &id);
        let grants = world.inner().list_grants(&of, world.now()).await.unwrap();
        assert_eq!(grants.len(), usize::from(is_live), "{set}");
    }
    assert!(!world.is_live(&tokens.access).await);
}

/// Whoever has a key that was taken out could otherwise keep the grants, by hanging up while they are being ended.
#[tokio::test]
async fn hanging_up_keeps_no_grant_of_keys_that_were_all_replaced() {
    let world = World::new().await;
    world.account("ada").await;
    let (a, b) = (SigningKey::ed25519(), SigningKey::ed25519());
    let (client, tokens) = signed_in(&world, &a).await;
    world.fetch.serve(URL, &b.jwks("b"), None, false);
    world.pass(3600);
    let texts = ["2", "3"].map(|jti| b.sign("b", &claims(&world, &client.id, jti)));
    {
        let mut asking = Box::pin(send(&world, &texts[0], &[], 1));
        assert!(futures_util::poll!(asking.as_mut()).is_pending(), "the set is being fetched");
        world.store.set(State::Held);
        assert!(futures_util::poll!(asking.as_mut()).is_pending(), "the grants are being ended");
    }
    world.store.set(State::Open);
    assert_eq!(rule(send(&world, &texts[1], &[], 1).await), Rule::GrantTypeMissing);
    let grant = world.inner().find_grant(&TenantId::default(), tokens.grant).await.unwrap();
    assert!(grant.is_none_or(|grant| grant.revoked_at.is_some()));
}
