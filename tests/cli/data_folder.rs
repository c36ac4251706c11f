//! Which configuration and which data directory a command uses.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Data, REDIRECT, Up, mcpgate, run, text};

#[test]
fn cf_06_the_environment_overrides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let link = |variables: &[(&str, &str)]| {
        let name = format!("u{}", variables.len());
        let mut command = mcpgate(&["user", "add", &name, "--data", dir.path().to_str().unwrap()]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(link(&[]).contains("https://localhost:8443/setup?link="));
    assert!(link(&[("MCPGATE_PUBLIC_URL", "https://evil.example")]).contains("https://localhost:8443/setup?link="));
}

/// A server's configuration in its own folder, with upstreams of these names.
fn of_server(folder: &Path, upstreams: &[&str]) -> PathBuf {
    let file = folder.join("gateway.toml");
    let mut config =
        "public_url = \"https://mcp.example.com\"\ndata_dir = \"data\"\nlisten = { tls = \"development\" }\n"
            .to_owned();
    for name in upstreams {
        config += &format!("[[upstream]]\nname = \"{name}\"\npath = \"/{name}\"\nurl = \"http://127.0.0.1:1/\"\n");
    }
    std::fs::write(&file, config).unwrap();
    file
}

#[test]
fn the_environment_names_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = of_server(dir.path(), &["files"]);
    let with = |arguments: &[&str], file: &Path| mcpgate(arguments).env("MCPGATE_CONFIG", file).output().unwrap();
    let added = with(&["user", "add", "ada"], &file);
    assert!(text(&added.stdout).contains("https://mcp.example.com/setup?link="), "{}", text(&added.stderr));
    let store = dir.path().join("data/mcpgate.db");
    assert_eq!(text(&added.stderr), format!("Store: {} (by MCPGATE_CONFIG)\n", store.display()));
    let checked = with(&["check"], &file);
    assert!(text(&checked.stdout).ends_with(&format!("{}: no problems\n", file.display())));
    let elsewhere = tempfile::tempdir().unwrap();
    let other = of_server(elsewhere.path(), &[]);
    for command in ["serve", "check"] {
        let refused = with(&[command], &other);
        let said = text(&refused.stdout) + &text(&refused.stderr);
        assert!(refused.status.code() == Some(78) && said.contains("there is no upstream"), "{command}: {said}");
    }
    let option = with(&["user", "list", "--config", file.to_str().unwrap()], &other);
    assert_eq!(text(&option.stderr), format!("Store: {}\n", store.display()), "--config wins");
    let folder = with(&["user", "list", "--data", store.parent().unwrap().to_str().unwrap()], &other);
    assert_eq!(text(&folder.stderr), format!("Store: {}\n", store.display()), "--data wins");
    for command in [&["serve"][..], &["check"], &["up"], &["user", "list"]] {
        let gone = with(command, &dir.path().join("absent.toml"));
        assert_eq!(gone.status.code(), Some(78), "{command:?}");
        let said = text(&gone.stderr);
        assert!(said.starts_with("mcpgate: MCPGATE_CONFIG: ") && said.contains("absent.toml: No such file"), "{said}");
    }
    let unset = mcpgate(&["serve"]).env("MCPGATE_CONFIG", "").output().unwrap();
    assert_eq!(unset.status.code(), Some(64));
    let said = text(&unset.stderr);
    assert!(said.contains("name the configuration with --config or MCPGATE_CONFIG"), "{said}");
}

#[test]
fn the_machines_own_configuration_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = of_server(dir.path(), &["files"]);
    let config = std::fs::read_to_string(&file).unwrap();
    let store = dir.path().join("data");
    std::fs::write(&file, config.replace("\"data\"", &format!("\"{}\"", store.display()))).unwrap();
    // Only these commands see this /etc.
    let script = "mount -t tmpfs none /etc && mkdir /etc/mcpgate && cp \"$1\" /etc/mcpgate && shift && exec \"$@\"";
    let there = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&file);
        command.arg(env!("CARGO_BIN_EXE_mcpgate")).args(arguments).env("HOME", dir.path());
        command.env_remove("MCPGATE_CONFIG").stdin(Stdio::null()).output().unwrap()
    };
    let probe = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: this machine gives users no mount namespace of their own");
        return;
    }
    let checked = there(&["check"]);
    let found = text(&checked.stdout).ends_with("/etc/mcpgate/gateway.toml: no problems\n");
    assert!(found, "{}{}", text(&checked.stdout), text(&checked.stderr));
    let added = there(&["user", "add", "ada"]);
    assert!(text(&added.stdout).contains("https://mcp.example.com/setup"), "{}", text(&added.stderr));
    let expected = format!("Store: {}/mcpgate.db (by /etc/mcpgate/gateway.toml)\n", store.display());
    assert_eq!(text(&added.stderr), expected);
    // A trial run beside the server does not use the server's file.
    let up = there(&["up", "--public-url", "https://localhost/?query"]);
    assert_eq!(text(&up.stderr).matches("mcpgate: ").count(), 1, "{}", text(&up.stderr));
    assert!(text(&up.stderr).starts_with("mcpgate: --public-url: "), "{}", text(&up.stderr));
}

