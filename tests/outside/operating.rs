//! What an operator sees of a running gateway: its log, its readiness while the store accepts no writes, the names of
//! its metrics, secrets that change in files, and terminal signals.

use std::io::BufRead as _;
use std::time::{Duration, Instant};

use http_body_util::Full;
use mcpgate::clock::{Clock as _, SystemClock};

use crate::life::{metric, operator, until_reloads, until_said};
use crate::shared::CALLBACK;
use crate::support::application::{Application, random};
use crate::support::client::{Client, Reply, call, request};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::Browser;
use crate::support::refusing::Refusing;
use crate::support::upstream::Upstream;

/// The readiness report of a gateway with one upstream when everything works.
const READY: &str = "ready\nupstream mcp: up\n";

/// Waits until the gateway has probed the upstream and it is up.
async fn until_up(home: &Home) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while operator(home, "/readyz", &[]).await.text() != READY {
        assert!(Instant::now() < deadline, "the upstream is not up: {}", std::fs::read_to_string(home.log()).unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn token(home: &Home) -> String {
    home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"])["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn every_line_of_a_json_log_is_json() {
    let config = "[log]\nformat = \"json\"\n";
    // Without standard output, to which the welcome text goes.
    let upstream = Upstream::start();
    let mut gateway = Home::new(config, Some(upstream.url.clone())).start_with_files(1024).await;
    let token = token(&gateway.home);
    let mut client = Client::new(&gateway.home);
    let served = client.call("/mcp", &token, "logged").await.status;
    let refused = client.call("/mcp", "mcp_access_\"\\", "logged").await;
    assert_eq!((served, refused.status), (200, 400), "{refused:?}");
    client.post_form("/token", &[("grant_type", "\"\n")]).await;
    client.get("/authorize?client_id=%22%0a").await;
    client.get("/nothing%22%5c").await;
    let whole = std::fs::read_to_string(gateway.home.config()).unwrap();
    std::fs::write(gateway.home.config(), format!("\"no\\\"table\" = 1\n{whole}")).unwrap();
    gateway.signal("HUP");
    until_reloads(&gateway.home, "rejected", 1).await;
    std::fs::write(gateway.home.config(), whole).unwrap();
    gateway.signal("HUP");
    until_reloads(&gateway.home, "reloaded", 1).await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    let log = gateway.log();
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
    let lines: Vec<serde_json::Value> = log.lines().map(parse).collect();
    assert!(lines.len() > 6, "{log}");
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()), "{log}");
    for word in ["/nothing%22%5c", "config.rejected", "config.reloaded", "accepting connections"] {
        assert!(log.contains(word), "{word} is not in {log}");
    }
}

#[tokio::test]
async fn every_request_has_its_line_if_the_filter_wants_it_also_when_the_process_ends_right_after() {
    const REQUESTS: usize = 40;
    for (format, filter, expected) in [
        ("text", "info", REQUESTS),
        ("json", "warn,mcpgate::access=info", REQUESTS),
        ("text", "warn", 0),
        ("json", "info,mcpgate::access=off", 0),
    ] {
        let config = format!("[log]\nformat = \"{format}\"\nfilter = \"{filter}\"\n");
        let upstream = Upstream::start();
        let mut gateway = Home::new(&config, Some(upstream.url.clone())).start_with_files(1024).await;
        let token = token(&gateway.home);
        let mut client = Client::new(&gateway.home);
        for n in 0..REQUESTS {
            // Values that need no escape take another code path into the log than values that do.
            let tool = if n % 2 == 0 { "plain" } else { "q\"\u{e9}\u{202e}" };
            let asked = serde_json::json!({
                "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}},
            });
            let request = call("/mcp", &token, "line").map(|_| Full::from(asked.to_string()));
            assert_eq!(client.send(request).await.status, 200);
        }
        gateway.signal("TERM");
        assert_eq!(gateway.ended().await, Some(0));
        let log = gateway.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("rpc_method")).collect();
        assert_eq!(lines.len(), expected, "{format} {filter}: {log}");
        let as_wished = |n: usize, line: &str| {
            let tool = match (format, n % 2) {
                ("text", 0) => " tool=\"plain\" ",
                ("text", _) => " tool=\"q\\\"\u{e9}\\u{202e}\" ",
                (_, 0) => ",\"tool\":\"plain\",",
                (_, _) => ",\"tool\":\"q\\\"\u{e9} \",",
            };
            line.contains("mcpgate::access") && line.contains(tool)
        };
        assert!(lines.iter().enumerate().all(|(n, line)| as_wished(n, line)), "{format} {filter}: {lines:#?}");
    }
}

