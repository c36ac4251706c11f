//! PK and CR: code challenges, and the single use of codes.

use std::time::Duration;

use crate::expect;
use crate::shared::{self, CALLBACK, application};
use crate::support::application::{Application, Authorized, Tokens, challenge, random};
use crate::support::client::{Client, encoded, post_form};
use crate::support::gateway::Home;
use crate::support::page::Browser;
use crate::support::password::PASSWORD;

async fn authorized() -> (&'static shared::Shared, Application, Authorized, Client) {
    let (shared, application) = application(CALLBACK).await;
    let authorized = application.authorize(&mut Browser::new(&shared.home)).await;
    (shared, application, authorized, Client::new(&shared.home))
}

fn without<'a>(form: &[(&'a str, &'a str)], name: &str) -> Vec<(&'a str, &'a str)> {
    form.iter().filter(|(known, _)| *known != name).copied().collect()
}

fn with<'a>(form: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut changed = without(form, name);
    changed.push((name, value));
    changed
}

async fn refuses_request(changes: &[&[(&str, &str)]]) {
    let (shared, application) = application(CALLBACK).await;
    for changed in changes {
        let reply = Client::new(&shared.home).get(&application.request(&random(), changed)).await;
        expect::sent_back(&reply, &application, "invalid_request", Some("the-state"));
    }
}

#[tokio::test]
async fn pk_01_no_challenge_no_code() {
    refuses_request(&[&[("code_challenge", ""), ("code_challenge_method", "")], &[("code_challenge", "")]]).await;
}

#[tokio::test]
async fn pk_02_plain_is_refused_also_when_it_is_only_the_default() {
    refuses_request(&[&[("code_challenge_method", "plain")], &[("code_challenge_method", "")]]).await;
}

#[tokio::test]
async fn pk_03_an_unknown_method_is_not_taken_for_plain() {
    refuses_request(&[&[("code_challenge_method", "S512")], &[("code_challenge_method", "s256")]]).await;
}

#[tokio::test]
async fn pk_04_a_challenge_has_43_characters_of_base64url() {
    let good = challenge("x");
    let short = &good[..42];
    let (long, padded) = (format!("{good}A"), format!("{short}="));
    let (plus, space) = (format!("{short}+"), format!("{short} "));
    let wrong: Vec<_> = [short, &long, &padded, &plus, &space].map(|value| [("code_challenge", value)]).to_vec();
    let wrong: Vec<&[(&str, &str)]> = wrong.iter().map(<[_; 1]>::as_slice).collect();
    refuses_request(&wrong).await;
}

#[tokio::test]
async fn pk_05_a_code_without_verifier_is_refused() {
    let (_, application, authorized, mut client) = authorized().await;
    let form = application.redemption(&authorized);
    expect::refused(&client.post_form("/token", &without(&form, "code_verifier")).await, "invalid_grant");
}

#[tokio::test]
async fn pk_06_two_wrong_verifiers_are_forgiven_the_third_kills_the_code() {
    let (_, application, authorized, mut client) = authorized().await;
    let form = application.redemption(&authorized);
    let wrong = random();
    for _ in 0..2 {
        expect::refused(&client.post_form("/token", &with(&form, "code_verifier", &wrong)).await, "invalid_grant");
    }
    assert_eq!(client.post_form("/token", &form).await.status, 200, "the code survives two failures");
    let (_, application, authorized, mut client) = self::authorized().await;
    let form = application.redemption(&authorized);
    for _ in 0..3 {
        expect::refused(&client.post_form("/token", &with(&form, "code_verifier", &wrong)).await, "invalid_grant");
    }
    expect::refused(&client.post_form("/token", &form).await, "invalid_grant");
}

#[tokio::test]
async fn pk_07_pk_10_only_the_verifier_itself_is_one() {
    let (long, short) = ("a".repeat(129), "a".repeat(42));
    let foreign = "spaces are not unreserved characters, nor are ,,,,".to_owned();
    // A code for each case: the third failure would invalidate the code, and every later attempt would be refused.
    for wrong in [Some(short), Some(long), Some(foreign), None] {
        let (_, application, authorized, mut client) = authorized().await;
        let form = application.redemption(&authorized);
        let wrong = wrong.unwrap_or_else(|| challenge(&authorized.verifier));
        expect::refused(&client.post_form("/token", &with(&form, "code_verifier", &wrong)).await, "invalid_grant");
        assert_eq!(client.post_form("/token", &form).await.status, 200, "the code was good: {wrong}");
    }
}

