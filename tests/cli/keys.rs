//! `mcpgate key`: API keys that an operator makes, renews and revokes.

use serde_json::{Value, json};

use crate::{Data, text};

fn create(data: &Data, more: &[&str]) -> Value {
    data.json(&[&["key", "create", "--user", "ada", "--name", "nightly"], more].concat())
}

#[test]
fn ak_04_a_key_is_shown_once_and_then_known_by_its_last_characters() {
    let data = Data::new();
    let ranges = ["--address", "192.0.2.9", "--address", "2001:db8::/32"];
    let made = create(&data, &[&["--scope", "mcp:read", "--expires", "30d"], &ranges[..]].concat());
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("mcp_key_") && key.ends_with(made["hint"].as_str().unwrap()), "{made}");
    assert_eq!(made["addresses"], json!(["192.0.2.9/32", "2001:db8::/32"]));
    assert_eq!(
        (&made["name"], &made["user"], &made["scopes"]),
        (&json!("nightly"), &json!("ada"), &json!(["mcp:read"]))
    );
    let id = made["id"].as_str().unwrap();
    let mut shown = data.json(&["key", "show", id]);
    assert_eq!(shown, data.json(&["key", "list", "--user", "ada"])[0]);
    assert_eq!(shown["key"], Value::Null);
    shown["key"] = made["key"].clone();
    assert_eq!(shown, made);
    let secret = key.strip_prefix("mcp_key_").unwrap();
    for said in [
        data.text(&["key", "show", id]),
        data.text(&["key", "list"]),
        data.text(&["session", "list", "--json"]),
        data.text(&["audit", "tail", "--json"]),
    ] {
        assert!(said.contains("nightly") && !said.contains(secret), "{said}");
    }
    for file in std::fs::read_dir(data.folder.path()).unwrap().map(|file| file.unwrap().path()) {
        let content = if file.is_file() { std::fs::read(&file).unwrap() } else { Vec::new() };
        let is_there = content.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!is_there, "{}", file.display());
    }
    let session = &data.json(&["session", "list"])[0];
    assert_eq!((&session["key"], &session["client_name"]), (&json!("nightly"), &json!("API key: nightly")));
    assert_eq!(data.json(&["client", "show", "mcp_client_keys"])["origin"], "operator");
}

#[test]
fn a_key_is_renewed_and_revoked() {
    let data = Data::new();
    let made = create(&data, &["--expires", "none"]);
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["expires_at"], Value::Null);
    let renewed = data.json(&["key", "rotate", id, "--grace", "1h"]);
    assert_eq!((&renewed["id"], &renewed["name"], &renewed["expires_at"]), (&made["id"], &made["name"], &Value::Null));
    assert_ne!(renewed["key"], made["key"]);
    let ends = data.json(&["key", "rotate", id, "--expires", "1d"]);
    assert!(ends["expires_at"].is_string());
    assert!(data.refused(&["key", "rotate", id, "--grace", "8d"]).1.contains("7 days"));
    assert_eq!(data.json(&["key", "revoke", id]), json!({ "id": id, "status": "revoked" }));
    for words in [["key", "show", id], ["key", "rotate", id], ["key", "revoke", id]] {
        assert!(data.refused(&words).1.contains("no API key"), "{words:?}");
    }
    let token = data.json(&["token", "issue", "--user", "ada"]);
    assert!(data.refused(&["key", "revoke", token["session"].as_str().unwrap()]).1.contains("no API key"));
    assert_eq!(data.json(&["key", "list"]), json!([]));
    // As any other session.
    let other = create(&data, &[]);
    assert_eq!(data.json(&["session", "revoke", "--id", other["id"].as_str().unwrap()])["revoked"], 1);
    let events = data.events();
    let of_keys: Vec<_> = events.iter().filter(|event| event.starts_with("key.")).collect();
    assert_eq!(of_keys, ["key.created", "key.rotated", "key.rotated", "key.revoked", "key.created", "key.revoked"]);
}

#[test]
fn ak_06_a_key_is_kept_to_what_its_user_and_the_operator_allow() {
    let data = Data::new();
    let key = ["key", "create", "--user", "ada", "--name"];
    let refused = |more: &[&str]| data.refused(&[&key[..], more].concat()).1;
    assert!(refused(&["x", "--scope", "mcp:admin"]).contains("no scope mcp:admin"));
    assert!(refused(&["x", "--address", "example.com"]).contains("\"example.com\" is no address range"));
    assert!(refused(&["x", "--expires", "1s"]).contains("at least a minute"));
    assert!(refused(&["x", "--upstream", "other"]).contains("no upstream"));
    assert!(refused(&["\u{200b}"]).contains("1 to 100 characters"));
    assert!(data.refused(&["key", "create", "--user", "nobody", "--name", "x"]).1.contains("no account"));
    let file = data.folder.path().join("gateway.toml");
    let bounded = "public_url = \"https://gw.example\"\n[tokens]\nkey_longest = \"30d\"\n[[upstream]]\nname = \"mcp\"\n\
                   path = \"/mcp\"\nurl = \"http://127.0.0.1:9/\"\nallow_users = [\"ada\"]\n\
                   [listen]\naddress = \"127.0.0.1:0\"\ntls = \"off\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    std::fs::write(&file, bounded).unwrap();
    let with_file = ["--config", file.to_str().unwrap()];
    for longer in ["31d", "none"] {
        let said = refused(&[&["x", "--expires", longer], &with_file[..]].concat());
        assert!(said.contains("at most 720 hours"), "{said}");
    }
    let made = create(&data, &with_file);
    let lives = data.json(&[&["key", "show", made["id"].as_str().unwrap()], &with_file[..]].concat());
    assert!(lives["expires_at"].is_string(), "the bound is shorter than 90 days: {lives}");
    data.json_with_input(&["user", "add", "eve", "--password-file", "-"], crate::PASSWORD);
    let said = data.refused(&[&["key", "create", "--user", "eve", "--name", "x"], &with_file[..]].concat()).1;
    assert!(said.contains("eve may not hold a token for mcp"), "{said}");
    data.json(&["client", "disable", "mcp_client_keys"]);
    assert!(refused(&["x"]).contains("mcp_client_keys"));
    let output = data.command(&["user", "disable", "ada"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(data.json(&["key", "list"]), json!([]));
    assert!(refused(&["x"]).contains("disabled"));
}
