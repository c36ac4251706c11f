//! CI: clients described by a metadata document.

use std::sync::Arc;

use mcpgate::config::MetadataDocumentMode;
use mcpgate::issuer::{AuthorizeRejection, Identity, Step, View};
use mcpgate::oauth::{ClientId, ErrorCode, TenantId};
use mcpgate::outbound::FetchError;
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{AuditEvent, Store};

use super::driver::*;

const DOCUMENT: &str = "https://app.example/client.json";

fn document(redirect: &str) -> serde_json::Value {
    serde_json::json!({"client_id": DOCUMENT, "client_name": "An app", "redirect_uris": [redirect],
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"]})
}

fn id() -> ClientId {
    ClientId::parse(DOCUMENT).unwrap()
}

#[tokio::test]
async fn a_document_makes_a_client_whose_host_is_shown() {
    let world = World::new().await;
    world.account("ada").await;
    world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    let mut browser = world.browser(&id(), &[]).await;
    assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Consent));
    let View::Consent(page) = world.request(&caller(1)).view(&browser).await.unwrap() else { panic!("consent") };
    assert_eq!((page.client_name.as_str(), page.client_host.as_deref()), ("An app", Some("app.example")));
    assert_eq!(page.identity, Identity::Unverified);
    let location = world.request(&caller(1)).decide(&browser, all()).await.unwrap();
    let tokens = world.redeem(&id(), &parameter(&location, "code").unwrap()).await.unwrap();
    assert!(world.refresh(&id(), &tokens.refresh).await.is_ok());
    assert_eq!(world.fetch.calls(), 1, "only an authorization request fetches the document");
}

#[tokio::test]
async fn what_is_no_document_url_is_never_fetched() {
    let world = World::new().await;
    for bad in [
        "https://app.example",
        "https://app.example/",
        "https://app.example/a/../b",
        "https://app.example/x#y",
        "https://user@app.example/x",
        "https://10.0.0.1/x",
        "https://single/x",
        "http://app.example/x",
    ] {
        let client = ClientId::parse(bad).unwrap();
        assert_eq!(paged(world.begin(&client, &[], None).await), ErrorCode::InvalidClient, "{bad}");
    }
    assert_eq!(world.fetch.calls(), 0);
}

#[tokio::test]
async fn the_mode_decides_which_urls_are_fetched() {
    let list = |entry: &str| MetadataDocumentMode::Allowlist(vec![entry.to_owned()]);
    let cases = [
        (MetadataDocumentMode::Off, false),
        (list("https://app.example/other.json"), false),
        (list(DOCUMENT), true),
        (list("app.example"), true),
        (list("example"), false),
        (list("app.example:8443"), false),
        (MetadataDocumentMode::Open, true),
    ];
    for (mode, good) in cases {
        let world = World::with(|config| config.metadata_documents.mode = mode.clone()).await;
        world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
        assert_eq!(world.begin(&id(), &[], None).await.is_ok(), good, "{mode:?}");
        assert_eq!(world.fetch.calls(), usize::from(good), "{mode:?}");
    }
}

#[tokio::test]
async fn a_host_in_the_allowlist_admits_its_own_port_only() {
    let other_port = ClientId::parse("https://app.example:8443/client.json").unwrap();
    let mut described = document(CALLBACK);
    described["client_id"] = other_port.as_str().into();
    for (entry, good) in [("app.example", false), ("app.example:8443", true)] {
        let mode = MetadataDocumentMode::Allowlist(vec![entry.to_owned()]);
        let world = World::with(|config| config.metadata_documents.mode = mode).await;
        world.fetch.serve(other_port.as_str(), &described, None, false);
        assert_eq!(world.begin(&other_port, &[], None).await.is_ok(), good, "{entry}");
    }
}

#[tokio::test]
async fn a_client_that_the_mode_admits_no_longer_gets_no_more_tokens() {
    let world = World::new().await;
    world.account("ada").await;
    world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    let tokens = world.sign_in(&id(), &[], "ada").await;
    world.reload(|config| config.metadata_documents.mode = MetadataDocumentMode::Off);
    assert_eq!(refused(world.refresh(&id(), &tokens.refresh).await), "invalid_client");
    world.reload(|config| config.metadata_documents.mode = MetadataDocumentMode::Open);
    assert!(world.refresh(&id(), &tokens.refresh).await.is_ok(), "its grant is kept");
}

