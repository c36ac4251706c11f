//! RT: refresh tokens, their rotation, and the events that end a family.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::expect;
use crate::login::new_user;
use crate::shared::{CALLBACK, application, gateway};
use crate::support::application::{Application, Authorized, Tokens, parameter, random};
use crate::support::client::{Client, Reply};
use crate::support::gateway::Home;
use crate::support::page::Browser;
use crate::support::password::PASSWORD;
use crate::support::upstream::Upstream;

async fn parallel_refreshes(home: &Home, application: &Application, token: &str, count: usize) -> Vec<Reply> {
    let barrier = Arc::new(tokio::sync::Barrier::new(count));
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (mut own, application, token, barrier) =
            (Client::new(home), application.clone(), token.to_owned(), Arc::clone(&barrier));
        attempts.spawn(async move {
            own.get("/.well-known/oauth-authorization-server").await;
            barrier.wait().await;
            application.refresh(&mut own, &token).await
        });
    }
    attempts.join_all().await
}

#[tokio::test]
async fn rt_01_a_refresh_token_is_replaced_and_its_scope_kept() {
    let (shared, application) = application(CALLBACK).await;
    let first = application.tokens(&shared.home).await;
    let mut client = Client::new(&shared.home);
    let reply = application.refresh(&mut client, &first.refresh).await;
    let second = Tokens::from(&reply);
    assert_eq!(reply.member("scope"), "files:read");
    assert!(second.refresh != first.refresh && second.access != first.access);
    assert_eq!(client.call("/mcp", &second.access, "rt-01").await.status, 200);
}

#[tokio::test]
async fn rt_03_without_a_grace_one_of_64_wins_and_the_family_ends() {
    let gateway = Home::new("[tokens]\nrefresh_grace = \"0s\"\nrefresh_lost_answer = \"0s\"", None).start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let tokens = application.tokens(&gateway.home).await;
    let replies = parallel_refreshes(&gateway.home, &application, &tokens.refresh, 64).await;
    let won: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(won.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        expect::refused(reply, "invalid_grant");
    }
    let winner = Tokens::from(won[0]);
    let mut client = Client::new(&gateway.home);
    expect::refused(&application.refresh(&mut client, &winner.refresh).await, "invalid_grant");
    let reply = client.call("/mcp", &winner.access, "rt-03").await;
    expect::challenged(&reply, &gateway.home.origin(), "/mcp", Some("invalid_token"));
}

#[tokio::test]
async fn rt_04_in_the_grace_64_parallel_uses_have_one_successor_and_every_answer_stays_good() {
    let (shared, application) = application(CALLBACK).await;
    let tokens = application.tokens(&shared.home).await;
    let replies = parallel_refreshes(&shared.home, &application, &tokens.refresh, 64).await;
    let pairs: Vec<_> = replies.iter().map(Tokens::from).collect();
    let successors: BTreeSet<_> = pairs.iter().map(|pair| &pair.refresh).collect();
    assert_eq!(successors.len(), 1, "one lineage");
    let mut client = Client::new(&shared.home);
    // The caches follow the store within a second: if the store had dropped a token, it would be refused by then.
    for pause in [0, 1500] {
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        for pair in &pairs {
            assert_eq!(client.call("/mcp", &pair.access, "rt-04").await.status, 200, "after {pause} ms");
        }
    }
    assert_eq!(application.refresh(&mut client, &pairs[0].refresh).await.status, 200);
}

#[tokio::test]
async fn rt_05_an_older_generation_ends_the_family() {
    let (shared, application) = application(CALLBACK).await;
    let mut client = Client::new(&shared.home);
    let first = application.tokens(&shared.home).await;
    let second = Tokens::from(&application.refresh(&mut client, &first.refresh).await);
    let third = Tokens::from(&application.refresh(&mut client, &second.refresh).await);
    // The successor was used, so the first token is refused, however little time has passed.
    expect::refused(&application.refresh(&mut client, &first.refresh).await, "invalid_grant");
    for access in [&second.access, &third.access] {
        let reply = client.call("/mcp", access, "rt-05").await;
        expect::challenged(&reply, &shared.home.origin(), "/mcp", Some("invalid_token"));
    }
    expect::refused(&application.refresh(&mut client, &third.refresh).await, "invalid_grant");
}

