//! A wall clock that is set wrong: it removes nothing, revives nothing that had expired, and does not prolong what was
//! issued under it. A failure means that a clock fault ends users' sign-ins early, or prolongs them.

use mcpgate::issuer::{AuthorizeRejection, ClockWatch, View};
use mcpgate::oauth::{Client, ClientSecretHash, Digest, Lifetime, Timestamp};
use mcpgate::store::{AuditEvent, SecretRotation};

use super::driver::*;
use super::lost_answers::{GRACE_IS_OVER, stands};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

async fn signed_in() -> (World, Client, Tokens) {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    (world, client, tokens)
}

impl World {
    fn set_ahead(&self, secs: u64) {
        self.hands.set(self.now().plus(Lifetime::from_secs(secs)));
    }

    fn set_back(&self, secs: u64) {
        self.hands.set(Timestamp::from_secs(self.now().as_secs() - secs));
    }

    /// An operator accepts the time, and the clock task reads the acceptance.
    async fn accept_time(&self, at: Timestamp, watch: &mut ClockWatch) {
        let accepted = mcpgate::store::AuditRow { at, event: AuditEvent::ClockAccepted, ..self.row() };
        self.inner().accept_time(accepted).await.unwrap();
        self.issuer.sweep_once(watch).await;
        assert!(!self.clock.is_in_doubt());
    }

    /// Lets the sweep task run for a little over an hour.
    async fn an_hour_of_sweeps(&self, watch: &mut ClockWatch) {
        for _ in 0..61 {
            self.issuer.sweep_once(watch).await;
            self.pass(60);
        }
        self.issuer.sweep_once(watch).await;
    }
}

#[tokio::test]
async fn a_clock_that_was_months_ahead_for_a_while_has_ended_nothing() {
    let (world, client, first) = signed_in().await;
    let watch = &mut ClockWatch::default();
    world.issuer.sweep_once(watch).await;
    world.set_ahead(200 * DAY);
    assert!(!world.is_live(&first.access).await, "by the wrong clock it has expired");
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
    for _ in 0..59 {
        world.issuer.sweep_once(watch).await;
        world.pass(60);
    }
    world.set_back(200 * DAY);
    world.issuer.sweep_once(watch).await;
    assert!(world.is_live(&first.access).await, "the clock is right again");
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert!(world.is_live(&second.access).await && stands(&world, &second).await);
}

#[tokio::test]
async fn a_new_time_that_has_stood_for_an_hour_or_was_accepted_is_believed() {
    for is_accepted in [false, true] {
        let (world, client, first) = signed_in().await;
        let watch = &mut ClockWatch::default();
        world.set_ahead(200 * DAY);
        if is_accepted {
            world.issuer.sweep_once(watch).await;
            world.pass(60);
            let row = mcpgate::store::AuditRow { event: AuditEvent::ClockAccepted, ..world.row() };
            world.inner().accept_time(row).await.unwrap();
            world.issuer.sweep_once(watch).await;
        } else {
            world.an_hour_of_sweeps(watch).await;
        }
        assert!(!world.clock.is_in_doubt());
        assert!(
            world.inner().find_grant(&Default::default(), first.grant).await.unwrap().is_none(),
            "the sweep removed it"
        );
        assert!(world.refresh(&client.id, &first.refresh).await.is_err());
    }
}

#[tokio::test]
async fn a_time_can_be_accepted_before_anybody_has_noticed_that_it_is_new() {
    let (world, ..) = signed_in().await;
    let watch = &mut ClockWatch::default();
    world.issuer.sweep_once(watch).await;
    world.pass(20);
    let row = mcpgate::store::AuditRow { event: AuditEvent::ClockAccepted, ..world.row() };
    let earlier = Timestamp::from_secs(world.now().as_secs() - 2 * HOUR);
    world.hands.set(earlier);
    world.pass(10);
    let accepted = mcpgate::store::AuditRow { at: earlier.plus(Lifetime::from_secs(10)), ..row };
    world.inner().accept_time(accepted).await.unwrap();
    world.pass(30);
    world.issuer.sweep_once(watch).await;
    assert!(!world.clock.is_in_doubt());
    assert_eq!(world.now(), earlier.plus(Lifetime::from_secs(40)));
}

