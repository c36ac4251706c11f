//! Networks from which an account's owner has logged in: there, what strangers do to his name does not keep him out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::oauth::{Lifetime, Timestamp, TokenHash};

/// How long a network stays familiar after the last login.
const KEPT: Lifetime = Lifetime::from_secs(90 * 24 * 3600);

/// Networks held at most, some megabytes; beyond that the oldest goes.
const MAX_KEYS: usize = 50_000;

/// The last login, and the failures since.
struct Known {
    last: Timestamp,
    failures: u32,
}

/// Names with the networks that their owners use.
#[derive(Default)]
pub(super) struct Familiar(Mutex<HashMap<(TokenHash, IpAddr), Known>>);

impl Familiar {
    /// Remembers a login, at `now` or as the store has it since before a restart.
    pub(super) fn succeeded(&self, key: (TokenHash, IpAddr), now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KEYS && !known.contains_key(&key) {
            known.retain(|_, k| now.since(k.last) < KEPT);
            let oldest = known.iter().min_by_key(|(_, k)| k.last).map(|(key, _)| *key);
            if let Some(oldest) = oldest.filter(|_| known.len() >= MAX_KEYS) {
                known.remove(&oldest);
            }
        }
        known.insert(key, Known { last: now, failures: 0 });
    }

    /// Counts a failure; after `limit` of them in a row the network must be forgotten: whether that is so now.
    pub(super) fn failed(&self, key: (TokenHash, IpAddr), limit: u32) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = known.get_mut(&key) else { return false };
        entry.failures = entry.failures.saturating_add(1);
        entry.failures >= limit
    }

    /// Makes a network as strange as any other, unless the owner has logged in again meanwhile.
    pub(super) fn forget(&self, key: &(TokenHash, IpAddr), limit: u32) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(key).is_some_and(|k| k.failures >= limit) {
            known.remove(key);
        }
    }

    /// Returns whether the owner of the name uses this network.
    pub(super) fn knows(&self, key: &(TokenHash, IpAddr), now: Timestamp) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).is_some_and(|k| now.since(k.last) < KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn li_02_a_network_is_familiar_for_ninety_days_until_it_guesses() {
        let (familiar, start) = (Familiar::default(), Timestamp::from_secs(1_000_000));
        let key = (TokenHash::of(b"ada"), IpAddr::from([192, 0, 2, 0]));
        assert!(!familiar.knows(&key, start));
        familiar.succeeded(key, start);
        assert!(familiar.knows(&key, start) && !familiar.knows(&(TokenHash::of(b"bob"), key.1), start));
        assert!(!familiar.knows(&key, start.plus(KEPT)));
        assert!(!familiar.failed(key, 2));
        assert!(familiar.knows(&key, start));
        assert!(familiar.failed(key, 2));
        assert!(familiar.knows(&key, start), "until the store has forgotten it");
        familiar.forget(&key, 2);
        assert!(!familiar.knows(&key, start));
        familiar.succeeded(key, start);
        familiar.forget(&key, 2);
        assert!(familiar.knows(&key, start), "the owner was there meanwhile");
    }
}
