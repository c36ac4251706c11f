//! Help, errors and arguments that all commands share.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{Data, REDIRECT, golden, golden_file, run, text};

#[test]
fn help_is_as_agreed() {
    let commands: [&[&str]; 45] = [
        &[],
        &["up"],
        &["serve"],
        &["check"],
        &["demo-upstream"],
        &["certs"],
        &["certs", "dev"],
        &["certs", "trust"],
        &["certs", "untrust"],
        &["user"],
        &["user", "add"],
        &["user", "list"],
        &["user", "show"],
        &["user", "rename"],
        &["user", "delete"],
        &["user", "disable"],
        &["user", "set-password"],
        &["group"],
        &["group", "add"],
        &["group", "remove"],
        &["group", "list"],
        &["policy"],
        &["policy", "test"],
        &["token"],
        &["token", "issue"],
        &["key"],
        &["key", "create"],
        &["key", "rotate"],
        &["client"],
        &["client", "add"],
        &["client", "show"],
        &["client", "rotate-secret"],
        &["client", "document", "import"],
        &["apply"],
        &["session"],
        &["session", "ended"],
        &["session", "list"],
        &["session", "resume"],
        &["session", "revoke"],
        &["audit"],
        &["audit", "tail"],
        &["audit", "prune"],
        &["db"],
        &["db", "backup"],
        &["db", "check"],
    ];
    let help = |words: &&[&str]| {
        let output = run(&[*words, &["--help"]].concat());
        assert!(output.status.success(), "{words:?}");
        format!("$ mcpgate {}\n{}\n", [*words, &["--help"]].concat().join(" "), text(&output.stdout))
    };
    golden::check(&golden_file("help.txt"), &commands.iter().map(help).collect::<String>());
}

