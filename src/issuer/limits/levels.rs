//! `Levels` and `FailureLevels`: a limit at three levels (host, site, everybody together), so that no address, no
//! network and no group of them can use up what others need.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::Quota;

use super::keyed_limiter::{KeyedLimiter, WindowCounter, quota};
use crate::clock::Clock;
use crate::oauth::{Lifetime, Timestamp};
use crate::sync::lock;

/// The budget of a site, as a multiple of a host's: enough for an office, while an IPv6 site has 65,536 networks that
/// one attacker can use in turn.
pub(in crate::issuer) const HOSTS_OF_SITE: u32 = 4;

/// Who made a request, as the limits see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::issuer) struct Requester {
    /// The address, or the /64 of an IPv6 host.
    pub(in crate::issuer) host: IpAddr,
    /// The site: a /24 or, for IPv6, a /48.
    pub(in crate::issuer) site: IpAddr,
    /// Whether somebody has got a token from there.
    pub(in crate::issuer) familiarity: Familiarity,
}

/// Whether somebody has got a token where a request comes from. Strangers cannot use up what such places need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::issuer) enum Familiarity {
    /// Nobody at this site.
    Stranger,
    /// Somebody at this site, but not at this host. Such sites share a total of their own.
    KnownSite,
    /// Somebody at this host. It shares the total of the known sites, but not the limit of its site.
    KnownHost,
}

impl Requester {
    /// Returns whether the requester shares the total of the known sites.
    pub(in crate::issuer) fn is_of_known_site(&self) -> bool {
        self.familiarity != Familiarity::Stranger
    }

    /// Returns whether the requester shares the limit of its site.
    pub(in crate::issuer) fn counts_with_its_site(&self) -> bool {
        self.familiarity != Familiarity::KnownHost
    }
}

/// The budget of one host. The unknown hosts of a site share that of `HOSTS_OF_SITE` hosts, all strangers together that
/// of `all` hosts, and all known sites together as much again.
#[derive(Debug, Clone, Copy)]
pub(in crate::issuer) struct Allowance {
    pub(in crate::issuer) rate: u32,
    pub(in crate::issuer) period: Duration,
    pub(in crate::issuer) burst: u32,
    pub(in crate::issuer) all: u32,
}

impl Allowance {
    fn of_hosts(&self, hosts: u32) -> Quota {
        quota(self.rate.saturating_mul(hosts), self.period, self.burst.saturating_mul(hosts))
    }
}

/// Rate limits at the three levels.
pub(in crate::issuer) struct Levels {
    host: KeyedLimiter<IpAddr>,
    site: KeyedLimiter<IpAddr>,
    /// By whether the site is known.
    all: KeyedLimiter<bool>,
}

impl Levels {
    pub(in crate::issuer) fn new(clock: &Arc<dyn Clock>, allowance: Allowance) -> Self {
        Self {
            host: KeyedLimiter::new(clock, allowance.of_hosts(1)),
            site: KeyedLimiter::new(clock, allowance.of_hosts(HOSTS_OF_SITE)),
            all: KeyedLimiter::new(clock, allowance.of_hosts(allowance.all)),
        }
    }

    /// Takes one from each level, or returns how long to wait. The narrow levels come first, so that a request they
    /// refuse takes nothing from the total.
    pub(in crate::issuer) fn take(&self, requester: &Requester, allowance: Allowance) -> Result<(), Lifetime> {
        self.host.take(requester.host, allowance.of_hosts(1))?;
        if requester.counts_with_its_site() {
            self.site.take(requester.site, allowance.of_hosts(HOSTS_OF_SITE))?;
        }
        self.all.take(requester.is_of_known_site(), allowance.of_hosts(allowance.all))
    }
}

/// Failures at the three levels, each over a window that begins with the first.
pub(in crate::issuer) struct FailureLevels {
    host: WindowCounter<IpAddr>,
    site: WindowCounter<IpAddr>,
    /// By whether the site is known.
    all: WindowCounter<bool>,
}

impl FailureLevels {
    pub(in crate::issuer) fn new(window: Lifetime) -> Self {
        Self { host: WindowCounter::new(window), site: WindowCounter::new(window), all: WindowCounter::new(window) }
    }