#[tokio::test]
async fn a_secret_that_was_replaced_while_the_clock_was_ahead_works_no_longer_than_the_overlap() {
    let (world, client, _) = signed_in().await;
    let watch = &mut ClockWatch::default();
    world.issuer.sweep_once(watch).await;
    let overlap = Lifetime::from_secs(DAY);
    let replace = async |name: &str, until| {
        let new = ClientSecretHash { hash: Digest::of(name.as_bytes()), created_at: START, until: None };
        world
            .inner()
            .rotate_client_secret(&client.id, SecretRotation { new, previous_until: until }, world.row())
            .await
            .unwrap();
    };
    replace("first", world.now()).await;
    world.set_ahead(200 * DAY);
    replace("second", world.now().plus(overlap)).await;
    world.pass(60);
    world.set_back(200 * DAY);
    world.issuer.sweep_once(watch).await;
    let found = world.inner().find_client(&client.tenant, &client.id).await.unwrap().unwrap();
    assert_eq!(found.secrets.len(), 2);
    assert_eq!(found.secrets[1].until, Some(world.now().plus(overlap)));
}

#[tokio::test]
async fn an_acceptance_of_before_the_clock_was_set_says_nothing() {
    let (world, ..) = signed_in().await;
    let row = mcpgate::store::AuditRow { event: AuditEvent::ClockAccepted, ..world.row() };
    world.inner().accept_time(row).await.unwrap();
    world.pass(120);
    for secs in [3 * HOUR, 200 * DAY] {
        world.set_ahead(secs);
        world.issuer.sweep_once(&mut ClockWatch::default()).await;
        assert!(world.clock.is_in_doubt());
    }
}

#[tokio::test]
async fn set_back_nothing_that_has_expired_is_good_again_in_memory_or_in_the_store() {
    let (world, client, first) = signed_in().await;
    let watch = &mut ClockWatch::default();
    world.pass(HOUR);
    assert!(!world.is_live(&first.access).await);
    world.issuer.note_time().await.unwrap();
    let half = HOUR / 2;
    world.set_back(half);
    for _ in 0..3 {
        assert!(!world.is_live(&first.access).await, "not before a restart");
        let next = world.next_process().await;
        next.issuer.sweep_once(&mut ClockWatch::default()).await;
        assert!(!next.is_live(&first.access).await, "not after a restart");
        world.an_hour_of_sweeps(watch).await;
    }
    assert!(!world.clock.is_in_doubt());
    // New tokens count from the corrected time.
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert!(world.is_live(&second.access).await);
}

#[tokio::test]
async fn set_back_by_half_an_hour_the_grace_is_no_longer_and_nobody_is_judged_for_good() {
    let (world, client, first) = signed_in().await;
    let watch = &mut ClockWatch::default();
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert!(world.is_live(&second.access).await);
    world.set_back(HOUR / 2);
    world.pass(GRACE_IS_OVER);
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
    assert!(stands(&world, &second).await, "the clock is in doubt: this may be a late retry or reuse");
    // Once the clock is right again, the retry is judged.
    world.hands.set(Timestamp::from_secs(world.now().as_secs()));
    world.issuer.sweep_once(watch).await;
    assert!(!world.clock.is_in_doubt());
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
    assert!(!stands(&world, &second).await, "the retry was reuse");
}

#[tokio::test]
async fn ahead_by_minutes_no_retry_is_taken_for_reuse() {
    let (world, client, first) = signed_in().await;
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert!(world.is_live(&second.access).await);
    world.pass(5);
    world.set_ahead(300);
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
    assert!(stands(&world, &second).await);
    world.set_back(300);
    // Five seconds after the rotation, within the grace: a process of the client that was late.
    let again = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert_eq!(again.refresh, second.refresh);
}

