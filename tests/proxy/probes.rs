//! UP: each upstream is tried once when it is configured, and the log tells the operator what is wrong with its URL.

use mcpgate::config::Config;
use mcpgate::proxy::UpstreamState;

use super::client::RawRequest;
use super::log::Log;
use super::upstream::{Act, EVENTS, answer, chunk, send};
use super::world::{MCP, PING, World};

const JSON: &str = "Content-Type: application/json";

/// Changes the URL of the upstream at `/mcp`.
fn url(config: &mut Config, change: impl FnOnce(&mut url::Url)) {
    change(&mut config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap().url);
}

/// The state that is known of it.
fn main(states: &[UpstreamState]) -> (Option<bool>, &str) {
    let state = states.iter().find(|state| state.name == "main").unwrap();
    (state.is_up, &state.detail)
}

async fn world_at(path: &str) -> World {
    let path = path.to_owned();
    World::with(move |config| url(config, |url| url.set_path(&path))).await
}

#[tokio::test]
async fn an_upstream_that_speaks_mcp_is_up_and_hears_one_ping_that_speaks_for_nobody() {
    for said in [
        None,
        Some(vec![answer(&format!("400 Bad Request\r\n{JSON}"), r#"{"jsonrpc":"2.0","id":null,"error":{}}"#)]),
        Some(vec![send(EVENTS), chunk("data: {}\n\n"), Act::Hang]),
    ] {
        let (world, log) = (World::new().await, Log::start());
        said.into_iter().for_each(|acts| world.mcp.then(acts));
        let states = world.probe().await;
        assert!(states.iter().all(|state| state.is_up == Some(true) && state.detail == "up"), "{states:?}");
        assert_eq!(log.warnings(), Vec::<String>::new());
        let seen = world.mcp.seen();
        let [ping] = &*seen else { panic!("one request, not {seen:?}") };
        assert_eq!((&*ping.line, ping.field("x-upstream-key")), ("POST /upstream HTTP/1.1", Some("s3cret")));
        assert_eq!(ping.field("accept"), Some("application/json, text/event-stream"));
        assert!(ping.fields.iter().all(|(name, _)| !name.starts_with("x-mcpgate-")), "{ping:?}");
        world.api.assert_nothing();
    }
}

#[tokio::test]
async fn an_upstream_that_is_no_mcp_server_is_told_with_the_url_to_write() {
    let not_found = || vec![answer("404 Not Found\r\nContent-Type: text/plain", "Not Found")];
    let fast_api = vec![answer(&format!("404 Not Found\r\n{JSON}"), r#"{"detail":"Not Found"}"#)];
    let page = vec![answer("200 OK\r\nContent-Type: text/html", "<p>\"jsonrpc\"</p>")];
    for (path, acts, says) in [
        ("/", vec![not_found()], &["404 Not Found with text/plain", "/mcp\"? An MCP server answers there"][..]),
        ("/api/", vec![fast_api, not_found()], &["not JSON-RPC", "did you mean url = \"http://", "/api/mcp\"?"]),
        ("/sse", vec![vec![answer("405 Nope", "")], not_found()], &["405", "transport of 2024-11-05", ":PORT/mcp\"?"]),
        ("/a/mcp/sse", vec![page], &["200 OK with text/html", "look up the path"]),
        ("/mcp", vec![vec![answer("401 Unauthorized", "")]], &["a credential in upstream.headers"]),
        ("/mcp", vec![vec![answer("302 Found\r\nLocation: /login?next=secret", "")]], &["302 Found, to /login"]),
        ("/mcp", vec![vec![Act::Close]], &["closed the connection"]),
    ] {
        let (world, log) = (world_at(path).await, Log::start());
        acts.into_iter().for_each(|acts| world.mcp.then(acts));
        let states = world.probe().await;
        let warnings = log.warnings();
        let [line] = &*warnings else { panic!("{path}: one line, not {warnings:?}") };
        for part in says {
            let part = part.replace("PORT", &world.mcp.address.port().to_string());
            assert!(line.contains(&part) && line.contains("upstream=\"main\""), "{path}: {part} is missing in {line}");
        }
        assert!(!line.contains("secret"), "{line}");
        let (is_up, detail) = main(&states);
        assert!(is_up == Some(true) && detail.starts_with("up, but not an MCP server: "), "{states:?}");
        // The answer to a later request shows that it is an MCP server, whatever answered the ping.
        assert_eq!(world.ask(&RawRequest::post(PING).bearer(&world.token(MCP).text)).await.status, 200);
        assert_eq!(main(&world.states()), (Some(true), "up"));
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_told_once_and_found_again() {
    let address = super::free_address::free_address();
    let world = World::with(|config| url(config, |url| url.set_port(Some(address.port())).unwrap())).await;
    let log = Log::start();
    let states = world.probe().await;
    assert_eq!(main(&states), (Some(false), "down (connection_refused)"));
    assert_eq!(states.iter().filter(|state| state.is_up == Some(true)).count(), 2, "the others are up: {states:?}");
    world.probe().await;
    let warnings = log.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("start it, or correct host and port"), "{warnings:?}");
    let _upstream = super::upstream::Upstream::start_on(tokio::net::TcpListener::bind(address).await.unwrap());
    let states = world.probe().await;
    assert_eq!(main(&states), (Some(true), "up"));
}

#[tokio::test]
async fn what_requests_meet_is_known_as_well() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    world.reload(|config| url(config, |url| url.set_port(Some(1)).unwrap()));
    assert_eq!(main(&world.states()), (None, "not tried yet"));
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 502);
    assert_eq!(main(&world.states()).0, Some(false));
}

#[tokio::test]
async fn a_probe_follows_a_redirect_and_leaves_no_session_behind() {
    let (world, log) = (world_at("/mcp").await, Log::start());
    world.mcp.then([answer("307 Temporary Redirect\r\nLocation: /mcp/", "")]);
    world.mcp.then([answer(
        &format!("200 OK\r\n{JSON}\r\nMcp-Session-Id: s-1"),
        r#"{"jsonrpc":"2.0","id":"mcpgate","result":{}}"#,
    )]);
    assert_eq!(main(&world.probe().await), (Some(true), "up"));
    let warnings = log.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("/mcp/\" in its [[upstream]]"), "{warnings:?}");
    let seen = world.mcp.seen();
    let lines: Vec<_> = seen.iter().map(|seen| (&*seen.line, seen.field("mcp-session-id"))).collect();
    assert_eq!(
        lines,
        [("POST /mcp HTTP/1.1", None), ("POST /mcp/ HTTP/1.1", None), ("DELETE /mcp/ HTTP/1.1", Some("s-1"))]
    );
}

/// A world whose upstream at `/mcp` has no name set by the operator.
async fn unnamed_world() -> World {
    World::with(|config| {
        config.upstreams.iter_mut().filter(|upstream| upstream.name == "main").for_each(|main| main.takes_title = true);
    })
    .await
}

#[tokio::test]
async fn an_upstream_without_a_name_is_asked_what_it_calls_itself() {
    let pong = || vec![answer(&format!("200 OK\r\n{JSON}"), r#"{"jsonrpc":"2.0","id":"mcpgate","result":{}}"#)];
    let info = r#"{"jsonrpc":"2.0","id":"mcpgate","result":{"serverInfo":{"name":"weather","title":"Weather"}}}"#;
    let json = vec![answer(&format!("200 OK\r\n{JSON}\r\nMcp-Session-Id: s-1"), info)];
    // The stream stays open.
    let events = vec![send(EVENTS), chunk(&format!("event: message\ndata: {info}\n\n")), Act::Hang];
    let unknown = vec![answer(&format!("400 Bad Request\r\n{JSON}"), r#"{"jsonrpc":"2.0","id":null,"error":{}}"#)];
    let discovered = info.replace("\"serverInfo\"", "\"_meta\":{\"io.modelcontextprotocol/serverInfo\"");
    let discovered = vec![answer(&format!("200 OK\r\n{JSON}"), &discovered.replace("}}}", "}}}}"))];
    for (acts, lines) in [
        (vec![json], &["initialize", ""][..]),
        (vec![events], &["initialize"]),
        (vec![unknown, discovered], &["initialize", "server/discover"]),
    ] {
        let (world, log) = (unnamed_world().await, Log::start());
        world.mcp.then(pong());
        acts.into_iter().for_each(|acts| world.mcp.then(acts));
        assert_eq!(world.titles().await, ["main: Weather"]);
        assert_eq!(log.warnings(), Vec::<String>::new());
        let seen = world.mcp.seen();
        let method = |seen: &super::upstream::Seen| {
            let message: serde_json::Value = serde_json::from_slice(&seen.body).unwrap_or_default();
            message["method"].as_str().unwrap_or_default().to_owned()
        };
        let methods: Vec<_> = seen.iter().map(method).collect();
        assert_eq!(methods, [&["ping"], lines].concat(), "a session that the probe begins is ended");
        let mut names = seen.iter().flat_map(|seen| &seen.fields).map(|(name, _)| name);
        assert!(names.all(|name| !name.starts_with("x-mcpgate-")), "{seen:?}");
    }
    let world = World::new().await;
    assert_eq!(world.titles().await, Vec::<String>::new());
    assert_eq!(world.mcp.seen().len(), 1, "an upstream with a configured name is not asked for it");
}
