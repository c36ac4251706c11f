//! Who becomes a client without the operator: `registration.mode`, for registrations and for metadata documents.

use mcpgate::config::WhoRegisters;
use mcpgate::issuer::TokenRejection;
use mcpgate::oauth::{ClientId, ErrorCode, RedirectHosts};
use mcpgate::store::AuditEvent;
use serde_json::{Value, json};

use super::driver::*;

const DOCUMENT: &str = "https://app.example/client.json";

fn listed(entries: &[&str]) -> WhoRegisters {
    let entries: Vec<_> = entries.iter().map(|entry| (*entry).to_owned()).collect();
    WhoRegisters::Listed(RedirectHosts::parse(&entries).unwrap())
}

async fn register(world: &World, redirect_uris: &[&str]) -> Result<Vec<String>, TokenRejection> {
    let body = json!({"redirect_uris": redirect_uris, "token_endpoint_auth_method": "none"}).to_string();
    let registered = world.request(&caller(1)).register(body.as_bytes()).await?;
    let taken = registered.client.metadata.redirect_uris;
    Ok(taken.as_slice().iter().map(|uri| uri.as_str().to_owned()).collect())
}

fn document(redirect_uri: &str) -> Value {
    json!({"client_id": DOCUMENT, "client_name": "App", "redirect_uris": [redirect_uri]})
}

#[tokio::test]
async fn a_registration_keeps_the_redirect_uris_that_are_listed() {
    let world = World::with(|config| config.registration.who = listed(&["vscode.dev", "loopback"])).await;
    let asked = ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://127.0.0.1/"];
    assert_eq!(register(&world, &asked).await.unwrap(), asked[1..]);
    let row = world.audit().await.pop().unwrap();
    assert_eq!((row.event, row.reason.as_deref()), (AuditEvent::ClientRegistered, Some("left out: redirect_uris[0]")));
    for alone in ["https://insiders.vscode.dev/redirect", "cursor://anysphere.cursor-mcp/oauth/callback"] {
        let TokenRejection::Refused { error, .. } = register(&world, &[alone]).await.unwrap_err() else { panic!() };
        assert_eq!(error.code(), ErrorCode::InvalidRedirectUri, "{alone}");
    }
}

#[tokio::test]
async fn a_document_needs_its_own_host_in_the_list_and_that_of_its_redirect_uri() {
    for (who, redirect_uri, good) in [
        (listed(&["app.example"]), "https://app.example/cb", true),
        (listed(&["app.example", "loopback"]), "http://127.0.0.1/cb", true),
        (listed(&["loopback"]), "http://127.0.0.1/cb", false),
        (listed(&["app.example"]), "http://127.0.0.1/cb", false),
        (WhoRegisters::Nobody, "https://app.example/cb", false),
        (WhoRegisters::Anybody, "https://app.example/cb", true),
    ] {
        let world = World::with(|config| config.registration.who = who.clone()).await;
        world.fetch.serve(DOCUMENT, &document(redirect_uri), None, false);
        let id = ClientId::parse(DOCUMENT).unwrap();
        let began = world.begin(&id, &[("redirect_uri", redirect_uri)], None).await;
        assert_eq!(began.is_ok(), good, "{who:?} {redirect_uri}: {began:?}");
    }
}

#[tokio::test]
async fn a_host_that_is_no_longer_listed_is_refused_at_the_next_sign_in_and_sessions_go_on() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await.id;
    let tokens = world.sign_in(&client, &[], "ada").await;
    let open = world.browser(&client, &[]).await;
    world.reload(|config| config.registration.who = listed(&["elsewhere.example"]));
    assert_eq!(paged(world.begin(&client, &[], None).await), ErrorCode::InvalidRequest);
    let late = world.request(&caller(1)).log_in(&open, "ada", PASSWORD).await;
    assert!(late.is_err(), "a sign-in that was under way ends too");
    assert!(world.refresh(&client, &tokens.refresh).await.is_ok(), "its session goes on");
    let added = world.manual_client("added", "https://another.example/cb", None).await.id;
    let began = world.begin(&added, &[("redirect_uri", "https://another.example/cb")], None).await;
    assert!(began.is_ok(), "the list is for clients that the operator did not add: {began:?}");
}

#[tokio::test]
async fn closed_keeps_the_clients_that_are_there() {
    let world = World::new().await;
    world.account("ada").await;
    let registered = world.public_client(CALLBACK).await.id;
    world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    let described = ClientId::parse(DOCUMENT).unwrap();
    world.begin(&described, &[], None).await.unwrap();
    world.reload(|config| config.registration.who = WhoRegisters::Nobody);
    for client in [&registered, &described] {
        assert!(world.begin(client, &[], None).await.is_ok(), "{client:?}");
    }
    let another = ClientId::parse("https://app.example/another.json").unwrap();
    assert_eq!(paged(world.begin(&another, &[], None).await), ErrorCode::InvalidClient);
    assert_eq!(world.fetch.calls(), 1);
}