#[test]
fn what_is_not_understood_exits_64() {
    for arguments in [
        &["frobnicate"][..],
        &["user", "add"],
        &["serve"],
        &["up", "--workers", "0"],
        &["session", "revoke"],
        &["client", "add", "--name", "x", "--redirect-uri", REDIRECT, "--confidential", "--public"],
        &["token", "issue", "--user", "a", "--upstream", "b", "--lifetime", "90"],
        &["key", "create", "--user", "a", "--name", "b", "--expires", "90"],
        &["user", "list", "--tenant", "No Tenant"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
    assert!(text(&run(&["--version"]).stdout).starts_with("mcpgate "));
}

#[test]
fn every_error_begins_alike_and_is_json_on_request() {
    let data = Data::new();
    let bad = golden_file("many-problems.toml");
    let bad = bad.to_str().unwrap();
    let folder = data.folder.path().to_str().unwrap();
    for (arguments, code) in [
        (&["user", "disable", "bob", "--data", folder][..], 1),
        (&["user", "list", "--data", "/absent"], 1),
        (&["user", "list", "--tenant", "No Tenant", "--data", folder], 64),
        (&["user", "frobnicate"], 64),
        (&["session", "revoke", "--data", folder], 64),
        (&["user", "list", "--config", bad], 78),
        (&["certs", "trust", "--data", folder], 1),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let said = text(&output.stderr);
        let errors = said.lines().filter(|line| !line.starts_with("Store: ")).collect::<Vec<_>>();
        assert!(errors.first().is_some_and(|line| line.starts_with("mcpgate: ")), "{arguments:?}: {said}");
        let output = run(&[arguments, &["--json"]].concat());
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(code), String::new()), "{arguments:?}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["exit_status"], code, "{error}");
        assert!(error["error"].as_str().is_some_and(|said| !said.starts_with("mcpgate: ")), "{error}");
        assert_eq!(error["problems"].is_array(), code == 78, "{error}");
    }
    let said = text(&run(&["user", "list", "--config", bad]).stderr);
    assert!(said.lines().all(|line| line.starts_with("mcpgate: ")) && said.lines().count() > 10, "{said}");
}

#[test]
fn an_id_that_is_printed_is_understood() {
    let data = Data::new();
    let subject = data.json(&["user", "list"])[0]["subject"].as_str().unwrap().to_owned();
    let issued = data.json(&["token", "issue", "--user", &subject]);
    let session = issued["session"].as_str().unwrap();
    let listed = &data.json(&["session", "list", "--user", &subject])[0];
    assert_eq!(listed["id"], session);
    assert_eq!(data.json(&["audit", "tail", "-n", "1"])["target"], session, "the trail names it alike");
    let (client, resource) = (listed["client_id"].as_str().unwrap(), listed["resource"].as_str().unwrap());
    assert_eq!(data.json(&["client", "show", client])["client_id"], client);
    assert_eq!(data.json(&["session", "list", "--client", client]).as_array().unwrap().len(), 1);
    data.json(&["token", "issue", "--user", &subject, "--upstream", resource]);
    assert_eq!(data.json(&["session", "revoke", "--id", session])["revoked"], 1);
    assert_eq!(data.json(&["session", "revoke", "--user", &subject])["revoked"], 1);
    assert!(data.json(&["user", "set-password", &subject, "--link"])["link"].is_string());
    assert_eq!(data.json(&["user", "disable", &subject])["status"], "disabled");
    assert_eq!(data.json(&["user", "list"])[0]["status"], "disabled");
}

#[test]
fn a_port_alone_is_an_address_of_this_machine() {
    for option in ["--listen", "--operator-listen"] {
        let output = run(&["up", option, ":9443"]);
        assert_eq!(output.status.code(), Some(64));
        let said = text(&output.stderr);
        assert!(said.contains("write 9443 or 127.0.0.1:9443 for this machine only, or 0.0.0.0:9443"), "{said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let said = text(&run(&["demo-upstream", "--listen", &address.port().to_string()]).stderr);
    assert!(said.contains(&format!("cannot listen on {address}: another program listens on it")), "{said}");
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("rotate-secret"), "{shell}");
    }
}

#[test]
fn the_unit_for_systemd_can_be_enabled_and_is_closed() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy/mcpgate.service");
    let content = std::fs::read_to_string(&unit).unwrap();
    for line in ["ExecStart=/usr/local/bin/mcpgate serve", "WantedBy=multi-user.target", "Type=notify"] {
        assert!(content.lines().any(|written| written == line), "{line}");
    }
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: there is no systemd-analyze");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/systemd/system");
    std::fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("mcpgate.service");
    std::fs::copy(&unit, &copy).unwrap();
    // The threshold is in tenths of a point: systemd prints 20 as 2.0.
    let mut analyze = Command::new("systemd-analyze");
    let analyzed = analyze.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(&copy).output();
    let analyzed = analyzed.unwrap();
    assert!(analyzed.status.success(), "{}{}", text(&analyzed.stdout), text(&analyzed.stderr));
    let verified = Command::new("systemd-analyze").arg("verify").arg(&copy).output().unwrap();
    let said = text(&verified.stderr);
    // The program is not installed here.
    let other = said.lines().filter(|line| line.contains("mcpgate.service") && !line.contains("is not executable"));
    assert_eq!(other.collect::<Vec<_>>(), [""; 0], "{said}");
    let mut enable = Command::new("systemctl");
    let enabled = enable.arg(format!("--root={}", root.path().display())).args(["enable", "mcpgate"]).output().unwrap();
    assert!(enabled.status.success(), "{}", text(&enabled.stderr));
    assert!(folder.join("multi-user.target.wants/mcpgate.service").symlink_metadata().is_ok());
}

/// Runs this test program again, as the process that panics.
#[test]
fn lk_02_a_panic_is_reported_by_its_place_alone() {
    const CHILD: &str = "MCPGATE_TEST_PANICS";
    if std::env::var_os(CHILD).is_some() {
        mcpgate::telemetry::init(&mcpgate::config::LogConfig { json: false, filter: "trace".to_owned() });
        let secret = "mcp_access_0123456789";
        assert!(std::thread::spawn(move || std::panic::panic_any(format!("no {secret} here"))).join().is_err());
        mcpgate::telemetry::flush();
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "help::lk_02_a_panic_is_reported_by_its_place_alone", "--nocapture"])
        .envs([(CHILD, "1"), ("RUST_BACKTRACE", "full")])
        .output()
        .unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the code panicked") && said.contains("tests/cli/help.rs:"), "{said}");
    assert!(!said.contains("0123456789") && !said.contains("stack backtrace"), "{said}");
}
