//! RG: dynamic client registration.

use mcpgate::issuer::{Registered, TokenRejection};
use mcpgate::oauth::{AuthMethod, Client, ClientOrigin};
use mcpgate::store::AuditEvent;

use super::driver::*;

fn body(extra: &[(&str, serde_json::Value)]) -> Vec<u8> {
    let mut body = serde_json::json!({"client_name": "Some client", "redirect_uris": [CALLBACK]});
    for (name, value) in extra {
        body[*name] = value.clone();
    }
    body.to_string().into_bytes()
}

#[tokio::test]
async fn a_client_that_says_nothing_gets_a_secret_and_a_public_one_none() {
    let world = World::new().await;
    let confidential = world.request(&caller(1)).register(&body(&[])).await.unwrap();
    assert_eq!(method(&confidential.client), AuthMethod::ClientSecretBasic);
    let secret = confidential.secret.expect("a secret");
    assert!(secret.reveal().starts_with("mcp_secret_"));
    assert_eq!(confidential.client.secrets.len(), 1);
    let public = [("token_endpoint_auth_method", "none".into())];
    let public = world.request(&caller(1)).register(&body(&public)).await.unwrap();
    assert!(public.secret.is_none() && public.client.secrets.is_empty());
    assert_eq!(world.count(AuditEvent::ClientRegistered).await, 2);
}

#[tokio::test]
async fn rg_01_switched_off_it_is_not_open() {
    let world = World::with(|config| config.registration.enabled = false).await;
    let outcome = world.request(&caller(1)).register(&body(&[])).await;
    assert!(matches!(outcome, Err(TokenRejection::NotOpen)), "{outcome:?}");
}

