//! Adding tokens to the cache: just issued, read for a request, or read when the cache is filled.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dashmap::mapref::entry::Entry as Slot;

use super::TokenCache;
use super::entry::{Entry, Principal};
use crate::oauth::{AccessTokenRecord, TokenHash};
use crate::sync::lock;

/// The outcome of adding a token. The principal serves the request that asked.
pub(super) enum Admitting {
    /// It was added, or there was no room, which only costs another read later.
    Admitted(Arc<Principal>),
    /// Something was revoked since `generation`, so it was not added.
    Outdated(Arc<Principal>),
    /// The token itself was revoked.
    Revoked,
}

impl TokenCache {
    /// Adds a token that was just issued (write-through).
    pub fn insert(&self, token: &AccessTokenRecord) {
        let generation = self.generation.load(Ordering::SeqCst);
        // Its client or subject may have been disabled between the commit and this call.
        if !lock(&self.tombstones).cover_parties(token) {
            self.admit(token, generation);
            if let Some(entry) = self.entries.get(&token.hash) {
                entry.await_first_use();
            }
        }
    }

    /// Adds a token that was in the store when `generation` was current. Callers must read the generation before they
    /// read the store, or a revocation in between would be lost.
    pub(super) fn admit(&self, token: &AccessTokenRecord, generation: u64) -> Admitting {
        let principal = lock(&self.principals).intern(Principal::of(token));
        if lock(&self.tombstones).cover(token) {
            return Admitting::Revoked;
        }
        let entry = Entry::new(Arc::clone(&principal), token);
        let slot = self.entries.entry(token.hash);
        // Compared while the shard is locked: a revocation that increments it later will also sweep this shard later.
        if self.generation.load(Ordering::SeqCst) != generation {
            return Admitting::Outdated(principal);
        }
        match slot {
            // The existing entry stays with its flags: whether it was presented, and whether its MAC was checked.
            Slot::Occupied(slot) if slot.get().is_same(&entry) => {}
            Slot::Occupied(mut slot) => {
                // It is the same text with the same MAC. `exchange_keys` visits this shard before or after.
                entry.set_proven(slot.get().is_proven());
                drop(slot.insert(entry));
            }
            Slot::Vacant(_) if self.len() >= self.bound => {}
            Slot::Vacant(slot) => {
                drop(slot.insert(entry));
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.loading.forget_refusal(token);
        Admitting::Admitted(principal)
    }

    /// Adds tokens that were in the store when `generation` was current. Returns those that were not revoked, and
    /// whether any was left out because something was revoked since.
    pub(super) fn admit_all(&self, tokens: &[AccessTokenRecord], generation: u64) -> (Vec<TokenHash>, bool) {
        let (mut good, mut is_outdated) = (Vec::with_capacity(tokens.len()), false);
        for token in tokens {
            match self.admit(token, generation) {
                Admitting::Admitted(_) => {}
                Admitting::Outdated(_) => is_outdated = true,
                Admitting::Revoked => continue,
            }
            good.push(token.hash);
        }
        (good, is_outdated)
    }
}
