//! What ChatGPT reads: the scopes that a tool needs, in lists, and the challenge for a scope, in the result of a call.

use mcpgate::config::Config;
use mcpgate::oauth::{ClientId, ClientOrigin};
use mcpgate::policy::Pattern;
use serde_json::{Value, json};

use super::client::{RawRequest, Reply};
use super::lists::{ask, mapped_by, token};
use super::records;
use super::upstream::{EVENTS, answer, chunk, send};
use super::world::{MCP, World};

const JSON: &str = "200 OK\r\nContent-Type: application/json";
const CHATGPT: &str = "https://chatgpt.com/oauth/client.json";
const SCOPES: &[(&str, &[&str])] =
    &[("list", &["tools/list"]), ("search", &["tools/call:search_*"]), ("admin", &["tools/call"])];

async fn mapped(gives_schemes: bool) -> World {
    mapped_by(SCOPES, |config| change(config, gives_schemes)).await
}

fn change(config: &mut Config, gives_schemes: bool) {
    let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
    main.security_schemes = gives_schemes;
}

/// A token of a client, which became known in this way.
fn token_of(world: &World, scopes: &str, (client, origin): (&str, ClientOrigin)) -> String {
    let mut made = world.make(MCP, scopes);
    (made.record.client, made.record.client_origin) = (ClientId::parse(client).unwrap(), origin);
    world.cache.insert(&made.record);
    made.text
}

fn call(name: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": name}})
}

async fn ask_call(world: &World, token: &str, body: &Value, version: &str) -> Reply {
    let ask = RawRequest::post(body.to_string()).bearer(token).field("MCP-Protocol-Version", version);
    world.ask(&ask.field("Mcp-Method", "tools/call").field("Mcp-Name", "write")).await
}

const PLAIN: &str = r#"{"jsonrpc":"2.0","id":9,"result":{"tools":[{"name":"search_web", "inputSchema":{}},{"name":"write","securitySchemes":[{"type":"noauth"}]}]}}"#;

