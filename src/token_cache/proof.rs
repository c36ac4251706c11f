//! Which cached tokens have had their MAC checked. A token is found by its hash, and its MAC is checked when it is
//! first presented, not on each request; when a key is removed, all tokens are checked again.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::entry::Entry;
use super::{Lookup, TokenCache};
use crate::oauth::{Timestamp, TokenHash, TokenKeys, recognise_bearer};

impl TokenCache {
    /// Returns whether a presented token, whose entry this is, has the MAC of a current key.
    pub(super) fn is_proven(&self, entry: &Entry, presented: &[u8], hash: &TokenHash) -> bool {
        entry.is_proven() || self.prove(presented, hash, |proven| entry.set_proven(proven))
    }

    /// Checks the MAC of a token that was just loaded, in case its key was removed meanwhile.
    pub(super) fn prove_loaded(&self, presented: &[u8], hash: &TokenHash) -> bool {
        self.prove(presented, hash, |proven| {
            if let Some(entry) = self.entries.get(hash) {
                entry.set_proven(proven);
            }
        })
    }

    fn prove(&self, presented: &[u8], hash: &TokenHash, note: impl Fn(bool)) -> bool {
        loop {
            let keys = self.keys.load_full();
            let genuine = recognise_bearer(presented, &keys) == Some(*hash);
            note(genuine);
            // Only if the keys were not replaced meanwhile: the new ones may no longer contain this token's key.
            if Arc::ptr_eq(&keys, &self.keys.load()) {
                return genuine;
            }
        }
    }

    /// Replaces the keys. If one of the previous keys is not among them, every token's MAC is checked again, and open
    /// streams end, so that their clients reconnect and are checked. Takes some time with many tokens in the cache.
    pub fn exchange_keys(&self, keys: Arc<TokenKeys>) {
        let before = self.keys.swap(Arc::clone(&keys));
        if keys.has_all_of(&before) {
            return;
        }
        self.entries.iter().for_each(|entry| entry.set_proven(false));
        self.generation.fetch_add(1, SeqCst);
        self.announce();
    }

    /// Returns whether a token that was accepted before has been revoked, or its key removed. Expiry does not count.
    #[must_use]
    pub fn is_forgotten(&self, hash: &TokenHash, now: Timestamp) -> bool {
        self.entries.get(hash).is_none_or(|entry| !entry.is_proven())
            || matches!(self.lookup(hash, now), Lookup::Absent)
    }
}
