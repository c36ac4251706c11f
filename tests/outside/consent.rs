//! CN: consent, forged posts, cookies.

use crate::expect;
use crate::shared::{self, CALLBACK, application};
use crate::support::application::{Application, Tokens, parameter, random};
use crate::support::client::{Client, Reply, request};
use crate::support::page::{Browser, Form, form_to};
use crate::support::password::PASSWORD;

async fn consent_page(browser: &mut Browser, application: &Application) -> (Reply, Form) {
    let page = browser.ask(&application.request(&random(), &[])).await;
    let mut form = form_to(&page, "/consent");
    form.set("decision", "approve");
    (page, form)
}

#[tokio::test]
async fn cn_01_a_consent_without_this_browsers_token_is_refused() {
    let (shared, application) = application(CALLBACK).await;
    let (mut mine, mut other) = (Browser::new(&shared.home), Browser::new(&shared.home));
    let (_, form) = consent_page(&mut mine, &application).await;
    let (_, foreign) = consent_page(&mut other, &application).await;
    let old = consent_page(&mut mine, &application).await.1;
    for token in
        ["", "forged", foreign.get("form_token").unwrap_or_default(), old.get("form_token").unwrap_or_default()]
    {
        let mut forged = form.clone();
        forged.set("form_token", token);
        let reply = mine.submit(&forged).await;
        assert_eq!((reply.status, reply.header("location")), (403, ""), "{token}");
        expect::guarded(&reply);
    }
    assert_eq!(mine.submit(&form).await.status, 303, "the forged posts changed nothing");
}

#[tokio::test]
async fn cn_02_a_post_from_another_site_is_refused() {
    // `Origin: null` is not among them: a browser sends it from our own pages too, because they send no referrer (Fetch
    // 3.2).
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let (_, form) = consent_page(&mut browser, &application).await;
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (name, value) in
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")]
    {
        let mut forged = crate::support::client::post_form("/consent", &fields);
        forged.headers_mut().insert(name, value.parse().expect("a value"));
        let reply = browser.send(forged).await;
        assert_eq!((reply.status, reply.header("location")), (403, ""), "{name}: {value}");
    }
    assert_eq!(browser.submit(&form).await.status, 303);
}

#[tokio::test]
async fn cn_03_what_is_refused_before_any_page_may_not_be_framed_either() {
    let shared = shared::gateway().await;
    let host = format!("host: localhost:{}\r\n", shared.home.public.port());
    let long = "x".repeat(9_000);
    for (line, fields, status) in [
        ("GET /mcp", host.clone(), 401),
        ("GET /mcp/mail", format!("{host}authorization: Bearer none\r\n"), 401),
        ("POST /mcp", format!("{host}authorization: Bearer a b\r\n"), 400),
        ("GET /mcp", format!("{host}origin: https://evil.example\r\n"), 403),
        ("OPTIONS /mcp", host.clone(), 204),
        ("GET /", "host: elsewhere.example\r\n".to_owned(), 421),
        ("GET /", String::new(), 400),
        ("GET /", format!("{host}expect: the-worst\r\n"), 417),
        ("GET /", format!("{host}x-long: {long}{long}\r\n"), 431),
        (&format!("GET /{long}{long}"), host.clone(), 414),
        ("TRACE /", host.clone(), 405),
        ("POST /token", format!("{host}content-length: 0\r\n"), 400),
        ("GET /nowhere", host.clone(), 404),
    ] {
        let request = format!("{line} HTTP/1.1\r\n{fields}connection: close\r\n\r\n");
        let answer = Client::new(&shared.home).raw_exchange(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line:.20}: {answer}");
        for field in ["x-frame-options: DENY\r\n", "x-content-type-options: nosniff\r\n", "frame-ancestors 'none'"] {
            assert!(answer.contains(field), "{line:.20}: no {field} in {answer}");
        }
    }
}