fn with_schemes(scopes: &str, tail: &str) -> String {
    let own = format!(r#""securitySchemes":[{{"type":"oauth2","scopes":[{scopes}]}}]"#);
    format!(
        r#"{{"jsonrpc":"2.0","id":9,"result":{{"tools":[{{"name":"search_web", "inputSchema":{{}},{own},"_meta":{{{own}}}}}{tail}]}}}}"#
    )
}

#[tokio::test]
async fn listed_tools_say_which_scopes_they_need_in_json_and_in_events() {
    let world = mapped(true).await;
    world.reload(|config| {
        change(config, true);
        let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
        main.required_scopes = records::scopes("list");
    });
    let own = r#""securitySchemes":[{"type":"oauth2","scopes":["admin","list"]}]"#;
    let write = format!(r#",{{"name":"write",{own},"_meta":{{{own}}}}}"#);
    for version in ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
        for (scopes, expected) in [
            ("list search", with_schemes(r#""list","search""#, "")),
            ("list admin", with_schemes(r#""admin","list""#, &write)),
            ("list search admin", with_schemes(r#""admin","list""#, &write)),
        ] {
            let token = token(&world, scopes);
            world.mcp.then([answer(JSON, PLAIN)]);
            assert_eq!(world.ask(&ask("tools/list", version, &token)).await.text(), expected, "{version} {scopes}");
            let event = |data: &str| format!("id: 1\ndata: {data}\n\n");
            world.mcp.then([send(EVENTS), chunk(&event(PLAIN)), chunk("")]);
            let reply = world.ask(&ask("tools/list", version, &token)).await;
            assert_eq!(reply.text(), event(&expected), "{version} {scopes}");
        }
    }
    world.reload(|config| change(config, false));
    let all = token(&world, "list admin");
    world.mcp.then([answer(JSON, PLAIN)]);
    assert_eq!(world.ask(&ask("tools/list", "2025-11-25", &all)).await.text(), PLAIN, "without the switch");
}

#[tokio::test]
async fn a_tool_that_is_open_to_all_says_so() {
    let world = mapped_by(SCOPES, |config| {
        change(config, true);
        let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
        let rules = main.rules.take().map(|rules| (*rules).clone());
        let open = [Pattern::of_mcp("tools/call:search_*").unwrap()];
        main.rules = rules.map(|rules| rules.with_anonymous(&open).into());
    })
    .await;
    let all = token(&world, "list admin");
    world.mcp.then([answer(JSON, PLAIN)]);
    let reply = world.ask(&ask("tools/list", "2025-11-25", &all)).await.json();
    let tools = &reply["result"]["tools"];
    let admin = json!({"type": "oauth2", "scopes": ["admin"]});
    assert_eq!(tools[0]["securitySchemes"], json!([{"type": "noauth"}, admin]));
    assert_eq!(tools[1]["securitySchemes"], json!([admin]));
}

#[tokio::test]
async fn a_call_for_want_of_a_scope_is_refused_to_chatgpt_in_the_result_and_to_others_with_403() {
    let world = mapped(true).await;
    let document = |id| (id, ClientOrigin::MetadataDocument);
    for (client, is_chatgpt) in [
        (document(CHATGPT), true),
        ((CHATGPT, ClientOrigin::Registered), false),
        ((CHATGPT, ClientOrigin::Manual), false),
        (document("https://chatgpt.com/oauth/codex/client.json"), false),
        (document("https://chatgpt.com.evil.example/oauth/client.json"), false),
        (document("https://chatgpt.com:8443/oauth/client.json"), false),
        (document("https://claude.ai/oauth/mcp-oauth-client-metadata"), false),
        (("mcp_client_a", ClientOrigin::Registered), false),
    ] {
        for version in ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
            let token = token_of(&world, "list search", client);
            let mut body = call("write");
            body["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": version});
            let reply = ask_call(&world, &token, &body, version).await;
            let challenge = "Bearer error=\"insufficient_scope\", error_description=\"this needs the scope admin, which \
                 the token lacks: authorize again\", \
                 resource_metadata=\"https://gw.example/.well-known/oauth-protected-resource/mcp\", \
                 scope=\"admin list search\"";
            if !is_chatgpt {
                assert_eq!((reply.status, reply.field("www-authenticate")), (403, Some(challenge)), "{client:?}");
                assert!(reply.json()["error"].is_object(), "{client:?}");
                continue;
            }
            let mut result = json!({
                "content": [{"type": "text", "text": "this needs the scope admin, which the token lacks: authorize again"}],
                "isError": true,
                "_meta": {"mcp/www_authenticate": [challenge]},
            });
            if version == "2026-07-28" {
                result["resultType"] = "complete".into();
            }
            assert_eq!((reply.status, reply.field("www-authenticate")), (200, None), "{version}");
            assert_eq!(reply.field("content-type"), Some("application/json"));
            assert_eq!(reply.json(), json!({"jsonrpc": "2.0", "id": 9, "result": result}), "{version}");
        }
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn what_is_no_call_or_lacks_no_scope_is_refused_to_chatgpt_as_to_others() {
    let world = mapped(true).await;
    let chatgpt = |scopes| token_of(&world, scopes, (CHATGPT, ClientOrigin::MetadataDocument));
    let list = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"});
    let notification = json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "write"}});
    for (body, version) in [(list, "2025-11-25"), (notification, "2025-11-25"), (json!([call("write")]), "2025-03-26")]
    {
        let reply = ask_call(&world, &chatgpt("search"), &body, version).await;
        assert_eq!(reply.status, 403, "{body}: {reply:?}");
        assert!(reply.field("www-authenticate").is_some(), "{body}");
    }
    let prompt = json!({"jsonrpc": "2.0", "id": 9, "method": "prompts/list"});
    assert_eq!(ask_call(&world, &chatgpt("search"), &prompt, "2025-11-25").await.json()["error"]["code"], -32601);
    world.reload(|config| change(config, false));
    let reply = ask_call(&world, &chatgpt("search"), &call("write"), "2025-11-25").await;
    assert_eq!(reply.status, 403, "without the switch");
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn the_same_refusal_to_chatgpt_is_cut_short_too() {
    let world = mapped(true).await;
    let token = token_of(&world, "search", (CHATGPT, ClientOrigin::MetadataDocument));
    for time in 1..=5 {
        let reply = ask_call(&world, &token, &call("write"), "2025-11-25").await;
        assert_eq!(reply.json()["result"].is_object(), time < 5, "{time}");
        assert_eq!((reply.status, reply.json()["error"]["code"] == -32003), (200, time == 5), "{time}");
    }
}
