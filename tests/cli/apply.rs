//! `mcpgate apply`, and what other commands say of clients and accounts that the configuration file describes.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{Data, PASSWORD, text};

const SECRET: &str = "3f6c1a0d9b8e47d2a5f0c9e1b7d84a63";
const TABLES: &str = "[[client]]\nid = \"wiki\"\nredirect_uris = [\"https://wiki.example.com/cb\"]\n\
    secret = \"${file:secret}\"\n[[account]]\nid = \"grace-1\"\nname = \"grace\"\npassword = \"${file:password}\"\n";

/// A data directory, and a configuration with tables beside it.
struct Files {
    data: Data,
    config: PathBuf,
}

impl Files {
    fn new() -> Self {
        let data = Data::new();
        let folder = data.folder.path().join("config");
        std::fs::create_dir(&folder).unwrap();
        let files = Self { data, config: folder.join("gateway.toml") };
        files.write("secret", SECRET);
        files.write("password", PASSWORD);
        files
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.config.with_file_name(name), format!("{content}\n")).unwrap();
    }

    fn with(&self, tables: &str) -> &Self {
        self.write("gateway.toml", &format!("[login]\nargon2_memory = \"19MiB\"\nargon2_passes = 2\n{tables}"));
        self
    }

    fn words<'w>(&'w self, words: &[&'w str]) -> Vec<&'w str> {
        [words, &["--config", self.config.to_str().unwrap()]].concat()
    }

    fn json(&self, words: &[&str]) -> Value {
        self.data.json(&self.words(words))
    }

    fn refused(&self, words: &[&str]) -> String {
        self.data.refused(&self.words(words)).1
    }
}

fn actions(report: &Value) -> Vec<String> {
    let word = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = report["differences"].as_array().unwrap().iter();
    rows.map(|row| format!("{} {} {}", word(row, "action"), word(row, "kind"), word(row, "id"))).collect()
}

#[test]
fn a_dry_run_shows_what_an_apply_then_does_and_neither_prints_a_secret() {
    let files = Files::new();
    files.with(TABLES);
    let planned = files.json(&["apply", "--dry-run"]);
    assert_eq!(
        (&planned["applied"], actions(&planned)),
        (&json!(false), vec!["add client wiki".to_owned(), "add account grace-1".to_owned()])
    );
    assert_eq!(planned["differences"][0]["line"], json!(5));
    let listed = files.json(&["client", "list"]);
    assert_eq!(listed, json!([]), "a dry run changes nothing");
    let applied = files.json(&["apply"]);
    assert_eq!((&applied["applied"], &applied["differences"]), (&json!(true), &planned["differences"]));
    let wiki = files.json(&["client", "show", "wiki"]);
    assert_eq!(wiki["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(
        (&wiki["file"]["id"], &wiki["file"]["line"], &wiki["file"]["gone"]),
        (&json!("wiki"), &json!(5), &json!(false))
    );
    assert_eq!(files.json(&["user", "show", "grace"])["subject"], "grace-1");
    assert_eq!(actions(&files.json(&["apply"])), Vec::<String>::new());
    let rows = files.data.text(&["audit", "tail", "-n", "100", "--json"]);
    let actor = format!("\"actor\":\"file:{}\"", files.config.display());
    assert_eq!(rows.lines().filter(|row| row.contains(&actor)).count(), 2, "{rows}");
    // A changed secret and a changed member, as text.
    files.write("secret", "0d9b8e47d2a5f0c9e1b7d84a633f6c1a");
    files.with(&TABLES.replace("/cb", "/callback"));
    let output = files.data.command(&files.words(&["apply", "--dry-run"])).output().unwrap();
    let expected = "change client wiki (gateway.toml:5)\n    \
        redirect_uris: [\"https://wiki.example.com/cb\"] -> [\"https://wiki.example.com/callback\"]\n    \
        secret: changed\n";
    assert_eq!((text(&output.stdout).as_str(), output.status.success()), (expected, true));
    files.json(&["apply"]);
    let output = files.data.command(&files.words(&["apply"])).output().unwrap();
    assert_eq!(text(&output.stdout), "the store is as the file says\n");
}

#[test]
fn a_table_that_is_gone_is_marked_in_lists_until_it_is_removed() {
    let files = Files::new();
    files.with(TABLES).json(&["apply"]);
    files.with("");
    let told = files.json(&["apply"]);
    assert_eq!(told["gone"], json!([{ "kind": "account", "id": "grace-1" }, { "kind": "client", "id": "wiki" }]));
    assert_eq!(files.json(&["client", "list"])[0]["file"]["gone"], json!(true));
    let users = files.json(&["user", "list"]);
    assert_eq!((&users[0]["file"], &users[1]["file"]["gone"]), (&json!(null), &json!(true)));
    for list in ["client", "user"] {
        let words = files.words(&[list, "list"]);
        let said = files.data.text(&words);
        assert!(said.contains("FILE") && said.contains("gone from gateway.toml"), "{said}");
    }
    let removed = files.json(&["apply", "--remove"]);
    assert_eq!(actions(&removed), ["remove account grace-1", "remove client wiki"]);
    assert_eq!(files.json(&["client", "list"]), json!([]));
    let (_, refused) = files.data.refused(&["user", "add", "grace"]);
    assert!(refused.contains("never reused"), "{refused}");
}

#[test]
fn what_would_end_sessions_is_asked_before() {
    let files = Files::new();
    files.with(TABLES).json(&["apply"]);
    let issued = files.json(&["token", "issue", "--user", "grace", "--upstream", "mcp"]);
    assert!(issued["access_token"].is_string());
    let gone = "[[account]]\nid = \"grace-1\"\nremoved = true\n";
    files.with(&format!("{}{gone}", TABLES.split("[[account]]").next().unwrap()));
    let told = files.refused(&["apply"]);
    assert!(told.contains("remove account grace-1 (gateway.toml:9), ends 1 session"), "{told}");
    assert!(told.contains("this ends 1 session; repeat the command with --yes"), "{told}");
    assert_eq!(files.json(&["user", "list"]).as_array().unwrap().len(), 2, "nothing was done");
    let applied = files.json(&["apply", "--yes"]);
    assert_eq!(applied["sessions_ended"], json!(1));
    assert_eq!(files.json(&["session", "list"]), json!([]));
}

#[test]
fn commands_name_the_file_and_the_line_of_what_it_describes() {
    let files = Files::new();
    files.with(&format!("{TABLES}disabled = false\n")).json(&["apply"]);
    let place = format!("{}:5: ", files.config.display());
    for words in [
        &["client", "edit", "wiki", "--name", "x"][..],
        &["client", "rotate-secret", "wiki"],
        &["client", "delete", "wiki", "--yes"],
    ] {
        let told = files.refused(words);
        assert!(told.contains("the client \"wiki\" is described at") && told.contains(&place), "{words:?}: {told}");
    }
    for words in [&["user", "rename", "grace", "hopper"][..], &["user", "delete", "grace"]] {
        let told = files.refused(words);
        assert!(told.contains(&format!("{}:9: ", files.config.display())), "{words:?}: {told}");
    }
    let output = files.data.command(&files.words(&["user", "disable", "grace"])).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stderr);
    assert!(told.contains("gateway.toml:9 has disabled = false, so the next start, reload or mcpgate apply"), "{told}");
    assert_eq!(actions(&files.json(&["apply"])), ["change account grace-1"]);
    assert_eq!(files.json(&["user", "show", "grace"])["status"], "enabled");
}

