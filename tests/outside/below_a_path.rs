//! A public URL with a path: everything is below it, and beside it only the metadata whose addresses are inserted.

use hyper::Method;
use serde_json::json;

use crate::expect;
use crate::life::until_said;
use crate::support::application::Application;
use crate::support::client::{Client, post_message, request};
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

const SERVER: &str = "/.well-known/oauth-authorization-server";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

async fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::start();
    let mut home = Home::new("", Some(upstream.url.clone()));
    home.path = "/gw";
    (home.start().await, upstream)
}

#[tokio::test]
async fn issuer_endpoints_and_both_forms_of_metadata_are_below_it() {
    let (gateway, _upstream) = gateway().await;
    let (home, issuer) = (&gateway.home, gateway.home.origin());
    let mut client = Client::beside(home);
    for path in [format!("{SERVER}/gw"), format!("/gw{SERVER}")] {
        let metadata = client.get(&path).await.json();
        assert_eq!(metadata["issuer"], json!(issuer), "{path}");
        for (member, endpoint) in [
            ("authorization_endpoint", "/authorize"),
            ("token_endpoint", "/token"),
            ("registration_endpoint", "/register"),
            ("revocation_endpoint", "/revoke"),
            ("introspection_endpoint", "/introspect"),
        ] {
            assert_eq!(metadata[member], json!(format!("{issuer}{endpoint}")), "{path}");
        }
    }
    for path in [format!("{RESOURCE}/gw/mcp"), format!("/gw{RESOURCE}/mcp")] {
        let metadata = client.get(&path).await.json();
        let expected = (&json!(format!("{issuer}/mcp")), &json!([issuer]));
        assert_eq!((&metadata["resource"], &metadata["authorization_servers"]), expected, "{path}");
    }
    let challenged = client.send(request(Method::POST, "/gw/mcp", &[("content-type", "application/json")], "{}")).await;
    let origin = issuer.trim_end_matches("/gw");
    expect::challenged(&challenged, origin, "/gw/mcp", None);
}

#[tokio::test]
async fn beside_it_nothing_is_served() {
    let (gateway, upstream) = gateway().await;
    let mut client = Client::beside(&gateway.home);
    for path in [
        "/",
        "/mcp",
        "/authorize",
        "/account",
        "/login",
        "/token",
        "/gwx/mcp",
        "/GW/mcp",
        "/%67w/mcp",
        SERVER,
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/gw",
        "/.well-known/openid-configuration/gw",
    ] {
        for method in [Method::GET, Method::POST] {
            let reply = client.send(request(method.clone(), path, &[], "")).await;
            assert!(matches!(reply.status, 404 | 405), "{method} {path}: {reply:?}");
            assert!(reply.body.is_empty() && !reply.headers.contains_key("set-cookie"), "{path}: {reply:?}");
        }
    }
    assert!(upstream.seen("").iter().all(|seen| !seen.line.contains("/gw")), "the upstream has paths of its own");
}

#[tokio::test]
async fn cookies_are_for_the_path_and_who_shares_the_host_is_named_as_trusted() {
    let (gateway, upstream) = gateway().await;
    let home = &gateway.home;
    let page = Client::beside(home).get("/gw/account").await;
    assert!(page.header("location").starts_with("/gw/login?t="), "{page:?}");
    let set = page.headers.get_all("set-cookie").iter().map(|set| set.to_str().unwrap().to_owned());
    let set: Vec<_> = set.collect();
    assert_eq!(set.len(), 1, "{set:?}");
    assert!(set[0].starts_with("__Secure-mcp_"), "{set:?}");
    for attribute in ["; Path=/gw;", " Secure;", " HttpOnly;", " SameSite=Lax"] {
        assert!(set[0].contains(attribute), "{attribute}: {set:?}");
    }
    assert!(!set[0].contains("Domain"), "{set:?}");
    // From here on the client checks it of every cookie, link and redirect.
    let application = Application::register(home, "https://app.example/cb").await;
    let tokens = application.tokens(home).await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look"}});
    let reply = Client::new(home).send(post_message("/mcp", &tokens.access, &message)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let seen = upstream.seen("look");
    assert_eq!(seen[0].headers["x-forwarded-host"], format!("localhost:{}", home.public.port()));
    until_said(home, "all applications of its host share its origin in browsers").await;
}
