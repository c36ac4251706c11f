//! Accounts, their passwords, sessions and tokens.

use serde_json::Value;

use crate::{Data, PASSWORD, REDIRECT, mcpgate, run, text, with_input};

#[test]
fn accounts_are_added_listed_and_switched() {
    let data = Data::new();
    let added = data.json(&["user", "add", "Grace"]);
    assert_eq!((&added["name"], &added["password_set_at"]), (&Value::from("grace"), &Value::Null));
    assert!(added["link"].as_str().unwrap().starts_with("https://localhost:8443/setup?link=mcp_session_"));
    let listed = data.json(&["user", "list"]);
    let statuses: Vec<_> = listed.as_array().unwrap().iter().map(|a| (&a["name"], &a["status"])).collect();
    assert_eq!(statuses, [(&"ada".into(), &"enabled".into()), (&"grace".into(), &"enabled".into())]);
    assert_eq!(data.json(&["user", "disable", "ada"])["status"], "disabled");
    assert_eq!(data.json(&["user", "list"])[0]["status"], "disabled");
    assert_eq!(data.json(&["user", "enable", "ada"])["status"], "enabled");
    assert!(data.text(&["user", "list"]).starts_with("NAME   SUBJECT  "));
    assert_eq!(data.refused(&["user", "add", "ada"]).0, 1);
    assert_eq!(data.refused(&["user", "add", "a b"]).0, 1);
    assert_eq!(data.refused(&["user", "disable", "nobody"]), (1, "mcpgate: no account \"nobody\"\n".into()));
    let expected = ["account.added", "account.added", "account.setup_link_made", "account.disabled", "account.enabled"];
    assert_eq!(data.events(), expected);
}

#[test]
fn accounts_are_shown_renamed_and_deleted() {
    let data = Data::new();
    data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    let shown = data.json(&["user", "show", "ada"]);
    assert_eq!((&shown["name"], &shown["sessions"]), (&"ada".into(), &1.into()));
    assert_eq!(shown["clients"], serde_json::json!(["mcp_client_operator"]));
    assert!(data.text(&["user", "show", "ada"]).contains("status"));
    let renamed = data.json(&["user", "rename", "ada", "grace"]);
    assert_eq!((&renamed["name"], &renamed["subject"]), (&"grace".into(), &shown["subject"]));
    let shown = data.json(&["user", "show", "grace"]);
    assert_eq!((&shown["former_names"], &shown["sessions"]), (&serde_json::json!(["ada"]), &1.into()));
    assert!(data.refused(&["user", "show", "ada"]).1.contains("no account"));
    let said = data.text(&["user", "delete", "grace"]);
    assert_eq!(said, "grace is deleted; nobody else can get this name\n");
    assert_eq!(data.json(&["session", "list"]), serde_json::json!([]));
    for name in ["ada", "grace"] {
        let (code, said) = data.refused(&["user", "add", name]);
        assert!(
            code == 1 && said.contains(&format!("{name:?} was the login name of another account")),
            "{code} {said}"
        );
    }
    // The trail records who it was, and can be searched by any of the names.
    let rows = data.text(&["audit", "tail", "--user", "ada", "--json"]);
    let last: Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["reason"]), (&"account.deleted".into(), &"grace".into()));
    assert!(last["user"] == "ada" || last["user"] == "grace", "{last}");
}

#[test]
fn nobody_is_added_to_a_tenant_that_cannot_sign_in() {
    let data = Data::new();
    let user: &[&str] = &["user", "add", "bob", "--tenant", "acme"];
    for command in [user, &["client", "add", "--name", "Wiki", "--redirect-uri", REDIRECT, "--tenant", "acme"]] {
        let (code, said) = data.refused(command);
        assert_eq!(code, 64);
        let expected = "nobody can sign in to this tenant; people can sign in to \"default\" only";
        assert!(said.contains("--tenant acme") && said.contains(expected), "{said}");
    }
    assert_eq!(data.json(&["user", "add", "bob", "--tenant", "default"])["name"], "bob");
}

