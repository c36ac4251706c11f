//! The ready-made scopes, operation by operation: what each opens, and what it shows in lists, in every revision and
//! for plain HTTP services. `docs/rules.md` has the same tables.

use std::sync::LazyLock;

use hyper::Method;
use serde_json::{Value, json};

use crate::shared::Shared;
use crate::support::client::{Client, Reply, request};
use crate::support::gateway;
use crate::support::upstream::Upstream;

const REVISIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// A request: its method; the parameters; the first revision and the last one that have it; the scope of `"mcp"` that
/// opens it, which is empty for the handshake; whether `"read_only"` does.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, bool);

const FIRST: &str = "2025-03-26";
const LAST: &str = "2026-07-28";
const ROWS: [Row; 22] = [
    ("initialize", r#"{"capabilities":{}}"#, FIRST, "2025-11-25", "", true),
    ("ping", "{}", FIRST, "2025-11-25", "", true),
    ("server/discover", "{}", LAST, LAST, "", true),
    ("tools/list", "{}", FIRST, LAST, "mcp:tools:read", true),
    ("tools/call", r#"{"name":"look"}"#, FIRST, LAST, "mcp:tools:execute", true),
    ("tools/call", r#"{"name":"change"}"#, FIRST, LAST, "mcp:tools:execute", false),
    ("tools/call", r#"{"name":"says_nothing"}"#, FIRST, LAST, "mcp:tools:execute", false),
    ("tasks/get", r#"{"taskId":"t"}"#, "2025-11-25", LAST, "mcp:tools:execute", true),
    ("tasks/list", "{}", "2025-11-25", "2025-11-25", "mcp:tools:execute", true),
    ("tasks/result", r#"{"taskId":"t"}"#, "2025-11-25", "2025-11-25", "mcp:tools:execute", true),
    ("tasks/cancel", r#"{"taskId":"t"}"#, "2025-11-25", LAST, "mcp:tools:execute", false),
    ("tasks/update", r#"{"taskId":"t"}"#, LAST, LAST, "mcp:tools:execute", false),
    ("resources/list", "{}", FIRST, LAST, "mcp:resources:read", true),
    ("resources/templates/list", "{}", FIRST, LAST, "mcp:resources:read", true),
    ("resources/read", r#"{"uri":"file:///a"}"#, FIRST, LAST, "mcp:resources:read", true),
    ("resources/subscribe", r#"{"uri":"file:///a"}"#, FIRST, "2025-11-25", "mcp:resources:read", true),
    ("resources/unsubscribe", r#"{"uri":"file:///a"}"#, FIRST, "2025-11-25", "mcp:resources:read", true),
    ("prompts/list", "{}", FIRST, LAST, "mcp:resources:read", true),
    ("prompts/get", r#"{"name":"greet"}"#, FIRST, LAST, "mcp:resources:read", true),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/prompt","name":"greet"},"argument":{"name":"n","value":"v"}}"#,
        FIRST,
        LAST,
        "mcp:resources:read",
        true,
    ),
    ("subscriptions/listen", "{}", LAST, LAST, "mcp:server:read", true),
    ("logging/setLevel", r#"{"level":"info"}"#, FIRST, "2025-11-25", "mcp:server:manage", false),
];
const SCOPES: [&str; 5] =
    ["mcp:tools:read", "mcp:tools:execute", "mcp:resources:read", "mcp:server:read", "mcp:server:manage"];

fn result(method: &str) -> Value {
    match method {
        "tools/list" => json!({"tools": [
            {"name": "look", "inputSchema": {}, "annotations": {"readOnlyHint": true}},
            {"name": "change", "inputSchema": {}, "annotations": {"readOnlyHint": false}},
            {"name": "says_nothing", "inputSchema": {}},
        ]}),
        "prompts/list" => json!({"prompts": [{"name": "greet"}]}),
        "resources/list" => json!({"resources": [{"name": "a", "uri": "file:///a"}]}),
        _ => json!({}),
    }
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let upstream = Upstream::with(result);
    let table = |(name, kind, scopes): (&str, &str, &str)| {
        let url = &upstream.url;
        let place = format!("name = \"{name}\"\npath = \"/{name}\"\nurl = \"{url}\"");
        format!("[[upstream]]\n{place}\nkind = \"{kind}\"\nscopes = \"{scopes}\"\n")
    };
    let upstreams = [
        ("all", "mcp", "mcp"),
        ("reading", "mcp", "read_only"),
        ("one", "mcp", "execute"),
        ("service", "http", "read_only"),
        ("services", "http", "execute"),
    ];
    Shared { home: gateway::shared(&upstreams.map(table).concat(), None), upstream }
});

fn token(upstream: &str, scope: &str) -> String {
    let words = ["token", "issue", "--user", "admin", "--upstream", upstream, "--scope", scope];
    SHARED.home.command(&words)["access_token"].as_str().expect("a token").to_owned()
}

async fn ask(client: &mut Client, path: &str, token: &str, revision: &str, row: &Row) -> Reply {
    let (method, params, ..) = row;
    let mut params: Value = serde_json::from_str(params).expect("JSON");
    let name = ["name", "uri", "taskId"].iter().find_map(|member| params[*member].as_str()).map(str::to_owned);
    let authorization = format!("Bearer {token}");
    let mut headers = vec![
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", revision),
    ];
    if revision == LAST {
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": revision});
        headers.push(("mcp-method", method));
        headers.extend(name.as_deref().map(|name| ("mcp-name", name)));
    } else if *method == "initialize" {
        params["protocolVersion"] = json!(revision);
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    client.send(request(Method::POST, path, &headers, body)).await
}

fn of(revision: &str) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |(_, _, first, last, ..)| *first <= revision && revision <= *last)
}

/// The gateway has to have seen the list: only then is anything known of the tools.
async fn gateway() -> Client {
    SHARED.home.wait_until_healthy().await;
    let mut client = Client::new(&SHARED.home);
    let listed = ROWS.iter().find(|row| row.0 == "tools/list").expect("a row");
    assert_eq!(ask(&mut client, "/reading", &token("reading", "read_only"), FIRST, listed).await.status, 200);
    client
}

#[tokio::test]
async fn each_scope_of_the_mcp_preset_opens_its_operations_and_no_other() {
    let mut client = gateway().await;
    let mut refused = std::collections::HashMap::new();
    for scope in SCOPES {
        let token = token("all", scope);
        for revision in REVISIONS {
            for row in of(revision) {
                let reply = ask(&mut client, "/all", &token, revision, row).await;
                let opening = row.4;
                if opening.is_empty() || opening == scope {
                    assert_eq!(reply.status, 200, "{scope} {revision} {row:?}: {reply:?}");
                    assert!(reply.json()["result"].is_object(), "{scope} {revision} {row:?}: {reply:?}");
                } else {
                    let mut both = [scope, opening];
                    both.sort_unstable();
                    let expected = format!(", scope=\"{}\"", both.join(" "));
                    let times = refused.entry((scope, opening)).and_modify(|times| *times += 1).or_insert(1);
                    // The fifth equal refusal within a minute has words instead.
                    if *times < 5 || reply.status == 403 {
                        let challenge = reply.header("www-authenticate");
                        assert_eq!(reply.status, 403, "{scope} {revision} {row:?}: {reply:?}");
                        assert!(challenge.ends_with(&expected), "{scope} {revision} {row:?}: {reply:?}");
                    } else {
                        assert_eq!(reply.json()["error"]["code"], -32003, "{scope} {revision} {row:?}: {reply:?}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn the_read_only_preset_opens_what_reads_and_the_execute_preset_everything() {
    let mut client = gateway().await;
    let (reading, one) = (token("reading", "read_only"), token("one", "one:execute"));
    for revision in REVISIONS {
        for row in of(revision) {
            let reply = ask(&mut client, "/one", &one, revision, row).await;
            assert!(reply.status == 200 && reply.json()["result"].is_object(), "{revision} {row:?}: {reply:?}");
            let reply = ask(&mut client, "/reading", &reading, revision, row).await;
            // No scope would help, so there is no challenge.
            assert_eq!(reply.status, 200, "{revision} {row:?}: {reply:?}");
            assert_eq!(reply.json()["result"].is_object(), row.5, "{revision} {row:?}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn lists_show_what_the_scopes_of_a_preset_open() {
    let mut client = gateway().await;
    let listed = ROWS.iter().find(|row| row.0 == "tools/list").expect("a row");
    let all = ["look", "change", "says_nothing"];
    for (path, upstream, scope, names) in [
        ("/all", "all", "mcp:tools:read", &[][..]),
        ("/all", "all", "mcp:tools:read mcp:tools:execute", &all),
        ("/reading", "reading", "read_only", &["look"]),
        ("/one", "one", "one:execute", &all),
    ] {
        let token = token(upstream, scope);
        for revision in REVISIONS {
            let reply = ask(&mut client, path, &token, revision, listed).await;
            let tools = reply.json()["result"]["tools"].as_array().cloned().unwrap_or_default();
            let seen: Vec<_> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
            assert_eq!(seen, names, "{scope} {revision}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn the_presets_of_a_plain_service_open_methods() {
    let mut client = gateway().await;
    let (reading, all) = (token("service", "read_only"), token("services", "services:execute"));
    for (method, reads) in [
        (Method::GET, true),
        (Method::HEAD, true),
        (Method::POST, false),
        (Method::PUT, false),
        (Method::PATCH, false),
        (Method::DELETE, false),
    ] {
        for (path, token, passes) in [("/service", &reading, reads), ("/services", &all, true)] {
            let authorization = format!("Bearer {token}");
            let headers = [("authorization", authorization.as_str()), ("content-type", "text/plain")];
            let reply = client.send(request(method.clone(), &format!("{path}/a"), &headers, "")).await;
            assert_eq!(reply.status, if passes { 200 } else { 403 }, "{method} {path}: {reply:?}");
            assert!(!reply.headers.contains_key("www-authenticate"), "{method} {path}: no scope would help");
        }
    }
}
