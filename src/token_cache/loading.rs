//! Tokens that are being looked for: one question for all requests with the same token, and a short memory for "no".

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use tokio::sync::watch;

use super::answer::Load;
use super::entry::Key;
use super::reading::Reading;
use crate::oauth::{AccessTokenRecord, Lifetime, Timestamp};
use crate::sync::lock;

/// How long "no" is remembered: after a client or an account is enabled again, its tokens are refused for this long.
const NO_LASTS: Lifetime = Lifetime::from_secs(10);
/// How many "no" are remembered: some 10 MB. Only tokens with our MAC get this far.
const MOST_NOS: usize = 100_000;

/// Tokens that are being looked for, and answers of late.
#[derive(Debug)]
pub(super) struct Loading {
    flights: Mutex<HashMap<Key, watch::Receiver<Option<Load>>>>,
    pub(super) refused: Mutex<Refused>,
    pub(super) reading: Reading,
}

/// Tokens that the store refused a moment ago.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) until: HashMap<Key, Timestamp>,
    /// In the order in which they were refused.
    order: VecDeque<(Timestamp, Key)>,
}

pub(super) enum Role {
    Lead(watch::Sender<Option<Load>>),
    Follow(watch::Receiver<Option<Load>>),
}

/// Ends a flight, also when the request that leads it is dropped: those that wait then lead themselves.
pub(super) struct Landing<'a>(pub(super) &'a Loading, pub(super) &'a Key);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        lock(&self.0.flights).remove(self.1);
    }
}

/// Whether "no" is still remembered. What a clock that was ahead has refused may be good now, and is asked for again.
fn stands(until: Timestamp, now: Timestamp) -> bool {
    now < until && until <= now.plus(NO_LASTS)
}

impl Refused {
    pub(super) fn stands(&self, key: &Key, now: Timestamp) -> bool {
        self.until.get(key).is_some_and(|until| stands(*until, now))
    }

    pub(super) fn remember(&mut self, key: &Key, now: Timestamp) {
        self.forget_old(now);
        if self.order.len() >= MOST_NOS
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.until.remove(&oldest);
        }
        let until = now.plus(NO_LASTS);
        self.until.insert(key.clone(), until);
        self.order.push_back((until, key.clone()));
    }

    fn forget_old(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(until, _)| !stands(*until, now)) {
            let Some((until, key)) = self.order.pop_front() else { return };
            // It may have been refused again since.
            if self.until.get(&key) == Some(&until) {
                self.until.remove(&key);
            }
        }
    }
}

impl Loading {
    pub(super) fn new(reads_per_second: u32) -> Self {
        Self { flights: Mutex::default(), refused: Mutex::default(), reading: Reading::new(reads_per_second) }
    }

    pub(super) fn board(&self, key: &Key) -> Role {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(key) {
            return Role::Follow(flight.clone());
        }
        let (lead, follow) = watch::channel(None);
        flights.insert(key.clone(), follow);
        Role::Lead(lead)
    }

    pub(super) fn forget_no(&self, token: &AccessTokenRecord) {
        lock(&self.refused).until.remove(&(token.tenant.clone(), token.hash));
    }

    pub(super) fn forget_old(&self, now: Timestamp) {
        lock(&self.refused).forget_old(now);
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Lifetime, MOST_NOS, Refused, Timestamp};
    use crate::oauth::{TenantId, TokenHash};

    fn key(n: usize) -> Key {
        (TenantId::default(), TokenHash::of(&n.to_be_bytes()))
    }

    #[test]
    fn refusals_are_forgotten_when_they_are_old_or_too_many() {
        let mut refused = Refused::default();
        let begin = Timestamp::from_secs(1_800_000_000);
        (0..=MOST_NOS).for_each(|n| refused.remember(&key(n), begin));
        assert_eq!((refused.until.len(), refused.order.len()), (MOST_NOS, MOST_NOS));
        assert!(!refused.until.contains_key(&key(0)) && refused.until.contains_key(&key(MOST_NOS)));
        let later = begin.plus(Lifetime::from_secs(5));
        refused.remember(&key(MOST_NOS), later);
        refused.remember(&key(0), begin.plus(Lifetime::from_secs(11)));
        assert_eq!(refused.until.len(), 2, "the newest of before was refused again");
    }

    #[test]
    fn ck_what_a_clock_that_was_ahead_has_refused_is_asked_for_again() {
        let mut refused = Refused::default();
        let now = Timestamp::from_secs(1_800_000_000);
        let ahead = now.plus(Lifetime::from_secs(200 * 86_400));
        refused.remember(&key(1), ahead);
        assert!(refused.stands(&key(1), ahead) && !refused.stands(&key(1), now));
        refused.remember(&key(2), now);
        assert!(refused.stands(&key(2), now));
        assert_eq!((refused.until.len(), refused.order.len()), (1, 1));
    }
}
