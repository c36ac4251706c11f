//! Client metadata. A failure means that a known client cannot register, or that a hostile document is accepted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpgate::oauth::{
    AuthMethod, ClientMetadata, ErrorCode, GrantType, GroupSet, MetadataDocumentUrl, OAuthError, ReadMetadata,
    RedirectPolicy, RegistrationPolicy, Rule, ScopeSet,
};
use serde_json::{Value, json};

use super::signing_key::SigningKey;

fn policy() -> RegistrationPolicy {
    let own_origins = vec!["https://gw.example".to_owned()];
    let redirects = RedirectPolicy { own_origins, ..RedirectPolicy::default() };
    RegistrationPolicy {
        redirects,
        scopes: ScopeSet::parse("read write").unwrap(),
        client_credentials: false,
        may_act_for: GroupSet::default(),
        internal_hosts: false,
    }
}

fn read(body: &Value) -> Result<ReadMetadata, OAuthError> {
    ClientMetadata::from_registration(body.to_string().as_bytes(), &policy())
}

fn register(body: &Value) -> Result<ClientMetadata, OAuthError> {
    read(body).map(|read| read.metadata)
}

fn with(name: &str, value: Value) -> Value {
    let mut body = json!({ "redirect_uris": ["https://c.example/cb"] });
    body[name] = value;
    body
}

const ID: &str = "https://c.example/client.json";

fn document(changes: &Value) -> Result<ClientMetadata, OAuthError> {
    read_document(changes).map(|read| read.metadata)
}

fn read_document(changes: &Value) -> Result<ReadMetadata, OAuthError> {
    let mut body = json!({ "client_id": ID, "client_name": "C", "redirect_uris": ["https://c.example/cb"] });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    let url = MetadataDocumentUrl::parse(ID, false).unwrap();
    ClientMetadata::from_metadata_document(body.to_string().as_bytes(), &url, &policy())
}

/// The registrations of known clients.
#[test]
fn rfc_7591_the_registrations_of_known_clients_are_accepted() {
    let (both, code) = (json!(["authorization_code", "refresh_token"]), json!(["code"]));
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    for (client, body) in [
        (
            "VS Code",
            json!({ "client_name": "Visual Studio Code", "client_uri": "https://code.visualstudio.com",
            "redirect_uris": ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect",
                "http://127.0.0.1/", "http://127.0.0.1:33418/"], "application_type": "native",
            "grant_types": ["authorization_code", "refresh_token", device], "response_types": code,
            "token_endpoint_auth_method": "none" }),
        ),
        (
            "Claude",
            json!({ "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_method": "none", "scope": "claudeai" }),
        ),
        (
            "Claude Code",
            json!({ "redirect_uris": ["http://localhost:3118/callback"],
            "application_type": "native", "token_endpoint_auth_method": "none" }),
        ),
        (
            "Codex",
            json!({ "redirect_uris": ["http://127.0.0.1:37819/callback/x1"],
            "application_type": "native", "token_endpoint_auth_method": "none" }),
        ),
        (
            "Cursor",
            json!({ "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback",
                "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"],
            "application_type": "web", "token_endpoint_auth_method": "none" }),
        ),
        (
            "OpenCode",
            json!({ "redirect_uris": ["http://127.0.0.1:19876/mcp/oauth/callback"],
            "token_endpoint_auth_method": "none" }),
        ),
        (
            "mcp-remote",
            json!({ "redirect_uris": ["http://localhost:3334/oauth/callback"], "grant_types": both,
            "client_name": "MCP CLI Proxy", "client_uri": "https://github.com/geelen/mcp-remote",
            "software_id": "2e6dc280", "software_version": "0.1.0", "scope": "read",
            "response_types": code, "token_endpoint_auth_method": "none" }),
        ),
        (
            "rmcp",
            json!({ "client_name": "x", "redirect_uris": ["http://localhost:9/callback"],
            "grant_types": both, "token_endpoint_auth_method": "none", "response_types": code }),
        ),
    ] {
        let registered = register(&body).unwrap_or_else(|error| panic!("{client}: {error:?}"));
        assert_eq!(registered.token_endpoint_auth_method, AuthMethod::None, "{client}");
        assert_eq!(registered.grant_types, [GrantType::AuthorizationCode, GrantType::RefreshToken], "{client}");
        assert_eq!(registered.redirect_uris.as_slice().len(), body["redirect_uris"].as_array().unwrap().len());
    }
    let python = json!({ "redirect_uris": ["http://localhost:3030/callback"], "application_type": "native",
        "grant_types": both });
    assert_eq!(register(&python).unwrap().token_endpoint_auth_method, AuthMethod::ClientSecretBasic);
}

