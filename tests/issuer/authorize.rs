//! AZ and PK: valid authorization requests, and refused ones.

use mcpgate::issuer::{AuthorizeRejection, Handles, Step, View};
use mcpgate::oauth::{ClientId, ErrorCode, Form, Lifetime, ResourceIndicator, TenantId};
use mcpgate::store::{AuditEvent, Update};

use super::config::{FOREIGN, NOTES, SALES};
use super::driver::*;

#[tokio::test]
async fn a_request_of_which_client_or_redirect_is_not_known_is_told_on_a_page_and_recorded() {
    let world = World::new().await;
    let unknown = ClientId::parse("mcp_client_unknown").unwrap();
    assert_eq!(paged(world.begin(&unknown, &[], None).await), ErrorCode::InvalidClient);
    let client = world.public_client(CALLBACK).await;
    let id = client.id.as_str();
    for extra in [
        &[("redirect_uri", "https://evil.example/callback")][..],
        &[("client_id", id), ("client_id", id)],
        &[("redirect_uri", CALLBACK), ("redirect_uri", CALLBACK)],
    ] {
        assert_eq!(paged(world.begin(&client.id, extra, None).await), ErrorCode::InvalidRequest, "{extra:?}");
    }
    assert_eq!(world.count(AuditEvent::AuthorizationRefused).await, 4);
}

#[tokio::test]
async fn faults_of_a_request_go_back_to_the_client_with_iss() {
    let world = World::new().await;
    let known = world.manual_client("Known", CALLBACK, None).await;
    let stranger = world.public_client(CALLBACK).await;
    let long = "s".repeat(5000);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("scope", "sales:read"), ("scope", "sales:read")], "invalid_request"),
        (&[("state", &long)], "invalid_request"),
        (&[("prompt", "none")], "login_required"),
        (&[("resource", FOREIGN)], "invalid_target"),
        (&[("resource", SALES), ("resource", NOTES)], "invalid_target"),
        (&[("resource", "")], "invalid_target"),
        (&[("scope", "sales:read \"quoted\"")], "invalid_scope"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
    ];
    for (i, (extra, expected)) in cases.iter().enumerate() {
        let from = caller(u8::try_from(i + 10).unwrap());
        let outcome = world.begin_from(&from, &known.id, extra, None).await;
        assert_eq!(redirected(outcome), *expected, "{extra:?}");
        let outcome = world.begin_from(&from, &stranger.id, extra, None).await;
        assert_eq!(linked(outcome), *expected, "{extra:?}");
    }
    assert_eq!(world.count(AuditEvent::AuthorizationRefused).await, 2 * cases.len());
}

/// RFC 9700 4.11.2: a link to the gateway must not redirect users to a site that an attacker has registered.
#[tokio::test]
async fn only_a_client_that_somebody_vouches_for_is_redirected_to_before_its_user_has_decided() {
    const APP: &str = "com.example.app:/cb";
    let world = World::new().await;
    let faults = [("prompt", "none"), ("response_type", "token")];
    for (redirect, target) in
        [(CALLBACK, "client.example"), (APP, "com.example.app"), ("https://client.example:8443/x", "client.example")]
    {
        let client = world.public_client(redirect).await;
        for fault in faults {
            let outcome = world.begin(&client.id, &[("redirect_uri", redirect), fault], None).await;
            let Err(AuthorizeRejection::Unsolicited { link, .. }) = outcome else { panic!("{redirect}: {outcome:?}") };
            assert!(link.location.as_str().starts_with(&format!("{redirect}?error=")), "{link:?}");
            assert_eq!((link.target.as_str(), link.is_scheme), (target, redirect == APP));
        }
    }
    for redirect in [LOOPBACK, "http://localhost:3000/cb", "https://localhost:8444/cb"] {
        let client = world.public_client(redirect).await;
        for fault in faults {
            let outcome = world.begin(&client.id, &[("redirect_uri", redirect), fault], None).await;
            let Err(AuthorizeRejection::Redirect(location)) = outcome else { panic!("{redirect}: {outcome:?}") };
            assert!(location.as_str().starts_with(&format!("{redirect}?error=")), "{location:?}");
        }
    }
}