#[tokio::test]
async fn cn_04_a_get_approves_nothing() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let (_, form) = consent_page(&mut browser, &application).await;
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let reply = browser
        .send(request(hyper::Method::GET, &format!("/consent?{}", crate::support::client::encoded(&fields)), &[], ""))
        .await;
    assert!(!reply.header("location").starts_with(CALLBACK), "{reply:?}");
    for method in [hyper::Method::PUT, hyper::Method::DELETE, hyper::Method::PATCH] {
        assert_eq!(browser.send(request(method, "/consent", &[], "")).await.status, 405);
    }
}

#[tokio::test]
async fn cn_05_a_login_makes_a_new_session() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    browser.cookies.insert(shared.home.cookie("s"), "planted".to_owned());
    browser.ask(&application.request(&random(), &[])).await;
    let first = browser.cookies[&shared.home.cookie("s")].clone();
    assert_ne!(first, "planted");
    let page = browser.open(&application.request(&random(), &[("prompt", "login")])).await;
    browser.log_in(&page, "admin", PASSWORD).await;
    assert_ne!(browser.cookies[&shared.home.cookie("s")], first, "the next login sets a new session id");
    let mut old = Browser::new(&shared.home);
    old.cookies.insert(shared.home.cookie("s"), first);
    let page = old.open(&application.request(&random(), &[])).await;
    assert!(page.text().contains("action=\"/login\""), "the old session has ended");
}

#[tokio::test]
async fn cn_06_two_cookies_of_one_name_are_believed_neither() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    browser.ask(&application.request(&random(), &[])).await;
    for set in browser.cookies.keys() {
        assert!(set.starts_with("__Host-"), "{set}");
    }
    let session = &browser.cookies[&shared.home.cookie("s")];
    let cookies = format!("{0}={session}; {0}=tossed", shared.home.cookie("s"));
    let asked = request(hyper::Method::GET, &application.request(&random(), &[]), &[("cookie", &cookies)], "");
    expect::local(&Client::new(&shared.home).send(asked).await);
}

#[tokio::test]
async fn cn_08_cn_09_consent_to_a_known_client_is_remembered_for_what_it_was_given() {
    let shared = shared::gateway().await;
    let redirect = "https://known.example/cb";
    let added =
        shared.home.command(&["client", "add", "--name", "Known", "--redirect-uri", redirect, "--confidential"]);
    let application = Application {
        client_id: added["client_id"].as_str().expect("an id").to_owned(),
        secret: added["client_secret"].as_str().map(str::to_owned),
        redirect_uri: redirect.to_owned(),
        resource: format!("{}/mcp", shared.home.origin()),
    };
    let mut browser = Browser::new(&shared.home);
    let (_, form) = consent_page(&mut browser, &application).await;
    assert!(!parameter(&browser.submit(&form).await, "code").is_empty());
    let silent = browser.ask(&application.request(&random(), &[])).await;
    assert!(!parameter(&silent, "code").is_empty(), "the same scopes need no new consent");
    let wider = browser.ask(&application.request(&random(), &[("scope", "files:read files:write")])).await;
    assert!(wider.text().contains("action=\"/consent\""), "more scopes need consent");
    let mail = format!("{}/mcp/mail", shared.home.origin());
    let elsewhere = browser.ask(&application.request(&random(), &[("resource", &mail)])).await;
    assert!(elsewhere.text().contains("action=\"/consent\""), "another resource needs consent");
    let forced = browser.ask(&application.request(&random(), &[("prompt", "consent")])).await;
    assert!(forced.text().contains("action=\"/consent\""), "the client's prompt parameter forces consent");
    let registered = Application::register(&shared.home, CALLBACK).await;
    for _ in 0..2 {
        let (_, form) = consent_page(&mut browser, &registered).await;
        assert_eq!(browser.submit(&form).await.status, 303, "a client that registered itself needs consent each time");
    }
}

#[tokio::test]
async fn cn_10_the_page_says_who_asks_for_what() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let page = browser.ask(&application.request(&random(), &[("scope", "files:read files:write")])).await;
    expect::guarded(&page);
    let page = page.text();
    for fact in [
        "Test application",
        "127.0.0.1",
        "Files",
        "Read files",
        "Change files",
        "admin",
        "this device",
        "on this computer",
    ] {
        assert!(page.contains(fact), "no {fact} in\n{page}");
    }
}

