//! CN: consent and sessions.

use mcpgate::issuer::{AuthorizeRejection, Decision, Handles, Step, View};
use mcpgate::oauth::{Client, ClientMetadata, RegisteredRedirects, ScopeSet};
use mcpgate::store::AuditEvent;

use super::config::{ISSUER, NOTES};
use super::driver::*;

async fn at_consent(world: &World, client: &Client, extra: &[(&str, &str)]) -> Handles {
    let mut browser = world.browser(&client.id, extra).await;
    assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Consent));
    browser
}

#[tokio::test]
async fn a_name_like_that_of_a_client_of_the_operators_is_warned_of() {
    let world = World::new().await;
    world.account("ada").await;
    world.manual_client("Loop", CALLBACK, None).await;
    let vouched = world.manual_client("Claude", "https://other.example/cb", None).await;
    let looks_like = async |client: &Client, redirect: &str| {
        let browser = at_consent(&world, client, &[("redirect_uri", redirect)]).await;
        let View::Consent(page) = world.request(&caller(1)).view(&browser).await.unwrap() else { panic!("consent") };
        page.looks_like
    };
    for (name, redirect, expected) in [
        ("L\u{43e}\u{43e}p", CALLBACK, Some("Loop")),
        ("Loop", CALLBACK, Some("Loop")),
        ("ChatGPT", CALLBACK, Some("ChatGPT")),
        ("ChatGPT", "https://chatgpt.com/cb", None),
        ("Gemini CLI", LOOPBACK, None),
        ("Some client", CALLBACK, None),
    ] {
        let body = serde_json::json!({
            "client_name": name, "redirect_uris": [redirect], "token_endpoint_auth_method": "none",
        });
        let client = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap().client;
        assert_eq!(looks_like(&client, redirect).await.as_deref(), expected, "{name} {redirect}");
    }
    assert_eq!(looks_like(&vouched, "https://other.example/cb").await, None, "the operator vouches for this client");
}

#[tokio::test]
async fn cn_08_consent_is_skipped_for_a_vouched_for_https_client_only() {
    let world = World::new().await;
    world.account("ada").await;
    let vouched = world.manual_client("Vouched", CALLBACK, None).await;
    let browser = at_consent(&world, &vouched, &[("scope", "sales:read sales:write")]).await;
    world.request(&caller(1)).decide(&browser, all()).await.unwrap();
    let session = browser.session.as_deref();

    let narrower = world.begin(&vouched.id, &[("scope", "sales:read")], session).await.unwrap();
    let Step::Redirect(location) = narrower.step else { panic!("{narrower:?}") };
    assert!(narrower.transaction.is_none());
    let tokens = world.redeem(&vouched.id, &parameter(&location, "code").unwrap()).await.unwrap();
    assert_eq!(tokens.scopes, "sales:read");
    let silent = world.begin(&vouched.id, &[("prompt", "none")], session).await.unwrap();
    assert!(matches!(silent.step, Step::Redirect(_)));

    for client in [
        world.public_client(CALLBACK).await,
        world.manual_client("Local", LOOPBACK, None).await,
        world.manual_client("Local with TLS", "https://localhost:9999/cb", None).await,
    ] {
        let redirect = client.metadata.redirect_uris.as_slice()[0].as_str().to_owned();
        let browser = at_consent(&world, &client, &[("redirect_uri", &redirect)]).await;
        world.request(&caller(1)).decide(&browser, all()).await.unwrap();
        let again = world.begin(&client.id, &[("redirect_uri", &redirect)], browser.session.as_deref()).await.unwrap();
        assert!(matches!(again.step, Step::Consent), "{:?} {:?}", client.origin, again.step);
    }
}

#[tokio::test]
async fn cn_20_disconnecting_and_denying_last_the_next_request_asks_again() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.manual_client("Vouched", CALLBACK, None).await;
    let browser = at_consent(&world, &client, &[]).await;
    let location = world.request(&caller(1)).decide(&browser, all()).await.unwrap();
    let tokens = world.redeem(&client.id, &parameter(&location, "code").unwrap()).await.unwrap();
    let session = browser.session.as_deref();
    assert!(world.request(&caller(1)).revoke_own_grant(session.unwrap(), tokens.grant).await.unwrap());
    let asked = world.begin(&client.id, &[], session).await.unwrap();
    assert!(matches!(asked.step, Step::Consent), "{:?}", asked.step);

    let again = Handles { session: browser.session.clone(), ..handles(asked) };
    world.request(&caller(1)).decide(&again, all()).await.unwrap();
    let asked = world.begin(&client.id, &[("prompt", "consent")], session).await.unwrap();
    let denied = Handles { session: browser.session.clone(), ..handles(asked) };
    let location = world.request(&caller(1)).decide(&denied, Decision::Deny).await.unwrap();
    assert_eq!(parameter(&location, "error").as_deref(), Some("access_denied"));
    assert_eq!(world.last_event().await, AuditEvent::AuthorizationDenied);
    let asked = world.begin(&client.id, &[], session).await.unwrap();
    assert!(matches!(asked.step, Step::Consent), "{:?}", asked.step);
}

