//! The command line as operators and scripts meet it: the real program, a real store in a temporary folder. A failure
//! means that a command, its output or its exit code has changed, or that a deed no longer does what it says.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "support/free_address.rs"]
mod free_address;
#[path = "support/golden.rs"]
mod golden;

const PASSWORD: &str = "glazed-teapot-41";
const REDIRECT: &str = "https://app.example.com/callback";

fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn mcpgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpgate"));
    // Nothing of the developer's own environment: neither their data nor their terminal.
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    mcpgate(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A running `mcpgate up`.
struct Up {
    child: std::process::Child,
    welcome: String,
}

impl Up {
    /// Starts one and reads what it prints until it is ready.
    fn start(data: &Path, port: u16, more: &[&str]) -> Self {
        let (data, listen) = (data.to_str().unwrap(), format!("127.0.0.1:{port}"));
        let arguments = ["up", "--data", data, "--listen", &listen, "--operator-listen", "127.0.0.1:0"];
        let mut command = mcpgate(&[&arguments, more].concat());
        let log = Path::new(data).with_extension("log");
        let log = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut welcome = String::new();
        for line in lines {
            welcome.push_str(&line);
            welcome.push('\n');
            if line.contains("Inspector") {
                break;
            }
        }
        assert!(welcome.contains("mcpgate is ready."), "{welcome}");
        Self { child, welcome }
    }

    /// Tells it to stop; returns its exit code.
    fn stop(mut self) -> Option<i32> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already ended, unless an assertion failed meanwhile.
        let _ended = self.child.kill();
    }
}

/// A data folder as `mcpgate up` would have it, without a server.
struct Data {
    folder: TempDir,
}

impl Data {
    fn new() -> Self {
        let data = Self { folder: tempfile::tempdir().unwrap() };
        let added = data.json_with_input(&["user", "add", "ada", "--password-file", "-"], PASSWORD);
        assert_eq!(added["name"], "ada");
        data
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = mcpgate(arguments);
        command.arg("--data").arg(self.folder.path());
        command
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[arguments, &["--json"]].concat())).unwrap()
    }

    fn json_with_input(&self, arguments: &[&str], input: &str) -> Value {
        let output = with_input(self.command(arguments).arg("--json"), input);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a command that fails says, and its exit code.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?} was done");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        (output.status.code().unwrap(), self.beside_the_store(&output))
    }

    /// What a command says beside its result, without the line that names the store.
    fn beside_the_store(&self, output: &Output) -> String {
        let said = text(&output.stderr);
        let store = format!("Store: {}\n", self.folder.path().join("mcpgate.db").display());
        said.strip_prefix(&store).unwrap_or(&said).to_owned()
    }

    fn events(&self) -> Vec<String> {
        let rows = self.text(&["audit", "tail", "-n", "1000", "--json"]);
        let event = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
        rows.lines().map(event).collect()
    }

    fn add_client(&self, more: &[&str]) -> Value {
        self.json(&[&["client", "add", "--name", "Wiki", "--redirect-uri", REDIRECT], more].concat())
    }
}

fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn help_is_as_agreed() {
    let commands: [&[&str]; 33] = [
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
        &["token"],
        &["token", "issue"],
        &["client"],
        &["client", "add"],
        &["client", "show"],
        &["client", "rotate-secret"],
        &["client", "document", "import"],
        &["session"],
        &["session", "list"],
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
        &["user", "list", "--tenant", "No Tenant"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
    assert!(text(&run(&["--version"]).stdout).starts_with("mcpgate "));
}

#[test]
fn cf_01_check_reports_every_problem_and_exits_78() {
    let file = golden_file("many-problems.toml");
    let check = |more: &[&str]| run(&[&["check", "--config", file.to_str().unwrap()], more].concat());
    let (people, programs) = (check(&[]), check(&["--json"]));
    assert_eq!((people.status.code(), programs.status.code()), (Some(78), Some(78)));
    let reported = text(&people.stdout).replace(file.to_str().unwrap(), "gateway.toml");
    assert_eq!(reported, std::fs::read_to_string(golden_file("many-problems.txt")).unwrap());
    let parsed: Value = serde_json::from_slice(&programs.stdout).unwrap();
    assert_eq!(parsed["problems"].as_array().unwrap().len(), reported.lines().count());
    assert_eq!(parsed["problems"][0]["line"], 1);
}

#[test]
fn cf_01_serve_refuses_a_bad_file_with_78() {
    let output = run(&["serve", "--config", golden_file("many-problems.toml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("many-problems.toml:1: public_ulr: this key is unknown"));
}

#[test]
fn cf_05_check_warns_of_what_is_dangerous() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    let config = "[operator]\naddress = \"0.0.0.0:9090\"\ndanger_open_to_network = true\n";
    std::fs::write(&file, config).unwrap();
    let output =
        mcpgate(&["check", "--up", "--config", file.to_str().unwrap()]).env("HOME", dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stdout).starts_with("warning: operator.danger_open_to_network"));
}

#[test]
fn tl_07_check_reads_the_certificate_as_a_start_does() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = |host: &str, ends: time::OffsetDateTime| {
        let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_after = ends;
        params.self_signed(&key).unwrap().pem()
    };
    write("key.pem", &key.serialize_pem());
    write("other.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let check = |host: &str, ends: time::OffsetDateTime, key: &str| {
        write("chain.pem", &certificate(host, ends));
        let listen = "[listen]\naddress = \"0.0.0.0:443\"\ncertificate = \"chain.pem\"\n";
        let listen = format!("{listen}key = \"{key}\"\n");
        let upstream = "[[upstream]]\nname = \"a\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/\"\n";
        write(
            "gateway.toml",
            &format!("public_url = \"https://mcp.example.com\"\ndata_dir = \"data\"\n{listen}{upstream}"),
        );
        let output = run(&["check", "--config", dir.path().join("gateway.toml").to_str().unwrap()]);
        (output.status.code(), text(&output.stdout))
    };
    let (now, days) = (time::OffsetDateTime::now_utc(), time::Duration::days);
    let (code, said) = check("mcp.example.com", now + days(60), "key.pem");
    assert!(code == Some(0) && !said.contains("warning"), "{said}");
    let (code, said) = check("mcp.example.com", now + days(60), "other.pem");
    assert!(code == Some(78) && said.contains("this key is not that of the certificate"), "{said}");
    let start = run(&["serve", "--config", dir.path().join("gateway.toml").to_str().unwrap()]);
    assert_eq!(start.status.code(), Some(78), "{}", text(&start.stderr));
    let (code, said) = check("mcp.example.com", now - days(1), "key.pem");
    assert!(code == Some(78) && said.contains("the certificate has expired"), "{said}");
    let (code, said) = check("other.example.com", now + days(3), "key.pem");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: the certificate is not for mcp.example.com"), "{said}");
    assert!(said.contains("warning: the certificate ends in 2 days"), "{said}");
}

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

/// A configuration of a server in a folder of its own, with upstreams of these names.
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
    // An /etc of its own, for these commands alone.
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
    let wished = format!("Store: {}/mcpgate.db (by /etc/mcpgate/gateway.toml)\n", store.display());
    assert_eq!(text(&added.stderr), wished);
    // What somebody tries beside it does not take the file of the server.
    let up = there(&["up", "--public-url", "https://localhost/path"]);
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
    assert!(said.contains("name it with --upstream; there are: tickets, files\n"), "{said}");
    let by_resource = ["token", "issue", "--user", "ada", "--upstream", "https://mcp.example.com/files"];
    let issued = with(&by_resource);
    assert!(issued.status.success(), "as session list prints it");
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
        (&[&add[..], &["--scope", "x"]].concat(), "there is no scope x here, only: mcp:read mcp:tools"),
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
        assert!(said.contains("write 9443 or 127.0.0.1:9443 for this machine alone, or 0.0.0.0:9443"), "{said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let said = text(&run(&["demo-upstream", "--listen", &address.port().to_string()]).stderr);
    assert!(said.contains(&format!("cannot listen at {address}: another program listens there")), "{said}");
}

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
    let wished = ["account.added", "account.added", "account.setup_link_made", "account.disabled", "account.enabled"];
    assert_eq!(data.events(), wished);
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
    assert_eq!(said, "grace is deleted; nobody else is given this name\n");
    assert_eq!(data.json(&["session", "list"]), serde_json::json!([]));
    for name in ["ada", "grace"] {
        let (code, said) = data.refused(&["user", "add", name]);
        assert!(code == 1 && said.contains(&format!("{name:?} was the login name of somebody else")), "{code} {said}");
    }
    // The trail says who it was, and is searched by any of the names.
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
        let wished = "nobody can sign in to this tenant; the one that people can sign in to is \"default\"";
        assert!(said.contains("--tenant acme") && said.contains(wished), "{said}");
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
    assert_eq!((&issued["expires_in"], &issued["scope"]), (&600.into(), &"mcp:read mcp:tools".into()));
    assert_eq!(issued["resource"], "https://localhost:8443/mcp");
    let one = data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp", "--scope", "mcp:read"]);
    assert_eq!(one["scope"], "mcp:read");
    for list in ["mcp:tools mcp:read", "mcp:tools,mcp:read"] {
        let both = data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp", "--scope", list]);
        assert_eq!(both["scope"], "mcp:read mcp:tools", "{list}");
    }
    let bare = data.text(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    assert!(bare.starts_with("mcp_access_") && bare.lines().count() == 1);
    let told = data.command(&["token", "issue", "--user", "ada", "--upstream", "mcp"]).output().unwrap();
    let told = data.beside_the_store(&told);
    assert!(told.starts_with("Good for https://localhost:8443/mcp until 20"), "{told}");
    assert!(told.ends_with("Z, with: mcp:read mcp:tools\n"), "{told}");
    for (more, reason) in [
        (&["--user", "nobody", "--upstream", "mcp"][..], "no account"),
        (&["--user", "ada", "--upstream", "nothing"], "no upstream \"nothing\" here, only: mcp"),
        (&["--user", "ada", "--upstream", "mcp", "--scope", "admin"], "no scope admin here, only: mcp:read mcp:tools"),
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
    assert_eq!(data.json(&["session", "revoke", "--id", first.as_str().unwrap()])["revoked"], 1);
    assert_eq!(data.json(&["session", "list", "--user", "ada"])[0]["id"], second);
    assert_eq!(data.refused(&["session", "revoke", "--id", first.as_str().unwrap()]).0, 1);
    assert_eq!(data.refused(&["session", "revoke", "--id", "x"]).0, 1);
    issue();
    assert_eq!(data.json(&["session", "revoke", "--client", "mcp_client_operator"])["revoked"], 2);
    issue();
    assert_eq!(data.json(&["session", "revoke", "--user", "ada"])["revoked"], 1);
    issue();
    assert_eq!(data.json(&["session", "revoke", "--all"])["revoked"], 1);
    assert_eq!(data.json(&["session", "list"]), Value::Array(Vec::new()));
}

#[test]
fn nobody_can_connect_as_the_operator_of_tokens() {
    let data = Data::new();
    data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
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
    let wished = ["client.added", "client.disabled", "client.enabled", "client.deleted", "client.added"];
    assert_eq!(data.events()[1..], wished);
}

#[test]
fn a_client_is_kept_to_scopes() {
    let data = Data::new();
    let limited = data.add_client(&["--scope", "mcp:read"]);
    assert_eq!(limited["scope"], "mcp:read");
    assert_eq!(data.add_client(&[])["scope"], Value::Null);
    let refused = data.refused(&["client", "add", "--name", "x", "--redirect-uri", REDIRECT, "--scope", "mcp:write"]);
    assert!(refused.1.contains("no scope mcp:write here, only: mcp:read mcp:tools"), "{}", refused.1);
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
    assert!(said.starts_with("Left out https://a.example/*: a redirect URI is matched exactly"), "{said}");
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
fn ca_15_a_secret_is_shown_once_and_rotated() {
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
        data.beside_the_store(&told)
            .starts_with("The secret is not shown again. The one that it replaces works until 20")
    );
    let trail = data.text(&["audit", "tail", "--json"]);
    assert!(trail.contains("client.secret_rotated") && !trail.contains("mcp_secret_"));
}

#[test]
fn the_trail_ends_quietly_when_nobody_reads() {
    let data = Data::new();
    let mut tail =
        data.command(&["audit", "tail", "--follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(tail.stdout.take());
    data.json(&["user", "disable", "ada"]);
    let output = tail.wait_with_output().unwrap();
    assert_eq!((output.status.code(), data.beside_the_store(&output)), (Some(0), String::new()));
}

#[test]
fn rows_of_the_trail_say_who_and_what() {
    let data = Data::new();
    let line = data.text(&["audit", "tail", "-n", "1"]);
    assert!(line.contains("  account.added  user=ada  actor=operator  subject=user_"), "{line}");
    data.json(&["user", "disable", "ada"]);
    assert_eq!(data.text(&["audit", "tail", "-n", "1"]).lines().count(), 1);
    let row: Value = serde_json::from_str(&data.text(&["audit", "tail", "-n", "1", "--json"])).unwrap();
    assert_eq!((&row["event"], &row["user"]), (&"account.disabled".into(), &"ada".into()));
    assert!(data.text(&["user", "list"]).contains(row["subject"].as_str().unwrap()), "the trail's id is in the list");
    data.json(&["user", "disable", "ada"]);
    assert_eq!(data.events().len(), 2, "what is so already is no deed");
}

#[test]
fn rows_of_the_trail_have_the_members_that_are_documented() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md")).unwrap();
    let fields = page.split("## Fields").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let documented = fields.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: std::collections::BTreeSet<_> = documented.collect();
    let row = Data::new().json(&["audit", "tail", "-n", "1"]);
    let printed: std::collections::BTreeSet<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(printed, documented);
}

/// Moves the first row of the trail to a moment more than a year ago.
fn age_the_first_row(data: &Data) {
    let store = rusqlite::Connection::open(data.folder.path().join("mcpgate.db")).unwrap();
    let changed = store.execute("UPDATE audit SET at = 1577880000000 WHERE no = 1", []).unwrap();
    assert_eq!(changed, 1, "2020-01-01T12:00:00Z");
}

#[test]
fn the_trail_is_searched_by_user_client_event_and_time() {
    let data = Data::new();
    age_the_first_row(&data);
    data.json_with_input(&["user", "add", "bob", "--password-file", "-"], PASSWORD);
    let client = data.add_client(&[]);
    let id = client["client_id"].as_str().unwrap();
    data.json(&["client", "disable", id]);
    data.json(&["user", "disable", "bob"]);
    let bob = data.text(&["user", "list"]);
    let bob = bob.split_whitespace().find(|word| word.starts_with("user_")).unwrap();
    let found = |options: &[&str]| {
        let rows = data.text(&[&["audit", "tail", "--json"], options].concat());
        let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap();
        rows.lines().map(number).collect::<Vec<_>>()
    };
    for (options, expected) in [
        (&[][..], &[1, 2, 3, 4, 5][..]),
        (&["--user", "ada"], &[1]),
        (&["--user", "bob"], &[2, 5]),
        (&["--user", "bob", "-n", "1"], &[5]),
        (&["--client", id], &[3, 4]),
        (&["--event", "account.added"], &[1, 2]),
        (&["--event", "account"], &[1, 2, 5]),
        (&["--event", "account.disabled", "--event", "client"], &[3, 4, 5]),
        (&["--event", "login"], &[]),
        (&["--since", "1h"], &[2, 3, 4, 5]),
        (&["--since", "2020-01-02"], &[2, 3, 4, 5]),
        (&["--since", "2020-01-01T12:00:00Z"], &[1, 2, 3, 4, 5]),
        (&["--since", "2020-01-01T12:00:01Z", "-n", "2"], &[4, 5]),
        (&["--until", "2020-01-02"], &[1]),
        (&["--until", "2020-01-01T12:00:00Z"], &[]),
        (&["--since", "2020-01-01", "--until", "1h", "--user", "ada", "--event", "account"], &[1]),
    ] {
        assert_eq!(found(options), expected, "{options:?}");
    }
    assert!([1, 2].iter().any(|number| found(&["--user", bob]).first() == Some(number)), "by subject as well");
    for (options, code, text) in [
        (&["--event", "login.faild"][..], 64, "there is no event \"login.faild\""),
        (&["--since", "yesterday"], 64, "an age such as 30m"),
        (&["--until", "1h", "--follow"], 64, "--follow"),
        (&["--user", "carol"], 1, "no account \"carol\""),
    ] {
        let (exit, said) = data.refused(&[&["audit", "tail"], options].concat());
        assert!(exit == code && said.contains(text), "{options:?}: {exit}: {said}");
    }
}

#[test]
fn old_rows_of_the_trail_are_pruned_and_the_trail_says_so() {
    let data = Data::new();
    data.json(&["user", "disable", "ada"]);
    assert_eq!(data.json(&["audit", "prune"])["removed"], 0);
    assert_eq!(data.events(), ["account.added", "account.disabled"], "nothing was removed");
    age_the_first_row(&data);
    assert_eq!(data.json(&["audit", "prune"])["removed"], 1, "audit.keep is a year");
    assert_eq!(data.events(), ["account.disabled", "audit.pruned"]);
    let row = data.json(&["audit", "tail", "-n", "1"]);
    assert!(row["reason"].as_str().unwrap().starts_with("rows from before 20"), "{row}");
    assert_eq!(data.json(&["audit", "prune", "--before", "1h"])["removed"], 0);
    let (code, said) = data.refused(&["audit", "prune", "--before", "2999-01-01"]);
    assert!(code == 64 && said.contains("--before"), "{said}");
    assert_eq!(data.json(&["db", "check"])["sound"], true, "the noted size is right");
}

#[test]
fn the_store_is_backed_up_and_checked() {
    let data = Data::new();
    assert_eq!(data.json(&["db", "check"])["sound"], true);
    let other = tempfile::tempdir().unwrap();
    let copy = other.path().join("mcpgate.db");
    data.json(&["db", "backup", copy.to_str().unwrap()]);
    let (_, said) = data.refused(&["db", "backup", copy.to_str().unwrap()]);
    assert_eq!(said, format!("mcpgate: cannot make {}: there is a file of this name already\n", copy.display()));
    let there = |command| run(&["user", command, "ada", "--json", "--data", other.path().to_str().unwrap()]);
    let without_keys = there("enable");
    assert_eq!(without_keys.status.code(), Some(1));
    assert!(text(&without_keys.stderr).contains("this key is lost"), "{}", text(&without_keys.stderr));
    std::fs::remove_dir(other.path().join("keys")).unwrap();
    std::fs::rename(data.folder.path().join("keys"), other.path().join("keys")).unwrap();
    let enabled: Value = serde_json::from_slice(&there("enable").stdout).unwrap();
    assert_eq!(enabled["name"], "ada");
}

#[test]
fn rt_16_a_backup_is_restored_only_while_no_server_runs_and_ends_all_sessions() {
    let data = Data::new();
    data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    let sessions = || data.json(&["session", "list"]).as_array().unwrap().len();
    assert_eq!(sessions(), 1);
    let backup = data.folder.path().join("backup.db");
    data.json(&["db", "backup", backup.to_str().unwrap()]);
    let restore = ["db", "restore", backup.to_str().unwrap()];
    let server = mcpgate::store::embedded::ServerLock::acquire(data.folder.path()).unwrap();
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
    assert!(said.ends_with("; put a backup in its place with mcpgate db restore\n"), "{said}");
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
    assert_eq!(with(&["user", "enable", "ada"]).status.code(), Some(78), "what the data depend on is judged");
    assert_eq!(with(&["session", "revoke", "--all"]).status.code(), Some(0), "but not for what ends access");
}

#[test]
fn development_certificates_are_made_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("certs");
    let made = run(&["certs", "dev", "--json", "--dir", folder.to_str().unwrap()]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    for file in ["ca", "certificate", "key", "bundle"] {
        let pem = std::fs::read_to_string(made[file].as_str().unwrap()).unwrap();
        assert!(pem.starts_with("-----BEGIN "), "{file}");
    }
    assert!(folder.join("ca-key.pem").exists());
    let more = ["certs", "dev", "--dir", folder.to_str().unwrap(), "--host", "a.test", "--host", "b.test"];
    let output = run(&more);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("not made for localhost, 127.0.0.1, ::1, a.test, b.test; remove it"), "{said}");
    std::fs::remove_file(folder.join("ca.pem")).unwrap();
    assert!(run(&more).status.success());
}

#[test]
fn a_ca_that_is_not_there_cannot_be_trusted() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["trust", "untrust"] {
        let output = run(&["certs", command, "--data", dir.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains("certs/ca.pem: there is no development CA here") && said.contains("--data"), "{said}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("rotate-secret"), "{shell}");
    }
}

#[test]
fn li_11_up_makes_everything_once_and_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let password = dir.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let port = free_address::free_address().port();
    let origin = format!("https://localhost:{port}");
    let keys = || std::fs::read_to_string(data.join("keys/token")).unwrap();
    let command = |arguments: &[&str]| {
        let output = mcpgate(arguments).arg("--json").arg("--data").arg(&data).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };

    let first = Up::start(&data, port, &[]);
    assert!(first.welcome.contains(&format!("{origin}/setup?link=mcp_session_")), "{}", first.welcome);
    assert!(first.welcome.contains(&format!("claude mcp add --transport http mcp {origin}/mcp")));
    let made = keys();
    // Beside the running server, and knowing how it was started.
    let listed = command(&["user", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["password_set_at"]), (&"admin".into(), &Value::Null));
    let issued = command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    assert_eq!(issued["resource"], format!("{origin}/mcp"));
    assert_eq!(first.stop(), Some(0));
    // A file in the place of the remembered one: the rest of what is remembered stays.
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, "[tokens]\naccess = \"5m\"\n").unwrap();
    let issued = ["token", "issue", "--user", "admin", "--upstream", "mcp", "--config", file.to_str().unwrap()];
    assert_eq!(command(&issued)["expires_in"], 300);

    let with_file = ["--admin-password-file", password.to_str().unwrap(), "--config", file.to_str().unwrap()];
    let second = Up::start(&data, port, &with_file);
    assert!(!second.welcome.contains("/setup"), "{}", second.welcome);
    assert_eq!(keys(), made);
    assert!(command(&["user", "list"])[0]["password_set_at"].is_string());
    assert_eq!(second.stop(), Some(0));
    // The file is remembered, and missed when it is moved.
    let issue = ["token", "issue", "--user", "admin", "--upstream", "mcp"];
    assert_eq!(command(&issue)["expires_in"], 300);
    let moved = dir.path().join("moved.toml");
    std::fs::rename(&file, &moved).unwrap();
    let missed = mcpgate(&issue).arg("--data").arg(&data).output().unwrap();
    assert_eq!(missed.status.code(), Some(1));
    let said = text(&missed.stderr);
    assert!(said.contains("gateway.toml: mcpgate up was last started with this file, which is gone"), "{said}");
    let issued = command(&[&issue[..], &["--config", moved.to_str().unwrap()]].concat());
    assert_eq!((&issued["resource"], &issued["expires_in"]), (&format!("{origin}/mcp").into(), &300.into()));

    let third = Up::start(&data, port, &["--admin-password-file", password.to_str().unwrap()]);
    assert!(!third.welcome.contains("/setup"), "{}", third.welcome);
    assert_eq!(third.stop(), Some(0));
    let said = std::fs::read_to_string(data.with_extension("log")).unwrap();
    let unused = format!("mcpgate: --admin-password-file: {}: not used, since there are accounts", password.display());
    assert_eq!(said.matches(&unused).count(), 1, "the second start used it, the third did not: {said}");
}

#[test]
fn the_demo_upstream_runs_alone() {
    let mut demo = mcpgate(&["demo-upstream", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(demo.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("the demo MCP server is at http://").unwrap().strip_suffix("/mcp").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let head =
        format!("POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let head = format!("{head}Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("serverInfo"), "{answer}");
}

#[test]
fn the_demo_upstream_names_an_address_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = text(&run(&["demo-upstream", "--listen", &address]).stderr);
    let wished = format!("cannot listen at {address}: another program listens there; change it with --listen\n");
    assert!(said.ends_with(&wished), "{said}");
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
    // A tenth of a point is one: 20 is what systemd prints as 2.0.
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

/// Runs itself once more, as the process that panics.
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
        .args(["--exact", "lk_02_a_panic_is_reported_by_its_place_alone", "--nocapture"])
        .envs([(CHILD, "1"), ("RUST_BACKTRACE", "full")])
        .output()
        .unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the code panicked") && said.contains("tests/cli.rs:"), "{said}");
    assert!(!said.contains("0123456789") && !said.contains("stack backtrace"), "{said}");
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
        (serde_json::json!({ "client_id": id, "client_name": "x" }).to_string(), "redirect URIs are needed"),
        ("x".repeat(6000), "larger than"),
    ] {
        std::fs::write(&file, content).unwrap();
        let (code, said) = refused(path);
        assert_eq!(code, 1);
        assert!(said.contains(fault), "{fault} in {said}");
    }
    assert!(refused("/nowhere/client.json").1.contains("/nowhere/client.json: "));
    let (_, said) = refused("https://127.0.0.1:1/client.json");
    assert!(said.contains("cannot be fetched: the address is not a public one; save it where it can be"), "{said}");

    std::fs::write(&file, document(id).to_string()).unwrap();
    let said = data.text(&["client", "document", "import", path]);
    assert!(said.starts_with(&format!("{id} is imported; the copy stands in while")), "{said}");
    let shown = data.json(&["client", "show", id]);
    assert_eq!(
        (shown["document_source"].as_str(), shown["origin"].as_str()),
        (Some("imported"), Some("metadata_document"))
    );
    let trail = data.text(&["audit", "tail", "--event", "client.document_imported"]);
    assert!(trail.contains("logo_uri") && trail.contains(id), "{trail}");
}
