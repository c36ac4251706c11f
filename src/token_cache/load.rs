//! The slow path: reading a token that is not in the cache from the store. `loading.rs` tracks who waits for which
//! token, `reading.rs` the order of reads.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use tokio::sync::oneshot;

use super::admitting::Admitting;
use super::entry::Key;
use super::loading::{LoadGuard, Role};
use super::reading::{Added, ReadRequest, ReadResult, Reader};
use super::{Load, TokenCache};
use crate::oauth::{AccessTokenRecord, TenantId, Timestamp, TokenHash, recognise_bearer};
use crate::store::StoreError;
use crate::sync::lock;

/// How often a token is read again because something was revoked during the read.
const ATTEMPTS: u32 = 3;

impl TokenCache {
    /// Reads a token that is not in the cache: checks format and MAC first, then reads it once for all requests that
    /// wait for it. `site` is where the request comes from ([`crate::network::site`]): sites take turns.
    pub async fn load(self: &Arc<Self>, tenant: &TenantId, presented: &[u8], hash: TokenHash, site: IpAddr) -> Load {
        // TV-06, TV-07: a token that we did not issue costs no read, no matter who sends it or how often.
        if recognise_bearer(presented, &self.keys.load()) != Some(hash) {
            return Load::Inactive;
        }
        let answer = self.load_genuine((tenant.clone(), hash), site).await;
        // A key may have been removed while the store was read.
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
                    // A request that started to wait after the read must not use its result: without one, it reads
                    // again itself.
                    if stands {
                        load_in_flight.send_replace(Some(answer.clone()));
                    }
                    return answer;
                }
            }
        }
    }

    /// Finds a token in the store; also returns whether the result was still current when it arrived.
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
                Admitting::Admitted(principal) => {
                    return (Load::Active(principal, token.grant, token.expires_at), true);
                }
                Admitting::Revoked => return (Load::Inactive, true),
                // After the last attempt: the result was right when it was read, which was during this request, but it
                // is not cached.
                Admitting::Outdated(principal) if attempt == ATTEMPTS => {
                    return (Load::Active(principal, token.grant, token.expires_at), false);
                }
                Admitting::Outdated(_) => {}
            }
        }
        (Load::Unknown, true)
    }

    /// Reads a token from the store, together with others. `None` if that fails, or if too many requests of this site
    /// are waiting.
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

    /// Reads until no more tokens are waiting.
    async fn read_waiting(self: Arc<Self>) {
        let reading = &self.loading.reading;
        let mut reader = Reader { reading, is_done: false };
        loop {
            reading.pace().await;
            let Some(questions) = reading.next() else { break };
            // TV-24: taken before the read, compared at insertion. A revocation in between takes precedence.
            let generation = self.generation.load(SeqCst);
            let now = self.clock.now();
            let (keys, answers): (Vec<_>, Vec<_>) = questions.into_iter().map(|q| (q.key, q.answer)).unzip();
            let found = self.read(&keys, now).await;
            // While the cache is being filled, a valid token may be missing through no fault of its holder, so only
            // reads that find no valid token count against the rate.
            let is_free = self.is_filling() && found.iter().any(|found| matches!(found, Ok(Some(_))));
            reading.count(!is_free);
            self.note_void(&keys, &found, now).await;
            for (answer, found) in answers.into_iter().zip(found) {
                // On an error the sender is just dropped, which the receiver notices.
                if let Ok(found) = found {
                    let _left = answer.send(ReadResult { found, generation, now });
                }
            }
        }
        reader.is_done = true;
    }

    /// Reports tokens that were invalidated with a lost refresh response but presented nevertheless: their families
    /// must end.
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

    /// Reads tokens in one query. If one row is damaged, reads them one by one, so that the others are not refused with
    /// it.
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
