//! The permissions of the server of `mcpgate up URL`, of which nothing is configured.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::shared::CALLBACK;
use crate::support::application::{Application, Authorized, Tokens, parameter, random};
use crate::support::client::{Client, Reply, mcp_request};
use crate::support::free_address::free_address;
use crate::support::gateway::{Gateway, Home};
use crate::support::page::Browser;
use crate::support::upstream::Upstream;

const BY_ANNOTATION: [&str; 2] = ["mcp:read", "mcp:write"];
const ONE: [&str; 1] = ["mcp:use"];

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Its tools say what they do.
    Annotated,
    /// They do not.
    Silent,
    /// It lets nobody list anything without a user.
    Closed,
}

struct Server {
    upstream: Upstream,
    mood: Arc<Mutex<Mood>>,
}

impl Server {
    fn start(mood: Mood) -> Self {
        let mood = Arc::new(Mutex::new(mood));
        let now = Arc::clone(&mood);
        let upstream = Upstream::with(move |method| {
            let mood = *now.lock().expect("no test panics while it holds the lock");
            match method {
                "initialize" | "server/discover" if mood == Mood::Closed => json!({}),
                "initialize" => json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}, "resources": {}},
                    "serverInfo": {"name": "everything", "version": "1"},
                }),
                "tools/list" => json!({"tools": [
                    tool("look", mood, Some(true)),
                    tool("change", mood, Some(false)),
                    tool("says_nothing", mood, None),
                ]}),
                "resources/list" => json!({"resources": [{"name": "a", "uri": "file:///a"}]}),
                _ => json!({}),
            }
        });
        Self { upstream, mood }
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().expect("no test panics while it holds the lock") = mood;
    }
}

fn tool(name: &str, mood: Mood, is_read_only: Option<bool>) -> Value {
    let mut tool = json!({"name": name, "inputSchema": {"type": "object"}});
    if let Some(hint) = is_read_only.filter(|_| mood == Mood::Annotated) {
        tool["annotations"] = json!({"readOnlyHint": hint});
    }
    tool
}

async fn start(server: &Server) -> Gateway {
    Home::new("", Some(server.upstream.url.clone())).start().await
}