#[test]
fn rfc_7591_hostile_redirects_are_refused() {
    // The table of refused URIs is in `oauth/redirect_uri.rs`. This test shows what a refusal causes, for one row of it
    // and for one URI that depends on this server's own name.
    for uri in ["javascript:alert(1)", "https://gw.example/login"] {
        for alone in [json!([uri]), json!([uri, uri]), json!([uri, 1])] {
            let error = register(&json!({ "redirect_uris": alone })).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidRedirectUri, "{uri}");
            let error = document(&json!({ "redirect_uris": alone })).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidClientMetadata, "{uri}");
        }
        // In a mixed list the other URIs are registered, in a registration and in a document, and the refused one is
        // reported.
        let mixed = json!({ "redirect_uris": [uri, "http://localhost/cb", 1] });
        for read in [read(&mixed).unwrap(), read_document(&mixed).unwrap()] {
            let uris: Vec<_> = read.metadata.redirect_uris.as_slice().iter().map(|uri| uri.as_str()).collect();
            assert_eq!(uris, ["http://localhost/cb"], "{uri}");
            let left_out: Vec<_> = read.left_out.iter().map(ToString::to_string).collect();
            assert_eq!(left_out, ["redirect_uris[0]", "redirect_uris[2]"], "{uri}");
        }
    }
    for none in [json!({}), json!({ "redirect_uris": [] }), json!({ "redirect_uris": null })] {
        assert_eq!(register(&none).unwrap_err().code(), ErrorCode::InvalidRedirectUri);
    }
}

#[test]
fn rg_03_rg_06_what_something_depends_on_is_refused() {
    for (name, value) in [
        ("redirect_uris", json!(vec!["https://c.example/cb"; 100])),
        ("redirect_uris", json!("https://c.example/cb")),
        ("jwks", json!({ "keys": [{ "kty": "EC", "d": "x" }] })),
        ("jwks", json!({ "keys": [{ "kty": "oct", "k": "x" }] })),
        ("grant_types", json!(["password"])),
        ("grant_types", json!(["implicit", "refresh_token"])),
        ("grant_types", json!(["client_credentials"])),
        ("response_types", json!(["token"])),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("token_endpoint_auth_method", json!("client_secret_jwt")),
        ("token_endpoint_auth_method", json!(1)),
    ] {
        let error = register(&with(name, value.clone())).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidClientMetadata, "{name}: {value}");
    }
    let twice = br#"{"redirect_uris":["https://c.example/cb"],"redirect_uris":["https://d.example/cb"]}"#;
    let error = ClientMetadata::from_registration(twice, &policy()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidClientMetadata);
}

