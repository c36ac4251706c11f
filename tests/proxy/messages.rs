//! MC: which messages are valid, and that a message agrees with its headers.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::RawRequest;
use super::upstream::Act;
use super::world::{MCP, PING, World};

fn call(name: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {
        "name": name, "arguments": {}, "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    }})
    .to_string()
}

#[tokio::test]
async fn modern_headers_must_agree_with_the_body() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let ask = || RawRequest::modern(call("add")).bearer(&token);
    let good = ask().field("Mcp-Method", "tools/call").field("Mcp-Name", "add");
    assert_eq!(world.ask(&good).await.status, 200);
    assert_eq!(world.mcp.last().field("mcp-name"), Some("add"));
    let encoded = ask().field("Mcp-Method", "tools/call").field("Mcp-Name", "=?base64?YWRk?=");
    assert_eq!(world.ask(&encoded).await.status, 200);
    let before = world.mcp.seen().len();
    for bad in [
        ask(),
        ask().field("Mcp-Method", "tools/call"),
        ask().field("Mcp-Name", "add"),
        ask().field("Mcp-Method", "tools/list").field("Mcp-Name", "add"),
        ask().field("Mcp-Method", "tools/call").field("Mcp-Name", "sub"),
        ask().field("Mcp-Method", "tools/call").field("Mcp-Name", "=?base64?YWR?="),
        ask().field("Mcp-Method", "tools/call").field("Mcp-Name", "add").field("Mcp-Name", "sub"),
        RawRequest::post(call("add"))
            .bearer(&token)
            .field("MCP-Protocol-Version", "2026-08-01")
            .field("Mcp-Method", "tools/call")
            .field("Mcp-Name", "add"),
    ] {
        world.ask(&bad).await.assert_rpc(400, -32020, json!(9));
    }
    let twice = RawRequest::modern(call("add")).bearer(&token).field("MCP-Protocol-Version", "2025-06-18");
    world.ask(&twice).await.assert_rpc(400, -32020, Value::Null);
    assert_eq!(world.mcp.seen().len(), before);
}

#[tokio::test]
async fn mc_04_older_revisions_promise_nothing_about_the_headers() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let lies =
        [("Mcp-Method", "tools/list"), ("Mcp-Name", "sub"), ("Mcp-Param-Path", "/etc"), ("Mcp-Param-user_id", "7")];
    let lying = || lies.iter().fold(RawRequest::post(call("add")).bearer(&token), |ask, (n, v)| ask.field(n, v));
    for version in [None, Some("2024-11-05"), Some("2025-06-18"), Some("2025-11-25")] {
        let ask = version.into_iter().fold(lying(), |ask, v| ask.field("MCP-Protocol-Version", v));
        assert_eq!(world.ask(&ask).await.status, 200);
        let seen = world.mcp.last();
        assert_eq!(seen.body, call("add").as_bytes());
        assert!(
            lies.iter().all(|(name, _)| seen.field(name).is_none()),
            "no upstream may route by a false field: {seen:?}"
        );
    }
}

