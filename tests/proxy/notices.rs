//! What open streams tell of lists that show something else after a reload, or after an approval of a tool.

use std::sync::Arc;
use std::time::Duration;

use mcpgate::catalogue::{Catalogue, KnownTool, OfferKind, Offers};
use mcpgate::config::{Config, PinMode};
use mcpgate::mcp::ToolDefinition;
use mcpgate::policy::{Annotations, Said};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::client::{Client, RawRequest};
use super::reloads::{deny, get, hanging, listen, mcp, open};
use super::upstream::{Act, EVENTS, answer, chunk, send, soon};
use super::world::{MCP, World};

const MAP: &str = r#"
[[upstream.scope]]
name = "use"
title = "Use it"
allow = ["*/list", "resources/templates/list", "tools/call", "prompts/get", "resources/read", "subscriptions/listen"]
[[upstream.scope]]
name = "read"
title = "Read it"
allow = ["tools/list", "tools/call@readOnly"]
"#;

fn catalogue(world: &World) -> Arc<Catalogue> {
    let all = world.table().catalogues();
    let own = all.into_iter().find(|of| of.resource.as_str() == MCP);
    own.expect("the upstream has rules").catalogue
}

fn tool(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description})
}

fn offers(tools: &[Value]) -> Offers {
    let mut offers = Offers::default();
    assert!(offers.add(OfferKind::Tools, &json!({"tools": tools})));
    assert!(offers.add(OfferKind::Prompts, &json!({"prompts": [{"name": "greet"}, {"name": "root"}]})));
    assert!(offers.add(OfferKind::Resources, &json!({"resources": [{"uri": "file:///public/a"}]})));
    assert!(offers.add(OfferKind::Templates, &json!({"resourceTemplates": [{"uriTemplate": "file:///b/{c}"}]})));
    offers
}

/// The stream of a session of a token with these scopes.
async fn stream(world: &World, scopes: &str) -> Client {
    let made = world.make(MCP, scopes);
    world.cache.insert(&made.record);
    hanging(world, &get().bearer(&made.text)).await
}

/// How long it takes at most until a reload is told, and a change of the catalogue.
const RELOADED: Duration = Duration::from_millis(400);
const LOOKED: Duration = Duration::from_millis(1500);

