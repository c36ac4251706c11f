//! Client authentication. A failure means that an attacker can pass for a client, or learns which clients exist.

use super::records;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpgate::oauth::{
    AuthMethod, Client, ClientAuthentication, ClientId, ClientMetadata, ClientOrigin, ClientSecretHash,
    CredentialError, Digest, ErrorCode, Form, RegistrationPolicy, Timestamp,
};

const NOW: Timestamp = Timestamp::from_secs(1000);

fn client(method: AuthMethod, secrets: &[(&str, Option<Timestamp>)]) -> Client {
    let body =
        format!(r#"{{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"{}"}}"#, method.as_str());
    Client {
        id: ClientId::parse("c1").unwrap(),
        metadata: ClientMetadata::from_registration(body.as_bytes(), &RegistrationPolicy::default()).unwrap().metadata,
        secrets: secrets
            .iter()
            .map(|(secret, until)| ClientSecretHash {
                hash: Digest::of(secret.as_bytes()),
                created_at: NOW,
                until: *until,
            })
            .collect(),
        ..records::client("c1", ClientOrigin::Registered)
    }
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn present(header: Option<&str>, form: &str) -> Result<ClientAuthentication, CredentialError> {
    ClientAuthentication::read(header.map(str::as_bytes), &Form::parse(form.as_bytes()).unwrap())
}

fn accepts(client: &Client, header: Option<&str>, form: &str) -> bool {
    present(header, form).and_then(|sent| sent.authenticate(Some(client.clone()), NOW)).is_ok()
}

#[test]
fn ca_02_a_secret_is_accepted_in_either_place() {
    let (header, body) = (basic("c1:s3cret"), "client_id=c1&client_secret=s3cret");
    for method in [AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost] {
        let client = client(method, &[("s3cret", None)]);
        assert!(accepts(&client, Some(&header), ""), "{method:?}");
        assert!(accepts(&client, None, body), "{method:?}");
        assert!(!accepts(&client, Some(&basic("c1:wrong")), ""), "{method:?}");
        assert!(!accepts(&client, None, "client_id=c1&client_secret=wrong"), "{method:?}");
        assert!(!accepts(&client, None, "client_id=c1"), "{method:?}");
        assert!(!accepts(&client, None, "client_id=c1&client_secret="), "{method:?}");
    }
}

#[test]
fn ca_04_malformed_basic_is_invalid_client_with_a_challenge() {
    for header in [
        "Basic ???",
        "Basic",
        &basic("no colon"),
        &basic(":s3cret"),
        &basic("c1:%zz"),
        &basic("c1:wrong"),
        "Bearer x",
        "Basic  \u{e9}",
    ] {
        let refused = present(Some(header), "").and_then(|sent| {
            let client = client(AuthMethod::ClientSecretBasic, &[("s3cret", None)]);
            sent.authenticate(Some(client), NOW).map(|_| ())
        });
        let refused = refused.unwrap_err();
        assert!(refused.basic && refused.error.code() == ErrorCode::InvalidClient, "{header}");
    }
    let header = basic("c1:s3cret").replace("Basic", "bAsIc");
    assert!(accepts(&client(AuthMethod::ClientSecretBasic, &[("s3cret", None)]), Some(&header), ""));
}

#[test]
fn basic_is_read_raw_and_form_decoded() {
    let client = client(AuthMethod::ClientSecretBasic, &[("a+b%2Fc", None)]);
    assert!(accepts(&client, Some(&basic("c1:a+b%2Fc")), "client_id=c1"));
    assert!(accepts(&client, Some(&basic("c1:a%2Bb%252Fc")), ""));
    assert!(!accepts(&client, Some(&basic("c1:a b/c")), ""));
}

#[test]
fn ca_05_a_public_client_sends_no_secret() {
    let client = client(AuthMethod::None, &[]);
    assert!(accepts(&client, None, "client_id=c1&client_secret="));
    assert!(!accepts(&client, None, "client_id=c1&client_secret=x"));
    assert!(!accepts(&client, Some(&basic("c1:")), ""));
    // Whatever the store contains, a client that registered no secret has nothing to authenticate with.
    let with_secret = self::client(AuthMethod::None, &[("x", None)]);
    assert!(!accepts(&with_secret, None, "client_id=c1&client_secret=x"));
    assert!(!accepts(&with_secret, Some(&basic("c1:x")), ""));
}

#[test]
fn a_bearer_field_without_a_token_is_no_authentication() {
    let client = client(AuthMethod::None, &[]);
    for field in ["Bearer", "bearer ", "BEARER   "] {
        assert!(accepts(&client, Some(field), "client_id=c1"), "{field:?}");
    }
    assert!(!accepts(&client, Some("Bearer x"), "client_id=c1"));
}

#[test]
fn ca_15_both_secrets_of_a_rotation_until_the_old_one_ends() {
    let rotated = |until| client(AuthMethod::ClientSecretPost, &[("new", None), ("old", Some(until))]);
    let old = "client_id=c1&client_secret=old";
    assert!(accepts(&rotated(Timestamp::from_secs(1001)), None, old));
    assert!(accepts(&rotated(NOW), None, "client_id=c1&client_secret=new"));
    assert!(!accepts(&rotated(NOW), None, old));
}

#[test]
fn unknown_disabled_and_other_clients_get_the_same_words() {
    let sent = present(None, "client_id=c1&client_secret=s3cret").unwrap();
    let known = client(AuthMethod::ClientSecretPost, &[("s3cret", None)]);
    assert!(sent.authenticate(Some(known.clone()), NOW).is_ok());
    let disabled = Client { disabled: true, ..known.clone() };
    let other = Client { id: ClientId::parse("c2").unwrap(), ..known.clone() };
    let wrong = Client { secrets: Vec::new(), ..known };
    let refused = [None, Some(disabled), Some(other), Some(wrong)].map(|c| sent.authenticate(c, NOW).unwrap_err());
    assert!(refused.iter().all(|error| *error == refused[0]));
    assert_eq!(refused[0].error.code(), ErrorCode::InvalidClient);
}

#[test]
fn ca_02_two_authentications_at_once_are_invalid_in_every_combination() {
    let headers = [basic("c1:s3cret"), basic("c1:wrong"), "Basic ???".to_owned(), "Bearer x".to_owned()];
    let bodies = ["client_secret=s3cret", "client_secret=wrong", "client_assertion=x"];
    let mut pairs = vec![(None, "client_id=c1&client_secret=s3cret&client_assertion=x".to_owned())];
    for header in &headers {
        for body in bodies {
            pairs.push((Some(header.as_str()), body.to_owned()));
            pairs.push((Some(header.as_str()), format!("client_id=c1&{body}")));
        }
        pairs.push((Some(header.as_str()), "client_secret=s3cret&client_assertion=x".to_owned()));
    }
    for (header, form) in pairs {
        let refused = present(header, &form).unwrap_err();
        assert_eq!(refused.error.code(), ErrorCode::InvalidRequest, "{header:?} {form}");
        assert!(!refused.basic, "{header:?} {form}");
    }
}

#[test]
fn one_client_named_once() {
    for (header, form, code) in [
        (Some(basic("c1:x")), "client_id=c2", ErrorCode::InvalidRequest),
        (None, "client_id=c1&client_id=c1", ErrorCode::InvalidRequest),
        (None, "client_id=c1&client_assertion=x&client_assertion=x", ErrorCode::InvalidRequest),
        (None, "", ErrorCode::InvalidClient),
        (None, "client_secret=x", ErrorCode::InvalidClient),
        (None, "client_id=%C3%A9", ErrorCode::InvalidClient),
        (None, "client_id=c1&client_assertion=x", ErrorCode::InvalidClient),
    ] {
        assert_eq!(present(header.as_deref(), form).unwrap_err().error.code(), code, "{form}");
    }
}

#[test]
fn nothing_presented_is_printed() {
    let sent = present(None, "client_id=c1&client_secret=s3cret").unwrap();
    assert!(!format!("{sent:?}").contains("s3cret"));
}