    /// Returns how long to wait once a host has `limit` failures, its site `HOSTS_OF_SITE` times as many (unless the
    /// host is known), or everybody together `all` times as many.
    pub(in crate::issuer) fn check(
        &self,
        requester: &Requester,
        limit: u32,
        all: u32,
        now: Timestamp,
    ) -> Result<(), Lifetime> {
        let of_host = (self.host.read(&requester.host, now), limit);
        let of_site = (self.site.read(&requester.site, now), limit.saturating_mul(HOSTS_OF_SITE));
        let of_site = requester.counts_with_its_site().then_some(of_site);
        let of_all = (self.all.read(&requester.is_of_known_site(), now), limit.saturating_mul(all));
        let levels = [Some(of_host), of_site, Some(of_all)].into_iter().flatten();
        let waits = levels.filter(|((count, _), limit)| count >= limit);
        waits.map(|((_, rest), _)| rest).max().map_or(Ok(()), Err)
    }

    /// Counts a failure at all levels.
    pub(in crate::issuer) fn add(&self, requester: &Requester, now: Timestamp) {
        self.host.add(requester.host, now);
        self.site.add(requester.site, now);
        self.all.add(requester.is_of_known_site(), now);
    }
}

/// How long a site or host stays known after the last token was issued there.
const KEPT: Lifetime = Lifetime::from_secs(30 * 24 * 3600);

/// The most sites, and the most hosts, held: a few megabytes each. Beyond that the tenth that was seen longest ago is
/// dropped.
const MOST_PLACES: usize = 50_000;

/// The sites and hosts from which somebody has got a token, by signing in or with a refresh token.
#[derive(Default)]
pub(in crate::issuer) struct Known {
    sites: Places,
    hosts: Places,
}

impl Known {
    /// Remembers that somebody got a token at this host.
    pub(in crate::issuer) fn remember(&self, host: IpAddr, site: IpAddr, now: Timestamp) {
        self.sites.remember(site, now);
        self.hosts.remember(host, now);
    }

    /// Returns whether a host or its site is known.
    pub(in crate::issuer) fn familiarity(&self, host: &IpAddr, site: &IpAddr, now: Timestamp) -> Familiarity {
        match (self.hosts.have(host, now), self.sites.have(site, now)) {
            (true, _) => Familiarity::KnownHost,
            (false, true) => Familiarity::KnownSite,
            (false, false) => Familiarity::Stranger,
        }
    }
}

/// Sites or hosts, with when each was last seen.
#[derive(Default)]
pub(in crate::issuer) struct Places(Mutex<HashMap<IpAddr, Timestamp>>);

impl Places {
    /// Remembers that one was seen.
    pub(in crate::issuer) fn remember(&self, place: IpAddr, now: Timestamp) {
        let mut places = lock(&self.0);
        if places.len() >= MOST_PLACES && !places.contains_key(&place) {
            let mut seen: Vec<Timestamp> = places.values().copied().collect();
            let (_, pivot, _) = seen.select_nth_unstable(MOST_PLACES / 10);
            let pivot = *pivot;
            places.retain(|_, seen| *seen > pivot);
        }
        places.insert(place, now);
    }

