//! SC: what the rules of an upstream refuse, whatever scopes the token has. For every refusal, the tests also check
//! that the upstream received nothing.

use std::sync::Arc;

use mcpgate::config::UpstreamKind;
use mcpgate::policy::Rules;
use serde_json::{Value, json};

use super::client::{RawRequest, Reply};
use super::upstream::{answer, send};
use super::world::{API, MCP, World, upstream};

/// The compiled scopes and rules of an upstream with these keys and tables.
pub(crate) fn rules(tables: &str) -> Option<Arc<Rules>> {
    upstream(tables).rules
}

/// A world whose upstreams of a kind have these scopes and rules.
pub(super) async fn ruled(kind: UpstreamKind, tables: &str) -> World {
    World::with(|config| {
        for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.kind == kind) {
            upstream.rules = rules(tables);
        }
    })
    .await
}

pub(super) fn token(world: &World, resource: &str, scopes: &str) -> String {
    let made = world.make(resource, scopes);
    world.cache.insert(&made.record);
    made.text
}

pub(super) fn request(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 9, "method": method, "params": params}).to_string()
}

fn call(name: &str, arguments: &Value) -> String {
    request("tools/call", &json!({"name": name, "arguments": arguments}))
}

pub(super) fn assert_denied(reply: &Reply, code: i32, text: &str) {
    reply.assert_rpc(200, code, json!(9));
    assert_eq!(reply.json()["error"]["message"], text);
    assert_eq!(reply.field("www-authenticate"), None, "a login would not help");
}

