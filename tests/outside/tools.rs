//! CN-21: the tools on the consent page, and what unticking them does to lists and calls.

use std::sync::{Arc, Mutex};

use hyper::Method;
use serde_json::{Value, json};

use crate::shared::CALLBACK;
use crate::support::application::{Application, Authorized, Tokens, parameter, random};
use crate::support::browser::Form;
use crate::support::client::{Client, Reply, request};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::{Browser, form_to};
use crate::support::password::PASSWORD;
use crate::support::upstream::{Seen, Upstream};

/// The boxes of a consent page from top to bottom: ticked or not, and what it is for. Tools by the names of calls.
fn boxes(page: &Reply) -> Vec<(String, String, bool)> {
    let html = page.text();
    let read = |tag: &str| {
        let (input, rest) = tag.split_once('>')?;
        let name = ["scope", "group", "tool"].into_iter().find(|name| input.contains(&format!("name=\"{name}\"")))?;
        let label = rest.split_once("<label")?.1.split_once('>')?.1.split_once("</label>")?.0;
        let text = label.split_once("<code>").map_or(label, |(_, name)| name);
        let text = text.split("<span").next()?.replace("<bdi>", "").replace("</bdi>", "").replace("</code>", "");
        Some((name.to_owned(), text.trim().to_owned(), input.contains(" checked")))
    };
    html.split("<input ").skip(1).filter_map(read).collect()
}

fn outline(page: &Reply) -> Vec<String> {
    let line = |(name, text, is_ticked): (String, String, bool)| {
        let indent = ["scope", "group", "tool"].iter().position(|kind| *kind == name).unwrap_or_default();
        format!("{}{} {text}", "  ".repeat(indent), if is_ticked { "[x]" } else { "[ ]" })
    };
    boxes(page).into_iter().map(line).collect()
}

/// The form of a page that a person approves after changing boxes, which are named by what is beside them.
fn ticked(page: &Reply, changes: &[(&str, bool)]) -> Form {
    let mut form = form_to(page, "/consent");
    let all = boxes(page);
    for (text, is_to_be_ticked) in changes {
        let place = all.iter().position(|(_, own, _)| own == text).unwrap_or_else(|| panic!("no {text} in {all:?}"));
        let (kind, ..) = &all[place];
        let value = value_of(page, place);
        form.fields.retain(|(name, own)| name != kind || *own != value);
        if *is_to_be_ticked {
            form.fields.push((kind.clone(), value));
        }
    }
    form.set("decision", "approve");
    form
}

fn value_of(page: &Reply, place: usize) -> String {
    let html = page.text();
    let kinds = ["name=\"scope\"", "name=\"group\"", "name=\"tool\""];
    let input = |tag: &&str| kinds.iter().any(|kind| tag.split('>').next().unwrap_or_default().contains(kind));
    let tag = html.split("<input ").skip(1).filter(input).nth(place).expect("a box").to_owned();
    tag.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a value").to_owned()
}

/// A person, and the application that they connect.
struct Connection<'a> {
    home: &'a Home,
    application: Application,
    browser: Browser,
}

impl<'a> Connection<'a> {
    async fn new(home: &'a Home) -> Self {
        Self { home, application: Application::register(home, CALLBACK).await, browser: Browser::new(home) }
    }

    async fn page(&mut self, verifier: &str, scope: &str) -> Reply {
        self.browser.ask(&self.application.request(verifier, &[("scope", scope)])).await
    }

    async fn approve(&mut self, verifier: String, form: &Form) -> Tokens {
        let answer = self.browser.submit(form).await;
        let authorized = Authorized { code: parameter(&answer, "code"), verifier };
        Tokens::from(&self.application.redeem(&mut Client::new(self.home), &authorized).await)
    }

    /// Connects, after changing boxes of the page.
    async fn connect(&mut self, scope: &str, changes: &[(&str, bool)]) -> Tokens {
        let verifier = random();
        let page = self.page(&verifier, scope).await;
        self.approve(verifier, &ticked(&page, changes)).await
    }

    async fn refresh(&self, tokens: &Tokens) -> Tokens {
        Tokens::from(&self.application.refresh(&mut Client::new(self.home), &tokens.refresh).await)
    }
}

