//! Client assertions (RFC 7523): a good one, and twins of it with one thing changed. A failure means that somebody else
//! passes for a client, or that a text made for another purpose or server does.

use mcpgate::oauth::jose::JwkSet;
use mcpgate::oauth::{
    Client, ClientAuthentication, ClientKeys, ClientMetadata, ClientOrigin, CredentialError, ErrorCode, Form,
    RegistrationPolicy, Rule, SignedAssertion, Timestamp,
};
use serde_json::{Map, Value, json};

use super::records;
use super::signing_key::SigningKey;

const ISSUER: &str = "https://gw.example";
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const NOW: u64 = 1_800_000_000;

fn client(key: &SigningKey) -> Client {
    let body = json!({"redirect_uris": ["https://c.example/cb"], "token_endpoint_auth_method": "private_key_jwt",
        "jwks": key.jwks("k")});
    let read = ClientMetadata::from_registration(body.to_string().as_bytes(), &RegistrationPolicy::default()).unwrap();
    Client { metadata: read.metadata, ..records::client("app", ClientOrigin::Registered) }
}

fn claims() -> Value {
    let id = records::client_id("app");
    json!({"iss": id.as_str(), "sub": id.as_str(), "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": "1"})
}

/// The claims with one of them changed; `null` removes it.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let members: &mut Map<_, _> = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name)
    } else {
        members.insert(name.to_owned(), value)
    };
    claims
}

fn present(assertion: &str, more: &[(&str, &str)]) -> Result<ClientAuthentication, CredentialError> {
    let pairs = [&[("client_assertion_type", TYPE), ("client_assertion", assertion)], more].concat();
    let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    ClientAuthentication::read(None, &Form::parse(text.as_bytes()).unwrap())
}

fn prove(client: &Client, assertion: &str) -> Result<SignedAssertion, CredentialError> {
    let keys = client.metadata.keys.as_ref().expect("keys");
    let ClientKeys::Set(keys) = &**keys else { panic!("{keys:?}") };
    present(assertion, &[])?.authenticate_by_key(Some(client.clone()), keys, (ISSUER, Timestamp::from_secs(NOW)))
}

fn rule_of<T: std::fmt::Debug>(outcome: Result<T, CredentialError>) -> Rule {
    let refused = outcome.unwrap_err();
    assert!(refused.error.code() == ErrorCode::InvalidClient && !refused.basic, "{refused:?}");
    refused.error.rule()
}

#[test]
fn a_client_signs_with_any_of_its_keys_and_any_algorithm_that_is_allowed() {
    for key in SigningKey::all() {
        let signed = prove(&client(&key), &key.sign("k", &claims())).unwrap();
        assert_eq!(signed.name(), format!("{}\n1", records::client_id("app").as_str()));
        assert_eq!(signed.expires_at(), Timestamp::from_secs(NOW + 120), "exp, and the skew of clocks");
        let once = signed.clone().used(true).unwrap();
        assert_eq!(once.id, records::client_id("app"));
        assert_eq!(rule_of(signed.used(false)), Rule::AssertionReplayed);
    }
}

#[test]
fn ca_08_the_audience_is_the_issuer_as_one_string() {
    let key = SigningKey::ed25519();
    let client = client(&key);
    for (audience, is_good) in [
        (json!(ISSUER), true),
        (json!([ISSUER]), false),
        (json!([ISSUER, "https://other.example"]), false),
        // The same URI, as the SDK for Python writes it.
        (json!("https://gw.example/"), true),
        (json!("https://gw.example//"), false),
        (json!("https://gw.example/token"), false),
        (json!("https://gw.example/par"), false),
        (json!("https://other.example"), false),
        (json!("HTTPS://GW.example"), false),
        (json!(""), false),
        (json!(null), false),
    ] {
        let outcome = prove(&client, &key.sign("k", &with("aud", audience.clone())));
        assert_eq!(outcome.is_ok(), is_good, "{audience}");
        assert!(is_good || rule_of(outcome) == Rule::AssertionRefused, "{audience}");
    }
}

#[test]
fn ca_10_an_assertion_is_short_lived() {
    let key = SigningKey::ed25519();
    let client = client(&key);
    for (name, value, is_good) in [
        ("exp", json!(NOW - 300), false),
        ("exp", json!(NOW - 60), false),
        ("exp", json!(NOW - 59), true),
        ("exp", json!(NOW + 300), true),
        ("exp", json!(NOW + 361), false),
        ("exp", json!(NOW + 3600), false),
        ("exp", json!(null), false),
        ("exp", json!((NOW + 60).to_string()), false),
        ("nbf", json!(NOW + 8), true),
        ("nbf", json!(NOW + 61), false),
        ("iat", json!(NOW + 61), false),
        ("iat", json!(null), true),
        ("iat", json!(NOW - 300), true),
        ("iat", json!(NOW - 301), false),
        ("jti", json!(null), false),
        ("jti", json!(""), false),
        ("jti", json!(1), false),
        ("jti", json!("x".repeat(257)), false),
    ] {
        let outcome = prove(&client, &key.sign("k", &with(name, value.clone())));
        assert_eq!(outcome.is_ok(), is_good, "{name} {value}");
    }
}

