//! AZ: the authorization endpoint and redirect URIs.

use crate::expect;
use crate::shared::{self, CALLBACK, application};
use crate::support::application::{Application, parameter, random};
use crate::support::client::{Client, encoded, request};
use crate::support::page::{Browser, form_to};
use crate::support::password::PASSWORD;

async fn open(application: &Application, changes: &[(&str, &str)]) -> crate::support::client::Reply {
    let shared = shared::gateway().await;
    Client::new(&shared.home).get(&application.request(&random(), changes)).await
}

#[tokio::test]
async fn az_01_unknown_client_is_told_on_a_page() {
    let (_, application) = application(CALLBACK).await;
    let reply =
        open(&application, &[("client_id", "mcp_client_unknown"), ("redirect_uri", "https://evil.example/cb")]).await;
    expect::local(&reply);
    assert!(!reply.text().contains("evil.example"), "the page does not show the address");
}

#[tokio::test]
async fn az_02_unregistered_redirect_uri_is_told_on_a_page() {
    let (_, application) = application(CALLBACK).await;
    let reply = open(&application, &[("redirect_uri", "https://evil.example/cb")]).await;
    expect::local(&reply);
    assert!(!reply.text().contains("href=\"https://evil"), "{}", reply.text());
}

#[tokio::test]
async fn az_04_a_redirect_uri_matches_exactly_or_not_at_all() {
    let (_, application) = application("https://c.example/cb?a=1&b=2").await;
    for near in [
        "https://c.example/cb/?a=1&b=2",
        "https://c.example/CB?a=1&b=2",
        "https://c.example/cb/../cb?a=1&b=2",
        "https://c.example/cb%2F?a=1&b=2",
        "https://c.example/%63b?a=1&b=2",
        "https://c.example/cb;x?a=1&b=2",
        "https://c.example/cb?a=1&b=2&c=3",
        "https://c.example/cb?b=2&a=1",
        "https://c.example/cb?a=1&b=2#f",
        "https://c.example:443/cb?a=1&b=2",
        "http://c.example/cb?a=1&b=2",
        "https://u@c.example/cb?a=1&b=2",
        "https://c.example./cb?a=1&b=2",
        "https://d.c.example/cb?a=1&b=2",
        "https://example/cb?a=1&b=2",
        "https://c.example\\cb?a=1&b=2",
        "https://c.example/cb?a=1&b=2\t",
        "https://c.example/cb?a=1&b=2\r",
        "https://c.example/cb?a=1&b=2\n",
        "https://c.example/cb?a=1&b=2\0",
        " https://c.example/cb?a=1&b=2",
        "https://c\u{ff0e}example/cb?a=1&b=2",
        "https://xn--c-0ga.example/cb?a=1&b=2",
        "https://C.example/cb?a=1&b=2",
    ] {
        expect::local(&open(&application, &[("redirect_uri", near)]).await);
    }
    assert_eq!(open(&application, &[]).await.status, 303, "the registered address is accepted");
}

#[tokio::test]
async fn az_07_what_only_looks_like_loopback_is_refused() {
    let (_, application) = application("http://127.0.0.1/cb").await;
    for near in [
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "http://localhost.evil.example/cb",
        "http://0x7f.1/cb",
        "http://2130706433/cb",
        "http://[::ffff:127.0.0.1]/cb",
        "http://0.0.0.0/cb",
        "http://127.0.0.1:80@evil.example/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:/cb/..",
        "http://localhost/cb",
        "https://127.0.0.1/cb",
    ] {
        expect::local(&open(&application, &[("redirect_uri", near)]).await);
    }
}

#[tokio::test]
async fn az_08_another_loopback_port_is_accepted_and_shown() {
    let (shared, application) = application("http://localhost/cb").await;
    let mut browser = Browser::new(&shared.home);
    let page = browser.ask(&application.request(&random(), &[("redirect_uri", "http://localhost:51763/cb")])).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("localhost") && page.text().contains("this device"), "{}", page.text());
    let answer = browser.decide(&page, "approve").await;
    assert!(answer.header("location").starts_with("http://localhost:51763/cb?"), "{answer:?}");
}

