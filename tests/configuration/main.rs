//! The configuration as an operator uses it. A failure means that the example or the reference is wrong, or that a
//! fault is no longer reported with its line and remedy.

#![expect(clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mcpgate::config::{Config, Overrides, Problem};

#[path = "../support/golden.rs"]
pub(crate) mod golden;
#[path = "../support/never_forwarded.rs"]
pub(crate) mod never_forwarded;

mod aliases;
mod below_a_path;
mod documents;
mod groups;
mod limits;
mod listeners;
mod own_listeners;
mod problems;
mod rules;
mod scopes;
mod shared_resources;
mod sources;
mod static_answers;
mod tables;
mod upstreams;
mod workloads;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn problems_of(text: &str, overrides: &Overrides) -> Vec<Problem> {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, text).expect("a temporary file can be written");
    Config::load(Some(&file), overrides).err().unwrap_or_default()
}

pub(crate) fn load(text: &str, overrides: &Overrides) -> Config {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, text).expect("a temporary file can be written");
    Config::load(Some(&file), overrides).expect("the configuration is good")
}

pub(crate) fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|p| Problem { file: Some("gateway.toml".into()), ..p.clone() }.to_string()).collect()
}

pub(crate) fn up() -> Overrides {
    Overrides { up: true, ..Overrides::default() }
}

pub(crate) const GOOD: &str = "public_url = \"https://mcp.example.com\"\nlisten = { tls = \"development\" }\n\
                    [[upstream]]\nname = \"a\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/mcp\"\n";

/// The one problem of the good configuration with some lines added.
pub(crate) fn only_problem(addition: &str) -> String {
    let found = lines(&problems_of(&format!("{GOOD}{addition}"), &Overrides::default()));
    assert_eq!(found.len(), 1, "{addition}: {found:?}");
    found.into_iter().next().unwrap_or_default()
}

/// A configuration beside the certificate files of the examples, and those that its references name.
pub(crate) fn beside_certificates(text: &str) -> Config {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let here = text.replace("/etc/mcpgate/tls/", "");
    for file in ["gateway.toml", "fullchain.pem", "key.pem"] {
        let file = dir.path().join(file);
        std::fs::write(&file, &here).expect("a temporary file can be written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("its mode can be set");
    }
    for name in here.split("${file:").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)) {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a temporary folder can be made");
        std::fs::write(&file, "0123456789abcdef0123456789abcdef").expect("a temporary file can be written");
    }
    let config = Config::load(Some(&dir.path().join("gateway.toml")), &Overrides::default());
    config.expect("the example is good")
}
