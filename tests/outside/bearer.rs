//! TV: the token check of every request to an upstream.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::expect;
use crate::refresh::within_a_second;
use crate::shared::{self, CALLBACK, Shared, application};
use crate::support::client::{Client, Reply, call, request};
use crate::support::gateway::Home;
use crate::support::password::PASSWORD;
use crate::support::upstream::{Seen, Upstream};

fn issue(shared: &Shared, upstream: &str) -> String {
    let issued = shared.home.command(&["token", "issue", "--user", "admin", "--upstream", upstream]);
    issued["access_token"].as_str().expect("a token").to_owned()
}

fn authorized_by(values: &[&str], marker: &str) -> Request<Full<Bytes>> {
    let mut asked = call("/mcp", "", marker);
    asked.headers_mut().remove("authorization");
    for value in values {
        asked.headers_mut().append("authorization", value.parse().expect("a value"));
    }
    asked
}

async fn ask(shared: &Shared, values: &[&str], marker: &str) -> Reply {
    Client::new(&shared.home).send(authorized_by(values, marker)).await
}

#[tokio::test]
async fn tv_01_without_a_token_nothing_reaches_the_upstream() {
    let shared = shared::gateway().await;
    let mut client = Client::new(&shared.home);
    expect::challenged(&ask(shared, &[], "tv-01").await, &shared.home.origin(), "/mcp", None);
    for method in [Method::GET, Method::DELETE, Method::POST, Method::PUT, Method::HEAD] {
        let reply = client.send(request(method.clone(), "/mcp?tv-01", &[("accept", "*/*")], "")).await;
        expect::challenged(&reply, &shared.home.origin(), "/mcp", None);
        assert!(reply.header("www-authenticate").contains("scope=\"files:read\""), "{method}: {reply:?}");
    }
    assert!(shared.upstream.seen("tv-01").is_empty());
}

#[tokio::test]
async fn tv_02_only_the_bearer_scheme_counts_in_any_case() {
    let shared = shared::gateway().await;
    let token = issue(shared, "files");
    for scheme in [format!("Basic {token}"), format!("Token {token}")] {
        expect::challenged(&ask(shared, &[&scheme], "tv-02").await, &shared.home.origin(), "/mcp", None);
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(ask(shared, &[&format!("{scheme} {token}")], "tv-02").await.status, 200, "{scheme}");
    }
    assert_eq!(shared.upstream.seen("tv-02").len(), 3);
}

#[tokio::test]
async fn tv_03_a_malformed_header_is_a_bad_request() {
    let shared = shared::gateway().await;
    let token = issue(shared, "files");
    for value in [
        format!("Bearer\t{token}"),
        format!("Bearer {token},"),
        format!("Bearer \"{token}\""),
        format!("Bearer {token} {token}"),
    ] {
        let reply = ask(shared, &[&value], "tv-03").await;
        assert_eq!(reply.status, 400, "{value}: {reply:?}");
        assert!(reply.header("www-authenticate").contains("error=\"invalid_request\""), "{reply:?}");
    }
    let mut binary = authorized_by(&[], "tv-03");
    let bytes = hyper::header::HeaderValue::from_bytes(b"Bearer mcp_access_\xff\xfe").expect("obs-text");
    binary.headers_mut().insert("authorization", bytes);
    assert_eq!(Client::new(&shared.home).send(binary).await.status, 400);
    let long = format!("Bearer {}", "a".repeat(64 * 1024));
    assert_eq!(ask(shared, &[&long], "tv-03").await.status, 431);
    assert!(shared.upstream.seen("tv-03").is_empty());
}

#[tokio::test]
async fn an_empty_bearer_starts_the_login() {
    let shared = shared::gateway().await;
    for value in ["Bearer", "Bearer ", "bearer  "] {
        expect::challenged(&ask(shared, &[value], "an-empty-bearer").await, &shared.home.origin(), "/mcp", None);
    }
    assert!(shared.upstream.seen("an-empty-bearer").is_empty());
    let two_spaces = format!("Bearer  {}", issue(shared, "files"));
    assert_eq!(ask(shared, &[&two_spaces], "two-spaces").await.status, 200);
}

