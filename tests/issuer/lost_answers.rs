//! Lost answers to a refresh: retries that get the same successor, and retries that are refused. A failure means
//! that a bad network signs users out, or that a stolen refresh token goes unnoticed.

use mcpgate::oauth::{Client, FirstUse, Lifetime, TenantId};
use mcpgate::store::AuditEvent;
use mcpgate::token_cache::Lookup;

use super::driver::*;

/// Longer than the grace.
pub(crate) const GRACE_IS_OVER: u64 = 31;

async fn signed_in() -> (World, Client, Tokens) {
    signed_in_with(|_| {}).await
}

async fn signed_in_with(change: impl FnOnce(&mut mcpgate::config::Config)) -> (World, Client, Tokens) {
    let world = World::with(change).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    (world, client, tokens)
}

pub(crate) async fn stands(world: &World, tokens: &Tokens) -> bool {
    let grant = world.inner().find_grant(&TenantId::default(), tokens.grant).await.unwrap().unwrap();
    grant.revoked_at.is_none()
}

#[tokio::test]
async fn after_hours_a_lost_answer_is_given_again_and_its_access_token_is_void() {
    let (world, client, first) = signed_in_with(|c| c.tokens.access = Lifetime::from_secs(86_400)).await;
    let lost = world.refresh(&client.id, &first.refresh).await.unwrap();
    world.pass(20 * 3600);
    let again = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert_eq!((&again.refresh, again.generation), (&lost.refresh, 1));
    assert!(world.is_live(&again.access).await && world.is_live(&first.access).await);
    assert!(stands(&world, &first).await);
    // Anyone who presents the lost token is a thief.
    assert!(!world.is_live(&lost.access).await);
    world.issuer.report_uses().await.unwrap();
    assert!(!stands(&world, &first).await && !world.is_live(&again.access).await);
    assert_eq!(refused(world.refresh(&client.id, &again.refresh).await), "invalid_grant");
    assert_eq!(world.count(AuditEvent::RefreshReused).await, 1);
}

#[tokio::test]
async fn an_access_token_that_was_used_once_makes_the_retry_reuse() {
    let (world, client, first) = signed_in().await;
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert!(world.is_live(&second.access).await);
    world.pass(GRACE_IS_OVER);
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
    assert!(!stands(&world, &first).await);
}

#[tokio::test]
async fn a_token_presented_at_its_end_counts_as_used() {
    let (world, client, first) = signed_in().await;
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    world.pass(second.expires_in);
    let hash = mcpgate::oauth::TokenHash::of(second.access.as_bytes());
    assert!(matches!(world.cache.lookup(&hash, world.now()), Lookup::Expired));
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
    assert!(!stands(&world, &first).await);
}

#[tokio::test]
async fn a_day_after_the_rotation_it_is_reuse() {
    for (hours, answered) in [(24, true), (25, false)] {
        let (world, client, first) = signed_in().await;
        world.refresh(&client.id, &first.refresh).await.unwrap();
        world.pass(hours * 3600);
        let retried = world.refresh(&client.id, &first.refresh).await;
        assert_eq!((retried.is_ok(), stands(&world, &first).await), (answered, answered), "after {hours} hours");
    }
}

#[tokio::test]
async fn rt_12_the_mark_outlives_the_process() {
    for (is_used, answered) in [(false, true), (true, false)] {
        let (world, client, first) = signed_in().await;
        let second = world.refresh(&client.id, &first.refresh).await.unwrap();
        if is_used {
            assert!(world.is_live(&second.access).await);
        }
        world.issuer.report_uses().await.unwrap();
        let world = world.next_process().await;
        world.pass(GRACE_IS_OVER);
        let retried = world.refresh(&client.id, &first.refresh).await;
        assert_eq!((retried.is_ok(), stands(&world, &first).await), (answered, answered), "used: {is_used}");
    }
}

#[tokio::test]
async fn rt_12_the_next_process_marks_what_the_one_before_issued() {
    let (world, client, first) = signed_in().await;
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    world.issuer.report_uses().await.unwrap();
    let world = world.next_process().await;
    // The cache, filled at the start, knows the token; the report goes to the store.
    assert!(world.is_live(&second.access).await);
    world.issuer.report_uses().await.unwrap();
    world.pass(GRACE_IS_OVER);
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
}

#[tokio::test]
async fn rt_12_a_process_that_was_killed_leaves_a_doubt_and_the_family_stands() {
    let (world, client, first) = signed_in().await;
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert!(world.is_live(&second.access).await);
    let world = world.next_process().await;
    world.pass(GRACE_IS_OVER);
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
    assert_eq!(world.audit().await.last().unwrap().reason.as_deref(), Some("in_doubt"));
    assert!(stands(&world, &first).await && world.is_live(&second.access).await);
    assert_eq!(world.refresh(&client.id, &second.refresh).await.unwrap().generation, 2);
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_kept_and_nobody_is_judged_without_it() {
    let (world, client, first) = signed_in().await;
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    world.issuer.report_uses().await.unwrap();
    assert!(world.is_live(&second.access).await);
    world.pass(GRACE_IS_OVER);
    // Store calls: client, grant, account, then the report.
    world.store.fail_at(3, super::failing_store::FaultPoint::Before);
    let outcome = world.refresh(&client.id, &first.refresh).await;
    assert!(matches!(outcome, Err(mcpgate::issuer::TokenRejection::Unavailable)), "{outcome:?}");
    assert!(world.store.mend() && stands(&world, &first).await);
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
    assert!(!stands(&world, &first).await);
}

#[tokio::test]
async fn the_task_writes_a_use_and_the_lack_of_one_within_a_second() {
    let (world, client, first) = signed_in().await;
    let issuer = world.issuer.clone();
    let task = tokio::spawn(async move { issuer.report_uses_forever().await });
    let is_marked = async |mark| {
        // Counts steps of this runtime, not time: a busy machine delays the task, too.
        for _ in 0..100 {
            if world.inner().find_grant(&TenantId::default(), first.grant).await.unwrap().unwrap().first_use == mark {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{mark:?} is not written after a second");
    };
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    is_marked(FirstUse::Unknown).await;
    is_marked(FirstUse::Unused).await;
    assert!(world.is_live(&second.access).await);
    is_marked(FirstUse::Used).await;
    task.abort();
}

#[tokio::test]
async fn a_client_that_hangs_up_has_lost_the_answer_and_gets_it_again() {
    let (world, client, first) = signed_in().await;
    {
        let refreshing = std::pin::pin!(world.refresh(&client.id, &first.refresh));
        assert!(futures_util::poll!(refreshing).is_pending(), "the rotation has a task of its own");
    }
    let rotated = async || {
        let grant = world.inner().find_grant(&TenantId::default(), first.grant).await.unwrap().unwrap();
        grant.generation == 1
    };
    while !rotated().await {
        tokio::task::yield_now().await;
    }
    world.pass(GRACE_IS_OVER);
    assert_eq!(world.refresh(&client.id, &first.refresh).await.unwrap().generation, 1);
}
