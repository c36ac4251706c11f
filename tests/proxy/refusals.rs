//! Which refused operations are noted for the audit trail, and as what.

use mcpgate::config::{Config, PinMode, UpstreamKind};
use mcpgate::oauth::{AccessTokenRecord, Exclusions};
use mcpgate::policy::AccountList;
use mcpgate::proxy::{CountedRefusals, RefusedOperation};
use serde_json::{Value, json};

use super::client::RawRequest;
use super::rules::{request, ruled, rules, token};
use super::upstream::answer;
use super::world::{ADA, API, MCP, REQUEST_ID, World, client, upstream};

const TABLES: &str = r#"
[[upstream.scope]]
name = "use"
title = "Use"
allow = ["*"]
[[upstream.scope]]
name = "read"
title = "Read"
allow = ["tools/list", "tools/call:read_*"]
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:wipe", "prompts/get", "resources/read:file:///private/**"]
reason = "not from outside"
[[upstream.rule]]
effect = "deny"
operations = ["tools/call:pay"]
arguments = [{ pointer = "/amount", min = 101 }]
"#;

fn noted(world: &World) -> Vec<CountedRefusals> {
    world.table().refused_operations().take_all()
}

/// What was refused, how often, why, and which scopes it needs.
fn told(world: &World) -> Vec<(String, u64, String, Option<String>)> {
    let one = |of: CountedRefusals| {
        let what = of.operation.unwrap();
        let scopes = what.scopes.map(|scopes| scopes.to_string());
        (what.operation.into_string(), of.count, what.why.into_string(), scopes)
    };
    noted(world).into_iter().map(one).collect()
}

fn row(operation: &str, count: u64, why: &str, scopes: Option<&str>) -> (String, u64, String, Option<String>) {
    (operation.to_owned(), count, why.to_owned(), scopes.map(str::to_owned))
}

fn call(name: &str, arguments: &Value) -> String {
    request("tools/call", &json!({"name": name, "arguments": arguments}))
}

async fn post(world: &World, token: &str, body: &str) {
    world.ask(&RawRequest::post(body).bearer(token)).await;
}

