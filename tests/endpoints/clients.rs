//! The endpoints of programs: /token, /register, /revoke. Media types, sizes, challenges, texts (TOK, CA, RG, DS).

use mcpgate::store::AuditEvent;

use super::authorize::{REDIRECT, VERIFIER, request as authorization_request};
use super::failing_store::FaultPoint;
use super::http::Reply;
use super::http::encoded;
use super::page::{Browser, cookie};
use super::site::{RESOURCE, Site, only, request};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn post(site: &Site, path: &str, fields: &[(&str, &str)], body: Vec<u8>) -> Reply {
    site.send(request("POST", path, fields, body)).await
}

#[tokio::test]
async fn only_a_form_is_a_token_request() {
    let site = Site::start().await;
    for path in ["/token", "/revoke"] {
        for fields in [
            &[("content-type", "application/json")][..],
            &[],
            &[("content-type", "text/plain")],
            &[("content-type", "multipart/form-data; boundary=x")],
            &[FORM, FORM],
        ] {
            post(&site, path, fields, b"{}".to_vec()).await.assert_tok(400, "invalid_request");
        }
        let spelled = [("content-type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")];
        let answer =
            post(&site, path, &spelled, b"client_id=nobody&grant_type=refresh_token&refresh_token=x&token=x".to_vec())
                .await;
        answer.assert_tok(401, "invalid_client");
    }
}

#[tokio::test]
async fn ds_07_bodies_have_a_size() {
    let site = Site::start().await;
    let long = [b"a=".to_vec(), vec![b'x'; 65_535]].concat();
    post(&site, "/token", &[FORM], long.clone()).await.assert_tok(413, "invalid_request");
    post(&site, "/revoke", &[FORM], long).await.assert_tok(413, "invalid_request");
    let json = [("content-type", "application/json")];
    post(&site, "/register", &json, vec![b' '; 1_000_000]).await.assert_tok(413, "invalid_client_metadata");
    let fields: Vec<_> = (0..65).map(|i| (format!("f{i}"), "x".to_owned())).collect();
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    site.submit("/token", &fields, &[]).await.assert_tok(400, "invalid_request");
}

#[tokio::test]
async fn ds_08_no_encoded_content_is_read() {
    let site = Site::start().await;
    for path in ["/token", "/revoke", "/login", "/consent", "/authorize"] {
        for coding in ["gzip", "br", "gzip, gzip"] {
            let answer = post(&site, path, &[FORM, ("content-encoding", coding)], b"x".to_vec()).await;
            assert_eq!(answer.status, 415, "{path} {coding}");
        }
    }
    let json = [("content-type", "application/json"), ("content-encoding", "gzip")];
    post(&site, "/register", &json, b"x".to_vec()).await.assert_tok(415, "invalid_client_metadata");
}

#[tokio::test]
async fn only_who_tried_basic_is_challenged_for_basic() {
    let site = Site::start().await;
    let grant = encoded(&[("grant_type", "refresh_token"), ("refresh_token", "x")]);
    for authorization in ["Basic !!!", "basic bm9ib2R5OnNlY3JldA=="] {
        let fields = [FORM, ("authorization", authorization)];
        let answer = post(&site, "/token", &fields, grant.clone().into_bytes()).await;
        answer.assert_tok(401, "invalid_client");
        assert!(answer.header("www-authenticate").starts_with("Basic realm=\""), "{authorization}");
    }
    let answer = post(&site, "/token", &[FORM], format!("{grant}&client_id=nobody").into_bytes()).await;
    answer.assert_tok(401, "invalid_client");
    assert!(!answer.headers.contains_key("www-authenticate"), "the request did not use Basic");
    let twice = [FORM, ("authorization", "Basic YTpi"), ("authorization", "Basic YTpi")];
    post(&site, "/token", &twice, grant.into_bytes()).await.assert_tok(400, "invalid_request");
}

