//! The expensive path: asking the store for a token that is not in memory. One read for all that wait for the same
//! token, few reads a second for all others, and a short memory for "no".

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Mutex;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::watch;

use super::{Admission, Load, TokenCache, lock};
use crate::oauth::{AccessToken, AccessTokenRecord, Lifetime, TenantId, Timestamp, TokenHash};

/// How long "no" is remembered: a client that was just switched on again waits this long at most.
const NO_LASTS: Lifetime = Lifetime::from_secs(10);
/// How many "no" are remembered: some 10 MB. Only tokens with our MAC get this far.
const MOST_NOS: usize = 100_000;
/// How often a token is read again because something was revoked during the read.
const ATTEMPTS: u32 = 3;

/// Whose token, and which.
type Key = (TenantId, TokenHash);

/// Loads under way, and answers of late.
#[derive(Debug)]
pub(super) struct Loading {
    flights: Mutex<HashMap<Key, watch::Receiver<Option<Load>>>>,
    nos: Mutex<HashMap<Key, Timestamp>>,
    reads: DefaultDirectRateLimiter,
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

impl Loading {
    pub(super) fn new(reads_per_second: u32) -> Self {
        let rate = NonZeroU32::new(reads_per_second).unwrap_or(NonZeroU32::MIN);
        Self { flights: Mutex::default(), nos: Mutex::default(), reads: RateLimiter::direct(Quota::per_second(rate)) }
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

    fn remember_no(&self, key: &Key, now: Timestamp) {
        let mut nos = lock(&self.nos);
        if nos.len() < MOST_NOS {
            nos.insert(key.clone(), now.plus(NO_LASTS));
        }
    }

    pub(super) fn forget_no(&self, token: &AccessTokenRecord) {
        lock(&self.nos).remove(&(token.tenant.clone(), token.hash));
    }

    pub(super) fn forget_old(&self, now: Timestamp) {
        lock(&self.nos).retain(|_, until| now < *until);
    }
}

impl TokenCache {
    /// Asks the store for a token that is not in memory: format and MAC first, then one read for all waiters.
    pub async fn load(&self, tenant: &TenantId, presented: &[u8], hash: TokenHash) -> Load {
        // TV-06, TV-07: what we never made costs no read, whoever sends it and however often.
        if AccessToken::recognise(presented, &self.keys) != Some(hash) {
            return Load::Inactive;
        }
        let key = (tenant.clone(), hash);
        if lock(&self.loading.nos).get(&key).is_some_and(|until| self.clock.now() < *until) {
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
                    let (answer, stands) = self.read(&key).await;
                    drop(landing);
                    // Who came to wait later than the read must not take it for news: without an answer they lead.
                    if stands {
                        flight.send_replace(Some(answer.clone()));
                    }
                    return answer;
                }
            }
        }
    }

    /// Reads a token; also whether the answer still stood when it was there.
    async fn read(&self, key: &Key) -> (Load, bool) {
        for attempt in 1..=ATTEMPTS {
            if self.loading.reads.check().is_err() {
                tracing::debug!("too many token reads");
                return (Load::Unknown, true);
            }
            // TV-24: noted before the read, compared at insertion. A revocation in between wins.
            let generation = self.generation.load(std::sync::atomic::Ordering::SeqCst);
            let now = self.clock.now();
            let token = match self.store.find_access_token(&key.0, &key.1, now).await {
                Ok(Some(token)) => token,
                Ok(None) => {
                    self.loading.remember_no(key, now);
                    return (Load::Inactive, true);
                }
                Err(error) => {
                    tracing::debug!(%error, "a token could not be read");
                    return (Load::Unknown, true);
                }
            };
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
