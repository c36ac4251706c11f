//! The token cache by itself: races with revocation, single flight, staleness, the change log, its limit.

use std::time::Duration;

use mcpgate::clock::Clock;
use mcpgate::oauth::{AccessTokenRecord, AccountId, GrantId, Lifetime, Subject, TenantId, TokenHash, TokenKeys};
use mcpgate::store::AuditEvent;
use mcpgate::token_cache::{Load, Lookup};

use super::failing_store::State;
use super::upstream::soon;
use super::world::{MCP, World};

impl World {
    pub(crate) fn is_hit(&self, hash: &TokenHash) -> bool {
        matches!(self.cache.lookup(hash, self.clock.now()), Lookup::Hit(..))
    }
    async fn load(&self, made: &super::world::Made) -> Load {
        self.cache
            .load(&TenantId::default(), made.text.as_bytes(), made.record.hash, std::net::Ipv4Addr::LOCALHOST.into())
            .await
    }
}

#[tokio::test]
async fn what_is_in_the_store_is_in_memory_after_the_start() {
    let world = World::new().await;
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(world.stored(MCP).await);
    }
    world.fill().await;
    assert_eq!(world.cache.len(), 20);
    assert!(all.iter().all(|made| world.is_hit(&made.record.hash)));
    assert_eq!(world.store.calls("find_access_tokens"), 0);
}

#[tokio::test]
async fn the_first_use_of_a_token_is_noted_once_from_memory_or_from_the_store() {
    let world = World::new().await;
    let noted = || world.cache.take_uses(false, world.clock.now()).presented;
    let fresh =
        |made: &super::world::Made| AccessTokenRecord { generation: 1, reports_use: true, ..made.record.clone() };
    let (known, other, unknown) = (world.token(MCP), world.token(MCP), world.stored(MCP).await);
    world.cache.insert(&fresh(&known));
    for _ in 0..3 {
        assert!(world.is_hit(&known.record.hash) && world.is_hit(&other.record.hash));
        assert!(matches!(world.load(&unknown).await, Load::Active(..)));
    }
    assert_eq!(
        noted(),
        [(TenantId::default(), known.record.hash)],
        "reported once, and not for tokens whose use is not reported"
    );
    // A token whose family has ended reports nothing any more.
    world.cache.insert(&fresh(&other));
    world.cache.forget_grant(&TenantId::default(), other.record.grant);
    assert!(!world.is_hit(&other.record.hash) && noted().is_empty());
}

#[tokio::test]
async fn a_report_that_could_not_be_written_is_taken_again() {
    let world = World::new().await;
    let family = (TenantId::default(), GrantId([3; 16]));
    let made = world.token(MCP);
    world.cache.insert(&AccessTokenRecord { generation: 1, reports_use: true, ..made.record.clone() });
    assert!(world.is_hit(&made.record.hash));
    world.cache.note_issued(&family.0, family.1, 1);
    let taken = world.cache.take_uses(true, world.clock.now());
    assert_eq!((taken.presented.len(), taken.issued.len()), (1, 1));
    // The family was rotated again in the meantime, so what is known about the earlier generation is dropped.
    world.cache.note_issued(&family.0, family.1, 2);
    world.cache.put_back_uses(taken);
    let taken = world.cache.take_uses(true, world.clock.now());
    assert_eq!((taken.presented.len(), taken.issued), (1, vec![(family.0, family.1, 2)]));
    assert!(world.cache.take_uses(true, world.clock.now()).presented.is_empty());
}

#[tokio::test]
async fn tv_22_all_of_the_hash_is_compared() {
    let world = World::new().await;
    let made = world.token(MCP);
    let mut twin = *made.record.hash.as_bytes();
    twin[31] ^= 1;
    let twin = TokenHash::from_stored(twin);
    assert!(world.is_hit(&made.record.hash) && !world.is_hit(&twin));
}

