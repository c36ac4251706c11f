//! UP-06: redirects of upstreams. Within its own path, a redirect of an MCP server is followed once; that of a plain
//! HTTP interface is forwarded with its Location mapped. Any other redirect is a fault.

use serde_json::json;

use super::client::RawRequest;
use super::log::Log;
use super::upstream::{Upstream, answer};
use super::world::{API, MCP, PING, World};

fn redirect(upstream: &Upstream, status: &str, to: &str) {
    upstream.then([answer(&format!("{status}\r\nLocation: {to}"), "moved")]);
}

const TEMPORARY: &str = "307 Temporary Redirect";
const PERMANENT: &str = "308 Permanent Redirect";

#[tokio::test]
async fn up_06_a_redirect_within_the_servers_own_path_is_followed_once_with_all_that_was_sent() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let here = world.mcp.address;
    let log = Log::start();
    for (n, to) in [
        "/upstream/".to_owned(),
        "upstream/".to_owned(),
        format!("http://{here}/upstream/"),
        // A server may take https from X-Forwarded-Proto, or know of a proxy in front of it. Host and port stay the
        // same.
        format!("https://{here}/upstream/"),
        format!("//{here}/upstream/"),
        "/upstream/v1?a=b#c".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay"}}"#;
        redirect(&world.mcp, TEMPORARY, to);
        let reply = world.ask(&RawRequest::post(call).bearer(&token).field("Accept-Language", "de")).await;
        assert_eq!((reply.status, &reply.json()["id"]), (200, &json!(7)), "{to}: {reply:?}");
        assert_eq!(reply.field("location"), None);
        let seen = world.mcp.seen();
        let [first, second] = &seen[2 * n..] else { panic!("asked twice, not {}", seen.len()) };
        assert_eq!(first.line, "POST /upstream HTTP/1.1");
        let path = if to.contains("v1") { "/upstream/v1?a=b" } else { "/upstream/" };
        assert_eq!(second.line, format!("POST {path} HTTP/1.1"));
        assert_eq!((&second.body, &second.connection), (&first.body, &0), "the connection is used again");
        let but_trace = |seen: &super::upstream::Seen| {
            let mut fields = seen.fields.clone();
            fields.retain(|(name, _)| name != "traceparent");
            fields
        };
        assert_eq!(but_trace(first), but_trace(second));
    }
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 2, "each URL is named once: {warnings:?}");
    assert!(warnings[0].contains(&format!("url = \"http://{here}/upstream/\"")), "{warnings:?}");
    assert!(warnings[1].contains(&format!("url = \"http://{here}/upstream/v1\"")), "{warnings:?}");
}

#[tokio::test]
async fn up_06_a_permanent_redirect_is_remembered_until_it_leads_nowhere_and_a_temporary_one_is_not() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let ask = || RawRequest::post(PING).bearer(&token);
    let lines = || world.mcp.seen().iter().map(|s| s.line.split(' ').nth(1).unwrap().to_owned()).collect::<Vec<_>>();
    redirect(&world.mcp, TEMPORARY, "/upstream/");
    assert_eq!(world.ask(&ask()).await.status, 200);
    redirect(&world.mcp, PERMANENT, "/upstream/?a=b");
    let with_query =
        RawRequest::new("POST", "/mcp?a=b").field("Content-Type", "application/json").body(PING).bearer(&token);
    assert_eq!(world.ask(&with_query).await.status, 200);
    assert_eq!(world.ask(&ask()).await.status, 200);
    assert_eq!(world.ask(&with_query).await.status, 200);
    let asked = ["/upstream", "/upstream/", "/upstream?a=b", "/upstream/?a=b", "/upstream/", "/upstream/?a=b"];
    assert_eq!(lines(), asked, "the query of one client is not used for another");
    world.mcp.then([answer("404 Not Found", "")]);
    assert_eq!(world.ask(&ask()).await.status, 404);
    assert_eq!(world.ask(&ask()).await.status, 200);
    assert_eq!(lines()[asked.len()..], ["/upstream/", "/upstream"]);
    redirect(&world.mcp, &format!("{PERMANENT}\r\nCache-Control: private"), "/upstream/ada");
    assert_eq!(world.ask(&ask()).await.status, 200);
    assert_eq!(world.ask(&ask()).await.status, 200);
    assert_eq!(
        lines()[asked.len() + 2..],
        ["/upstream", "/upstream/ada", "/upstream"],
        "the redirect was for that caller"
    );
}

