//! Verified publishers: clients with a document at an exact URL that the operator trusts.

use mcpgate::issuer::{
    Administration, AdministrationError, AuthorizeRejection, ConsentView, Identity, Registered, Step, View,
};
use mcpgate::oauth::{ClientId, DocumentSource, ErrorCode, TenantId, Timestamp};
use mcpgate::outbound::FetchError;
use mcpgate::store::AuditEvent;

use super::driver::*;
use super::log::Log;

const DOCUMENT: &str = "https://app.example/client.json";
const SITE: &str = "https://app.example/cb";

fn id() -> ClientId {
    ClientId::parse(DOCUMENT).unwrap()
}

fn document(url: &str, name: &str) -> serde_json::Value {
    serde_json::json!({ "client_id": url, "client_name": name, "redirect_uris": [SITE, LOOPBACK, "teapot:/cb"] })
}

async fn world(verified: &[&str]) -> World {
    let world = World::with(|config| {
        config.metadata_documents.verified_publishers = verified.iter().map(|url| (*url).to_owned()).collect();
    })
    .await;
    world.account("ada").await;
    world.fetch.serve(DOCUMENT, &document(DOCUMENT, "Teapot"), None, false);
    world
}

async fn page(world: &World, client: &ClientId, redirect: &str) -> ConsentView {
    let mut browser = world.browser(client, &[("redirect_uri", redirect)]).await;
    assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Consent));
    let View::Consent(page) = world.request(&caller(1)).view(&browser).await.unwrap() else { panic!("consent") };
    *page
}

#[tokio::test]
async fn a_publisher_is_verified_by_the_exact_url_and_for_a_site_only() {
    let world = world(&[DOCUMENT]).await;
    assert_eq!(page(&world, &id(), SITE).await.identity, Identity::Published("app.example".to_owned()));
    for local in [LOOPBACK, "teapot:/cb"] {
        assert_eq!(page(&world, &id(), local).await.identity, Identity::OnThisComputer, "{local}");
    }
    // The same host is not enough: others may publish on it.
    let other = "https://app.example/another.json";
    world.fetch.serve(other, &document(other, "Teapot"), None, false);
    assert_eq!(page(&world, &ClientId::parse(other).unwrap(), SITE).await.identity, Identity::Unverified);
    world.reload(|config| config.metadata_documents.verified_publishers.clear());
    assert_eq!(page(&world, &id(), SITE).await.identity, Identity::Unverified);
}

#[tokio::test]
async fn a_program_on_this_computer_has_the_host_of_its_document() {
    for (url, name, expected) in [
        ("https://evil.example/c.json", "Claude", Some("Claude")),
        ("https://claude.ai/c.json", "Claude Code", None),
        ("https://claude.ai/c.json", "Cl\u{430}ude Code", Some("Claude")),
        ("https://app.example/c.json", "Teapot", None),
    ] {
        let world = world(&[]).await;
        world.fetch.serve(url, &document(url, name), None, false);
        let page = page(&world, &ClientId::parse(url).unwrap(), LOOPBACK).await;
        assert_eq!(page.looks_like.as_deref(), expected, "{name} described at {url}");
    }
}

#[tokio::test]
async fn an_error_goes_to_a_verified_publisher_by_redirect() {
    for (verified, redirected) in [(&[DOCUMENT][..], true), (&[], false)] {
        let world = world(verified).await;
        for redirect in [SITE, "teapot:/cb"] {
            let asked = [("redirect_uri", redirect), ("prompt", "none")];
            let refused = world.begin(&id(), &asked, None).await;
            match refused {
                Err(AuthorizeRejection::Redirect(location)) if redirected => {
                    assert!(
                        location.as_str().starts_with(redirect) && location.as_str().contains("error=login_required")
                    );
                }
                Err(AuthorizeRejection::Unsolicited { .. }) if !redirected => {}
                other => panic!("{redirect}: {other:?}"),
            }
        }
    }
}

const CLAUDE: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";
const CLAUDE_CALLBACK: &str = "https://claude.ai/api/mcp/auth_callback";

fn claude() -> ClientId {
    ClientId::parse(CLAUDE).unwrap()
}

async fn source(world: &World, client: &ClientId) -> Option<DocumentSource> {
    let found = world.inner().find_client(&TenantId::default(), client).await.unwrap();
    found.and_then(|client| client.document).map(|age| age.source)
}

async fn import(world: &World, document: &serde_json::Value) -> Result<Registered, AdministrationError> {
    import_from(world, document, None).await
}