#[tokio::test]
async fn what_was_issued_while_the_clock_was_ahead_does_not_outlive_its_time() {
    for is_killed in [false, true] {
        let (mut world, client, first) = signed_in().await;
        let watch = &mut ClockWatch::default();
        world.issuer.sweep_once(watch).await;
        world.set_ahead(20 * DAY);
        let second = world.refresh(&client.id, &first.refresh).await.unwrap();
        let other = world.sign_in(&client.id, &[], "ada").await;
        assert!(world.is_live(&second.access).await && world.is_live(&other.access).await);
        world.pass(60);
        world.set_back(20 * DAY);
        if is_killed {
            world = world.next_process().await;
            *watch = ClockWatch::default();
        }
        world.issuer.sweep_once(watch).await;
        world.cache.refill().await.unwrap();
        assert!(!world.is_live(&second.access).await && !world.is_live(&other.access).await);
        for (tokens, began) in [(second, 60), (other, 0)] {
            let grant = world.inner().find_grant(&Default::default(), tokens.grant).await.unwrap().unwrap();
            assert!(grant.expires_at <= world.now().plus(Lifetime::from_secs(90 * DAY)), "{began}");
            assert!(grant.idle_until <= world.now().plus(Lifetime::from_secs(30 * DAY)));
            // No user has to sign in again.
            assert!(world.refresh(&client.id, &tokens.refresh).await.is_ok());
        }
    }
}

#[tokio::test]
async fn az_29_a_sign_in_that_was_too_old_is_not_young_again_when_the_clock_is_set_back() {
    let (world, client, _) = signed_in().await;
    let watch = &mut ClockWatch::default();
    world.issuer.sweep_once(watch).await;
    let old = world.browser(&client.id, &[]).await;
    world.pass(HOUR / 3);
    let refused = world.request(&caller(1)).view(&old).await;
    assert!(matches!(refused, Err(AuthorizeRejection::Expired { .. })), "{refused:?}");
    let back = Timestamp::from_secs(world.now().as_secs() - HOUR / 4);
    world.hands.set(back);
    let refused = world.request(&caller(1)).view(&old).await;
    assert!(matches!(refused, Err(AuthorizeRejection::Expired { .. })), "{refused:?}");
    world.accept_time(back, watch).await;
    assert_eq!(world.now(), back);
    let refused = world.request(&caller(1)).view(&old).await;
    assert!(matches!(refused, Err(AuthorizeRejection::Gone)), "{refused:?}");
}

#[tokio::test]
async fn az_29_a_sign_in_that_looked_too_old_to_a_clock_that_was_ahead_goes_on_when_it_is_right() {
    let (world, client, _) = signed_in().await;
    let watch = &mut ClockWatch::default();
    world.issuer.sweep_once(watch).await;
    let browser = world.browser(&client.id, &[]).await;
    for (ahead, gone) in [(HOUR / 2, false), (2 * HOUR, true)] {
        world.set_ahead(ahead);
        world.issuer.sweep_once(watch).await;
        let refused = world.request(&caller(1)).view(&browser).await;
        assert_eq!(matches!(refused, Err(AuthorizeRejection::Gone)), gone, "{refused:?}");
        assert!(refused.is_err(), "{refused:?}");
        world.set_back(ahead);
        world.issuer.sweep_once(watch).await;
        assert!(matches!(world.request(&caller(1)).view(&browser).await, Ok(View::LogIn(_))));
    }
}

#[tokio::test]
async fn li_08_a_link_that_was_made_while_the_clock_was_ahead_ends_when_it_is_right() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let watch = &mut ClockWatch::default();
    world.issuer.sweep_once(watch).await;
    world.set_ahead(DAY);
    let link = world.link(&subject, "ahead").await;
    assert!(world.request(&caller(1)).find_setup(link.reveal()).await.unwrap().is_some());
    world.pass(60);
    world.set_back(DAY);
    world.issuer.sweep_once(watch).await;
    assert_eq!(world.request(&caller(1)).find_setup(link.reveal()).await.unwrap(), None);
    let link = world.link(&subject, "in time").await;
    world.issuer.sweep_once(watch).await;
    assert!(world.request(&caller(1)).find_setup(link.reveal()).await.unwrap().is_some());
}

#[tokio::test]
async fn li_08_a_link_that_was_made_while_nobody_saw_the_clock_ahead_ends_within_the_hour() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let watch = &mut ClockWatch::default();
    world.issuer.sweep_once(watch).await;
    // A command read the clock while it was ahead; the server did not.
    let link = world.link_at(world.now().plus(Lifetime::from_secs(10 * DAY)), &subject, "ahead").await;
    world.pass(60);
    world.issuer.sweep_once(watch).await;
    assert!(world.request(&caller(1)).find_setup(link.reveal()).await.unwrap().is_some());
    world.an_hour_of_sweeps(watch).await;
    assert_eq!(world.request(&caller(1)).find_setup(link.reveal()).await.unwrap(), None);
}