#[tokio::test]
async fn az_09_schemes_that_run_or_open_something_are_refused() {
    let (shared, application) = application(CALLBACK).await;
    for scheme in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://c.example/1",
        "about:blank",
        "java\tscript:alert(1)",
        "\u{1}javascript:alert(1)",
    ] {
        let body = serde_json::json!({"redirect_uris": [scheme], "token_endpoint_auth_method": "none"});
        expect::refused(&Client::new(&shared.home).post_json("/register", &body).await, "invalid_redirect_uri");
        expect::local(&open(&application, &[("redirect_uri", scheme)]).await);
    }
}

#[tokio::test]
async fn az_10_a_private_use_scheme_is_an_applications_own() {
    let shared = shared::gateway().await;
    for (uri, status) in [
        ("myapp:/cb", 201),
        ("com.example.app:/cb", 201),
        ("vscode://saoudrizwan.claude-dev/mcp-auth/callback/4f1c", 201),
        ("ms-settings:privacy", 400),
        ("mailto:ada@example.com", 400),
        ("iris.beep:x", 400),
    ] {
        let body = serde_json::json!({"redirect_uris": [uri], "token_endpoint_auth_method": "none"});
        let reply = Client::new(&shared.home).post_json("/register", &body).await;
        assert_eq!(reply.status, status, "{uri}: {reply:?}");
        assert!(status == 201 || reply.member("error") == "invalid_redirect_uri");
    }
}

#[tokio::test]
async fn az_12_only_the_code_response_type_exists() {
    let (_, application) = application(CALLBACK).await;
    for kind in ["token", "id_token", "code token", "none", "CODE"] {
        let reply = open(&application, &[("response_type", kind)]).await;
        expect::sent_back(&reply, &application, "unsupported_response_type", Some("the-state"));
    }
    let reply = open(&application, &[("response_type", "")]).await;
    expect::sent_back(&reply, &application, "invalid_request", Some("the-state"));
}

#[tokio::test]
async fn az_13_other_response_modes_are_refused_by_query() {
    let (_, application) = application(CALLBACK).await;
    for mode in ["fragment", "web_message", "form_post"] {
        let reply = open(&application, &[("response_mode", mode)]).await;
        expect::sent_back(&reply, &application, "invalid_request", Some("the-state"));
    }
}

#[tokio::test]
async fn az_14_client_or_redirect_uri_twice_is_told_on_a_page() {
    let (_, application) = application(CALLBACK).await;
    for (name, value) in [
        ("client_id", application.client_id.as_str()),
        ("client_id", "other"),
        ("redirect_uri", CALLBACK),
        ("redirect_uri", "https://evil.example/cb"),
    ] {
        let shared = shared::gateway().await;
        let target = format!("{}&{}", application.request(&random(), &[]), encoded(&[(name, value)]));
        expect::local(&Client::new(&shared.home).get(&target).await);
    }
}

#[tokio::test]
async fn az_15_any_other_parameter_twice_is_invalid() {
    let (shared, application) = application(CALLBACK).await;
    for (name, state) in [
        ("scope", Some("the-state")),
        ("state", None),
        ("code_challenge", Some("the-state")),
        ("code_challenge_method", Some("the-state")),
        ("response_type", Some("the-state")),
    ] {
        let doubled =
            if name == "scope" { "&scope=files:read&scope=files:read".to_owned() } else { format!("&{name}=x") };
        let target = format!("{}{doubled}", application.request(&random(), &[]));
        expect::sent_back(&Client::new(&shared.home).get(&target).await, &application, "invalid_request", state);
    }
}

