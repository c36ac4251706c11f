//! Tokens that are being loaded: one read for all requests with the same token, and a negative cache.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use tokio::sync::watch;

use super::answer::Load;
use super::entry::Key;
use super::reading::ReadQueue;
use crate::oauth::{AccessTokenRecord, Lifetime, Timestamp};
use crate::sync::lock;

/// How long a refusal is remembered; after a client or an account is enabled again, its tokens may be refused for this
/// long.
const REFUSAL_LASTS: Lifetime = Lifetime::from_secs(10);
/// The most refusals remembered, some 10 MB. Only tokens with a valid MAC get this far.
const MOST_REFUSALS: usize = 100_000;

/// Tokens that are being loaded, and recent refusals.
#[derive(Debug)]
pub(super) struct Loading {
    in_flight: Mutex<HashMap<Key, watch::Receiver<Option<Load>>>>,
    pub(super) refused: Mutex<NegativeCache>,
    pub(super) reading: ReadQueue,
}

/// Tokens that the store refused recently.
#[derive(Debug, Default)]
pub(super) struct NegativeCache {
    pub(super) until: HashMap<Key, Timestamp>,
    /// The refusals, oldest first.
    order: VecDeque<(Timestamp, Key)>,
}

pub(super) enum Role {
    Lead(watch::Sender<Option<Load>>),
    Follow(watch::Receiver<Option<Load>>),
}

/// Ends a load, also when the request that started it is dropped: one of the waiting requests then takes over.
pub(super) struct LoadGuard<'a>(pub(super) &'a Loading, pub(super) &'a Key);

impl Drop for LoadGuard<'_> {
    fn drop(&mut self) {
        lock(&self.0.in_flight).remove(self.1);
    }
}

/// Returns whether a refusal still counts. One from a clock that was ahead does not, because the token may be valid
/// now.
fn stands(until: Timestamp, now: Timestamp) -> bool {
    now < until && until <= now.plus(REFUSAL_LASTS)
}

impl NegativeCache {
    pub(super) fn stands(&self, key: &Key, now: Timestamp) -> bool {
        self.until.get(key).is_some_and(|until| stands(*until, now))
    }

    pub(super) fn remember(&mut self, key: &Key, now: Timestamp) {
        self.forget_old(now);
        if self.order.len() >= MOST_REFUSALS
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.until.remove(&oldest);
        }
        let until = now.plus(REFUSAL_LASTS);
        self.until.insert(key.clone(), until);
        self.order.push_back((until, key.clone()));
    }

    fn forget_old(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(until, _)| !stands(*until, now)) {
            let Some((until, key)) = self.order.pop_front() else { return };
            // The token may have been refused again since.
            if self.until.get(&key) == Some(&until) {
                self.until.remove(&key);
            }
        }
    }
}

impl Loading {
    pub(super) fn new(reads_per_second: u32) -> Self {
        Self { in_flight: Mutex::default(), refused: Mutex::default(), reading: ReadQueue::new(reads_per_second) }
    }

    pub(super) fn join(&self, key: &Key) -> Role {
        let mut in_flight = lock(&self.in_flight);
        if let Some(load_in_flight) = in_flight.get(key) {
            return Role::Follow(load_in_flight.clone());
        }
        let (lead, follow) = watch::channel(None);
        in_flight.insert(key.clone(), follow);
        Role::Lead(lead)
    }

    pub(super) fn forget_refusal(&self, token: &AccessTokenRecord) {
        lock(&self.refused).until.remove(&(token.tenant.clone(), token.hash));
    }

    pub(super) fn forget_old(&self, now: Timestamp) {
        lock(&self.refused).forget_old(now);
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Lifetime, MOST_REFUSALS, NegativeCache, Timestamp};
    use crate::oauth::{TenantId, TokenHash};

    fn key(n: usize) -> Key {
        (TenantId::default(), TokenHash::of(&n.to_be_bytes()))
    }

    #[test]
    fn refusals_are_forgotten_when_they_are_old_or_too_many() {
        let mut refused = NegativeCache::default();
        let begin = Timestamp::from_secs(1_800_000_000);
        (0..=MOST_REFUSALS).for_each(|n| refused.remember(&key(n), begin));
        assert_eq!((refused.until.len(), refused.order.len()), (MOST_REFUSALS, MOST_REFUSALS));
        assert!(!refused.until.contains_key(&key(0)) && refused.until.contains_key(&key(MOST_REFUSALS)));
        let later = begin.plus(Lifetime::from_secs(5));
        refused.remember(&key(MOST_REFUSALS), later);
        refused.remember(&key(0), begin.plus(Lifetime::from_secs(11)));
        assert_eq!(refused.until.len(), 2, "the newest of before was refused again");
    }

    #[test]
    fn ck_what_a_clock_that_was_ahead_has_refused_is_asked_for_again() {
        let mut refused = NegativeCache::default();
        let now = Timestamp::from_secs(1_800_000_000);
        let ahead = now.plus(Lifetime::from_secs(200 * 86_400));
        refused.remember(&key(1), ahead);
        assert!(refused.stands(&key(1), ahead) && !refused.stands(&key(1), now));
        refused.remember(&key(2), now);
        assert!(refused.stands(&key(2), now));
        assert_eq!((refused.until.len(), refused.order.len()), (1, 1));
    }
}
