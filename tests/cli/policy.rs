//! `mcpgate policy test`: it says what the gateway would decide, without one.

use serde_json::{Value, json};

use crate::{Data, run, text};

const UPSTREAMS: &str = r#"
[[upstream]]
name = "files"
path = "/mcp"
url = "http://127.0.0.1:1/mcp"
default_scopes = ["read"]
required_scopes = ["read"]
anonymous = ["tools/call:format", "tools/call:write"]
[[upstream.scope]]
name = "read"
title = "Read"
allow = ["tools/list", "tools/call@readOnly", "prompts/get:a", "resources/read:file:///public/**"]
[[upstream.scope]]
name = "write"
title = "Write"
allow = ["tools/call"]
groups = ["staff"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:format"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:write"]
arguments = [{ pointer = "/path", pattern = "/etc/*" }]
reason = "system files stay as they are"
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:erase"]
client_kinds = ["registered", "metadata_document"]
[[upstream.limit]]
name = "writes"
operations = ["tools/call:write", "tools/call:format"]
per_minute = 5
per_day = 100
[[upstream.limit]]
name = "all"
per = "upstream"
at_once = 9
[[upstream]]
name = "reports"
path = "/api"
kind = "http"
url = "http://127.0.0.1:1/"
scopes = "read_only"
allow_users = ["ada", "grace"]
[[group]]
name = "staff"
members = ["ada"]
"#;

/// A configuration with a folder for the data.
struct Files {
    folder: tempfile::TempDir,
    config: String,
}

impl Files {
    fn new(data: &std::path::Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let head = format!("public_url = \"https://mcp.example.com\"\ndata_dir = {data:?}\n");
        std::fs::write(&file, format!("{head}{UPSTREAMS}")).unwrap();
        Self { config: file.to_str().unwrap().to_owned(), folder }
    }

    fn without_store() -> Self {
        Self::new(std::path::Path::new("/nowhere"))
    }

    fn ask(&self, arguments: &[&str]) -> Value {
        self.ask_as(&["--client", "c"], arguments)
    }

