//! HD: which header fields reach the upstream, and which fields of its answer reach the client.

use super::client::RawRequest;
use super::never_forwarded::NEVER_FORWARDED;
use super::upstream::answer;
use super::world::{API, MCP, PING, REQUEST_ID, World};

#[tokio::test]
async fn the_head_that_goes_upstream_holds_what_is_listed_and_nothing_else() {
    let world = World::new().await;
    let made = world.token(MCP);
    let ask = RawRequest::post(PING)
        .bearer(&made.text)
        .field("Accept", "*/*")
        .field("Accept-Encoding", "gzip, br")
        .field("User-Agent", "test/1")
        .field("MCP-Protocol-Version", "2025-06-18")
        .field("Mcp-Param-Region", "us-west1")
        .field("X-Custom", "gone")
        .field("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .field("tracestate", "a=b")
        .field("baggage", "user=eve");
    assert_eq!(world.ask(&ask).await.status, 200);
    let seen = world.mcp.last();
    let mut fields: Vec<(String, String)> =
        seen.fields.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).filter(|(n, _)| n != "host").collect();
    fields.sort();
    let expected = [
        ("accept", "application/json, text/event-stream"),
        ("accept-encoding", "identity"),
        ("content-length", "40"),
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2025-06-18"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "a=b"),
        ("user-agent", "test/1"),
        ("via", "1.1 mcpgate"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "gw.example"),
        ("x-forwarded-proto", "https"),
        ("x-mcpgate-client", "mcp_client_test"),
        ("x-mcpgate-request-id", REQUEST_ID),
        ("x-mcpgate-scopes", "use"),
        ("x-mcpgate-subject", made.record.subject.as_str()),
        ("x-mcpgate-tenant", "default"),
        ("x-mcpgate-user", "ada"),
        ("x-upstream-key", "s3cret"),
    ];
    assert_eq!(fields, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(seen.field("host"), Some(&*world.mcp.address.to_string()));
    assert_eq!((seen.line.as_str(), seen.body.as_slice()), ("POST /upstream HTTP/1.1", PING.as_bytes()));
}

#[tokio::test]
async fn a_trace_is_begun_where_none_came_and_a_broken_one_is_replaced() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    for broken in [None, Some("00-zz-1-01")] {
        let ask = RawRequest::post(PING).bearer(&token).field("tracestate", "a=b");
        world.ask(&broken.into_iter().fold(ask, |ask, b| ask.field("traceparent", b))).await;
        let seen = world.mcp.last();
        let parent = seen.field("traceparent").unwrap();
        // The request id leads to the trace.
        assert_eq!(parent, format!("00-{REQUEST_ID}-0101010101010101-00"));
        assert_eq!(seen.field("tracestate"), None);
    }
}

#[tokio::test]
async fn hd_01_hd_02_connection_cannot_remove_what_is_ours() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let lists = ["close, Authorization", "X-Mcpgate-Subject, X-Forwarded-For, MCP-Protocol-Version, X-Upstream-Key"];
    for list in lists {
        let reply = world.ask(&RawRequest::post(PING).bearer(&token).field("Connection", list)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let seen = world.mcp.last();
        assert_eq!(seen.field("x-upstream-key"), Some("s3cret"));
        assert_eq!(seen.field("x-forwarded-for"), Some("192.0.2.7"));
        assert!(seen.field("x-mcpgate-subject").is_some());
        assert_eq!(seen.field("connection"), None);
    }
}

#[tokio::test]
async fn hd_05_hd_06_hd_09_credentials_addresses_and_hops_of_a_client_never_arrive() {
    let world = World::new().await;
    for (resource, target, upstream) in [(MCP, "/mcp", &world.mcp), (API, "/api/x", &world.api)] {
        let token = world.token(resource).text;
        let ask = RawRequest::new("POST", target).field("Content-Type", "application/json").body(PING).bearer(&token);
        // Other tests cover the fields that describe the framing of the message, and those that a web page sends.
        let elsewhere = ["Authorization", "Transfer-Encoding", "Content-Length", "Upgrade", "Expect", "Origin"];
        let fields = NEVER_FORWARDED.iter().filter(|name| !elsewhere.contains(name));
        let ask = fields.fold(ask, |ask, name| ask.field(name, "trailers"));
        assert_eq!(world.ask(&ask).await.status, 200);
        let seen = upstream.last();
        assert_eq!(seen.field("authorization"), None);
        assert!(seen.fields.iter().all(|(_, value)| value != "trailers" && !value.contains(&token)), "{seen:?}");
    }
}

