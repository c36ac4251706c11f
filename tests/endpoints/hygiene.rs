//! Properties of every answer: security headers, methods, CORS, assets, unknown paths.

use mcpgate::endpoints::ROUTES;

use super::page::Browser;
use super::site::{REQUEST_ID, Site};

/// Every path with its methods, as clients rely on them. The list is repeated here so that a change is deliberate.
const PATHS: &[(&str, &str)] = &[
    ("/", "GET, HEAD"),
    ("/.well-known/oauth-authorization-server", "GET, HEAD, OPTIONS"),
    ("/account", "GET"),
    ("/account/keys", "POST"),
    ("/account/password", "POST"),
    ("/account/resume", "POST"),
    ("/account/revoke", "POST"),
    ("/authorize", "GET, POST"),
    ("/consent", "GET, POST"),
    ("/introspect", "POST"),
    ("/login", "GET, POST"),
    ("/logout", "POST"),
    ("/register", "POST, OPTIONS"),
    ("/revoke", "POST, OPTIONS"),
    ("/setup", "GET, POST"),
    ("/switch-account", "POST"),
    ("/token", "POST, OPTIONS"),
];

#[tokio::test]
async fn a_path_answers_to_its_methods_and_names_them() {
    let served: Vec<_> = ROUTES.iter().filter(|route| route.path == "/" || !route.path.ends_with('/')).collect();
    assert!(served.iter().all(|route| PATHS.contains(&(route.path, route.methods))), "a path is not in the list");
    let site = Site::start().await;
    for (path, allowed) in PATHS {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            let answer = site.ask(method, path, &[]).await;
            if allowed.split(", ").any(|m| m == method) {
                assert!(!matches!(answer.status, 404 | 405), "{method} {path}: {}", answer.status);
            } else {
                assert_eq!(answer.status, 405, "{method} {path}");
                assert_eq!(answer.header("allow"), *allowed);
            }
        }
    }
}

#[tokio::test]
async fn unknown_paths_are_404_in_every_spelling() {
    let site = Site::start().await;
    for path in [
        "/nothing",
        "/authorize/",
        "/Token",
        "/token;x",
        "/%74oken",
        "/./token",
        "//token",
        "/token%00",
        "/login%2f",
        "/admin",
        "/metrics",
        "/healthz",
        "/favicon.ico",
        "/assets/",
        "/assets/style.css",
        "/assets/../token",
    ] {
        assert_eq!(site.ask("GET", path, &[]).await.status, 404, "GET {path}");
        assert!(matches!(site.ask("POST", path, &[]).await.status, 404 | 405), "POST {path}");
    }
}

#[tokio::test]
async fn cn_03_every_answer_is_protected() {
    let site = Site::start().await;
    let statuses: Vec<u16> = {
        let mut seen = Vec::new();
        for (method, path) in PATHS
            .iter()
            .flat_map(|(path, _)| ["GET", "POST", "OPTIONS", "PUT"].map(|method| (method, *path)))
            .chain([("GET", "/nothing"), ("GET", "/.well-known/nothing")])
        {
            let answer = site.ask(method, path, &[]).await;
            let policy = answer.header("content-security-policy");
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(policy.contains("base-uri 'none'") && !policy.contains("script-src"), "{policy}");
            assert_eq!(answer.header("x-frame-options"), "DENY");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert_eq!(answer.header("strict-transport-security"), "max-age=63072000");
            assert!(answer.header("permissions-policy").contains("camera=()"));
            assert_eq!(answer.header("x-request-id"), REQUEST_ID);
            assert!(!answer.headers.contains_key("server"));
            if answer.headers.get("content-type").is_some_and(|t| t == "text/html; charset=utf-8") {
                assert_eq!(answer.header("cache-control"), "no-store", "{path}");
                assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
            }
            seen.push(answer.status);
        }
        seen
    };
    for status in [200, 204, 303, 400, 404, 405] {
        assert!(statuses.contains(&status), "no answer with {status} was looked at");
    }
}