#[tokio::test]
async fn one_read_serves_all_that_wait_for_the_same_token() {
    let world = World::new().await;
    let made = world.stored(MCP).await;
    world.store.set(State::Held);
    let loads = futures_util::future::join_all((0..100).map(|_| world.load(&made)));
    let open = async {
        tokio::task::yield_now().await;
        world.store.set(State::Open);
    };
    let (answers, ()) = tokio::join!(loads, open);
    assert!(answers.iter().all(|a| matches!(a, Load::Active(..))));
    assert_eq!(world.store.calls("find_access_tokens"), 1);
}

#[tokio::test]
async fn a_leader_that_gives_up_is_followed_by_another() {
    let world = World::new().await;
    let made = world.stored(MCP).await;
    world.store.set(State::Held);
    let leader = tokio::time::timeout(Duration::from_millis(20), world.load(&made));
    let follower = async {
        tokio::task::yield_now().await;
        world.load(&made).await
    };
    let open = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        world.store.set(State::Open);
    };
    let (led, followed, ()) = tokio::join!(leader, follower, open);
    assert!(led.is_err() && matches!(followed, Load::Active(..)));
    assert_eq!(world.store.calls("find_access_tokens"), 2);
}

#[tokio::test]
async fn tv_24_a_revocation_between_read_and_insertion_wins() {
    let world = World::new().await;
    let made = world.stored(MCP).await;
    let (tenant, grant) = (made.record.tenant.clone(), made.record.grant);
    world.store.set(State::Held);
    let revoke = async {
        tokio::task::yield_now().await;
        // The token has been read; now it is revoked, in the store and in memory.
        let audit = world.audit(AuditEvent::GrantRevoked);
        world.store.inner.revoke_grant(grant, audit).await.unwrap();
        world.cache.forget_grant(&tenant, grant);
        world.store.set(State::Open);
    };
    let (answer, ()) = tokio::join!(world.load(&made), revoke);
    assert!(matches!(answer, Load::Inactive), "{answer:?}");
    assert!(!world.is_hit(&made.record.hash));
}

#[tokio::test]
async fn tv_24_an_unrelated_revocation_costs_a_second_read_only() {
    let world = World::new().await;
    let (made, other) = (world.stored(MCP).await, world.stored(MCP).await);
    world.store.set(State::Held);
    let revoke = async {
        tokio::task::yield_now().await;
        world.cache.forget_grant(&other.record.tenant, other.record.grant);
        world.store.set(State::Open);
    };
    let (answer, ()) = tokio::join!(world.load(&made), revoke);
    assert!(matches!(answer, Load::Active(..)));
    assert!(world.is_hit(&made.record.hash));
    assert_eq!(world.store.calls("find_access_tokens"), 2);
}

#[tokio::test]
async fn tv_24_issuance_that_is_overtaken_by_a_revocation_leaves_nothing() {
    let world = World::new().await;
    let (of_grant, of_token, of_client, of_subject) =
        (world.make(MCP, "a"), world.make(MCP, "a"), world.make(MCP, "a"), world.make_for(MCP, "a", "bob"));
    let tenant = of_grant.record.tenant.clone();
    world.cache.forget_grant(&tenant, of_grant.record.grant);
    world.cache.forget_token(&of_token.record.hash);
    world.cache.forget_subject(&tenant, of_subject.record.subject.id());
    for made in [&of_grant, &of_token, &of_subject] {
        world.cache.insert(&made.record);
        assert!(!world.is_hit(&made.record.hash));
    }
    world.cache.forget_client(&tenant, &of_client.record.client);
    world.cache.insert(&of_client.record);
    assert!(!world.is_hit(&of_client.record.hash));
    world.clock.advance(Lifetime::from_millis(1));
    assert!(world.is_hit(&world.token(MCP).record.hash), "a token issued after it is enabled again is valid");
}