async fn register(home: &Home) -> Reply {
    let body = serde_json::json!({
        "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "software_version": random(),
    });
    Client::new(home).post_json("/register", &body).await
}

#[tokio::test]
async fn a_store_that_takes_no_writes_is_told_and_warm_tokens_are_served() {
    let upstream = Upstream::start();
    let gateway = Home::new("", Some(upstream.url.clone())).start().await;
    let home = &gateway.home;
    let token = token(home);
    assert_eq!(Client::new(home).call("/mcp", &token, "warm").await.status, 200);
    until_up(home).await;
    let other = rusqlite::Connection::open(home.data().join("mcpgate.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = register(home).await;
    assert_eq!((refused.status, refused.header("retry-after").is_empty()), (503, false), "{refused:?}");
    assert_eq!(Client::new(home).call("/mcp", &token, "warm").await.status, 200);
    let probe = operator(home, "/readyz", &[]).await;
    assert_eq!(
        (probe.status, probe.text().as_str()),
        (200, "ready, but the store cannot be written at the moment\nupstream mcp: up\n")
    );
    assert_eq!(metric(home, "mcpgate_store_failing ").await, 1);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(register(home).await.status, 201);
    assert_eq!(operator(home, "/readyz", &[]).await.text(), READY);
    assert_eq!(metric(home, "mcpgate_store_failing ").await, 0);
}

#[tokio::test]
async fn all_families_of_metrics_are_there_from_the_start() {
    let gateway = Gateway::start().await;
    let metrics = operator(&gateway.home, "/metrics", &[]).await.text();
    for (family, kind) in [
        ("mcpgate_requests_total", "counter"),
        ("mcpgate_responses_total", "counter"),
        ("mcpgate_request_duration_seconds", "histogram"),
        ("mcpgate_token_cache_lookups_total", "counter"),
        ("mcpgate_token_cache_entries", "gauge"),
        ("mcpgate_token_cache_filling", "gauge"),
        ("mcpgate_authorization_events_total", "counter"),
        ("mcpgate_server_events_total", "counter"),
        ("mcpgate_upstream_connections", "gauge"),
        ("mcpgate_upstream_up", "gauge"),
        ("mcpgate_limit_counts", "gauge"),
        ("mcpgate_limit_surplus_total", "counter"),
        ("mcpgate_connections", "gauge"),
        ("mcpgate_certificate_not_after_seconds", "gauge"),
        ("mcpgate_store_commit_duration_seconds", "histogram"),
        ("mcpgate_store_operations_total", "counter"),
        ("mcpgate_store_failures_total", "counter"),
        ("mcpgate_store_failing", "gauge"),
        ("mcpgate_store_halted", "gauge"),
        ("mcpgate_store_unstored_revocations", "gauge"),
        ("mcpgate_build_info", "gauge"),
        ("process_start_time_seconds", "gauge"),
    ] {
        assert_eq!(metrics.matches(&format!("# TYPE {family} {kind}\n")).count(), 1, "{family}");
        assert_eq!(metrics.matches(&format!("# HELP {family} ")).count(), 1, "{family}");
    }
}

#[tokio::test]
async fn upstreams_are_tried_at_the_start_and_after_a_reload() {
    let upstream = Upstream::start();
    let refusing = Refusing::new();
    let closed = refusing.address();
    let config = |url: &str| format!("[[upstream]]\nname = \"mcp\"\npath = \"/mcp\"\nurl = \"{url}\"\n");
    let gateway = Home::new(&config(&format!("http://{closed}/mcp")), None).start().await;
    let home = &gateway.home;
    until_said(home, "the upstream cannot be reached").await;
    let probe = operator(home, "/readyz", &[]).await;
    assert_eq!((probe.status, &*probe.text()), (200, "ready\nupstream mcp: down (connection_refused)\n"));
    assert_eq!(metric(home, "mcpgate_upstream_up{upstream=\"mcp\"}").await, 0);
    std::fs::write(home.config(), config(&upstream.url)).unwrap();
    gateway.signal("HUP");
    until_reloads(home, "reloaded", 1).await;
    until_up(home).await;
    assert_eq!(metric(home, "mcpgate_upstream_up{upstream=\"mcp\"}").await, 1);
    let deadline = Instant::now() + Duration::from_secs(10);
    while upstream.seen("\"ping\"").is_empty() {
        assert!(Instant::now() < deadline, "the upstream was never probed: {}", gateway.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_secret_that_changed_in_its_file_goes_to_the_upstream_after_a_reload() {
    let upstream = Upstream::start();
    let url = &upstream.url;
    let config = format!(
        "[[upstream]]\nname = \"mcp\"\npath = \"/mcp\"\nurl = \"{url}\"\n\
         headers = {{ X-Key = \"${{file:upstream-key}}\" }}\n"
    );
    let home = Home::new(&config, None);
    let secret = home.config().with_file_name("upstream-key");
    std::fs::write(&secret, "first\n").unwrap();
    let gateway = home.start().await;
    let token = token(&gateway.home);
    for (number, (key, marker)) in [("first", "key-one"), ("second", "key-two")].into_iter().enumerate() {
        if number > 0 {
            std::fs::write(&secret, key).unwrap();
            gateway.signal("HUP");
            until_reloads(&gateway.home, "reloaded", 1).await;
        }
        assert_eq!(Client::new(&gateway.home).call("/mcp", &token, marker).await.status, 200);
        assert_eq!(upstream.seen(marker)[0].headers["x-key"], key);
    }
    assert!(!gateway.log().contains("second"), "a secret is in the log");
}

#[tokio::test]
async fn an_interrupt_from_the_terminal_ends_with_0() {
    let mut gateway = Gateway::start().await;
    let began = Instant::now();
    gateway.signal("INT");
    assert_eq!(gateway.ended().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn refusals_that_were_counted_are_in_the_trail_when_the_process_has_ended() {
    let mut gateway = Gateway::start().await;
    let body = serde_json::json!({ "redirect_uris": ["javascript:alert(1)"] });
    for _ in 0..30 {
        assert_eq!(Client::new(&gateway.home).post_json("/register", &body).await.status, 400);
    }
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    let db = rusqlite::Connection::open(gateway.home.data().join("mcpgate.db")).unwrap();
    let sql = "SELECT reason FROM audit WHERE reason LIKE 'counted:%'";
    let counted: String = db.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(counted, "counted: 10 more, of a minute or two");
}

#[tokio::test]
async fn when_a_session_was_last_used_is_known_after_the_end_of_the_process() {
    let mut gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let (unused, used) = (token(&gateway.home), token(&gateway.home));
    let now = || SystemClock.now().as_secs();
    let before = now();
    let mut client = Client::new(&gateway.home);
    assert_eq!(client.call("/mcp", &used, "counted").await.status, 200);
    assert_eq!(client.call("/mcp", &format!("{unused}x"), "refused").await.status, 401);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    let sessions = gateway.home.command(&["session", "list"]);
    let last_used: Vec<_> = (0..2).map(|n| sessions[n]["last_used_at"].clone()).collect();
    let at =
        time::OffsetDateTime::parse(last_used[0].as_str().unwrap(), &time::format_description::well_known::Rfc3339);
    let at = u64::try_from(at.unwrap().unix_timestamp()).unwrap();
    assert!((before..=now()).contains(&at), "{last_used:?}");
    assert_eq!(last_used[1], serde_json::Value::Null, "a refused call does not count as a use");
    let operator = gateway.home.command(&["client", "show", "mcp_client_operator"]);
    assert_eq!(operator["last_used_at"], last_used[0], "the application was used when its session was");
}

#[tokio::test]
async fn a_state_of_4_kib_comes_back_whatever_its_characters() {
    let (shared, application) = crate::shared::application(CALLBACK).await;
    let state = "%\u{e9}\"".repeat(1024);
    assert_eq!(state.len(), 4096);
    let target = application.request(&"v".repeat(43), &[("state", &state), ("response_type", "token")]);
    assert!(target.len() > 12_288, "{}", target.len());
    let reply = Client::new(&shared.home).send(request(hyper::Method::GET, &target, &[], "")).await;
    crate::expect::sent_back(&reply, &application, "unsupported_response_type", Some(&state));
}

#[tokio::test]
async fn a_load_balancer_is_answered_at_the_health_path_whatever_host_it_names() {
    let upstream = Upstream::start();
    let gateway = Home::new("", Some(upstream.url.clone())).start().await;
    assert_eq!(Client::new(&gateway.home).get("/health/live").await.status, 404, "the setting is off by default");
    let whole = std::fs::read_to_string(gateway.home.config()).unwrap();
    std::fs::write(gateway.home.config(), format!("{whole}\n[listen]\nhealth_path = \"/health/live\"\n")).unwrap();
    gateway.signal("HUP");
    until_reloads(&gateway.home, "reloaded", 1).await;
    for head in [
        "GET /health/live HTTP/1.1\r\nHost: 10.0.0.7\r\nConnection: close\r\n\r\n",
        "GET /health/live?x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "GET /health/live HTTP/1.0\r\n\r\n",
    ] {
        let answer = Client::new(&gateway.home).raw_exchange(head.as_bytes()).await;
        let (fields, content) = answer.split_once("\r\n\r\n").unwrap();
        assert!(fields.split("\r\n").next().unwrap().ends_with(" 200 OK") && content == "ok\n", "{head}{answer}");
        for field in ["cache-control: no-store", "x-content-type-options: nosniff", "content-type: text/plain"] {
            assert!(fields.contains(field), "{field}: {fields}");
        }
    }
    let mut client = Client::new(&gateway.home);
    let head = client.send(request(http::Method::HEAD, "/health/live", &[], "")).await;
    assert_eq!((head.status, head.text().as_str(), head.header("content-length")), (200, "", "3"));
    let post = client.send(request(http::Method::POST, "/health/live", &[], "")).await;
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
    // The exception for health checks covers neither other paths below it nor other paths with a foreign host.
    for (target, host, status) in [("/health/live/x", "localhost", "421"), ("/", "10.0.0.7", "421")] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = Client::new(&gateway.home).raw_exchange(head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}{answer}");
    }
    let two = "GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    assert!(Client::new(&gateway.home).raw_exchange(two.as_bytes()).await.starts_with("HTTP/1.1 400 "));
}

/// The name of the upstream that clients and users see.
async fn told_name(home: &Home) -> String {
    Client::new(home).get("/.well-known/oauth-protected-resource/mcp").await.member("resource_name")
}

/// A demo server that ends with the test.
struct Demo(std::process::Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[tokio::test]
async fn an_upstream_of_up_is_called_what_it_calls_itself() {
    let demo = std::process::Command::new(env!("CARGO_BIN_EXE_mcpgate"))
        .args(["demo-upstream", "--listen", "0"])
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut demo = Demo(demo.unwrap());
    let mut said = String::new();
    std::io::BufReader::new(demo.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let url = said.trim().rsplit(' ').next().unwrap().to_owned();
    let gateway = Home::new("", Some(url)).start().await;
    until_said(&gateway.home, "the pages show this upstream by the name that it gives itself").await;
    assert_eq!(told_name(&gateway.home).await, "mcpgate demo");
    let application = Application::register(&gateway.home, CALLBACK).await;
    let page = Browser::new(&gateway.home).ask(&application.request(&random(), &[])).await.text();
    assert!(page.contains("mcpgate demo"), "{page}");
    gateway.signal("HUP");
    until_reloads(&gateway.home, "reloaded", 1).await;
    assert_eq!(told_name(&gateway.home).await, "mcpgate demo", "a reload must not lose the name");
}

#[tokio::test]
async fn nothing_public_names_the_address_of_an_upstream() {
    let refusing = Refusing::new();
    let gone = refusing.address();
    let upstream = Upstream::start();
    let url = url::Url::parse(&upstream.url).unwrap();
    let more = format!("[[upstream]]\nname = \"gone\"\npath = \"/gone\"\nurl = \"http://{gone}/\"\n");
    let gateway = Home::new(&more, Some(upstream.url.clone())).start().await;
    let home = &gateway.home;
    assert_eq!(told_name(home).await, "MCP server", "this upstream has no name");
    let application = Application::register(home, CALLBACK).await;
    let mut browser = Browser::new(home);
    let mut texts = vec![browser.ask(&application.request(&random(), &[])).await];
    texts.push(browser.open("/account").await);
    let mut client = Client::new(home);
    for path in ["/", "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource/gone"] {
        texts.push(client.get(path).await);
    }
    for (upstream, path) in [("mcp", "/mcp"), ("gone", "/gone")] {
        let issued = home.command(&["token", "issue", "--user", "admin", "--upstream", upstream]);
        texts.push(client.call(path, issued["access_token"].as_str().unwrap(), "address").await);
    }
    assert_eq!(texts.last().unwrap().status, 502);
    for address in [url.authority().to_owned(), gone.to_string()] {
        let port = address.rsplit(':').next().unwrap();
        for reply in &texts {
            let whole = format!("{:?} {}", reply.headers, reply.text());
            assert!(!whole.contains(&address) && !whole.contains(&format!(":{port}")), "{address}: {whole}");
        }
    }
}
