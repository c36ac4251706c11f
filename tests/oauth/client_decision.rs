//! What an operator decides about a client, and for what the decision holds.

use mcpgate::oauth::{
    AuthMethod, Client, ClientDecision, ClientMetadata, ClientOrigin, ClientStanding, GrantType, RegisteredRedirects,
    RegistrationPolicy, SeenClient,
};
use serde_json::{Value, json};

use super::records;
use super::signing_key::SigningKey;

fn decided(approved: bool) -> Client {
    let client = records::client("app", ClientOrigin::Registered);
    let seen = SeenClient::of(&client.metadata);
    Client { decision: Some(Box::new(ClientDecision { approved, seen })), ..client }
}

fn uris(uris: &[&str]) -> RegisteredRedirects {
    RegisteredRedirects::from_stored(uris.iter().map(|uri| (*uri).to_owned()).collect())
}

fn with_keys(jwks: &Value) -> ClientMetadata {
    let body = json!({"client_name": "App", "redirect_uris": ["https://app.example/cb"],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks});
    ClientMetadata::from_registration(body.to_string().as_bytes(), &RegistrationPolicy::default()).unwrap().metadata
}

#[test]
fn rg_17_an_approval_holds_for_name_redirect_uris_and_keys_and_a_rejection_for_the_client() {
    let standing = |approved, metadata: ClientMetadata| Client { metadata, ..decided(approved) }.standing();
    let own = decided(true).metadata;
    let two =
        ClientMetadata { redirect_uris: uris(&["https://app.example/cb", "https://b.example/cb"]), ..own.clone() };
    let keys = with_keys(&SigningKey::p256().jwks("k")).keys;
    for (what, metadata) in [
        ("the name", ClientMetadata { client_name: Some("Claude".to_owned()), ..own.clone() }),
        ("no name", ClientMetadata { client_name: None, ..own.clone() }),
        ("a redirect URI more", two),
        ("another redirect URI", ClientMetadata { redirect_uris: uris(&["https://b.example/cb"]), ..own.clone() }),
        ("keys", ClientMetadata { keys, ..own.clone() }),
        ("a method", ClientMetadata { token_endpoint_auth_method: AuthMethod::ClientSecretBasic, ..own.clone() }),
        ("itself", ClientMetadata { grant_types: vec![GrantType::ClientCredentials], ..own.clone() }),
    ] {
        assert_eq!(standing(true, metadata.clone()), ClientStanding::Undecided, "{what}");
        assert_eq!(standing(false, metadata), ClientStanding::Rejected, "{what}");
    }
    let version = ClientMetadata { software_version: Some("2".to_owned()), ..own.clone() };
    for same in [own.clone(), version, ClientMetadata { grant_types: vec![GrantType::AuthorizationCode], ..own }] {
        assert_eq!(standing(true, same), ClientStanding::Approved);
    }
    let undecided = Client { decision: None, ..decided(true) };
    assert_eq!(undecided.standing(), ClientStanding::Undecided);
    let added = Client { origin: ClientOrigin::Manual, ..decided(false) };
    assert_eq!(added.standing(), ClientStanding::Approved, "nobody decides about what an operator added");
}

#[test]
fn rg_17_the_order_of_redirect_uris_and_keys_does_not_matter_and_other_keys_do() {
    let seen =
        |uris: RegisteredRedirects| SeenClient::of(&ClientMetadata { redirect_uris: uris, ..records::metadata() });
    let (a, b) = ("https://a.example/cb", "https://b.example/cb");
    assert_eq!(seen(uris(&[a, b])), seen(uris(&[b, a])));
    let key = |name: &str| SigningKey::p256().jwks(name)["keys"][0].clone();
    let (one, two) = (key("one"), key("two"));
    let of = |keys: &[&Value]| SeenClient::of(&with_keys(&json!({ "keys": keys })));
    assert_eq!(of(&[&one, &two]), of(&[&two, &one]));
    assert_ne!(of(&[&one, &two]).keys, of(&[&one]).keys);
    assert_ne!(of(&[&one]).keys, of(&[&key("one")]).keys, "another key of the same id");
    let before = ClientDecision { approved: true, seen: of(&[&one]) };
    assert!(before.is_for_other_keys(&with_keys(&json!({ "keys": [two] }))));
    let renamed = ClientMetadata { client_name: Some("B".to_owned()), ..with_keys(&json!({ "keys": [one] })) };
    assert!(!before.is_for_other_keys(&renamed) && before.standing(&renamed) == ClientStanding::Undecided);
    assert!(!ClientDecision { approved: false, ..before }.is_for_other_keys(&with_keys(&json!({ "keys": [two] }))));
    assert_eq!(before.seen.mark().len(), 16);
}
