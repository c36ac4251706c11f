//! Which audit rows are written and which are only counted. It limits events that anybody can cause by the thousand, so
//! that they neither fill the disk nor crowd out the refusals of others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::Quota;

use super::keyed_limiter::{KeyedLimiter, quota};
use crate::clock::Clock;
use crate::oauth::{AccountId, Lifetime, Timestamp};
use crate::store::{AuditEvent, Source};
use crate::sync::lock;

/// Rows per minute and event from one host, and below from one site. Further ones are counted, and the count gets a
/// row.
const ROWS_OF_HOST: u32 = 20;
const ROWS_OF_SITE: u32 = 60;
const WINDOW: Lifetime = Lifetime::from_secs(60);

/// Rows per minute and event about what the clients of one user do by themselves.
const ROWS_OF_USER: u32 = 60;

/// Rows of refusals in total: 5 a second on average, with a burst that a person or a test suite does not reach. With
/// the reserve and the counts it is about 6.5 a second, at most 120 MB a day.
const PER_SECOND: u32 = 5;
const BURST: u32 = 500;

/// Rows reserved for each event and site when the total has been used up.
const FIRST_ROWS: u32 = 3;
const RESERVED_PER_SECOND: u32 = 1;
const RESERVED_BURST: u32 = 100;

/// The most pairs of event and site, or of event and user, counted separately; further ones share one entry per event.
const MAX_KEYS: usize = 10_000;

/// How many counts get their own row each minute; the rest share one row per event.
const COUNTS_TOLD: usize = 10;

/// Whose rows are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::issuer) enum RefusalSource {
    /// Somebody at this site.
    Site(IpAddr),
    /// The clients of this user.
    User(AccountId),
    /// Several sites or users, which share an entry.
    Several,
}

struct Window {
    began: Timestamp,
    written: u32,
    /// How many rows were written, by host.
    hosts: HashMap<IpAddr, u32>,
    counted: u64,
}

/// Counts of recent rows, by event and cause.
pub(in crate::issuer) struct Refusals {
    in_all: KeyedLimiter<()>,
    reserved: KeyedLimiter<()>,
    windows: Mutex<HashMap<(AuditEvent, RefusalSource), Window>>,
}

/// Refusals of one event that got no row of their own.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::issuer) struct Counted {
    pub(in crate::issuer) event: AuditEvent,
    pub(in crate::issuer) cause: RefusalSource,
    pub(in crate::issuer) count: u64,
}

impl Refusals {
    pub(in crate::issuer) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            in_all: KeyedLimiter::new(clock, in_all()),
            reserved: KeyedLimiter::new(clock, reserved()),
            windows: Mutex::default(),
        }
    }

    /// Returns whether a refusal gets its own row; if not, counts it.
    pub(in crate::issuer) fn admit(&self, event: AuditEvent, source: Source, now: Timestamp) -> bool {
        self.with(event, RefusalSource::Site(source.site), now, |window| {
            let of_host = window.hosts.get(&source.host).copied().unwrap_or_default();
            let admitted = of_host < ROWS_OF_HOST
                && window.written < ROWS_OF_SITE
                && (self.in_all.take((), in_all()).is_ok()
                    || (window.written < FIRST_ROWS && self.reserved.take((), reserved()).is_ok()));
            if admitted {
                window.hosts.insert(source.host, of_host.saturating_add(1));
            }
            admitted
        })
    }

    /// Counts a refusal that gets no row of its own.
    pub(in crate::issuer) fn count(&self, event: AuditEvent, source: Source, now: Timestamp) {
        self.with(event, RefusalSource::Site(source.site), now, |_| false);
    }

    /// Returns whether an action of a client for a user gets its own row; if not, counts it.
    pub(in crate::issuer) fn admit_of(&self, event: AuditEvent, user: &AccountId, now: Timestamp) -> bool {
        self.with(event, RefusalSource::User(user.clone()), now, |window| window.written < ROWS_OF_USER)
    }

    fn with(
        &self,
        event: AuditEvent,
        cause: RefusalSource,
        now: Timestamp,
        admit: impl FnOnce(&mut Window) -> bool,
    ) -> bool {
        let mut windows = lock(&self.windows);
        let key = (event, cause);
        let crowded = windows.len() >= MAX_KEYS && !windows.contains_key(&key);
        let key = if crowded { (event, RefusalSource::Several) } else { key };
        let fresh = || Window { began: now, written: 0, hosts: HashMap::new(), counted: 0 };
        let window = windows.entry(key).or_insert_with(fresh);
        let admitted = admit(window);
        if admitted {
            window.written = window.written.saturating_add(1);
        } else {
            window.counted = window.counted.saturating_add(1);
        }
        admitted
    }

    /// Closes the windows whose minute is over; returns what was only counted in them, largest count first.
    pub(in crate::issuer) fn take_finished(&self, now: Timestamp) -> Vec<Counted> {
        self.take(|window| {
            // A clock set back must not keep windows open: times in the future count as now.
            window.began = window.began.min(now);
            now.since(window.began) >= WINDOW
        })
    }

    /// Closes all windows, whether or not their minute is over.
    pub(in crate::issuer) fn take_all(&self) -> Vec<Counted> {
        self.take(|_| true)
    }

    fn take(&self, is_over: impl Fn(&mut Window) -> bool) -> Vec<Counted> {
        let mut windows = lock(&self.windows);
        let mut finished = Vec::new();
        for ((event, cause), window) in windows.extract_if(|_, window| is_over(window)) {
            if window.counted > 0 {
                finished.push(Counted { event, cause, count: window.counted });
            }
        }
        drop(windows);
        finished.sort_by_key(|c| std::cmp::Reverse(c.count));
        let mut rest: HashMap<AuditEvent, u64> = HashMap::new();
        for counted in finished.drain(COUNTS_TOLD.min(finished.len())..) {
            let sum = rest.entry(counted.event).or_default();
            *sum = sum.saturating_add(counted.count);
        }
        finished.extend(rest.into_iter().map(|(event, count)| Counted { event, cause: RefusalSource::Several, count }));
        finished
    }
}

