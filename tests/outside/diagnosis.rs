//! What an operator can learn from the log alone about a client that fails.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::login::attempt;
use crate::support::client::{Client, call, request};
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

const SERVER: &str = "/.well-known/oauth-authorization-server";

/// Returns the next access line that contains this text; the gateway writes it a moment after the answer.
async fn line(gateway: &Gateway, text: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let log = gateway.log();
        if let Some(line) = log.lines().find(|line| line.contains("mcpgate::access") && line.contains(text)) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "no line with {text}:\n{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn refusals_of_one_outcome_are_told_apart_in_the_access_line() {
    let upstream = Upstream::start();
    let gateway = Home::new("[limits]\nmcp_body = \"64KiB\"\ninspect_body = \"64KiB\"\n", Some(upstream.url.clone()))
        .start()
        .await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let token = issued["access_token"].as_str().expect("a token");
    let mut client = Client::new(&gateway.home);
    for (body, reason) in [
        ("{", r#"outcome="bad_request" reason="bad_message" detail="the body is not JSON""#),
        (r#"{"jsonrpc":"2.0","jsonrpc":"2.0"}"#, r#"reason="bad_message" detail="#),
        ("[]", r#"reason="bad_message" detail="#),
    ] {
        let mut asked = call("/mcp", token, "diagnosis");
        *asked.body_mut() = body.to_owned().into();
        asked.headers_mut().remove("content-length");
        let reply = client.send(asked).await;
        assert_eq!(reply.status, 400, "{body}");
        let told = line(&gateway, &format!("request_id=\"{}\"", reply.header("x-request-id"))).await;
        assert!(told.contains(reason) && told.contains(" address=127.0.0.1 "), "{told}");
    }
    for (name, value, status, told) in [
        (
            "origin",
            "https://evil.example",
            403,
            r#"reason="bad_origin" value="https://evil.example" key="cors.allowed_origins""#,
        ),
        ("content-type", "text/plain", 415, r#"reason="unsupported_media_type" detail="#),
        ("authorization", "Bearer x, Bearer y", 400, r#"reason="malformed_credentials""#),
        ("content-length", "100000", 413, r#"reason="body_too_large" key="limits.mcp_body""#),
    ] {
        let mut asked = call("/mcp", token, "diagnosis");
        if name == "content-length" {
            *asked.body_mut() = "x".repeat(100_000).into();
        }
        asked.headers_mut().insert(name, value.parse().expect("a value"));
        let reply = Client::new(&gateway.home).send(asked).await;
        assert_eq!(reply.status, status, "{name}");
        let line = line(&gateway, &format!("request_id=\"{}\"", reply.header("x-request-id"))).await;
        assert!(line.contains(told), "{line}");
    }
    // The log names the rule of each refusal by the authorization server.
    let reply = client.post_form("/token", &[("client_id", "mcp_client_nobody")]).await;
    assert_eq!(reply.status, 401);
    assert!(line(&gateway, "reason=\"unknown_client\"").await.contains("path=\"/token\""));
}

#[tokio::test]
async fn the_host_that_came_is_told_and_a_trusted_proxy_may_forward_it() {
    for (trusted, listen) in [
        (true, "[listen]\ntls = \"off\"\ntrusted_proxies = [\"127.0.0.1\"]\n"),
        (false, "[listen]\ntls = \"off\"\ntrusted_proxies = [\"192.0.2.1\"]\n"),
    ] {
        let gateway = Home::new(listen, None).start().await;
        let public = gateway.home.origin().trim_start_matches("https://").to_owned();
        for (host, forwarded, is_ours) in [
            ("backend:8080", Some(public.as_str()), trusted),
            // nginx: `$host` has no port.
            ("localhost", None, trusted),
            ("backend", Some("localhost"), trusted),
            ("backend", Some(&format!("evil.example, {public}")), trusted),
            ("backend", Some(&format!("{public}, evil.example")), false),
            ("backend", Some("localhost:1"), false),
            (&public, Some("evil.example"), true),
            ("evil.example", None, false),
        ] {
            let mut stream = TcpStream::connect(gateway.home.public).await.expect("it listens");
            let forwarded_host = forwarded.map(|f| format!("x-forwarded-host: {f}\r\n")).unwrap_or_default();
            let asked = format!("GET {SERVER} HTTP/1.1\r\nhost: {host}\r\n{forwarded_host}connection: close\r\n\r\n");
            stream.write_all(asked.as_bytes()).await.expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("it answers");
            let wanted = if is_ours { "HTTP/1.1 200 " } else { "HTTP/1.1 421 " };
            assert!(answer.starts_with(wanted), "{host} {forwarded:?} {trusted}: {answer}");
            assert!(!answer.contains("evil.example"), "{answer}");
        }
        let told = line(&gateway, "host=\"evil.example\"").await;
        for part in ["status=421", "reason=\"wrong_host\"", "key=\"public_url, extra_hosts\"", "address=127.0.0.1"] {
            assert!(told.contains(part), "{told}");
        }
        line(&gateway, "host=\"backend (X-Forwarded-Host: localhost:1)\"").await;
    }
}

#[tokio::test]
async fn a_limit_that_refuses_names_its_key_and_whom_it_refused() {
    let gateway = Home::new("[registration]\nenabled = false\n[limits]\nrequest_target = 2000\n", None).start().await;
    let mut client = Client::new(&gateway.home);
    assert_eq!(client.post_json("/register", &serde_json::json!({})).await.status, 401);
    let refused = request(hyper::Method::GET, &format!("/{}", "x".repeat(3000)), &[], "");
    assert_eq!(Client::new(&gateway.home).send(refused).await.status, 414);
    let refused = request(hyper::Method::GET, "/", &[("x-long", &"x".repeat(40_000))], "");
    assert_eq!(Client::new(&gateway.home).send(refused).await.status, 431);
    let told = line(&gateway, "reason=\"fields_too_large\"").await;
    assert!(told.contains("key=\"limits.head_bytes, limits.header_fields\" address=127.0.0.1"), "{told}");
    line(&gateway, "reason=\"registration_closed\"").await;
    let told = line(&gateway, "reason=\"target_too_long\"").await;
    assert!(told.contains("key=\"limits.request_target\" address=127.0.0.1"), "{told}");
    let log = gateway.log();
    let warned = log.lines().find(|line| line.contains(" WARN ") && line.contains("rule=\"registration_closed\""));
    assert!(warned.is_some_and(|line| line.contains("key=\"registration.enabled\" address=127.0.0.1")), "{log}");
}

#[tokio::test]
async fn a_failed_and_a_throttled_sign_in_are_told_by_rule_and_key() {
    let gateway = Gateway::start().await;
    let failed = attempt(&gateway.home, "admin", "hunter2-hunter2").await;
    assert_eq!(failed.status, 400);
    let mut held = failed.clone();
    while held.status == 400 {
        held = attempt(&gateway.home, "admin", "hunter2-hunter2").await;
    }
    assert_eq!(held.status, 429);
    for (reply, rule) in [(failed, "wrong_password"), (held, "login_throttled")] {
        let told = line(&gateway, &format!("request_id=\"{}\"", reply.header("x-request-id"))).await;
        assert!(told.contains(&format!("reason=\"{rule}\"")), "{told}");
    }
    let log = gateway.log();
    let warned =
        |rule: &str| log.lines().find(|line| line.contains(" WARN ") && line.contains(rule)).unwrap_or_default();
    assert!(warned("rule=\"wrong_password\"").contains("detail=\"wrong_password\""), "{log}");
    assert!(
        warned("rule=\"login_throttled\"").contains("key=\"rates.login_free_failures\" address=127.0.0.1"),
        "{log}"
    );
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_body_that_does_not_come_names_the_key_of_its_time() {
    let gateway = Home::new("[timeouts]\noauth_body = \"1s\"\n", None).start().await;
    let mut stream = Client::new(&gateway.home).raw().await.expect("a connection");
    let host = gateway.home.origin().trim_start_matches("https://").to_owned();
    let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n";
    let head = format!("POST /token HTTP/1.1\r\nhost: {host}\r\n{form}\r\ngrant");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    line(&gateway, "reason=\"body_too_slow\"").await;
    let log = gateway.log();
    let warned = log.lines().find(|line| line.contains("rule=\"body_too_slow\"")).unwrap_or_default();
    assert!(warned.contains("key=\"timeouts.oauth_body\" address=127.0.0.1"), "{log}");
}

#[tokio::test]
async fn the_access_line_says_who_called_what_and_how_it_ended() {
    let gateway = Gateway::start().await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin"]);
    let token = issued["access_token"].as_str().expect("a token").to_owned();
    let ask = async |method: &str, params: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
        let mut asked = call("/mcp", &token, "access");
        *asked.body_mut() = body.into();
        asked.headers_mut().remove("content-length");
        let reply = Client::new(&gateway.home).send(asked).await;
        (line(&gateway, &format!("request_id=\"{}\"", reply.header("x-request-id"))).await, reply)
    };
    let (called, reply) = ask("tools/call", r#"{"name":"no-such-tool","arguments":{"secret":"hunter2"}}"#).await;
    let told = [
        " subject=\"user_",
        " user=\"admin\"",
        " client=\"mcp_client_",
        " rpc_method=\"tools/call\" tool=\"no-such-tool\"",
        &format!(" bytes={}", reply.body.len()),
        " duration_ms=",
    ];
    assert!(told.iter().all(|part| called.contains(part)) && !called.contains("hunter2"), "{called}\n{reply:?}");
    // Without a session, the demo answers with an error.
    let (failed, reply) = ask("prompts/list", "{}").await;
    assert!(
        failed.contains(" rpc_method=\"prompts/list\"") && failed.contains(" rpc_error=-32000"),
        "{failed}\n{reply:?}"
    );
    // The following lines have the new login name, and the token stays valid.
    gateway.home.command(&["user", "rename", "admin", "root"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (renamed, reply) = ask("ping", "{}").await;
        assert_ne!(reply.status, 401, "{renamed}");
        if renamed.contains(" user=\"root\"") {
            break;
        }
        assert!(Instant::now() < deadline, "{renamed}");
    }
}
