//! `Repeats`: notices clients that ask again and again for what their grant lacks. A challenge each time would send
//! their user from one login to the next, so after a few they get words instead.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::rejection::{INSUFFICIENT_SCOPE, Rejection, RepeatedRefusal};
use crate::oauth::GrantId;
use crate::sync::lock;

/// The refusal from which on there are words instead of a challenge, counted from the first within [`WITHIN`].
const TIMES: u32 = 5;
const WITHIN: Duration = Duration::from_mins(1);
/// The most refusals that are remembered, some 600 KB. Where there is no room, each is answered as the first.
const MOST: usize = 10_000;

/// The challenges of the last minute, over all workers.
#[derive(Default)]
pub(super) struct Repeats {
    given: Mutex<HashMap<(GrantId, u64), GivenChallenge>>,
    texts: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct GivenChallenge {
    first: Instant,
    times: u32,
}

impl Repeats {
    /// Counts a refusal of a request of a grant; returns another one if this was given too often. `is_message` says
    /// whether the request is one JSON-RPC message, which can be answered on HTTP 200.
    pub(super) fn cut_short(&self, refusal: Rejection, grant: GrantId, is_message: bool, now: Instant) -> Rejection {
        let needs = if let Rejection::LackingScopes(lacking) = &refusal {
            lacking.needs.as_str()
        } else if matches!(refusal, Rejection::InsufficientScope) {
            INSUFFICIENT_SCOPE
        } else {
            return refusal;
        };
        if self.count((grant, self.texts.hash_one(needs)), now) < TIMES {
            return refusal;
        }
        let text = format!(
            "{needs}. This was refused {TIMES} times within a minute, and asking again does not change it: the user has \
             to connect this application again and allow it"
        );
        Rejection::Repeated(Box::new(RepeatedRefusal { text, is_message }))
    }

    fn count(&self, what: (GrantId, u64), now: Instant) -> u32 {
        let is_over = |given: &GivenChallenge| now.saturating_duration_since(given.first) >= WITHIN;
        let mut all = lock(&self.given);
        if all.len() >= MOST && !all.contains_key(&what) {
            all.retain(|_, given| !is_over(given));
            if all.len() >= MOST {
                return 1;
            }
        }
        let given = all.entry(what).or_insert(GivenChallenge { first: now, times: 0 });
        if is_over(given) {
            *given = GivenChallenge { first: now, times: 0 };
        }
        given.times = given.times.saturating_add(1);
        given.times
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Repeats, TIMES, WITHIN};
    use crate::oauth::GrantId;
    use crate::sync::lock;
    use tokio::time::Instant;

    fn grant(n: usize) -> GrantId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        GrantId(id)
    }

    #[test]
    fn refusals_are_counted_for_a_minute_and_each_grant_for_itself() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        for time in 1..=TIMES {
            assert_eq!(repeats.count((grant(0), 1), now), time);
            assert_eq!(repeats.count((grant(1), 1), now), time);
        }
        assert_eq!(repeats.count((grant(0), 2), now), 1, "another refusal");
        assert_eq!(repeats.count((grant(0), 1), now + WITHIN), 1);
    }

    #[test]
    fn as_many_are_remembered_as_there_is_room_for() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        for n in 0..MOST + 10 {
            repeats.count((grant(n), 1), now);
        }
        assert_eq!(lock(&repeats.given).len(), MOST);
        assert_eq!(repeats.count((grant(MOST), 1), now), 1);
        assert_eq!(repeats.count((grant(0), 1), now), 2, "those that there are go on");
        assert_eq!(repeats.count((grant(MOST), 1), now + WITHIN), 1);
        assert_eq!(lock(&repeats.given).len(), 1);
    }
}
