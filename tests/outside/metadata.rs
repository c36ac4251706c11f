//! MD: metadata, and the hosts that the gateway answers for.

use crate::shared;
use hyper::Method;

use crate::life::until_reloads;
use crate::support::client::{Client, request};
use crate::support::gateway::Home;

const SERVER: &str = "/.well-known/oauth-authorization-server";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

#[tokio::test]
async fn md_01_another_host_is_misdirected() {
    let shared = shared::gateway().await;
    let mut client = Client::new(&shared.home);
    for target in [SERVER, "/mcp", "/authorize", "/.well-known/oauth-protected-resource/mcp"] {
        let reply = client.send(request(Method::GET, target, &[("host", "evil.example")], "")).await;
        assert_eq!(reply.status, 421, "{target}: {reply:?}");
        assert!(!reply.text().contains("issuer"));
    }
}

#[tokio::test]
async fn md_02_forwarding_headers_of_a_stranger_change_nothing() {
    let shared = shared::gateway().await;
    let mut client = Client::new(&shared.home);
    let plain = client.get(SERVER).await;
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-forwarded-proto", "http"),
        ("x-original-host", "evil.example"),
        ("x-forwarded-prefix", "/evil"),
    ] {
        let reply = client.send(request(Method::GET, SERVER, &[(name, value)], "")).await;
        assert_eq!((reply.status, &reply.body), (200, &plain.body), "{name}");
        let reply = client.send(request(Method::POST, "/mcp", &[(name, value)], "")).await;
        assert!(reply.header("www-authenticate").contains(&shared.home.origin()), "{name}: {reply:?}");
    }
}

#[tokio::test]
async fn md_03_the_documents_stand_where_clients_look_and_nowhere_else() {
    let shared = shared::gateway().await;
    let mut client = Client::new(&shared.home);
    let origin = shared.home.origin();
    let server = client.get(SERVER).await;
    assert_eq!((server.status, server.header("content-type")), (200, "application/json"));
    assert_eq!(server.header("cache-control"), "public, max-age=300");
    assert_eq!(server.member("issuer"), origin);
    for path in ["/mcp", "/mcp/mail"] {
        let document = client.get(&format!("{RESOURCE}{path}")).await;
        assert_eq!((document.status, document.member("resource")), (200, format!("{origin}{path}")));
        assert_eq!(document.json()["authorization_servers"], serde_json::json!([origin]));
        let slashed = client.get(&format!("{RESOURCE}{path}/")).await;
        assert_eq!((slashed.status, slashed.member("resource")), (200, format!("{origin}{path}/")));
    }
    for absent in [
        RESOURCE.to_owned(),
        format!("{SERVER}/mcp"),
        "/.well-known/openid-configuration".to_owned(),
        "/.well-known/openid-configuration/mcp".to_owned(),
        format!("/mcp{RESOURCE}"),
        "/mcp/.well-known/openid-configuration".to_owned(),
        format!("/mcp{SERVER}"),
        "/jwks".to_owned(),
    ] {
        let reply = client.get(&absent).await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (404, ""), "{absent}");
    }
}