#[tokio::test]
async fn cr_01_among_64_parallel_redemptions_one_wins_and_the_replays_end_it() {
    let (shared, application, authorized, mut client) = authorized().await;
    let form = encoded(&application.redemption(&authorized));
    let mut attempts = tokio::task::JoinSet::new();
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(64));
    for _ in 0..64 {
        let (mut own, form, barrier) = (Client::new(&shared.home), form.clone(), std::sync::Arc::clone(&barrier));
        attempts.spawn(async move {
            let request = crate::support::client::request(
                hyper::Method::POST,
                "/token",
                &[("content-type", "application/x-www-form-urlencoded")],
                form,
            );
            // The connections are opened before the barrier, so that the barrier releases requests and not handshakes.
            own.get("/.well-known/oauth-authorization-server").await;
            barrier.wait().await;
            own.send(request).await
        });
    }
    let replies = attempts.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 63));
    for reply in lost {
        expect::refused(reply, "invalid_grant");
    }
    let winner = Tokens::from(won[0]);
    let reply = client.call("/mcp", &winner.access, "cr-01").await;
    expect::challenged(&reply, &shared.home.origin(), "/mcp", Some("invalid_token"));
    expect::refused(&application.refresh(&mut client, &winner.refresh).await, "invalid_grant");
}

