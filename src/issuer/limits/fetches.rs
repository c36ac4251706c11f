//! How many fetches one caller may cause. This is checked before the budget of the fetched host, so that one caller
//! cannot use that up for everybody.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::Quota;

use super::keyed_limiter::{KeyedLimiter, quota};
use super::levels::{Allowance, Levels, Requester};
use crate::clock::Clock;
use crate::oauth::{Digest, Lifetime};
use crate::sync::lock;

const MINUTE: Duration = Duration::from_secs(60);

/// Fetches per minute: for one address, four times as many for a site, and sixty times as many for all strangers. A
/// person connects one or two applications, a conformance suite a few more.
const FETCHES: Allowance = Allowance { rate: 10, period: MINUTE, burst: 10, all: 60 };

/// How many of these may go to one host: fewer than the host's own budget, which neither one address nor its site may
/// use up.
const AT_HOST: u32 = 3;
const OF_SITE_AT_HOST: u32 = 6;

/// Concurrent fetches of one caller: each may take seconds, and everybody shares fifty slots. Ten of these are kept for
/// sites where somebody has got a token.
const AT_ONCE: u32 = 2;
const OF_SITE_AT_ONCE: u32 = 8;
const OF_STRANGERS_AT_ONCE: u32 = 40;

/// Whose fetches are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum FetchSource {
    Address(IpAddr),
    Site(IpAddr),
    Strangers,
}

/// The budgets and concurrent fetches of each source.
pub(in crate::issuer) struct Fetches {
    rate: Levels,
    rate_at_host: KeyedLimiter<(IpAddr, Digest<str>)>,
    rate_of_site_at_host: KeyedLimiter<(IpAddr, Digest<str>)>,
    under_way: Mutex<HashMap<FetchSource, u32>>,
}

/// Permission to fetch, held for the duration; dropping it frees the slot.
pub(in crate::issuer) struct FetchSlot<'a> {
    fetches: &'a Fetches,
    requester: Requester,
}

impl Fetches {
    pub(in crate::issuer) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            rate: Levels::new(clock, FETCHES),
            rate_at_host: KeyedLimiter::new(clock, per_minute(AT_HOST)),
            rate_of_site_at_host: KeyedLimiter::new(clock, per_minute(OF_SITE_AT_HOST)),
            under_way: Mutex::default(),
        }
    }

    /// Charges one fetch, or returns how long to wait.
    pub(in crate::issuer) fn take(&self, requester: Requester, host: &str) -> Result<FetchSlot<'_>, Lifetime> {
        let mut under_way = lock(&self.under_way);
        if counted(&requester).any(|(whose, most)| under_way.get(&whose).is_some_and(|count| *count >= most)) {
            return Err(Lifetime::from_secs(1));
        }
        let host = Digest::of(host.as_bytes());
        self.rate_at_host.take((requester.host, host), per_minute(AT_HOST))?;
        if requester.counts_with_its_site() {
            self.rate_of_site_at_host.take((requester.site, host), per_minute(OF_SITE_AT_HOST))?;
        }
        self.rate.take(&requester, FETCHES)?;
        for (whose, _) in counted(&requester) {
            let count = under_way.entry(whose).or_default();
            *count = count.saturating_add(1);
        }
        Ok(FetchSlot { fetches: self, requester })
    }
}

impl Drop for FetchSlot<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.fetches.under_way);
        for (whose, _) in counted(&self.requester) {
            let left = under_way.remove(&whose).unwrap_or_default().saturating_sub(1);
            if left > 0 {
                under_way.insert(whose, left);
            }
        }
    }
}

/// Returns the sources that a fetch of this caller counts against, each with its limit of concurrent fetches.
fn counted(requester: &Requester) -> impl Iterator<Item = (FetchSource, u32)> {
    let site = requester.counts_with_its_site().then_some((FetchSource::Site(requester.site), OF_SITE_AT_ONCE));
    let strangers = (!requester.is_of_known_site()).then_some((FetchSource::Strangers, OF_STRANGERS_AT_ONCE));
    [Some((FetchSource::Address(requester.host), AT_ONCE)), site, strangers].into_iter().flatten()
}

fn per_minute(rate: u32) -> Quota {
    quota(rate, MINUTE, rate)
}

#[cfg(test)]
mod tests {
    use super::super::levels::Familiarity;
    use super::*;
    use crate::clock::ManualClock;
    use crate::network;
    use crate::oauth::Timestamp;

    fn fetches() -> Fetches {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(1_000_000)));
        Fetches::new(&clock)
    }

    fn requester(address: [u8; 4]) -> Requester {
        let address = IpAddr::from(address);
        Requester { host: address, site: network::site(address), familiarity: Familiarity::Stranger }
    }

    #[test]
    fn ci_15_one_source_has_two_under_way_and_never_a_hosts_whole_budget() {
        let fetches = fetches();
        let (here, there) = (requester([192, 0, 2, 1]), requester([192, 0, 2, 2]));
        let both = (fetches.take(here, "a").ok().unwrap(), fetches.take(here, "b").ok().unwrap());
        assert!(fetches.take(here, "c").is_err(), "two are under way");
        assert!(fetches.take(there, "a").is_ok(), "another source is free");
        drop(both);
        assert!(fetches.take(here, "a").is_ok() && fetches.take(here, "a").is_ok());
        assert!(fetches.take(here, "a").is_err(), "the fourth of one host");
        assert_eq!((0..20).filter(|n| fetches.take(here, &n.to_string()).is_ok()).count(), 6, "ten in a minute");
        assert!(fetches.under_way.lock().unwrap().is_empty());
    }

    #[test]
    fn ci_15_a_site_uses_up_neither_a_host_nor_the_places_of_others() {
        let fetches = fetches();
        let at_host = (1..=20).filter(|n| fetches.take(requester([192, 0, 2, *n]), "a").is_ok()).count();
        assert_eq!(at_host, 6, "less than the host's budget");
        assert!(fetches.take(requester([198, 51, 100, 1]), "a").is_ok(), "another site is free");
        let at_once: Vec<_> =
            (1..=20).filter_map(|n| fetches.take(requester([192, 0, 2, n]), &n.to_string()).ok()).collect();
        assert_eq!(at_once.len(), 8);
        drop(at_once);
        let in_a_minute = (0..200).filter(|n| fetches.take(requester([192, 0, 2, n / 3 + 50]), &n.to_string()).is_ok());
        assert_eq!(in_a_minute.count(), 26, "forty of a site, with those before");
    }

    #[test]
    fn ci_15_strangers_leave_places_for_sites_that_are_known() {
        let fetches = fetches();
        let strangers: Vec<_> =
            (0..250).filter_map(|n| fetches.take(requester([198, 51, n, 1]), &n.to_string()).ok()).collect();
        assert_eq!(strangers.len(), 40);
        assert!(fetches.take(requester([203, 0, 113, 1]), "a").is_err());
        assert!(
            fetches.take(Requester { familiarity: Familiarity::KnownSite, ..requester([203, 0, 113, 1]) }, "a").is_ok()
        );
    }
}
