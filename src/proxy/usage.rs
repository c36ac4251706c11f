//! `LimitUsage`: how much of one limit each user, grant or client has used, over all workers and in bounded memory.

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use crate::oauth::{AccountId, ClientId, GrantId};
use crate::policy::{CallLimit, LimitRate};

/// The most counts of a limit, some 10 MB. Further users, grants or clients share one count, so that nobody's count is
/// lost and nobody is without one.
const MOST: usize = 100_000;

/// What has a count of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum CountKey {
    User(AccountId),
    Grant(GrantId),
    Client(ClientId),
    /// All callers of the upstream.
    Upstream,
    /// A host or a site (`network.rs`).
    Address(IpAddr),
    /// All for whom there is no room.
    Surplus,
}

/// How far a limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// The rate: the next is allowed after this time.
    Rate(Duration),
    /// The rate, by one request with more messages than can ever come at once.
    Burst,
    /// As many as may run at once are running.
    AtOnce,
}

/// The counts of one limit.
pub(super) struct LimitUsage {
    begun: Instant,
    counts: DashMap<CountKey, KeyCount, RandomState>,
    /// When unused counts were last looked for, in seconds since `begun`.
    tidied_at: AtomicU64,
}

/// What one user, grant or client has used.
#[derive(Debug, Clone, Copy, Default)]
struct KeyCount {
    /// When its bucket will be full again, in nanoseconds since the usage began (the theoretical arrival time of the
    /// generic cell rate algorithm).
    full_at: u64,
    running: u32,
}

/// Messages that count until their answer has ended, which is when this is dropped.
pub(super) struct RunningCall {
    usage: Arc<LimitUsage>,
    key: CountKey,
    number: u32,
    /// How many of them count as running.
    running: u32,
}

/// The messages of a request that count as running until this is dropped.
pub(super) struct RunningCalls(Vec<RunningCall>);

impl RunningCalls {
    /// Keeps calls that are counted as running.
    pub(super) fn new(calls: Vec<RunningCall>) -> Self {
        Self(calls)
    }

    /// Keeps those of other limits too.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }
}

impl LimitUsage {
    /// Begins to count.
    pub(super) fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self { begun: now, counts: DashMap::default(), tidied_at: AtomicU64::new(0) })
    }

    /// Counts messages, all or none of them.
    pub(super) fn take(
        self: &Arc<Self>,
        key: CountKey,
        number: u32,
        limit: &CallLimit,
        now: Instant,
    ) -> Result<RunningCall, Reached> {
        let now = nanos(now.saturating_duration_since(self.begun));
        let key = if self.has_room_for(&key, now) { key } else { CountKey::Surplus };
        let mut count = self.counts.entry(key.clone()).or_default();
        if limit.at_once.is_some_and(|most| count.running.saturating_add(number) > most) {
            return Err(Reached::AtOnce);
        }
        if let Some(rate) = &limit.rate {
            count.full_at = full_after(rate, number, count.full_at, now)?;
        }
        let running = if limit.at_once.is_some() { number } else { 0 };
        count.running = count.running.saturating_add(running);
        drop(count);
        Ok(RunningCall { usage: Arc::clone(self), key, number, running })
    }

    fn has_room_for(&self, key: &CountKey, now: u64) -> bool {
        self.counts.contains_key(key) || self.counts.len() < MOST || self.tidy(now)
    }

    /// Removes unused counts, at most once a second; returns whether there is room now.
    fn tidy(&self, now: u64) -> bool {
        let second = now / NANOS;
        if self.tidied_at.swap(second, Ordering::Relaxed) != second {
            self.counts.retain(|_, count| count.running > 0 || count.full_at > now);
        }
        self.counts.len() < MOST
    }
}

impl RunningCall {
    /// Takes the messages back, because another limit refused them.
    pub(super) fn undo(self, limit: &CallLimit) {
        if let (Some(mut count), Some(rate)) = (self.usage.counts.get_mut(&self.key), &limit.rate) {
            count.full_at = count.full_at.saturating_sub(cost(rate, self.number));
        }
    }

    /// Returns whether it counts as running.
    pub(super) fn is_held(&self) -> bool {
        self.running > 0
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        if self.running > 0
            && let Some(mut count) = self.usage.counts.get_mut(&self.key)
        {
            count.running = count.running.saturating_sub(self.running);
        }
    }
}

const NANOS: u64 = 1_000_000_000;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns for how long messages use a bucket.
fn cost(rate: &LimitRate, number: u32) -> u64 {
    (60 * NANOS).saturating_mul(number.into()) / u64::from(rate.per_minute.max(1))
}