#[tokio::test]
async fn a_note_says_who_asked_for_what_and_which_rule_refused_it_with_its_reason() {
    let world = ruled(UpstreamKind::Mcp, TABLES).await;
    let made = world.token(MCP);
    for _ in 0..3 {
        post(&world, &made.text, &call("wipe", &json!({"password": "hunter2"}))).await;
    }
    let expected = RefusedOperation {
        client: client(),
        grant: made.record.grant,
        resource: made.record.resource.clone(),
        operation: "tools/call wipe".into(),
        why: "rule 0: not from outside".into(),
        scopes: None,
        address: [127, 0, 0, 1].into(),
        request_id: REQUEST_ID.into(),
    };
    let noted = noted(&world);
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!(noted[0].subject.as_ref().map(|subject| subject.as_str()), Some(ADA));
    assert_eq!((noted[0].operation.as_ref(), noted[0].count), (Some(&expected), 3));
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn each_kind_of_refusal_is_noted_and_what_could_be_a_secret_is_not() {
    let world = ruled(UpstreamKind::Mcp, TABLES).await;
    let (all, read) = (token(&world, MCP, "use"), token(&world, MCP, "read"));
    let hidden = "rule 0: not from outside";
    let private = request("resources/read", &json!({"uri": "file:///private/a?key=hunter2"}));
    let long = "x".repeat(5000);
    let shortened = format!("tools/call {}...(5000 bytes)", "x".repeat(200));
    for (token, body, expected) in [
        (&all, request("prompts/get", &json!({"name": "a\nb"})), row("prompts/get a\\u{a}b", 1, hidden, None)),
        (&all, private, row("resources/read file:///private/a?(11 bytes)", 1, hidden, None)),
        (&all, call("pay", &json!({"amount": 101})), row("tools/call pay", 1, "rule 1", None)),
        (&read, call("write", &json!({})), row("tools/call write", 1, "the token lacks a scope", Some("use"))),
        (&read, call(&long, &json!({})), row(&shortened, 1, "the token lacks a scope", Some("use"))),
        (&read, request("tools/list", &json!({})), row("", 0, "", None)),
    ] {
        post(&world, token, &body).await;
        let told = told(&world);
        assert_eq!(told, if expected.1 == 0 { Vec::new() } else { vec![expected] }, "{body:.200}");
    }
}

#[tokio::test]
async fn what_the_user_left_out_a_pin_holds_or_a_required_scope_guards_is_noted() {
    let main = |config: &mut Config| {
        let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
        (main.rules, main.pin) = (rules(TABLES), PinMode::Hold);
    };
    let world = World::with(main).await;
    let mut made = world.make(MCP, "use");
    made.record.exclusions = Exclusions::new([].into(), ["drop".into()].into()).unwrap();
    world.cache.insert(&made.record);
    post(&world, &made.text, &call("drop", &json!({}))).await;
    assert_eq!(told(&world), [row("tools/call drop", 1, "left out by the user", None)]);
    post(&world, &made.text, &call("other", &json!({}))).await;
    assert_eq!(told(&world), [row("tools/call other", 1, "held until it is approved", None)]);
    let required = |config: &mut Config| {
        config.upstreams.iter_mut().for_each(|upstream| {
            upstream.required_scopes = super::records::scopes("admin");
        });
    };
    let world = World::with(required).await;
    let why = "the token lacks a required scope";
    post(&world, &world.token(MCP).text, &call("drop", &json!({}))).await;
    assert_eq!(told(&world), [row("tools/call drop", 1, why, Some("admin"))]);
    world.ask(&RawRequest::new("GET", "/api/report?key=1").bearer(&world.token(API).text)).await;
    assert_eq!(told(&world), [row("GET /api/report", 1, why, Some("admin"))]);
    let nobody = |config: &mut Config| {
        config.upstreams.iter_mut().for_each(|upstream| upstream.holders.admitted = Some(AccountList::default()));
    };
    let world = World::with(nobody).await;
    post(&world, &world.token(MCP).text, &call("drop", &json!({}))).await;
    assert_eq!(told(&world), [row("tools/call drop", 1, "the account has no access", None)]);
}

#[tokio::test]
async fn each_refused_message_of_a_batch_is_noted_whether_or_not_the_rest_is_forwarded() {
    let world = ruled(UpstreamKind::Mcp, TABLES).await;
    let made = world.token(MCP);
    let passes = call("read", &json!({}));
    let batch = |first: &str| format!("[{first},{},{}]", call("wipe", &json!({})), call("wipe", &json!({})));
    for (first, forwarded) in [(passes.clone(), 1), (call("wipe", &json!({})), 0)] {
        world
            .mcp
            .then([answer("200 OK\r\nContent-Type: application/json", r#"[{"jsonrpc":"2.0","id":9,"result":{}}]"#)]);
        let ask = RawRequest::post(batch(&first)).bearer(&made.text).field("MCP-Protocol-Version", "2025-03-26");
        world.ask(&ask).await;
        let expected = row("tools/call wipe", 3 - forwarded, "rule 0: not from outside", None);
        assert_eq!(told(&world), [expected], "{first}");
    }
}

#[tokio::test]
async fn requests_to_plain_http_are_noted_and_those_without_a_token_are_not() {
    let tables = r#"
[[upstream.scope]]
name = "use"
title = "Use"
allow = ["GET"]
"#;
    let world = ruled(UpstreamKind::Http, tables).await;
    world.ask(&RawRequest::new("DELETE", "/api/users/7?force=1").bearer(&world.token(API).text)).await;
    assert_eq!(told(&world), [row("DELETE /api/users/7", 1, "no scope opens it", None)]);
    let open = upstream(&format!("anonymous = [\"tools/list\"]\n{TABLES}"));
    let world = World::with(|config| {
        for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.kind == UpstreamKind::Mcp) {
            upstream.rules.clone_from(&open.rules);
            upstream.anonymous_limits.clone_from(&open.anonymous_limits);
        }
    })
    .await;
    assert_eq!(world.ask(&RawRequest::post(call("wipe", &json!({})))).await.status, 401);
    assert_eq!(told(&world), []);
}

#[tokio::test]
async fn a_reload_forgets_nothing() {
    let world = ruled(UpstreamKind::Mcp, TABLES).await;
    let made = world.token(MCP);
    world.cache.insert(&AccessTokenRecord { ..made.record.clone() });
    post(&world, &made.text, &call("wipe", &json!({}))).await;
    world.reload(|config| config.upstreams.iter_mut().for_each(|upstream| upstream.max_connections += 1));
    post(&world, &made.text, &call("wipe", &json!({}))).await;
    assert_eq!(told(&world), [row("tools/call wipe", 2, "rule 0: not from outside", None)]);
}