#[test]
fn ca_11_issuer_subject_and_client_are_one() {
    let key = SigningKey::ed25519();
    let client = client(&key);
    let (own, other) = (records::client_id("app"), records::client_id("other"));
    for (name, value) in [("iss", json!(other.as_str())), ("sub", json!(other.as_str()))] {
        for value in [value, json!(null), json!(""), json!([own.as_str()]), json!(own.as_str().to_uppercase())] {
            let refused = rule_of(prove(&client, &key.sign("k", &with(name, value.clone()))));
            assert_eq!(refused, Rule::AssertionRefused, "{name} {value}");
        }
    }
    let good = key.sign("k", &claims());
    assert_eq!(present(&good, &[("client_id", own.as_str())]).unwrap().client_id, own);
    assert_eq!(rule_of(present(&good, &[("client_id", other.as_str())])), Rule::AssertionRefused);
    // Another client's assertion by the same key, and one of a client that is disabled.
    let another = Client { id: other, ..client.clone() };
    assert_eq!(rule_of(prove(&another, &good)), Rule::ClientUnknown);
    assert_eq!(rule_of(prove(&Client { disabled: true, ..client }, &good)), Rule::ClientUnknown);
}

#[test]
fn a_text_of_another_kind_is_no_assertion() {
    let key = SigningKey::p256();
    let client = client(&key);
    for (kind, is_good) in [
        (json!("JWT"), true),
        (json!("jwt"), true),
        (json!("client-authentication+jwt"), true),
        (json!("application/client-authentication+jwt"), true),
        (json!("dpop+jwt"), false),
        (json!("at+jwt"), false),
        (json!("oauth-id-jag+jwt"), false),
        (json!("secevent+jwt"), false),
        (json!(""), false),
        (json!(1), false),
    ] {
        let header = json!({"alg": "ES256", "kid": "k", "typ": kind}).to_string();
        assert_eq!(prove(&client, &key.sign_texts(&header, &claims().to_string())).is_ok(), is_good, "{kind}");
    }
    let good = key.sign("k", &claims());
    for kind in [None, Some(""), Some("urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), Some("jwt-bearer")] {
        let text = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kind.map(|kind| ("client_assertion_type", kind)))
            .append_pair("client_assertion", &good)
            .finish();
        let refused = ClientAuthentication::read(None, &Form::parse(text.as_bytes()).unwrap());
        assert_eq!(rule_of(refused), Rule::AssertionMalformed, "{kind:?}");
    }
}

/// Each claim and each member of the header, changed after the signature was made.
#[test]
fn a_twin_with_one_member_changed_is_refused() {
    for key in [SigningKey::p256(), SigningKey::rsa(true)] {
        let client = client(&key);
        let signature = |text: &str| text.rsplit_once('.').unwrap().1.to_owned();
        let header = json!({"alg": key.algorithm(), "kid": "k", "typ": "JWT"});
        let good = key.sign_texts(&header.to_string(), &claims().to_string());
        assert!(prove(&client, &good).is_ok());
        let twin = |header: &Value, claims: &Value| {
            let unsigned = key.sign_texts(&header.to_string(), &claims.to_string());
            format!("{}.{}", unsigned.rsplit_once('.').unwrap().0, signature(&good))
        };
        for (name, value) in [
            ("exp", json!(NOW + 61)),
            ("iat", json!(NOW - 1)),
            ("nbf", json!(NOW)),
            ("jti", json!("2")),
            ("scope", json!("admin")),
            ("iat", json!(null)),
        ] {
            assert_eq!(rule_of(prove(&client, &twin(&header, &with(name, value)))), Rule::AssertionSignature, "{name}");
        }
        for (name, value) in [
            ("typ", json!("jwt")),
            ("kid", json!("other")),
            ("alg", json!("PS256")),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("jku", json!("https://evil.example/keys")),
            ("zip", json!("DEF")),
        ] {
            let mut changed = header.clone();
            changed[name] = value;
            if changed != header {
                assert!(prove(&client, &twin(&changed, &claims())).is_err(), "{name}");
            }
        }
        let by_stranger = SigningKey::p256().sign("k", &claims());
        assert_eq!(rule_of(prove(&client, &by_stranger)), Rule::AssertionSignature);
        // The public key as the secret of a MAC, the classic confusion.
        let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
        assert!(prove(&client, &unsigned).is_err() && prove(&client, &format!("{good}.{good}")).is_err());
    }
}

#[test]
fn only_the_signature_says_who_it_is_and_nothing_of_it_is_printed() {
    let key = SigningKey::p256();
    let client = client(&key);
    let sent = present(&key.sign("k", &claims()), &[]).unwrap();
    assert!(!format!("{sent:?}").contains("eyJ"));
    assert!(!sent.used_basic());
    // Without keys at hand the assertion proves nothing, whatever the client registered.
    assert_eq!(rule_of(sent.authenticate(Some(client.clone()), Timestamp::from_secs(NOW))), Rule::AssertionUnexpected);
    assert_eq!(rule_of(sent.authenticate(None, Timestamp::from_secs(NOW))), Rule::ClientUnknown);
    let none = sent.authenticate_by_key(None, &JwkSet::default(), (ISSUER, Timestamp::from_secs(NOW)));
    assert_eq!(rule_of(none), Rule::ClientUnknown);
    // Nor does anything else prove it.
    let form = |text: &str| ClientAuthentication::read(None, &Form::parse(text.as_bytes()).unwrap()).unwrap();
    let id = records::client_id("app");
    let named = form(&format!("client_id={}", id.as_str()));
    assert_eq!(rule_of(named.authenticate(Some(client.clone()), Timestamp::from_secs(NOW))), Rule::AssertionMissing);
    let secret = form(&format!("client_id={}&client_secret=x", id.as_str()));
    assert_eq!(rule_of(secret.authenticate(Some(client), Timestamp::from_secs(NOW))), Rule::SecretUnexpected);
}
