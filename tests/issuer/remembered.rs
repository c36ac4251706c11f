//! Remembered consent to a verified publisher, where the operator allows it: when it applies, and when the gateway asks
//! again (CN-08, CN-09).

use mcpgate::issuer::{Decision, Handles, Started, Step, View};
use mcpgate::oauth::{AuthorizationCode, ClientId, ErrorCode, ScopeSet, TenantId};
use mcpgate::store::AuditEvent;

use super::config::NOTES;
use super::driver::*;

const DOCUMENT: &str = "https://chat.example/client.json";
const SITE: &str = "https://chat.example/cb";
const OTHER_SITE: &str = "https://chat.example/other";
const HOME: Option<&str> = Some("https://chat.example/");
const READ: (&str, &str) = ("scope", "sales:read");

fn id() -> ClientId {
    ClientId::parse(DOCUMENT).unwrap()
}

fn document(name: &str, redirects: &[&str]) -> serde_json::Value {
    serde_json::json!({ "client_id": DOCUMENT, "client_name": name, "redirect_uris": redirects })
}

async fn world(remember: bool) -> World {
    let world = World::with(|config| {
        config.metadata_documents.verified_publishers = vec![DOCUMENT.to_owned()];
        config.metadata_documents.remember_consent = remember;
        config.rates.authorize_per_second = 1000;
    })
    .await;
    world.account("ada").await;
    world.fetch.serve(DOCUMENT, &document("Chat", &[SITE, OTHER_SITE, LOOPBACK, "chat:/cb"]), None, false);
    world
}

/// Signs in and approves; returns the session.
async fn approved(world: &World, extra: &[(&str, &str)], decision: Decision) -> Option<String> {
    let mut browser = world.browser(&id(), extra).await;
    assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Consent));
    world.request(&caller(1)).decide(&browser, decision).await.unwrap();
    browser.session
}

async fn begin(world: &World, referer: Option<&str>, extra: &[(&str, &str)], session: Option<&str>) -> Started {
    world.begin_at(referer, &id(), extra, session).await.unwrap()
}

fn is_silent(started: &Started) -> bool {
    match &started.step {
        Step::Redirect(location) => {
            assert!(parameter(location, "code").is_some() && started.transaction.is_none());
            true
        }
        Step::Consent | Step::LogIn | Step::Account => false,
    }
}

#[tokio::test]
async fn cn_08_a_publishers_own_start_is_not_asked_again_where_the_operator_allows_it() {
    let asked = [("redirect_uri", SITE), READ];
    for remember in [true, false] {
        let world = world(remember).await;
        let session = approved(&world, &asked, all()).await;
        for _ in 0..2 {
            let again = begin(&world, Some("https://chat.example/c/42?x"), &asked, session.as_deref()).await;
            assert_eq!(is_silent(&again), remember, "{again:?}");
        }
        if remember {
            assert_eq!(
                world.last_event().await,
                AuditEvent::CodeIssued,
                "the trail shows that consent was not asked for"
            );
        }
        // Consent remembered earlier does not apply once the operator forbids it.
        world.reload(|config| config.metadata_documents.remember_consent = false);
        assert!(!is_silent(&begin(&world, HOME, &asked, session.as_deref()).await));
        world.reload(|config| {
            config.metadata_documents.remember_consent = true;
            config.metadata_documents.verified_publishers.clear();
        });
        assert!(
            !is_silent(&begin(&world, HOME, &asked, session.as_deref()).await),
            "nor once the publisher is no longer trusted"
        );
    }
}

