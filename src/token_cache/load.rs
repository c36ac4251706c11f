//! The expensive path: asking the store for a token that is not in memory. `loading.rs` knows who waits for which token,
//! `reading.rs` in which order they are read.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use tokio::sync::oneshot;

use super::admitting::Admitting;
use super::entry::Key;
use super::loading::{LoadGuard, Role};
use super::reading::{Added, ReadRequest, ReadResult, Reader};
use super::{Load, TokenCache};
use crate::oauth::{AccessToken, AccessTokenRecord, TenantId, Timestamp, TokenHash};
use crate::store::StoreError;
use crate::sync::lock;

/// How often a token is read again because something was revoked during the read.
const ATTEMPTS: u32 = 3;

impl TokenCache {
    /// Asks the store for a token that is not in memory: format and MAC first, then once for all who wait for it.
    /// `site` is where the request comes from ([`crate::network::site`]): tokens of many sites are read in turns.
    pub async fn load(self: &Arc<Self>, tenant: &TenantId, presented: &[u8], hash: TokenHash, site: IpAddr) -> Load {
        // TV-06, TV-07: what we never made costs no read, no matter who sends it or how often.
        if AccessToken::recognise(presented, &self.keys.load()) != Some(hash) {
            return Load::Inactive;
        }
        let answer = self.load_genuine((tenant.clone(), hash), site).await;
        // A key may have been taken away while the store was asked.
        let is_refused = matches!(answer, Load::Active(..)) && !self.prove_loaded(presented, &hash);
        if is_refused { Load::Inactive } else { answer }
    }

    async fn load_genuine(self: &Arc<Self>, key: Key, site: IpAddr) -> Load {
        if lock(&self.loading.refused).stands(&key, self.clock.now()) {
            return Load::Inactive;
        }
        loop {
            match self.loading.join(&key) {
                Role::Follow(mut load_in_flight) => {
                    if let Ok(answer) = load_in_flight.wait_for(Option::is_some).await.map(|a| a.clone()) {
                        return answer.unwrap_or(Load::Unknown);
                    }
                }
                Role::Lead(load_in_flight) => {
                    let guard = LoadGuard(&self.loading, &key);
                    let (answer, stands) = self.find(&key, site).await;
                    drop(guard);
                    // A request that began to wait later than the read must not take it for news: without an answer it
                    // leads itself.
                    if stands {
                        load_in_flight.send_replace(Some(answer.clone()));
                    }
                    return answer;
                }
            }
        }
    }

    /// Finds a token in the store; also whether the answer still stood when it was there.
    async fn find(self: &Arc<Self>, key: &Key, site: IpAddr) -> (Load, bool) {
        for attempt in 1..=ATTEMPTS {
            let Some(ReadResult { found, generation, now }) = self.ask_store(key, site).await else {
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
                Admitting::Admitted(principal) => return (Load::Active(principal, token.expires_at), true),
                Admitting::Revoked => return (Load::Inactive, true),
                // After the last attempt: it stood when it was read, which was during this request; it is not kept.
                Admitting::Outdated(principal) if attempt == ATTEMPTS => {
                    return (Load::Active(principal, token.expires_at), false);
                }
                Admitting::Outdated(_) => {}
            }
        }
        (Load::Unknown, true)
    }

    /// Asks the store for a token, together with others. `None` if it cannot say, or too many of this site wait.
    pub(super) async fn ask_store(self: &Arc<Self>, key: &Key, site: IpAddr) -> Option<ReadResult> {
        let (answer, answered) = oneshot::channel();
        match self.loading.reading.add(site, ReadRequest { key: key.clone(), answer }) {
            Added::Refused => {
                tracing::debug!(%site, "too many tokens of one site wait to be looked up");
                return None;
            }
            Added::First => drop(tokio::spawn(Arc::clone(self).read_waiting())),
            Added::Later => {}
        }
        answered.await.ok()
    }

    /// Reads until no token waits.
    async fn read_waiting(self: Arc<Self>) {
        let reading = &self.loading.reading;
        let mut reader = Reader { reading, is_done: false };
        loop {
            reading.pace().await;
            let Some(questions) = reading.next() else { break };
            // TV-24: noted before the read, compared at insertion. A revocation in between wins.
            let generation = self.generation.load(SeqCst);
            let now = self.clock.now();
            let (keys, answers): (Vec<_>, Vec<_>) = questions.into_iter().map(|q| (q.key, q.answer)).unzip();
            let found = self.read(&keys, now).await;
            // While memory is being filled, a good token is not in it through no fault of whoever presents it: it is read as soon
            // as the store can, and only what is no good is rationed.
            let is_free = self.is_filling() && found.iter().any(|found| matches!(found, Ok(Some(_))));
            reading.count(!is_free);
            self.note_void(&keys, &found, now).await;
            for (answer, found) in answers.into_iter().zip(found) {
                // An error is no answer: the receiver sees that the sender is gone.
                if let Ok(found) = found {
                    let _left = answer.send(ReadResult { found, generation, now });
                }
            }
        }
        reader.is_done = true;
    }

    /// Notes those that came with a lost answer among the tokens that are not honoured: their families are to end.
    async fn note_void(&self, keys: &[Key], found: &[Result<Option<AccessTokenRecord>, StoreError>], now: Timestamp) {
        let refused = keys.iter().zip(found).filter(|(_, found)| matches!(found, Ok(None)));
        let refused: Vec<Key> = refused.map(|(key, _)| key.clone()).collect();
        if refused.is_empty() {
            return;
        }
        match self.store.find_void_tokens(&refused, now).await {
            Ok(void) => refused.iter().zip(void).filter(|(_, is_void)| *is_void).for_each(|(key, _)| {
                self.uses.note(&key.0, key.1);
            }),
            Err(error) => tracing::warn!(%error, "void tokens could not be looked for"),
        }
    }

    /// Reads these tokens in one go. If one of them is damaged, one by one, so that the others are not refused with it.
    async fn read(&self, keys: &[Key], now: Timestamp) -> Vec<Result<Option<AccessTokenRecord>, StoreError>> {
        match self.store.find_access_tokens(keys, now).await {
            Ok(found) => found.into_iter().map(Ok).collect(),
            Err(StoreError::Corrupt(_)) if keys.len() > 1 => {
                let mut found = Vec::with_capacity(keys.len());
                for (tenant, hash) in keys {
                    found.push(self.store.find_access_token(tenant, hash, now).await);
                }
                found
            }
            Err(error) => {
                tracing::debug!(%error, tokens = keys.len(), "tokens could not be read");
                Vec::new()
            }
        }
    }
}