#[tokio::test]
async fn a_failing_store_is_told_as_such_and_when_to_come_again() {
    let site = Site::start().await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let login = browser.begin(&authorization_request(&client, &[])).await;
    let consent = browser.log_in(&login).await;
    let sent = browser.post("/consent", &consent.approval()).await.redirected(REDIRECT);
    let redemption = [
        ("grant_type", "authorization_code"),
        ("client_id", client.as_str()),
        ("code", only(&sent, "code")),
        ("code_verifier", VERIFIER),
        ("resource", RESOURCE),
    ];
    let revocation = [("client_id", client.as_str()), ("token", "mcp_access_x")];
    let registration = r#"{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"none"}"#;
    for (path, field, body, good) in [
        ("/token", FORM, encoded(&redemption), 200),
        ("/register", ("content-type", "application/json"), registration.to_owned(), 201),
        ("/revoke", FORM, encoded(&revocation), 200),
    ] {
        // Every store call of the request fails in turn, beginning with the first.
        for call in 0.. {
            site.faulty.fail_at(call, FaultPoint::Before);
            let answer = post(&site, path, &[field], body.clone().into_bytes()).await;
            if !site.faulty.mend() {
                assert!(call > 0 && answer.status == good, "{path}: {answer:?}");
                break;
            }
            answer.assert_tok(503, "temporarily_unavailable");
            assert_eq!(answer.header("retry-after"), "5", "{path}");
        }
    }
    // A change whose acknowledgement is lost gets the same answer.
    site.faulty.fail_at(0, FaultPoint::After);
    site.post_json("/register", registration).await.assert_tok(503, "temporarily_unavailable");
}

#[tokio::test]
async fn rg_15_what_cannot_be_read_leaves_a_row_that_says_why() {
    let site = Site::start().await;
    let long = vec![b'x'; 70_000];
    let json = ("content-type", "application/json");
    for (path, fields, body) in [
        ("/token", vec![json], Vec::new()),
        ("/token", vec![FORM], long.clone()),
        ("/token", vec![FORM], b"a=%zz".to_vec()),
        ("/token", vec![FORM, ("content-encoding", "gzip")], Vec::new()),
        ("/token", vec![FORM, ("authorization", "Basic YTpi"), ("authorization", "Basic YTpi")], Vec::new()),
        ("/revoke", vec![json], Vec::new()),
        ("/register", vec![FORM], Vec::new()),
        ("/register", vec![json], long.clone()),
        ("/authorize", vec![json], Vec::new()),
        ("/authorize", vec![FORM], long.clone()),
        ("/login", vec![FORM], "a&".repeat(1_100).into_bytes()),
    ] {
        let answer = post(&site, path, &fields, body).await;
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
    }
    for query in ["a=%zz".to_owned(), "a&".repeat(65)] {
        site.ask("GET", &format!("/authorize?{query}"), &[]).await.assert_local();
    }
    let token = ["content_type", "body_too_large", "malformed_form", "content_encoding", "repeated_authorization"];
    assert_eq!(site.reasons(AuditEvent::TokenRefused).await, [&token[..], &["content_type"]].concat());
    assert_eq!(site.reasons(AuditEvent::ClientRegistrationRefused).await, ["content_type", "body_too_large"]);
    let pages = ["content_type", "body_too_large", "too_many_fields", "malformed_form", "too_many_fields"];
    assert_eq!(site.refused_pages().await, pages);
}

