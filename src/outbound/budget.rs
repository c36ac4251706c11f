//! How many fetches there may be: a stranger who names URLs must not turn the gateway against a third party (CI-15).

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::FetchError;

/// security.md 5.6: in flight in all. Each may last five seconds.
const IN_FLIGHT: usize = 50;

/// Hosts remembered before those whose budget is full again are dropped.
const MAX_HOSTS: usize = 10_000;

/// Counts fetches by host and in all.
#[derive(Debug)]
pub(super) struct Budget {
    under_way: Mutex<HashSet<String>>,
    per_host: DefaultKeyedRateLimiter<String>,
}

/// Leave to fetch from one host; dropping it frees the host for the next.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    budget: &'a Budget,
    host: &'a str,
}

impl Budget {
    pub(super) fn new(per_host_per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_host_per_minute).unwrap_or(NonZeroU32::MIN));
        Self { under_way: Mutex::default(), per_host: RateLimiter::keyed(quota) }
    }

    /// Takes leave to fetch from `host`: one at a time, so many a minute, so many in all.
    pub(super) fn take<'a>(&'a self, host: &'a str) -> Result<Leave<'a>, FetchError> {
        if self.per_host.len() > MAX_HOSTS {
            self.per_host.retain_recent();
        }
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // The rate comes last, so that a fetch that is not made costs none of it.
        let free = under_way.len() < IN_FLIGHT
            && !under_way.contains(host)
            && self.per_host.check_key(&host.to_owned()).is_ok();
        if !free {
            return Err(FetchError::Busy);
        }
        under_way.insert(host.to_owned());
        Ok(Leave { budget: self, host })
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.budget.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(self.host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_15_one_at_a_time_ten_a_minute_fifty_in_all() {
        let budget = Budget::new(10);
        let first = budget.take("a").unwrap();
        assert_eq!(budget.take("a").unwrap_err(), FetchError::Busy);
        assert!(budget.take("b").is_ok());
        drop(first);
        for _ in 0..9 {
            assert!(budget.take("a").is_ok());
        }
        assert_eq!(budget.take("a").unwrap_err(), FetchError::Busy, "the eleventh within a minute");

        let hosts: Vec<_> = (0..51).map(|n| n.to_string()).collect();
        let leaves: Vec<_> = hosts[..50].iter().map(|host| budget.take(host).unwrap()).collect();
        assert_eq!(budget.take(&hosts[50]).unwrap_err(), FetchError::Busy);
        drop(leaves);
        assert!(budget.take(&hosts[50]).is_ok());
    }
}