#[tokio::test]
async fn a_code_without_a_page_counts_from_when_the_page_was_shown() {
    let world = world(true).await;
    let asked = [("redirect_uri", SITE), READ];
    let shown_at = world.now();
    world.pass(60);
    let Decision::Approve(ticked) = all() else { panic!() };
    let session = approved(&world, &asked, Decision::Approve(ticked.shown_at(shown_at))).await;
    world.pass(60);
    let again = begin(&world, HOME, &asked, session.as_deref()).await;
    let Step::Redirect(location) = &again.step else { panic!("{again:?}") };
    let code = parameter(location, "code").unwrap();
    let hash = AuthorizationCode::recognise(code.as_bytes(), &world.keys).unwrap();
    let code = world.inner().find_code(&TenantId::default(), &hash).await.unwrap().unwrap();
    assert_eq!((code.consented_at, code.issued_at), (shown_at, world.now()));
}

#[tokio::test]
async fn cn_08_a_start_from_elsewhere_asks() {
    let world = world(true).await;
    let asked = [("redirect_uri", SITE), READ];
    let session = approved(&world, &asked, all()).await;
    for referer in [
        None,
        Some(""),
        Some("https://evil.example/"),
        Some("https://www.chat.example/"),
        Some("https://chat.example:8443/"),
        Some("http://chat.example/"),
        Some("https://chat.example.evil.example/"),
        Some("https://chat.example@evil.example/"),
        Some("https://gw.example/"),
    ] {
        let again = begin(&world, referer, &asked, session.as_deref()).await;
        assert!(matches!(again.step, Step::Consent), "{referer:?} {again:?}");
    }
    // prompt=none shows no page, so the request is refused.
    let silent = [("redirect_uri", SITE), READ, ("prompt", "none")];
    let refused = world.begin_at(Some("https://evil.example/"), &id(), &silent, session.as_deref()).await;
    assert!(format!("{refused:?}").contains("Redirect"), "{refused:?}");
    assert!(is_silent(&begin(&world, HOME, &silent, session.as_deref()).await));
}

#[tokio::test]
async fn cn_08_nobody_is_let_in_who_is_not_signed_in_in_this_browser() {
    let world = world(true).await;
    let asked = [("redirect_uri", SITE), READ];
    let session = approved(&world, &asked, all()).await.unwrap();
    let stranger = begin(&world, HOME, &asked, None).await;
    assert!(matches!(stranger.step, Step::LogIn));
    // After a login the consent page is shown as well: the referrer is no longer known.
    let mut browser = handles(stranger);
    assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Consent));
    world.account("bob").await;
    let mut other = world.browser(&id(), &asked).await;
    assert!(matches!(world.log_in(&mut other, "bob").await, Step::Consent));
    assert!(!is_silent(&begin(&world, HOME, &asked, other.session.as_deref()).await), "Ada's consent is not Bob's");
    assert!(is_silent(&begin(&world, HOME, &asked, Some(&session)).await));
    world.request(&caller(1)).log_out(&session).await.unwrap();
    assert!(matches!(begin(&world, HOME, &asked, Some(&session)).await.step, Step::LogIn));
}

#[tokio::test]
async fn cn_09_anything_new_of_a_publisher_asks_again() {
    let world = world(true).await;
    let session = approved(&world, &[("redirect_uri", SITE), ("scope", "sales:read sales:write")], all()).await;
    let same = ("scope", "sales:read sales:write");
    assert!(is_silent(&begin(&world, HOME, &[("redirect_uri", SITE), same], session.as_deref()).await));
    let new: [&[(&str, &str)]; 8] = [
        // Fewer scopes are a new question, too: an attacker may have removed some.
        &[("redirect_uri", SITE), READ],
        &[("redirect_uri", SITE), same, ("resource", NOTES)],
        &[("redirect_uri", OTHER_SITE), same],
        &[("redirect_uri", "http://127.0.0.1:4711/callback"), same],
        &[("redirect_uri", "chat:/cb"), same],
        &[("redirect_uri", SITE), same, ("prompt", "consent")],
        &[("redirect_uri", SITE), same, ("prompt", "login")],
        &[("redirect_uri", SITE), same, ("prompt", "login consent")],
    ];
    for extra in new {
        let started = begin(&world, HOME, extra, session.as_deref()).await;
        assert!(matches!(started.step, Step::Consent | Step::LogIn), "{extra:?} {started:?}");
    }
    // Consent is remembered for 90 days.
    world.pass(90 * 86_400);
    let mut later = world.browser(&id(), &[("redirect_uri", SITE), same]).await;
    assert!(matches!(world.log_in(&mut later, "ada").await, Step::Consent));
    let again = begin(&world, HOME, &[("redirect_uri", SITE), same], later.session.as_deref()).await;
    assert!(matches!(again.step, Step::Consent), "{again:?}");
}