#[tokio::test]
async fn up_06_a_redirect_to_another_place_is_neither_followed_nor_passed_on() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let other = world.alpha.address;
    let here = world.mcp.address;
    let log = Log::start();
    for (status, to) in [
        ("301 Moved Permanently", "/upstream/".to_owned()),
        ("302 Found", "/upstream/".to_owned()),
        ("303 See Other", "/upstream/".to_owned()),
        (TEMPORARY, format!("http://{other}/upstream/")),
        (PERMANENT, format!("http://{other}/upstream/")),
        (PERMANENT, format!("http://user@{here}/upstream/")),
        (PERMANENT, format!("http://{here}.evil.example/upstream/")),
        (TEMPORARY, "http://169.254.169.254/latest/meta-data".to_owned()),
        (TEMPORARY, "https://gw.example/mcp".to_owned()),
        (TEMPORARY, "ftp://127.0.0.1/upstream/".to_owned()),
        (TEMPORARY, "/upstream".to_owned()),
        (TEMPORARY, "/upstreams".to_owned()),
        (TEMPORARY, "/upstream/../admin".to_owned()),
        (TEMPORARY, "/upstream/%2e%2e/admin".to_owned()),
        (TEMPORARY, "/upstream/..%2fadmin".to_owned()),
        (TEMPORARY, "/upstream//x".to_owned()),
        (TEMPORARY, "/".to_owned()),
    ] {
        redirect(&world.mcp, status, &format!("{to}?secret=s3cret"));
        let before = world.mcp.seen().len();
        let query = RawRequest::new("POST", "/mcp?secret=s3cret").field("Content-Type", "application/json");
        let reply = world.ask(&query.body(PING).bearer(&token)).await;
        reply.assert_rpc(502, -32603, json!(7));
        assert_eq!((reply.field("location"), reply.text().contains("secret")), (None, false), "{reply:?}");
        assert_eq!(world.mcp.seen().len(), before + 1, "{status} {to}");
        let warnings = log.warnings();
        assert!(warnings[0].contains("cause=\"redirect\"") && warnings[0].contains(&to), "{warnings:?}");
        assert!(!warnings[0].contains("s3cret"), "{warnings:?}");
    }
    world.alpha.assert_nothing();
    // A second redirect is not followed.
    redirect(&world.mcp, TEMPORARY, "/upstream/a");
    redirect(&world.mcp, TEMPORARY, "/upstream/b");
    world.ask(&RawRequest::post(PING).bearer(&token)).await.assert_rpc(502, -32603, json!(7));
}

#[tokio::test]
async fn up_06_a_large_message_is_followed_once_redirects_are_known() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let text = "x".repeat(300_000);
    let call =
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"a","arguments":"{text}"}}}}"#);
    for status in [502, 200] {
        redirect(&world.mcp, TEMPORARY, "/upstream/");
        assert_eq!(world.ask(&RawRequest::post(&call).bearer(&token)).await.status, status);
    }
    assert_eq!(world.mcp.last().body, call.as_bytes());
    redirect(&world.mcp, PERMANENT, "/upstream/");
    assert_eq!(world.ask(&RawRequest::new("GET", "/mcp").bearer(&token)).await.status, 200);
    assert_eq!(world.mcp.last().line, "GET /upstream/ HTTP/1.1");
}

