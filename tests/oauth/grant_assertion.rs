//! Assertions by which clients say for whom they act (RFC 7523 2.1): a good one, and twins of it with one thing
//! changed. A failure means that somebody else gets a token for a person, or that a text made for another purpose does.

use mcpgate::oauth::jose::JwkSet;
use mcpgate::oauth::{
    ActingFor, ErrorCode, Form, GrantAssertion, LoginName, OAuthError, Rule, Timestamp, TokenRequest,
};
use serde_json::{Value, json};

use super::records;
use super::signing_key::SigningKey;

const ISSUER: &str = "https://gw.example";
const NOW: u64 = 1_800_000_000;

fn claims() -> Value {
    let id = records::client_id("app");
    json!({"iss": id.as_str(), "sub": "ada", "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": "1"})
}

/// The claims with one of them changed; `null` removes it.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn read(text: &str) -> Result<GrantAssertion, OAuthError> {
    let pairs = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", text)];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    match TokenRequest::read(&Form::parse(form.as_bytes()).unwrap(), &records::keys())? {
        TokenRequest::JwtBearer(request) => Ok(request.assertion),
        TokenRequest::AuthorizationCode(_) | TokenRequest::ClientCredentials(_) | TokenRequest::RefreshToken(_) => {
            panic!("another grant")
        }
    }
}

fn prove(key: &SigningKey, text: &str) -> Result<ActingFor, OAuthError> {
    let (client, now) = (records::client_id("app"), Timestamp::from_secs(NOW));
    let keys = JwkSet::parse(key.jwks("k").to_string().as_bytes()).unwrap();
    let assertion = read(text)?;
    assertion.check(&client, ISSUER, now)?;
    assertion.verify(&client, &keys)
}

fn rule_of(outcome: Result<ActingFor, OAuthError>) -> Rule {
    let refused = outcome.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidGrant, "{refused:?}");
    refused.rule()
}

#[test]
fn a_client_says_for_whom_it_acts_with_any_algorithm_that_is_allowed() {
    for key in SigningKey::all() {
        let acting = prove(&key, &key.sign("k", &claims())).unwrap();
        assert_eq!(acting.person, LoginName::parse("ada"));
        assert_eq!(acting.name, format!("grant {}\n1", records::client_id("app").as_str()));
        assert_eq!(acting.expires_at, Timestamp::from_secs(NOW + 120), "exp, and the skew of clocks");
    }
    let key = SigningKey::ed25519();
    let named = prove(&key, &key.sign("k", &with("client_id", json!(records::client_id("app").as_str()))));
    assert!(named.is_ok(), "{named:?}");
    assert_eq!(prove(&key, &key.sign("k", &with("sub", json!("Zoë")))).unwrap().person, None);
}

#[test]
fn an_assertion_names_the_client_that_presents_it() {
    let key = SigningKey::ed25519();
    let (own, other) = (records::client_id("app"), records::client_id("other"));
    for name in ["iss", "client_id"] {
        for value in [json!(other.as_str()), json!(""), json!([own.as_str()]), json!(own.as_str().to_uppercase())] {
            let refused = rule_of(prove(&key, &key.sign("k", &with(name, value.clone()))));
            assert_eq!(refused, Rule::GrantAssertionRefused, "{name} {value}");
        }
    }
    for missing in ["iss", "sub", "aud", "jti", "exp"] {
        assert_eq!(rule_of(prove(&key, &key.sign("k", &with(missing, json!(null))))), Rule::GrantAssertionRefused);
    }
    for audience in [json!([ISSUER]), json!("https://gw.example/token"), json!("https://other.example"), json!("")] {
        let refused = rule_of(prove(&key, &key.sign("k", &with("aud", audience.clone()))));
        assert_eq!(refused, Rule::GrantAssertionRefused, "{audience}");
    }
    for bound in ["cnf", "authorization_details"] {
        let refused = prove(&key, &key.sign("k", &with(bound, json!({"jkt": "x"}))));
        assert_eq!(rule_of(refused), Rule::GrantAssertionRefused, "{bound}");
    }
}