/// Returns when the bucket will be full again after these messages, if it has room for them.
fn full_after(rate: &LimitRate, number: u32, full_at: u64, now: u64) -> Result<u64, Reached> {
    if number > rate.burst {
        return Err(Reached::Burst);
    }
    let after = full_at.max(now).saturating_add(cost(rate, number));
    let wait = after.saturating_sub(now.saturating_add(cost(rate, rate.burst)));
    if wait > 0 { Err(Reached::Rate(Duration::from_nanos(wait))) } else { Ok(after) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::LimitPer;

    fn limit(rate: Option<(u32, u32)>, at_once: Option<u32>) -> CallLimit {
        let rate = rate.map(|(per_minute, burst)| LimitRate { per_minute, burst });
        CallLimit { name: "a".to_owned(), operations: Vec::new(), per: LimitPer::User, rate, at_once }
    }

    fn user(n: usize) -> CountKey {
        CountKey::User(AccountId::parse(&format!("user-{n}")).unwrap())
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_bucket_allows_a_burst_says_when_and_refills() {
        let begun = Instant::now();
        let (usage, limit) = (LimitUsage::new(begun), limit(Some((30, 3)), None));
        let take = |key, number, at: u64| usage.take(key, number, &limit, begun + seconds(at)).map(drop);
        for _ in 0..3 {
            assert_eq!(take(user(1), 1, 0), Ok(()));
        }
        assert_eq!(take(user(1), 1, 0), Err(Reached::Rate(seconds(2))));
        assert_eq!(take(user(1), 1, 1), Err(Reached::Rate(seconds(1))), "a refused one is not counted");
        assert_eq!(take(user(2), 1, 1), Ok(()), "another has a count of its own");
        assert_eq!(take(user(1), 1, 2), Ok(()));
        assert_eq!(take(user(1), 3, 2), Err(Reached::Rate(seconds(6))), "all of a batch, or nothing");
        assert_eq!(take(user(1), 3, 8), Ok(()));
        assert_eq!(take(user(1), 4, 1000), Err(Reached::Burst));
        assert_eq!(take(user(1), 3, 1000), Ok(()), "a pause saves up no more than a burst");
        assert_eq!(take(user(1), 1, 1000), Err(Reached::Rate(seconds(2))));
        assert_eq!(take(user(1), u32::MAX, 1000), Err(Reached::Burst));
    }

    #[test]
    fn a_call_counts_as_running_until_it_is_dropped() {
        let begun = Instant::now();
        let (usage, limit) = (LimitUsage::new(begun), limit(None, Some(2)));
        let take = |number| usage.take(user(1), number, &limit, begun);
        let first = take(1).ok().unwrap();
        assert_eq!(take(2).map(drop), Err(Reached::AtOnce));
        let second = take(1).ok().unwrap();
        assert_eq!(take(1).map(drop), Err(Reached::AtOnce));
        drop(first);
        assert_eq!(take(1).map(drop), Ok(()));
        drop(second);
        assert_eq!(take(2).map(drop), Ok(()));
        assert_eq!(take(3).map(drop), Err(Reached::AtOnce));
    }

    #[test]
    fn what_another_limit_refuses_is_taken_back() {
        let begun = Instant::now();
        let (usage, limit) = (LimitUsage::new(begun), limit(Some((1, 1)), Some(1)));
        usage.take(user(1), 1, &limit, begun).ok().unwrap().undo(&limit);
        assert_eq!(usage.take(user(1), 1, &limit, begun).map(drop), Ok(()));
        assert_eq!(usage.take(user(1), 1, &limit, begun).map(drop), Err(Reached::Rate(seconds(60))));
    }

    #[test]
    fn a_full_map_shuts_nobody_out_and_lifts_the_limit_for_nobody() {
        let begun = Instant::now();
        let (usage, limit) = (LimitUsage::new(begun), limit(Some((1, 1)), None));
        let take = |n, at: u64| usage.take(user(n), 1, &limit, begun + seconds(at)).map(drop);
        for n in 0..MOST {
            assert_eq!(take(n, 0), Ok(()));
        }
        assert!(take(0, 1).is_err(), "who has a count keeps it");
        assert_eq!(take(MOST, 1), Ok(()), "the surplus has one count together");
        assert!(take(MOST + 1, 1).is_err());
        assert!(usage.counts.len() <= MOST + 1);
        assert_eq!(take(MOST + 1, 61), Ok(()), "unused counts make room");
        assert_eq!(take(MOST + 2, 61), Ok(()));
        assert!(usage.counts.len() < 10, "{}", usage.counts.len());
    }
}
