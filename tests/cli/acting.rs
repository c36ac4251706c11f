//! Applications that act for people who are absent: how an operator marks them, and lifts what was ended.

use serde_json::{Value, json};

use crate::{Data, REDIRECT};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Writes a key set, and returns its file.
fn keys(data: &Data) -> String {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "k"});
    let file = data.folder.path().join("keys.json");
    std::fs::write(&file, json!({ "keys": [key] }).to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn add(data: &Data) -> Value {
    let keys = keys(data);
    let own = ["client", "add", "--name", "Chat", "--jwks", &keys];
    data.json(&[&own[..], &["--may-act-for", "Support", "--scope", "mcp:read"]].concat())
}

#[test]
fn a_client_is_marked_for_groups_and_gets_the_grant_for_that_alone() {
    let data = Data::new();
    let added = add(&data);
    assert_eq!((&added["grant_types"], &added["may_act_for"]), (&json!([GRANT]), &json!(["support"])));
    assert_eq!((&added["upstream"], &added["token_endpoint_auth_method"]), (&json!("mcp"), &json!("private_key_jwt")));
    let id = added["client_id"].as_str().unwrap();
    assert_eq!(data.json(&["client", "show", id])["may_act_for"], json!(["support"]));
    let edit = |more: &[&str]| data.json(&[&["client", "edit", id], more].concat());
    let edited = edit(&["--may-act-for", "support", "--may-act-for", "sales"]);
    assert_eq!(edited["may_act_for"], json!(["sales", "support"]));
    let edited = edit(&["--grant", "client_credentials"]);
    assert_eq!((&edited["grant_types"], edited.get("may_act_for")), (&json!(["client_credentials"]), None));
    let edited = edit(&["--may-act-for", "sales"]);
    assert_eq!(edited["grant_types"], json!(["client_credentials", GRANT]));
    let edited = edit(&["--may-act-for-nobody"]);
    assert_eq!((&edited["grant_types"], edited.get("may_act_for")), (&json!(["client_credentials"]), None));
    let trail = data.text(&["audit", "tail", "--event", "client.edited", "--json"]);
    assert!(trail.contains("\"reason\":\"grant_types may_act_for\""), "{trail}");
}

#[test]
fn who_may_not_be_marked_is_told_why() {
    let data = Data::new();
    let keys = keys(&data);
    let jwks = ["--jwks", keys.as_str()];
    for (more, said) in [
        (&["--confidential", "--may-act-for", "support", "--scope", "mcp:read"][..], "only an application with keys"),
        (&[jwks[0], jwks[1], "--may-act-for", "support"], "name what the application may do for them with --scope"),
        (&[jwks[0], jwks[1], "--grant", GRANT, "--scope", "mcp:read"], "add --may-act-for"),
        (&[jwks[0], jwks[1], "--may-act-for", "two words", "--scope", "mcp:read"], "two words"),
    ] {
        let (_, told) = data.refused(&[&["client", "add", "--name", "Chat"], more].concat());
        assert!(told.contains(said), "{more:?}: {told}");
    }
    let added = add(&data);
    let (_, told) = data.refused(&["client", "edit", added["client_id"].as_str().unwrap(), "--may-act-for-nobody"]);
    assert!(told.contains("no grant type left"), "{told}");
    let with_code = [jwks[0], jwks[1], "--grant", "authorization_code", "--redirect-uri", REDIRECT];
    let with_code = [&["client", "add", "--name", "Both"], &with_code[..], &["--may-act-for", "a"]].concat();
    let both = data.json(&[&with_code[..], &["--scope", "mcp:read"]].concat());
    assert_eq!(both["grant_types"], json!(["authorization_code", GRANT]));
}

#[test]
fn what_was_ended_is_listed_and_lifted_by_client_and_user() {
    let data = Data::new();
    let added = add(&data);
    let id = added["client_id"].as_str().unwrap();
    assert_eq!(data.json(&["session", "ended"]), json!([]));
    assert_eq!(data.json(&["session", "ended", "--user", "ada", "--client", id]), json!([]));
    assert_eq!(data.json(&["session", "resume", "--client", id, "--user", "ada"]), json!({"resumed": 0}));
    assert_eq!(data.json(&["session", "resume", "--client", id]), json!({"resumed": 0}));
    assert!(data.refused(&["session", "resume", "--client", "mcp_client_nobody"]).1.contains("mcp_client_nobody"));
    assert_eq!(data.refused(&["session", "resume"]).0, 64, "never everything by mistake");
}
