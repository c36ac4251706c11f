//! PN-04: a definition that only some people are shown.

use mcpgate::catalogue::KnownTool;
use mcpgate::clock::Clock as _;
use mcpgate::config::{Config, PinMode};
use mcpgate::mcp::ToolDefinition;
use mcpgate::oauth::AccountId;
use mcpgate::policy::{Annotations, Said};
use serde_json::{Value, json};

use super::client::RawRequest;
use super::lists::{ask, mapped_by};
use super::upstream::answer;
use super::world::{ADA, MCP, World};

const JSON: &str = "200 OK\r\nContent-Type: application/json";
const ALL: &[(&str, &[&str])] = &[("use", &["*"])];

fn tool(description: &str) -> Value {
    json!({"name": "add", "description": description})
}

async fn pinned(mode: PinMode) -> World {
    let pin = |config: &mut Config| config.upstreams.iter_mut().for_each(|upstream| upstream.pin = mode);
    let world = mapped_by(ALL, pin).await;
    let stored = KnownTool {
        name: "add".to_owned(),
        said: Some(Said::only(Annotations::UNKNOWN)),
        pinned: Some(ToolDefinition::of(&tool("Adds."))),
    };
    for of in world.table().catalogues() {
        of.catalogue.adopt(std::slice::from_ref(&stored));
    }
    world
}

fn token(world: &World, subject: Option<&str>) -> String {
    let made = world.make(MCP, "use");
    let mut record = made.record;
    if let Some(subject) = subject {
        record.subject = mcpgate::oauth::Subject::Person(AccountId::parse(subject).unwrap());
    }
    world.cache.insert(&record);
    made.text
}

/// Whether the list that a caller gets has the tool.
async fn lists(world: &World, token: &str, entry: &str) -> bool {
    let list = format!(r#"{{"jsonrpc":"2.0","id":9,"result":{{"tools":[{entry}]}}}}"#);
    world.mcp.then([answer(JSON, &list)]);
    world.ask(&ask("tools/list", "2025-11-25", token)).await.text().contains("\"add\"")
}

async fn calls(world: &World, token: &str) -> bool {
    let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "add"}}).to_string();
    let before = world.mcp.seen().len();
    world.ask(&RawRequest::post(&call).bearer(token)).await;
    world.mcp.seen().len() > before
}

/// How many tools the consent page of a person would show.
async fn offered(world: &World, subject: &str) -> usize {
    world.list().await;
    world.table().offered("main", subject, world.clock.now()).await.unwrap_or_default().len()
}

#[tokio::test]
async fn pn_04_what_one_person_is_shown_is_held_for_that_person() {
    let world = pinned(PinMode::Hold).await;
    let (ada, bob) = (token(&world, None), token(&world, Some("bob-0001")));
    for token in [&ada, &bob] {
        assert!(lists(&world, token, &tool("Adds.").to_string()).await && calls(&world, token).await);
    }
    assert!(!lists(&world, &ada, &tool("Adds and sends.").to_string()).await && !calls(&world, &ada).await);
    assert!(calls(&world, &bob).await, "what others were shown is no matter of bob's");
    assert_eq!((offered(&world, ADA).await, offered(&world, "bob-0001").await), (0, 1), "on the consent page, too");
    // Escapes and spaces are no difference, further members are not for the model, a member twice is.
    let same = r#"{"_meta": {}, "description": "Adds\u002e", "name":"add"}"#;
    assert!(lists(&world, &ada, same).await && calls(&world, &ada).await);
    let twice = r#"{"name":"add","description":"Adds.","inputSchema":{"x":"evil","x":"good"}}"#;
    assert!(!lists(&world, &ada, twice).await && !calls(&world, &ada).await);
    let kept = &world.table().catalogues()[0];
    assert_eq!(kept.catalogue.shown(9).await.len(), 1, "it is reported once, and not what cannot be read");
}

#[tokio::test]
async fn without_pinning_no_tool_is_held_and_with_warn_it_is_only_reported() {
    for (mode, is_reported) in [(PinMode::Off, false), (PinMode::Warn, true)] {
        let world = pinned(mode).await;
        let ada = token(&world, None);
        assert!(lists(&world, &ada, &tool("Adds and sends.").to_string()).await && calls(&world, &ada).await);
        let kept = &world.table().catalogues()[0];
        assert_eq!(futures_util::FutureExt::now_or_never(kept.catalogue.shown(9)).is_some(), is_reported);
    }
}