async fn ask(home: &Home, tokens: &Tokens, method: &str, params: Value) -> Value {
    let reply = send(home, tokens, method, params).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// Sends a request of 2026-07-28, which needs no session.
async fn send(home: &Home, tokens: &Tokens, method: &str, params: Value) -> Reply {
    let authorization = format!("Bearer {}", tokens.access);
    let mut headers = vec![
        ("authorization", &*authorization),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ];
    let tool = params["name"].as_str().unwrap_or_default().to_owned();
    headers.extend((!tool.is_empty()).then_some(("mcp-name", &*tool)));
    let mut params = params;
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    Client::new(home).send(request(Method::POST, "/mcp", &headers, body)).await
}

async fn listed(home: &Home, tokens: &Tokens) -> Vec<String> {
    let answer = ask(home, tokens, "tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect()
}

/// Whether a call passes, or is refused because the user left the tool out.
async fn passes(home: &Home, tokens: &Tokens, tool: &str) -> bool {
    let answer = ask(home, tokens, "tools/call", json!({"name": tool, "arguments": {"text": "x"}})).await;
    let is_left_out = answer["error"]["message"].as_str().is_some_and(|text| text.contains("left this tool out"));
    assert!(is_left_out || answer["result"].is_object(), "{tool}: {answer}");
    !is_left_out
}

fn home_of(upstream: &Upstream, extra: &str) -> Home {
    let url = &upstream.url;
    let config =
        format!("[[upstream]]\nname = \"notes\"\npath = \"/mcp\"\nurl = \"{url}\"\nscopes = \"execute\"\n{extra}");
    Home::new(&config, None)
}

/// A server whose list of tools changes.
struct ToolServer {
    upstream: Upstream,
    tools: Arc<Mutex<Vec<Value>>>,
}

impl ToolServer {
    fn start(tools: Vec<Value>) -> Self {
        let tools = Arc::new(Mutex::new(tools));
        let listed = Arc::clone(&tools);
        let result = move |method: &str| match method {
            "initialize" => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "test", "version": "1"},
            }),
            "tools/list" => json!({"tools": *listed.lock().expect("no test panics while it holds the lock")}),
            _ => json!({}),
        };
        Self { upstream: Upstream::with(result), tools }
    }

    /// How often the gateway itself has listed the tools, for nobody.
    fn own_lists(&self) -> usize {
        let is_own = |seen: &Seen| !seen.headers.contains_key("x-mcpgate-subject");
        self.upstream.seen("tools/list").iter().filter(|seen| is_own(seen)).count()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Value>)) {
        change(&mut self.tools.lock().expect("no test panics while it holds the lock"));
    }
}

fn tool(name: &str, annotations: Value) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}, "annotations": annotations})
}

#[tokio::test]
async fn cn_21_what_a_user_unticks_has_force_on_lists_and_calls_and_lasts() {
    let gateway = Gateway::start().await;
    let home = &gateway.home;
    let mut connection = Connection::new(home).await;
    let verifier = random();
    let page = connection.page(&verifier, "mcp:read mcp:write").await;
    let expected = [
        "[x] Read from it",
        "  [x] Tools that only read (5)",
        "    [x] echo",
        "    [x] add",
        "    [x] count",
        "    [x] whoami",
        "    [x] list_notes",
        "[x] Add notes",
        "  [x] Tools that add or change (1)",
        "    [x] add_note",
    ];
    assert_eq!(outline(&page), expected, "{}", page.text());
    let form = ticked(&page, &[("echo", false), ("Tools that add or change (1)", false)]);
    let first = connection.approve(verifier, &form).await;
    let again = connection.refresh(&first).await;
    for tokens in [&first, &again] {
        assert_eq!(listed(home, tokens).await, ["add", "count", "whoami", "list_notes"]);
        for (tool, expected) in [("echo", false), ("add_note", false), ("list_notes", true)] {
            assert_eq!(passes(home, tokens, tool).await, expected, "{tool}");
        }
    }
    // A later login for more keeps it, until the person ticks it again.
    let verifier = random();
    let page = connection.page(&verifier, "mcp:read mcp:write mcp:delete").await;
    let shown = outline(&page);
    for line in ["    [ ] echo", "    [x] count", "  [ ] Tools that add or change (1)", "    [ ] add_note"] {
        assert!(shown.iter().any(|own| own == line), "{line} in {shown:?}");
    }
    let more = connection.approve(verifier, &ticked(&page, &[("Delete notes", true)])).await;
    assert_eq!(listed(home, &more).await, ["add", "count", "whoami", "list_notes", "delete_note"]);
    assert!(!passes(home, &more, "echo").await && passes(home, &more, "delete_note").await);
    let all =
        connection.connect("", &[("echo", true), ("Tools that add or change (1)", true), ("add_note", true)]).await;
    assert!(passes(home, &all, "echo").await && passes(home, &all, "add_note").await);
}