#[tokio::test]
async fn a_client_is_known_to_the_users_who_have_connected_it_until_they_end_that() {
    const SILENT: &[(&str, &str)] = &[("prompt", "none")];
    let world = World::new().await;
    world.account("ada").await;
    world.account("ben").await;
    let client = world.public_client(CALLBACK).await;
    let mut browser = world.browser(&client.id, &[]).await;
    world.log_in(&mut browser, "ada").await;
    let session = browser.session.clone();
    let silent = || world.begin(&client.id, SILENT, session.as_deref());
    assert_eq!(linked(silent().await), "consent_required", "the client is known, but not approved");
    let location = world.request(&caller(1)).decide(&browser, all()).await.unwrap();
    let tokens = world.redeem(&client.id, &parameter(&location, "code").unwrap()).await.unwrap();
    assert_eq!(redirected(silent().await), "consent_required");
    assert_eq!(redirected(world.begin(&client.id, &[("scope", "\"")], session.as_deref()).await), "invalid_scope");

    let mut other = world.browser(&client.id, &[]).await;
    world.log_in(&mut other, "ben").await;
    assert_eq!(linked(world.begin(&client.id, SILENT, other.session.as_deref()).await), "consent_required");
    assert_eq!(linked(world.begin(&client.id, SILENT, None).await), "login_required");

    let revoked = world.inner().revoke_grant(tokens.grant, world.row()).await;
    assert_eq!(revoked.unwrap(), Update::Done);
    assert_eq!(linked(silent().await), "consent_required");
}

#[tokio::test]
async fn az_21_prompt_none_with_a_session_but_without_consent_says_so() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.manual_client("Known", CALLBACK, None).await;
    let mut browser = world.browser(&client.id, &[]).await;
    world.log_in(&mut browser, "ada").await;
    let outcome = world.begin(&client.id, &[("prompt", "none")], browser.session.as_deref()).await;
    assert_eq!(redirected(outcome), "consent_required");
}

#[tokio::test]
async fn a_resource_of_another_tenant_is_answered_and_recorded_like_one_that_does_not_exist() {
    let world = World::new().await;
    let client = world.manual_client("Known", CALLBACK, None).await;
    let mut answers = Vec::new();
    for resource in [FOREIGN, "https://gate.example/mcp/nothing"] {
        let outcome = world.begin(&client.id, &[("resource", resource)], None).await;
        let Err(AuthorizeRejection::Redirect(location)) = outcome else { panic!("{resource}: {outcome:?}") };
        assert_eq!(parameter(&location, "error").as_deref(), Some("invalid_target"));
        answers.push((location, world.audit().await.pop().unwrap().reason));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_grant_has_its_resource_in_canonical_form() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[("resource", "HTTPS://GATE.EXAMPLE:443/mcp/sales/")], "ada").await;
    let grant = world.inner().find_grant(&TenantId::default(), tokens.grant).await.unwrap().unwrap();
    assert_eq!(grant.resource, ResourceIndicator::from_stored(SALES));
}

#[tokio::test]
async fn az_27_a_client_switched_off_ends_the_transaction() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let mut browser = world.browser(&client.id, &[]).await;
    world.log_in(&mut browser, "ada").await;
    world.inner().set_client_disabled(&client.id, true, world.row()).await.unwrap();
    assert_eq!(paged(world.begin(&client.id, &[], None).await), ErrorCode::InvalidClient);
    let refused = world.request(&caller(1)).view(&browser).await;
    assert!(matches!(refused, Err(AuthorizeRejection::Page(_))), "{refused:?}");
    assert_eq!(world.count(AuditEvent::ConsentGiven).await, 0);
    // It stays revoked when the client is enabled again.
    world.inner().set_client_disabled(&client.id, false, world.row()).await.unwrap();
    for refused in [
        world.request(&caller(1)).view(&browser).await.err(),
        world.request(&caller(1)).decide(&browser, all()).await.err(),
    ] {
        assert!(matches!(refused, Some(AuthorizeRejection::Finished)), "{refused:?}");
    }
}

