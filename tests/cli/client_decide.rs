//! `mcpgate client approve`, `mcpgate client reject` and `mcpgate client list --waiting`.

use serde_json::json;

use crate::{Data, REDIRECT};

const ID: &str = "https://claude.ai/oauth/claude-code-client-metadata";

/// A data directory with a client that no operator added, and the configuration under which they decide about it.
fn decides() -> (Data, String, String) {
    let data = Data::new();
    let file = |name: &str, text: &str| {
        let path = data.folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(&path, text).unwrap();
        path
    };
    let config = file("gateway.toml", "[registration]\nmode = \"approval\"\n");
    let document =
        json!({"client_id": ID, "client_name": "Claude\u{202e} Code", "redirect_uris": ["http://localhost/callback"]});
    let document = file("client.json", &document.to_string());
    (data, config, document)
}

#[test]
fn a_client_is_approved_and_rejected_as_it_is_and_shown_so() {
    let (data, config, document) = decides();
    let on = |words: &[&str]| data.json(&[words, &["--config", &config]].concat());
    on(&["client", "document", "import", &document]);
    let shown = on(&["client", "show", ID]);
    assert_eq!((&shown["approval"], &shown["waiting_since"]), (&json!("undecided"), &json!(null)));
    let hash = shown["approval_hash"].as_str().unwrap().to_owned();
    let (_, told) = data.refused(&["client", "approve", ID, "--hash", "0000000000000000", "--config", &config]);
    assert!(told.contains("has another hash by now") && told.contains("client show"), "{told}");
    let text = data.text(&["client", "approve", ID, "--hash", &hash, "--config", &config]);
    assert!(text.starts_with(&format!("{ID} is approved as\n")), "{text}");
    assert!(text.contains("http://localhost/callback") && !text.contains('\u{202e}'), "{text}");
    assert_eq!(on(&["client", "show", ID])["approval"], "approved");
    let rejected = on(&["client", "reject", ID]);
    assert_eq!((&rejected["approval"], &rejected["decision"]), (&json!("rejected"), &json!("rejected")));
    let list = data.text(&["client", "list", "--config", &config]);
    assert!(list.contains("rejected"), "{list}");
    assert!(data.events().ends_with(&["client.approved", "client.rejected"].map(str::to_owned)));
}

#[test]
fn nobody_decides_about_what_an_operator_added() {
    let (data, config, _) = decides();
    let added = data.add_client(&[]);
    let id = added["client_id"].as_str().unwrap();
    for command in ["approve", "reject"] {
        let (code, told) = data.refused(&["client", command, id, "--config", &config]);
        assert!(code == 1 && told.contains("needs no approval"), "{told}");
    }
    let (_, told) = data.refused(&["client", "approve", "mcp_client_x", "--config", &config]);
    assert!(told.contains("no client"), "{told}");
    let shown = data.json(&["client", "show", id, "--config", &config]);
    assert_eq!((shown.get("approval"), &shown["redirect_uris"]), (None, &json!([REDIRECT])));
}

#[test]
fn without_the_mode_the_commands_say_that_they_have_no_effect() {
    let (data, config, document) = decides();
    data.json(&["client", "document", "import", &document]);
    let output = data.command(&["client", "approve", ID]).output().unwrap();
    assert!(data.beside_the_store(&output).contains("no effect unless registration.mode"), "{output:?}");
    let output = data.command(&["client", "list", "--waiting"]).output().unwrap();
    assert!(data.beside_the_store(&output).contains("so no application waits"), "{output:?}");
    let output = data.command(&["client", "list", "--waiting", "--config", &config]).output().unwrap();
    assert_eq!(data.beside_the_store(&output), "");
}
