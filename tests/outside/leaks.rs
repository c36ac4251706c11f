//! LK: secrets do not leak. The test searches everything that the gateway writes for every secret that it received.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::login::new_user;
use crate::shared::{self, CALLBACK};
use crate::support::application::{Application, Authorized, Tokens, parameter, random};
use crate::support::client::{Client, ask_operator, call, request};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::{Browser, form_to};
use crate::support::password::PASSWORD;
use crate::support::upstream::Upstream;

/// The prefix only names the kind of token; the secret is what follows it. A code verifier can contain underscores
/// itself.
fn body_of(secret: &str) -> &str {
    secret.strip_prefix("mcp_").and_then(|rest| rest.split_once('_')).map_or(secret, |(_, body)| body)
}

/// The forms in which a secret could appear in a line: verbatim, percent-encoded, in base64, and truncated.
fn disguises(secret: &str) -> Vec<String> {
    let body = body_of(secret);
    let beginning = body.get(..12).unwrap_or(body);
    let percent = body.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let json = serde_json::Value::from(secret).to_string();
    let encoded = [STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)];
    [vec![secret.to_owned(), beginning.to_owned(), percent, json.trim_matches('"').to_owned()], encoded.to_vec()]
        .concat()
}

/// Sends a secret in every wrong place. Each request is refused, with a line in the log that describes it.
async fn misplace(client: &mut Client, application: &Application, secret: &str) {
    for name in ["client_id", "client_secret", "code", "grant_type", "scope", "resource"] {
        let whole = ("client_id", application.client_id.as_str());
        let form: &[_] = if name == "client_id" { &[(name, secret)] } else { &[whole, (name, secret)] };
        client.post_form("/token", form).await;
    }
    let encoded = format!("https://evil.example/{secret}?x={secret}");
    for changes in [
        [("redirect_uri", encoded.as_str()), ("client_id", application.client_id.as_str())],
        [("code_challenge", secret), ("code_challenge_method", "plain")],
        [("state", secret), ("response_type", secret)],
        [("prompt", secret), ("response_mode", secret)],
    ] {
        client.get(&application.request(secret, &changes)).await;
    }
    client.post_json("/register", &serde_json::json!({"redirect_uris": [secret], "software_statement": secret})).await;
}

#[tokio::test]
async fn lk_01_no_secret_is_written_anywhere() {
    let upstream = Upstream::start();
    let config = "[log]\nformat = \"json\"\nfilter = \"trace\"\n";
    let gateway = Home::new(config, Some(upstream.url.clone())).start().await;
    let home = &gateway.home;
    let mut secrets = vec![PASSWORD.to_owned(), "a wrong password of mine".to_owned()];
    let application = Application::register_confidential(home, CALLBACK, "client_secret_post").await;
    secrets.extend(application.secret.clone());
    let rotated = home.command(&["client", "rotate-secret", &application.client_id]);
    secrets.extend(rotated["client_secret"].as_str().map(str::to_owned));

    // A failed login, a login, a consent, a code, with their cookies and form tokens.
    let mut browser = Browser::new(home);
    let verifier = random();
    let page = browser.open(&application.request(&verifier, &[("state", "a-state-to-keep-quiet")])).await;
    let mut form = form_to(&page, "/login");
    secrets.extend(form.get("form_token").map(str::to_owned));
    form.set("username", "admin");
    form.set("password", "a wrong password of mine");
    let page = browser.submit(&form).await;
    let page = browser.log_in(&page, "admin", PASSWORD).await;
    secrets.extend(form_to(&page, "/consent").get("form_token").map(str::to_owned));
    secrets.extend(browser.cookies.values().cloned());
    let answer = browser.decide(&page, "approve").await;
    let authorized = Authorized { code: parameter(&answer, "code"), verifier };
    secrets.extend([authorized.code.clone(), authorized.verifier.clone()]);

    // Tokens, used correctly and incorrectly.
    let mut client = Client::new(home);
    let tokens = Tokens::from(&application.redeem(&mut client, &authorized).await);
    assert_eq!(client.call("/mcp", &tokens.access, "lk-01").await.status, 200);
    client.get(&format!("/mcp?access_token={}", tokens.access)).await;
    let second = Tokens::from(&application.refresh(&mut client, &tokens.refresh).await);
    let third = Tokens::from(&application.refresh(&mut client, &second.refresh).await);
    application.refresh(&mut client, &tokens.refresh).await;
    application.redeem(&mut client, &authorized).await;
    application.revoke(&mut client, &third.refresh).await;
    client.call("/mcp", &third.access, "lk-01").await;
    client
        .post_form("/token", &[("grant_type", "refresh_token"), ("refresh_token", "mcp_refresh_inventedinvented")])
        .await;
    let held = [&authorized.code, &authorized.verifier, &second.refresh, &second.access];
    let mistyped = application.secret.as_ref().map(|secret| format!("{secret}-mistyped"));
    secrets.extend(mistyped.clone());
    let misplaced = held.into_iter().chain(application.secret.as_ref()).chain(mistyped.as_ref());
    for secret in misplaced {
        misplace(&mut client, &application, secret).await;
    }
    for pair in [tokens, second, third] {
        secrets.extend([pair.access, pair.refresh]);
    }
    let name = new_user(home, "lk-01");
    let link = home.command(&["user", "set-password", &name, "--link"]);
    secrets.extend(link["link"].as_str().and_then(|link| link.split('=').nth(1)).map(str::to_owned));
    let issued = home.command(&["token", "issue", "--user", &name, "--upstream", "mcp"]);
    secrets.extend(issued["access_token"].as_str().map(str::to_owned));

    assert!(secrets.len() > 15, "{}", secrets.len());
    assert_nowhere(&gateway, &secrets).await;
}

