//! Which refusals get an audit row of their own and which are only counted: by event and network, so that whoever causes
//! them by the thousand fills neither the disk nor the place of what others are refused.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::Quota;

use super::budget::{Budget, quota};
use crate::clock::Clock;
use crate::oauth::{Lifetime, Timestamp};
use crate::store::AuditEvent;

/// Rows of one event from one network in a minute; further ones are counted, and the count gets a row. With all the
/// events there are a network stays below what is for all.
const ROWS: u32 = 20;
const WINDOW: Lifetime = Lifetime::from_secs(60);

/// Rows in all: 5 a second in the long run, with a burst that a person or a test suite does not reach. With the reserve
/// and the counts some 6.5 a second, about 120 MB a day at most.
const PER_SECOND: u32 = 5;
const BURST: u32 = 500;

/// Kept for the first rows of each event and network when the many have used up the rest.
const FIRST_ROWS: u32 = 3;
const RESERVED_PER_SECOND: u32 = 1;
const RESERVED_BURST: u32 = 100;

/// Events and networks told apart at most; further networks share one entry for each event.
const MAX_KEYS: usize = 10_000;

/// Counts that get a row of their own each minute; the rest share one for each event.
const COUNTS_TOLD: usize = 10;

type Key = (AuditEvent, IpAddr);

struct Window {
    began: Timestamp,
    written: u32,
    counted: u64,
}

/// Refusals of late.
pub(super) struct Refusals {
    in_all: Budget<()>,
    reserved: Budget<()>,
    windows: Mutex<HashMap<Key, Window>>,
}

/// Refusals that got no row of their own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) event: AuditEvent,
    /// From where; `None`: from several networks.
    pub(super) network: Option<IpAddr>,
    pub(super) count: u64,
}

impl Refusals {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            in_all: Budget::new(clock, in_all()),
            reserved: Budget::new(clock, reserved()),
            windows: Mutex::default(),
        }
    }

    /// Returns whether this one gets its own row; if not, it is counted.
    pub(super) fn admit(&self, event: AuditEvent, network: IpAddr, now: Timestamp) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let crowded = windows.len() >= MAX_KEYS && !windows.contains_key(&(event, network));
        let network = if crowded { Ipv4Addr::UNSPECIFIED.into() } else { network };
        let window = windows.entry((event, network)).or_insert(Window { began: now, written: 0, counted: 0 });
        let admitted = window.written < ROWS
            && (self.in_all.take((), in_all()).is_ok()
                || (window.written < FIRST_ROWS && self.reserved.take((), reserved()).is_ok()));
        if admitted {
            window.written = window.written.saturating_add(1);
        } else {
            window.counted = window.counted.saturating_add(1);
        }
        admitted
    }

    /// Closes the windows whose minute is over; what was only counted in them, the most first.
    pub(super) fn take_finished(&self, now: Timestamp) -> Vec<Counted> {
        self.take(|window| {
            // A clock set back must not keep windows open: what lies in the future happened now.
            window.began = window.began.min(now);
            now.since(window.began) >= WINDOW
        })
    }

    /// Closes every window.
    pub(super) fn take_all(&self) -> Vec<Counted> {
        self.take(|_| true)
    }

    fn take(&self, is_over: impl Fn(&mut Window) -> bool) -> Vec<Counted> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut finished = Vec::new();
        for ((event, network), window) in windows.extract_if(|_, window| is_over(window)) {
            if window.counted > 0 {
                let network = Some(network).filter(|n| !n.is_unspecified());
                finished.push(Counted { event, network, count: window.counted });
            }
        }
        drop(windows);
        finished.sort_by_key(|c| std::cmp::Reverse(c.count));
        let mut rest: HashMap<AuditEvent, u64> = HashMap::new();
        for counted in finished.drain(COUNTS_TOLD.min(finished.len())..) {
            let sum = rest.entry(counted.event).or_default();
            *sum = sum.saturating_add(counted.count);
        }
        finished.extend(rest.into_iter().map(|(event, count)| Counted { event, network: None, count }));
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

    #[test]
    fn of_one_network_twenty_are_written_and_the_rest_counted_exactly() {
        let refusals = refusals();
        let here = IpAddr::from([192, 0, 2, 0]);
        assert_eq!((0..1000).filter(|_| refusals.admit(EVENT, here, START)).count(), 20);
        assert!(refusals.admit(AuditEvent::LoginThrottled, here, START), "another event");
        assert!(refusals.admit(EVENT, IpAddr::from([192, 0, 3, 0]), START), "another network");
        let over = START.plus(WINDOW);
        assert_eq!(refusals.take_finished(over), [Counted { event: EVENT, network: Some(here), count: 980 }]);
        assert_eq!(refusals.take_finished(over.plus(WINDOW)), []);
        assert!(refusals.admit(EVENT, here, over), "a new minute");
    }

    #[test]
    fn what_is_counted_is_told_when_the_process_ends_in_the_minute() {
        let refusals = refusals();
        let here = IpAddr::from([192, 0, 2, 0]);
        assert_eq!((0..30).filter(|_| refusals.admit(EVENT, here, START)).count(), 20);
        assert_eq!(refusals.take_finished(START), []);
        assert_eq!(refusals.take_all(), [Counted { event: EVENT, network: Some(here), count: 10 }]);
    }

    #[test]
    fn many_networks_do_not_hide_what_another_is_refused() {
        let refusals = refusals();
        let of_attacker = (0..30_u8).map(|n| IpAddr::from([198, 51, n, 0]));
        let written = of_attacker.flat_map(|n| [n; 30]).filter(|n| refusals.admit(EVENT, *n, START)).count();
        assert!((500..=600).contains(&written), "{written}");
        assert!(refusals.admit(EVENT, IpAddr::from([192, 0, 2, 0]), START));
    }

    #[test]
    fn a_flood_of_networks_is_bounded_in_memory_and_in_rows_and_still_counted() {
        let refusals = refusals();
        let mut written = 0;
        for n in 0..20_000_u32 {
            written += u64::from(refusals.admit(EVENT, Ipv4Addr::from_bits(0x0a00_0000 + (n << 8)).into(), START));
        }
        assert!(refusals.windows.lock().unwrap().len() <= MAX_KEYS + 1);
        let counted = refusals.take_finished(START.plus(WINDOW));
        assert!(counted.len() <= COUNTS_TOLD + 1, "{}", counted.len());
        assert_eq!(written + counted.iter().map(|c| c.count).sum::<u64>(), 20_000);
    }
}
