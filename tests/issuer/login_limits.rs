//! LI: limits on password attempts, and the users that they must not lock out.

use std::sync::Arc;

use mcpgate::issuer::{AuthorizeRejection, Caller, LoginOutcome, OwnPassword, PasswordChanged, SetupOutcome, Step};
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{AuditEvent, Store};

use super::driver::*;
use super::failing_store::FaultPoint;
use super::login::{attempt, wait};

#[tokio::test]
async fn delays_grow_after_five_failures_and_end_with_a_success() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    for _ in 0..5 {
        let outcome = attempt(&world, &browser, "ada", "wrong", &caller(1)).await;
        assert!(matches!(outcome, LoginOutcome::Refused), "{outcome:?}");
    }
    for expected in [1, 2, 4, 8, 16, 30, 30] {
        // Even the right password has to wait; waiting for less than the stated time does not help.
        let outcome = attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
        assert_eq!(wait(&outcome), Some(expected));
        world.pass(expected - 1);
        assert_eq!(wait(&attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await), Some(1));
        world.pass(1);
        let outcome = attempt(&world, &browser, "ada", "wrong", &caller(1)).await;
        assert!(matches!(outcome, LoginOutcome::Refused), "{outcome:?}");
    }
    // Another network is counted separately; a successful login clears the owner's own count.
    let outcome = attempt(&world, &browser, "ada", "wrong", &caller(2)).await;
    assert!(matches!(outcome, LoginOutcome::Refused), "{outcome:?}");
    world.pass(30);
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
    let second = world.browser(&client.id, &[]).await;
    let outcome = attempt(&world, &second, "ada", "wrong", &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::Refused), "{outcome:?}");
    assert!(world.count(AuditEvent::LoginThrottled).await >= 14);
}

#[tokio::test]
async fn a_hundred_attempts_at_once_are_five_attempts() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    let attempts = (0..100).map(|_| async { world.request(&ONE).log_in(&browser, "ada", "wrong").await });
    let outcomes = futures_util::future::join_all(attempts).await;
    let heard = outcomes.iter().filter(|o| matches!(o, Ok(LoginOutcome::Refused))).count();
    assert_eq!(heard, 5);
}

static ONE: Caller = Caller::new(None, None);

#[tokio::test]
async fn li_02_a_hundred_failures_pause_the_account_for_a_quarter_of_an_hour_and_never_for_good() {
    for name in ["ada", "nobody"] {
        let world = World::new().await;
        world.account("ada").await;
        let client = world.public_client(CALLBACK).await;
        let browser = world.browser(&client.id, &[]).await;
        for n in 0..100 {
            world.pass(1);
            let outcome = attempt(&world, &browser, name, "wrong", &caller(100 + n)).await;
            assert!(matches!(outcome, LoginOutcome::Refused), "{n}: {outcome:?}");
        }
        let outcome = attempt(&world, &browser, name, PASSWORD, &caller(199)).await;
        assert_eq!(wait(&outcome), Some(900), "{name}: {outcome:?}");
        world.pass(60);
        // Each network gets one attempt per pause, at most twenty networks.
        for n in 0..20 {
            let outcome = attempt(&world, &browser, name, "wrong", &caller(200 + n)).await;
            assert!(matches!(outcome, LoginOutcome::Refused), "{n}: {outcome:?}");
            assert_eq!(wait(&attempt(&world, &browser, name, PASSWORD, &caller(200 + n)).await), Some(900));
        }
        assert_eq!(wait(&attempt(&world, &browser, name, PASSWORD, &caller(5)).await), Some(900));
        world.pass(900);
        let browser = world.browser(&client.id, &[]).await;
        // Earlier attempts by strangers do not use up the owner's; a successful login ends the pause.
        for n in 0..19 {
            attempt(&world, &browser, name, "wrong", &caller(200 + n)).await;
        }
        let outcome = attempt(&world, &browser, name, PASSWORD, &caller(5)).await;
        assert_eq!(matches!(outcome, LoginOutcome::LoggedIn { .. }), name == "ada", "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn li_02_strangers_do_not_lock_an_owner_out_of_the_network_he_uses() {
    let world = World::with(|config| config.rates.login_pause_failures = 3).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
    for stranger in 2..5 {
        attempt(&world, &browser, "ada", "wrong", &caller(stranger)).await;
    }
    for stranger in 100..120 {
        attempt(&world, &browser, "ada", "wrong", &caller(stranger)).await;
    }
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &caller(9)).await;
    assert!(wait(&outcome).is_some(), "the name is paused: {outcome:?}");
    let browser = world.browser(&client.id, &[]).await;
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
}

#[tokio::test]
async fn li_02_the_network_an_owner_uses_is_known_after_a_restart_until_somebody_guesses_there() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let start = || World::over(Arc::clone(&store), |config| config.rates.login_pause_failures = 3);
    let world = start().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;

    let world = start().await;
    let browser = world.browser(&client.id, &[]).await;
    for stranger in 2..6 {
        attempt(&world, &browser, "ada", "wrong", &caller(stranger)).await;
    }
    assert!(wait(&attempt(&world, &browser, "ada", PASSWORD, &caller(5)).await).is_some(), "the name is paused");
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");

    // After three wrong passwords from each of eight addresses the network is not familiar, also after a restart.
    for address in [1, 2, 3, 4, 5, 6, 7, 8] {
        for _ in 0..3 {
            attempt(&world, &browser, "ada", "wrong", &neighbour(1, address)).await;
        }
    }
    let world = start().await;
    let browser = world.browser(&client.id, &[]).await;
    attempt(&world, &browser, "ada", "wrong", &caller(1)).await;
    assert!(wait(&attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await).is_some());
}

