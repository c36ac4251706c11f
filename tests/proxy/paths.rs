//! HS: targets, methods and framing, where the gateway and not hyper checks them.

use super::client::RawRequest;
use super::upstream::{answer, send};
use super::world::{API, MCP, PING, World};

#[tokio::test]
async fn hs_14_the_route_is_matched_on_raw_bytes() {
    let world = World::new().await;
    let token = world.token(API).text;
    for target in [
        "/mcp/../admin",
        "/%2e%2e/admin",
        "/mcp%2fadmin",
        "/mcp;/admin",
        "/mcp%00",
        "/MCP",
        "/./mcp",
        "/mcp/x",
        "//mcp",
        "/mcp//",
        "/apix",
    ] {
        let reply = world.ask(&RawRequest::new("POST", target).body(PING).bearer(&token)).await;
        assert_eq!(reply.status, 404, "{target}: {reply:?}");
    }
    for rest in [
        "/../admin",
        "/..",
        "/./x",
        "//x",
        "/x//y",
        "/%2e%2e/x",
        "/%2E%2E/x",
        "/x%2fy",
        "/x%5Cy",
        "/x%00",
        "/%252e%252e/x",
        "/%25252e/x",
        "/..;/x",
        "/.;a=b/x",
        "/x%252fy",
        "/;x/admin",
        "/%3bx/admin",
        "/x/;/;",
        "/..%3b/x",
        "/%c0%afadmin/x",
    ] {
        for ask in [
            RawRequest::new("GET", &format!("/api{rest}")),
            RawRequest::new("GET", &format!("/api{rest}")).bearer(&token),
        ] {
            let reply = world.ask(&ask).await;
            assert_eq!(reply.status, 400, "{rest}: {reply:?}");
        }
    }
    world.api.assert_nothing();
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn a_plain_interface_gets_methods_paths_and_queries_as_they_came() {
    let world = World::new().await;
    let token = world.token(API).text;
    let cases = [
        ("GET", "/api", "GET /base HTTP/1.1"),
        ("GET", "/api/", "GET /base/ HTTP/1.1"),
        ("DELETE", "/api/a/b", "DELETE /base/a/b HTTP/1.1"),
        ("PUT", "/api/a%20b;v=1?x=%2F&y", "PUT /base/a%20b;v=1?x=%2F&y HTTP/1.1"),
        ("PATCH", "/api/a?", "PATCH /base/a? HTTP/1.1"),
        ("GET", "/api/100%25", "GET /base/100%25 HTTP/1.1"),
    ];
    for (method, target, line) in cases {
        let ask =
            RawRequest::new(method, target).bearer(&token).field("Accept", "text/csv").field("If-None-Match", "\"1\"");
        let reply = world.ask(&ask).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let seen = world.api.last();
        assert_eq!(seen.line, line);
        assert_eq!((seen.field("accept"), seen.field("if-none-match")), (Some("text/csv"), Some("\"1\"")));
        assert_eq!(seen.field("x-mcpgate-subject"), Some("ada-lovelace-0001"));
    }
    world.api.then([send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n")]);
    let reply = world.ask(&RawRequest::new("GET", "/api/a").bearer(&token)).await;
    assert_eq!((reply.status, reply.field("etag")), (304, Some("\"1\"")));
    world.api.then([send("HTTP/1.1 200 OK\r\nContent-Length: 999\r\nContent-Type: text/csv\r\n\r\n")]);
    let mut client = world.connect().await;
    client.send(&RawRequest::new("HEAD", "/api/a").bearer(&token).bytes()).await;
    let reply = client.head().await;
    assert_eq!((reply.status, reply.field("content-length")), (200, Some("999")));
}

#[tokio::test]
async fn a_query_goes_along_unless_the_operator_has_one() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let ask =
        RawRequest::new("POST", "/mcp?profile=a").field("Content-Type", "application/json").body(PING).bearer(&token);
    assert_eq!(world.ask(&ask).await.status, 200);
    assert_eq!(world.mcp.last().line, "POST /upstream?profile=a HTTP/1.1");
    let world = World::with(|config| {
        for upstream in config.upstreams.iter_mut().filter(|u| u.name == "main") {
            upstream.url.set_query(Some("key=1"));
        }
    });
    let world = world.await;
    let ask = RawRequest::new("POST", "/mcp?key=2").field("Content-Type", "application/json").body(PING);
    assert_eq!(world.ask(&ask.bearer(&world.token(MCP).text)).await.status, 200);
    assert_eq!(world.mcp.last().line, "POST /upstream?key=1 HTTP/1.1");
}

#[tokio::test]
async fn hs_11_mc_14_methods_follow_the_era() {
    let world = World::new().await;
    let mcp = world.token(MCP).text;
    for method in ["PUT", "PATCH", "BREW"] {
        let reply = world.ask(&RawRequest::new(method, "/mcp").bearer(&mcp)).await;
        assert_eq!((reply.status, reply.field("allow")), (405, Some("GET, POST, DELETE, OPTIONS")), "{method}");
    }
    for method in ["GET", "DELETE", "PUT"] {
        let reply =
            world.ask(&RawRequest::new(method, "/mcp").bearer(&mcp).field("MCP-Protocol-Version", "2026-07-28")).await;
        assert_eq!((reply.status, reply.field("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
    world.mcp.assert_nothing();
    world.api.assert_nothing();
    for method in ["GET", "DELETE"] {
        world.mcp.then([answer("405 Method Not Allowed\r\nAllow: POST", "")]);
        let reply =
            world.ask(&RawRequest::new(method, "/mcp").bearer(&mcp).field("MCP-Protocol-Version", "2025-06-18")).await;
        assert_eq!((reply.status, reply.field("allow")), (405, Some("POST")), "the upstream's own Allow is forwarded");
    }
}

#[tokio::test]
async fn hs_07_a_body_where_none_belongs_is_refused() {
    let world = World::new().await;
    let (mcp, api) = (world.token(MCP).text, world.token(API).text);
    for (method, target, token) in [("GET", "/mcp", &mcp), ("DELETE", "/mcp", &mcp), ("GET", "/api/x", &api)] {
        let reply = world.ask(&RawRequest::new(method, target).bearer(token).body("hello")).await;
        assert_eq!(reply.status, 400, "{method} {target}: {reply:?}");
        let smuggled = RawRequest::new(method, target).bearer(token).field("Transfer-Encoding", "chunked").bytes();
        let reply = world.raw(&[smuggled.as_slice(), b"5\r\nhello\r\n0\r\n\r\n"].concat()).await;
        assert_eq!(reply.status, 400, "{method} {target}: {reply:?}");
    }
    world.mcp.assert_nothing();
    world.api.assert_nothing();
}

#[tokio::test]
async fn hs_01_both_lengths_reach_the_upstream_as_one_of_ours() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let chunked = format!("{:x}\r\n{PING}\r\n0\r\n\r\n", PING.len());
    for fields in ["Content-Length: 3\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 3"]
    {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{fields}\r\n\r\n"
        );
        let before = world.mcp.seen().len();
        let reply = world.raw(format!("{head}{chunked}").as_bytes()).await;
        if reply.status == 200 {
            let seen = world.mcp.last();
            assert_eq!((seen.field("content-length"), seen.field("transfer-encoding")), (Some("40"), None));
            assert_eq!(seen.body, PING.as_bytes());
        } else {
            assert_eq!((reply.status, world.mcp.seen().len()), (400, before));
        }
    }
}

#[tokio::test]
async fn who_waits_for_100_is_told_to_continue() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let mut client = world.connect().await;
    client.send(&RawRequest::post(PING).bearer(&token).field("Expect", "100-continue").bytes()).await;
    assert_eq!(client.head().await.status, 100);
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(world.mcp.last().field("expect"), None);
}

#[tokio::test]
async fn hs_10_an_upgrade_is_not_forwarded_and_what_follows_is_a_request_of_its_own() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    for protocol in ["h2c", "websocket"] {
        let mut client = world.connect().await;
        let first = RawRequest::post(PING).bearer(&token).field("Connection", "Upgrade").field("Upgrade", protocol);
        client.send(&[first.bytes(), RawRequest::post(PING).bytes()].concat()).await;
        assert_eq!(client.reply().await.status, 200);
        assert_eq!(world.mcp.last().field("upgrade"), None);
        assert_eq!(client.reply().await.status, 401, "the bytes behind it carry no token");
    }
    world.mcp.then([send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")]);
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 502);
}

#[tokio::test]
async fn hs_12_pipelined_requests_are_answered_in_order_each_by_its_own_token() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let mut client = world.connect().await;
    let all: Vec<u8> = (0..200)
        .flat_map(|n| {
            let ask = RawRequest::post(format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"ping"}}"#));
            if n % 2 == 0 { ask.bearer(&token).bytes() } else { ask.bytes() }
        })
        .collect();
    client.send(&all).await;
    for n in 0..200 {
        let reply = client.reply().await;
        match n % 2 {
            0 => assert_eq!((reply.status, reply.json()["id"].as_u64()), (200, Some(n))),
            _ => assert_eq!(reply.status, 401),
        }
    }
}

#[tokio::test]
async fn hs_18_trailers_are_dropped() {
    let world = World::new().await;
    let api = world.token(API).text;
    let head = RawRequest::new("POST", "/api/x")
        .bearer(&api)
        .field("Transfer-Encoding", "chunked")
        .field("Trailer", "X-Mcpgate-Subject");
    let body = b"2\r\nhi\r\n0\r\nX-Mcpgate-Subject: admin\r\nAuthorization: Bearer x\r\n\r\n";
    world.api.then([send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: a=b\r\n\r\n",
    )]);
    let reply = world.raw(&[head.bytes().as_slice(), body].concat()).await;
    assert_eq!((reply.status, reply.text(), reply.complete), (200, "ok", true));
    let seen = world.api.last();
    assert_eq!((seen.body.as_slice(), seen.field("trailer")), (b"hi".as_slice(), None));
}