#[tokio::test]
async fn a_token_of_a_service_is_kept_and_forgotten_as_one_of_a_person() {
    let world = World::new().await;
    let made = |n: &str, subject: fn(AccountId) -> Subject| {
        let mut made = world.make(MCP, "use");
        made.record.subject = subject(AccountId::parse(n).unwrap());
        world.cache.insert(&made.record);
        made
    };
    let (service, other) = (made("robot", Subject::Service), made("ada", Subject::Person));
    let Lookup::Hit(token, ..) = world.cache.lookup(&service.record.hash, world.clock.now()) else { panic!("no hit") };
    assert_eq!(*token.subject(), service.record.subject);
    world.cache.forget_subject(&service.record.tenant, service.record.subject.id());
    assert!(!world.is_hit(&service.record.hash) && world.is_hit(&other.record.hash));
    world.cache.insert(&service.record);
    assert!(!world.is_hit(&service.record.hash), "it was issued before that");
}

#[tokio::test]
async fn each_way_of_forgetting_spares_the_others() {
    let world = World::new().await;
    let (a, b) = (world.token(MCP), world.make_for(MCP, "use", "bob"));
    world.cache.insert(&b.record);
    world.cache.forget_subject(&b.record.tenant, b.record.subject.id());
    assert!(world.is_hit(&a.record.hash) && !world.is_hit(&b.record.hash));
    let c = world.token(MCP);
    world.cache.forget_grant(&a.record.tenant, a.record.grant);
    assert!(!world.is_hit(&a.record.hash) && world.is_hit(&c.record.hash));
    world.cache.forget_client(&c.record.tenant, &c.record.client);
    assert!(!world.is_hit(&c.record.hash));
}