#[tokio::test]
async fn a_bad_document_is_told_on_a_page_recorded_and_not_kept() {
    let mut other_id = document(CALLBACK);
    other_id["client_id"] = "https://app.example/Client.json".into();
    for bad in [other_id, serde_json::json!([])] {
        let world = World::new().await;
        world.fetch.serve(DOCUMENT, &bad, Some(86_400), false);
        assert_eq!(paged(world.begin(&id(), &[], None).await), ErrorCode::InvalidClient, "{bad}");
        assert_eq!(world.inner().find_client(&TenantId::default(), &id()).await.unwrap(), None);
        let row = world.audit().await.pop().unwrap();
        assert_eq!(row.event, AuditEvent::AuthorizationRefused);
        let said = row.reason.expect("a reason");
        assert!(said.contains("metadata_document_refused: ") && !said.ends_with(": )"), "{said}");
        // During the back-off nothing is fetched; afterwards the repaired document is.
        world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
        world.pass(9);
        assert_eq!(paged(world.begin(&id(), &[], None).await), ErrorCode::InvalidClient);
        assert_eq!(world.fetch.calls(), 1);
        world.pass(1);
        assert!(world.begin(&id(), &[], None).await.is_ok());
    }
}

#[tokio::test]
async fn ci_12_ci_18_failures_are_not_cached_and_the_page_tells_no_details() {
    let cases = [
        // A name that does not resolve and one that resolves to an internal address get the same answer,
        // which reveals nothing about internal names.
        (FetchError::Dns, ErrorCode::InvalidClient),
        (FetchError::Connect, ErrorCode::TemporarilyUnavailable),
        (FetchError::Slow, ErrorCode::TemporarilyUnavailable),
        (status(500), ErrorCode::TemporarilyUnavailable),
        (status(404), ErrorCode::InvalidClient),
        (FetchError::Refused, ErrorCode::InvalidClient),
        (FetchError::Tls, ErrorCode::InvalidClient),
        (FetchError::ContentType, ErrorCode::TemporarilyUnavailable),
        (FetchError::TooLarge, ErrorCode::InvalidClient),
    ];
    for (error, expected) in cases {
        let world = World::new().await;
        world.fetch.fail(DOCUMENT, error.clone());
        let Err(AuthorizeRejection::Page(shown)) = world.begin(&id(), &[], None).await else { panic!("{error}") };
        assert_eq!(shown.code(), expected, "{error}");
        assert!(!shown.description().contains(&error.to_string()), "{}", shown.description());
        // The audit trail records the cause, also for refusals during a back-off.
        world.pass(9);
        assert_eq!(paged(world.begin(&id(), &[], None).await), expected, "{error}");
        let rows = world.audit().await;
        let told = |reason: &str| reason.starts_with(expected.as_str()) && reason.contains(&error.to_string());
        let refused: Vec<_> = rows.iter().filter(|r| r.event == AuditEvent::AuthorizationRefused).collect();
        assert!(refused.len() == 2 && refused.iter().all(|r| r.reason.as_deref().is_some_and(told)), "{refused:?}");
        world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
        world.pass(1);
        assert!(world.begin(&id(), &[], None).await.is_ok(), "{error}");
        assert_eq!(world.fetch.calls(), 2);
    }
}

#[tokio::test]
async fn ci_13_cache_headers_are_clamped() {
    // (max-age, no-store) and how long no second fetch happens.
    let cases = [
        ((None, false), 3600),
        ((Some(0), false), 300),
        ((Some(600), false), 600),
        ((Some(31_536_000), false), 86_400),
        ((Some(600), true), 300),
    ];
    for ((max_age, no_store), fresh) in cases {
        let world = World::new().await;
        world.fetch.serve(DOCUMENT, &document(CALLBACK), max_age, no_store);
        world.begin(&id(), &[], None).await.unwrap();
        world.pass(fresh - 1);
        world.begin(&id(), &[], None).await.unwrap();
        assert_eq!(world.fetch.calls(), 1, "{max_age:?} {no_store}");
        world.pass(1);
        world.begin(&id(), &[], None).await.unwrap();
        assert_eq!(world.fetch.calls(), 2, "{max_age:?} {no_store}");
    }
}