#[tokio::test]
async fn az_29_a_transaction_older_than_ten_minutes_can_only_be_begun_once_more() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(LOOPBACK).await;
    let asked =
        [("redirect_uri", "http://127.0.0.1:51763/callback"), ("scope", "sales:write"), ("state", "a&b=\u{e9}")];
    let waiting = world.browser(&client.id, &asked).await;
    let mut deciding = world.browser(&client.id, &asked).await;
    world.pass(599);
    assert!(matches!(world.request(&caller(1)).view(&waiting).await, Ok(View::LogIn(_))));
    assert!(matches!(world.log_in(&mut deciding, "ada").await, Step::Consent));
    world.pass(1);
    let again = |refused: Option<AuthorizeRejection>| match refused {
        Some(AuthorizeRejection::Expired { after, again }) => {
            assert_eq!(after, Lifetime::from_secs(600));
            again
        }
        other => panic!("{other:?}"),
    };
    let from = caller(1);
    let query = again(world.request(&from).view(&waiting).await.err());
    assert_eq!(again(world.request(&from).log_in(&waiting, "ada", PASSWORD).await.err()), query);
    assert_eq!(again(world.request(&from).view(&deciding).await.err()), query);
    assert_eq!(again(world.request(&from).decide(&deciding, all()).await.err()), query);
    assert_eq!(world.count(AuditEvent::CodeIssued).await, 0);
    assert_eq!(world.audit().await.pop().unwrap().reason.as_deref(), Some("transaction_expired"));

    let form = Form::parse(query.strip_prefix("/authorize?").unwrap().as_bytes()).unwrap();
    let started = world.request(&from).begin_authorization(form, deciding.session.as_deref(), None).await.unwrap();
    let anew = Handles { session: deciding.session.clone(), ..handles(started) };
    let location = world.request(&from).decide(&anew, all()).await.unwrap();
    assert!(location.as_str().starts_with("http://127.0.0.1:51763/callback?"), "{location:?}");
    assert_eq!(parameter(&location, "state").as_deref(), Some("a&b=\u{e9}"));
    let tokens = world.redeem_with(&client.id, &parameter(&location, "code").unwrap(), &asked[..1]).await.unwrap();
    assert_eq!(tokens.scopes, "sales:write");

    // A decided request cannot be decided again, and an undecided one expires.
    world.pass(601);
    assert!(matches!(world.request(&from).view(&anew).await, Err(AuthorizeRejection::Finished)));
    world.pass(3000);
    assert!(matches!(world.request(&from).view(&waiting).await, Err(AuthorizeRejection::Gone)));
}