pub(super) const HIDING: &str = r#"
[[upstream.scope]]
name = "use"
title = "Use it"
allow = ["*"]
[[upstream.scope]]
name = "list"
title = "List"
allow = ["tools/list"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:delete_*", "prompts/get:secret", "resources/read:file:///private/**", "logging/setLevel"]
reason = "not from outside"
"#;

#[tokio::test]
async fn sc_11_what_a_deny_rule_names_is_answered_as_if_it_did_not_exist() {
    let world = ruled(UpstreamKind::Mcp, HIDING).await;
    let (all, list) = (token(&world, MCP, "use"), token(&world, MCP, "list"));
    let read = |uri: &str| request("resources/read", &json!({"uri": uri}));
    for token in [&all, &list] {
        let ask = async |body: &str| world.ask(&RawRequest::post(body).bearer(token)).await;
        assert_denied(&ask(&call("delete_all", &json!({}))).await, -32602, "Unknown tool: delete_all");
        let prompt = request("prompts/get", &json!({"name": "secret"}));
        assert_denied(&ask(&prompt).await, -32602, "Unknown prompt: secret");
        for uri in [
            "file:///private/a",
            "file:///private/",
            "file:///private",
            "file:///%70rivate/a",
            "FILE:///Private/a",
            "file:///private;v=1/a",
            "file:///public/../private/a",
            "file:////private/a",
            "file:///private//a",
            "file:///;/private/a",
            "file://localhost/private/a",
            "file:/private/a",
            "file:///private%20/a",
            "/private/a",
        ] {
            assert_denied(&ask(&read(uri)).await, -32002, &format!("Resource not found: {uri}"));
        }
        let level = request("logging/setLevel", &json!({"level": "debug"}));
        assert_denied(&ask(&level).await, -32601, "a rule of this server does not allow this: not from outside");
    }
    // A name that only a lenient server finds could be a hidden one, and is told no more of.
    for params in [json!(["delete_all"]), json!({"name": null}), json!({})] {
        for (method, code, text) in [
            ("tools/call", -32602, "Unknown tool"),
            ("prompts/get", -32602, "Unknown prompt"),
            ("resources/read", -32002, "Resource not found"),
            ("completion/complete", -32602, "Unknown reference"),
        ] {
            let body = request(method, &params);
            assert_denied(&world.ask(&RawRequest::post(body).bearer(&all)).await, code, text);
        }
    }
    let modern = |body: &str| {
        RawRequest::modern(body)
            .bearer(&all)
            .field("Mcp-Method", "resources/read")
            .field("Mcp-Name", "file:///private/a")
    };
    let reply = world.ask(&modern(&read("file:///private/a"))).await;
    assert_denied(&reply, -32602, "Resource not found: file:///private/a");
    world.mcp.assert_nothing();
    for body in [call("add", &json!({})), read("file:///public/a"), request("ping", &json!({}))] {
        assert_eq!(world.ask(&RawRequest::post(&body).bearer(&all)).await.status, 200, "{body}");
        assert_eq!(world.mcp.last().body, body.as_bytes());
    }
    // What a scope would open is still answered with that scope.
    let reply = world.ask(&RawRequest::post(call("add", &json!({}))).bearer(&list)).await;
    assert_eq!((reply.status, reply.field("www-authenticate").is_some()), (403, true));
}

#[tokio::test]
async fn sc_11_a_refused_notification_has_no_answer_that_tells_more() {
    let world = ruled(UpstreamKind::Mcp, HIDING).await;
    let token = token(&world, MCP, "use");
    let notice = json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "delete_all"}});
    for body in [notice.clone(), json!([notice])] {
        let reply = world.ask(&RawRequest::post(body.to_string()).bearer(&token)).await;
        assert_eq!((reply.status, reply.field("www-authenticate")), (403, None), "{reply:?}");
        assert_eq!(reply.json()["error"]["message"], "Unknown tool: delete_all");
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn sc_11_completions_do_not_tell_of_what_is_hidden() {
    let world = ruled(UpstreamKind::Mcp, HIDING).await;
    let (all, list) = (token(&world, MCP, "use"), token(&world, MCP, "list"));
    let complete = |reference: &Value| {
        request("completion/complete", &json!({"ref": reference, "argument": {"name": "a", "value": "b"}}))
    };
    for (hidden, missing, code, text) in [
        (
            json!({"type": "ref/prompt", "name": "secret"}),
            json!({"type": "ref/prompt", "name": "other"}),
            -32602,
            "Unknown prompt: secret",
        ),
        (
            json!({"type": "ref/resource", "uri": "file:///private/{a}"}),
            json!({"type": "ref/resource", "uri": "file:///other/{a}"}),
            -32002,
            "Resource not found: file:///private/{a}",
        ),
    ] {
        assert_denied(&world.ask(&RawRequest::post(complete(&hidden)).bearer(&all)).await, code, text);
        // To a caller who may complete nothing, both are alike.
        let [hidden, missing] = [hidden, missing].map(|reference| RawRequest::post(complete(&reference)).bearer(&list));
        let (hidden, missing) = (world.ask(&hidden).await.timeless(), world.ask(&missing).await.timeless());
        assert_eq!((hidden.status, &hidden.fields, hidden.text()), (403, &missing.fields, missing.text()));
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn sc_10_what_does_not_exist_is_told_like_what_is_hidden() {
    let world = ruled(UpstreamKind::Mcp, HIDING).await;
    let token = token(&world, MCP, "use");
    let told = async |body: &str| {
        let reply = world.ask(&RawRequest::post(body).bearer(&token)).await;
        assert_eq!(reply.status, 200, "{body}: {reply:?}");
        let text = reply.text().to_owned();
        let mut fields = reply.timeless().fields;
        fields.retain(|(name, _)| name != "content-length");
        fields.sort();
        (fields, text)
    };
    let of = |method: &str, member: &str, name: &str| request(method, &json!({member: name}));
    let complete = |_: &str, _: &str, name: &str| {
        request("completion/complete", &json!({"ref": {"type": "ref/prompt", "name": name}}))
    };
    let name_of: &dyn Fn(&str, &str, &str) -> String = &of;
    for (make, method, member, hidden, missing, said) in [
        (name_of, "tools/call", "name", "delete_all", "delete-al", &["Unknown tool: X", "Tool X not found"][..]),
        (
            name_of,
            "prompts/get",
            "name",
            "secret",
            "secreT",
            &["Unknown prompt: X", "Prompt X not found", "Prompt 'X' not found"],
        ),
        (
            name_of,
            "resources/read",
            "uri",
            "file:///private/a",
            "file:///privatE-a",
            &["Resource X not found", "Unknown resource: X", "Resource not found"],
        ),
        (&complete, "", "", "secret", "secreT", &["Prompt X not found", "Unknown prompt: X"]),
    ] {
        let expected = told(&make(method, member, hidden)).await;
        for text in said {
            let message = text.replace('X', missing);
            for code in [-32602, -32002, 0] {
                let error = json!({"code": code, "message": message, "data": {"uri": missing}});
                let error = json!({"jsonrpc": "2.0", "id": 9, "error": error}).to_string();
                for status in ["200 OK", "404 Not Found"] {
                    world.mcp.then([answer(&format!("{status}\r\nContent-Type: application/json"), &error)]);
                    let (fields, body) = told(&make(method, member, missing)).await;
                    assert_eq!(fields, expected.0, "{error}");
                    assert_eq!(body.replace(missing, hidden), expected.1, "{error}");
                }
            }
        }
    }
}

const ARGUMENTS: &str = r#"
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:write"]
arguments = [{ pointer = "/path", pattern = "/etc/*" }]
reason = "system files stay as they are"
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:pay"]
arguments = [{ pointer = "/amount", min = 100.5 }, { pointer = "/to/0", one_of = ["mallory", 7, true] }]
[[upstream.rule]]
effect = "allow"
operations = ["tools/call:write", "tools/call:pay", "tools/list"]
[[upstream.rule]]
effect = "allow"
operations = ["tools/call:move"]
arguments = [{ pointer = "/dry_run", equals = true }, { pointer = "/force", absent = true }]
"#;

#[tokio::test]
async fn sc_12_rules_over_arguments_judge_the_arguments_that_the_upstream_reads() {
    let world = ruled(UpstreamKind::Mcp, ARGUMENTS).await;
    let token = token(&world, MCP, "anything");
    let ask = async |body: &str| world.ask(&RawRequest::post(body).bearer(&token)).await;
    let why = "a rule of this server does not allow these arguments: system files stay as they are";
    let etc = call("write", &json!({"path": "/etc/passwd"}));
    let surrogate = call("write", &json!({"path": "X"})).replace("\"X\"", r#""\ud800""#);
    for body in [etc.clone(), etc.replace("/etc", "\\u002fetc"), etc.replace("path", "\\u0070ath"), surrogate] {
        assert_denied(&ask(&body).await, -32602, why);
    }
    let large = call("write", &json!({"path": "/tmp", "content": "x".repeat(300 << 10)}));
    assert_denied(&ask(&large).await, -32602, why);
    let twice = etc.replace(r#""path":"#, r#""path":"/tmp","path":"#);
    ask(&twice).await.assert_rpc(400, -32600, json!(9));
    let plain = "a rule of this server does not allow these arguments";
    for to in [json!("mallory"), json!(7.0), json!(true)] {
        assert_denied(&ask(&call("pay", &json!({"amount": 101, "to": [to]}))).await, -32602, plain);
    }
    let none = "no rule of this server allows these arguments";
    for arguments in [json!({}), json!({"dry_run": "true"}), json!({"dry_run": true, "force": null})] {
        assert_denied(&ask(&call("move", &arguments)).await, -32602, none);
    }
    world.mcp.assert_nothing();
    for body in [
        call("write", &json!({"path": "/tmp/x"})),
        call("write", &json!({"nested": {"path": "/etc/passwd"}})),
        call("pay", &json!({"amount": 100, "to": ["mallory"]})),
        call("pay", &json!({"amount": 101, "to": ["ada"]})),
        call("move", &json!({"dry_run": true})),
        request("tools/list", &json!({})),
    ] {
        assert_eq!(ask(&body).await.status, 200, "{body}");
        assert_eq!(world.mcp.last().body, body.as_bytes());
    }
}

#[tokio::test]
async fn sc_13_an_allow_rule_narrows_and_never_opens() {
    let tables = r#"
[[upstream.scope]]
name = "read"
title = "Read"
allow = ["tools/list", "tools/call:read_*"]
[[upstream.scope]]
name = "write"
title = "Write"
allow = ["tools/call:write_*"]
[[upstream.rule]]
effect = "allow"
operations = ["tools/list", "tools/call:*_file"]
users = ["ada"]
[[upstream.rule]]
effect = "allow"
operations = ["tools/call:read_mail"]
users = ["bob"]
"#;
    let world = ruled(UpstreamKind::Mcp, tables).await;
    let token = token(&world, MCP, "read");
    let ask = async |body: &str| world.ask(&RawRequest::post(body).bearer(&token)).await;
    assert_denied(&ask(&call("read_mail", &json!({}))).await, -32602, "Unknown tool: read_mail");
    let reply = ask(&call("write_file", &json!({}))).await;
    assert_eq!(reply.status, 403, "a scope would help");
    world.mcp.assert_nothing();
    assert_eq!(ask(&call("read_file", &json!({}))).await.status, 200);
}

#[tokio::test]
async fn sc_09_unknown_methods_pass_with_the_scope_for_them() {
    let tables = "scopes = \"mcp\"\nmanage = [\"x/own\"]\nunknown_methods = \"mcp:server:manage\"\n";
    let world = ruled(UpstreamKind::Mcp, tables).await;
    let (manage, read) = (token(&world, MCP, "mcp:server:manage"), token(&world, MCP, "mcp:tools:read"));
    for method in ["x/own", "x/unknown"] {
        let body = request(method, &json!({}));
        let reply = world.ask(&RawRequest::post(&body).bearer(&read)).await;
        assert_eq!(reply.status, 403, "{method}: {reply:?}");
        let challenge = reply.field("www-authenticate").unwrap();
        assert!(challenge.contains("scope=\"mcp:server:manage mcp:tools:read\""), "{method}: {challenge}");
        assert_eq!(world.ask(&RawRequest::post(&body).bearer(&manage)).await.status, 200, "{method}");
    }
    let reply = world.ask(&RawRequest::post(request("tools/list", &json!({}))).bearer(&manage)).await;
    assert_eq!(reply.status, 403, "a method of MCP needs its own scope");
}

#[tokio::test]
async fn sc_09_the_read_only_preset_opens_get_and_head() {
    let world = ruled(UpstreamKind::Http, "kind = \"http\"\nscopes = \"read_only\"\n").await;
    let token = token(&world, API, "read_only");
    let ask = |method: &str| RawRequest::new(method, "/api/x").bearer(&token);
    for (method, status) in [("GET", 200), ("POST", 403), ("PUT", 403), ("DELETE", 403), ("PATCH", 403)] {
        assert_eq!(world.ask(&ask(method)).await.status, status, "{method}");
    }
    world.api.then([send("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")]);
    let mut client = world.connect().await;
    client.send(&ask("HEAD").bytes()).await;
    assert_eq!(client.head().await.status, 200);
}

#[tokio::test]
async fn sc_11_sc_13_rules_are_about_callers() {
    let tables = r#"
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:a"]
clients = ["other"]
client_kinds = ["registered"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:b"]
users = ["ada", "eve"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:c"]
users = ["bob"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:d"]
client_kinds = ["metadata_document", "manual"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:e"]
client_kinds = ["registered"]
[[upstream.rule]]
effect = "deny"
annotations = ["destructive"]
groups = ["interns"]
"#;
    let world = ruled(UpstreamKind::Mcp, tables).await;
    let (own, other) = (token(&world, MCP, "use"), world.token_of(MCP, super::world::ADA, "other"));
    for (token, name, passes) in [
        (&own, "a", true),
        (&other, "a", false),
        (&own, "b", false),
        (&own, "c", true),
        (&own, "d", true),
        (&own, "e", false),
    ] {
        let reply = world.ask(&RawRequest::post(call(name, &json!({}))).bearer(token)).await;
        assert_eq!(reply.json()["error"].is_null(), passes, "{name}: {reply:?}");
    }
}

#[tokio::test]
async fn sc_11_http_requests_are_denied_however_their_path_is_written() {
    let tables = r#"
kind = "http"
[[upstream.rule]]
effect = "deny"
operations = ["DELETE", "* /admin/**", "GET /reports", "* /", "* /own/"]
reason = "ask \"ops\""
"#;
    let world = ruled(UpstreamKind::Http, tables).await;
    let token = token(&world, API, "use");
    let ask = |method: &str, path: &str| RawRequest::new(method, path).bearer(&token);
    for (method, path) in [
        ("DELETE", "/api/x"),
        ("delete", "/api/x"),
        ("GET", "/api/admin/users"),
        ("GET", "/api/admin/"),
        ("GET", "/api/admin"),
        ("GET", "/api/Admin;x?y"),
        ("GET", "/api/%61dmin/users"),
        ("GET", "/api/Admin/users"),
        ("GET", "/api/admin;x=1/users"),
        ("GET", "/api/reports/"),
        ("GET", "/api/reports/;x"),
        ("GET", "/api/reports%20"),
        ("GET", "/api/reports."),
        ("GET", "/api/%2561dmin/users"),
        ("GET", "/api/%ffadmin/users"),
        ("GET", "/api/;x"),
        ("GET", "/api/own"),
    ] {
        let reply = world.ask(&ask(method, path)).await;
        assert_eq!((reply.status, reply.field("www-authenticate")), (403, None), "{method} {path}: {reply:?}");
        assert_eq!(reply.json()["error"], "access_denied");
        let text = "a rule of this server does not allow this: ask \"ops\"";
        assert_eq!(reply.json()["error_description"], text);
    }
    let mut client = world.connect().await;
    client.send(&ask("HEAD", "/api/reports").bytes()).await;
    assert_eq!(client.head().await.status, 403);
    world.api.assert_nothing();
    for (method, path) in [("GET", "/api/reports/1"), ("POST", "/api/reports"), ("GET", "/api/administration")] {
        assert_eq!(world.ask(&ask(method, path)).await.status, 200, "{method} {path}");
    }
}