#[tokio::test]
async fn cn_09_anything_new_asks_again() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.manual_client("Vouched", CALLBACK, None).await;
    let browser = at_consent(&world, &client, &[("scope", "sales:read")]).await;
    world.request(&caller(1)).decide(&browser, all()).await.unwrap();
    let session = browser.session.as_deref();
    let new: [&[(&str, &str)]; 4] = [
        &[("scope", "sales:read sales:write")],
        &[("resource", NOTES)],
        &[("prompt", "consent")],
        &[("prompt", "login")],
    ];
    for extra in new {
        let started = world.begin(&client.id, extra, session).await.unwrap();
        assert!(matches!(started.step, Step::Consent | Step::LogIn), "{extra:?} {started:?}");
    }
    // prompt=login asks for the password even in a session, and then for consent again.
    let login = world.begin(&client.id, &[("prompt", "login")], session).await.unwrap();
    let mut again = Handles { session: browser.session.clone(), ..handles(login) };
    assert!(matches!(world.request(&caller(1)).view(&again).await.unwrap(), View::LogIn(_)));
    assert!(matches!(world.log_in(&mut again, "ada").await, Step::Consent));
    // Consent is remembered for 90 days.
    world.pass(90 * 86_400);
    let mut later = world.browser(&client.id, &[("scope", "sales:read")]).await;
    assert!(matches!(world.log_in(&mut later, "ada").await, Step::Consent));
}

#[tokio::test]
async fn cn_09_another_name_or_redirect_set_asks_again() {
    for changed in ["name", "redirects"] {
        let world = World::new().await;
        world.account("ada").await;
        let client = world.manual_client("Vouched", CALLBACK, None).await;
        let browser = at_consent(&world, &client, &[]).await;
        world.request(&caller(1)).decide(&browser, all()).await.unwrap();
        let mut metadata = client.metadata.clone();
        if changed == "name" {
            metadata.client_name = Some("Another".to_owned());
        } else {
            let uris = [CALLBACK, "https://client.example/other"].map(str::to_owned).to_vec();
            metadata = ClientMetadata { redirect_uris: RegisteredRedirects::from_stored(uris), ..metadata };
        }
        world.inner().delete_client(&client.id, world.row()).await.unwrap();
        world.inner().insert_client(Client { metadata, ..client.clone() }, 100, world.row()).await.unwrap();
        let started = world.begin(&client.id, &[], browser.session.as_deref()).await.unwrap();
        assert!(matches!(started.step, Step::Consent), "{changed}");
    }
}

#[tokio::test]
async fn cn_15_deny_goes_back_to_the_client_and_ends_the_transaction() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = at_consent(&world, &client, &[]).await;
    let location = world.request(&caller(1)).decide(&browser, Decision::Deny).await.unwrap();
    assert_eq!(parameter(&location, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&location, "state").as_deref(), Some("the state"));
    assert_eq!(parameter(&location, "iss").as_deref(), Some(ISSUER));
    assert_eq!(parameter(&location, "code"), None);
    assert_eq!(world.last_event().await, AuditEvent::AuthorizationDenied);
    for decision in [all(), Decision::Deny] {
        let again = world.request(&caller(1)).decide(&browser, decision).await;
        assert!(matches!(again, Err(AuthorizeRejection::Finished)), "{again:?}");
    }
}

#[tokio::test]
async fn az_28_a_form_takes_scopes_away_and_adds_none() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let both = [("scope", "sales:read sales:write")];
    let browser = at_consent(&world, &client, &both).await;
    let ticked = Decision::Approve(ScopeSet::parse("sales:write").unwrap().into());
    let location = world.request(&caller(1)).decide(&browser, ticked).await.unwrap();
    let tokens = world.redeem(&client.id, &parameter(&location, "code").unwrap()).await.unwrap();
    assert_eq!(tokens.scopes, "sales:write");

    // A client that holds nothing yet.
    let other = world.public_client(CALLBACK).await;
    let browser = at_consent(&world, &other, &[("scope", "sales:read")]).await;
    let more = Decision::Approve(ScopeSet::parse("sales:read sales:write notes:read").unwrap().into());
    let location = world.request(&caller(1)).decide(&browser, more).await.unwrap();
    let tokens = world.redeem(&other.id, &parameter(&location, "code").unwrap()).await.unwrap();
    assert_eq!(tokens.scopes, "sales:read");

    let browser = at_consent(&world, &client, &both).await;
    let none = Decision::Approve(ScopeSet::default().into());
    let foreign = Decision::Approve(ScopeSet::parse("notes:read").unwrap().into());
    for nothing in [none, foreign] {
        let decided = world.request(&caller(1)).decide(&browser, nothing).await;
        assert!(matches!(decided, Err(AuthorizeRejection::NothingApproved)), "{decided:?}");
    }
    let decided = world.request(&caller(1)).decide(&browser, all()).await;
    assert!(decided.is_ok(), "the refused attempts decided nothing");
}