/// Searches the log, the metrics, the audit trail and the files for secrets.
async fn assert_nowhere(gateway: &Gateway, secrets: &[String]) {
    let home = &gateway.home;
    let metrics = metrics(home).await;
    let audit = home.command_text(&["audit", "tail"]);
    let log = gateway.log();
    for (place, text) in [("log", &log), ("metrics", &metrics), ("audit", &audit)] {
        assert!(text.len() > 1000, "the {place} is too short to search: {text}");
    }
    for secret in secrets {
        for disguise in disguises(secret) {
            for (place, text) in [("log", &log), ("metrics", &metrics), ("audit", &audit)] {
                let found = text.lines().find(|line| line.contains(&disguise));
                assert!(found.is_none(), "{disguise} is in the {place}: {found:?}");
            }
        }
    }
    // Stored secrets are hashed, so the files contain none either.
    for entry in std::fs::read_dir(home.data()).expect("the data directory").flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        for secret in secrets {
            let body = body_of(secret).as_bytes();
            assert!(!bytes.windows(body.len()).any(|part| part == body), "{secret} in {:?}", entry.path());
        }
    }
}

async fn metrics(home: &Home) -> String {
    ask_operator(home.operator, "/metrics", &[]).await.expect("an answer").text()
}

#[tokio::test]
async fn lk_08_metrics_name_no_user_and_no_client() {
    let (shared, application) = shared::application(CALLBACK).await;
    let name = new_user(&shared.home, "lk-08");
    let tokens = crate::refresh::tokens_of(&shared.home, &application, &name).await;
    Client::new(&shared.home).call("/mcp", &tokens.access, "lk-08-call").await;
    let metrics = metrics(&shared.home).await;
    for named in [name.as_str(), &application.client_id, "lk-08-call", "Test application"] {
        assert!(!metrics.contains(named), "{named}");
    }
    assert_eq!(Client::new(&shared.home).get("/metrics").await.status, 404, "the metrics are public");
}

#[tokio::test]
async fn ds_09_series_do_not_grow_with_what_strangers_send() {
    let gateway = Gateway::start().await;
    let mut client = Client::new(&gateway.home);
    let mut series = Vec::new();
    for n in 0..1200 {
        // From the 200th on, only their content can be new.
        if n == 200 {
            series = names_of(&metrics(&gateway.home).await);
        }
        let (path, agent) = (format!("/mcp/{n}"), format!("agent/{n}"));
        let target = ["/mcp", "/", path.as_str()][n % 3];
        let method = hyper::Method::from_bytes(format!("M{n}").as_bytes()).expect("a method");
        let host = format!("h{n}.example");
        let fields: &[(&str, &str)] =
            if n % 2 == 0 { &[("user-agent", &agent)] } else { &[("user-agent", &agent), ("host", &host)] };
        client.send(request(if n % 5 == 0 { method } else { hyper::Method::POST }, target, fields, "")).await;
    }
    assert_eq!(names_of(&metrics(&gateway.home).await), series);
}

/// Returns the names of the series without their values.
fn names_of(metrics: &str) -> Vec<String> {
    metrics.lines().map(|line| line.rsplit_once(' ').map_or(line, |(name, _)| name).to_owned()).collect()
}

#[tokio::test]
async fn lk_07_neither_baggage_nor_a_trace_id_that_is_none_is_passed_on() {
    let shared = shared::gateway().await;
    let issued = shared.home.command(&["token", "issue", "--user", "admin", "--upstream", "files"]);
    let token = issued["access_token"].as_str().expect("a token");
    for forged in ["00-zz-not-a-trace-01", "00-00000000000000000000000000000000-0000000000000000-01", "x"] {
        let mut asked = call("/mcp", token, &format!("lk-07-{}", forged.len()));
        asked.headers_mut().insert("traceparent", forged.parse().expect("a value"));
        asked.headers_mut().insert("baggage", "user=eve".parse().expect("a value"));
        assert_eq!(Client::new(&shared.home).send(asked).await.status, 200);
        let seen = shared.upstream.seen(&format!("lk-07-{}", forged.len()));
        let trace = seen[0].headers.get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(trace.len() == 55 && trace != forged, "not a well-formed traceparent of the gateway: {trace}");
        assert!(!seen[0].headers.contains_key("baggage"));
    }
}

#[tokio::test]
async fn tl_12_answers_are_not_compressed() {
    let shared = shared::gateway().await;
    let mut client = Client::new(&shared.home);
    for target in ["/", "/.well-known/oauth-authorization-server", "/mcp"] {
        let coded = [("accept-encoding", "gzip, br, zstd")];
        let reply = client.send(request(hyper::Method::GET, target, &coded, "")).await;
        assert_eq!(reply.header("content-encoding"), "", "{target}");
    }
}
