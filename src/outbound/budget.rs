//! How many fetches there may be: a stranger who names URLs must not turn the gateway against a third party (CI-15).

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::Notify;

use super::FetchError;

/// Hosts remembered before those whose budget is full again are dropped.
const MAX_HOSTS: usize = 10_000;

/// Counts fetches by key (a host, or a known document) and in all.
#[derive(Debug)]
pub(super) struct Budget {
    in_flight: usize,
    under_way: Mutex<HashSet<String>>,
    freed: Notify,
    rate: DefaultKeyedRateLimiter<String>,
}

/// Leave to fetch; dropping it frees the key for the next.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    budget: &'a Budget,
    key: &'a str,
}

impl Budget {
    pub(super) fn new(per_key_per_minute: u32, in_flight: usize) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_key_per_minute).unwrap_or(NonZeroU32::MIN));
        Self { in_flight, under_way: Mutex::default(), freed: Notify::new(), rate: RateLimiter::keyed(quota) }
    }

    /// Waits for the turn of `key`: one at a time, so many in all. `Busy` when its rate is spent, which takes longer.
    pub(super) async fn wait<'a>(&'a self, key: &'a str) -> Result<Leave<'a>, FetchError> {
        loop {
            let mut freed = pin!(self.freed.notified());
            // Before the look, so that what becomes free right after it is not missed.
            freed.as_mut().enable();
            if let Some(leave) = self.take(key)? {
                return Ok(leave);
            }
            freed.await;
        }
    }

    /// Takes leave; `None` while another fetch is in the way.
    fn take<'a>(&'a self, key: &'a str) -> Result<Option<Leave<'a>>, FetchError> {
        if self.rate.len() > MAX_HOSTS {
            self.rate.retain_recent();
        }
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.len() >= self.in_flight || under_way.contains(key) {
            return Ok(None);
        }
        // The rate comes last, so that a fetch that is not made costs none of it.
        self.rate.check_key(&key.to_owned()).map_err(|_| FetchError::Busy)?;
        under_way.insert(key.to_owned());
        Ok(Some(Leave { budget: self, key }))
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.budget.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(self.key);
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken<'a>(budget: &'a Budget, key: &'a str) -> Leave<'a> {
        budget.take(key).unwrap().expect("nothing is in the way")
    }

    #[test]
    fn ci_15_one_at_a_time_ten_a_minute_fifty_in_all() {
        let budget = Budget::new(10, 50);
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

    #[tokio::test]
    async fn ci_15_who_comes_second_waits_for_the_turn() {
        let budget = Budget::new(10, 50);
        let first = taken(&budget, "a");
        let (second, ()) = tokio::join!(budget.wait("a"), async { drop(first) });
        assert!(second.is_ok());
    }
}