#[tokio::test]
async fn no_browser_is_told_to_use_https_where_the_configuration_says_so() {
    let site = Site::start().await;
    let mut config = super::site::config("");
    config.public.hsts = None;
    site.config.store(std::sync::Arc::new(config));
    assert!(!site.ask("GET", "/", &[]).await.headers.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn programs_in_pages_may_call_what_clients_call_and_nothing_else() {
    let site = Site::start().await;
    let asking = [
        ("origin", "https://inspector.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,mcp-protocol-version"),
    ];
    for (path, methods) in [
        ("/token", "POST, OPTIONS"),
        ("/register", "POST, OPTIONS"),
        ("/revoke", "POST, OPTIONS"),
        ("/.well-known/oauth-authorization-server", "GET, HEAD, OPTIONS"),
        ("/.well-known/oauth-protected-resource/mcp/acme/sales", "GET, HEAD, OPTIONS"),
        ("/.well-known/openid-configuration", "GET, HEAD, OPTIONS"),
    ] {
        let answer = site.ask("OPTIONS", path, &asking).await;
        assert_eq!((answer.status, answer.text().as_str()), (204, ""), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-methods"), methods);
        assert_eq!(
            answer.header("access-control-allow-headers"),
            "Content-Type, Authorization, MCP-Protocol-Version, DPoP"
        );
        assert_eq!(answer.header("access-control-max-age"), "86400");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    }
    for path in ["/token", "/register", "/revoke"] {
        let answer = site.submit(path, &[], &[("origin", "https://inspector.example")]).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "errors can be read too");
        assert_eq!(answer.header("access-control-expose-headers"), "WWW-Authenticate, Retry-After");
    }
    for path in ["/authorize", "/introspect", "/login", "/consent", "/account", "/setup", "/logout", "/"] {
        for method in ["OPTIONS", "GET", "POST"] {
            let answer = site.ask(method, path, &asking).await;
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn assets_have_names_that_change_with_their_content() {
    let site = Site::start().await;
    let page = Browser::new(&site).page("/").await;
    for (attribute, content_type) in [("stylesheet", "text/css; charset=utf-8"), ("icon", "image/svg+xml")] {
        let link = page.html.lines().find(|l| l.contains(&format!("rel=\"{attribute}\""))).unwrap();
        let path = link.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
        let answer = site.ask("GET", path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), content_type);
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(site.ask("HEAD", path, &[]).await.status, 200);
        assert_eq!(site.ask("POST", path, &[]).await.status, 405);
        assert_eq!(site.ask("GET", &format!("{path}x"), &[]).await.status, 404);
    }
}

#[tokio::test]
async fn an_error_page_names_the_request_and_echoes_nothing() {
    let site = Site::start().await;
    let answer = site.ask("GET", "/authorize?client_id=%3Cscript%3Eevil", &[]).await;
    answer.assert_local();
    assert!(answer.text().contains(REQUEST_ID));
    assert!(!answer.text().contains("evil"));
    assert!(answer.text().contains("role=\"alert\""));
}

#[tokio::test]
async fn az_31_pages_ask_nobody_else_and_carry_no_script() {
    let site = Site::start().await;
    let mut browser = Browser::new(&site);
    let account = browser.get("/account").await.header("location").to_owned();
    let link = site.invite("grace").await;
    for at in ["/", account.as_str(), &format!("/setup?link={link}"), "/nothing"] {
        let html = browser.get(at).await.text();
        for word in ["<script", "style=", "javascript:", "http://", "https://", "@import", "url("] {
            assert!(!html.contains(word), "{at}: {word}");
        }
        let handlers = html
            .match_indices(" on")
            .filter(|(i, _)| html[i + 1..].trim_start_matches(|c: char| c.is_ascii_alphabetic()).starts_with('='));
        assert_eq!(handlers.count(), 0, "{at}");
    }
}

#[tokio::test]
async fn the_operators_logo_and_links_are_on_every_page() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let png = write("logo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10 and so on");
    let svg = write("logo", b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>");
    for (file, content_type) in [(&png, "image/png"), (&svg, "image/svg+xml")] {
        let site = Site::with(&format!(
            "[login]\nlogo = \"{file}\"\nsupport_url = \"https://help.example/?a=1&b=2\"\n\
             privacy_url = \"https://example.com/privacy\"\nterms_url = \"https://example.com/terms\"\n"
        ))
        .await;
        let page = site.ask("GET", "/", &[]).await;
        let path = page.text().split("<img src=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        assert!(
            path.starts_with("/assets/own-") && page.text().contains(&format!("type=\"{content_type}\"")),
            "{page:?}"
        );
        for link in ["https://help.example/?a=1&#38;b=2", "https://example.com/privacy", "https://example.com/terms"] {
            let expected = format!("<a href=\"{link}\" target=\"_blank\" rel=\"noopener noreferrer\">");
            assert!(page.text().contains(&expected), "{expected} in {}", page.text());
        }
        let logo = site.ask("GET", &path, &[]).await;
        assert_eq!((logo.status, logo.header("content-type")), (200, content_type));
        assert_eq!(logo.header("content-length"), std::fs::metadata(file).unwrap().len().to_string());
        assert_eq!(logo.header("x-content-type-options"), "nosniff");
        // Opened by itself, it is a document of our origin, so nothing in it may run.
        let policy = logo.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.ends_with("sandbox"), "{policy}");
        assert_eq!(site.ask("GET", &format!("{path}x"), &[]).await.status, 404);
    }
    let plain = Site::start().await;
    let page = plain.ask("GET", "/", &[]).await;
    assert!(!page.text().contains("<footer>") && page.text().contains("/assets/logo-"), "{page:?}");
}