/// Gets the first tokens of a gateway with a grace of one second, loses the answer to their refresh, and waits until
/// the grace is over; returns the first and the lost tokens.
async fn lost_answer(home: &Home) -> (Application, Tokens, Tokens) {
    let application = Application::register(home, CALLBACK).await;
    let first = application.tokens(home).await;
    let lost = Tokens::from(&application.refresh(&mut Client::new(home), &first.refresh).await);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    (application, first, lost)
}

const SHORT_GRACE: &str = "[tokens]\nrefresh_grace = \"1s\"";

#[tokio::test]
async fn rt_02_a_lost_answer_is_given_again_until_it_is_used_also_after_a_restart() {
    let upstream = Upstream::start();
    let mut gateway = Home::new(SHORT_GRACE, Some(upstream.url)).start().await;
    let (application, first, lost) = lost_answer(&gateway.home).await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    let gateway = gateway.kill().start().await;
    let mut client = Client::new(&gateway.home);
    let again = Tokens::from(&application.refresh(&mut client, &first.refresh).await);
    assert_eq!(again.refresh, lost.refresh, "one successor");
    assert_eq!(client.call("/mcp", &first.access, "rt-02").await.status, 200, "the token from before the rotation");
    assert_eq!(client.call("/mcp", &again.access, "rt-02").await.status, 200);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    // The successor was used, so this is a different holder.
    expect::refused(&application.refresh(&mut client, &first.refresh).await, "invalid_grant");
    expect::refused(&application.refresh(&mut client, &again.refresh).await, "invalid_grant");
}

#[tokio::test]
async fn a_call_with_the_lost_answer_ends_the_family() {
    let upstream = Upstream::start();
    let gateway = Home::new(SHORT_GRACE, Some(upstream.url)).start().await;
    let (application, first, lost) = lost_answer(&gateway.home).await;
    let mut client = Client::new(&gateway.home);
    let again = Tokens::from(&application.refresh(&mut client, &first.refresh).await);
    let reply = client.call("/mcp", &lost.access, "rt-02").await;
    expect::challenged(&reply, &gateway.home.origin(), "/mcp", Some("invalid_token"));
    within_a_second(&mut client, &again.access).await;
    expect::refused(&application.refresh(&mut client, &again.refresh).await, "invalid_grant");
    let trail = gateway.home.command_text(&["audit", "tail", "-n", "100"]);
    assert_eq!(trail.matches("void_access_token").count(), 1, "{trail}");
}

#[tokio::test]
async fn a_use_is_on_the_disk_within_a_second_and_so_is_the_lack_of_one() {
    let upstream = Upstream::start();
    let gateway = Home::new(SHORT_GRACE, Some(upstream.url)).start().await;
    let (application, first, lost) = lost_answer(&gateway.home).await;
    let (other, unused, successor) = lost_answer(&gateway.home).await;
    let mut client = Client::new(&gateway.home);
    assert_eq!(client.call("/mcp", &lost.access, "rt-12").await.status, 200);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let gateway = gateway.kill().start().await;
    let mut client = Client::new(&gateway.home);
    expect::refused(&application.refresh(&mut client, &first.refresh).await, "invalid_grant");
    expect::refused(&application.refresh(&mut client, &lost.refresh).await, "invalid_grant");
    let again = Tokens::from(&other.refresh(&mut client, &unused.refresh).await);
    assert_eq!(again.refresh, successor.refresh);
}

#[tokio::test]
async fn a_kill_before_the_mark_is_written_leaves_a_doubt_and_the_family_stands() {
    let mut gateway = Home::new(SHORT_GRACE, None).start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    // The gateway writes the mark within half a second of the answer. A busy machine may be too slow to kill it before
    // that.
    for _ in 0..5 {
        let first = application.tokens(&gateway.home).await;
        let lost = Tokens::from(&application.refresh(&mut Client::new(&gateway.home), &first.refresh).await);
        gateway = gateway.kill().start().await;
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let mut client = Client::new(&gateway.home);
        let retried = application.refresh(&mut client, &first.refresh).await;
        if retried.status == 200 {
            assert_eq!(Tokens::from(&retried).refresh, lost.refresh, "the successor was stored, so there is one");
            continue;
        }
        expect::refused(&retried, "invalid_grant");
        let trail = gateway.home.command_text(&["audit", "tail", "-n", "5"]);
        assert!(trail.contains("in_doubt"), "{trail}");
        let next = application.refresh(&mut client, &lost.refresh).await;
        assert_eq!(next.status, 200, "there is no sign of a second holder");
        return;
    }
    panic!("five kills came too late");
}