async fn offered(home: &Home) -> Vec<String> {
    let metadata = Client::new(home).get("/.well-known/oauth-protected-resource/mcp").await.json();
    let scopes = metadata["scopes_supported"].as_array().unwrap_or_else(|| panic!("{metadata}"));
    scopes.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn issued(home: &Home, scope: &str) -> String {
    let words = ["token", "issue", "--user", "admin", "--scope", scope];
    home.command(&words)["access_token"].as_str().expect("a token").to_owned()
}

async fn ask(home: &Home, token: &str, method: &str, params: Value) -> Reply {
    Client::new(home).send(mcp_request(token, method, &params)).await
}

async fn call(home: &Home, token: &str, tool: &str) -> Reply {
    ask(home, token, "tools/call", json!({"name": tool})).await
}

async fn listed(home: &Home, token: &str) -> Vec<String> {
    let answer = ask(home, token, "tools/list", json!({})).await.json();
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect()
}

/// The scopes of the challenge that refuses a call.
async fn challenged(home: &Home, token: &str, tool: &str) -> String {
    let reply = call(home, token, tool).await;
    assert_eq!(reply.status, 403, "{reply:?}");
    let challenge = reply.header("www-authenticate");
    assert!(challenge.contains("insufficient_scope"), "{challenge}");
    challenge.split(" scope=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}

/// Asks for scopes as a client does, and returns its tokens, or what was answered.
async fn connect(home: &Home, scope: &str) -> Tokens {
    let application = Application::register(home, CALLBACK).await;
    let (mut browser, verifier) = (Browser::new(home), random());
    let page = browser.ask(&application.request(&verifier, &[("scope", scope)])).await;
    let answer = browser.decide(&page, "approve").await;
    let authorized = Authorized { code: parameter(&answer, "code"), verifier };
    Tokens::from(&application.redeem(&mut Client::new(home), &authorized).await)
}

#[tokio::test]
async fn a_server_whose_tools_say_what_they_do_has_a_permission_for_reading_and_one_for_the_rest() {
    let server = Server::start(Mood::Annotated);
    let gateway = start(&server).await;
    let home = &gateway.home;
    assert_eq!(offered(home).await, BY_ANNOTATION);
    let said = gateway.log();
    assert!(said.contains("Permissions  mcp:read mcp:write (its tools say whether they only read)"), "{said}");
    assert!(said.contains("scopes=\"mcp:read mcp:write\""), "{said}");

    let (reading, writing) = (issued(home, "mcp:read"), issued(home, "mcp:write"));
    assert_eq!(listed(home, &reading).await, ["look"]);
    assert_eq!(listed(home, &writing).await, ["look", "change", "says_nothing"]);
    assert_eq!(call(home, &reading, "look").await.status, 200);
    assert_eq!(ask(home, &reading, "resources/read", json!({"uri": "file:///a"})).await.status, 200);
    for tool in ["change", "says_nothing", "unheard_of"] {
        assert_eq!(challenged(home, &reading, tool).await, "mcp:read mcp:write", "{tool}");
        assert_eq!(call(home, &writing, tool).await.status, 200, "{tool}");
    }
    assert_eq!(ask(home, &writing, "x/unknown", json!({})).await.status, 200);

    let application = Application::register(home, CALLBACK).await;
    let page = Browser::new(home).ask(&application.request(&random(), &[])).await.text();
    for text in ["Read from it", "Tools that only read (1)", "Change things", "Tools that may delete"] {
        assert!(page.contains(text), "{text}: {page}");
    }
}

#[tokio::test]
async fn a_server_whose_tools_say_nothing_has_one_permission() {
    let server = Server::start(Mood::Silent);
    let gateway = start(&server).await;
    let home = &gateway.home;
    assert_eq!(offered(home).await, ONE);
    assert!(gateway.log().contains("Permissions  mcp:use ("), "{}", gateway.log());
    let token = issued(home, "mcp:use");
    assert_eq!(listed(home, &token).await, ["look", "change", "says_nothing"]);
    assert_eq!(call(home, &token, "change").await.status, 200);
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_has_one_permission_or_those_of_the_last_start() {
    let nobody = format!("http://{}/mcp", free_address());
    let gateway = Home::new("", Some(nobody)).start().await;
    assert_eq!(offered(&gateway.home).await, ONE);
    let said = gateway.log();
    assert_eq!(said.matches("could not be asked for its tools").count(), 1, "{said}");

    let server = Server::start(Mood::Closed);
    let gateway = start(&server).await;
    assert_eq!(offered(&gateway.home).await, ONE);
    server.becomes(Mood::Annotated);
    let gateway = gateway.kill().start().await;
    assert_eq!(offered(&gateway.home).await, BY_ANNOTATION);
    server.becomes(Mood::Closed);
    let gateway = gateway.kill().start().await;
    assert_eq!(offered(&gateway.home).await, BY_ANNOTATION);
    // What it chose holds for a reload too, and for commands.
    gateway.signal("HUP");
    while !gateway.log().contains("the new configuration is in force") {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(offered(&gateway.home).await, BY_ANNOTATION);
    assert_eq!(listed(&gateway.home, &issued(&gateway.home, "mcp:read")).await, [""; 0], "nothing is known of them");
}

#[tokio::test]
async fn a_permission_that_is_no_more_opens_nothing_and_the_client_can_ask_anew() {
    let server = Server::start(Mood::Silent);
    let gateway = start(&server).await;
    let before = connect(&gateway.home, "").await;
    assert_eq!(call(&gateway.home, &before.access, "change").await.status, 200);

    server.becomes(Mood::Annotated);
    let gateway = gateway.kill().start().await;
    let home = &gateway.home;
    assert_eq!(challenged(home, &before.access, "look").await, "mcp:read");
    assert_eq!(challenged(home, &before.access, "change").await, "mcp:write");
    let tokens = connect(home, "mcp:read mcp:use").await;
    assert_eq!(listed(home, &tokens.access).await, ["look"]);
    assert_eq!(challenged(home, &tokens.access, "change").await, "mcp:read mcp:write");
    let (reading, writing) = (issued(home, "mcp:read"), issued(home, "mcp:write"));

    server.becomes(Mood::Silent);
    let gateway = gateway.kill().start().await;
    let home = &gateway.home;
    let forwarded = server.upstream.seen("tools/call").len();
    for token in [&reading, &writing, &tokens.access] {
        for tool in ["look", "change"] {
            assert_eq!(challenged(home, token, tool).await, "mcp:use");
        }
        assert_eq!(ask(home, token, "tools/list", json!({})).await.status, 403);
    }
    assert_eq!(server.upstream.seen("tools/call").len(), forwarded);
    assert_eq!(call(home, &before.access, "change").await.status, 200, "what was granted is a permission again");
    let tokens = connect(home, "mcp:read mcp:use").await;
    assert_eq!(call(home, &tokens.access, "change").await.status, 200);
}
