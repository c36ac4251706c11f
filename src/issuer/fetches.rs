//! How much fetching one caller may cause: before the budget of a host is touched, so that nobody uses it up for all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::Quota;

use super::budget::{Budget, quota};
use crate::clock::Clock;
use crate::oauth::{Lifetime, TokenHash};

const MINUTE: Duration = Duration::from_secs(60);

/// Fetches in a minute for one source: a person connects an application or two, a conformance suite a few more.
const PER_SOURCE: u32 = 10;

/// Of which at one host: less than the host's own budget, which one source must not use up.
const PER_SOURCE_AND_HOST: u32 = 3;

/// At one moment: each may last some seconds, and the slots are shared by all.
const AT_ONCE: u32 = 2;

/// Fetches by source.
pub(super) struct Fetches {
    rate: Budget<IpAddr>,
    rate_at_host: Budget<(IpAddr, TokenHash)>,
    under_way: Mutex<HashMap<IpAddr, u32>>,
}

/// Leave to fetch; dropping it ends the fetch.
pub(super) struct FetchLeave<'a> {
    fetches: &'a Fetches,
    source: IpAddr,
}

impl Fetches {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            rate: Budget::new(clock, per_minute(PER_SOURCE)),
            rate_at_host: Budget::new(clock, per_minute(PER_SOURCE_AND_HOST)),
            under_way: Mutex::default(),
        }
    }

    /// Takes one fetch, or says how long to wait.
    pub(super) fn take(&self, source: IpAddr, host: &str) -> Result<FetchLeave<'_>, Lifetime> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let count = under_way.get(&source).copied().unwrap_or_default();
        if count >= AT_ONCE {
            return Err(Lifetime::from_secs(1));
        }
        self.rate_at_host.take((source, TokenHash::of(host.as_bytes())), per_minute(PER_SOURCE_AND_HOST))?;
        self.rate.take(source, per_minute(PER_SOURCE))?;
        under_way.insert(source, count.saturating_add(1));
        Ok(FetchLeave { fetches: self, source })
    }
}

impl Drop for FetchLeave<'_> {
    fn drop(&mut self) {
        let mut under_way = self.fetches.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let left = under_way.remove(&self.source).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            under_way.insert(self.source, left);
        }
    }
}

fn per_minute(rate: u32) -> Quota {
    quota(rate, MINUTE, rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::oauth::Timestamp;

    #[test]
    fn ci_15_one_source_has_two_under_way_and_never_a_hosts_whole_budget() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(1_000_000)));
        let fetches = Fetches::new(&clock);
        let (here, there) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let both = (fetches.take(here, "a").ok().unwrap(), fetches.take(here, "b").ok().unwrap());
        assert!(fetches.take(here, "c").is_err(), "two are under way");
        assert!(fetches.take(there, "a").is_ok(), "another source is free");
        drop(both);
        assert!(fetches.take(here, "a").is_ok() && fetches.take(here, "a").is_ok());
        assert!(fetches.take(here, "a").is_err(), "the fourth of one host");
        assert_eq!((0..20).filter(|n| fetches.take(here, &n.to_string()).is_ok()).count(), 6, "ten in a minute");
        assert!(fetches.under_way.lock().unwrap().is_empty());
    }
}