#[tokio::test]
async fn rt_06_a_refresh_token_is_good_for_its_client_only() {
    let (shared, application) = application(CALLBACK).await;
    let tokens = application.tokens(&shared.home).await;
    let mut client = Client::new(&shared.home);
    for thief in [
        Application::register(&shared.home, CALLBACK).await,
        Application::register_confidential(&shared.home, CALLBACK, "client_secret_post").await,
    ] {
        expect::refused(&thief.refresh(&mut client, &tokens.refresh).await, "invalid_grant");
    }
    assert_eq!(application.refresh(&mut client, &tokens.refresh).await.status, 200, "the family is unchanged");
}

#[tokio::test]
async fn rt_07_a_refresh_narrows_but_never_widens() {
    let (shared, application) = application(CALLBACK).await;
    let mut browser = Browser::new(&shared.home);
    let verifier = random();
    let page = browser.ask(&application.request(&verifier, &[("scope", "files:read files:write")])).await;
    let answer = browser.decide(&page, "approve").await;
    let authorized = Authorized { code: parameter(&answer, "code"), verifier };
    let mut client = Client::new(&shared.home);
    let tokens = Tokens::from(&application.redeem(&mut client, &authorized).await);
    let refresh = |token: String, scope: &'static str| {
        let id = application.client_id.clone();
        crate::support::client::post_form(
            "/token",
            &[("grant_type", "refresh_token"), ("refresh_token", &token), ("client_id", &id), ("scope", scope)],
        )
    };
    let reply = client.send(refresh(tokens.refresh, "files:read")).await;
    assert_eq!((reply.status, reply.member("scope").as_str()), (200, "files:read"));
    let reply = client.send(refresh(reply.member("refresh_token"), "files:write offline_access")).await;
    assert_eq!((reply.status, reply.member("scope").as_str()), (200, "files:write"), "the grant keeps its full scope");
    let narrow = application.tokens(&shared.home).await;
    expect::refused(&client.send(refresh(narrow.refresh, "files:read files:write")).await, "invalid_scope");
}

#[tokio::test]
async fn rt_08_another_resource_is_refused_before_rotation() {
    let (shared, application) = application(CALLBACK).await;
    let tokens = application.tokens(&shared.home).await;
    let mut client = Client::new(&shared.home);
    let mail = format!("{}/mcp/mail", shared.home.origin());
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens.refresh),
        ("client_id", &application.client_id),
        ("resource", &mail),
    ];
    expect::refused(&client.post_form("/token", &form).await, "invalid_target");
    assert_eq!(application.refresh(&mut client, &tokens.refresh).await.status, 200);
}

#[tokio::test]
async fn rt_12_reuse_is_noticed_after_a_restart() {
    let upstream = Upstream::start();
    let gateway = Home::new("[tokens]\nrefresh_grace = \"0s\"", Some(upstream.url)).start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let first = application.tokens(&gateway.home).await;
    let second = Tokens::from(&application.refresh(&mut Client::new(&gateway.home), &first.refresh).await);
    let gateway = gateway.kill().start().await;
    let mut client = Client::new(&gateway.home);
    assert_eq!(client.call("/mcp", &second.access, "rt-12").await.status, 200, "a restart logged the user out");
    expect::refused(&application.refresh(&mut client, &first.refresh).await, "invalid_grant");
    expect::refused(&application.refresh(&mut client, &second.refresh).await, "invalid_grant");
    let reply = client.call("/mcp", &second.access, "rt-12").await;
    expect::challenged(&reply, &gateway.home.origin(), "/mcp", Some("invalid_token"));
}

