//! `Breaker`: after failed connects an upstream is left alone for a moment, and then tried by one request at a time.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::lock;

/// Consecutive failures that open the breaker: more than a restart between two requests causes.
const ENOUGH: u32 = 5;
/// Failures further apart than this are not consecutive.
const IN_A_ROW: Duration = Duration::from_secs(10);
/// How long the breaker stays open; also the `Retry-After` of requests meanwhile.
pub(in crate::proxy) const REST: Duration = Duration::from_secs(1);

/// The outcomes of the last connects to one upstream.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    failed_at: Option<Instant>,
    is_probed: bool,
}

/// One attempt to connect. Dropping it says nothing about the upstream, because its request was given up.
#[derive(Debug)]
pub(in crate::proxy) struct Attempt<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Breaker {
    /// Returns the permission to connect; `None` while the breaker is open or another request is trying.
    pub(in crate::proxy) fn attempt(&self, now: Instant) -> Option<Attempt<'_>> {
        let mut state = self.lock();
        let is_probe = state.failures >= ENOUGH;
        let rests = state.failed_at.is_some_and(|at| now.saturating_duration_since(at) < REST);
        if is_probe && (rests || std::mem::replace(&mut state.is_probed, true)) {
            return None;
        }
        Some(Attempt { breaker: self, is_probe })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Attempt<'_> {
    /// Records how the attempt ended.
    pub(in crate::proxy) fn end(self, is_connected: bool, now: Instant) {
        let mut state = self.breaker.lock();
        let in_a_row = state.failed_at.is_some_and(|at| now.saturating_duration_since(at) < IN_A_ROW);
        match (is_connected, in_a_row || self.is_probe) {
            (true, _) => state.failures = 0,
            (false, true) => state.failures = state.failures.saturating_add(1),
            (false, false) => state.failures = 1,
        }
        state.failed_at = (!is_connected).then_some(now);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.lock().is_probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, ENOUGH, IN_A_ROW, REST};
    use std::time::Duration;
    use tokio::time::Instant;

    fn failing(breaker: &Breaker, now: Instant) {
        (0..ENOUGH).for_each(|_| breaker.attempt(now).unwrap().end(false, now));
    }

    #[test]
    fn up_13_after_failures_in_a_row_one_request_at_a_time_tries_again() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        failing(&breaker, now);
        assert!(breaker.attempt(now + REST / 2).is_none(), "it rests");
        let later = now + REST;
        let probe = breaker.attempt(later).unwrap();
        assert!(breaker.attempt(later).is_none(), "one at a time");
        drop(probe);
        breaker.attempt(later).expect("a probe that was given up leaves its place").end(false, later);
        assert!(breaker.attempt(later + REST / 2).is_none(), "it failed: another rest");
        breaker.attempt(later + REST).unwrap().end(true, later + REST);
        let all: Vec<_> = (0..100).map(|_| breaker.attempt(later + REST).expect("it is there again")).collect();
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn up_13_flapping_is_followed_and_rare_failures_are_not_in_a_row() {
        let breaker = Breaker::default();
        let mut now = Instant::now();
        for _ in 0..10 {
            failing(&breaker, now);
            assert!(breaker.attempt(now).is_none());
            now += Duration::from_secs(1);
            breaker.attempt(now).expect("up for a second").end(true, now);
            now += Duration::from_secs(1);
        }
        for _ in 0..10 * ENOUGH {
            breaker.attempt(now).expect("never broken").end(false, now);
            now += IN_A_ROW;
        }
    }
}