#[test]
fn rg_04_what_nothing_depends_on_is_left_out() {
    for (name, value) in [
        ("client_uri", json!("javascript:alert(1)")),
        ("client_uri", json!("http://localhost:3080")),
        ("logo_uri", json!("http://c.example/logo.png")),
        ("logo_uri", json!("data:image/png;base64,AAAA")),
        ("logo_uri", json!(["https://c.example/logo.png"])),
        ("tos_uri", json!("data:text/plain,x")),
        ("tos_uri", json!("/tos")),
        ("policy_uri", json!("n/a")),
        ("policy_uri", json!("https://10.0.0.1/")),
        ("policy_uri", json!("https://0x7f.1/")),
        ("policy_uri", json!("https://[::1]/")),
        ("policy_uri", json!("https://localhost/")),
        ("logo_uri", json!("https://localhost./x")),
        ("logo_uri", json!("https://intranet/x")),
        ("logo_uri", json!("https://metadata.google.internal/x")),
        ("logo_uri", json!("https://u:p@c.example/")),
        ("software_id", json!("x".repeat(10_240))),
        ("software_version", json!(2)),
        ("application_type", json!("robot")),
        ("scope", json!(["read"])),
        ("grant_types", json!("authorization_code")),
        ("response_types", json!("code")),
        ("token_endpoint_auth_methods_supported", json!("none")),
    ] {
        let body = with(name, value.clone());
        for read in [read(&body).unwrap(), read_document(&body).unwrap()] {
            let left_out: Vec<_> = read.left_out.iter().map(ToString::to_string).collect();
            assert_eq!(left_out, [name], "{value}");
            let members = read.metadata.to_json();
            assert!(members.get(name).is_none_or(|kept| *kept != value), "{name}: {members:?}");
            assert_eq!(read.metadata.grant_types.len(), 2);
        }
    }
    // A member that is not used is not validated either.
    for (name, value) in
        [("jwks_uri", json!("http://c.example/jwks")), ("jwks", json!([])), ("contacts", json!(1)), ("x", json!({}))]
    {
        assert_eq!(read(&with(name, value)).unwrap().left_out, []);
    }
    let kept = register(&with("client_uri", json!("https://c.example/"))).unwrap();
    assert_eq!(kept.client_uri.as_deref(), Some("https://c.example/"));
}

/// RFC 7591 2: the name is optional in a registration. MCP requires it in a document.
#[test]
fn rg_03_a_name_that_cannot_be_shown_is_left_out_of_a_registration_and_refused_in_a_document() {
    for value in [json!("x".repeat(10_240)), json!(["x"]), json!(format!("a{}", "\u{316}".repeat(90)))] {
        let body = with("client_name", value.clone());
        let read = read(&body).unwrap();
        assert_eq!(read.left_out.iter().map(ToString::to_string).collect::<Vec<_>>(), ["client_name"], "{value}");
        assert_eq!(read.metadata.client_name, None);
        let refused = read_document(&body).unwrap_err();
        assert_eq!((refused.code(), refused.rule()), (ErrorCode::InvalidClientMetadata, Rule::MemberMalformed));
        assert!(refused.description().starts_with("client_name ") && refused.what_came().is_some(), "{refused:?}");
    }
}

#[test]
fn rg_06_what_is_known_in_a_mixed_list_is_registered() {
    for (name, value, grants) in [
        ("grant_types", json!(["authorization_code", "password", "implicit"]), 1),
        ("grant_types", json!(["client_credentials", "refresh_token", "authorization_code", 7]), 2),
        ("grant_types", json!([]), 2),
        ("response_types", json!(["code", "token"]), 2),
        ("response_types", json!([]), 2),
    ] {
        let body = with(name, value.clone());
        for metadata in [register(&body).unwrap(), document(&body).unwrap()] {
            assert_eq!(metadata.grant_types.len(), grants, "{value}");
            assert_eq!(metadata.to_json()["response_types"], json!(["code"]));
        }
    }
}