async fn import_from(
    world: &World,
    document: &serde_json::Value,
    url: Option<&str>,
) -> Result<Registered, AdministrationError> {
    let administration = Administration::new(world.services.clone(), TenantId::default());
    administration.import_document(document.to_string().as_bytes(), url).await
}

#[tokio::test]
async fn ci_12_a_publisher_does_not_write_the_document_of_another() {
    let other = "https://app.example/client.json";
    let world = world(&[CLAUDE, other]).await;
    let document = serde_json::json!({
        "client_id": CLAUDE, "client_name": "Claude", "redirect_uris": [CLAUDE_CALLBACK],
        "token_endpoint_auth_method": "none",
    });
    let refused = import_from(&world, &document, Some(other)).await.unwrap_err();
    assert!(matches!(&refused, AdministrationError::Elsewhere { at, of } if at == other && of == CLAUDE), "{refused}");
    assert!(source(&world, &claude()).await.is_none());
    assert!(import_from(&world, &document, Some(CLAUDE)).await.is_ok());
}

/// The headers that a CDN edge sends with a 403.
fn blocked() -> FetchError {
    FetchError::Status { code: 403, said: "server: cloudflare, cf-mitigated: challenge".into() }
}

#[tokio::test]
async fn ci_12_the_log_says_that_a_copy_stands_in_what_the_edge_said_and_what_to_do() {
    let (world, log) = (world(&[CLAUDE, DOCUMENT]).await, Log::start());
    world.fetch.fail(CLAUDE, blocked());
    world.begin(&claude(), &[("redirect_uri", CLAUDE_CALLBACK)], None).await.unwrap();
    let lines = log.warnings();
    let told = [
        "a copy is used",
        "mcpgate client document import",
        &format!("client=\"{CLAUDE}\""),
        "403",
        "said=\"server: cloudflare, cf-mitigated: challenge\"",
        "copy_of=\"29 September 2026\"",
    ];
    assert!(lines.len() == 1 && told.iter().all(|part| lines[0].contains(part)), "{lines:?}");
    // A document that was never fetched has no copy.
    world.fetch.fail(DOCUMENT, blocked());
    world.begin(&id(), &[], None).await.unwrap_err();
    let lines = log.warnings().concat();
    assert!(lines.contains("there is no copy") && lines.contains("cf-mitigated"), "{lines}");
}

#[tokio::test]
async fn ci_12_a_shipped_copy_stands_in_for_a_document_that_was_never_had() {
    let world = world(&[CLAUDE]).await;
    world.fetch.fail(CLAUDE, status(403));
    let shown = page(&world, &claude(), CLAUDE_CALLBACK).await;
    assert_eq!(shown.identity, Identity::Published("claude.ai".to_owned()));
    assert_eq!(
        (shown.client_name.as_str(), shown.copied.map(Timestamp::day)),
        ("Claude", Some("29 September 2026".into()))
    );
    let added = world.audit().await.into_iter().find(|row| row.event == AuditEvent::ClientAdded).unwrap();
    assert_eq!(added.reason.as_deref(), Some("shipped_copy"));
    let asked = [("redirect_uri", CLAUDE_CALLBACK)];
    let code = world.code(&claude(), &asked, "ada").await;
    let tokens = world.redeem_with(&claude(), &code, &asked).await.unwrap();
    assert!(world.refresh(&claude(), &tokens.refresh).await.is_ok());
    assert_eq!(world.fetch.calls(), 1, "no second fetch within five minutes");

    // The copy is used exactly as long as the publisher's edge refuses.
    for day in 0..20 {
        assert!(world.begin(&claude(), &asked, None).await.is_ok(), "day {day}");
        assert_eq!(source(&world, &claude()).await, Some(DocumentSource::Shipped));
        world.pass(86_400);
    }
    let document = serde_json::json!({ "client_id": CLAUDE, "client_name": "Claude", "redirect_uris": [SITE] });
    world.fetch.serve(CLAUDE, &document, None, false);
    assert_eq!(
        paged(world.begin(&claude(), &asked, None).await),
        ErrorCode::InvalidRequest,
        "the fetched document has another redirect URI"
    );
    assert_eq!(page(&world, &claude(), SITE).await.copied, None);
    assert_eq!(source(&world, &claude()).await, Some(DocumentSource::Fetched));
}

