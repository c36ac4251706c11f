//! What `mcpgate check` and `mcpgate policy test` know of the tools of an upstream, with and without a server.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::gateway::{Gateway, Home, binary};
use crate::support::upstream::Upstream;

fn config(url: &str) -> String {
    format!(
        r#"
[[upstream]]
name = "files"
path = "/mcp"
url = "{url}"
pin = "hold"
anonymous = ["tools/call:search_*", "tools/call:seek"]
[[upstream.scope]]
name = "read"
title = "Read"
allow = [
    "tools/list",
    "tools/call@readOnly",
    "tools/call:search_*",
    "tools/call:serch_*",
    "prompts/get:greet",
    "prompts/get:great",
    "resources/read:file:///public/**",
    "resources/read:file:///pubic/**",
    "resources/read:db://main/*",
]
[[upstream.scope]]
name = "all"
title = "All"
allow = ["*"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:delete", "tools/call@destructive"]
client_kinds = ["registered"]
[[upstream.limit]]
name = "searches"
operations = ["tools/call:serch_*", "tools/call"]
per_minute = 10
"#
    )
}

fn tools(says: &Value) -> Value {
    json!([
        {"name": "search_web", "inputSchema": {}, "annotations": {"readOnlyHint": true, "openWorldHint": false}},
        {"name": "erase", "inputSchema": {}, "annotations": says},
    ])
}

/// A gateway that has listed the tools of its upstream, which a test changes.
struct World {
    gateway: Gateway,
    tools: Arc<Mutex<Value>>,
}

impl World {
    async fn start() -> Self {
        let tools = Arc::new(Mutex::new(tools(&json!({"destructiveHint": true}))));
        let served = Arc::clone(&tools);
        let upstream = Upstream::with(move |method| match method {
            "initialize" => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
                "serverInfo": {"name": "x", "version": "1"},
            }),
            "tools/list" => json!({"tools": *served.lock().unwrap()}),
            "prompts/list" => json!({"prompts": [{"name": "greet"}]}),
            "resources/list" => json!({"resources": [{"name": "a", "uri": "file:///public/a"}]}),
            "resources/templates/list" => {
                json!({"resourceTemplates": [{"name": "tables", "uriTemplate": "db://main/{table}"}]})
            }
            _ => json!({}),
        });
        let gateway = Home::new(&config(&upstream.url), None).start().await;
        let world = Self { gateway, tools };
        world.until(|tools| tools.len() == 2).await;
        world
    }

    async fn until(&self, is_so: impl Fn(&[Value]) -> bool) {
        let begun = Instant::now();
        while !is_so(self.gateway.home.command(&["tool", "list"]).as_array().unwrap()) {
            assert!(begun.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The warnings of `mcpgate check` on a file that names the data directory.
fn warnings(home: &Home) -> Vec<String> {
    let file = home.data().with_file_name("checked.toml");
    let text = std::fs::read_to_string(home.config()).unwrap();
    std::fs::write(&file, format!("data_dir = {:?}\n{text}", home.data())).unwrap();
    let output = Command::new(binary()).args(["check", "--up", "--json", "--config"]).arg(&file).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    said["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

fn judged(home: &Home, scope: &str, tool: &str, more: &[&str]) -> Value {
    let words = ["policy", "test", "--user", "admin", "--client", "c", "--scopes", scope, "--call", tool];
    home.command(&[&words, more].concat())
}

fn files(home: &Home) -> BTreeSet<PathBuf> {
    std::fs::read_dir(home.data()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn assert_warned(home: &Home) {
    let found = warnings(home);
    let expected = [
        ("upstream[0].anonymous[1]", "tools/call:seek", "tools"),
        ("upstream[0].scope[0].allow[3]", "tools/call:serch_*", "tools"),
        ("upstream[0].scope[0].allow[5]", "prompts/get:great", "prompts"),
        ("upstream[0].scope[0].allow[7]", "resources/read:file:///pubic/**", "resources"),
        ("upstream[0].rule[0].operations[0]", "tools/call:delete", "tools"),
        ("upstream[0].limit[0].operations[0]", "tools/call:serch_*", "tools"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (warning, (key, pattern, what)) in found.iter().zip(expected) {
        let (place, rest) = warning.split_once(" (line ").unwrap();
        assert_eq!(place, key, "{warning}");
        let said = format!("): \"{pattern}\" names none of the {what} that the upstream listed at 20");
        assert!(rest.contains(&said), "{warning}");
    }
}

#[tokio::test]
async fn check_warns_of_patterns_that_name_nothing_and_changes_nothing() {
    let nobody = Home::new(&config("http://127.0.0.1:1/mcp"), None);
    assert_eq!(warnings(&nobody), [""; 0]);
    assert!(!nobody.data().exists(), "without a store none is made");

    let mut world = World::start().await;
    assert_warned(&world.gateway.home);
    world.gateway.signal("TERM");
    assert_eq!(world.gateway.ended().await, Some(0));
    let before = files(&world.gateway.home);
    assert_warned(&world.gateway.home);
    assert_eq!(files(&world.gateway.home), before);
}

#[tokio::test]
async fn policy_test_judges_by_what_tools_have_said_of_themselves() {
    let mut world = World::start().await;
    let home = &world.gateway.home;
    let answer = judged(home, "read", "search_web", &[]);
    assert_eq!((&answer["decision"], &answer["tool"]["state"]), (&json!("allowed"), &json!("pinned")), "{answer}");
    assert_eq!((&answer["tool"]["read_only"], &answer["tool"]["open_world"]), (&json!(true), &json!(false)));
    assert!(answer["tool"]["since"].as_str().unwrap().starts_with("20"), "{answer}");
    let answer = judged(home, "all", "erase", &[]);
    assert_eq!((&answer["why"], &answer["tool"]["destructive"]), (&json!("denied"), &json!(true)), "{answer}");
    // The option is stronger than what is known.
    let answer = judged(home, "read", "erase", &["--annotations", "readOnly"]);
    assert_eq!((&answer["decision"], &answer["tool"]["read_only"]), (&json!("allowed"), &json!(false)), "{answer}");

    *world.tools.lock().unwrap() = tools(&json!({"readOnlyHint": true}));
    let restarted = world.gateway.kill().start().await;
    world.gateway = restarted;
    world.until(|tools| tools.iter().any(|tool| tool["state"] == "changed")).await;
    world.gateway.signal("TERM");
    assert_eq!(world.gateway.ended().await, Some(0));
    let home = &world.gateway.home;
    let answer = judged(home, "read", "erase", &["--annotations", "readOnly"]);
    assert_eq!((&answer["why"], &answer["tool"]["held"]), (&json!("held"), &json!(true)), "{answer}");
    // It counts as what it says now for new consents.
    let tool = &answer["tool"];
    assert_eq!((&tool["read_only"], &tool["before"]["destructive"]), (&json!(true), &json!(true)), "{tool}");
    assert!(tool["milder_since"].as_str().unwrap().starts_with("20"), "{tool}");
    let answer = judged(home, "read", "unheard_of", &["--annotations", "readOnly"]);
    assert_eq!((&answer["why"], &answer["tool"]["state"]), (&json!("held"), &Value::Null), "{answer}");
    home.command(&["tool", "approve", "erase"]);
    let answer = judged(home, "read", "erase", &[]);
    assert_eq!((&answer["decision"], &answer["tool"]["read_only"]), (&json!("allowed"), &json!(true)), "{answer}");
    assert_eq!((&answer["tool"]["milder_since"], &answer["tool"]["before"]), (&Value::Null, &Value::Null));
}