    /// Returns whether one was seen lately.
    pub(in crate::issuer) fn have(&self, place: &IpAddr, now: Timestamp) -> bool {
        let mut places = lock(&self.0);
        places.get_mut(place).is_some_and(|seen| {
            // A time in the future, from a clock that was ahead, counts as now.
            *seen = (*seen).min(now);
            now.since(*seen) < KEPT
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::network;

    const START: Timestamp = Timestamp::from_secs(1_000_000);
    const TEN: Allowance = Allowance { rate: 10, period: Duration::from_secs(3600), burst: 10, all: 10 };

    fn requester(address: &str) -> Requester {
        let address = address.parse().unwrap();
        Requester { host: network::host(address), site: network::site(address), familiarity: Familiarity::Stranger }
    }

    #[test]
    fn a_host_a_site_and_all_strangers_have_a_limit_and_known_sites_one_of_their_own() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(START));
        let levels = Levels::new(&clock, TEN);
        let count = |address: &dyn Fn(u32) -> String, familiarity| {
            let asks = (0..1000).map(|n| Requester { familiarity, ..requester(&address(n)) });
            asks.filter(|requester| levels.take(requester, TEN).is_ok()).count()
        };
        assert_eq!(count(&|_| "192.0.2.1".to_owned(), Familiarity::Stranger), 10, "of a host");
        assert_eq!(count(&|n| format!("192.0.2.{}", n % 250 + 2), Familiarity::Stranger), 30, "the rest of its site");
        assert_eq!(count(&|n| format!("2001:db8:7:{n:x}::1"), Familiarity::Stranger), 40, "of an IPv6 site");
        assert_eq!(
            count(&|n| format!("198.51.{}.{}", n / 250, n % 250), Familiarity::Stranger),
            20,
            "a hundred of all strangers"
        );
        assert_eq!(
            count(&|n| format!("203.0.{}.1", n % 250), Familiarity::KnownSite),
            100,
            "what is kept for the known"
        );
    }

    #[test]
    fn failures_are_counted_at_three_levels_until_the_window_is_over() {
        let failures = FailureLevels::new(Lifetime::from_secs(60));
        let fail = |address: &str, times: u32| (0..times).for_each(|_| failures.add(&requester(address), START));
        let asks = |address: &str, now| failures.check(&requester(address), 5, 10, now);
        fail("192.0.2.1", 5);
        assert_eq!(asks("192.0.2.1", START), Err(Lifetime::from_secs(60)));
        assert!(asks("192.0.2.2", START).is_ok());
        (2..5).for_each(|n| fail(&format!("192.0.2.{n}"), 5));
        assert!(asks("192.0.2.200", START).is_err(), "its site");
        assert!(asks("192.0.3.1", START).is_ok());
        (0..30).for_each(|n| fail(&format!("198.51.{n}.1"), 1));
        assert!(asks("203.0.113.1", START).is_err(), "all strangers");
        assert!(
            failures
                .check(&Requester { familiarity: Familiarity::KnownSite, ..requester("203.0.113.1") }, 5, 10, START)
                .is_ok()
        );
        assert!(asks("192.0.2.1", START.plus(Lifetime::from_secs(60))).is_ok());
    }

    #[test]
    fn what_neighbours_do_leaves_a_known_host_its_own_share() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(START));
        let (levels, failures) = (Levels::new(&clock, TEN), FailureLevels::new(Lifetime::from_secs(60)));
        for n in 0..10 {
            let neighbour = requester(&format!("192.0.2.{n}"));
            (0..5).for_each(|_| failures.add(&neighbour, START));
            assert!((0..10).filter(|_| levels.take(&neighbour, TEN).is_ok()).count() <= 10);
        }
        let other = Requester { familiarity: Familiarity::KnownSite, ..requester("192.0.2.200") };
        let known = Requester { familiarity: Familiarity::KnownHost, ..requester("192.0.2.201") };
        assert!(failures.check(&other, 5, 100, START).is_err() && levels.take(&other, TEN).is_err());
        assert!(failures.check(&known, 5, 100, START).is_ok());
        assert_eq!((0..50).filter(|_| levels.take(&known, TEN).is_ok()).count(), 10, "as much as any host");
        (0..5).for_each(|_| failures.add(&known, START));
        assert!(failures.check(&known, 5, 100, START).is_err(), "its own failures");
    }

    #[test]
    fn what_is_known_is_so_for_thirty_days_and_is_bounded() {
        let known = Known::default();
        let (host, site) = (IpAddr::from([192, 0, 2, 7]), IpAddr::from([192, 0, 2, 0]));
        known.remember(host, site, START);
        let (neighbour, elsewhere) = (IpAddr::from([192, 0, 2, 8]), IpAddr::from([192, 0, 3, 0]));
        assert_eq!(known.familiarity(&host, &site, START), Familiarity::KnownHost);
        assert_eq!(known.familiarity(&neighbour, &site, START), Familiarity::KnownSite);
        assert_eq!(known.familiarity(&elsewhere, &elsewhere, START), Familiarity::Stranger);
        assert_eq!(known.familiarity(&host, &site, START.plus(KEPT)), Familiarity::Stranger);
        let later = START.plus(Lifetime::from_secs(1));
        for n in 0..u32::try_from(MOST_PLACES).unwrap() + 10 {
            let place = std::net::Ipv4Addr::from_bits(0x0a00_0000 + (n << 8)).into();
            known.remember(place, place, later);
        }
        assert!([&known.sites, &known.hosts].iter().all(|places| places.0.lock().unwrap().len() <= MOST_PLACES));
        assert_eq!(
            known.familiarity(&host, &site, later),
            Familiarity::Stranger,
            "seen the longest ago, it went first"
        );
    }

    #[test]
    fn ck_what_a_clock_that_was_ahead_has_seen_is_known_from_now_on() {
        let (known, place) = (Known::default(), IpAddr::from([192, 0, 2, 0]));
        known.remember(place, place, START.plus(KEPT).plus(KEPT));
        assert_eq!(known.familiarity(&place, &place, START), Familiarity::KnownHost);
        assert_eq!(known.familiarity(&place, &place, START.plus(KEPT)), Familiarity::Stranger);
    }
}