#[tokio::test]
async fn ci_12_a_copy_stands_in_for_a_refusal_or_silence_only_and_for_whom_the_operator_trusts() {
    for (fault, expected) in [
        (status(403), None),
        (FetchError::Slow, None),
        (FetchError::Tls, Some(ErrorCode::InvalidClient)),
        (status(404), Some(ErrorCode::InvalidClient)),
        (status(410), Some(ErrorCode::InvalidClient)),
        (status(302), Some(ErrorCode::InvalidClient)),
        (status(500), Some(ErrorCode::TemporarilyUnavailable)),
        (FetchError::Connect, Some(ErrorCode::TemporarilyUnavailable)),
        (FetchError::Dns, Some(ErrorCode::InvalidClient)),
        (FetchError::Refused, Some(ErrorCode::InvalidClient)),
        (FetchError::TooLarge, Some(ErrorCode::InvalidClient)),
    ] {
        let asked = [("redirect_uri", CLAUDE_CALLBACK)];
        for has_copy in [false, true] {
            let world = world(&[CLAUDE]).await;
            if has_copy {
                world.fetch.fail(CLAUDE, status(403));
                world.begin(&claude(), &asked, None).await.unwrap();
                world.pass(300);
            }
            world.fetch.fail(CLAUDE, fault.clone());
            // The second request falls into the back-off.
            for _ in 0..2 {
                match (world.begin(&claude(), &asked, None).await, expected) {
                    (Ok(_), None) => {}
                    (outcome @ Err(_), Some(code)) => assert_eq!(paged(outcome), code, "{fault}"),
                    (outcome, _) => panic!("{fault}, a copy before: {has_copy}: {outcome:?}"),
                }
            }
        }
        // A publisher that the operator does not trust has no copy.
        let stranger = world(&[]).await;
        stranger.fetch.fail(CLAUDE, fault.clone());
        assert!(stranger.begin(&claude(), &asked, None).await.is_err(), "{fault}");
    }
    // Neither has a document that was never fetched.
    let world = world(&[DOCUMENT]).await;
    world.fetch.fail(DOCUMENT, status(403));
    assert_eq!(paged(world.begin(&id(), &[], None).await), ErrorCode::TemporarilyUnavailable);
    assert_eq!(source(&world, &id()).await, None);
}

#[tokio::test]
async fn ci_12_what_the_publisher_said_itself_comes_before_what_is_shipped() {
    let world = world(&[CLAUDE]).await;
    let document = serde_json::json!({ "client_id": CLAUDE, "client_name": "Claude", "redirect_uris": [SITE] });
    world.fetch.serve(CLAUDE, &document, None, false);
    let asked = [("redirect_uri", SITE)];
    world.begin(&claude(), &asked, None).await.unwrap();
    world.fetch.fail(CLAUDE, status(403));
    world.pass(30 * 86_400);
    assert!(world.begin(&claude(), &asked, None).await.is_ok(), "the last fetched document is used, however old");
    assert_eq!(source(&world, &claude()).await, Some(DocumentSource::Fetched));
    // A disabled client stays disabled, whichever copy is used.
    world.inner().set_client_disabled(&claude(), true, world.row()).await.unwrap();
    world.pass(300);
    assert_eq!(paged(world.begin(&claude(), &asked, None).await), ErrorCode::InvalidClient);
}

#[tokio::test]
async fn ci_12_an_imported_copy_stands_in_until_the_document_can_be_had() {
    let world = world(&[DOCUMENT]).await;
    world.fetch.fail(DOCUMENT, status(403));
    import(&world, &document(DOCUMENT, "Teapot")).await.unwrap();
    let row = world.audit().await.pop().unwrap();
    assert_eq!((row.event, row.actor.as_deref()), (AuditEvent::ClientDocumentImported, Some("operator")));
    let shown = page(&world, &id(), SITE).await;
    assert_eq!((shown.copied, world.fetch.calls()), (Some(world.now()), 1), "a fetch is tried first");
    world.pass(300);
    world.fetch.serve(DOCUMENT, &document(DOCUMENT, "Kettle"), None, false);
    let shown = page(&world, &id(), SITE).await;
    assert_eq!((shown.client_name.as_str(), shown.copied), ("Kettle", None));

    import(&world, &document(DOCUMENT, "Teapot")).await.unwrap();
    assert_eq!(world.audit().await.pop().unwrap().reason.as_deref(), Some("consents_voided"));
    let refused = |document: serde_json::Value| {
        let world = &world;
        async move { import(world, &document).await.unwrap_err().to_string() }
    };
    let stranger = refused(document("https://other.example/c.json", "x")).await;
    assert!(stranger.contains("https://other.example/c.json is not among"), "{stranger}");
    assert!(refused(serde_json::json!([])).await.contains("no client metadata document"));
    assert!(refused(serde_json::json!({ "client_id": DOCUMENT })).await.contains("redirect"));
}