#[tokio::test]
async fn az_29_a_sign_in_for_the_account_page_that_has_expired_leads_back_to_it() {
    let world = World::new().await;
    let browser = handles(world.request(&caller(1)).begin_account(None).await.unwrap());
    world.pass(600);
    let refused = world.request(&caller(1)).view(&browser).await;
    let Err(AuthorizeRejection::Expired { again, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(again, "/account");
}

#[tokio::test]
async fn who_has_not_the_cookie_of_a_transaction_is_refused_and_recorded() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let mine = world.browser(&client.id, &[]).await;
    let theirs = world.browser(&client.id, &[]).await;
    let swapped = Handles { cookie: theirs.cookie.clone(), ..mine.clone() };
    let without = Handles { cookie: None, ..mine.clone() };
    for stranger in [swapped, without] {
        assert!(matches!(world.request(&caller(1)).view(&stranger).await, Err(AuthorizeRejection::Gone)));
        let tried = world.request(&caller(1)).log_in(&stranger, "ada", PASSWORD).await;
        assert!(matches!(tried, Err(AuthorizeRejection::Gone)), "{tried:?}");
        assert_eq!(world.last_event().await, AuditEvent::AuthorizationRefused);
    }
    assert!(matches!(world.request(&caller(1)).view(&mine).await, Ok(View::LogIn(_))));
}

#[tokio::test]
async fn a_flood_of_requests_from_one_address_is_slowed_and_others_are_not() {
    let world = World::new().await;
    let client = world.public_client(CALLBACK).await;
    for _ in 0..30 {
        world.begin(&client.id, &[], None).await.unwrap();
    }
    let outcome = world.begin(&client.id, &[], None).await;
    let Err(AuthorizeRejection::Throttled(wait)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(wait.as_pause(), 1);
    world.begin_from(&caller(2), &client.id, &[], None).await.unwrap();
    world.pass(1);
    world.begin(&client.id, &[], None).await.unwrap();
}

#[tokio::test]
async fn a_request_without_resource_is_served_where_there_is_only_one() {
    let world = World::with(|config| config.upstreams.retain(|u| u.name != "notes")).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[("resource", "")], "ada").await;
    let grant = world.inner().find_grant(&TenantId::default(), tokens.grant).await.unwrap().unwrap();
    assert_eq!(grant.resource.as_str(), SALES);
}

/// The default resource is fixed when the request begins: a resource added later does not change the grant.
#[tokio::test]
async fn a_client_that_names_the_origin_is_served_and_goes_on_being_served() {
    const ORIGIN: &str = "https://gate.example/";
    let world = World::with(|config| config.upstreams.retain(|u| u.name != "notes")).await;
    let all = World::new().await.config.load().upstreams.clone();
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let code = world.code(&client.id, &[("resource", ORIGIN)], "ada").await;
    let late = world.code(&client.id, &[("resource", ORIGIN)], "ada").await;
    let tokens = world.redeem_with(&client.id, &code, &[("resource", ORIGIN)]).await.unwrap();
    let grant = world.inner().find_grant(&TenantId::default(), tokens.grant).await.unwrap().unwrap();
    assert_eq!(grant.resource.as_str(), SALES);
    let tokens = world.refresh_with(&client.id, &tokens.refresh, &[("resource", ORIGIN)]).await.unwrap();
    world.reload(|config| config.upstreams = all);
    world.redeem_with(&client.id, &late, &[("resource", ORIGIN)]).await.unwrap();
    let tokens = world.refresh_with(&client.id, &tokens.refresh, &[("resource", ORIGIN)]).await.unwrap();
    let grant = world.inner().find_grant(&TenantId::default(), tokens.grant).await.unwrap().unwrap();
    assert_eq!(grant.resource.as_str(), SALES, "the grant covers no other resource");
    let outcome = world.begin(&client.id, &[("resource", ORIGIN)], None).await;
    assert_eq!(linked(outcome), "invalid_target", "a new request must name the resource");
}

#[tokio::test]
async fn refusals_are_counted_by_network_and_one_stranger_hides_nobody_elses() {
    let world = World::new().await;
    let unknown = ClientId::parse("mcp_client_unknown").unwrap();
    for _ in 0..1500 {
        world.begin_from(&caller(1), &unknown, &[], None).await.unwrap_err();
    }
    assert_eq!(world.count(AuditEvent::AuthorizationRefused).await, 20);
    world.begin_from(&caller(2), &unknown, &[], None).await.unwrap_err();
    assert_eq!(world.audit().await.last().unwrap().address, caller(2).address);
    // Refused requests do not write the count themselves: callers could prevent it by disconnecting.
    world.pass(60);
    world.begin_from(&caller(2), &unknown, &[], None).await.unwrap_err();
    assert_eq!(world.audit().await.last().unwrap().address, caller(2).address);
    world.issuer.record_counted_refusals().await;
    let rows = world.audit().await;
    let counted = rows.last().unwrap();
    assert_eq!(counted.event, AuditEvent::AuthorizationRefused);
    assert_eq!(counted.address, Some([198, 51, 1, 0].into()), "the network");
    assert_eq!(counted.reason.as_deref(), Some("counted: 1480 more, of a minute or two"));
}