#[tokio::test]
async fn rg_02_the_eleventh_in_an_hour_from_one_address_waits() {
    let world = World::new().await;
    for _ in 0..10 {
        world.request(&caller(1)).register(&body(&[])).await.unwrap();
    }
    let outcome = world.request(&caller(1)).register(&body(&[])).await;
    let Err(TokenRejection::Throttled(wait)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(wait.as_secs(), 360);
    assert_eq!(world.last_event().await, AuditEvent::ClientRegistrationRefused);
    world.request(&caller(2)).register(&body(&[])).await.unwrap();
    world.pass(360);
    world.request(&caller(1)).register(&body(&[])).await.unwrap();
}

#[tokio::test]
async fn rg_02_a_full_gateway_says_so() {
    let world = World::with(|config| config.registration.max_clients = 2).await;
    for n in 1..=2 {
        world.request(&caller(n)).register(&body(&[])).await.unwrap();
    }
    let outcome = world.request(&caller(3)).register(&body(&[])).await;
    assert!(matches!(outcome, Err(TokenRejection::Throttled(_))), "{outcome:?}");
    let row = world.audit().await.pop().unwrap();
    assert_eq!((row.event.as_str(), row.reason.as_deref()), ("reg.cap", Some("too_many_clients")));
}

#[tokio::test]
async fn rg_09_the_id_is_ours_and_scopes_are_those_that_exist() {
    let world = World::new().await;
    let wishes = [("client_id", "https://mine.example/x".into()), ("scope", "sales:read admin foreign:read *".into())];
    let Client { id, origin, metadata, .. } = world.request(&caller(1)).register(&body(&wishes)).await.unwrap().client;
    assert!(id.as_str().starts_with("mcp_client_"), "{}", id.as_str());
    assert_eq!(origin, ClientOrigin::Registered);
    assert_eq!(metadata.scope.unwrap().to_string(), "sales:read");
}

#[tokio::test]
async fn rg_refused_metadata_is_recorded_and_stores_nothing() {
    let world = World::new().await;
    let cases: [(&[(&str, serde_json::Value)], &str); 3] = [
        (&[("redirect_uris", serde_json::json!(["javascript:alert(1)"]))], "invalid_redirect_uri"),
        (&[("grant_types", serde_json::json!(["password"]))], "invalid_client_metadata"),
        (&[("redirect_uris", serde_json::json!([]))], "invalid_redirect_uri"),
    ];
    for (extra, expected) in cases {
        assert_eq!(refused(world.request(&caller(1)).register(&body(extra)).await), expected, "{extra:?}");
        assert_eq!(world.last_event().await, AuditEvent::ClientRegistrationRefused);
    }
    assert_eq!(world.inner().list_clients(&mcpgate::oauth::TenantId::default()).await.unwrap(), []);
}

#[tokio::test]
async fn what_was_left_out_of_a_registration_is_recorded() {
    let world = World::new().await;
    let mixed = serde_json::json!(["https://client.example/*", CALLBACK, "javascript:alert(1)"]);
    let extra = [("redirect_uris", mixed), ("logo_uri", "http://plain.example/logo".into())];
    let registered = world.request(&caller(1)).register(&body(&extra)).await.unwrap();
    let uris: Vec<_> = registered.client.metadata.redirect_uris.as_slice().iter().map(|uri| uri.as_str()).collect();
    assert_eq!((uris, registered.client.metadata.logo_uri), (vec![CALLBACK], None));
    let row = world.audit().await.pop().unwrap();
    assert_eq!(row.event, AuditEvent::ClientRegistered);
    assert_eq!(row.reason.as_deref(), Some("left out: redirect_uris[0], redirect_uris[2], logo_uri"));
}

#[tokio::test]
async fn the_same_public_client_gets_the_same_id_and_does_not_count() {
    let world = World::with(|config| config.registration.max_clients = 1).await;
    let public = |port: u16| {
        let uris = serde_json::json!([format!("http://127.0.0.1:{port}/callback")]);
        body(&[("token_endpoint_auth_method", "none".into()), ("redirect_uris", uris)])
    };
    let first = world.request(&caller(1)).register(&public(4000)).await.unwrap().client;
    for port in 4001..4101 {
        let again = world.request(&caller(1)).register(&public(port)).await.unwrap();
        assert_eq!((again.client.id, again.secret.is_none()), (first.id.clone(), true));
    }
    assert_eq!(world.count(AuditEvent::ClientRegistered).await, 1);
    let other = [("token_endpoint_auth_method", "none".into()), ("client_name", "Another".into())];
    let outcome = world.request(&caller(2)).register(&body(&other)).await;
    assert!(
        matches!(outcome, Err(TokenRejection::Throttled(_))),
        "a different name is a different client: {outcome:?}"
    );
}

#[tokio::test]
async fn rg_02_malformed_and_well_formed_registrations_have_budgets_of_their_own() {
    let world = World::new().await;
    let here = caller(1);
    let malformed = || async { world.request(&here).register(b"{\"redirect_uris\": 1}").await };
    for _ in 0..10 {
        refused(malformed().await);
    }
    let outcome = malformed().await;
    assert!(matches!(outcome, Err(TokenRejection::Throttled(_))), "{outcome:?}");
    for _ in 0..10 {
        world.request(&caller(1)).register(&body(&[])).await.unwrap();
    }
    let outcome = world.request(&caller(1)).register(&body(&[])).await;
    assert!(matches!(outcome, Err(TokenRejection::Throttled(_))), "{outcome:?}");
    world.pass(360);
    refused(malformed().await);
    world.request(&caller(1)).register(&body(&[])).await.unwrap();
}

#[tokio::test]
async fn the_id_of_a_confidential_client_that_registered_anew_is_unknown_and_the_new_one_has_its_own_secret() {
    let world = World::new().await;
    let posting = body(&[("token_endpoint_auth_method", "client_secret_post".into())]);
    let first = world.request(&caller(1)).register(&posting).await.unwrap();
    let elsewhere = world.request(&caller(2)).register(&posting).await.unwrap();
    let asks = async |of: &Registered| {
        let (id, secret) = (of.client.id.as_str(), of.secret.as_ref().unwrap().reveal());
        let own = [("grant_type", "refresh_token"), ("client_id", id), ("client_secret", secret)];
        refused(world.token(&[&own[..], &[("refresh_token", "x")]].concat()).await)
    };
    assert_eq!(asks(&first).await, "invalid_grant");
    world.pass(3601);
    let second = world.request(&caller(1)).register(&posting).await.unwrap();
    assert_ne!(second.client.id, first.client.id);
    assert_ne!(second.secret.as_ref().unwrap().reveal(), first.secret.as_ref().unwrap().reveal());
    assert_eq!(asks(&first).await, "invalid_client");
    assert_eq!((asks(&second).await, asks(&elsewhere).await), ("invalid_grant", "invalid_grant"));
}