#[test]
fn no_store_is_made_where_nobody_said() {
    let home = tempfile::tempdir().unwrap();
    let backup = Data::new();
    let file = home.path().join("backup.db");
    backup.json(&["db", "backup", file.to_str().unwrap()]);
    for arguments in [
        &["user", "add", "ada"][..],
        &["client", "add", "--name", "x", "--redirect-uri", REDIRECT],
        &["token", "issue", "--user", "ada"],
        &["db", "restore", file.to_str().unwrap()],
        &["db", "check"],
        &["clock", "accept"],
        &["audit", "tail"],
    ] {
        let output = mcpgate(arguments).env("HOME", home.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = text(&output.stderr);
        let folder = home.path().join(".local/share/mcpgate");
        assert!(said.contains(&format!("{}: there is no store here; name", folder.display())), "{said}");
        assert!(!home.path().join(".local").exists(), "{arguments:?}");
    }
}

#[test]
fn the_file_of_the_environment_may_be_an_addition_of_up() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("more.toml");
    std::fs::write(&file, "[tokens]\naccess = \"5m\"\n").unwrap();
    let data = home.path().join(".local/share/mcpgate");
    std::fs::create_dir_all(&data).unwrap();
    let up = Up::start(&data, 0, &["--public-url", "https://localhost:8443", "--config", file.to_str().unwrap()]);
    let issue = ["token", "issue", "--user", "admin", "--json"];
    let issued = mcpgate(&issue).env("HOME", home.path()).env("MCPGATE_CONFIG", &file).output().unwrap();
    assert!(issued.status.success(), "{}", text(&issued.stderr));
    let issued: Value = serde_json::from_slice(&issued.stdout).unwrap();
    assert_eq!((&issued["expires_in"], &issued["resource"]), (&300.into(), &"https://localhost:8443/mcp".into()));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn the_only_upstream_need_not_be_named() {
    let data = Data::new();
    assert_eq!(data.json(&["token", "issue", "--user", "ada"])["resource"], "https://localhost:8443/mcp");
    let dir = tempfile::tempdir().unwrap();
    let file = of_server(dir.path(), &["files", "tickets"]);
    let with = |arguments: &[&str]| mcpgate(arguments).arg("--config").arg(&file).output().unwrap();
    assert!(with(&["user", "add", "ada"]).status.success());
    let output = with(&["token", "issue", "--user", "ada"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("name one with --upstream: tickets, files\n"), "{said}");
    let by_resource = ["token", "issue", "--user", "ada", "--upstream", "https://mcp.example.com/files"];
    let issued = with(&by_resource);
    assert!(issued.status.success(), "a resource as `session list` prints it is accepted");
    // Its upstreams have no scopes.
    let said = text(&issued.stderr);
    assert!(said.ends_with("Z, without scopes\n"), "{said}");
}

#[test]
fn what_is_not_there_is_named() {
    let data = Data::new();
    let add = ["client", "add", "--name", "x", "--redirect-uri", REDIRECT];
    for (arguments, said) in [
        (&["user", "disable", "bob"][..], "no account \"bob\""),
        (&["user", "enable", "bob"], "no account \"bob\""),
        (&["user", "set-password", "bob", "--link"], "no account \"bob\""),
        (&["token", "issue", "--user", "bob"], "no account \"bob\""),
        (&["session", "list", "--user", "bob"], "no account \"bob\""),
        (&["session", "revoke", "--user", "bob"], "no account \"bob\""),
        (&["audit", "tail", "--user", "bob"], "no account \"bob\""),
        (&["session", "list", "--client", "mcp_client_x"], "no client \"mcp_client_x\""),
        (&["session", "revoke", "--client", "mcp_client_x"], "no client \"mcp_client_x\""),
        (&["client", "show", "mcp_client_x"], "no client \"mcp_client_x\""),
        (&["client", "disable", "mcp_client_x"], "no client \"mcp_client_x\""),
        (&["client", "enable", "mcp_client_x"], "no client \"mcp_client_x\""),
        (&["client", "delete", "mcp_client_x"], "no client \"mcp_client_x\""),
        (&["client", "rotate-secret", "mcp_client_x"], "no client \"mcp_client_x\""),
        (&["session", "revoke", "--id", "4a9d"], "no session \"4a9d\""),
        (&["token", "issue", "--user", "ada", "--upstream", "x"], "no upstream \"x\" here, only: mcp"),
        (&[&add[..], &["--upstream", "x"]].concat(), "no upstream \"x\" here, only: mcp"),
        (&[&add[..], &["--scope", "x"]].concat(), "there is no scope x here, only: mcp:delete mcp:read mcp:write"),
        (&["db", "restore", "absent.db"], "cannot restore absent.db: No such file"),
        (&["user", "add", "bob", "--password-file", "absent"], "absent: No such file"),
        (&["user", "add", "ada"], "there is an account \"ada\" already"),
        (&["user", "add", "a b"], "\"a b\" cannot be a login name"),
    ] {
        let (code, text) = data.refused(arguments);
        assert!(code == 1 && text.starts_with(&format!("mcpgate: {said}")), "{arguments:?}: {text}");
    }
}

#[test]
fn the_store_is_backed_up_and_checked() {
    let data = Data::new();
    assert_eq!(data.json(&["db", "check"])["sound"], true);
    let other = tempfile::tempdir().unwrap();
    let copy = other.path().join("mcpgate.db");
    data.json(&["db", "backup", copy.to_str().unwrap()]);
    let (_, said) = data.refused(&["db", "backup", copy.to_str().unwrap()]);
    assert_eq!(said, format!("mcpgate: cannot create {}: a file with this name already exists\n", copy.display()));
    let there = |command| run(&["user", command, "ada", "--json", "--data", other.path().to_str().unwrap()]);
    let without_keys = there("enable");
    assert_eq!(without_keys.status.code(), Some(1));
    assert!(text(&without_keys.stderr).contains("this key is missing"), "{}", text(&without_keys.stderr));
    std::fs::remove_dir(other.path().join("keys")).unwrap();
    std::fs::rename(data.folder.path().join("keys"), other.path().join("keys")).unwrap();
    let enabled: Value = serde_json::from_slice(&there("enable").stdout).unwrap();
    assert_eq!(enabled["name"], "ada");
}

#[test]
fn a_backup_is_restored_only_while_no_server_runs_and_ends_all_sessions() {
    let data = Data::new();
    data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    let sessions = || data.json(&["session", "list"]).as_array().unwrap().len();
    assert_eq!(sessions(), 1);
    let backup = data.folder.path().join("backup.db");
    data.json(&["db", "backup", backup.to_str().unwrap()]);
    let restore = ["db", "restore", backup.to_str().unwrap()];
    let server = mcpgate::store::ServerLock::acquire(data.folder.path()).unwrap();
    let (code, said) = data.refused(&restore);
    assert_eq!(code, 1);
    assert!(said.contains("stop it"), "{said}");
    drop(server);
    let restored = data.json(&restore);
    assert!(Path::new(restored["before"].as_str().unwrap()).exists(), "{restored}");
    assert_eq!(sessions(), 0);
    assert!(data.events().contains(&"store.restored".to_owned()));
    assert_eq!(data.json(&["db", "check"])["sound"], true);
}

#[test]
fn a_damaged_store_is_named_with_its_remedy() {
    let data = Data::new();
    let file = data.folder.path().join("mcpgate.db");
    std::fs::write(&file, "no store ".repeat(1000)).unwrap();
    let (code, said) = data.refused(&["user", "list"]);
    assert_eq!(code, 1);
    assert!(said.starts_with(&format!("mcpgate: the store is damaged: {}: ", file.display())), "{said}");
    assert!(said.ends_with("; restore a backup with mcpgate db restore\n"), "{said}");
}

#[test]
fn a_mistyped_folder_is_not_taken_for_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    let output = run(&["user", "list", "--data", absent.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there is no store here"));
    assert!(!absent.exists());
}

#[test]
fn data_commands_take_the_configuration_of_serve() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    let config = "public_url = \"https://mcp.example.com\"\ndata_dir = \"data\"\nbrand = \"acme\"\n\
                  listen = { tls = \"development\" }\n[[upstream]]\nname = \"files\"\npath = \"/files\"\n\
                  url = \"http://127.0.0.1:1/\"\n";
    std::fs::write(&file, config).unwrap();
    let with = |arguments: &[&str]| {
        let output = mcpgate(arguments).arg("--json").arg("--config").arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let added = with(&["user", "add", "ada"]);
    assert!(added["link"].as_str().unwrap().starts_with("https://mcp.example.com/setup?link=acme_session_"));
    let issued = with(&["token", "issue", "--user", "ada", "--upstream", "files"]);
    assert_eq!(issued["resource"], "https://mcp.example.com/files");
    assert!(dir.path().join("data/mcpgate.db").exists());
}
