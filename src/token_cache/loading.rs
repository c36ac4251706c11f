//! The expensive path: asking the store for a token that is not in memory. One question for all requests with the same
//! token, and a short memory for "no"; `reading.rs` asks the store.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::reading::{Answer, Reading};
use super::{Admission, Load, TokenCache, lock};
use crate::oauth::{AccessToken, AccessTokenRecord, Lifetime, TenantId, Timestamp, TokenHash};

/// How long "no" is remembered: after a client or an account is enabled again, its tokens are refused for this long.
const NO_LASTS: Lifetime = Lifetime::from_secs(10);
/// How many "no" are remembered: some 10 MB. Only tokens with our MAC get this far.
const MOST_NOS: usize = 100_000;
/// How often a token is read again because something was revoked during the read.
const ATTEMPTS: u32 = 3;

/// A token of a tenant.
pub(super) type Key = (TenantId, TokenHash);

/// Tokens that are being looked for, and answers of late.
#[derive(Debug)]
pub(super) struct Loading {
    flights: Mutex<HashMap<Key, watch::Receiver<Option<Load>>>>,
    refused: Mutex<Refused>,
    pub(super) reading: Reading,
}

/// Tokens that the store refused a moment ago.
#[derive(Debug, Default)]
struct Refused {
    until: HashMap<Key, Timestamp>,
    /// In the order in which they were refused.
    order: VecDeque<(Timestamp, Key)>,
}

enum Role {
    Lead(watch::Sender<Option<Load>>),
    Follow(watch::Receiver<Option<Load>>),
}

/// Ends a flight, also when the request that leads it is dropped: those that wait then lead themselves.
struct Landing<'a>(&'a Loading, &'a Key);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        lock(&self.0.flights).remove(self.1);
    }
}

impl Refused {
    fn remember(&mut self, key: &Key, now: Timestamp) {
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
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
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

    fn board(&self, key: &Key) -> Role {
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

impl TokenCache {
    /// Asks the store for a token that is not in memory: format and MAC first, then once for all who wait for it.
    /// `site` is where the request comes from ([`crate::network::site`]): tokens of many sites are read in turns.
    pub async fn load(self: &Arc<Self>, tenant: &TenantId, presented: &[u8], hash: TokenHash, site: IpAddr) -> Load {
        // TV-06, TV-07: what we never made costs no read, whoever sends it and however often.
        if AccessToken::recognise(presented, &self.keys.load()) != Some(hash) {
            return Load::Inactive;
        }
        let answer = self.load_genuine((tenant.clone(), hash), site).await;
        // A key may have been taken away while the store was asked.
        let is_refused = matches!(answer, Load::Active(..)) && !self.prove_loaded(presented, &hash);
        if is_refused { Load::Inactive } else { answer }
    }

    async fn load_genuine(self: &Arc<Self>, key: Key, site: IpAddr) -> Load {
        if lock(&self.loading.refused).until.get(&key).is_some_and(|until| self.clock.now() < *until) {
            return Load::Inactive;
        }
        loop {
            match self.loading.board(&key) {
                Role::Follow(mut flight) => {
                    if let Ok(answer) = flight.wait_for(Option::is_some).await.map(|a| a.clone()) {
                        return answer.unwrap_or(Load::Unknown);
                    }
                }
                Role::Lead(flight) => {
                    let landing = Landing(&self.loading, &key);
                    let (answer, stands) = self.find(&key, site).await;
                    drop(landing);
                    // A request that began to wait later than the read must not take it for news: without an answer it
                    // leads itself.
                    if stands {
                        flight.send_replace(Some(answer.clone()));
                    }
                    return answer;
                }
            }
        }
    }

    /// Finds a token in the store; also whether the answer still stood when it was there.
    async fn find(self: &Arc<Self>, key: &Key, site: IpAddr) -> (Load, bool) {
        for attempt in 1..=ATTEMPTS {
            let Some(Answer { found, generation, now }) = self.ask_store(key, site).await else {
                return (Load::Unknown, true);
            };
            let Some(token) = found else {
                lock(&self.loading.refused).remember(key, now);
                return (Load::Inactive, true);
            };
            if token.reports_use {
                self.uses.note(&key.0, key.1);
            }
            let token = AccessTokenRecord { reports_use: false, ..token };
            match self.admit(&token, generation) {
                Admission::Admitted(principal) => return (Load::Active(principal, token.expires_at), true),
                Admission::Revoked => return (Load::Inactive, true),
                // After the last attempt: it stood when it was read, which was during this request; it is not kept.
                Admission::Outdated(principal) if attempt == ATTEMPTS => {
                    return (Load::Active(principal, token.expires_at), false);
                }
                Admission::Outdated(_) => {}
            }
        }
        (Load::Unknown, true)
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Lifetime, MOST_NOS, Refused, TenantId, Timestamp, TokenHash};

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
}
