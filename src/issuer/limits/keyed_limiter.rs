//! `KeyedLimiter` (a rate) and `WindowCounter` (failures in a window): both per key, both with bounded memory.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::oauth::{Lifetime, Timestamp};
use crate::sync::lock;

/// The most keys held, about 10 MB. Further keys of a `KeyedLimiter` share one entry, so that a flood of invented keys
/// refills nobody's budget. In a `WindowCounter` they replace the keys that failed longest ago, so that nobody is
/// locked out.
const MAX_KEYS: usize = 100_000;

/// Our clock in the form that governor needs: time since the first reading, which does not go back when the wall clock
/// is set back.
#[derive(Clone)]
struct Elapsed {
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<(Timestamp, Duration)>>,
}

impl governor::clock::Clock for Elapsed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        let now = self.clock.now();
        let mut seen = lock(&self.seen);
        *seen = (now, seen.1.saturating_add(now.since(seen.0).as_duration()));
        seen.1
    }
}

type Limiter<K> = RateLimiter<Option<K>, DashMapStateStore<Option<K>>, Elapsed, NoOpMiddleware<Duration>>;

/// A token bucket per key. The quota is passed with each call, so that a reloaded configuration takes effect at once.
pub(in crate::issuer) struct KeyedLimiter<K: Hash + Eq + Clone> {
    clock: Elapsed,
    limiter: ArcSwap<(Quota, Limiter<K>)>,
    tidied_at: AtomicU64,
}

impl<K: Hash + Eq + Clone> KeyedLimiter<K> {
    pub(in crate::issuer) fn new(clock: &Arc<dyn Clock>, quota: Quota) -> Self {
        let seen = Arc::new(Mutex::new((clock.now(), Duration::ZERO)));
        let clock = Elapsed { clock: Arc::clone(clock), seen };
        let limiter = ArcSwap::from_pointee((quota, RateLimiter::dashmap_with_clock(quota, clock.clone())));
        Self { clock, limiter, tidied_at: AtomicU64::new(0) }
    }

    /// Takes one from the budget of `key`, or returns how long to wait.
    pub(in crate::issuer) fn take(&self, key: K, quota: Quota) -> Result<(), Lifetime> {
        if self.limiter.load().0 != quota {
            self.limiter.store(Arc::new((quota, RateLimiter::dashmap_with_clock(quota, self.clock.clone()))));
        }
        let limiter = self.limiter.load_full();
        let key = (limiter.1.len() < MAX_KEYS || self.tidy(&limiter.1)).then_some(key);
        limiter.1.check_key(&key).map_err(|until| pause(until.wait_time_from(self.clock.now())))
    }

    /// Drops keys whose budget is full again, at most once a second; returns whether there is room now.
    fn tidy(&self, limiter: &Limiter<K>) -> bool {
        let now = self.clock.now().as_secs();
        if self.tidied_at.swap(now, Relaxed) != now {
            limiter.retain_recent();
        }
        limiter.len() < MAX_KEYS
    }
}

/// Rounds up, so that nobody is told to come back too early.
fn pause(wait: Duration) -> Lifetime {
    Lifetime::from_millis(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// Makes a quota of `rate` per `period` with a burst; a rate of zero counts as one.
pub(in crate::issuer) fn quota(rate: u32, period: Duration, burst: u32) -> Quota {
    let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    let each = period / at_least_one(rate).get();
    Quota::with_period(each).unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX)).allow_burst(at_least_one(burst))
}

/// The failures of one key.
#[derive(Debug, Clone, Copy)]
struct KeyFailures {
    count: u32,
    first: Timestamp,
    last: Timestamp,
}

/// Counts failures per key, over a window that begins with the first failure.
pub(in crate::issuer) struct WindowCounter<K> {
    window: Lifetime,
    entries: Mutex<HashMap<K, KeyFailures>>,
}

impl<K: Hash + Eq + Clone> WindowCounter<K> {
    pub(in crate::issuer) fn new(window: Lifetime) -> Self {
        Self { window, entries: Mutex::default() }
    }