#[tokio::test]
async fn tv_04_two_tokens_are_one_too_many() {
    let shared = shared::gateway().await;
    let value = format!("Bearer {}", issue(shared, "files"));
    assert_eq!(ask(shared, &[&value, &value], "tv-04").await.status, 400);
    assert_eq!(ask(shared, &[&format!("{value}, {value}")], "tv-04").await.status, 400);
    assert!(shared.upstream.seen("tv-04").is_empty());
}

#[tokio::test]
async fn tv_05_a_token_in_the_address_or_a_form_is_no_token() {
    let shared = shared::gateway().await;
    let token = issue(shared, "files");
    let mut client = Client::new(&shared.home);
    let target = format!("/mcp?tv-05&access_token={token}");
    let reply = client.send(request(Method::POST, &target, &[("content-type", "application/json")], "{}")).await;
    expect::challenged(&reply, &shared.home.origin(), "/mcp", None);
    let reply = client.post_form("/mcp?tv-05", &[("access_token", &token)]).await;
    expect::challenged(&reply, &shared.home.origin(), "/mcp", None);
    let mut both = authorized_by(&[&format!("Bearer {token}")], "tv-05");
    *both.uri_mut() = target.parse().expect("a target");
    assert_eq!(client.send(both).await.status, 400);
    let form = [("content-type", "application/x-www-form-urlencoded"), ("authorization", &format!("Bearer {token}"))];
    let both = request(Method::POST, "/mcp?tv-05", &form, format!("access_token={token}"));
    assert_eq!(client.send(both).await.status, 415, "a form is not a message, whatever the token");
    assert!(shared.upstream.seen("tv-05").is_empty());
    let log = std::fs::read_to_string(shared.home.log()).expect("the log");
    assert!(!log.contains(&token), "the token is in the log");
}

#[tokio::test]
async fn tv_06_tv_13_tv_18_what_is_no_access_token_of_ours_is_invalid() {
    let shared = shared::gateway().await;
    let token = issue(shared, "files");
    let last = if token.ends_with('0') { '1' } else { '0' };
    let damaged = format!("{}{last}", &token[..token.len() - 1]);
    let middle = format!("{}{}{}", &token[..30], if &token[30..31] == "A" { "B" } else { "A" }, &token[31..]);
    let session = "a".repeat(43);
    for foreign in [
        damaged.as_str(),
        &middle,
        &session,
        "ya29.a0AfH6SMBx-foreign",
        "eyJhbGciOiJub25lIn0.e30.",
        "mcp_access_",
        "mcp_client_abcdef",
        "mcp_secret_abcdef",
    ] {
        let reply = ask(shared, &[&format!("Bearer {foreign}")], "tv-06").await;
        expect::challenged(&reply, &shared.home.origin(), "/mcp", Some("invalid_token"));
    }
    assert!(shared.upstream.seen("tv-06").is_empty());
}

#[tokio::test]
async fn tv_09_a_revocation_holds_for_the_next_request() {
    let (shared, application) = application(CALLBACK).await;
    let tokens = application.tokens(&shared.home).await;
    let mut client = Client::new(&shared.home);
    assert_eq!(client.call("/mcp", &tokens.access, "tv-09").await.status, 200);
    let reply = application.revoke(&mut client, &tokens.refresh).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    let reply = client.call("/mcp", &tokens.access, "tv-09").await;
    expect::challenged(&reply, &shared.home.origin(), "/mcp", Some("invalid_token"));
    assert_eq!(shared.upstream.seen("tv-09").len(), 1);
    // RFC 7009 2.2: revoking an unknown token succeeds.
    assert_eq!(application.revoke(&mut client, "unknown").await.status, 200);
}

#[tokio::test]
async fn a_revocation_by_the_operator_holds_within_a_second() {
    let (shared, application) = application(CALLBACK).await;
    let tokens = application.tokens(&shared.home).await;
    let mut client = Client::new(&shared.home);
    assert_eq!(client.call("/mcp", &tokens.access, "operator-revokes").await.status, 200);
    shared.home.command(&["session", "revoke", "--client", &application.client_id]);
    within_a_second(&mut client, &tokens.access).await;
}