#[tokio::test]
async fn li_04_a_paused_name_costs_the_same_reads_whether_somebody_has_it_or_not() {
    let world = World::with(|config| config.rates.login_pause_failures = 3).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    for name in ["ada", "nobody"] {
        for stranger in 2..6 {
            attempt(&world, &browser, name, "wrong", &caller(stranger)).await;
        }
        // Calls: transaction, client, record of the name; then the audit row, whose failure does not change the answer.
        world.store.fail_at(2, FaultPoint::Before);
        let outcome = world.request(&caller(5)).log_in(&browser, name, PASSWORD).await;
        assert!(matches!(outcome, Err(AuthorizeRejection::Unavailable)), "{name}: {outcome:?}");
        assert!(world.store.mend(), "{name}");
    }
}

#[tokio::test]
async fn li_04_failures_are_counted_alike_for_names_that_exist_and_that_do_not_across_restarts() {
    let world = World::with(|config| config.rates.login_pause_failures = 10).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    for n in 0..10 {
        for name in ["ada", "nobody"] {
            let outcome = attempt(&world, &browser, name, "wrong", &caller(100 + n)).await;
            assert!(matches!(outcome, LoginOutcome::Refused), "{name} {n}: {outcome:?}");
        }
    }
    for hours in [0, 1, 22] {
        let restarted = world.next_process().await;
        restarted.pass(hours * 3600);
        restarted.draw(100 * (hours + 1));
        for name in ["ada", "nobody"] {
            let browser = restarted.browser(&client.id, &[]).await;
            // The pause is kept in memory: after a restart the network gets one attempt, then the pause begins again.
            let outcome = attempt(&restarted, &browser, name, "wrong", &caller(2)).await;
            assert!(matches!(outcome, LoginOutcome::Refused), "{name} after {hours} hours: {outcome:?}");
            let outcome = attempt(&restarted, &browser, name, PASSWORD, &caller(2)).await;
            assert_eq!(wait(&outcome), Some(900), "{name} after {hours} hours: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn li_02_a_new_password_ends_the_pause() {
    let world = World::with(|config| config.rates.login_pause_failures = 10).await;
    let subject = world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    for n in 0..30 {
        attempt(&world, &browser, "ada", "wrong", &caller(100 + n)).await;
    }
    assert!(wait(&attempt(&world, &browser, "ada", PASSWORD, &caller(4)).await).is_some());
    // The holder of an operator's link need not guess.
    let link = world.link(&subject, "pause").await;
    world.request(&caller(1)).redeem_setup(link.reveal(), "another-teapot-42", None).await.unwrap();
    let outcome = attempt(&world, &browser, "ada", "another-teapot-42", &caller(4)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
}

/// A caller at this address in the network of `caller(n)`.
fn neighbour(n: u8, last: u8) -> Caller {
    Caller::new(Some([198, 51, n, last].into()), None)
}

#[tokio::test]
async fn li_03_a_neighbours_wrong_passwords_do_not_lock_a_familiar_network_out() {
    let world = World::new().await;
    for name in ["ada", "bob"] {
        world.account(name).await;
    }
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
    for n in 0..100 {
        world.pass(1);
        let outcome = attempt(&world, &browser, &format!("made-up-{n}"), "wrong", &neighbour(1, 200)).await;
        assert!(matches!(outcome, LoginOutcome::Refused), "{n}: {outcome:?}");
    }
    let outcome = attempt(&world, &browser, "bob", PASSWORD, &caller(1)).await;
    assert!(wait(&outcome).is_some(), "this network is new for bob: {outcome:?}");
    for last in [7, 8] {
        let browser = world.browser(&client.id, &[]).await;
        let outcome = attempt(&world, &browser, "ada", PASSWORD, &neighbour(1, last)).await;
        assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{last}: {outcome:?}");
    }
}

#[tokio::test]
async fn li_03_who_has_set_a_password_is_no_stranger_where_they_did_so() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let link = world.link(&subject, "from here").await;
    let set = world.request(&neighbour(1, 7)).redeem_setup(link.reveal(), "another-teapot-42", None).await.unwrap();
    let SetupOutcome::Done(Some(session)) = set else { panic!("{set:?}") };
    let wish = OwnPassword { present: "another-teapot-42", new: "one-teapot-more-43", end_grants: false };
    let changed = world.request(&neighbour(2, 7)).change_own_password(session.reveal(), &wish).await.unwrap();
    assert!(matches!(changed, PasswordChanged::Done(_)), "{changed:?}");
    for network in [1, 2, 3] {
        let browser = world.browser(&client.id, &[]).await;
        for n in 0..100 {
            world.pass(1);
            attempt(&world, &browser, &format!("made-up-{n}"), "wrong", &neighbour(network, 200)).await;
        }
        let outcome = attempt(&world, &browser, "ada", "one-teapot-more-43", &neighbour(network, 8)).await;
        let is_familiar = matches!(outcome, LoginOutcome::LoggedIn { .. });
        assert_eq!(is_familiar, network < 3, "{network}: {outcome:?}");
    }
}

#[tokio::test]
async fn li_02_a_neighbour_who_guesses_an_owners_password_does_not_lock_out_the_familiar_network() {
    let world = World::with(|config| config.rates.login_pause_failures = 10).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let first = world.browser(&client.id, &[]).await;
    let outcome = attempt(&world, &first, "ada", PASSWORD, &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
    let guesser = neighbour(1, 200);
    for _ in 0..30 {
        let browser = world.browser(&client.id, &[]).await;
        attempt(&world, &browser, "ada", "wrong", &guesser).await;
        world.pass(30);
    }
    let browser = world.browser(&client.id, &[]).await;
    attempt(&world, &browser, "ada", "wrong", &guesser).await;
    world.pass(30);
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &guesser).await;
    assert!(wait(&outcome).is_some_and(|wait| wait > 30), "the guesser's address is no longer familiar: {outcome:?}");
    // Neither the owner's address nor the rest of the network has to wait.
    for owner in [caller(1), neighbour(1, 201)] {
        let browser = world.browser(&client.id, &[]).await;
        let outcome = attempt(&world, &browser, "ada", PASSWORD, &owner).await;
        assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn li_02_guesses_from_a_whole_familiar_network_end_too_but_for_the_owners_address() {
    let world = World::with(|config| config.rates.login_pause_failures = 10).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
    let mut compared = 0;
    for address in 100..130 {
        let browser = world.browser(&client.id, &[]).await;
        for _ in 0..10 {
            let outcome = attempt(&world, &browser, "ada", "wrong", &neighbour(1, address)).await;
            compared += u32::from(matches!(outcome, LoginOutcome::Refused));
            world.pass(30);
        }
    }
    assert!((80..100).contains(&compared), "{compared}");
    let browser = world.browser(&client.id, &[]).await;
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
}

/// A caller in one of the networks of an IPv6 site.
fn of_site(site: u16, network: u16) -> Caller {
    let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, site, network << 8, 0, 0, 0, 1);
    Caller::new(Some(address.into()), None)
}

#[tokio::test]
async fn li_03_the_networks_of_one_site_share_a_budget() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let mut heard = 0;
    for n in 0..400 {
        let browser = world.browser(&client.id, &[]).await;
        let outcome = attempt(&world, &browser, &format!("made-up-{n}"), "wrong", &of_site(1, n % 100)).await;
        heard += u32::from(matches!(outcome, LoginOutcome::Refused));
        world.pass(1);
    }
    assert_eq!(heard, 300);
    let browser = world.browser(&client.id, &[]).await;
    assert!(wait(&attempt(&world, &browser, "ada", PASSWORD, &of_site(1, 200)).await).is_some());
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &of_site(2, 0)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
}

#[tokio::test]
async fn li_03_all_strangers_together_have_a_budget_that_keeps_out_neither_newcomers_nor_those_who_are_known() {
    let world = World::new().await;
    for name in ["ada", "bob"] {
        world.account(name).await;
    }
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
    let mut heard = 0;
    for n in 0..200_u8 {
        let outcome = attempt(&world, &browser, &format!("made-up-{n}"), "wrong", &caller(10 + n % 10)).await;
        heard += u32::from(matches!(outcome, LoginOutcome::Refused));
    }
    assert_eq!(heard, 50 + 60, "five from each of ten sites, and sixty more");
    for (name, from) in [("ada", caller(1)), ("bob", caller(2))] {
        let browser = world.browser(&client.id, &[]).await;
        let outcome = attempt(&world, &browser, name, PASSWORD, &from).await;
        assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{name}: {outcome:?}");
    }
    // Any number of sites can use up the newcomers' share, but not that of known users.
    let mut heard = 0;
    for n in 0..100 {
        let outcome = attempt(&world, &browser, "made-up", "wrong", &of_site(n, 0)).await;
        heard += u32::from(matches!(outcome, LoginOutcome::Refused));
    }
    assert_eq!(heard, 60 - 50);
    let browser = world.browser(&client.id, &[]).await;
    let outcome = attempt(&world, &browser, "bob", PASSWORD, &caller(3)).await;
    assert!(wait(&outcome).is_some_and(|wait| wait <= 60), "{outcome:?}");
    let outcome = attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
    world.pass(60);
    let browser = world.browser(&client.id, &[]).await;
    let outcome = attempt(&world, &browser, "bob", PASSWORD, &caller(3)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { .. }), "{outcome:?}");
}

#[tokio::test]
async fn li_03_one_password_over_many_accounts_ends_at_the_networks_budget() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    for n in 0..100 {
        world.pass(1);
        let outcome = attempt(&world, &browser, &format!("user-{n}"), "Summer2026!!", &caller(2)).await;
        assert!(matches!(outcome, LoginOutcome::Refused), "{n}: {outcome:?}");
    }
    let outcome = attempt(&world, &browser, "user-100", "Summer2026!!", &caller(2)).await;
    assert_eq!(wait(&outcome), Some(3501), "an hour after the first: {outcome:?}");
    assert!(matches!(attempt(&world, &browser, "ada", PASSWORD, &caller(1)).await, LoginOutcome::LoggedIn { .. }));
}

#[tokio::test]
async fn successful_logins_cost_the_network_nothing() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    for _ in 0..150 {
        let mut browser = world.browser(&client.id, &[]).await;
        assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Consent));
        world.pass(1);
    }
}