#[tokio::test]
async fn a_kind_that_was_unticked_covers_tools_that_come_later() {
    let (reading, writing) = (json!({"readOnlyHint": true}), json!({"destructiveHint": false}));
    let tools = [tool("get", reading.clone()), tool("put", writing.clone()), tool("silent", json!({}))];
    let server = ToolServer::start(tools.into());
    let gateway = home_of(&server.upstream, "").start().await;
    let home = &gateway.home;
    let mut connection = Connection::new(home).await;
    let less = connection.connect("", &[("Tools that add or change (1)", false)]).await;
    let none = Connection::new(home).await.connect("", &[("Tools that only read (1)", false)]).await;
    let all = Connection::new(home).await.connect("", &[]).await;
    assert_eq!(listed(home, &less).await, ["get", "silent"]);
    // A tool that says nothing of itself may destroy, and does not only read.
    assert_eq!(listed(home, &none).await, ["put", "silent"]);
    server.change(|tools| tools.extend([tool("later", writing), tool("drop", json!({}))]));
    // Nobody here knows yet what it does, so it may be of the kind that was unticked.
    assert!(
        !passes(home, &less, "later").await && !passes(home, &none, "drop").await && passes(home, &all, "later").await
    );
    assert_eq!(listed(home, &less).await, ["get", "silent", "drop"]);
    let less = connection.refresh(&less).await;
    for (tool, expected) in [("put", false), ("later", false), ("get", true), ("silent", true), ("drop", true)] {
        assert_eq!(passes(home, &less, tool).await, expected, "{tool}");
    }
    // A tool that becomes milder, or says that it is of another kind, stays left out.
    server.change(|tools| tools[1] = tool("put", reading));
    assert_eq!(listed(home, &less).await, ["get", "silent", "drop"]);
    assert!(!passes(home, &less, "put").await);
}