#[tokio::test]
async fn rt_16_after_a_restore_every_earlier_token_is_refused_and_a_later_one_tells() {
    let upstream = Upstream::start();
    let gateway = Home::new("", Some(upstream.url)).start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let stays = application.tokens(&gateway.home).await;
    let first = application.tokens(&gateway.home).await;
    let backup = gateway.home.data().join("backup.db");
    let backup = backup.to_str().expect("a path in UTF-8");
    gateway.home.command(&["db", "backup", backup]);
    let second = Tokens::from(&application.refresh(&mut Client::new(&gateway.home), &first.refresh).await);
    let home = gateway.kill();
    home.command(&["db", "restore", backup]);
    let gateway = home.start().await;
    let mut client = Client::new(&gateway.home);
    for refresh in [&stays.refresh, &first.refresh, &second.refresh] {
        expect::refused(&application.refresh(&mut client, refresh).await, "invalid_grant");
    }
    for access in [&stays.access, &first.access, &second.access] {
        let reply = client.call("/mcp", access, "rt-16").await;
        expect::challenged(&reply, &gateway.home.origin(), "/mcp", Some("invalid_token"));
    }
    let trail = gateway.home.command_text(&["audit", "tail", "-n", "1000"]);
    assert_eq!(trail.matches("store.rollback").count(), 1, "{trail}");
    assert_eq!(trail.matches("store.restored").count(), 1, "{trail}");
    // A user who signs in again can continue.
    let anew = application.tokens(&gateway.home).await;
    assert_eq!(client.call("/mcp", &anew.access, "rt-16").await.status, 200);
}

#[tokio::test]
async fn rt_14_a_new_password_ends_what_the_old_one_began() {
    let (shared, application) = application(CALLBACK).await;
    let name = new_user(&shared.home, "rt-14");
    let tokens = tokens_of(&shared.home, &application, &name).await;
    let file = crate::login::password_file(&shared.home, "eight-lanterns-in-the-fog");
    shared.home.command(&["user", "set-password", &name, "--password-file", &file]);
    assert_dead(&application, &tokens).await;
}

#[tokio::test]
async fn rt_15_a_deleted_client_loses_its_families() {
    let (shared, application) = application(CALLBACK).await;
    let tokens = application.tokens(&shared.home).await;
    shared.home.command(&["client", "delete", &application.client_id, "--yes"]);
    let mut client = Client::new(&shared.home);
    expect::refused(&application.refresh(&mut client, &tokens.refresh).await, "invalid_client");
    within_a_second(&mut client, &tokens.access).await;
}

#[tokio::test]
async fn rt_18_tokens_of_one_kind_are_nothing_as_another() {
    let (shared, application) = application(CALLBACK).await;
    let tokens = application.tokens(&shared.home).await;
    let mut client = Client::new(&shared.home);
    expect::refused(&application.refresh(&mut client, &tokens.access).await, "invalid_grant");
    let reply = client.call("/mcp", &tokens.refresh, "rt-18").await;
    expect::challenged(&reply, &shared.home.origin(), "/mcp", Some("invalid_token"));
}

/// Logs `name` in and returns the tokens of a whole flow.
pub(crate) async fn tokens_of(home: &Home, application: &Application, name: &str) -> Tokens {
    let mut browser = Browser::new(home);
    let verifier = random();
    let page = browser.open(&application.request(&verifier, &[])).await;
    let page = browser.log_in(&page, name, PASSWORD).await;
    let answer = browser.decide(&page, "approve").await;
    let authorized = Authorized { code: parameter(&answer, "code"), verifier };
    Tokens::from(&application.redeem(&mut Client::new(home), &authorized).await)
}

/// The running server applies a change by the command line within a second.
pub(crate) async fn within_a_second(client: &mut Client, access: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
    loop {
        match client.call("/mcp", access, "revoked").await.status {
            401 => return,
            status => assert!(std::time::Instant::now() < deadline, "still {status} after a second"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn assert_dead(application: &Application, tokens: &Tokens) {
    let mut client = Client::new(&gateway().await.home);
    expect::refused(&application.refresh(&mut client, &tokens.refresh).await, "invalid_grant");
    within_a_second(&mut client, &tokens.access).await;
}
