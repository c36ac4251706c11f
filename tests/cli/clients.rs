//! Clients that operators add, and documents that they import.

use serde_json::{Value, json};

use crate::{Data, REDIRECT, text};

#[test]
fn nobody_can_connect_as_the_operator_of_tokens() {
    let data = Data::new();
    data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp", "--scope", "mcp:read"]);
    let client = data.json(&["client", "show", "mcp_client_operator"]);
    assert_eq!(client["grant_types"], Value::Array(Vec::new()));
    assert_eq!(client["redirect_uris"], Value::from(vec!["https://operator.invalid/"]));
    assert_eq!(client["origin"], "operator");
    data.json(&["client", "disable", "mcp_client_operator"]);
    let (_, said) = data.refused(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    assert!(said.contains("the client mcp_client_operator") && said.contains("mcpgate client enable"), "{said}");
}

#[test]
fn public_clients_are_added_shown_switched_and_deleted() {
    let data = Data::new();
    let added = data.add_client(&[]);
    let id = added["client_id"].as_str().unwrap();
    assert_eq!((&added["token_endpoint_auth_method"], &added["client_secret"]), (&"none".into(), &Value::Null));
    assert_eq!((&added["origin"], &added["status"]), (&"manual".into(), &"enabled".into()));
    assert_eq!(data.json(&["client", "show", id]), added);
    assert_eq!(data.json(&["client", "disable", id])["status"], "disabled");
    assert_eq!(data.json(&["client", "list"])[0]["status"], "disabled");
    assert_eq!(data.json(&["client", "enable", id])["status"], "enabled");
    assert!(data.refused(&["client", "rotate-secret", id]).1.contains("no secret"));
    assert_eq!(data.json(&["client", "delete", id])["status"], "deleted");
    assert_eq!(data.refused(&["client", "show", id]).0, 1);
    let bound = data.add_client(&["--upstream", "mcp", "--grant", "authorization_code"]);
    assert_eq!(bound["resource"], "https://localhost:8443/mcp");
    assert_eq!(bound["grant_types"], Value::from(vec!["authorization_code"]));
    let shown = data.text(&["client", "show", bound["client_id"].as_str().unwrap()]);
    assert!(shown.contains("client_name                 Wiki\n") && !shown.contains('{'), "{shown}");
    let expected = ["client.added", "client.disabled", "client.enabled", "client.deleted", "client.added"];
    assert_eq!(data.events()[1..], expected);
}

#[test]
fn a_client_is_kept_to_scopes() {
    let data = Data::new();
    let limited = data.add_client(&["--scope", "mcp:read"]);
    assert_eq!(limited["scope"], "mcp:read");
    assert_eq!(data.add_client(&[])["scope"], Value::Null);
    let refused = data.refused(&["client", "add", "--name", "x", "--redirect-uri", REDIRECT, "--scope", "mcp:admin"]);
    assert!(refused.1.contains("no scope mcp:admin here, only: mcp:delete mcp:read mcp:write"), "{}", refused.1);
}

#[test]
fn bad_clients_are_refused_by_the_rules_of_registration() {
    let data = Data::new();
    for uri in [
        "javascript:alert(1)",
        "http://evil.example/",
        "https://app.example.com/#x",
        "https://app.example.com/*",
        "https://*.example.com/cb",
    ] {
        let (code, said) = data.refused(&["client", "add", "--name", "x", "--redirect-uri", uri]);
        assert!(code == 1 && said.contains("redirect"), "{uri}: {said}");
        assert_eq!(said.contains("without wildcards"), uri.contains('*'), "{said}");
    }
    let mixed = ["client", "add", "--name", "x", "--redirect-uri", REDIRECT, "--redirect-uri", "https://a.example/*"];
    let output = data.command(&mixed).output().unwrap();
    assert!(output.status.success());
    let said = data.beside_the_store(&output);
    assert!(said.starts_with("Left out https://a.example/*: redirect URIs are matched exactly"), "{said}");
    let added = data.json(&mixed);
    assert_eq!(added["redirect_uris"], json!([REDIRECT]));
    assert_eq!(added["left_out"][0]["value"], "https://a.example/*");
    assert!(
        data.refused(&["client", "add", "--name", "x", "--redirect-uri", REDIRECT, "--upstream", "y"])
            .1
            .contains("upstream")
    );
}

#[test]
fn a_secret_is_shown_once_and_rotated() {
    let data = Data::new();
    let added = data.add_client(&["--confidential", "--auth-method", "client_secret_post"]);
    assert_eq!(added["token_endpoint_auth_method"], "client_secret_post");
    let (id, secret) = (added["client_id"].as_str().unwrap(), added["client_secret"].as_str().unwrap());
    assert!(secret.starts_with("mcp_secret_") && secret.len() == "mcp_secret_".len() + 64);
    assert!(!data.text(&["client", "show", id]).contains("mcp_secret_"));
    let rotated = data.json(&["client", "rotate-secret", id]);
    assert!(rotated["client_secret"].as_str().unwrap() != secret);
    assert!(rotated["earlier_secret_works_until"].as_str().unwrap().starts_with("20"));
    let told = data.command(&["client", "rotate-secret", id]).output().unwrap();
    assert!(text(&told.stdout).starts_with("mcp_secret_") && text(&told.stdout).lines().count() == 1);
    assert!(
        data.beside_the_store(&told).starts_with("The secret is not shown again. The previous one is valid until 20")
    );
    let trail = data.text(&["audit", "tail", "--json"]);
    assert!(trail.contains("client.secret_rotated") && !trail.contains("mcp_secret_"));
}

#[test]
fn a_client_may_have_keys_instead_of_a_secret() {
    let data = Data::new();
    let file = data.folder.path().join("keys.json");
    let path = file.to_str().unwrap();
    let words = |more: &[&'static str]| {
        let own = ["client", "add", "--name", "x", "--redirect-uri", REDIRECT, "--jwks"];
        [&own.map(str::to_owned)[..], &[path.to_owned()], &more.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()]
            .concat()
    };
    let refused = |more: &[&'static str]| {
        let words = words(more);
        data.refused(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(refused(&[]).1.contains("keys.json: "), "there is no such file");
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "k"});
    let mut private = key.clone();
    private["d"] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".into();
    for (content, fault) in [
        ("text".to_owned(), "not JSON"),
        (json!({"keys": []}).to_string(), "no key for ES256"),
        (key.to_string(), "no keys"),
        (json!({"keys": [private]}).to_string(), "private keys"),
    ] {
        std::fs::write(&file, content).unwrap();
        let (code, said) = refused(&[]);
        assert!(code == 1 && said.contains(fault), "{fault} in {said}");
        assert!(!said.contains("nWGxne"), "{said}");
    }
    std::fs::write(&file, json!({"keys": [key]}).to_string()).unwrap();
    assert_eq!(refused(&["--confidential"]).0, 64);
    let words = words(&["--grant", "client_credentials", "--upstream", "mcp", "--scope", "mcp:read"]);
    let added = data.json(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(
        (&added["token_endpoint_auth_method"], &added["client_secret"]),
        (&"private_key_jwt".into(), &Value::Null)
    );
    assert_eq!(added["jwks"]["keys"][0], key);
    let id = added["client_id"].as_str().unwrap();
    assert!(data.refused(&["client", "rotate-secret", id]).1.contains("has no secret"));
}

#[test]
fn a_document_is_imported_for_a_trusted_publisher_only_and_a_refusal_says_why() {
    let data = Data::new();
    let import = |source: &str| ["client", "document", "import", source].map(str::to_owned);
    let file = data.folder.path().join("client.json");
    let path = file.to_str().unwrap();
    let id = "https://claude.ai/oauth/mcp-oauth-client-metadata";
    let document = |id: &str| {
        serde_json::json!({ "client_id": id, "client_name": "Claude", "redirect_uris": ["https://claude.ai/new"],
            "logo_uri": "http://c.example/x.png" })
    };
    let refused = |source: &str| {
        let words = import(source);
        data.refused(&words.each_ref().map(String::as_str))
    };
    for (content, fault) in [
        ("text".to_owned(), "no client metadata document"),
        (document("https://other.example/c.json").to_string(), "https://other.example/c.json is not among"),
        (serde_json::json!({ "client_id": id, "client_name": "x" }).to_string(), "redirect URIs are required"),
        ("x".repeat(6000), "larger than"),
    ] {
        std::fs::write(&file, content).unwrap();
        let (code, said) = refused(path);
        assert_eq!(code, 1);
        assert!(said.contains(fault), "{fault} in {said}");
    }
    assert!(refused("/nowhere/client.json").1.contains("/nowhere/client.json: "));
    let (_, said) = refused("https://127.0.0.1:1/client.json");
    assert!(
        said.contains("cannot be fetched: the address is not a public one; save it on a machine that can"),
        "{said}"
    );

    std::fs::write(&file, document(id).to_string()).unwrap();
    let said = data.text(&["client", "document", "import", path]);
    assert!(said.starts_with(&format!("imported {id}; the copy is used while")), "{said}");
    let shown = data.json(&["client", "show", id]);
    assert_eq!(
        (shown["document_source"].as_str(), shown["origin"].as_str()),
        (Some("imported"), Some("metadata_document"))
    );
    let trail = data.text(&["audit", "tail", "--event", "client.document_imported"]);
    assert!(trail.contains("logo_uri") && trail.contains(id), "{trail}");
}

#[test]
fn a_client_that_acts_for_itself_needs_a_secret_and_scopes_and_no_redirect_uri() {
    let data = Data::new();
    let base = ["client", "add", "--name", "Nightly", "--grant", "client_credentials"];
    let refused = data.refused(&base).1;
    assert!(refused.contains("add --confidential"), "{refused}");
    let refused = data.refused(&[&base[..], &["--confidential"]].concat()).1;
    assert!(refused.contains("with --scope: mcp:delete mcp:read mcp:write"), "{refused}");
    let added = data.json(&[&base[..], &["--confidential", "--scope", "mcp:read"]].concat());
    assert_eq!(added["grant_types"], json!(["client_credentials"]));
    assert_eq!((&added["redirect_uris"], &added["response_types"]), (&json!([]), &json!([])));
    // With one upstream it is bound to that, so that it gets nothing at one that is added later.
    assert_eq!((&added["resource"], &added["scope"]), (&json!("https://localhost:8443/mcp"), &json!("mcp:read")));
    assert!(added["client_secret"].is_string());
    // A client of people still needs to say where to send them.
    let (code, said) = data.refused(&["client", "add", "--name", "x"]);
    assert!(code == 1 && said.contains("redirect"), "{said}");
}