/// One rule for registrations and documents: the first method of the client that we support is used.
#[test]
fn ci_10_a_client_is_served_by_a_method_that_it_allows() {
    let (none, basic, post) = (AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost);
    for (preferred, listed, registered, described) in [
        (json!(null), json!(null), Some(basic), Some(none)),
        (json!("none"), json!(null), Some(none), Some(none)),
        (json!("client_secret_post"), json!(null), Some(post), None),
        (json!("client_secret_post"), json!(["none"]), Some(post), Some(none)),
        (json!("private_key_jwt"), json!(null), None, None),
        (json!("private_key_jwt"), json!([]), None, None),
        (json!("private_key_jwt"), json!(["private_key_jwt"]), None, None),
        (json!("private_key_jwt"), json!(["none", "private_key_jwt"]), Some(none), Some(none)),
        (json!("private_key_jwt"), json!(["private_key_jwt", "client_secret_basic", "none"]), Some(basic), Some(none)),
        (json!("tls_client_auth"), json!(["client_secret_post", 1]), Some(post), None),
        (json!(null), json!(["private_key_jwt"]), None, None),
        (json!(null), json!(["none"]), Some(none), Some(none)),
        (json!("magic"), json!(null), None, None),
    ] {
        let mut body = with("token_endpoint_auth_method", preferred.clone());
        body["token_endpoint_auth_methods_supported"] = listed.clone();
        for (outcome, expected) in [(register(&body), registered), (document(&body), described)] {
            let outcome = outcome.map(|m| m.token_endpoint_auth_method);
            match expected {
                Some(method) => assert_eq!(outcome, Ok(method), "{preferred} {listed}"),
                None => {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.code(), ErrorCode::InvalidClientMetadata, "{preferred} {listed}");
                }
            }
        }
    }
}

#[test]
fn rfc_7591_2_a_client_that_signs_assertions_registers_its_keys() {
    let key = SigningKey::ed25519();
    let with_keys = |name: &str, value: Value| {
        let mut body = with("token_endpoint_auth_method", json!("private_key_jwt"));
        body["jwks"] = key.jwks("k");
        body[name] = value;
        register(&body)
    };
    let metadata = with_keys("jwks", key.jwks("k")).unwrap();
    assert_eq!(metadata.token_endpoint_auth_method, AuthMethod::PrivateKeyJwt);
    let members = metadata.to_json();
    assert_eq!((&members["token_endpoint_auth_method"], &members["jwks"]), (&json!("private_key_jwt"), &key.jwks("k")));
    assert_eq!(ClientMetadata::from_stored(&Value::Object(members.clone()).to_string()), Some(metadata.clone()));
    assert_eq!(metadata.registration_hash(), None, "a registration with keys is not shared");
    let mut damaged = members;
    damaged.remove("jwks");
    assert_eq!(ClientMetadata::from_stored(&Value::Object(damaged).to_string()), None);
    for (name, value, rule) in [
        ("jwks", json!(null), Rule::KeysMissing),
        ("jwks", json!({"keys": []}), Rule::KeysRefused),
        ("jwks", json!([key.jwk("k")]), Rule::KeysRefused),
        ("jwks", json!({"keys": [{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}]}), Rule::KeysRefused),
        ("jwks", json!({"keys": [{"kty": "EC", "d": "x"}]}), Rule::PrivateKey),
        ("jwks_uri", json!("https://c.example/keys"), Rule::KeysMissing),
    ] {
        let error = with_keys(name, value.clone()).unwrap_err();
        assert_eq!((error.rule(), error.code()), (rule, ErrorCode::InvalidClientMetadata), "{name} {value}");
    }
    let published = |url: Value| {
        let mut body = with("token_endpoint_auth_method", json!("private_key_jwt"));
        body["jwks_uri"] = url;
        register(&body)
    };
    let url = "https://c.example:8443/keys";
    let metadata = published(json!(url)).unwrap();
    assert_eq!(metadata.to_json()["jwks_uri"], url);
    assert_eq!(ClientMetadata::from_stored(&Value::Object(metadata.to_json()).to_string()), Some(metadata));
    for bad in [
        "http://c.example/keys",
        "https://10.0.0.1/keys",
        "https://[::1]/keys",
        "https://localhost/keys",
        "https://keys/",
        "https://c.example/keys?of=app",
        "https://u@c.example/keys",
        "https://c.example/a/../keys",
        "https://c.example/keys#a",
        "https://C.example/keys",
        "javascript:x",
        "",
    ] {
        assert!(published(json!(bad)).is_err(), "{bad}");
    }
    // With other methods keys are not used, and those that cannot be used do not matter.
    let mut public = with("token_endpoint_auth_method", json!("none"));
    public["jwks"] = json!({"keys": []});
    assert_eq!(register(&public).unwrap().keys, None);
    public["token_endpoint_auth_method"] = json!("private_key_jwt");
    public["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt", "client_secret_post"]);
    let read = ClientMetadata::from_registration(public.to_string().as_bytes(), &policy()).unwrap();
    assert_eq!((read.metadata.token_endpoint_auth_method, read.metadata.keys), (AuthMethod::ClientSecretPost, None));
    assert_eq!(read.left_out.iter().map(ToString::to_string).collect::<Vec<_>>(), ["jwks"]);
}