#[tokio::test]
async fn a_version_that_is_not_known_is_refused_with_those_to_choose_from() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let of = |ask: RawRequest, version: &str| ask.bearer(&token).field("MCP-Protocol-Version", version);
    // As the servers of the SDKs do: an upstream that has this revision need not have any other.
    let supported = json!(["2026-07-28"]);
    for version in ["2026-07-28;x", "v999.0.0", "2026-07-28, 2025-06-18", "", "20260728", "1999-01-01", "2099-01-01"] {
        let claims = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": {
            "_meta": {"io.modelcontextprotocol/protocolVersion": version}
        }});
        for body in [PING, &claims.to_string()] {
            let reply = world.ask(&of(RawRequest::post(body), version)).await;
            let error = json!({"code": -32022, "message": "Unsupported protocol version", "data": {
                "supported": supported, "requested": version
            }});
            assert_eq!((reply.status, reply.json()["error"].clone()), (400, error), "{version}: {reply:?}");
        }
        world.ask(&of(RawRequest::post(claims.to_string()), version)).await.assert_rpc(400, -32022, json!(9));
        // Two versions are a mismatch, even if one of them is known.
        world.ask(&of(RawRequest::post(call("add")), version)).await.assert_rpc(400, -32020, json!(9));
    }
    for (method, version) in [("GET", "v9"), ("DELETE", "1999-01-01")] {
        world.ask(&of(RawRequest::new(method, "/mcp"), version)).await.assert_rpc(400, -32022, Value::Null);
    }
    assert_eq!(world.ask(&of(RawRequest::new("GET", "/mcp"), "2099-01-01")).await.status, 405);
    world.mcp.assert_nothing();
    // The handshake negotiates an unknown version down, except in a revision without a handshake.
    let initialize = r#"{"jsonrpc":"2.0","id":9,"method":"initialize","params":{"protocolVersion":"2099-01-01"}}"#;
    for version in ["draft", "1999-01-01"] {
        assert_eq!(world.ask(&of(RawRequest::post(initialize), version)).await.status, 200, "{version}");
    }
    world.ask(&of(RawRequest::post(initialize), "2099-01-01")).await.assert_rpc(400, -32022, json!(9));
}