/// Whether a token sees `wipe`, and may call it.
async fn may_wipe(home: &Home, tokens: &Tokens) -> bool {
    let is_listed = listed(home, tokens).await.contains(&"wipe".to_owned());
    let reply = send(home, tokens, "tools/call", json!({"name": "wipe", "arguments": {}})).await;
    assert!([200, 403].contains(&reply.status), "{reply:?}");
    assert_eq!(is_listed, reply.status == 200, "lists show what calls allow: {reply:?}");
    is_listed
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so().await {
        assert!(begun.elapsed().as_secs() < 20, "it takes too long");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_tool_that_becomes_milder_counts_for_new_consents_only_or_when_it_is_approved() {
    let (reads, wipes) = (json!({"readOnlyHint": true}), json!({"destructiveHint": true}));
    let server = ToolServer::start(vec![tool("get", reads.clone()), tool("wipe", wipes.clone())]);
    let says = |annotations: &Value| server.change(|tools| tools[1] = tool("wipe", annotations.clone()));
    let url = &server.upstream.url;
    let scope = |name: &str, allow: &str| {
        format!("[[upstream.scope]]\nname = \"{name}\"\ntitle = \"{name}\"\nallow = [\"tools/list\", \"{allow}\"]\n")
    };
    let scopes = scope("read", "tools/call@readOnly") + &scope("all", "tools/call");
    let config = format!("[[upstream]]\nname = \"notes\"\npath = \"/mcp\"\nurl = \"{url}\"\n{scopes}");
    let gateway = Home::new(&config, None).start().await;
    let kept = |home: &Home| home.command(&["tool", "list"])[1].clone();
    until(async || kept(&gateway.home)["kind"] == "destructive").await;
    let mut connection = Connection::new(&gateway.home).await;
    let before = connection.connect("read", &[]).await;
    assert!(!may_wipe(&gateway.home, &before).await);
    // A page that was shown before, and approved after it has become milder.
    let verifier = random();
    let page = connection.page(&verifier, "read").await;
    assert!(!page.text().contains("wipe"), "{}", page.text());
    let form = ticked(&page, &[]);
    // The gateway lists the tools again when it starts.
    says(&reads);
    let Connection { application, browser, .. } = connection;
    let gateway = gateway.kill().start().await;
    let home = &gateway.home;
    until(async || kept(home)["milder_since"].is_string()).await;
    assert_eq!((&kept(home)["kind"], &kept(home)["before"]["kind"]), (&json!("reading"), &json!("destructive")));
    let mut connection = Connection { home, application, browser };
    let unseen = connection.approve(verifier, &form).await;
    let verifier = random();
    let page = connection.page(&verifier, "read").await;
    assert!(outline(&page).iter().any(|line| line.trim() == "[x] wipe"), "{}", page.text());
    let after = connection.approve(verifier, &ticked(&page, &[])).await;
    let all = async |home: &Home| {
        (may_wipe(home, &before).await, may_wipe(home, &unseen).await, may_wipe(home, &after).await)
    };
    assert_eq!(all(home).await, (false, false, true));
    // The same after a restart, and for what is refreshed.
    let refreshed = connection.refresh(&before).await;
    let Connection { application, browser, .. } = connection;
    let lists = server.own_lists();
    let gateway = gateway.kill().start().await;
    let home = &gateway.home;
    until(async || server.own_lists() > lists).await;
    assert_eq!(all(home).await, (false, false, true));
    assert!(!may_wipe(home, &refreshed).await, "a refresh is no consent");
    // It destroys for a moment, and reads again: nobody who has consented before gains by that.
    says(&wipes);
    assert!(!may_wipe(home, &after).await);
    says(&reads);
    assert!(!may_wipe(home, &after).await);
    let latest = Connection { home, application, browser }.connect("read", &[]).await;
    assert!(may_wipe(home, &latest).await);
    home.command(&["tool", "approve", "wipe"]);
    until(async || listed(home, &before).await == ["get", "wipe"]).await;
    assert_eq!(all(home).await, (true, true, true));
}

#[tokio::test]
async fn what_only_a_persons_own_answers_showed_is_shown_to_that_person_alone() {
    let server = ToolServer::start(vec![tool("hers", json!({"readOnlyHint": true}))]);
    let gateway = home_of(&server.upstream, "catalogue = \"passive\"\n").start().await;
    let home = &gateway.home;
    let other = crate::login::new_user(home, "cn-other");
    let mut connection = Connection::new(home).await;
    let verifier = random();
    let page = connection.page(&verifier, "").await;
    assert!(
        outline(&page) == ["[x] Use everything that it offers"]
            && page.text().contains("did not say which tools it has"),
        "{page:?}"
    );
    let tokens = connection.approve(verifier, &ticked(&page, &[])).await;
    assert_eq!(listed(home, &tokens).await, ["hers"]);
    let page = connection.page(&random(), "").await;
    assert!(outline(&page).iter().any(|line| line == "    [x] hers"), "{}", page.text());
    let mut theirs = Connection::new(home).await;
    let page = theirs.browser.open(&theirs.application.request(&random(), &[])).await;
    let page = theirs.browser.log_in(&page, &other, PASSWORD).await;
    assert!(page.text().contains("did not say which tools it has") && !page.text().contains("hers"), "{}", page.text());
}

#[tokio::test]
async fn the_page_waits_a_second_for_an_upstream_that_does_not_answer() {
    // It takes connections and reads nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/mcp", silent.local_addr().expect("an address"));
    let config = format!("[[upstream]]\nname = \"notes\"\npath = \"/mcp\"\nurl = \"{url}\"\nscopes = \"execute\"\n");
    let gateway = Home::new(&config, None).start().await;
    let mut connection = Connection::new(&gateway.home).await;
    let login = connection.browser.open(&connection.application.request(&random(), &[])).await;
    let begun = std::time::Instant::now();
    let page = connection.browser.log_in(&login, "admin", PASSWORD).await;
    let waited = begun.elapsed().as_millis();
    assert!((1000..3000).contains(&waited), "{waited} ms");
    assert!(page.text().contains("did not say which tools it has"), "{}", page.text());
}
