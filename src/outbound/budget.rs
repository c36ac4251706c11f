//! Limits on fetches: a stranger who names URLs must not be able to use the gateway to attack a third party (CI-15).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Mutex;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::Notify;

use super::fetch::FetchError;
use crate::sync::lock;

/// The number of keys above which those with a full budget are dropped.
const MAX_KEYS: usize = 10_000;

/// Counts fetches per key (a host, a network, or a known document) and in total.
#[derive(Debug)]
pub(super) struct FetchBudget {
    of_key: usize,
    in_all: usize,
    under_way: Mutex<HashMap<String, usize>>,
    freed: Notify,
    rate: DefaultKeyedRateLimiter<String>,
}

/// Permission to fetch; dropping it frees the place for the next.
#[derive(Debug)]
pub(super) struct FetchPermit<'a> {
    budget: &'a FetchBudget,
    key: String,
}

impl FetchBudget {
    /// Makes a budget with limits per key (fetches per minute, and concurrent ones) and on all concurrent fetches.
    pub(super) fn new(per_minute: u32, of_key: usize, in_all: usize) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self { of_key, in_all, under_way: Mutex::default(), freed: Notify::new(), rate: RateLimiter::keyed(quota) }
    }

    /// Waits for a place for `key`. `Busy` when its rate is used up, since waiting for that takes longer.
    pub(super) async fn wait(&self, key: &str) -> Result<FetchPermit<'_>, FetchError> {
        loop {
            let mut freed = pin!(self.freed.notified());
            // Before the check, so that a place that becomes free right after it is not missed.
            freed.as_mut().enable();
            if let Some(leave) = self.take(key)? {
                return Ok(leave);
            }
            freed.await;
        }
    }

    /// Takes a permit; `None` while other fetches occupy the places.
    fn take(&self, key: &str) -> Result<Option<FetchPermit<'_>>, FetchError> {
        if self.rate.len() > MAX_KEYS {
            self.rate.retain_recent();
        }
        let mut under_way = lock(&self.under_way);
        let of_key = under_way.get(key).copied().unwrap_or(0);
        if of_key >= self.of_key || under_way.values().sum::<usize>() >= self.in_all {
            return Ok(None);
        }
        let key = key.to_owned();
        // The rate is charged last, so that a fetch that is not made costs nothing.
        self.rate.check_key(&key).map_err(|_| FetchError::Busy)?;
        under_way.insert(key.clone(), of_key + 1);
        Ok(Some(FetchPermit { budget: self, key }))
    }
}

impl Drop for FetchPermit<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.budget.under_way);
        match under_way.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(under_way.remove(&self.key)),
        }
        drop(under_way);
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken<'a>(budget: &'a FetchBudget, key: &str) -> FetchPermit<'a> {
        budget.take(key).unwrap().expect("nothing is in the way")
    }

    #[test]
    fn one_at_a_time_ten_a_minute_fifty_in_all() {
        let budget = FetchBudget::new(10, 1, 50);
        let first = taken(&budget, "a");
        assert!(budget.take("a").unwrap().is_none());
        drop(taken(&budget, "b"));
        drop(first);
        for _ in 0..9 {
            drop(taken(&budget, "a"));
        }
        assert_eq!(budget.take("a").unwrap_err(), FetchError::Busy, "the eleventh within a minute");

        let hosts: Vec<_> = (0..51).map(|n| n.to_string()).collect();
        let leaves: Vec<_> = hosts[..50].iter().map(|host| taken(&budget, host)).collect();
        assert!(budget.take(&hosts[50]).unwrap().is_none());
        drop(leaves);
        drop(taken(&budget, &hosts[50]));
    }

    #[test]
    fn a_key_of_many_has_as_many_places() {
        let budget = FetchBudget::new(10, 2, 50);
        let (first, _second) = (taken(&budget, "a"), taken(&budget, "a"));
        assert!(budget.take("a").unwrap().is_none());
        drop(first);
        let _third = taken(&budget, "a");
        assert!(budget.take("a").unwrap().is_none());
    }

    #[tokio::test]
    async fn who_comes_second_waits_for_the_turn() {
        let budget = FetchBudget::new(10, 1, 50);
        let first = taken(&budget, "a");
        let (second, ()) = tokio::join!(budget.wait("a"), async { drop(first) });
        assert!(second.is_ok());
    }
}