#[tokio::test]
async fn cn_09_a_changed_document_asks_again() {
    let asked = [("redirect_uri", SITE), READ];
    for changed in [document("Other chat", &[SITE]), document("Chat", &[SITE, "https://chat.example/third"])] {
        let world = world(true).await;
        let session = approved(&world, &asked, all()).await;
        world.fetch.serve(DOCUMENT, &changed, None, false);
        for _ in 0..2 {
            // Keeps the session alive until the document is fetched again.
            world.pass(1_801);
            let again = begin(&world, HOME, &asked, session.as_deref()).await;
            if world.fetch.calls() > 1 {
                assert!(matches!(again.step, Step::Consent), "{changed}: {again:?}");
            }
        }
        assert_eq!(world.fetch.calls(), 2);
    }
}

#[tokio::test]
async fn cn_20_what_was_revoked_or_denied_or_unticked_asks_again() {
    let asked = [("redirect_uri", SITE), READ];
    let world = world(true).await;
    let session = approved(&world, &asked, all()).await;
    let Step::Redirect(location) = begin(&world, HOME, &asked, session.as_deref()).await.step else { panic!("silent") };
    let tokens = world.redeem_with(&id(), &parameter(&location, "code").unwrap(), &asked[..1]).await.unwrap();
    assert!(world.request(&caller(1)).revoke_own_grant(session.as_deref().unwrap(), tokens.grant).await.unwrap());
    let started = begin(&world, HOME, &asked, session.as_deref()).await;
    assert!(matches!(started.step, Step::Consent), "{started:?}");
    let denying = Handles { session: session.clone(), ..handles(started) };
    world.request(&caller(1)).decide(&denying, Decision::Deny).await.unwrap();
    assert!(!is_silent(&begin(&world, HOME, &asked, session.as_deref()).await));
    // The user unticked one of two scopes, and the next request wants both again: that is a new question.
    let both = [("redirect_uri", SITE), ("scope", "sales:read sales:write")];
    let one = Decision::Approve(ScopeSet::parse("sales:read").unwrap().into());
    let session = approved(&world, &both, one).await;
    assert!(!is_silent(&begin(&world, HOME, &both, session.as_deref()).await));
}

#[tokio::test]
async fn cn_08_a_publishers_client_that_was_switched_off_gets_nothing() {
    let world = world(true).await;
    let asked = [("redirect_uri", SITE), READ];
    let session = approved(&world, &asked, all()).await;
    world.inner().set_client_disabled(&id(), true, world.row()).await.unwrap();
    let refused = world.begin_at(HOME, &id(), &asked, session.as_deref()).await;
    assert_eq!(paged(refused), ErrorCode::InvalidClient);
}

#[tokio::test]
async fn cn_08_the_page_says_that_it_will_be_remembered_only_where_it_is() {
    let world = world(true).await;
    for (redirect, remembered) in [(SITE, true), (LOOPBACK, false), ("chat:/cb", false)] {
        let mut browser = world.browser(&id(), &[("redirect_uri", redirect)]).await;
        world.log_in(&mut browser, "ada").await;
        let View::Consent(page) = world.request(&caller(1)).view(&browser).await.unwrap() else { panic!("consent") };
        assert_eq!(page.remembered.is_some(), remembered, "{redirect}");
        world.request(&caller(1)).decide(&browser, all()).await.unwrap();
        let again = begin(&world, HOME, &[("redirect_uri", redirect)], browser.session.as_deref()).await;
        assert_eq!(is_silent(&again), remembered, "{redirect}");
    }
}