#[tokio::test]
async fn ci_14_a_changed_document_acts_at_the_next_authorization() {
    let world = World::new().await;
    world.account("ada").await;
    world.fetch.serve(DOCUMENT, &document(CALLBACK), Some(0), false);
    let mut browser = world.browser(&id(), &[]).await;
    world.log_in(&mut browser, "ada").await;
    world.fetch.serve(DOCUMENT, &document("https://client.example/moved"), Some(0), false);
    world.pass(300);
    assert_eq!(
        paged(world.begin(&id(), &[], None).await),
        ErrorCode::InvalidRequest,
        "the old redirect URI is removed"
    );
    assert!(world.begin(&id(), &[("redirect_uri", "https://client.example/moved")], None).await.is_ok());
    let row = world.audit().await.into_iter().find(|r| r.event == AuditEvent::ClientDocumentChanged).expect("a row");
    assert_eq!(row.reason.as_deref(), Some("consents_voided"));
    // A transaction begun with the old redirect URI ends; no code is sent there.
    let decided = world.request(&caller(1)).decide(&browser, all()).await;
    assert!(matches!(decided, Err(AuthorizeRejection::Page(_))), "{decided:?}");
}

#[tokio::test]
async fn ci_15_many_who_wait_share_one_fetch() {
    let world = World::with(|config| config.rates.authorize_per_second = 1000).await;
    world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    let client = id();
    let all = futures_util::future::join_all((0..50).map(|_| world.begin(&client, &[], None))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(world.fetch.calls(), 1);
}

#[tokio::test]
async fn ci_15_too_many_fetches_are_told_to_wait() {
    let world = World::new().await;
    world.fetch.fail(DOCUMENT, FetchError::Busy);
    let outcome = world.begin(&id(), &[], None).await;
    assert!(matches!(outcome, Err(AuthorizeRejection::Throttled(_))), "{outcome:?}");
}

#[tokio::test]
async fn ci_15_new_documents_from_one_address_count_like_registrations() {
    let world = World::new().await;
    for n in 0..11 {
        let url = format!("https://app-{n}.example/client.json");
        let mut document = document(CALLBACK);
        document["client_id"] = url.as_str().into();
        world.fetch.serve(&url, &document, None, false);
        let outcome = world.begin(&ClientId::parse(&url).unwrap(), &[], None).await;
        if n < 10 {
            assert!(outcome.is_ok(), "{outcome:?}");
        } else {
            assert!(matches!(outcome, Err(AuthorizeRejection::Throttled(_))), "{outcome:?}");
        }
    }
    assert_eq!(world.inner().list_clients(&TenantId::default()).await.unwrap().len(), 10);
}

#[tokio::test]
async fn rg_02_described_clients_have_a_cap_of_their_own() {
    let world = World::with(|config| config.registration.max_clients = 2).await;
    for _ in 0..2 {
        world.public_client(CALLBACK).await;
    }
    for n in 0..3 {
        let url = format!("https://app-{n}.example/client.json");
        let mut document = document(CALLBACK);
        document["client_id"] = url.as_str().into();
        world.fetch.serve(&url, &document, None, false);
        let outcome = world.begin(&ClientId::parse(&url).unwrap(), &[], None).await;
        assert_eq!(outcome.is_ok(), n < 2, "{outcome:?}");
    }
    assert_eq!(world.count(AuditEvent::ClientCapReached).await, 1);
    // A known client is still served; one that never signed anybody in is evicted in time.
    let known = ClientId::parse("https://app-0.example/client.json").unwrap();
    assert!(world.begin(&known, &[], None).await.is_ok());
}

#[tokio::test]
async fn ci_15_one_stranger_does_not_use_up_what_a_host_has_for_all() {
    let world = World::new().await;
    let url = |n: u32| ClientId::parse(&format!("https://app.example/{n}.json")).unwrap();
    for n in 0..3 {
        world.fetch.fail(url(n).as_str(), status(404));
        assert_eq!(paged(world.begin(&url(n), &[], None).await), ErrorCode::InvalidClient);
    }
    let outcome = world.begin(&url(3), &[], None).await;
    assert!(matches!(outcome, Err(AuthorizeRejection::Throttled(_))), "{outcome:?}");
    assert_eq!(world.fetch.calls(), 3);
    world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    assert!(world.begin_from(&caller(2), &id(), &[], None).await.is_ok(), "another caller is not delayed");
    world.account("ada").await;
    world.sign_in(&id(), &[], "ada").await;
    world.pass(3600);
    for n in 3..6 {
        assert!(world.begin(&url(n), &[], None).await.is_err());
    }
    assert!(world.begin(&id(), &[], None).await.is_ok(), "a known client is served from the stored copy");
}

#[tokio::test]
async fn a_restart_leaves_known_clients_as_fresh_as_they_were() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let before = World::over(Arc::clone(&store), |_| {}).await;
    before.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    before.account("ada").await;
    before.sign_in(&id(), &[], "ada").await;
    let after = World::over(store, |_| {}).await;
    after.fetch.fail(DOCUMENT, FetchError::Connect);
    assert!(after.begin(&id(), &[], None).await.is_ok());
    assert_eq!(after.fetch.calls(), 0, "the stored copy is fresh");
    after.pass(3660);
    assert!(after.begin(&id(), &[], None).await.is_ok(), "the stored copy is used instead");
    assert_eq!(after.fetch.calls(), 1);
    after.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    after.pass(10);
    after.begin(&id(), &[], None).await.unwrap();
    after.pass(3599);
    after.begin(&id(), &[], None).await.unwrap();
    assert_eq!(after.fetch.calls(), 2, "an unchanged document is fresh again");
}

