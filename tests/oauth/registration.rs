//! Client metadata. A failure means that a known client cannot register, or that a hostile document is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpgate::oauth::{
    AuthMethod, ClientMetadata, ErrorCode, GrantType, MetadataDocumentUrl, OAuthError, RegistrationPolicy, ScopeSet,
};
use serde_json::{Value, json};

fn policy() -> RegistrationPolicy {
    RegistrationPolicy { extra_redirect_uris: Vec::new(), scopes: ScopeSet::parse("read write").unwrap() }
}

fn register(body: &Value) -> Result<ClientMetadata, OAuthError> {
    ClientMetadata::from_registration(body.to_string().as_bytes(), &policy())
}

fn with(name: &str, value: Value) -> Value {
    let mut body = json!({ "redirect_uris": ["https://c.example/cb"] });
    body[name] = value;
    body
}

const ID: &str = "https://c.example/client.json";

fn document(changes: &Value) -> Result<ClientMetadata, OAuthError> {
    let mut body = json!({ "client_id": ID, "client_name": "C", "redirect_uris": ["https://c.example/cb"] });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    let url = MetadataDocumentUrl::parse(ID, false).unwrap();
    ClientMetadata::from_metadata_document(body.to_string().as_bytes(), &url, &policy())
}

/// The registrations of known clients.
#[test]
fn appendix_b_known_clients_are_registered() {
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
fn appendix_b_hostile_redirects_are_refused() {
    for uri in ["javascript:alert(1)", "http://evil/", "https://c.example/#f", "https://u@c.example/", ""] {
        let error = register(&json!({ "redirect_uris": ["https://c.example/cb", uri] })).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidRedirectUri, "{uri}");
    }
    for none in [json!({}), json!({ "redirect_uris": [] }), json!({ "redirect_uris": null })] {
        assert_eq!(register(&none).unwrap_err().code(), ErrorCode::InvalidRedirectUri);
    }
}

#[test]
fn rg_03_rg_04_rg_06_unacceptable_members_are_refused() {
    for (name, value) in [
        ("redirect_uris", json!(vec!["https://c.example/cb"; 100])),
        ("redirect_uris", json!("https://c.example/cb")),
        ("redirect_uris", json!([1])),
        ("client_name", json!("x".repeat(10_240))),
        ("client_name", json!(["x"])),
        ("client_uri", json!("javascript:alert(1)")),
        ("logo_uri", json!("http://c.example/logo.png")),
        ("tos_uri", json!("data:text/plain,x")),
        ("policy_uri", json!("https://10.0.0.1/")),
        ("policy_uri", json!("https://0x7f.1/")),
        ("policy_uri", json!("https://[::1]/")),
        ("policy_uri", json!("https://localhost/")),
        ("logo_uri", json!("https://localhost./x")),
        ("logo_uri", json!("https://intranet/x")),
        ("logo_uri", json!("https://metadata.google.internal/x")),
        ("client_name", json!(format!("a{}", "\u{316}".repeat(90)))),
        ("logo_uri", json!("https://u:p@c.example/")),
        ("jwks_uri", json!("http://c.example/jwks")),
        ("jwks", json!([])),
        ("jwks", json!({ "keys": [{ "kty": "EC", "d": "x" }] })),
        ("jwks", json!({ "keys": [{ "kty": "oct", "k": "x" }] })),
        ("grant_types", json!(["authorization_code", "password"])),
        ("grant_types", json!(["authorization_code", "implicit"])),
        ("grant_types", json!(["client_credentials"])),
        ("grant_types", json!([])),
        ("response_types", json!(["token"])),
        ("response_types", json!([])),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("token_endpoint_auth_method", json!("client_secret_jwt")),
        ("scope", json!("a\"b")),
        ("scope", json!(["read"])),
    ] {
        let error = register(&with(name, value.clone())).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidClientMetadata, "{name}: {value}");
    }
    let twice = br#"{"redirect_uris":["https://c.example/cb"],"redirect_uris":["https://d.example/cb"]}"#;
    let error = ClientMetadata::from_registration(twice, &policy()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidClientMetadata);
}

#[test]
fn rg_05_rg_07_names_are_cleaned_and_scopes_trimmed() {
    assert_eq!(register(&with("client_name", json!("a\u{202e}b"))).unwrap().client_name.as_deref(), Some("ab"));
    let scope = |asked: &str| register(&with("scope", json!(asked))).unwrap().scope.map(|s| s.to_string());
    assert_eq!(scope("read admin *").as_deref(), Some("read"));
    assert_eq!(scope("openid profile"), None);
    let odd = register(&with("application_type", json!("robot"))).unwrap();
    assert_eq!(odd.application_type, None);
}

#[test]
fn rg_08_no_software_statement_is_approved() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let jwt = |header: &str| format!("{}.{}.c2ln", part(header), part(r#"{"iss":"x"}"#));
    let expired = format!("{}.{}.c2ln", part(r#"{"alg":"ES256"}"#), part(r#"{"iss":"x","exp":1}"#));
    for (statement, code) in [
        (jwt(r#"{"alg":"ES256"}"#), ErrorCode::UnapprovedSoftwareStatement),
        // Whether it has expired is only known of a statement whose signature can be checked: nobody's can.
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
    let chatgpt = json!({ "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
        "jwks_uri": "https://c.example/jwks.json", "grant_types": ["authorization_code", "implicit"] });
    assert_eq!(document(&chatgpt).unwrap().token_endpoint_auth_method, AuthMethod::None);
}
