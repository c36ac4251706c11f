//! What docs/rules.md says of its examples is what `mcpgate policy test` says of them.

use serde_json::Value;

use crate::{run, text};

/// The groups that the examples name, and a scope for those that have none.
const GROUPS: &str = r#"
[[group]]
name = "staff"
members = ["ada", "grace"]
[[group]]
name = "editors"
members = ["grace"]
[[group]]
name = "developers"
members = ["grace"]
[[group]]
name = "administrators"
members = ["root"]
[[group]]
name = "interns"
members = ["ivan"]
"#;
const DOCUMENT: &str = "https://app.example/client.json";

/// The example that has a text: arguments of the command, and why it refuses, which is empty where it does not.
type Row = (&'static str, &'static [&'static str], &'static str);

const READ: [&str; 2] = ["--scopes", "files:read"];

const ROWS: [Row; 40] = [
    ("includes = [\"files:read\"]", &[READ[0], READ[1], "--call", "read_a"], ""),
    ("includes = [\"files:read\"]", &[READ[0], READ[1], "--call", "write_a"], "lacking_scope"),
    ("includes = [\"files:read\"]", &["--scopes", "files:write", "--call", "read_a"], ""),
    (
        "includes = [\"files:read\"]",
        &[READ[0], READ[1], "--method", "resources/read", "--name", "file:///public/a"],
        "",
    ),
    (
        "includes = [\"files:read\"]",
        &[READ[0], READ[1], "--method", "resources/read", "--name", "file:///secret"],
        "unopened",
    ),
    ("groups = [\"developers\"]", &["--user", "eve", "--method", "tools/list"], ""),
    ("groups = [\"developers\"]", &["--user", "eve", "--call", "a"], "unopened"),
    ("groups = [\"developers\"]", &["--user", "grace", "--call", "a"], ""),
    ("groups = [\"developers\"]", &["--user", "root", "--call", "admin_a"], ""),
    ("groups = [\"developers\"]", &["--user", "root", "--call", "a"], "unopened"),
    ("allow_groups = [\"staff\"]", &["--user", "eve", READ[0], READ[1], "--call", "read_a"], "not_admitted"),
    ("allow_groups = [\"staff\"]", &[READ[0], READ[1], "--call", "read_a"], ""),
    ("allow_groups = [\"staff\"]", &["--scopes", "files:read files:write", "--call", "write_a"], "unopened"),
    ("allow_groups = [\"staff\"]", &["--user", "grace", "--scopes", "files:read files:write", "--call", "write_a"], ""),
    ("interns only read", &["--user", "ivan", "--call", "write_a"], "denied"),
    ("interns only read", &["--user", "ivan", "--call", "read_a"], ""),
    ("interns only read", &["--call", "write_a"], ""),
    ("client_kinds = [\"metadata_document\"]", &["--client", DOCUMENT, "--call", "search"], ""),
    ("client_kinds = [\"metadata_document\"]", &["--client", DOCUMENT, "--call", "write"], "no_allow_rule"),
    ("payments above 100", &["--call", "write_file", "--args", r#"{"path": "/etc/hosts"}"#], "no_allow_rule"),
    ("payments above 100", &["--call", "write_file", "--args", r#"{"path": "//etc/hosts"}"#], "no_allow_rule"),
    ("payments above 100", &["--call", "write_file", "--args", r#"{"path": "/srv/drafts/../../etc/hosts"}"#], "denied"),
    ("payments above 100", &["--call", "write_file", "--args", r#"{"path": "/srv/drafts/a"}"#], ""),
    ("payments above 100", &["--call", "pay", "--args", r#"{"amount": 200, "currency": "EUR"}"#], "denied"),
    ("payments above 100", &["--call", "pay", "--args", r#"{"amount": 100, "currency": "EUR"}"#], ""),
    ("payments above 100", &["--call", "pay", "--args", r#"{"amount": 200, "currency": "GBP"}"#], ""),
    ("* /admin/**", &["--method", "DELETE", "--path", "/a"], "denied"),
    ("* /admin/**", &["--method", "GET", "--path", "/Admin/a"], "denied"),
    ("* /admin/**", &["--method", "GET", "--path", "/admin"], "denied"),
    ("* /admin/**", &["--method", "GET", "--path", "/administration"], ""),
    ("* /admin/**", &["--method", "GET", "--path", "/a"], ""),
    ("security_schemes", &["--scopes", "mcp:tools:read", "--call", "a"], "lacking_scope"),
    ("name = \"searches\"", &["--call", "search_a"], ""),
    ("anonymous = ", &["--anonymous", "--call", "search_a"], ""),
    ("anonymous = ", &["--anonymous", "--method", "ping"], ""),
    ("anonymous = ", &["--anonymous", "--call", "write"], "no_token"),
    ("anonymous = ", &["--scopes", "docs:write", "--call", "write"], ""),
    ("anonymous = ", &["--scopes", "docs:write", "--method", "prompts/list"], "unopened"),
    // Whether a tool is held is known only with a store.
    ("pin = \"hold\"", &["--call", "a"], ""),
    ("pin = \"hold\"", &["--method", "ping"], ""),
];

#[test]
fn every_example_of_the_page_about_rules_does_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.md")).unwrap();
    let examples: Vec<_> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    for example in &examples {
        assert!(ROWS.iter().any(|(part, ..)| example.contains(part)), "no row is about this example:\n{example}");
    }
    for (part, arguments, why) in ROWS {
        let example = examples.iter().find(|example| example.contains(part)).unwrap_or_else(|| panic!("{part}"));
        let file = folder.path().join("gateway.toml");
        let head = "public_url = \"https://mcp.example.com\"\ndata_dir = \"/nowhere\"\n[[upstream]]\n\
                    name = \"files\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/mcp\"\n";
        let has_scopes = example.contains("scope");
        let scope = if has_scopes { "" } else { "[[upstream.scope]]\nname = \"all\"\ntitle = \"All\"\n" };
        std::fs::write(&file, format!("{head}{example}{scope}{GROUPS}")).unwrap();
        let is_given = |option: &str| arguments.contains(&option) || arguments.contains(&"--anonymous");
        let mut words = vec!["policy", "test", "--json", "--config", file.to_str().unwrap()];
        for (option, value) in [("--user", "ada"), ("--client", "c"), ("--scopes", "all")] {
            if !is_given(option) && (option != "--scopes" || !has_scopes) {
                words.extend([option, value]);
            }
        }
        let output = run(&[&words, arguments].concat());
        let answer: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        assert_eq!(answer["why"].as_str().unwrap_or_default(), why, "{part} {arguments:?}: {answer}");
    }
}
