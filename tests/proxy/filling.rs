//! A server that has just started: it is still reading the tokens of its store into memory.

use std::time::{Duration, Instant};

use mcpgate::oauth::Lifetime;
use mcpgate::store::AuditEvent;

use super::client::RawRequest;
use super::failing_store::State;
use super::upstream::soon;
use super::world::{MCP, Made, PING, World};

impl World {
    async fn status(&self, made: &Made) -> u16 {
        self.ask(&RawRequest::post(PING).bearer(&made.text)).await.status
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        soon(async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Starts to fill memory. The store has read the first page and withholds it until `State::Open`.
    async fn begin_to_fill(&self) {
        self.store.set(State::Slow);
        self.cache.begin().await.unwrap();
        let cache = self.cache.clone();
        tokio::spawn(async move { cache.fill().await });
        self.until(|world| world.store.calls("live_access_tokens") > 0).await;
    }
}

#[tokio::test]
async fn tv_07_while_memory_is_filled_only_reads_for_tokens_that_are_no_good_are_rationed() {
    let world = World::with(|config| config.rates.store_reads_per_second = 1).await;
    let mut good = Vec::new();
    for _ in 0..30 {
        good.push(world.stored(MCP).await);
    }
    world.begin_to_fill().await;
    let began = Instant::now();
    for made in &good {
        assert_eq!(world.status(made).await, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "one read a second would take half a minute");
    assert_eq!((world.cache.len(), world.store.calls("find_access_tokens")), (30, 30));

    // One passes at once, one within the burst that the rate allows, the others at the rate.
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(world.status(&world.make(MCP, "use")).await, 401);
    }
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
    let late = world.stored(MCP).await;
    assert_eq!(world.status(&late).await, 200);
    assert!(world.cache.is_filling() && world.cache.is_current());
    world.store.set(State::Open);
    world.until(|world| !world.cache.is_filling()).await;

    // From then on, valid tokens that are not in memory are rare, and their reads are limited like those of invalid
    // ones.
    let began = Instant::now();
    for _ in 0..4 {
        let made = world.stored(MCP).await;
        assert_eq!(world.status(&made).await, 200);
    }
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn tv_24_what_is_revoked_while_its_page_is_read_does_not_come_back() {
    for by_this_process in [true, false] {
        let world = World::new().await;
        let (gone, good) = (world.stored(MCP).await, world.stored(MCP).await);
        world.begin_to_fill().await;
        world.follow();
        let generation = world.cache.generation();
        let audit = world.audit(AuditEvent::GrantRevoked);
        world.store.inner.revoke_grant(gone.record.grant, audit).await.unwrap();
        if by_this_process {
            world.cache.forget_grant(&gone.record.tenant, gone.record.grant);
        }
        world.until(|world| world.cache.generation() != generation).await;
        world.store.set(State::Open);
        world.until(|world| !world.cache.is_filling()).await;
        assert!(!world.is_hit(&gone.record.hash), "its page was read before");
        assert!(world.is_hit(&good.record.hash), "the page was read again");
        assert_eq!((world.status(&gone).await, world.status(&good).await), (401, 200));
    }
}

#[tokio::test]
async fn what_is_in_memory_keeps_its_marks_when_memory_is_filled() {
    let world = World::new().await;
    let (unseen, seen) = (world.stored(MCP).await, world.stored(MCP).await);
    for made in [&unseen, &seen] {
        world.cache.insert(&made.record);
    }
    assert_eq!(world.status(&seen).await, 200);
    world.fill().await;
    let marks = [&unseen, &seen].map(|made| world.cache.was_presented(&made.record.hash));
    assert_eq!(marks, [Some(false), Some(true)]);
}

#[tokio::test]
async fn a_store_that_cannot_be_read_for_a_while_only_delays_the_filling() {
    let world = World::with(|config| config.max_stale = Lifetime::from_secs(60)).await;
    let made = world.stored(MCP).await;
    world.cache.begin().await.unwrap();
    world.store.set(State::Down);
    let cache = world.cache.clone();
    tokio::spawn(async move { cache.fill().await });
    world.until(|world| world.store.calls("live_access_tokens") > 0).await;
    assert_eq!(world.status(&made).await, 503);
    world.store.set(State::Open);
    world.until(|world| !world.cache.is_filling()).await;
    assert!(world.is_hit(&made.record.hash));
}
