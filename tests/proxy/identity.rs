//! HD-03, HD-04: only the gateway states who the caller is, once, and in every request that it sends for a user.

use mcpgate::oauth::{AccountId, Subject};
use proptest::prelude::*;

use super::client::RawRequest;
use super::upstream::{Act, EVENTS, Upstream, answer, send};
use super::world::{API, MCP, Made, PING, World};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
const JSON: &str = "Content-Type: application/json";

/// A token of a user with this login name.
fn named(world: &World, resource: &str, user: &str) -> Made {
    let mut made = world.make(resource, "use");
    made.record.user = user.into();
    world.cache.insert(&made.record);
    made
}

/// The requests received after the first `before`.
fn lines_and_users(upstream: &Upstream, before: usize) -> Vec<(String, Option<String>)> {
    let seen = upstream.seen();
    let told = |seen: &super::upstream::Seen| seen.field("x-mcpgate-user").map(str::to_owned);
    seen.iter().skip(before).map(|seen| (seen.line.clone(), told(seen))).collect()
}

#[tokio::test]
async fn hd_03_the_login_name_goes_with_requests_of_every_sort() {
    let world = World::new().await;
    let token = named(&world, MCP, "ada+mcp@example.com").text;
    let initialize =
        answer(&format!("200 OK\r\n{JSON}\r\nMcp-Session-Id: sid-1"), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    world.mcp.then([initialize]);
    let reply = world.ask(&RawRequest::post(INITIALIZE).bearer(&token)).await;
    let session = reply.field("mcp-session-id").expect("a session").to_owned();
    let legacy = |ask: RawRequest| {
        ask.bearer(&token).field("Mcp-Session-Id", &session).field("MCP-Protocol-Version", "2025-06-18")
    };
    assert_eq!(world.ask(&legacy(RawRequest::post(PING))).await.status, 200);
    world.mcp.then([send(EVENTS), send("0\r\n\r\n"), Act::Close]);
    let stream = RawRequest::new("GET", "/mcp").field("Accept", "text/event-stream").field("Last-Event-ID", "e-7");
    assert_eq!(world.ask(&legacy(stream)).await.status, 200);
    // Another initialize within a session, and its end.
    assert_eq!(world.ask(&legacy(RawRequest::post(INITIALIZE))).await.status, 200);
    assert_eq!(world.ask(&legacy(RawRequest::new("DELETE", "/mcp"))).await.status, 200);
    assert_eq!(world.ask(&RawRequest::modern(PING).bearer(&token).field("Mcp-Method", "ping")).await.status, 200);
    // A request that is sent twice because of a redirect.
    world.mcp.then([answer("307 Temporary Redirect\r\nLocation: /upstream/", "")]);
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 200);
    let seen = lines_and_users(&world.mcp, 0);
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(seen.iter().all(|(_, user)| user.as_deref() == Some("ada+mcp@example.com")), "{seen:?}");

    let token = named(&world, API, "ada+mcp@example.com").text;
    for method in ["GET", "PATCH", "POST", "PUT", "DELETE"] {
        let ask = RawRequest::new(method, "/api/a").bearer(&token);
        world.ask(&if method == "GET" { ask } else { ask.body("x") }).await;
    }
    let seen = lines_and_users(&world.api, 0);
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen.iter().all(|(_, user)| user.as_deref() == Some("ada+mcp@example.com")), "{seen:?}");
}

#[tokio::test]
async fn a_login_name_beyond_ascii_is_escaped_and_one_of_nobody_is_not_said() {
    let world = World::new().await;
    for (user, told) in [("zoë", Some("zo%C3%AB")), ("a%C3 b\r\n", Some("a%25C3%20b%0D%0A")), ("", None)] {
        let token = named(&world, MCP, user).text;
        let ask = RawRequest::post(PING).bearer(&token).field("X-Mcpgate-User", "root");
        assert_eq!(world.ask(&ask).await.status, 200, "{user:?}");
        assert_eq!(world.mcp.last().field("x-mcpgate-user"), told);
    }
}