#[tokio::test]
async fn routing_headers_that_agree_with_the_body_are_passed_on() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let ask = RawRequest::post(call("add")).bearer(&token).field("MCP-Protocol-Version", "2026-07-28");
    let fields = [("Mcp-Method", "tools/call"), ("Mcp-Name", "add"), ("Mcp-Param-Path", "/etc")];
    let ask = fields.iter().fold(ask, |ask, (name, value)| ask.field(name, value));
    assert_eq!(world.ask(&ask).await.status, 200);
    assert!(fields.iter().all(|(name, value)| world.mcp.last().field(name) == Some(value)));
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_in_every_revision() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let cases: [(&[u8], i32); 12] = [
        (br#"{"jsonrpc":"2.0","id":9,"method":"ping","method":"tools/call"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"a","name":"b"}}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":9,"method":"ping","\u006dethod":"tools/call"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":9,"method":"ping","Method":"tools/call"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"a","NAME":"b"}}"#, -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\",\"param\u{17f}\":{}}".as_bytes(), -32600),
        (br#"{"jsonrpc":"2.0","id":9,"method":"tasks/get","params":{"taskId":"a","tas\u212aId":"b"}}"#, -32600),
        (b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}", -32700),
        (br#"{"jsonrpc":"2.0","id":9,"method":"ping"} x"#, -32700),
        (br#"{"jsonrpc":"2.0","id":9,"method":"ping","params":{"a":NaN}}"#, -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"pi\xffng\"}", -32700),
        (b"", -32700),
    ];
    for (body, code) in cases {
        for version in ["2025-03-26", "2025-11-25", "2026-07-28"] {
            let reply = world.ask(&RawRequest::post(body).bearer(&token).field("MCP-Protocol-Version", version)).await;
            assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (400, Some(code.into())), "{reply:?}");
        }
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn what_is_not_read_passes_byte_for_byte_and_refusals_say_what_is_wrong() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let with = |arguments: &str| {
        format!(r#" {{"jsonrpc":"2.0","id":9, "method":"tools/call","params":{{"name":"a","arguments":{arguments}}}}}"#)
    };
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let fine =
        ["1e400", "-123456789012345678901234567890.5E-999", r#""\ud800""#, r#"{"\udc00":[0]}"#, &deep(100)].map(with);
    for body in &fine {
        for version in [None, Some("2025-11-25")] {
            let ask = RawRequest::post(body).bearer(&token);
            let reply = world.ask(&version.into_iter().fold(ask, |ask, v| ask.field("MCP-Protocol-Version", v))).await;
            assert_eq!((reply.status, &*world.mcp.last().body), (200, body.as_bytes()), "{body}");
        }
    }
    let seen = world.mcp.seen().len();
    for (arguments, code, words) in [
        (deep(200), -32600, "objects and arrays are nested more than 128 levels deep"),
        (r#"{"a":1,"\u0061":2}"#.to_owned(), -32600, "a member name occurs twice"),
        (format!(r#"{{"{}":1}}"#, "n".repeat(70_000)), -32600, "a member name is longer than 65,536 bytes"),
        ("01".to_owned(), -32700, "the body is not JSON"),
    ] {
        let reply = world.ask(&RawRequest::post(with(&arguments)).bearer(&token)).await;
        assert_eq!(reply.json()["error"], json!({"code": code, "message": words}), "{reply:?}");
    }
    assert_eq!(world.mcp.seen().len(), seen);
}

#[tokio::test]
async fn batches_live_and_die_with_their_revision() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let batch = format!("[{PING},{PING}]");
    for (version, status) in
        [(None, 200), (Some("2025-03-26"), 200), (Some("2025-06-18"), 400), (Some("2026-07-28"), 400)]
    {
        let ask = RawRequest::post(&batch).bearer(&token);
        let reply = world.ask(&version.into_iter().fold(ask, |ask, v| ask.field("MCP-Protocol-Version", v))).await;
        assert_eq!(reply.status, status, "{version:?}: {reply:?}");
    }
    assert_eq!(world.mcp.seen().len(), 2);
    assert_eq!(world.mcp.last().body, batch.as_bytes());
}

#[tokio::test]
async fn responses_are_posted_in_legacy_sessions_only() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let response = r#"{"jsonrpc":"2.0","id":"s-1","result":{}}"#;
    assert_eq!(
        world.ask(&RawRequest::post(response).bearer(&token).field("MCP-Protocol-Version", "2025-11-25")).await.status,
        200
    );
    world.ask(&RawRequest::modern(response).bearer(&token)).await.assert_rpc(400, -32600, Value::Null);
    assert_eq!(world.mcp.seen().len(), 1);
}

#[tokio::test]
async fn mc_12_a_body_that_does_not_begin_is_not_waited_for() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let late = format!("{}{PING}", " ".repeat(2 << 20));
    let reply = world.ask(&RawRequest::post(late).bearer(&token)).await;
    assert_eq!(reply.json()["error"]["code"], -32700, "{reply:?}");
    let large = json!({"jsonrpc": "2.0", "id": 9, "method": "ping", "params": {"x": "y".repeat(3 << 20)}}).to_string();
    assert_eq!(world.ask(&RawRequest::post(&large).bearer(&token)).await.status, 200);
    assert_eq!(world.mcp.last().body, large.as_bytes());
}

#[tokio::test]
async fn mc_13_only_plain_json_is_taken() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let with = |content_type: &str| {
        RawRequest::new("POST", "/mcp").body(PING).bearer(&token).field("Content-Type", content_type)
    };
    for odd in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", "text/json"]
    {
        assert_eq!(world.ask(&with(odd)).await.status, 415, "{odd}");
    }
    assert_eq!(world.ask(&RawRequest::new("POST", "/mcp").body(PING).bearer(&token)).await.status, 415);
    assert_eq!(world.ask(&with("application/json").field("Content-Type", "text/plain")).await.status, 415);
    assert_eq!(world.ask(&with("application/json").field("Content-Encoding", "gzip")).await.status, 415);
    world.mcp.assert_nothing();
    for fine in ["application/json; charset=utf-8", "Application/JSON", "application/json;"] {
        assert_eq!(world.ask(&with(fine)).await.status, 200, "{fine}");
    }
}

#[tokio::test]
async fn ds_06_a_body_over_the_limit_is_refused_declared_or_not() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let head = RawRequest::new("POST", "/mcp").field("Content-Type", "application/json").bearer(&token);
    for length in ["4194305", "10737418240"] {
        let mut client = world.connect().await;
        client.send(&head.clone().field("Content-Length", length).bytes()).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.field("connection")), (413, Some("close")));
        client.assert_closed().await;
    }
    let mut client = world.connect().await;
    client.send(&head.field("Transfer-Encoding", "chunked").bytes()).await;
    let piece = [b"10000\r\n".as_slice(), &vec![b'x'; 65536], b"\r\n"].concat();
    for _ in 0..64 {
        client.send(&piece).await;
    }
    client.send(b"1\r\nx\r\n").await;
    assert_eq!(client.reply().await.status, 413);
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn ds_02_a_body_that_drips_is_given_up() {
    let world = World::with(|config| config.timeouts.mcp_body = Duration::from_millis(100)).await;
    let token = world.token(MCP).text;
    let mut client = world.connect().await;
    client
        .send(
            &RawRequest::new("POST", "/mcp")
                .field("Content-Type", "application/json")
                .bearer(&token)
                .field("Content-Length", "40")
                .bytes(),
        )
        .await;
    client.send(b"{").await;
    assert_eq!(client.reply().await.status, 408);
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn mc_08_answers_reach_who_asked_though_all_ids_are_the_same() {
    let world = World::new().await;
    let tokens: Vec<String> = (0..50)
        .map(|n| {
            let made = world.make_for(MCP, "use", &format!("user-{n}"));
            world.cache.insert(&made.record);
            made.text
        })
        .collect();
    let asks = (0..500_usize).map(|n| {
        let (world, token) = (&world, &tokens[n % tokens.len()]);
        async move {
            let ask = RawRequest::new("POST", &format!("/mcp?canary={n}"))
                .field("Content-Type", "application/json")
                .body(PING)
                .bearer(token);
            let reply = world.ask(&ask).await;
            assert_eq!(reply.json()["result"]["line"], format!("POST /upstream?canary={n} HTTP/1.1"));
        }
    });
    futures_util::future::join_all(asks).await;
}

fn large(size: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"ping","params":"{}"}}"#, "x".repeat(size))
}

#[tokio::test]
async fn ss_01_large_bodies_that_wait_for_their_upstream_keep_others_from_being_read() {
    let world = World::with(|c| c.upstreams.iter_mut().for_each(|u| u.max_connections = 8)).await;
    let token = |n: usize| world.token_of(MCP, &format!("user-{n}"), "mcp_client_test");
    let mut clients = Vec::new();
    for (n, size) in [1; 8].into_iter().chain([1_000_000; 16]).enumerate() {
        if size == 1 {
            world.mcp.then([Act::Hang]);
        }
        let mut client = world.connect().await;
        client.send(&RawRequest::post(large(size)).bearer(&token(n)).bytes()).await;
        clients.push(client);
    }
    // Eight have a connection; sixteen have sent their bodies and wait for one.
    world.mcp.wait_for_requests(8).await;
    // Nothing shows from outside when all of those were read.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut client = world.connect().await;
    client.send(&RawRequest::post(format!("{{{}", "x".repeat(1_000_000))).bearer(&token(24)).bytes()).await;
    let mut answer = Box::pin(client.reply());

    let early = tokio::time::timeout(Duration::from_secs(1), &mut answer).await;
    assert!(early.is_err(), "a seventeenth was read: {} {}", world.mcp.seen().len(), world.mcp.connections());
    drop(clients.drain(..8));
    for client in &mut clients {
        assert_eq!(client.reply().await.status, 200);
    }
    assert_eq!(answer.await.status, 400, "it is read once there is room");
}

#[tokio::test]
async fn one_user_with_several_clients_leaves_half_of_the_places_for_large_bodies() {
    let world = World::new().await;
    let mut stuck = Vec::new();
    for n in 0..16 {
        let token = world.token_of(MCP, "ada", &format!("mcp_client_{n}"));
        let mut client = world.connect().await;
        let body = large(1_000_000);
        let head = RawRequest::new("POST", "/mcp").field("Content-Type", "application/json").bearer(&token);
        client.send(&head.field("Content-Length", &body.len().to_string()).bytes()).await;
        client.send(&body.as_bytes()[..500_000]).await;
        stuck.push(client);
    }
    // Nothing shows from outside how much of those was read.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let token = world.token_of(MCP, "bob", "mcp_client_1");
    let began = std::time::Instant::now();
    for _ in 0..4 {
        assert_eq!(world.ask(&RawRequest::post(large(1_000_000)).bearer(&token)).await.status, 200);
    }
    // The stuck bodies are given up five seconds after their last byte, and then everyone has room.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
