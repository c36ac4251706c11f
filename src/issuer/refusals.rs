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

/// Rows of one event from one network in a minute; further ones are counted, and the count gets a row.
const ROWS: u32 = 100;
const WINDOW: Lifetime = Lifetime::from_secs(60);

/// Rows in all: 5 a second in the long run (about 90 MB a day at most), with a burst that a person or a test suite does
/// not reach.
const PER_SECOND: u32 = 5;
const BURST: u32 = 500;

/// Kept for the first rows of each event and network when the many have used up the rest.
const FIRST_ROWS: u32 = 3;
const RESERVED_PER_SECOND: u32 = 1;
const RESERVED_BURST: u32 = 100;

/// Events and networks told apart at most; further networks share one entry for each event.
const MAX_KEYS: usize = 10_000;

/// Counts that get a row of their own each time; the rest share one for each event.
const COUNTS_TOLD: usize = 50;

/// How often finished windows are looked for.
const LOOK_EVERY: Lifetime = Lifetime::from_secs(10);

type Key = (AuditEvent, IpAddr);

struct Window {
    began: Timestamp,
    written: u32,
    counted: u64,
}

#[derive(Default)]
struct State {
    windows: HashMap<Key, Window>,
    looked_at: Timestamp,
}

/// Refusals of late.
pub(super) struct Refusals {
    in_all: Budget<()>,
    reserved: Budget<()>,
    state: Mutex<State>,
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
        Self { in_all: Budget::new(clock, in_all()), reserved: Budget::new(clock, reserved()), state: Mutex::default() }
    }

    /// Returns whether this one gets its own row; if not, it is counted.
    pub(super) fn admit(&self, event: AuditEvent, network: IpAddr, now: Timestamp) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = &mut state.windows;
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
    pub(super) fn finished(&self, now: Timestamp) -> Vec<Counted> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock set back must not keep windows open: what lies in the future happened now.
        state.looked_at = state.looked_at.min(now);
        if now.since(state.looked_at) < LOOK_EVERY {
            return Vec::new();
        }
        state.looked_at = now;
        let mut finished = Vec::new();
        state.windows.retain(|(event, network), window| {
            window.began = window.began.min(now);
            let is_over = now.since(window.began) >= WINDOW;
            if is_over && window.counted > 0 {
                let network = Some(*network).filter(|n| !n.is_unspecified());
                finished.push(Counted { event: *event, network, count: window.counted });
            }
            !is_over
        });
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
    fn of_one_network_a_hundred_are_written_and_the_rest_counted_exactly() {
        let refusals = refusals();
        let here = IpAddr::from([192, 0, 2, 0]);
        assert_eq!((0..1000).filter(|_| refusals.admit(EVENT, here, START)).count(), 100);
        assert!(refusals.admit(AuditEvent::LoginThrottled, here, START), "another event");
        assert!(refusals.admit(EVENT, IpAddr::from([192, 0, 3, 0]), START), "another network");
        let over = START.plus(WINDOW);
        assert_eq!(refusals.finished(over), [Counted { event: EVENT, network: Some(here), count: 900 }]);
        assert_eq!(refusals.finished(over.plus(WINDOW)), []);
        assert!(refusals.admit(EVENT, here, over), "a new minute");
    }

    #[test]
    fn many_networks_do_not_hide_what_another_is_refused() {
        let refusals = refusals();
        let of_attacker = (0..30_u8).map(|n| IpAddr::from([198, 51, n, 0]));
        let written = of_attacker.flat_map(|n| [n; 100]).filter(|n| refusals.admit(EVENT, *n, START)).count();
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
        assert!(refusals.state.lock().unwrap().windows.len() <= MAX_KEYS + 1);
        let counted = refusals.finished(START.plus(WINDOW));
        assert!(counted.len() <= COUNTS_TOLD + 1, "{}", counted.len());
        assert_eq!(written + counted.iter().map(|c| c.count).sum::<u64>(), 20_000);
    }
}