#[tokio::test]
async fn no_error_echoes_what_was_sent() {
    let site = Site::start().await;
    for form in [
        &[("grant_type", "evil-grant"), ("client_id", "evil-client")][..],
        &[("grant_type", "authorization_code"), ("client_id", "evil\"client\\"), ("code", "evil-code")],
    ] {
        let answer = site.submit("/token", form, &[]).await;
        assert!(!answer.text().contains("evil"), "{answer:?}");
        let words = answer.json()["error_description"].as_str().unwrap().to_owned();
        // RFC 6749 5.2: %x20-21 / %x23-5B / %x5D-7E.
        assert!(words.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{words}");
    }
}

#[tokio::test]
async fn a_registration_comes_back_whole() {
    let site = Site::start().await;
    let asked = serde_json::json!({
        "client_name": "Notes",
        "redirect_uris": ["http://127.0.0.1:33418/", "https://c.example/cb"],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "application_type": "native",
        "unknown_member": true,
    });
    let answer = site.post_json("/register", &asked.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let body = answer.json();
    assert!(body["client_id"].as_str().unwrap().starts_with("mcp_client_"));
    assert_eq!(body["client_id_issued_at"], 1_795_219_200);
    assert!(body["client_secret"].as_str().unwrap().starts_with("mcp_secret_"));
    assert_eq!(body["client_secret_expires_at"], 0);
    assert_eq!(body["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(body["redirect_uris"], asked["redirect_uris"]);
    assert_eq!(body["grant_types"], serde_json::json!(["authorization_code", "refresh_token"]));
    assert_eq!(body["response_types"], serde_json::json!(["code"]));
    assert_eq!(body["client_name"], "Notes");
    assert!(body.as_object().unwrap().values().all(|v| !v.is_null()), "{body}");
}

#[tokio::test]
async fn a_public_client_gets_no_secret() {
    let site = Site::start().await;
    let asked = r#"{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"none"}"#;
    let body = site.post_json("/register", asked).await.json();
    assert_eq!(body["token_endpoint_auth_method"], "none");
    assert!(body.get("client_secret").is_none() && body.get("client_secret_expires_at").is_none());
}

#[tokio::test]
async fn a_registration_beyond_the_limit_is_told_when_to_come_again() {
    let site = Site::with("[rates]\nregistrations_per_hour = 2\n").await;
    let asked = |name: &str| {
        format!(
            r#"{{"client_name":"{name}","redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"none"}}"#
        )
    };
    let first = site.post_json("/register", &asked("first")).await;
    for _ in 0..5 {
        let again = site.post_json("/register", &asked("first")).await;
        assert_eq!(
            (again.status, &again.json()["client_id"]),
            (201, &first.json()["client_id"]),
            "it does not use up the limit"
        );
    }
    assert_eq!(site.post_json("/register", &asked("second")).await.status, 201);
    let last = site.post_json("/register", &asked("third")).await;
    assert_eq!(last.status, 429);
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(last.json()["error"].is_string());
}

#[tokio::test]
async fn rg_15_a_registration_is_json() {
    let site = Site::start().await;
    let body = r#"{"redirect_uris":["https://c.example/cb"]}"#.as_bytes().to_vec();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let answer = post(&site, "/register", &[("content-type", content_type)], body.clone()).await;
        answer.assert_tok(415, "invalid_client_metadata");
    }
    let spelled = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(post(&site, "/register", &spelled, body).await.status, 201);
    for body in ["", "[]", "{", "null", "{\"redirect_uris\":1}"] {
        let answer = site.post_json("/register", body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
}

#[tokio::test]
async fn revoking_what_nobody_knows_is_done() {
    let site = Site::start().await;
    let client = site.register("https://c.example/cb").await;
    for token in ["x", "mcp_access_x", "mcp_refresh_x"] {
        let answer = site.submit("/revoke", &[("client_id", &client), ("token", token)], &[]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{token}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    site.submit("/revoke", &[("client_id", &client)], &[]).await.assert_tok(400, "invalid_request");
    site.submit("/revoke", &[("client_id", "nobody"), ("token", "x")], &[]).await.assert_tok(401, "invalid_client");
}

#[tokio::test]
async fn cookies_count_for_nothing_here() {
    let site = Site::start().await;
    let both = format!("{0}=x; {0}=y", cookie("s"));
    let cookies = [("cookie", both.as_str())];
    for path in ["/token", "/revoke"] {
        let form = [("client_id", "nobody"), ("token", "x"), ("grant_type", "refresh_token"), ("refresh_token", "x")];
        site.submit(path, &form, &cookies).await.assert_tok(401, "invalid_client");
    }
}