    /// Counts an attempt as a failure in advance, or returns how long to wait if the `delay` for the failures so far is
    /// not over. Counting comes first because otherwise a hundred concurrent attempts would all see the same count.
    pub(in crate::issuer) fn charge(
        &self,
        key: K,
        now: Timestamp,
        delay: impl Fn(u32) -> Lifetime,
    ) -> Result<(), Lifetime> {
        self.with(key, now, |entry| {
            let wait = delay(entry.count).as_millis().saturating_sub(now.since(entry.last).as_millis());
            if entry.count > 0 && wait > 0 {
                return Err(Lifetime::from_millis(wait));
            }
            *entry = KeyFailures { count: entry.count.saturating_add(1), first: entry.first, last: now };
            Ok(())
        })
    }

    /// Counts a failure; returns how many there are.
    pub(in crate::issuer) fn add(&self, key: K, now: Timestamp) -> u32 {
        self.with(key, now, |entry| {
            *entry = KeyFailures { count: entry.count.saturating_add(1), first: entry.first, last: now };
            entry.count
        })
    }

    /// Returns how many failures there are, and when they are forgotten.
    pub(in crate::issuer) fn read(&self, key: &K, now: Timestamp) -> (u32, Lifetime) {
        let entries = lock(&self.entries);
        entries.get(key).filter(|e| now.since(e.first) < self.window).map_or_else(
            || (0, Lifetime::default()),
            |e| {
                let rest = self.window.as_millis().saturating_sub(now.since(e.first).as_millis());
                (e.count, Lifetime::from_millis(rest))
            },
        )
    }

    /// Takes one failure back, because the attempt that was charged succeeded.
    pub(in crate::issuer) fn refund(&self, key: K, now: Timestamp) {
        self.with(key, now, |entry| entry.count = entry.count.saturating_sub(1));
    }

    /// Forgets the failures of a key.
    pub(in crate::issuer) fn forget(&self, key: K) {
        lock(&self.entries).remove(&key);
    }

    fn with<T>(&self, key: K, now: Timestamp, act: impl FnOnce(&mut KeyFailures) -> T) -> T {
        let mut entries = lock(&self.entries);
        if entries.len() >= MAX_KEYS && !entries.contains_key(&key) {
            make_room(&mut entries, now, self.window);
        }
        let fresh = KeyFailures { count: 0, first: now, last: now };
        let entry = entries.entry(key).or_insert(fresh);
        // A clock set back must not lengthen a delay: times in the future count as now.
        entry.first = entry.first.min(now);
        entry.last = entry.last.min(now);
        if now.since(entry.first) >= self.window {
            *entry = fresh;
        }
        act(entry)
    }
}

/// How many keys stay when a full map is cleaned up: going over all of them must make room for many new ones, because
/// each new key waits for it.
const KEPT_KEYS: usize = MAX_KEYS / 10 * 9;