#[tokio::test]
async fn cr_03_a_valid_replay_ends_the_family() {
    let (shared, application, authorized, mut client) = authorized().await;
    let tokens = Tokens::from(&application.redeem(&mut client, &authorized).await);
    assert_eq!(client.call("/mcp", &tokens.access, "cr-03").await.status, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    expect::refused(&application.redeem(&mut client, &authorized).await, "invalid_grant");
    let reply = client.call("/mcp", &tokens.access, "cr-03").await;
    expect::challenged(&reply, &shared.home.origin(), "/mcp", Some("invalid_token"));
    expect::refused(&application.refresh(&mut client, &tokens.refresh).await, "invalid_grant");
}

#[tokio::test]
async fn cr_04_a_replay_by_another_client_or_with_a_wrong_verifier_harms_nobody() {
    let (shared, application, authorized, mut client) = authorized().await;
    let tokens = Tokens::from(&application.redeem(&mut client, &authorized).await);
    let thief = Application::register(&shared.home, CALLBACK).await;
    let (form, wrong) = (application.redemption(&authorized), random());
    for replay in [
        with(&form, "client_id", &thief.client_id),
        with(&form, "code_verifier", &wrong),
        without(&form, "code_verifier"),
    ] {
        expect::refused(&client.post_form("/token", &replay).await, "invalid_grant");
    }
    assert_eq!(client.call("/mcp", &tokens.access, "cr-04").await.status, 200);
    assert_eq!(application.refresh(&mut client, &tokens.refresh).await.status, 200);
}

#[tokio::test]
async fn cr_06_a_code_is_good_for_its_client_only() {
    let (shared, application, authorized, mut client) = authorized().await;
    let other = Application::register_confidential(&shared.home, CALLBACK, "client_secret_post").await;
    let form = application.redemption(&authorized);
    let mut stolen = with(&form, "client_id", &other.client_id);
    stolen.push(("client_secret", other.secret.as_deref().expect("a secret")));
    expect::refused(&client.post_form("/token", &stolen).await, "invalid_grant");
    assert_eq!(client.post_form("/token", &form).await.status, 200, "the code's own client can still redeem it");
}

#[tokio::test]
async fn cr_07_cr_10_another_redirect_uri_or_resource_is_refused_and_the_code_kept() {
    let (shared, application, authorized, mut client) = authorized().await;
    let form = application.redemption(&authorized);
    let elsewhere = with(&form, "redirect_uri", "http://127.0.0.1:49153/callback");
    expect::refused(&client.post_form("/token", &elsewhere).await, "invalid_grant");
    let mail = format!("{}/mcp/mail", shared.home.origin());
    expect::refused(&client.post_form("/token", &with(&form, "resource", &mail)).await, "invalid_target");
    assert_eq!(client.post_form("/token", &form).await.status, 200);
}

#[tokio::test]
async fn cr_08_a_damaged_code_is_refused() {
    let (_, application, authorized, mut client) = authorized().await;
    let form = application.redemption(&authorized);
    let code = authorized.code.as_str();
    let flipped = format!("{}{}", &code[..code.len() - 1], if code.ends_with('A') { 'B' } else { 'A' });
    let long = "x".repeat(50_000);
    for damaged in [flipped.as_str(), &code[1..], &code[..code.len() - 1], "", &long, "mcp_code_", "\u{0}"] {
        let reply = client.post_form("/token", &with(&form, "code", damaged)).await;
        expect::refused(&reply, if damaged.is_empty() { "invalid_request" } else { "invalid_grant" });
    }
    assert_eq!(client.post_form("/token", &form).await.status, 200);
}

#[tokio::test]
async fn cr_13_parameters_come_from_the_body_only() {
    let (_, application, authorized, mut client) = authorized().await;
    let form = application.redemption(&authorized);
    let all = client.send(post_form(&format!("/token?{}", encoded(&form)), &[])).await;
    assert!(matches!(all.status, 400 | 401), "{all:?}");
    let split = format!("/token?{}", encoded(&[("code", &authorized.code)]));
    expect::refused(&client.send(post_form(&split, &without(&form, "code"))).await, "invalid_request");
    assert_eq!(client.post_form("/token", &form).await.status, 200, "the code was not used");
}

#[tokio::test]
async fn cr_14_grant_types_that_do_not_exist() {
    let (_, application, authorized, mut client) = authorized().await;
    let form = application.redemption(&authorized);
    for (grant, error) in
        [("", "invalid_request"), ("password", "unsupported_grant_type"), ("unknown", "unsupported_grant_type")]
    {
        expect::refused(&client.post_form("/token", &with(&form, "grant_type", grant)).await, error);
    }
    let mut twice = form.clone();
    twice.push(("grant_type", "authorization_code"));
    expect::refused(&client.post_form("/token", &twice).await, "invalid_request");
}

#[tokio::test]
async fn cr_16_a_user_disabled_after_consent_gets_no_token() {
    let (shared, application) = application(CALLBACK).await;
    let name = crate::login::new_user(&shared.home, "cr-16");
    let mut browser = Browser::new(&shared.home);
    let verifier = random();
    let page = browser.open(&application.request(&verifier, &[])).await;
    let page = browser.log_in(&page, &name, PASSWORD).await;
    let answer = browser.decide(&page, "approve").await;
    let authorized = Authorized { code: crate::support::application::parameter(&answer, "code"), verifier };
    shared.home.command(&["user", "disable", &name]);
    expect::refused(&application.redeem(&mut Client::new(&shared.home), &authorized).await, "invalid_grant");
}

#[tokio::test]
async fn ck_03_a_process_that_slept_wakes_to_expired_codes() {
    let gateway = Home::new("[tokens]\ncode = \"10s\"", None).start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let authorized = application.authorize(&mut Browser::new(&gateway.home)).await;
    gateway.signal("STOP");
    tokio::time::sleep(Duration::from_secs(11)).await;
    gateway.signal("CONT");
    expect::refused(&application.redeem(&mut Client::new(&gateway.home), &authorized).await, "invalid_grant");
}

/// RFC 6749 5.1: clients schedule refreshes by `expires_in`, and some reject a token whose lifetime is a second short.
#[tokio::test]
async fn a_token_just_issued_has_its_whole_lifetime_before_it() {
    let (_, application, authorized, mut client) = authorized().await;
    let issued = application.redeem(&mut client, &authorized).await;
    assert_eq!(issued.json()["expires_in"], 3600, "{issued:?}");
    let refreshed = application.refresh(&mut client, &issued.member("refresh_token")).await;
    assert_eq!(refreshed.json()["expires_in"], 3600, "{refreshed:?}");
}