/// What arrives on a stream within this time: the methods of its messages.
async fn told(client: &mut Client, within: Duration) -> Vec<String> {
    let mut text = String::new();
    while let Ok(Some(data)) = timeout(within, client.chunk()).await {
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    let messages = text.split("\n\n").filter(|event| !event.is_empty()).map(|event| {
        let data = event.strip_prefix("event: message\ndata: ").unwrap_or_else(|| panic!("{text:?}"));
        let message: Value = serde_json::from_str(data).unwrap();
        assert!(message.get("id").is_none() && message.get("params").is_none(), "{message}");
        message["method"].as_str().unwrap().to_owned()
    });
    messages.collect()
}

fn changed(lists: &[&str]) -> Vec<String> {
    lists.iter().map(|list| format!("notifications/{list}/list_changed")).collect()
}

#[tokio::test]
async fn who_sees_something_else_after_a_reload_is_told_and_nobody_else() {
    let world = World::with(mcp(MAP)).await;
    catalogue(&world).learn(offers(&[tool("add", ""), tool("delete", "")]));
    let (mut using, mut reading) = (stream(&world, "use").await, stream(&world, "read").await);
    for (rules, expected) in [
        (deny(r#""tools/call:delete""#, ""), &["tools"][..]),
        (deny(r#""tools/call:delete", "tools/call:unknown_*", "prompts/get:x", "logging/setLevel""#, ""), &[]),
        (
            deny(r#""tools/call:delete", "prompts/get:root", "resources/read:file:///public/**""#, ""),
            &["prompts", "resources"],
        ),
        (deny(r#""tools/call:delete", "prompts/get:root", "resources/read:file:///b/**""#, ""), &["resources"]),
        // Lists that may not be asked for any more are no news, and what their entries are is none.
        (deny(r#""tools/list", "prompts/get", "resources/read""#, ""), &["prompts", "resources"]),
        (String::new(), &["tools", "prompts", "resources"]),
    ] {
        world.adopt(mcp(&format!("{MAP}{rules}")));
        assert_eq!(told(&mut using, RELOADED).await, changed(expected), "{rules}");
    }
    // Nothing is known to be read-only, so no list ever had anything for the other one.
    assert_eq!(told(&mut reading, RELOADED).await, changed(&[]));
    world.adopt(|config| config.timeouts.keep_alive += Duration::from_secs(1));
    assert_eq!(told(&mut using, RELOADED).await, changed(&[]), "another change");
}

#[tokio::test]
async fn who_was_shown_what_the_gateway_was_not_is_told_and_nobody_else() {
    let world = World::with(mcp(MAP)).await;
    catalogue(&world).learn(offers(&[tool("add", "")]));
    let ada = world.token(MCP).text;
    let bob = world.make_for(MCP, "use", "bob-0001");
    world.cache.insert(&bob.record);
    let json = "200 OK\r\nContent-Type: application/json";
    for (method, result) in [
        ("prompts/list", json!({"prompts": [{"name": "greet"}, {"name": "hers"}]})),
        ("resources/list", json!({"resources": [{"uri": "file:///hers/a"}]})),
        ("resources/templates/list", json!({"resourceTemplates": [{"uriTemplate": "db://hers/{a}"}]})),
    ] {
        world.mcp.then([answer(json, &json!({"jsonrpc": "2.0", "id": 9, "result": result}).to_string())]);
        let ask = json!({"jsonrpc": "2.0", "id": 9, "method": method}).to_string();
        assert_eq!(world.ask(&RawRequest::post(ask).bearer(&ada)).await.json()["result"], result);
    }
    let mut streams = [hanging(&world, &get().bearer(&ada)).await, hanging(&world, &get().bearer(&bob.text)).await];
    for (denied, expected) in [
        (r#""prompts/get:hers""#, &["prompts"][..]),
        (r#""prompts/get:hers", "resources/read:file:///hers/**""#, &["resources"]),
        (r#""prompts/get:hers", "resources/read:file:///hers/**", "resources/read:db://**""#, &["resources"]),
        (r#""prompts/get:root", "prompts/get:hers", "resources/read:file:///hers/**", "resources/read:db://**""#, &[]),
    ] {
        world.adopt(mcp(&format!("{MAP}{}", deny(denied, ""))));
        let of_all = if expected.is_empty() { &["prompts"][..] } else { &[] };
        let [hers, his] = &mut streams;
        assert_eq!(told(hers, RELOADED).await, changed(&[expected, of_all].concat()), "{denied}");
        assert_eq!(told(his, RELOADED).await, changed(of_all), "{denied}");
    }
}

#[tokio::test]
async fn where_nobody_knows_what_lists_show_a_change_of_the_rules_is_told() {
    let world = World::with(mcp(MAP)).await;
    let (mut using, mut reading) = (stream(&world, "use").await, stream(&world, "read").await);
    let about_use = deny(r#""tools/call:delete""#, "").replace("deny\"", "deny\"\nscopes = [\"use\"]");
    world.adopt(mcp(&format!("{MAP}{about_use}")));
    assert_eq!(told(&mut using, RELOADED).await, changed(&["tools", "prompts", "resources"]));
    assert_eq!(told(&mut reading, RELOADED).await, changed(&["tools"]), "it may ask for no other list");
}

#[tokio::test]
async fn a_subscription_is_told_what_it_asks_for_once_it_is_confirmed() {
    let world = World::with(mcp(MAP)).await;
    catalogue(&world).learn(offers(&[tool("add", ""), tool("delete", "")]));
    let token = world.token(MCP).text;
    let gate = Arc::new(Notify::new());
    let ack = "data: {\"method\":\"notifications\\/subscriptions\\/acknowledged\"}\n\n";
    let filter = json!({"toolsListChanged": true, "promptsListChanged": false});
    world.mcp.then([send(EVENTS), chunk(": hello\n\n"), Act::Gate(Arc::clone(&gate)), chunk(ack), Act::Hang]);
    let mut early = world.connect().await;
    early.send(&listen(&filter).bearer(&token).bytes()).await;
    early.head().await;
    early.chunks_until("hello\n\n").await;
    let mut other = hanging(&world, &listen(&json!({"resourcesListChanged": true})).bearer(&token)).await;
    world.adopt(mcp(&format!("{MAP}{}", deny(r#""tools/call:delete", "prompts/get:root""#, ""))));
    sleep(RELOADED).await;
    assert!(early.unread().is_empty() && timeout(Duration::from_millis(10), early.chunk()).await.is_err());
    gate.notify_one();
    let event = soon(early.chunks_until("}\n\n")).await;
    assert_eq!(event, ack);
    let notice = json!({
        "jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": {"_meta": {"io.modelcontextprotocol/subscriptionId": 9}}
    });
    let event = soon(early.chunks_until("}\n\n")).await;
    let data = event.strip_prefix("event: message\ndata: ").unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), notice);
    assert!(timeout(Duration::from_millis(10), early.chunk()).await.is_err(), "and nothing else");
    assert!(timeout(Duration::from_millis(10), other.chunk()).await.is_err(), "its filter has neither");
}

#[tokio::test]
async fn a_notification_waits_for_the_end_of_an_event() {
    let world = World::with(|config| {
        config.limits.sse_event = 8 << 20;
        mcp(MAP)(config);
    })
    .await;
    let token = world.token(MCP).text;
    let gate = Arc::new(Notify::new());
    // Longer than what is kept to be rewritten.
    let long = format!("data: {}", "x".repeat((4 << 20) + 1000));
    let rest = [chunk(&long), Act::Gate(Arc::clone(&gate)), chunk("\n\n"), Act::Hang];
    let mut client = open(&world, &get().bearer(&token), rest).await;
    let mut length = 0;
    while length < long.len() {
        length += soon(client.chunk()).await.unwrap().len();
    }
    world.adopt(mcp(&format!("{MAP}{}", deny(r#""tools/call:delete""#, ""))));
    assert!(timeout(RELOADED, client.chunk()).await.is_err());
    gate.notify_one();
    let end = soon(client.chunks_until("list_changed\"}\n\n")).await;
    assert!(end.starts_with("\n\nevent: message\n"), "{end:?}");
}

fn known(name: &str, pinned: Option<&str>, says: Annotations) -> KnownTool {
    let pinned = pinned.map(|description| ToolDefinition::of(&tool(name, description)));
    KnownTool { name: name.to_owned(), said: Some(Said::only(says)), pinned }
}

#[tokio::test]
async fn a_hold_that_begins_or_ends_is_told_to_those_who_may_call_the_tool() {
    let hold = |config: &mut Config| {
        mcp(&format!("{MAP}{}", deny(r#""tools/call:hidden""#, "")))(config);
        config.upstreams.iter_mut().for_each(|upstream| upstream.pin = PinMode::Hold);
    };
    let world = World::with(hold).await;
    let catalogue = catalogue(&world);
    let pins = |add: Option<&str>, hidden: &str| {
        let of = |name, pinned| known(name, pinned, Annotations::UNKNOWN);
        catalogue.adopt(&[of("add", add), of("hidden", Some(hidden))]);
    };
    pins(Some("Adds."), "Hides.");
    let (mut using, mut reading) = (stream(&world, "use").await, stream(&world, "read").await);
    let mut step = async |what: &str, lists: &[&str]| {
        assert_eq!(told(&mut using, LOOKED).await, changed(lists), "{what}");
    };
    catalogue.learn(offers(&[tool("add", "Adds."), tool("hidden", "Hides.")]));
    step("it is as it was pinned", &[]).await;
    catalogue.learn(offers(&[tool("add", "Adds and sends."), tool("hidden", "Hides."), tool("new", "")]));
    step("it is held", &["tools"]).await;
    pins(Some("Adds and sends."), "Hides.");
    step("it was approved", &["tools"]).await;
    catalogue.learn(offers(&[tool("add", "Adds and sends."), tool("hidden", "Hides and sends.")]));
    pins(Some("Adds and sends."), "Hides and sends.");
    step("a rule hides it", &[]).await;
    pins(None, "Hides and sends.");
    step("it was forgotten", &["tools"]).await;
    assert_eq!(told(&mut reading, LOOKED).await, changed(&[]), "it may call none");
}

#[tokio::test]
async fn a_tool_that_is_approved_as_milder_is_told_to_those_who_may_call_it_now() {
    let world = World::with(mcp(MAP)).await;
    let catalogue = catalogue(&world);
    catalogue.adopt(&[known("add", None, Annotations::UNKNOWN)]);
    let (mut using, mut reading) = (stream(&world, "use").await, stream(&world, "read").await);
    catalogue.adopt(&[known("add", None, Annotations::of(Some(true), None, None))]);
    assert_eq!(told(&mut reading, LOOKED).await, changed(&["tools"]));
    assert_eq!(told(&mut using, LOOKED).await, changed(&[]), "its scope opens every tool");
}

#[tokio::test]
async fn other_answers_tell_nothing() {
    let world = World::with(mcp(MAP)).await;
    let token = world.token(MCP).text;
    let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "add"}}).to_string();
    let mut calling = hanging(&world, &RawRequest::post(call).bearer(&token)).await;
    world.adopt(mcp(&format!("{MAP}{}", deny(r#""tools/call:delete""#, ""))));
    assert_eq!(told(&mut calling, RELOADED).await, changed(&[]));
}