#[tokio::test]
async fn up_06_a_redirect_of_a_plain_interface_passes_with_its_location_mapped() {
    let world = World::new().await;
    let token = world.token(API).text;
    let here = world.api.address;
    for (asked, to, mapped) in [
        ("/api/x", "/base/y".to_owned(), Some("/api/y")),
        ("/api/x/z", "y?a=b#c".to_owned(), Some("/api/x/y?a=b#c")),
        ("/api/x/z", "../y".to_owned(), Some("/api/y")),
        ("/api", "/base/".to_owned(), Some("/api/")),
        ("/api/", "/base".to_owned(), Some("/api")),
        ("/api/x", format!("http://{here}/base/y"), Some("/api/y")),
        ("/api/x", format!("https://{here}/base/y"), Some("/api/y")),
        ("/api/x", "?page=2".to_owned(), Some("/api/x?page=2")),
        ("/api/x", "/elsewhere".to_owned(), None),
        ("/api/x", "/based/y".to_owned(), None),
        ("/api/x", "../../../y".to_owned(), None),
        ("/api/x", "/base/%2e%2e/y".to_owned(), None),
        ("/api/x", "//evil.example/base/y".to_owned(), None),
        ("/api/x", "http://10.0.0.1/base/y".to_owned(), None),
        ("/api/x", "javascript:alert(1)".to_owned(), None),
    ] {
        for status in ["301 Moved", "302 Found", "303 See Other", TEMPORARY, PERMANENT] {
            redirect(&world.api, status, &to);
            let reply = world.ask(&RawRequest::new("GET", asked).bearer(&token)).await;
            let passed = mapped.map_or(502, |_| status[..3].parse().unwrap());
            assert_eq!((reply.status, reply.field("location")), (passed, mapped), "{asked}: {status} {to}: {reply:?}");
        }
        // Location and Content-Location of a created resource: if they cannot be mapped, the answer is passed without
        // them.
        world.api.then([answer(&format!("201 Created\r\nLocation: {to}\r\nContent-Location: {to}"), "")]);
        let reply = world.ask(&RawRequest::new("POST", asked).bearer(&token).body("{}")).await;
        let fields = (reply.field("location"), reply.field("content-location"));
        assert_eq!((reply.status, fields), (201, (mapped, mapped)), "{to}");
    }
    world.api.then([answer("302 Found\r\nLocation: /base/a\r\nLocation: /base/b", "")]);
    assert_eq!(
        world.ask(&RawRequest::new("GET", "/api/x").bearer(&token)).await.status,
        502,
        "two values are ambiguous"
    );
    world.api.then([answer("300 Multiple Choices", "choose")]);
    let reply = world.ask(&RawRequest::new("GET", "/api/x").bearer(&token)).await;
    assert_eq!((reply.status, reply.text()), (300, "choose"));
}

#[tokio::test]
async fn what_needed_a_token_is_kept_by_no_shared_cache() {
    let world = World::new().await;
    let (mcp, api) = (world.token(MCP).text, world.token(API).text);
    let head = "200 OK\r\nContent-Type: application/json\r\nAge: 7\r\nETag: \"a\"";
    for (said, passed) in [("", "private"), ("\r\nCache-Control: public, s-maxage=9, max-age=5", "private, max-age=5")]
    {
        world.api.then([answer(&format!("{head}{said}"), "{}")]);
        let reply = world.ask(&RawRequest::new("GET", "/api/x").bearer(&api)).await;
        assert_eq!(reply.field("cache-control"), Some(passed));
        assert_eq!((reply.field("age"), reply.field("etag")), (Some("7"), Some("\"a\"")));
        world.mcp.then([answer(&format!("{head}{said}"), "{}")]);
        let reply = world.ask(&RawRequest::post(PING).bearer(&mcp)).await;
        assert_eq!((reply.field("cache-control"), reply.field("age")), (Some("no-store"), None));
    }
}