#[tokio::test]
async fn az_16_a_long_state_comes_back_and_an_endless_one_does_not() {
    let (shared, application) = application(CALLBACK).await;
    let (long, longer, endless) = ("s".repeat(1024), "s".repeat(4097), "s".repeat(65536));
    let reply = open(&application, &[("state", &long), ("response_type", "token")]).await;
    expect::sent_back(&reply, &application, "unsupported_response_type", Some(&long));
    expect::sent_back(&open(&application, &[("state", &longer)]).await, &application, "invalid_request", None);
    let target = application.request(&random(), &[("state", &endless)]);
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost:{}\r\n\r\n", shared.home.public.port());
    let answer = Client::new(&shared.home).raw_exchange(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
}

#[tokio::test]
async fn az_17_a_hostile_state_stays_a_value() {
    let (_, application) = application(CALLBACK).await;
    for state in [
        "a\r\nSet-Cookie: x=1",
        "\"><script>alert(1)</script>",
        "grüße ✓",
        "a+b&code=stolen&iss=evil",
        "%0d%0a",
        "{\"a\":1}==",
    ] {
        let reply = open(&application, &[("state", state), ("response_type", "token")]).await;
        expect::sent_back(&reply, &application, "unsupported_response_type", Some(state));
        assert!(!reply.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn az_18_every_answer_names_the_issuer_of_the_metadata() {
    let (shared, application) = application(CALLBACK).await;
    let metadata = Client::new(&shared.home).get("/.well-known/oauth-authorization-server").await;
    let mut browser = Browser::new(&shared.home);
    for decision in ["approve", "deny"] {
        let page = browser.ask(&application.request(&random(), &[])).await;
        let answer = browser.decide(&page, decision).await;
        assert_eq!(parameter(&answer, "iss"), metadata.member("issuer"));
        assert_eq!(parameter(&answer, "state"), "the-state");
    }
}

#[tokio::test]
async fn az_19_a_form_post_redirects_with_303() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let page = browser.open(&application.request(&random(), &[])).await;
    let mut form = form_to(&page, "/login");
    form.set("username", "admin");
    form.set("password", PASSWORD);
    let reply = browser.submit(&form).await;
    assert_eq!(reply.status, 303);
    let page = browser.settle(reply).await;
    assert_eq!(browser.decide(&page, "approve").await.status, 303);
}

#[tokio::test]
async fn az_21_prompt_none_asks_nobody_anything() {
    let (shared, application) = application(CALLBACK).await;
    let silent = [("prompt", "none")];
    expect::sent_back(&open(&application, &silent).await, &application, "login_required", Some("the-state"));
    let mut browser = Browser::new(&shared.home);
    browser.ask(&application.request(&random(), &[])).await;
    let reply = browser.open(&application.request(&random(), &silent)).await;
    expect::sent_back(&reply, &application, "consent_required", Some("the-state"));
    let reply = open(&application, &[("prompt", "none login")]).await;
    expect::sent_back(&reply, &application, "invalid_request", Some("the-state"));
}

#[tokio::test]
async fn az_23_a_resource_that_is_not_ours_is_an_invalid_target() {
    let (shared, application) = application(CALLBACK).await;
    let origin = shared.home.origin();
    for resource in [
        "https://elsewhere.example/mcp".to_owned(),
        format!("{origin}/mcp#part"),
        "/mcp".to_owned(),
        format!("{origin}/mcp/other-tenant/files"),
        origin.clone(),
        format!("{origin}/mcp/mailbox"),
    ] {
        let reply = open(&application, &[("resource", &resource)]).await;
        expect::sent_back(&reply, &application, "invalid_target", Some("the-state"));
    }
    let target =
        format!("{}&{}", application.request(&random(), &[]), encoded(&[("resource", &format!("{origin}/mcp/mail"))]));
    let reply = Client::new(&shared.home).get(&target).await;
    expect::sent_back(&reply, &application, "invalid_target", Some("the-state"));
    let absent = open(&application, &[("resource", "")]).await;
    expect::sent_back(&absent, &application, "invalid_target", Some("the-state"));
}

#[tokio::test]
async fn az_24_a_resource_is_recognised_in_any_spelling_and_kept_in_one() {
    let (shared, application) = application(CALLBACK).await;
    let port = shared.home.public.port();
    for spelling in [format!("HTTPS://LOCALHOST:{port}/mcp"), format!("https://localhost:{port}/mcp/")] {
        let mut browser = Browser::new(&shared.home);
        let verifier = random();
        let page = browser.ask(&application.request(&verifier, &[("resource", &spelling)])).await;
        let answer = browser.decide(&page, "approve").await;
        let code = parameter(&answer, "code");
        let mut client = Client::new(&shared.home);
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("code_verifier", &verifier),
            ("client_id", &application.client_id),
            ("resource", &application.resource),
        ];
        let token = client.post_form("/token", &form).await.member("access_token");
        assert_eq!(client.call("/mcp", &token, "az-24").await.status, 200);
    }
}

#[tokio::test]
async fn az_25_a_malformed_or_endless_scope_is_refused() {
    let (shared, application) = application(CALLBACK).await;
    for scope in ["files:read \"x\"", "files\\read", "files\u{1}read", "caf\u{e9}"] {
        let reply = open(&application, &[("scope", scope)]).await;
        expect::sent_back(&reply, &application, "invalid_scope", Some("the-state"));
    }
    // As a form: with this many parameters the request target would be too long.
    let many = (0..10_000).map(|number| format!("s{number}")).collect::<Vec<_>>().join(" ");
    let target = application.request(&random(), &[("scope", &many)]);
    let form = target.split_once('?').expect("a query").1.to_owned();
    let fields = [("content-type", "application/x-www-form-urlencoded")];
    let mut client = Client::new(&shared.home);
    let reply = client.send(request(hyper::Method::POST, "/authorize", &fields, form)).await;
    expect::sent_back(&reply, &application, "invalid_scope", Some("the-state"));
}

#[tokio::test]
async fn az_27_a_client_disabled_midway_gets_no_code() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let page = browser.ask(&application.request(&random(), &[])).await;
    shared.home.command(&["client", "disable", &application.client_id]);
    expect::local(&browser.decide(&page, "approve").await);
    expect::local(&open(&application, &[]).await);
}

#[tokio::test]
async fn az_28_edited_forms_change_nothing() {
    let (shared, application) = application(CALLBACK).await;
    let other = Application::register(&shared.home, "https://evil.example/cb").await;
    let mut browser = Browser::new(&shared.home);
    let verifier = random();
    let page = browser.ask(&application.request(&verifier, &[])).await;
    let mut form = form_to(&page, "/consent");
    for (name, value) in [
        ("client_id", other.client_id.as_str()),
        ("redirect_uri", "https://evil.example/cb"),
        ("scope", "files:read"),
        ("resource", "https://evil.example"),
        ("response_type", "token"),
        ("code_challenge", "x"),
        ("decision", "approve"),
    ] {
        form.set(name, value);
    }
    let answer = browser.submit(&form).await;
    assert!(answer.header("location").starts_with(CALLBACK), "{answer:?}");
    let authorized = crate::support::application::Authorized { code: parameter(&answer, "code"), verifier };
    let reply = application.redeem(&mut Client::new(&shared.home), &authorized).await;
    assert_eq!((reply.status, reply.member("scope").as_str()), (200, "files:read"));
}

#[tokio::test]
async fn az_30_no_parameter_leads_a_login_elsewhere() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let outside = "https://evil.example/";
    let wishes = [("return_to", outside), ("next", outside), ("continue", outside)];
    let page = browser.open(&application.request(&random(), &wishes)).await;
    let mut form = form_to(&page, "/login");
    for (name, value) in wishes.into_iter().chain([("username", "admin"), ("password", PASSWORD)]) {
        form.set(name, value);
    }
    let reply = browser.submit(&form).await;
    assert!(!reply.header("location").contains("evil"), "{reply:?}");
    assert_eq!(browser.settle(reply).await.status, 200);
}

#[tokio::test]
async fn az_32_a_transaction_belongs_to_one_browser() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let page = browser.open(&application.request(&random(), &[])).await;
    let transaction = form_to(&page, "/login").get("t").expect("the transaction").to_owned();
    for path in ["/login", "/consent"] {
        let reply = Client::new(&shared.home).get(&format!("{path}?{}", encoded(&[("t", &transaction)]))).await;
        expect::local(&reply);
    }
}