#[test]
fn rg_05_rg_07_names_are_cleaned_and_scopes_trimmed() {
    assert_eq!(register(&with("client_name", json!("a\u{202e}b"))).unwrap().client_name.as_deref(), Some("ab"));
    let scope = |asked: &str| register(&with("scope", json!(asked))).unwrap().scope.map(|s| s.to_string());
    assert_eq!(scope("read admin *").as_deref(), Some("read"));
    assert_eq!(scope("openid profile"), None);
    assert_eq!(scope("a\"b write,\\").as_deref(), Some("write"), "a malformed scope is dropped, the others are kept");
}

#[test]
fn rg_08_no_software_statement_is_approved() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let jwt = |header: &str| format!("{}.{}.c2ln", part(header), part(r#"{"iss":"x"}"#));
    let expired = format!("{}.{}.c2ln", part(r#"{"alg":"ES256"}"#), part(r#"{"iss":"x","exp":1}"#));
    for (statement, code) in [
        (jwt(r#"{"alg":"ES256"}"#), ErrorCode::UnapprovedSoftwareStatement),
        // Expiry is only known if the signature can be checked, and no statement's signature can.
        (expired, ErrorCode::UnapprovedSoftwareStatement),
        (jwt(r#"{"alg":"none"}"#), ErrorCode::InvalidSoftwareStatement),
        ("x".to_owned(), ErrorCode::InvalidSoftwareStatement),
    ] {
        assert_eq!(register(&with("software_statement", json!(statement))).unwrap_err().code(), code);
    }
}

#[test]
fn ci_09_ci_10_ci_11_a_document_obeys_its_own_rules() {
    assert_eq!(document(&json!({})).unwrap().token_endpoint_auth_method, AuthMethod::None);
    for bad in [
        json!({ "client_id": "https://c.example/Client.json" }),
        json!({ "client_id": "https://c.example:443/client.json" }),
        json!({ "client_id": null }),
        json!({ "client_name": null }),
        json!({ "client_name": "\u{200b}" }),
        json!({ "client_name": 1 }),
        json!({ "redirect_uris": [] }),
        json!({ "redirect_uris": ["javascript:x"] }),
        json!({ "client_secret": "x" }),
        json!({ "client_secret_expires_at": 0 }),
        json!({ "token_endpoint_auth_method": "client_secret_post" }),
        json!({ "token_endpoint_auth_method": "client_secret_jwt" }),
        json!({ "token_endpoint_auth_method": "private_key_jwt" }),
        json!({ "jwks": { "keys": [{ "kty": "EC", "d": "x" }] } }),
        json!({ "response_types": ["token"] }),
    ] {
        assert_eq!(document(&bad).unwrap_err().code(), ErrorCode::InvalidClientMetadata, "{bad}");
    }
}

/// Even where the operator lets documents be fetched from their own network: anybody could make the gateway ask there.
#[test]
fn the_key_set_of_a_document_is_at_a_public_host_or_at_its_own() {
    for (document, keys, is_good) in [
        (ID, "https://keys.example/set", true),
        (ID, "https://c.example/keys", true),
        (ID, "https://10.0.0.5:8443/admin/do", false),
        (ID, "https://intranet/keys", false),
        ("https://intranet/client.json", "https://intranet/keys", true),
        ("https://intranet/client.json", "https://intranet/keys?do=x", false),
        ("https://intranet/client.json", "https://intranet:8443/keys", false),
        ("https://intranet/client.json", "https://10.0.0.5/keys", false),
        ("https://intranet/client.json", "https://keys.example/set", true),
    ] {
        let url = MetadataDocumentUrl::parse(document, true).unwrap();
        let body = json!({"client_id": document, "client_name": "C", "redirect_uris": ["https://c.example/cb"],
            "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys});
        let policy = RegistrationPolicy { internal_hosts: true, ..policy() };
        let read = ClientMetadata::from_metadata_document(body.to_string().as_bytes(), &url, &policy);
        assert_eq!(read.is_ok(), is_good, "{document} {keys}");
    }
}

/// ChatGPT's document as it is served, except for its address.
#[test]
fn ci_10_the_document_of_chatgpt_is_a_public_client() {
    let read = read_document(&json!({
        "client_uri": "https://chatgpt.com/",
        "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "client_name": "ChatGPT",
        "token_endpoint_auth_signing_alg": "RS256",
        "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
    }))
    .unwrap();
    assert_eq!(read.left_out, []);
    // A public client that may sign assertions as well.
    assert_eq!(read.metadata.token_endpoint_auth_method, AuthMethod::None);
    let members = read.metadata.to_json();
    assert_eq!(members["token_endpoint_auth_methods_supported"], json!(["none", "private_key_jwt"]));
    assert_eq!(members["jwks_uri"], "https://chatgpt.com/oauth/jwks.json");
    assert_eq!(ClientMetadata::from_stored(&Value::Object(members).to_string()), Some(read.metadata.clone()));
    assert_eq!(read.metadata.grant_types, [GrantType::AuthorizationCode, GrantType::RefreshToken]);
    let only = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://c.example/keys"});
    let signed = document(&only).unwrap();
    assert_eq!(signed.token_endpoint_auth_method, AuthMethod::PrivateKeyJwt);
    let listed = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://c.example/keys",
        "token_endpoint_auth_methods_supported": ["none"]});
    let read = read_document(&listed).unwrap();
    assert_eq!((read.metadata.keys, read.left_out[0].member), (None, "jwks_uri"), "it is still a public client");
}

#[test]
fn rfc_6749_4_4_only_clients_with_a_secret_may_act_for_themselves_and_only_where_the_operator_allows_it() {
    let both = json!(["client_credentials", "authorization_code"]);
    let read_by = |body: &Value, client_credentials| {
        let policy = RegistrationPolicy { client_credentials, ..policy() };
        ClientMetadata::from_registration(body.to_string().as_bytes(), &policy)
    };
    // Without the code grant there is nothing to redirect to.
    let alone = json!({ "grant_types": ["client_credentials"], "response_types": [] });
    for body in [&alone, &json!({ "grant_types": ["client_credentials"], "redirect_uris": [] })] {
        let service = read_by(body, true).unwrap().metadata;
        assert_eq!(service.grant_types, [GrantType::ClientCredentials]);
        assert!(service.redirect_uris.as_slice().is_empty());
        let stored = Value::Object(service.to_json());
        assert_eq!((&stored["response_types"], &stored["redirect_uris"]), (&json!([]), &json!([])));
        assert_eq!(ClientMetadata::from_stored(&stored.to_string()), Some(service));
        let refused = read_by(body, false).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidClientMetadata);
        assert!(refused.description().contains("client_credentials needs a client with a secret"), "{refused:?}");
    }
    let service = read_by(&with("grant_types", both.clone()), true).unwrap();
    assert_eq!(service.metadata.grant_types, [GrantType::AuthorizationCode, GrantType::ClientCredentials]);
    let mut public = with("grant_types", both.clone());
    public["token_endpoint_auth_method"] = json!("none");
    for (body, allowed) in [(&public, true), (&with("grant_types", both), false)] {
        let read = read_by(body, allowed).unwrap();
        assert_eq!(read.metadata.grant_types, [GrantType::AuthorizationCode]);
        let left_out: Vec<_> = read.left_out.iter().map(ToString::to_string).collect();
        assert_eq!(left_out, ["grant_types[0]"]);
    }
    // A client with both grants still needs redirect URIs.
    let both = json!({ "grant_types": ["client_credentials", "authorization_code"] });
    assert_eq!(read_by(&both, true).unwrap_err().code(), ErrorCode::InvalidRedirectUri);
}