#[tokio::test]
async fn what_content_conditions_and_parts_need_passes_to_a_plain_http_interface_and_back() {
    let world = World::new().await;
    let token = world.token(API).text;
    let asked = [
        ("Accept", "text/event-stream"),
        ("Accept-Charset", "utf-8"),
        ("Accept-Encoding", "gzip"),
        ("Accept-Language", "de"),
        ("Cache-Control", "no-cache"),
        ("Content-Disposition", "attachment"),
        ("Content-Encoding", "gzip"),
        ("Content-Language", "de"),
        ("Content-Range", "bytes 0-39/80"),
        ("Content-Type", "text/plain"),
        ("Idempotency-Key", "\"k\""),
        ("If-Match", "\"a\""),
        ("If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("If-None-Match", "\"b\""),
        ("If-Range", "\"c\""),
        ("If-Unmodified-Since", "Fri, 02 Jan 2026 00:00:00 GMT"),
        // The field that resumes an event stream.
        ("Last-Event-ID", "41"),
        ("Prefer", "respond-async"),
        ("Range", "bytes=0-9"),
        ("Repr-Digest", "sha-256=:AA==:"),
        ("Want-Repr-Digest", "sha-256=1"),
    ];
    let answered = [
        ("Accept-Patch", "application/json"),
        ("Accept-Ranges", "bytes"),
        ("Content-Range", "bytes 0-1/2"),
        ("ETag", "\"a\""),
        ("Preference-Applied", "respond-async"),
        ("Retry-After", "3"),
        ("Want-Content-Digest", "sha-256=1"),
    ];
    let fields: String = answered.iter().map(|(n, v)| format!("\r\n{n}: {v}")).collect();
    world.api.then([answer(&format!("206 Partial Content\r\nContent-Type: text/plain{fields}"), "ok")]);
    let ask = RawRequest::new("PUT", "/api/x").body(PING).bearer(&token);
    let reply = world.ask(&asked.iter().fold(ask, |ask, (name, value)| ask.field(name, value))).await;
    assert_eq!(reply.status, 206, "{reply:?}");
    let seen = world.api.last();
    for (name, value) in asked {
        assert_eq!(seen.field(name), Some(value), "{name}");
    }
    for (name, value) in answered {
        assert_eq!(reply.field(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn hd_14_an_answer_says_nothing_about_this_origin() {
    let world = World::new().await;
    let removed = [
        ("Set-Cookie", "a=b"),
        ("WWW-Authenticate", "Bearer realm=\"x\""),
        ("Server", "node"),
        ("X-Powered-By", "Express"),
        ("Strict-Transport-Security", "max-age=0"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Alt-Svc", "h3=\":443\""),
        ("Clear-Site-Data", "\"*\""),
        ("Content-Security-Policy", "default-src *"),
        ("Location", "http://10.0.0.1/"),
        ("Keep-Alive", "timeout=5"),
        ("Refresh", "0; url=http://evil.example/"),
    ];
    for (resource, target, upstream) in [(MCP, "/mcp", &world.mcp), (API, "/api/x", &world.api)] {
        let token = world.token(resource).text;
        let fields: String = removed.iter().map(|(n, v)| format!("\r\n{n}: {v}")).collect();
        upstream.then([answer(&format!("200 OK\r\nContent-Type: application/json{fields}\r\nRetry-After: 3"), "{}")]);
        let ask = RawRequest::new("POST", target).field("Content-Type", "application/json").body(PING).bearer(&token);
        let reply = world.ask(&ask).await;
        assert_eq!((reply.status, reply.text()), (200, "{}"));
        for (name, _) in removed {
            assert_eq!(reply.field(name), None, "{name}");
        }
        assert_eq!(reply.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.field("retry-after"), Some("3"));
    }
}

#[tokio::test]
async fn mc_01_pages_of_other_origins_are_refused_before_anything_else() {
    let world = World::with(|config| config.allowed_origins = vec!["https://page.example".to_owned()]).await;
    let token = world.token(MCP).text;
    for origin in ["https://evil.example", "null", "http://gw.example", "https://page.example.evil.example", ""] {
        for ask in [RawRequest::post(PING), RawRequest::post(PING).bearer(&token), RawRequest::new("OPTIONS", "/mcp")] {
            let reply = world.ask(&ask.field("Origin", origin)).await;
            assert_eq!(reply.status, 403, "{origin}: {reply:?}");
            assert_eq!(reply.field("www-authenticate"), None);
            assert_eq!(reply.field("access-control-allow-origin"), None);
        }
    }
    world.mcp.assert_nothing();
    for origin in ["https://page.example", "https://gw.example"] {
        for (ask, status) in [(RawRequest::post(PING).bearer(&token), 200), (RawRequest::post(PING), 401)] {
            let reply = world.ask(&ask.field("Origin", origin)).await;
            assert_eq!((reply.status, reply.field("access-control-allow-origin")), (status, Some(origin)));
            let exposed = reply.field("access-control-expose-headers").unwrap();
            assert!(exposed.contains("WWW-Authenticate") && exposed.contains("Mcp-Session-Id"), "{exposed}");
            assert_eq!(reply.field("access-control-allow-credentials"), None);
            assert_eq!(reply.field("vary"), Some("Origin"));
        }
    }
}

#[tokio::test]
async fn up_11_what_is_neither_json_nor_events_is_inert() {
    let world = World::new().await;
    let (mcp, api) = (world.token(MCP).text, world.token(API).text);
    let page = || answer("200 OK\r\nContent-Type: text/html; charset=utf-8", "<script>alert(1)</script>");
    world.mcp.then([page()]);
    let reply = world.ask(&RawRequest::post(PING).bearer(&mcp)).await;
    assert_eq!((reply.status, reply.text().contains("script")), (502, false), "a page answers no request");
    world.mcp.then([answer("404 Not Found\r\nContent-Type: text/html", "<script>alert(1)</script>")]);
    let reply = world.ask(&RawRequest::post(PING).bearer(&mcp)).await;
    assert_eq!((reply.status, reply.field("content-type")), (404, Some("application/octet-stream")));
    assert!(reply.field("content-security-policy").unwrap().starts_with("sandbox"));
    world.api.then([page()]);
    let reply = world.ask(&RawRequest::new("GET", "/api/page").bearer(&api)).await;
    assert_eq!(reply.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.field("content-security-policy").unwrap().starts_with("sandbox"));
    assert_eq!(reply.field("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn up_11_an_answer_of_several_types_or_none_is_inert() {
    let world = World::new().await;
    let (mcp, api) = (world.token(MCP).text, world.token(API).text);
    let two = |one: &str, other: &str| format!("200 OK\r\nContent-Type: {one}\r\nContent-Type: {other}");
    for head in [
        two("application/json", "text/html"),
        two("text/event-stream", "text/html"),
        two("application/json", "application/json"),
        "200 OK\r\nContent-Type: application/json;a=b, text/html".to_owned(),
        "200 OK".to_owned(),
    ] {
        for (target, token, upstream) in [("/mcp", &mcp, &world.mcp), ("/api/page", &api, &world.api)] {
            upstream.then([answer(&head, "<script>alert(1)</script>")]);
            let ask =
                RawRequest::new("POST", target).field("Content-Type", "application/json").body(PING).bearer(token);
            let reply = world.ask(&ask).await;
            assert!(reply.field("content-security-policy").is_some_and(|v| v.starts_with("sandbox")), "{reply:?}");
            assert_eq!(reply.field("x-content-type-options"), Some("nosniff"));
            let declared = reply.field("content-type");
            assert!(declared.is_none_or(|v| v == "application/octet-stream" || v.contains(',')), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn hs_06_what_ends_in_bare_line_feeds_is_refused_or_written_with_both() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let head = "POST /mcp HTTP/1.1\nHost: gw.example\nContent-Type: application/json\nAccept-Language: de\n";
    let reply = world
        .raw(format!("{head}Authorization: Bearer {token}\nContent-Length: {}\n\n{PING}", PING.len()).as_bytes())
        .await;
    let seen = world.mcp.seen();
    match reply.status {
        400 => assert!(seen.is_empty()),
        // This upstream accepts only CRLF as the end of a line, so a bare LF or CR would show in what it parsed.
        200 => {
            let seen = &seen[0];
            assert_eq!((seen.line.as_str(), seen.field("accept-language")), ("POST /upstream HTTP/1.1", Some("de")));
            let texts = seen.fields.iter().flat_map(|(name, value)| [name, value]);
            assert!(texts.chain([&seen.line]).all(|text| !text.contains(['\r', '\n'])), "{seen:?}");
        }
        other => panic!("{other}: {reply:?}"),
    }
}