#[tokio::test]
async fn hd_03_a_service_is_told_by_its_account_and_never_as_a_person() {
    let world = World::new().await;
    for (resource, upstream) in [(MCP, &world.mcp), (API, &world.api)] {
        let mut made = world.make(resource, "use");
        made.record.subject = Subject::Service(AccountId::parse("service_7").unwrap());
        // Also if the account has the name of another user.
        made.record.user = "ada".into();
        world.cache.insert(&made.record);
        let ask = if resource == MCP { RawRequest::post(PING) } else { RawRequest::new("GET", "/api/a") };
        let reply = world.ask(&ask.bearer(&made.text).field("X-Mcpgate-User", "ada")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let seen = upstream.last();
        assert_eq!((seen.field("x-mcpgate-subject"), seen.field("x-mcpgate-user")), (Some("service_7"), None));
        assert_eq!(seen.field("x-mcpgate-client"), Some(made.record.client.as_str()));
    }
}

#[tokio::test]
async fn hd_03_the_actor_is_told_for_a_person_who_is_absent_and_for_nobody_else() {
    let world = World::new().await;
    for (resource, upstream) in [(MCP, &world.mcp), (API, &world.api)] {
        for acting in [true, false] {
            let mut made = world.make(resource, "use");
            made.record.acting = acting;
            world.cache.insert(&made.record);
            let ask = if resource == MCP { RawRequest::post(PING) } else { RawRequest::new("GET", "/api/a") };
            let reply = world.ask(&ask.bearer(&made.text).field("X-Mcpgate-Actor", "root")).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let (seen, client) = (upstream.last(), made.record.client.as_str());
            assert_eq!(seen.field("x-mcpgate-actor"), Some(client).filter(|_| acting));
            assert_eq!((seen.field("x-mcpgate-user"), seen.field("x-mcpgate-client")), (Some("ada"), Some(client)));
            assert_eq!(seen.field("x-mcpgate-subject"), Some(made.record.subject.as_str()));
        }
    }
}

const OURS: [&str; 7] = ["Subject", "User", "Client", "Actor", "Scopes", "Tenant", "Request-Id"];

#[tokio::test]
async fn hd_03_hd_04_identity_fields_of_a_client_never_arrive() {
    let world = World::new().await;
    for (kind, upstream) in [(MCP, &world.mcp), (API, &world.api)] {
        let made = world.token(kind);
        let mut ask =
            if kind == MCP { RawRequest::post(PING) } else { RawRequest::new("GET", "/api/a") }.bearer(&made.text);
        for name in OURS {
            ask = ask.field(&format!("X-Mcpgate-{name}"), "admin").field(&format!("x-MCPGATE-{name}"), "root");
            ask = ask.field(&format!("X.Mcpgate.{name}"), "admin").field(&format!("XMcpgate{name}"), "admin");
            ask = ask.field(&format!("X-Mcpgate--{name}"), "admin").field("Connection", &format!("X-Mcpgate-{name}"));
        }
        assert_eq!(world.ask(&ask).await.status, 200);
        let seen = upstream.last();
        assert!(seen.fields.iter().all(|(_, v)| v != "admin" && v != "root"), "{seen:?}");
        let told = seen.fields.iter().filter_map(|(name, _)| name.strip_prefix("x-mcpgate-"));
        assert!(told.clone().count() > 0);
        for name in told {
            assert!(
                OURS.iter().any(|known| known.eq_ignore_ascii_case(name)),
                "the test does not know X-Mcpgate-{name}"
            );
        }
        assert_eq!(seen.field("x-mcpgate-subject"), Some(made.record.subject.as_str()));
        assert_eq!(seen.field("x-mcpgate-user"), Some("ada"));
    }
}

#[tokio::test]
async fn hd_04_a_field_with_an_underscore_goes_no_further_and_the_request_does() {
    let world = World::new().await;
    for (kind, upstream) in [(MCP, &world.mcp), (API, &world.api)] {
        let made = world.token(kind);
        for name in ["X_Mcpgate_User", "x-mcpgate_subject", "api_key", "DD_API_KEY", "Content_Type", "Mcp_Name"] {
            let ask = if kind == MCP { RawRequest::post(PING) } else { RawRequest::new("GET", "/api/a") };
            let reply = world.ask(&ask.bearer(&made.text).field(name, "admin")).await;
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            let seen = upstream.last();
            assert!(seen.fields.iter().all(|(n, v)| !n.contains('_') && v != "admin"), "{name}: {seen:?}");
            assert_eq!(seen.field("x-mcpgate-subject"), Some(made.record.subject.as_str()));
        }
    }
}

/// Spellings of one of our names: in any case, with separators that an upstream may take for a hyphen.
fn disguised() -> impl Strategy<Value = String> {
    let name = prop::sample::select(OURS.as_slice());
    let marks = prop::collection::vec(prop::sample::select(["-", "_", ".", "--", "", "~"].as_slice()), 3);
    (name, marks, prop::collection::vec(any::<bool>(), 24)).prop_map(|(name, marks, upper)| {
        let [first, second, third] = [0, 1, 2].map(|n| marks[n]);
        let text = format!("x{first}mcpgate{second}{}", name.replace('-', third));
        let letters = text.chars().zip(upper.into_iter().cycle());
        letters.map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect()
    })
}

/// A client can neither set, repeat, remove nor disguise the fields that state who the caller is.
#[test]
fn hd_03_hd_04_no_spelling_of_an_identity_field_passes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // `pass_headers` of an operator does not change this.
    let world = runtime.block_on(World::with(|config| {
        config.upstreams.iter_mut().for_each(|upstream| upstream.pass_headers = vec!["x-region".parse().unwrap()]);
    }));
    let tokens = [MCP, API].map(|kind| world.token(kind).text);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let forged = prop::collection::vec((disguised(), any::<bool>()), 1..6);
    proptest!(config, |(forged in forged, is_mcp in any::<bool>())| {
        let (ask, upstream, token) = if is_mcp {
            (RawRequest::post(PING), &world.mcp, &tokens[0])
        } else {
            (RawRequest::new("GET", "/api/a"), &world.api, &tokens[1])
        };
        let ask = forged.iter().fold(ask.bearer(token), |ask, (name, is_listed)| {
            let ask = ask.field(name, "forged");
            if *is_listed { ask.field("Connection", name) } else { ask }
        });
        prop_assert_eq!(runtime.block_on(world.ask(&ask)).status, 200);
        let seen = upstream.last();
        prop_assert!(seen.fields.iter().all(|(_, value)| value != "forged"), "{:?}", seen);
        let folded = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        for name in OURS {
            let wanted = folded(&format!("xmcpgate{name}"));
            prop_assert_eq!(seen.fields.iter().filter(|(name, _)| folded(name) == wanted).count(), usize::from(name != "Actor"));
        }
    });
}
