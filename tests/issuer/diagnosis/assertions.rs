//! Rules of clients that sign assertions.

use mcpgate::oauth::{Client, Rule};
use mcpgate::outbound::FetchError;
use serde_json::json;

use super::pairs;
use super::walk::Walk;
use crate::driver::*;
use crate::signing_key::SigningKey;

pub(super) async fn assertions(world: &World, walk: &mut Walk) {
    let key = SigningKey::ed25519();
    let keyed = crate::assertions::keyed(world, &key).await;
    let public = world.manual_client("Without keys", CALLBACK, None).await;
    let claims = |client: &Client, jti: &str| crate::assertions::claims(world, &client.id, jti);
    let good = key.sign("k", &claims(&keyed, "1"));
    for (rule, text) in [
        (Rule::GrantTypeMissing, good.clone()),
        (Rule::AssertionReplayed, good),
        (Rule::AssertionMalformed, "eyJhbGciOiJub25lIn0.e30.".to_owned()),
        (Rule::AssertionRefused, key.sign("k", &json!({"iss": "x", "sub": "y"}))),
        (Rule::AssertionUnexpected, key.sign("k", &claims(&public, "1"))),
        (Rule::AssertionSignature, SigningKey::ed25519().sign("k", &claims(&keyed, "2"))),
    ] {
        let sent = [("client_assertion_type", crate::assertions::TYPE), ("client_assertion", text.as_str())];
        world.request(&caller(3)).token(None, &form(&sent)).await.unwrap_err();
        let line = walk.expect(rule);
        assert!(!line.contains(&text), "{line}");
        world.issuer.record_last_refusals().await;
    }
    world.request(&caller(3)).token(None, &form(&pairs(&keyed, &[]))).await.unwrap_err();
    walk.expect(Rule::AssertionMissing);
    let body = json!({"redirect_uris": [CALLBACK], "jwks": key.jwks("k"), "token_endpoint_auth_method": "none",
        "token_endpoint_auth_methods_supported": ["private_key_jwt"]});
    let either = world.request(&caller(8)).register(body.to_string().as_bytes()).await.unwrap().client;
    let (code, text) = (world.code(&either.id, &[], "ada").await, key.sign("k", &claims(&either, "1")));
    let redeem = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)];
    let redeem = [&redeem[..], &[("redirect_uri", CALLBACK)]].concat();
    let tokens = crate::assertions::send(world, &text, &redeem, 3).await.unwrap();
    world.refresh(&either.id, &tokens.refresh).await.unwrap_err();
    walk.expect(Rule::RefreshNeedsAssertion);
    for (rule, url, fault) in [
        (Rule::KeysUnusable, "https://c.example/1", FetchError::TooLarge),
        (Rule::KeysUnreachable, "https://c.example/2", FetchError::Connect),
    ] {
        world.fetch.fail(url, fault);
        let published = crate::assertions::published(world, url).await;
        let text = key.sign("k", &claims(&published, "1"));
        let sent = [("client_assertion_type", crate::assertions::TYPE), ("client_assertion", text.as_str())];
        world.request(&caller(3)).token(None, &form(&sent)).await.unwrap_err();
        walk.expect(rule);
    }
}