#[test]
fn every_problem_with_the_store_is_told_with_its_line_and_nothing_is_applied() {
    let files = Files::new();
    files.with(&format!("{TABLES}[[account]]\nid = \"x\"\nname = \"ada\"\n"));
    let (code, told) = files.data.refused(&files.words(&["apply"]));
    assert_eq!(code, 78, "{told}");
    let expected = "gateway.toml:13: [[account]] x: there is an account with this login name that the table has not made; \
                    write adopt = true";
    assert!(told.contains(expected), "{told}");
    assert_eq!(files.json(&["client", "list"]), json!([]));
    files.write("secret", "short");
    let told = files.refused(&["apply"]);
    assert!(told.contains("client[0].secret: this secret can be guessed") && !told.contains("short\""), "{told}");
    // Commands that need no secret do not care.
    assert_eq!(files.json(&["user", "list"]).as_array().unwrap().len(), 1);
    let told = files.refused(&["apply", "--reset-password", "nobody"]);
    assert!(told.contains("this secret can be guessed"), "{told}");
    files.with(TABLES).write("secret", SECRET);
    let told = files.refused(&["apply", "--reset-password", "nobody"]);
    assert!(told.contains("no [[account]] of the configuration has the id \"nobody\""), "{told}");
}

#[test]
fn a_password_is_set_again_only_when_asked() {
    let files = Files::new();
    files.with(TABLES).json(&["apply"]);
    let set_at = |files: &Files| files.json(&["user", "show", "grace"])["password_set_at"].clone();
    let first = set_at(&files);
    files.write("password", "glazed-teapot-41-and-more");
    assert_eq!(actions(&files.json(&["apply"])), Vec::<String>::new());
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let reset = files.json(&["apply", "--reset-password", "grace-1"]);
    assert_eq!(reset["differences"][0]["changes"], json!([{ "member": "password", "changed": true }]));
    assert_ne!(set_at(&files), first);
}
