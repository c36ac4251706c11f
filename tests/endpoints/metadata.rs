//! Metadata: the documents byte for byte, their paths, and the paths that must have none (MD).

use super::site::{Site, config};

const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource/mcp/acme/sales";

/// Compares with tests/golden; `UPDATE_GOLDEN=1` writes instead.
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(text).unwrap()).unwrap() + "\n";
    if std::env::vars().any(|(key, _)| key == "UPDATE_GOLDEN") {
        std::fs::write(path, pretty).unwrap();
        return;
    }
    assert_eq!(pretty, std::fs::read_to_string(path).unwrap(), "{name}");
}

#[tokio::test]
async fn the_documents_say_what_clients_need() {
    let site = Site::start().await;
    for (path, name) in [
        (AUTHORIZATION_SERVER, "authorization_server.json"),
        (PROTECTED_RESOURCE, "protected_resource.json"),
        ("/.well-known/oauth-protected-resource/mcp/acme/sales/", "protected_resource_slash.json"),
        ("/.well-known/oauth-protected-resource/mcp/notes", "protected_resource_plain.json"),
    ] {
        let answer = site.ask("GET", path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        golden(name, &answer.json().to_string());
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn all_other_well_known_paths_are_404() {
    let site = Site::start().await;
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/mcp/acme/sales//",
        "/.well-known/oauth-protected-resource/mcp/acme/sales?x=/../notes/",
        "/mcp/acme/sales/.well-known/oauth-protected-resource",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/mcp/acme/sales",
        "/.well-known/oauth-authorization-server/mcp/acme/sales",
        "/.well-known/oauth-authorization-server/",
        "/mcp/acme/sales/.well-known/openid-configuration",
        "/mcp/acme/sales/.well-known/oauth-authorization-server",
        "/.well-known/",
        "/.well-known/security.txt",
    ] {
        let wanted = if path.contains('?') { 200 } else { 404 };
        assert_eq!(site.ask("GET", path, &[]).await.status, wanted, "{path}");
    }
}

#[tokio::test]
async fn md_04_no_other_spelling_is_the_same_resource() {
    let site = Site::start().await;
    for path in [
        "/.well-known/oauth-protected-resource/mcp/nobody/sales",
        "/.well-known/oauth-protected-resource/mcp/acme/../acme/sales",
        "/.well-known/oauth-protected-resource/mcp/%2e%2e/mcp/acme/sales",
        "/.well-known/oauth-protected-resource/mcp/acme%2fsales",
        "/.well-known/oauth-protected-resource/mcp/acme/sales;x",
        "/.well-known/oauth-protected-resource/mcp/acme/SALES",
        "/.well-known/oauth-protected-resource/mcp/acme/sale%73",
        "/.well-known/./oauth-authorization-server",
        "//.well-known/oauth-authorization-server",
        "/.well-known%2foauth-authorization-server",
        "/%2ewell-known/oauth-authorization-server",
    ] {
        assert_eq!(site.ask("GET", path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn md_02_nothing_in_a_request_changes_the_issuer() {
    let site = Site::start().await;
    let plain = site.ask("GET", AUTHORIZATION_SERVER, &[]).await;
    let spoofed = [
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-forwarded-proto", "http"),
        ("x-original-url", "/token"),
    ];
    assert_eq!(site.ask("GET", AUTHORIZATION_SERVER, &spoofed).await.body, plain.body);
}

#[tokio::test]
async fn md_10_each_document_names_the_resource_it_was_asked_for() {
    let site = Site::start().await;
    for path in ["/mcp/acme/sales", "/mcp/acme/sales/", "/mcp/notes", "/mcp/notes/"] {
        let answer = site.ask("GET", &format!("/.well-known/oauth-protected-resource{path}"), &[]).await;
        assert_eq!(answer.json()["resource"], format!("https://gw.example{path}"));
    }
}

#[tokio::test]
async fn md_11_what_is_off_is_not_named_and_not_open() {
    let site = Site::with("[registration]\nenabled = false\n[client_id_metadata_documents]\nmode = \"off\"\n").await;
    let metadata = site.ask("GET", AUTHORIZATION_SERVER, &[]).await.json();
    assert!(metadata.get("registration_endpoint").is_none());
    assert_eq!(metadata["client_id_metadata_document_supported"], false);
    let answer = site.post_json("/register", r#"{"redirect_uris":["https://c.example/cb"]}"#).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer realm=\"register\""));
    assert_eq!(answer.header("access-control-allow-origin"), "*", "a page's script can read the refusal");
}

#[tokio::test]
async fn a_reloaded_configuration_has_new_documents() {
    let site = Site::start().await;
    let before = site.ask("GET", AUTHORIZATION_SERVER, &[]).await;
    site.config.store(std::sync::Arc::new(config("[registration]\nenabled = false\n")));
    let after = site.ask("GET", AUTHORIZATION_SERVER, &[]).await;
    assert!(before.json().get("registration_endpoint").is_some());
    assert!(after.json().get("registration_endpoint").is_none());
    assert_ne!(before.header("etag"), after.header("etag"));
}

#[tokio::test]
async fn a_document_that_is_known_is_not_sent_again() {
    let site = Site::start().await;
    let etag = site.ask("GET", PROTECTED_RESOURCE, &[]).await.header("etag").to_owned();
    for tag in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let answer = site.ask("GET", PROTECTED_RESOURCE, &[("if-none-match", &tag)]).await;
        assert_eq!((answer.status, answer.text().as_str()), (304, ""), "{tag}");
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    assert_eq!(site.ask("GET", PROTECTED_RESOURCE, &[("if-none-match", "\"x\"")]).await.status, 200);
}

#[tokio::test]
async fn head_tells_the_length_and_sends_nothing() {
    let site = Site::start().await;
    for path in [AUTHORIZATION_SERVER, PROTECTED_RESOURCE, "/"] {
        let get = site.ask("GET", path, &[]).await;
        let head = site.ask("HEAD", path, &[]).await;
        assert_eq!((head.status, head.text().as_str()), (200, ""));
        assert_eq!(head.header("content-length"), get.text().len().to_string());
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
}