#[tokio::test]
async fn md_04_md_10_a_path_of_nobody_has_no_document() {
    let shared = shared::gateway().await;
    let mut client = Client::new(&shared.home);
    for path in ["/mcp/unknown", "/mcp/../mcp", "/mcp/%2e%2e/mcp", "/%6dcp", "/mcp;x", "/MCP", "//mcp", "/mcp/mail/x"] {
        let reply = client.get(&format!("{RESOURCE}{path}")).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn md_05_a_request_names_one_sound_host() {
    let shared = shared::gateway().await;
    let port = shared.home.public.port();
    for hosts in [
        format!("host: localhost:{port}\r\nhost: localhost:{port}\r\n"),
        String::new(),
        format!("host: u@localhost:{port}\r\n"),
        "host: local host\r\n".to_owned(),
        "host: localhost:99999\r\n".to_owned(),
        "host: [fe80::1%lo]\r\n".to_owned(),
        "host:\r\n".to_owned(),
    ] {
        let answer =
            Client::new(&shared.home).raw_exchange(format!("GET {SERVER} HTTP/1.1\r\n{hosts}\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{hosts:?}: {answer}");
        assert!(!answer.contains("issuer"));
    }
}

#[tokio::test]
async fn md_06_the_authority_of_an_absolute_target_wins_and_must_be_ours() {
    let shared = shared::gateway().await;
    let port = shared.home.public.port();
    for (authority, host, status) in [
        ("evil.example".to_owned(), format!("localhost:{port}"), "421"),
        (format!("localhost:{port}"), "evil.example".to_owned(), "200"),
    ] {
        let head = format!("GET https://{authority}{SERVER} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = Client::new(&shared.home).raw_exchange(head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}{answer}");
    }
}

#[tokio::test]
async fn md_08_a_page_of_another_site_cannot_speak_to_an_upstream() {
    let shared = shared::gateway().await;
    let issued = shared.home.command(&["token", "issue", "--user", "admin", "--upstream", "files"]);
    let token = issued["access_token"].as_str().expect("a token");
    let mut client = Client::new(&shared.home);
    for origin in ["https://evil.example", "null", "http://localhost"] {
        let mut asked = crate::support::client::call("/mcp", token, "md-08");
        asked.headers_mut().insert("origin", origin.parse().expect("an origin"));
        assert_eq!(client.send(asked).await.status, 403, "{origin}");
    }
    assert!(shared.upstream.seen("md-08").is_empty());
}

#[tokio::test]
async fn static_answers_are_data_to_everybody_and_follow_their_files() {
    const CHALLENGE: &str = "/.well-known/openai-apps-challenge";
    let challenge = format!("[[well_known]]\npath = \"{CHALLENGE}\"\nfile = \"challenge\"\n");
    let page = "[[well_known]]\npath = \"/.well-known/page\"\nkind = \"octets\"\ncontent = \"<script>1</script>\"\n";
    let home = Home::new(&format!("{challenge}{page}[reload]\nwatch = true\n"), None);
    let file = home.config().with_file_name("challenge");
    std::fs::write(&file, "token-1\n").expect("the file can be written");
    let gateway = home.start().await;
    let mut client = Client::new(&gateway.home);
    let reply = client.get(CHALLENGE).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "token-1\n"));
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    let page = client.get("/.well-known/page").await;
    assert_eq!((page.header("content-type"), page.text().as_str()), ("application/octet-stream", "<script>1</script>"));
    for reply in [&reply, &page] {
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("sandbox; default-src 'none';"), "{policy}");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(reply.header("cache-control"), "public, max-age=300");
    }
    let head = client.send(request(Method::HEAD, CHALLENGE, &[], "")).await;
    assert_eq!((head.status, head.text().as_str(), head.header("content-length")), (200, "", "8"));
    let known = client.send(request(Method::GET, CHALLENGE, &[("if-none-match", reply.header("etag"))], "")).await;
    assert_eq!((known.status, known.text().as_str()), (304, ""));
    let posted = client.send(request(Method::POST, CHALLENGE, &[], "x")).await;
    assert_eq!(posted.status, 405);
    for absent in ["/.well-known/openai-apps-challenge/", "/.well-known/OpenAI-apps-challenge", "/.well-known/pag%65"] {
        assert_eq!(client.get(absent).await.status, 404, "{absent}");
    }
    assert!(!client.get(SERVER).await.header("content-security-policy").contains("sandbox"));
    // The file is watched like any other; an invalid one leaves the answer unchanged.
    std::fs::write(&file, "token-2").expect("the file can be written");
    until_reloads(&gateway.home, "reloaded", 1).await;
    assert_eq!(client.get(CHALLENGE).await.text(), "token-2");
    std::fs::write(&file, [0xff, 0xfe]).expect("the file can be written");
    until_reloads(&gateway.home, "rejected", 1).await;
    assert_eq!(client.get(CHALLENGE).await.text(), "token-2");
}
