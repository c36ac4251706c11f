//! The command line as operators and scripts use it: the real program, a real store in a temporary folder. A failure
//! means that a command, its output or its exit code has changed, or that a command no longer does what it reports.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

#[path = "../support/free_address.rs"]
pub(crate) mod free_address;
#[path = "../support/golden.rs"]
pub(crate) mod golden;
#[path = "../support/password.rs"]
pub(crate) mod password;

mod accounts;
mod acting;
mod apply;
mod audit;
mod check;
mod client_decide;
mod client_edit;
mod client_list;
mod clients;
mod data_folder;
mod help;
mod keys;
mod policy;
mod rules_page;
mod up;

pub(crate) use password::PASSWORD;

pub(crate) const REDIRECT: &str = "https://app.example.com/callback";

pub(crate) fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub(crate) fn mcpgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpgate"));
    // Nothing is taken from the developer's environment, neither data nor terminal.
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    mcpgate(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A running `mcpgate up`.
pub(crate) struct Up {
    pub(crate) child: std::process::Child,
    pub(crate) welcome: String,
}

impl Up {
    /// Starts one and reads its output until it is ready.
    pub(crate) fn start(data: &Path, port: u16, more: &[&str]) -> Self {
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

    /// Stops it and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
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

/// A data directory as `mcpgate up` creates it, without a server.
pub(crate) struct Data {
    pub(crate) folder: TempDir,
}

impl Data {
    pub(crate) fn new() -> Self {
        let data = Self { folder: tempfile::tempdir().unwrap() };
        let added = data.json_with_input(&["user", "add", "ada", "--password-file", "-"], PASSWORD);
        assert_eq!(added["name"], "ada");
        data
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = mcpgate(arguments);
        command.arg("--data").arg(self.folder.path());
        command
    }

    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[arguments, &["--json"]].concat())).unwrap()
    }

    pub(crate) fn json_with_input(&self, arguments: &[&str], input: &str) -> Value {
        let output = with_input(self.command(arguments).arg("--json"), input);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The error output of a command that fails, and its exit code.
    pub(crate) fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?} succeeded");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        (output.status.code().unwrap(), self.beside_the_store(&output))
    }

    /// The error output of a command that succeeds, without the line that names the store.
    pub(crate) fn beside_the_store(&self, output: &Output) -> String {
        let said = text(&output.stderr);
        let store = format!("Store: {}\n", self.folder.path().join("mcpgate.db").display());
        said.strip_prefix(&store).unwrap_or(&said).to_owned()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        let rows = self.text(&["audit", "tail", "-n", "1000", "--json"]);
        let event = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
        rows.lines().map(event).collect()
    }

    pub(crate) fn add_client(&self, more: &[&str]) -> Value {
        self.json(&[&["client", "add", "--name", "Wiki", "--redirect-uri", REDIRECT], more].concat())
    }
}

pub(crate) fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}