#[tokio::test]
async fn tv_10_tv_11_a_token_is_good_for_one_upstream() {
    let shared = shared::gateway().await;
    let mut client = Client::new(&shared.home);
    let (files, mail) = (issue(shared, "files"), issue(shared, "mail"));
    for (path, token) in [("/mcp/mail", &files), ("/mcp", &mail)] {
        let reply = client.call(path, token, "tv-10").await;
        expect::challenged(&reply, &shared.home.origin(), path, Some("invalid_token"));
    }
    assert!(shared.upstream.seen("tv-10").is_empty());
    for (path, token) in [("/mcp", &files), ("/mcp/mail", &mail)] {
        assert_eq!(client.call(path, token, "tv-11").await.status, 200);
    }
}

#[tokio::test]
async fn tv_14_a_disabled_user_is_out() {
    let (shared, application) = application(CALLBACK).await;
    let name = crate::login::new_user(&shared.home, "tv-14");
    let tokens = crate::refresh::tokens_of(&shared.home, &application, &name).await;
    let mut client = Client::new(&shared.home);
    assert_eq!(client.call("/mcp", &tokens.access, "tv-14").await.status, 200);
    shared.home.command(&["user", "disable", &name]);
    within_a_second(&mut client, &tokens.access).await;
    expect::refused(&application.refresh(&mut client, &tokens.refresh).await, "invalid_grant");
}

#[tokio::test]
async fn a_deleted_user_is_out() {
    let (shared, application) = application(CALLBACK).await;
    let name = crate::login::new_user(&shared.home, "tv-14-deleted");
    let tokens = crate::refresh::tokens_of(&shared.home, &application, &name).await;
    let mut browser = crate::support::page::Browser::new(&shared.home);
    let login = browser.open("/account").await;
    let page = browser.log_in(&login, &name, PASSWORD).await;
    assert!(page.text().contains("action=\"/logout\""), "signed in");
    let mut client = Client::new(&shared.home);
    assert_eq!(client.call("/mcp", &tokens.access, "tv-14").await.status, 200);
    shared.home.command(&["user", "delete", &name]);
    within_a_second(&mut client, &tokens.access).await;
    expect::refused(&application.refresh(&mut client, &tokens.refresh).await, "invalid_grant");
    assert!(browser.open("/account").await.text().contains("action=\"/login\""), "the browser is signed out");
}

#[tokio::test]
async fn tv_19_a_preflight_is_answered_here() {
    let shared = shared::gateway().await;
    let headers = [
        ("origin", shared.home.origin()),
        ("access-control-request-method", "POST".to_owned()),
        ("access-control-request-headers", "authorization, mcp-protocol-version, mcp-param-region".to_owned()),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let reply = Client::new(&shared.home).send(request(Method::OPTIONS, "/mcp?tv-19", &headers, "")).await;
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), shared.home.origin());
    let allowed = reply.header("access-control-allow-headers").to_ascii_lowercase();
    for name in ["authorization", "mcp-session-id", "last-event-id", "mcp-param-region"] {
        assert!(allowed.contains(name), "{name} in {allowed}");
    }
    assert_eq!(reply.header("access-control-allow-credentials"), "");
    assert!(shared.upstream.seen("tv-19").is_empty());
}

/// Addresses of upstreams, of the health check, of static answers, and addresses that are not served.
const OTHER_TARGETS: [&str; 19] = [
    "/.well-known/acme-challenge/token",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/openai-apps-challenge",
    "/.well-known/openai-apps-challenge/x",
    "/.well-known/openid-configuration",
    "/admin",
    "/api",
    "/api/x",
    "/debug/pprof",
    "/favicon.ico",
    "/healthz",
    "/jwks",
    "/mcp",
    "/mcp/",
    "/mcp/mail",
    "/metrics",
    "/readyz",
];