#[tokio::test]
async fn cn_15_a_refusal_reaches_the_client_and_ends_the_transaction() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let (page, form) = consent_page(&mut browser, &application).await;
    expect::sent_back(&browser.decide(&page, "deny").await, &application, "access_denied", Some("the-state"));
    expect::local(&browser.submit(&form).await);
}

#[tokio::test]
async fn cn_16_an_unticked_scope_is_not_given() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let verifier = random();
    let page = browser.ask(&application.request(&verifier, &[("scope", "files:read files:write")])).await;
    let mut form = form_to(&page, "/consent");
    form.fields.retain(|(name, value)| name != "scope" || value == "files:read");
    form.set("decision", "approve");
    let answer = browser.submit(&form).await;
    let authorized = crate::support::application::Authorized { code: parameter(&answer, "code"), verifier };
    let reply = application.redeem(&mut Client::new(&shared.home), &authorized).await;
    assert_eq!((reply.status, reply.member("scope").as_str()), (200, "files:read"));
}

#[tokio::test]
async fn cn_17_a_clients_name_is_inert_text() {
    let shared = shared::gateway().await;
    let name = "<img src=x onerror=alert(1)>{{7*7}}\u{202e}";
    let body =
        serde_json::json!({"client_name": name, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"});
    let id = Client::new(&shared.home).post_json("/register", &body).await.member("client_id");
    let application = Application {
        client_id: id,
        secret: None,
        redirect_uri: CALLBACK.to_owned(),
        resource: format!("{}/mcp", shared.home.origin()),
    };
    let page = Browser::new(&shared.home).ask(&application.request(&random(), &[])).await.text();
    assert!(!page.contains("<img src=x") && !page.contains('\u{202e}') && page.contains("{{7*7}}"), "{page}");
}

#[tokio::test]
async fn cn_14_cn_18_a_consent_is_used_once_and_by_its_own_transaction() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let (_, first) = consent_page(&mut browser, &application).await;
    let (_, second) = consent_page(&mut browser, &application).await;
    let mut crossed = first.clone();
    crossed.set("t", second.get("t").unwrap_or_default());
    assert_eq!(browser.submit(&crossed).await.status, 403, "a form of one transaction is not valid in another");
    assert_eq!(browser.submit(&first).await.status, 303);
    expect::local(&browser.submit(&first).await);
    assert_eq!(browser.submit(&second).await.status, 303);
}

#[tokio::test]
async fn cn_19_logging_out_needs_a_post_with_the_token() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    browser.ask(&application.request(&random(), &[])).await;
    assert_eq!(browser.send(request(hyper::Method::GET, "/logout", &[], "")).await.status, 405);
    let mut form = form_to(&browser.open("/account").await, "/logout");
    let good = form.clone();
    form.set("form_token", "forged");
    assert_eq!(browser.submit(&form).await.status, 403);
    assert!(browser.open("/account").await.text().contains("action=\"/logout\""), "still logged in");
    browser.submit(&good).await;
    assert!(!browser.open("/account").await.text().contains("action=\"/logout\""), "logged out");
}

#[tokio::test]
async fn cn_20_a_disconnected_application_loses_its_access() {
    let (shared, application) = application(CALLBACK).await;
    let name = crate::login::new_user(&shared.home, "cn-20");
    let tokens: Tokens = crate::refresh::tokens_of(&shared.home, &application, &name).await;
    let mut browser = Browser::new(&shared.home);
    let page = browser.open("/account").await;
    let page = browser.log_in(&page, &name, PASSWORD).await;
    let form = form_to(&page, "/account/revoke");
    assert_eq!(browser.submit(&form).await.status, 303);
    let mut client = Client::new(&shared.home);
    let reply = client.call("/mcp", &tokens.access, "cn-20").await;
    expect::challenged(&reply, &shared.home.origin(), "/mcp", Some("invalid_token"));
    expect::refused(&application.refresh(&mut client, &tokens.refresh).await, "invalid_grant");
}