#[test]
fn te_12_an_assertion_lives_five_minutes_at_most() {
    let key = SigningKey::ed25519();
    for (name, value, is_good) in [
        ("exp", json!(NOW - 60), false),
        ("exp", json!(NOW - 59), true),
        ("exp", json!(NOW + 300), true),
        ("exp", json!(NOW + 361), false),
        ("exp", json!((NOW + 60).to_string()), false),
        ("nbf", json!(NOW + 8), true),
        ("nbf", json!(NOW + 61), false),
        ("iat", json!(NOW + 61), false),
        ("iat", json!(null), true),
        ("iat", json!(NOW - 300), true),
        ("iat", json!(NOW - 301), false),
        ("jti", json!(""), false),
        ("jti", json!("x".repeat(257)), false),
    ] {
        let outcome = prove(&key, &key.sign("k", &with(name, value.clone())));
        assert_eq!(outcome.is_ok(), is_good, "{name} {value}");
        assert!(is_good || rule_of(outcome) != Rule::GrantAssertionSignature, "{name} {value}");
    }
}

/// Each claim and each member of the header, changed after the signature was made.
#[test]
fn a_twin_with_one_member_changed_is_refused() {
    for key in [SigningKey::p256(), SigningKey::rsa(true)] {
        let header = json!({"alg": key.algorithm(), "kid": "k", "typ": "JWT"});
        let good = key.sign_texts(&header.to_string(), &claims().to_string());
        assert!(prove(&key, &good).is_ok());
        let signature = good.rsplit_once('.').unwrap().1;
        let twin = |header: &Value, claims: &Value| {
            let other = key.sign_texts(&header.to_string(), &claims.to_string());
            format!("{}.{signature}", other.rsplit_once('.').unwrap().0)
        };
        for (name, value) in [
            ("sub", json!("grace")),
            ("exp", json!(NOW + 61)),
            ("iat", json!(NOW - 1)),
            ("nbf", json!(NOW)),
            ("jti", json!("2")),
            ("scope", json!("admin")),
        ] {
            let refused = rule_of(prove(&key, &twin(&header, &with(name, value))));
            assert_eq!(refused, Rule::GrantAssertionSignature, "{name}");
        }
        for (name, value) in [
            ("iss", json!(records::client_id("other").as_str())),
            ("aud", json!("https://other.example")),
            ("client_id", json!("other")),
        ] {
            assert!(prove(&key, &twin(&header, &with(name, value))).is_err(), "{name}");
        }
        for (name, value) in [
            ("typ", json!("at+jwt")),
            ("typ", json!("jwt")),
            ("kid", json!("other")),
            ("alg", json!("ES384")),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("crit", json!(["b64"])),
            ("jku", json!("https://evil.example/keys")),
            ("jwk", SigningKey::p256().jwk("k")),
        ] {
            let mut changed = header.clone();
            changed[name] = value;
            assert!(prove(&key, &twin(&changed, &claims())).is_err(), "{name}");
        }
        // Of another kind, although its signature is right; and by another key.
        for kind in ["client-authentication+jwt", "dpop+jwt", "at+jwt", ""] {
            let of_kind = json!({"alg": key.algorithm(), "kid": "k", "typ": kind}).to_string();
            let refused = prove(&key, &key.sign_texts(&of_kind, &claims().to_string()));
            assert_eq!(rule_of(refused), Rule::GrantAssertionRefused, "{kind}");
        }
        let stranger = SigningKey::p256().sign("k", &claims());
        assert_eq!(rule_of(prove(&key, &stranger)), Rule::GrantAssertionSignature);
        let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
        assert!(prove(&key, &unsigned).is_err() && !format!("{:?}", read(&good).unwrap()).contains("eyJ"));
    }
}

#[test]
fn what_is_no_signed_jwt_is_no_grant() {
    let form = Form::parse(b"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer").unwrap();
    let missing = TokenRequest::read(&form, &records::keys()).unwrap_err();
    assert_eq!((missing.code(), missing.rule()), (ErrorCode::InvalidRequest, Rule::GrantAssertionMissing));
    for text in ["x", "a.b.c", &"x".repeat(20_000)] {
        let refused = read(text).unwrap_err();
        let expected = (ErrorCode::InvalidGrant, Rule::GrantAssertionMalformed);
        assert_eq!((refused.code(), refused.rule()), expected, "{text:.20}");
    }
}