#[tokio::test]
async fn a_cache_that_nobody_keeps_current_stops_vouching_and_begins_again() {
    let world = World::with(|config| config.max_stale = Lifetime::from_millis(300)).await;
    let made = world.stored(MCP).await;
    world.fill().await;
    world.follow();
    let state_is = async |wanted: bool| {
        soon(async {
            while world.is_hit(&made.record.hash) != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    };
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(world.is_hit(&made.record.hash), "the change log is followed");
    for state in [State::Down, State::Held] {
        world.store.set(state);
        state_is(false).await;
        assert!(matches!(world.cache.lookup(&made.record.hash, world.clock.now()), Lookup::Stale));
        world.store.set(State::Open);
        state_is(true).await;
    }
}

#[tokio::test]
async fn what_was_swept_before_the_follower_read_it_is_not_missed() {
    for another_follows in [false, true] {
        swept_before_it_was_read(another_follows).await;
    }
}

async fn swept_before_it_was_read(another_follows: bool) {
    let world = World::new().await;
    let gone = world.stored(MCP).await;
    world.fill().await;
    // The follower will never read these entries: the log is swept after a day.
    for made in [&world.stored(MCP).await, &gone] {
        let audit = world.audit(AuditEvent::GrantRevoked);
        world.store.inner.revoke_grant(made.record.grant, audit).await.unwrap();
    }
    world.clock.advance(Lifetime::from_secs(3000));
    world
        .store
        .inner
        .sweep(world.clock.now().plus(Lifetime::from_secs(30 * 3600)), Lifetime::from_secs(1 << 30))
        .await
        .unwrap();
    // Either a later entry shows the gap, or nothing is left in the log.
    if another_follows {
        let third = world.stored(MCP).await;
        let audit = world.audit(AuditEvent::GrantRevoked);
        world.store.inner.revoke_grant(third.record.grant, audit).await.unwrap();
    }
    assert!(world.is_hit(&gone.record.hash), "the change log has not been read yet");
    world.follow();
    soon(async {
        while world.is_hit(&gone.record.hash) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_damaged_change_log_fills_the_cache_anew() {
    let world = World::with(|config| config.max_stale = Lifetime::from_millis(300)).await;
    let (good, gone) = (world.stored(MCP).await, world.stored(MCP).await);
    world.fill().await;
    let audit = world.audit(AuditEvent::GrantRevoked);
    world.store.inner.revoke_grant(gone.record.grant, audit).await.unwrap();
    world.store.set(State::Damaged);
    world.follow();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(world.is_hit(&good.record.hash), "one damaged row is not an outage");
    assert!(!world.is_hit(&gone.record.hash), "and it hides no revocation");
}

#[tokio::test]
async fn tv_14_a_refill_forgets_no_token_that_was_presented_and_a_lost_key_does() {
    let world = World::new().await;
    let (good, gone) = (world.stored(MCP).await, world.stored(MCP).await);
    world.cache.fill().await;
    let is_forgotten = |made: &super::world::Made| world.cache.is_forgotten(&made.record.hash, world.clock.now());
    for made in [&good, &gone] {
        let (now, at) = (world.clock.now(), tokio::time::Instant::now());
        let found = world.cache.lookup_presented(made.text.as_bytes(), &made.record.hash, now, at);
        assert!(matches!(found, Lookup::Hit(..)));
    }
    let audit = world.audit(AuditEvent::GrantRevoked);
    world.store.inner.revoke_grant(gone.record.grant, audit).await.unwrap();
    world.cache.refill().await.unwrap();
    assert!(!is_forgotten(&good) && is_forgotten(&gone));
    // Put in once more, as a load does: still the same token.
    world.cache.insert(&good.record);
    assert!(!is_forgotten(&good));
    let brand = world.keys.brand().clone();
    world.cache.exchange_keys(TokenKeys::new(vec![(1, [8; 32])], brand).unwrap().into());
    assert!(is_forgotten(&good));
    world.cache.refill().await.unwrap();
    assert!(is_forgotten(&good), "a refill brings no proof back");
}

#[tokio::test]
async fn while_the_cache_is_filled_anew_what_it_has_is_served() {
    let world = World::new().await;
    let (good, gone) = (world.stored(MCP).await, world.stored(MCP).await);
    world.fill().await;
    let audit = world.audit(AuditEvent::GrantRevoked);
    world.store.inner.revoke_grant(gone.record.grant, audit).await.unwrap();
    let reads = world.store.calls("live_access_tokens");
    world.store.set(State::DamagedAndSlow);
    world.follow();
    soon(async {
        while world.store.calls("live_access_tokens") == reads {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(world.is_hit(&good.record.hash), "a refill that has read nothing yet removes nothing");
    world.store.set(State::Damaged);
    soon(async {
        while world.is_hit(&gone.record.hash) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(world.is_hit(&good.record.hash));
}

#[tokio::test]
async fn the_bound_holds_and_what_ends_soonest_makes_room() {
    let world = World::with(|config| config.limits.tokens_in_memory = 1000).await;
    let mut all = Vec::new();
    for n in 0..1000_u64 {
        let mut made = world.make(MCP, "use");
        made.record.expires_at = made.record.issued_at.plus(Lifetime::from_secs(100 + (n * 7) % 1000));
        world.cache.insert(&made.record);
        all.push(made.record);
    }
    assert_eq!(world.cache.len(), 1000);
    world.token(MCP);
    assert_eq!(world.cache.len(), 1000);
    world.cache.sweep();
    assert_eq!(world.cache.len(), 875);
    all.sort_by_key(|record| record.expires_at);
    let kept_early = all[..100].iter().filter(|r| world.is_hit(&r.hash)).count();
    assert_eq!(kept_early, 0, "the tokens that expire first are evicted");
    assert!(all[200..].iter().all(|r| world.is_hit(&r.hash)));
}

#[tokio::test]
async fn what_is_revoked_or_long_expired_leaves_memory() {
    let world = World::new().await;
    let (revoked, expired) = (world.token(MCP), world.token(MCP));
    world.clock.advance(Lifetime::from_secs(10));
    let live = world.token(MCP);
    world.cache.forget_grant(&revoked.record.tenant, revoked.record.grant);
    assert_eq!(world.cache.len(), 3);
    world.clock.advance(Lifetime::from_secs(3590));
    world.cache.sweep();
    assert_eq!(world.cache.len(), 2);
    assert!(matches!(world.cache.lookup(&expired.record.hash, world.clock.now()), Lookup::Expired));
    world.clock.advance(Lifetime::from_secs(125));
    world.cache.sweep();
    assert_eq!(world.cache.len(), 1);
    assert!(matches!(world.cache.lookup(&live.record.hash, world.clock.now()), Lookup::Expired));
    assert!(!world.is_hit(&revoked.record.hash));
}