#[tokio::test]
async fn tv_20_only_the_public_list_answers_strangers() {
    let upstream = Upstream::start();
    let route = |name: &str, path: &str, kind: &str| {
        format!("[[upstream]]\nname = \"{name}\"\npath = \"{path}\"\nkind = \"{kind}\"\nurl = \"{}\"\n", upstream.url)
    };
    let routes = [route("files", "/mcp", "mcp"), route("mail", "/mcp/mail", "mcp"), route("api", "/api", "http")];
    let listen = "[listen]\nhealth_path = \"/healthz\"\n";
    let challenge = "[[well_known]]\npath = \"/.well-known/openai-apps-challenge\"\ncontent = \"0123\"\n";
    let gateway = Home::new(&format!("{listen}{challenge}{}", routes.concat()), None).start().await;
    let mut client = Client::new(&gateway.home);
    let stream = client.raw_with(&[b"h2"]).await.expect("a TLS connection");
    let (http2, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(driver);
    let own = mcpgate::endpoints::ROUTES.iter().map(|route| route.path);
    let mut targets: Vec<&str> = own.filter(|path| *path == "/" || !path.ends_with('/')).collect();
    targets.extend(OTHER_TARGETS);
    targets.sort_unstable();
    let mut answered = String::new();
    for target in targets {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let reply = client.send(request(method.clone(), target, &[], "")).await;
            let asked = Request::builder().method(&method).uri(format!("{}{target}", gateway.home.origin()));
            let asked = asked.body(http_body_util::Empty::<Bytes>::new()).expect("a request");
            let second = http2.clone().send_request(asked).await.expect("an answer over HTTP/2");
            assert_eq!(second.status().as_u16(), reply.status, "{method} {target} over HTTP/2");
            if !matches!(reply.status, 401 | 403 | 404 | 405) {
                answered.push_str(&format!("{method} {target} {}\n", reply.status));
            }
        }
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/public_routes.txt");
    if std::env::var_os("MCPGATE_BLESS").is_some() {
        std::fs::write(golden, &answered).expect("the golden file");
    }
    assert_eq!(answered, std::fs::read_to_string(golden).expect("the golden file"));
    // The gateway itself probes each upstream once.
    let is_strangers = |seen: &Seen| {
        let agent = seen.headers.get("user-agent").and_then(|agent| agent.to_str().ok());
        !agent.is_some_and(|agent| agent.starts_with("mcpgate/"))
    };
    assert!(!upstream.seen("").iter().any(is_strangers), "a stranger's request reached an upstream");
}

#[tokio::test]
async fn tv_21_no_header_moves_a_request_past_the_check() {
    let shared = shared::gateway().await;
    let mut client = Client::new(&shared.home);
    for (name, value) in [
        ("user-agent", "kube-probe/1.30"),
        ("x-original-url", "/healthz"),
        ("x-rewrite-url", "/healthz"),
        ("x-forwarded-uri", "/healthz"),
        ("x-http-method-override", "OPTIONS"),
        ("x-mcpgate-subject", "admin"),
        ("x-forwarded-user", "admin"),
        ("mcp-session-id", "1"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        let headers = [("content-type", "application/json"), (name, value)];
        let reply = client.send(request(Method::POST, "/mcp?tv-21", &headers, "{}")).await;
        expect::challenged(&reply, &shared.home.origin(), "/mcp", None);
    }
    assert!(shared.upstream.seen("tv-21").is_empty());
}

#[tokio::test]
async fn hd_03_hd_05_the_upstream_hears_who_it_is_from_us_alone() {
    let shared = shared::gateway().await;
    let token = issue(shared, "files");
    let mut asked = call("/mcp", &token, "hd-05");
    for (name, value) in [
        ("x-mcpgate-subject", "root"),
        ("x-mcpgate-user", "root"),
        ("x-mcpgate-client", "trusted"),
        ("x-mcpgate-scopes", "everything"),
        ("cookie", "secret=1"),
        ("proxy-authorization", "Basic eA=="),
        ("x-real-ip", "1.2.3.4"),
    ] {
        asked.headers_mut().insert(name, value.parse().expect("a value"));
    }
    assert_eq!(Client::new(&shared.home).send(asked).await.status, 200);
    let seen = shared.upstream.seen("hd-05");
    let headers = &seen.first().expect("one request").headers;
    for absent in ["authorization", "cookie", "proxy-authorization", "x-real-ip"] {
        assert!(!headers.contains_key(absent), "{absent}: {headers:?}");
    }
    assert_eq!(headers.get_all("x-mcpgate-subject").iter().count(), 1);
    assert_eq!(headers.get_all("x-mcpgate-user").iter().collect::<Vec<_>>(), ["admin"]);
    for forged in ["root", "trusted", "everything", token.as_str()] {
        assert!(!headers.values().any(|value| value == forged), "{forged}: {headers:?}");
    }
}