/// Drops keys whose window is over, then those that failed longest ago until there is room for many.
fn make_room<K: Hash + Eq>(entries: &mut HashMap<K, KeyFailures>, now: Timestamp, window: Lifetime) {
    entries.retain(|_, e| now.since(e.first) < window);
    let Some(surplus) = entries.len().checked_sub(KEPT_KEYS).filter(|surplus| *surplus > 0) else { return };
    let mut last: Vec<Timestamp> = entries.values().map(|e| e.last).collect();
    let (older, pivot, _) = last.select_nth_unstable(surplus);
    let mut as_old = older.iter().filter(|last| *last == pivot).count();
    entries.retain(|_, e| match e.last.cmp(pivot) {
        Ordering::Less => false,
        Ordering::Equal => as_old.checked_sub(1).map(|rest| as_old = rest).is_none(),
        Ordering::Greater => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    #[test]
    fn a_budget_refuses_the_one_too_many_says_when_and_refills() {
        let clock = Arc::new(ManualClock::new(START));
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let ten_an_hour = quota(10, Duration::from_secs(3600), 10);
        let budget = KeyedLimiter::new(&shared, ten_an_hour);
        for _ in 0..10 {
            assert!(budget.take(1, ten_an_hour).is_ok());
        }
        let wait = budget.take(1, ten_an_hour).expect_err("the eleventh");
        assert_eq!(wait, Lifetime::from_secs(360));
        assert!(budget.take(2, ten_an_hour).is_ok(), "another key has its own");
        clock.advance(wait);
        assert!(budget.take(1, ten_an_hour).is_ok());
        let twenty = quota(20, Duration::from_secs(3600), 20);
        assert!(budget.take(1, twenty).is_ok(), "a reloaded quota acts at once");
    }

    #[test]
    fn a_budget_stays_bounded_and_the_surplus_shares_one_entry() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(START));
        let one = quota(1, Duration::from_secs(3600), 1);
        let budget = KeyedLimiter::new(&clock, one);
        for key in 0..MAX_KEYS {
            assert!(budget.take(key, one).is_ok());
        }
        assert!(budget.take(MAX_KEYS, one).is_ok(), "the first surplus key uses the shared entry");
        assert!(budget.take(MAX_KEYS + 1, one).is_err(), "which is empty then");
        assert!(budget.limiter.load().1.len() <= MAX_KEYS + 1);
    }

    #[test]
    fn ck_a_clock_set_back_does_not_lengthen_a_delay() {
        let tally = WindowCounter::new(Lifetime::from_secs(3600));
        let delay = |_| Lifetime::from_secs(30);
        assert!(tally.charge("key", START, delay).is_ok());
        let hour_before = Timestamp::from_secs(START.as_secs() - 3600);
        assert_eq!(tally.charge("key", hour_before, delay), Err(Lifetime::from_secs(30)));
        assert!(tally.charge("key", hour_before.plus(Lifetime::from_secs(30)), delay).is_ok());
    }

    #[test]
    fn a_tally_that_is_full_blames_nobody_and_forgets_the_oldest() {
        let tally = WindowCounter::new(Lifetime::from_secs(60));
        tally.add(0, START);
        let later = START.plus(Lifetime::from_secs(1));
        for key in 1..MAX_KEYS + 50 {
            assert_eq!(tally.add(key, later), 1);
        }
        assert_eq!(tally.read(&usize::MAX, later).0, 0, "who never failed");
        assert_eq!(tally.read(&0, later).0, 0, "the oldest");
        assert_eq!(tally.read(&(MAX_KEYS + 49), later).0, 1);
        assert!(tally.entries.lock().expect("no panic").len() <= MAX_KEYS);
    }

    #[test]
    fn a_full_tally_is_walked_once_for_many_newcomers_even_while_old_ones_end_one_by_one() {
        let tally = WindowCounter::new(Lifetime::from_secs(MAX_KEYS.try_into().unwrap()));
        let at = |n: usize| START.plus(Lifetime::from_secs(n.try_into().unwrap()));
        for key in 0..MAX_KEYS {
            tally.add(key, at(key));
        }
        // From here on each new key finds one more whose window is over.
        let held = || tally.entries.lock().expect("no panic").len();
        let walks = (MAX_KEYS..MAX_KEYS + 1000).filter(|key| {
            let before = held();
            tally.add(*key, at(*key));
            held() <= before
        });
        assert_eq!(walks.count(), 1);
        assert!(held() <= MAX_KEYS / 10 * 9 + 1000);
    }

    #[test]
    fn a_tally_forgets_after_its_window_and_on_success() {
        let tally = WindowCounter::new(Lifetime::from_secs(60));
        assert_eq!((tally.add("key", START), tally.add("key", START)), (1, 2));
        assert_eq!(tally.read(&"key", START), (2, Lifetime::from_secs(60)));
        assert_eq!(tally.read(&"key", START.plus(Lifetime::from_secs(60))).0, 0);
        tally.refund("key", START);
        assert_eq!(tally.read(&"key", START).0, 1);
        tally.forget("key");
        assert_eq!(tally.read(&"key", START).0, 0);
    }
}