#[tokio::test]
async fn cn_18_a_double_click_makes_one_code() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = at_consent(&world, &client, &[]).await;
    let decide = || async { world.request(&CALLER).decide(&browser, all()).await };
    let outcomes: [Result<_, _>; 2] = tokio::join!(decide(), decide()).into();
    let [Ok(first), Ok(second)] = &outcomes else { panic!("{outcomes:?}") };
    assert_eq!(first, second, "one code");
    assert_eq!(world.count(AuditEvent::ConsentGiven).await, 1);
    // A different decision or session, or a used or expired code, is refused.
    let denied = world.request(&CALLER).decide(&browser, Decision::Deny).await;
    assert!(matches!(denied, Err(AuthorizeRejection::Finished)), "{denied:?}");
    let fewer = Decision::Approve(ScopeSet::default().into());
    let fewer = world.request(&CALLER).decide(&browser, fewer).await;
    assert!(matches!(fewer, Err(AuthorizeRejection::Finished)), "another selection of scopes gets no code: {fewer:?}");
    let stranger = Handles { session: None, ..browser.clone() };
    let strangers = world.request(&CALLER).decide(&stranger, all()).await;
    assert!(matches!(strangers, Err(AuthorizeRejection::Gone)), "{strangers:?}");
    world.redeem(&client.id, &parameter(first, "code").unwrap()).await.unwrap();
    let late = decide().await;
    assert!(matches!(late, Err(AuthorizeRejection::Finished)), "{late:?}");
    let browser = at_consent(&world, &client, &[]).await;
    world.request(&CALLER).decide(&browser, all()).await.unwrap();
    world.pass(60);
    let late = world.request(&CALLER).decide(&browser, all()).await;
    assert!(matches!(late, Err(AuthorizeRejection::Finished)), "{late:?}");
}

static CALLER: mcpgate::issuer::Caller = mcpgate::issuer::Caller::new(None, None);

#[tokio::test]
async fn only_the_session_that_saw_the_page_decides() {
    let world = World::new().await;
    world.account("ada").await;
    world.account("bob").await;
    let client = world.public_client(CALLBACK).await;
    let browser = at_consent(&world, &client, &[]).await;
    let mut elsewhere = world.browser(&client.id, &[]).await;
    world.log_in(&mut elsewhere, "bob").await;
    let mut second = world.browser(&client.id, &[]).await;
    world.log_in(&mut second, "ada").await;
    for session in [None, elsewhere.session.clone(), second.session] {
        let stranger = Handles { session, ..browser.clone() };
        let tried = world.request(&caller(1)).decide(&stranger, all()).await;
        assert!(matches!(tried, Err(AuthorizeRejection::Gone)), "{tried:?}");
    }
    // Bob logged in in another tab of the same browser: the page shows his name before he can decide.
    let bob = Handles { session: elsewhere.session.clone(), ..browser.clone() };
    let View::Consent(page) = world.request(&caller(1)).view(&bob).await.unwrap() else { panic!("consent") };
    assert_eq!(page.account, "bob");
    assert!(matches!(world.request(&caller(1)).decide(&browser, all()).await, Err(AuthorizeRejection::Gone)));
    assert!(world.request(&caller(1)).decide(&bob, all()).await.is_ok());
}

#[tokio::test]
async fn not_you_ends_the_session_and_asks_for_another_login() {
    let world = World::new().await;
    world.account("ada").await;
    world.account("bob").await;
    let client = world.public_client(CALLBACK).await;
    let mut browser = at_consent(&world, &client, &[]).await;
    let ada = browser.session.clone().unwrap();
    world.request(&caller(1)).switch_account(&browser).await.unwrap();
    assert!(world.request(&caller(1)).account(&ada).await.unwrap().is_none());
    assert!(matches!(world.request(&caller(1)).view(&browser).await.unwrap(), View::LogIn(_)));
    assert!(matches!(world.log_in(&mut browser, "bob").await, Step::Consent));
    let View::Consent(page) = world.request(&caller(1)).view(&browser).await.unwrap() else { panic!("consent") };
    assert_eq!(page.account, "bob");
}

#[tokio::test]
async fn logging_out_takes_the_approval_back() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = at_consent(&world, &client, &[]).await;
    world.request(&caller(1)).log_out(browser.session.as_deref().unwrap()).await.unwrap();
    let tried = world.request(&caller(1)).decide(&browser, all()).await;
    assert!(matches!(tried, Err(AuthorizeRejection::Gone)), "{tried:?}");
    assert!(matches!(world.request(&caller(1)).view(&browser).await.unwrap(), View::LogIn(_)));
}

#[tokio::test]
async fn a_session_ends_idle_after_an_hour_and_absolutely_after_a_day() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let session = at_consent(&world, &client, &[]).await.session.unwrap();
    for _ in 0..24 {
        world.pass(3599);
        assert!(world.request(&caller(1)).account(&session).await.unwrap().is_some());
    }
    world.pass(24);
    assert!(world.request(&caller(1)).account(&session).await.unwrap().is_none(), "24 h");
    let session = at_consent(&world, &client, &[]).await.session.unwrap();
    world.pass(3600);
    assert!(world.request(&caller(1)).account(&session).await.unwrap().is_none(), "idle for 1 h");
}