#[tokio::test]
async fn ci_18_a_name_that_leads_inside_since_its_document_was_read_tells_nothing_of_inner_names() {
    for error in [FetchError::Dns, FetchError::Refused] {
        let world = World::new().await;
        world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
        world.begin(&id(), &[], None).await.unwrap();
        world.fetch.fail(DOCUMENT, error.clone());
        world.pass(3600);
        assert_eq!(paged(world.begin(&id(), &[], None).await), ErrorCode::InvalidClient, "{error}");
    }
}

#[tokio::test]
async fn ci_12_an_outage_is_bridged_for_a_week_for_clients_in_use() {
    let world = World::new().await;
    world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    world.begin(&id(), &[], None).await.unwrap();
    world.fetch.fail(DOCUMENT, FetchError::Connect);
    world.pass(3600);
    assert_eq!(
        paged(world.begin(&id(), &[], None).await),
        ErrorCode::TemporarilyUnavailable,
        "no user has signed in with this client"
    );
    world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    world.pass(11);
    world.account("ada").await;
    world.sign_in(&id(), &[], "ada").await;
    // A wrong certificate is not an outage: it may be a man in the middle.
    world.fetch.fail(DOCUMENT, FetchError::Tls);
    world.pass(3600);
    assert_eq!(paged(world.begin(&id(), &[], None).await), ErrorCode::InvalidClient);
    world.fetch.serve(DOCUMENT, &document(CALLBACK), None, false);
    world.pass(11);
    world.begin(&id(), &[], None).await.unwrap();
    world.fetch.fail(DOCUMENT, status(403));
    world.pass(7 * 86_400);
    assert!(world.begin(&id(), &[], None).await.is_ok());
    world.pass(11);
    assert_eq!(paged(world.begin(&id(), &[], None).await), ErrorCode::TemporarilyUnavailable);
    // A deleted document (404) is not an outage.
    world.fetch.fail(DOCUMENT, status(404));
    world.pass(11);
    assert_eq!(paged(world.begin(&id(), &[], None).await), ErrorCode::InvalidClient);
}

#[tokio::test]
async fn a_document_client_switched_off_stays_off() {
    let world = World::new().await;
    world.fetch.serve(DOCUMENT, &document(CALLBACK), Some(0), false);
    world.begin(&id(), &[], None).await.unwrap();
    world.inner().set_client_disabled(&id(), true, world.row()).await.unwrap();
    world.pass(300);
    assert_eq!(paged(world.begin(&id(), &[], None).await), ErrorCode::InvalidClient);
    assert_eq!(world.fetch.calls(), 1);
}