    fn ask_as(&self, who: &[&str], arguments: &[&str]) -> Value {
        let output = run(&[&["policy", "test", "--json", "--config", &self.config], who, arguments].concat());
        assert!(output.status.success() && self.folder.path().exists(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

const FILES: [&str; 2] = ["--upstream", "files"];

#[test]
fn what_decides_is_told() {
    let files = Files::without_store();
    for (user, arguments, why) in [
        ("ada", &["--call", "read_file", "--annotations", "readOnly"][..], None),
        ("ada", &["--call", "read_file"], Some("lacking_scope")),
        ("ada", &["--scopes", "read write", "--call", "read_file"], None),
        ("eve", &["--scopes", "read write", "--call", "read_file"], Some("unopened or lacking")),
        ("ada", &["--scopes", "write", "--call", "read_file"], Some("lacking_scope")),
        ("ada", &["--scopes", "read write", "--call", "format"], Some("denied")),
        ("ada", &["--scopes", "read write", "--call", "write", "--args", r#"{"path":"/etc/passwd"}"#], Some("denied")),
        ("ada", &["--scopes", "read write", "--call", "write", "--args", r#"{"path":"/home"}"#], None),
        ("ada", &["--method", "tools/list"], None),
        ("ada", &["--method", "ping"], None),
        ("ada", &["--method", "prompts/get", "--name", "a"], None),
        ("ada", &["--method", "completion/complete", "--name", "a"], Some("unopened")),
        ("ada", &["--method", "prompts/get", "--name", "b"], Some("unopened")),
        ("ada", &["--method", "resources/read", "--name", "file:///public/a"], None),
        ("ada", &["--method", "resources/read", "--name", "file:///private"], Some("unopened")),
    ] {
        let answer = files.ask(&[&FILES, &["--user", user], arguments].concat());
        assert_eq!(answer["decision"], if why.is_some() { "refused" } else { "allowed" }, "{arguments:?}: {answer}");
        let told = answer["why"].as_str();
        // Whether a scope is named that the account may not hold is for other tests.
        assert!(told == why || (user == "eve" && told.is_some()), "{arguments:?}: {answer}");
    }
}

#[test]
fn the_limits_that_count_a_request_are_told() {
    let files = Files::without_store();
    for (arguments, limits) in [
        (&["--call", "write"][..], json!(["writes", "all"])),
        (&["--call", "read_file"], json!(["all"])),
        (&["--call", "format"], json!([])),
        (&["--method", "ping"], json!([])),
    ] {
        assert_eq!(
            files.ask(&[&FILES[..], &["--user", "ada", "--scopes", "read write"], arguments].concat())["limits"],
            limits,
            "{arguments:?}"
        );
    }
    let words = ["policy", "test", "--config", &files.config, "--user", "ada", "--client", "c"];
    let call = ["--scopes", "read write", "--call", "write"];
    let output = run(&[&words[..], &FILES, &call].concat());
    let told = text(&output.stdout);
    let expected =
        "limit writes: 5 a minute, 100 a day for each user\nlimit all: 9 at the same time for all users together\n";
    assert!(told.ends_with(expected), "{told}");
}

#[test]
fn a_request_without_a_token_is_judged_too() {
    let files = Files::without_store();
    let ask = |upstream: &str, arguments: &[&str]| files.ask_as(&["--anonymous", "--upstream", upstream], arguments);
    for (call, decision, rule) in [
        (&["--call", "write"][..], "allowed", Value::Null),
        (&["--call", "write", "--args", r#"{"path":"/etc/x"}"#], "refused", json!(1)),
        (&["--call", "format"], "refused", json!(0)),
        (&["--call", "read"], "refused", Value::Null),
        (&["--method", "ping"], "allowed", Value::Null),
    ] {
        let answer = ask("files", call);
        assert_eq!((&answer["decision"], &answer["rule"]), (&json!(decision), &rule), "{call:?}: {answer}");
        assert_eq!(answer["why"].as_str(), Some("no_token").filter(|_| decision == "refused"), "{call:?}: {answer}");
    }
    assert_eq!(ask("reports", &["--method", "GET"])["why"], "no_token");
    let both = run(&["policy", "test", "--config", &files.config, "--anonymous", "--user", "ada", "--method", "ping"]);
    assert_eq!(both.status.code(), Some(64), "{}", text(&both.stderr));
    let neither = run(&["policy", "test", "--config", &files.config, "--upstream", "files", "--method", "ping"]);
    assert!(neither.status.code() == Some(64) && text(&neither.stderr).contains("--user"), "{}", text(&neither.stderr));
}

#[test]
fn the_rule_and_the_scopes_that_would_help_are_told() {
    let files = Files::without_store();
    let ask = |user: &str, scopes: &str, more: &[&str]| {
        files.ask(&[&FILES[..], &["--user", user, "--scopes", scopes, "--call"], more].concat())
    };
    let answer = ask("ada", "read write", &["write", "--args", r#"{"path":"/etc/x"}"#]);
    assert_eq!((&answer["rule"], &answer["only_arguments"]), (&json!(1), &json!(true)));
    assert_eq!(answer["reason"], "system files stay as they are");
    let answer = ask("ada", "read write", &["format"]);
    assert_eq!((&answer["rule"], &answer["reason"]), (&json!(0), &Value::Null));
    assert_eq!((&answer["would_help"], &answer["groups"]), (&json!([]), &json!(["staff"])));
    let answer = ask("ada", "read", &["x"]);
    assert_eq!((&answer["would_help"], &answer["lacking"]), (&json!(["write"]), &json!([])));
    let answer = ask("ada", "write", &["x"]);
    assert_eq!((&answer["would_help"], &answer["lacking"]), (&json!([]), &json!(["read"])));
    let answer = ask("eve", "read write", &["x"]);
    assert_eq!((&answer["scopes"], &answer["may_not_hold"]), (&json!(["read"]), &json!(["write"])));
    assert_eq!(answer["would_help"], json!([]));
}

#[test]
fn http_requests_are_judged_by_method_and_path() {
    let files = Files::without_store();
    for (user, method, why) in
        [("ada", "GET", json!(null)), ("ada", "POST", json!("unopened")), ("eve", "GET", json!("not_admitted"))]
    {
        let arguments = ["--upstream", "reports", "--user", user, "--method", method, "--path", "/x"];
        assert_eq!(files.ask(&arguments)["why"], why, "{user} {method}");
    }
    for (method, path, why) in [
        ("GET", "/x/../admin/x", "ambiguous_path"),
        ("GET", "/x//y", "ambiguous_path"),
        ("GET", "/;x/admin", "ambiguous_path"),
        ("TRACE", "/x", "method_not_allowed"),
        ("CONNECT", "/x", "method_not_allowed"),
    ] {
        let request = ["--upstream", "reports", "--method", method, "--path", path];
        assert_eq!(files.ask(&[&request[..], &["--user", "ada"]].concat())["why"], why, "{method} {path}");
        assert_eq!(files.ask_as(&["--anonymous"], &request)["why"], why, "{method} {path}");
    }
}

#[test]
fn the_groups_of_the_store_count_where_there_is_one() {
    let data = Data::new();
    let files = Files::new(data.folder.path());
    let arguments = [&FILES[..], &["--user", "grace", "--scopes", "read write", "--call", "x"]].concat();
    assert_eq!(files.ask(&arguments)["why"], "no_account");
    data.json(&["user", "add", "grace"]);
    assert_eq!(files.ask(&arguments)["decision"], "refused");
    data.json(&["group", "add", "staff", "grace"]);
    let answer = files.ask(&arguments);
    assert_eq!((&answer["decision"], &answer["groups"]), (&json!("allowed"), &json!(["staff"])));
}

#[test]
fn the_kind_of_the_client_counts_as_far_as_it_is_known() {
    let data = Data::new();
    let files = Files::new(data.folder.path());
    let added = data.json(&["client", "add", "--name", "Reports", "--redirect-uri", "https://app.example/cb"]);
    let own = added["client_id"].as_str().unwrap();
    for (client, kind, decision) in [
        (own, json!("manual"), "allowed"),
        ("https://app.example/client.json", json!("metadata_document"), "refused"),
        // A deny rule means what could be.
        ("mcp_client_unknown", Value::Null, "refused"),
    ] {
        let head = ["policy", "test", "--json", "--config", &files.config, "--user", "ada", "--client", client];
        let output = run(&[&head, &FILES[..], &["--scopes", "read write", "--call", "erase"]].concat());
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&answer["client_kind"], &answer["decision"]), (&kind, &json!(decision)), "{client}");
    }
}

#[test]
fn people_get_words_and_mistakes_are_refused() {
    let files = Files::without_store();
    let ask = |arguments: &[&str]| {
        let head = ["policy", "test", "--client", "c", "--user", "ada", "--config", &files.config];
        run(&[&head, arguments].concat())
    };
    let said =
        ask(&[&FILES[..], &["--scopes", "read write", "--call", "write", "--args", r#"{"path":"/etc/x"}"#]].concat());
    let expected = "refused: a deny rule matches\nrule: 1 (system files stay as they are)\nother arguments may pass\n\
                    scopes in force: read write\ngroups: staff\n";
    assert_eq!(text(&said.stdout), expected);
    for (arguments, fault) in [
        (&["--call", "x"][..], "--upstream: name one of these: "),
        (&["--upstream", "files", "--call", "x", "--scopes", "reed"], "--scopes: the upstream has these: read, write"),
        (&["--upstream", "files", "--call", "x", "--args", "{"], "--args: this is not JSON"),
        (&["--upstream", "files", "--call", "x", "--annotations", "mild"], "--annotations: \"mild\""),
        (&["--upstream", "files", "--method", "GET", "--path", "/x"], "--path: the upstream has kind mcp"),
        (&["--upstream", "reports", "--call", "x"], "the upstream has kind http"),
        (&["--upstream", "reports", "--method", "GET", "--path", "admin/x"], "--path: write a path"),
        (&["--upstream", "reports", "--method", "GET", "--path", "/x?y"], "--path: write a path"),
    ] {
        let output = ask(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(text(&output.stderr).contains(fault), "{arguments:?}: {}", text(&output.stderr));
    }
}