#[test]
fn li_07_guessable_passwords_are_refused() {
    let data = Data::new();
    for (password, reason) in [
        ("short", "at least 12 characters"),
        ("Password1234", "too easy to guess"),
        ("manchesterunited", "too easy to guess"),
        ("mcpgate-mcpgate", "too easy to guess"),
        ("qwertyuiopas", "too easy to guess"),
    ] {
        let output = with_input(&mut data.command(&["user", "set-password", "ada"]), password);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(reason) && !text(&output.stderr).contains(password));
    }
    let set = data.json_with_input(&["user", "set-password", "ada"], "another-kettle-77\n");
    assert_eq!(set["password_set"], true);
    let file = data.folder.path().join("password");
    std::fs::write(&file, "third-saucer-12\n").unwrap();
    data.json(&["user", "set-password", "ada", "--password-file", file.to_str().unwrap()]);
    assert!(data.json(&["user", "set-password", "ada", "--link"])["link"].as_str().unwrap().contains("/setup?link="));
    assert_eq!(data.events()[1..], ["account.password_set", "account.password_set", "account.setup_link_made"]);
}

#[test]
fn why_the_first_password_is_refused_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "short").unwrap();
    let data = dir.path().join("data");
    let (data, password) = (data.to_str().unwrap(), password.to_str().unwrap());
    let ports = ["--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"];
    let output = run(&[&["up", "--data", data, "--admin-password-file", password], &ports[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert_eq!(said.matches("a password has at least").count(), 1, "{said}");
    assert!(said.contains(&format!("--admin-password-file: {password}: ")), "{said}");
}

#[test]
fn passwords_are_nowhere_in_the_data_folder() {
    let data = Data::new();
    for entry in std::fs::read_dir(data.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            let found = content.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn tokens_are_issued_for_scripts() {
    let data = Data::new();
    let issued = data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp", "--lifetime", "10m"]);
    assert!(issued["access_token"].as_str().unwrap().starts_with("mcp_access_"));
    assert_eq!((&issued["expires_in"], &issued["scope"]), (&600.into(), &"mcp:delete mcp:read mcp:write".into()));
    assert_eq!(issued["resource"], "https://localhost:8443/mcp");
    let one = data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp", "--scope", "mcp:read"]);
    assert_eq!(one["scope"], "mcp:read");
    for list in ["mcp:write mcp:read", "mcp:write,mcp:read"] {
        let both = data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp", "--scope", list]);
        assert_eq!(both["scope"], "mcp:read mcp:write", "{list}");
    }
    let bare = data.text(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    assert!(bare.starts_with("mcp_access_") && bare.lines().count() == 1);
    let told = data.command(&["token", "issue", "--user", "ada", "--upstream", "mcp"]).output().unwrap();
    let told = data.beside_the_store(&told);
    assert!(told.starts_with("Good for https://localhost:8443/mcp until 20"), "{told}");
    assert!(told.ends_with("Z, with: mcp:delete mcp:read mcp:write\n"), "{told}");
    for (more, reason) in [
        (&["--user", "nobody", "--upstream", "mcp"][..], "no account"),
        (&["--user", "ada", "--upstream", "nothing"], "no upstream \"nothing\" here, only: mcp"),
        (
            &["--user", "ada", "--upstream", "mcp", "--scope", "admin"],
            "no scope admin here, only: mcp:delete mcp:read mcp:write",
        ),
        (&["--user", "ada", "--upstream", "mcp", "--lifetime", "30d"], "24 hours"),
    ] {
        let (code, said) = data.refused(&[&["token", "issue"], more].concat());
        assert!(code == 1 && said.contains(reason), "{said}");
    }
    data.json(&["user", "disable", "ada"]);
    let (_, said) = data.refused(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    assert_eq!(said, "mcpgate: the account \"ada\" is disabled\n");
}

#[test]
fn sessions_are_listed_and_revoked() {
    let data = Data::new();
    let issue = || data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp"])["session"].clone();
    let (first, second) = (issue(), issue());
    let listed = data.json(&["session", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!((&listed[0]["user"], &listed[0]["may_refresh"]), (&"ada".into(), &false.into()));
    assert_eq!(listed[0]["last_used_at"], Value::Null);
    // It ends at one moment only, since it cannot be refreshed.
    assert_eq!((&listed[0]["idle_until"], &listed[0]["last_activity_at"]), (&Value::Null, &listed[0]["created_at"]));
    assert_eq!(data.json(&["session", "list", "--upstream", "mcp"]), listed);
    assert!(data.refused(&["session", "list", "--upstream", "nowhere"]).1.contains("no upstream"));
    let table = data.text(&["session", "list"]);
    assert!(table.lines().next().is_some_and(|header| header.contains("  LAST USED  ")), "{table}");
    assert_eq!(data.json(&["session", "revoke", "--id", first.as_str().unwrap()])["revoked"], 1);
    assert_eq!(data.json(&["session", "list", "--user", "ada"])[0]["id"], second);
    assert_eq!(data.refused(&["session", "revoke", "--id", first.as_str().unwrap()]).0, 1);
    assert_eq!(data.refused(&["session", "revoke", "--id", "x"]).0, 1);
    issue();
    assert_eq!(data.json(&["session", "revoke", "--client", "mcp_client_operator"])["revoked"], 2);
    issue();
    assert_eq!(data.json(&["session", "revoke", "--upstream", "mcp", "--user", "ada"])["revoked"], 1);
    assert!(data.refused(&["session", "revoke", "--upstream", "nowhere"]).1.contains("no upstream"));
    issue();
    assert_eq!(data.json(&["session", "revoke", "--user", "ada"])["revoked"], 1);
    issue();
    assert_eq!(data.json(&["session", "revoke", "--all"])["revoked"], 1);
    assert_eq!(data.json(&["session", "list"]), Value::Array(Vec::new()));
}

#[test]
fn a_revocation_needs_no_secret_of_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    let config = "public_url = \"https://mcp.example.com\"\ndata_dir = \"data\"\n[listen]\ntls = \"files\"\n\
                  certificate = \"of-the-server.pem\"\nkey = \"of-the-server.pem\"\n[[upstream]]\nname = \"files\"\n\
                  path = \"/files\"\nurl = \"http://127.0.0.1:1/\"\nca_file = \"of-the-server.pem\"\n\
                  headers = { Authorization = \"Bearer ${MCPGATE_TEST_ABSENT}\", X-Key = \"${file:absent}\" }\n";
    std::fs::write(&file, config).unwrap();
    let with = |arguments: &[&str]| mcpgate(arguments).arg("--config").arg(&file).output().unwrap();
    for arguments in [&["user", "add", "ada"][..], &["session", "revoke", "--all"], &["user", "disable", "ada"]] {
        let output = with(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
    for command in ["check", "serve"] {
        assert_eq!(with(&[command]).status.code(), Some(78), "{command}");
    }
    std::fs::write(&file, config.replace("/files\"\nurl", "/token\"\nurl")).unwrap();
    assert_eq!(
        with(&["user", "enable", "ada"]).status.code(),
        Some(78),
        "settings that the data depend on are checked"
    );
    assert_eq!(with(&["session", "revoke", "--all"]).status.code(), Some(0), "but not for a command that ends access");
}

#[test]
fn groups_have_members_in_the_store() {
    let data = Data::new();
    data.json(&["user", "add", "grace"]);
    assert_eq!(data.json(&["group", "list"]), serde_json::json!([]));
    // With one unknown name, nobody is added.
    let unknown = data.refused(&["group", "add", "staff", "ada", "nobody"]);
    assert_eq!(unknown, (1, "mcpgate: no account \"nobody\"\n".into()));
    assert_eq!(data.refused(&["group", "show", "staff"]), (1, "mcpgate: no group \"staff\"\n".into()));
    let bad = data.refused(&["group", "add", "the staff", "ada"]);
    assert!(bad.0 == 1 && bad.1.contains("cannot be a group"), "{bad:?}");
    let added = data.json(&["group", "add", "Staff", "ada", "grace"]);
    assert_eq!(added["added"], serde_json::json!(["ada", "grace"]));
    assert_eq!(data.text(&["group", "add", "on-call", "grace"]), "grace is now in on-call\n");
    assert_eq!(data.text(&["group", "list"]), "NAME     MEMBERS    IN THE FILE\non-call  grace\nstaff    ada grace\n");
    assert_eq!(data.text(&["group", "remove", "staff", "ada"]), "ada is no longer in staff\n");
    let gone = data.refused(&["group", "remove", "staff", "ada"]);
    assert!(gone.0 == 1 && gone.1.contains("ada is not in the group staff"), "{gone:?}");
    data.json(&["user", "rename", "grace", "hopper"]);
    let staff = serde_json::json!({ "name": "staff", "members": ["hopper"], "members_in_file": [] });
    assert_eq!(data.json(&["group", "show", "staff"]), staff);
    data.json(&["user", "delete", "hopper"]);
    assert_eq!(data.json(&["group", "list"]), serde_json::json!([]));
    let rows = data.text(&["audit", "tail", "--user", "ada", "--json"]);
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let told: Vec<_> = rows.iter().map(|row| (row["event"].as_str().unwrap(), row["reason"].as_str())).collect();
    let expected = [("group.member_added", Some("staff")), ("group.member_removed", Some("staff"))];
    assert_eq!(told[told.len() - 2..], expected);
}