fn in_all() -> Quota {
    quota(PER_SECOND, Duration::from_secs(1), BURST)
}

fn reserved() -> Quota {
    quota(RESERVED_PER_SECOND, Duration::from_secs(1), RESERVED_BURST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const START: Timestamp = Timestamp::from_secs(1_000_000);
    const EVENT: AuditEvent = AuditEvent::AuthorizationRefused;

    fn refusals() -> Refusals {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(START));
        Refusals::new(&clock)
    }

    /// A host that is alone at its site.
    fn alone(n: u32) -> Source {
        let [_, a, b, c] = n.to_be_bytes();
        Source { site: [a.max(10), b, c, 0].into(), host: [a.max(10), b, c, 7].into() }
    }

    fn at(site: [u8; 3], host: u8) -> Source {
        let [a, b, c] = site;
        Source { site: [a, b, c, 0].into(), host: [a, b, c, host].into() }
    }

    #[test]
    fn of_one_host_twenty_are_written_and_the_rest_counted_exactly() {
        let refusals = refusals();
        let here = at([192, 0, 2], 1);
        assert_eq!((0..1000).filter(|_| refusals.admit(EVENT, here, START)).count(), 20);
        assert!(refusals.admit(AuditEvent::LoginThrottled, here, START), "another event");
        assert!(refusals.admit(EVENT, at([192, 0, 3], 1), START), "another site");
        assert!(refusals.admit(EVENT, at([192, 0, 2], 2), START), "a neighbour");
        let over = START.plus(WINDOW);
        let counted = Counted { event: EVENT, cause: RefusalSource::Site(here.site), count: 980 };
        assert_eq!(refusals.take_finished(over), [counted]);
        assert_eq!(refusals.take_finished(over.plus(WINDOW)), []);
        assert!(refusals.admit(EVENT, here, over), "a new minute");
    }

    #[test]
    fn of_one_site_sixty_are_written_however_many_hosts_it_has() {
        let refusals = refusals();
        let hosts = (0..=255_u8).map(|host| at([192, 0, 2], host));
        assert_eq!(hosts.flat_map(|host| [host; 10]).filter(|host| refusals.admit(EVENT, *host, START)).count(), 60);
    }

    #[test]
    fn of_one_user_sixty_are_written_and_nothing_of_it_counts_for_others() {
        let refusals = refusals();
        let (alice, bob) = (AccountId::parse("alice").unwrap(), AccountId::parse("bob").unwrap());
        let refreshed = AuditEvent::TokenRefreshed;
        assert_eq!((0..1000).filter(|_| refusals.admit_of(refreshed, &alice, START)).count(), 60);
        assert!(refusals.admit_of(refreshed, &bob, START) && refusals.admit(EVENT, alone(1), START));
        let counted = Counted { event: refreshed, cause: RefusalSource::User(alice), count: 940 };
        assert_eq!(refusals.take_all(), [counted]);
    }

    #[test]
    fn what_is_counted_is_told_when_the_process_ends_in_the_minute() {
        let refusals = refusals();
        let here = alone(1);
        assert_eq!((0..30).filter(|_| refusals.admit(EVENT, here, START)).count(), 20);
        assert_eq!(refusals.take_finished(START), []);
        let counted = Counted { event: EVENT, cause: RefusalSource::Site(here.site), count: 10 };
        assert_eq!(refusals.take_all(), [counted]);
    }

    #[test]
    fn many_sites_do_not_hide_what_another_is_refused() {
        let refusals = refusals();
        let of_attacker = (0..30_u8).map(|n| at([198, 51, n], 1));
        let written = of_attacker.flat_map(|n| [n; 30]).filter(|n| refusals.admit(EVENT, *n, START)).count();
        assert!((500..=600).contains(&written), "{written}");
        assert!(refusals.admit(EVENT, at([192, 0, 2], 1), START));
    }

    #[test]
    fn a_flood_of_sites_is_bounded_in_memory_and_in_rows_and_still_counted() {
        let refusals = refusals();
        let mut written = 0;
        for n in 0..20_000_u32 {
            written += u64::from(refusals.admit(EVENT, alone(n), START));
        }
        assert!(refusals.windows.lock().unwrap().len() <= MAX_KEYS + 1);
        let counted = refusals.take_finished(START.plus(WINDOW));
        assert!(counted.len() <= COUNTS_TOLD + 1, "{}", counted.len());
        assert_eq!(written + counted.iter().map(|c| c.count).sum::<u64>(), 20_000);
    }
}
