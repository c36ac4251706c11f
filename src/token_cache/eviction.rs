//! The limit on entries, and which are dropped first: revoked ones, expired ones, then those that expire soonest.

use std::sync::atomic::Ordering;

use super::TokenCache;
use super::entry::Entry;
use crate::oauth::{Lifetime, Timestamp, TokenHash};
use crate::sync::{lock, read, write};

/// How long expired tokens are kept, so that an open stream can tell an expired token from a revoked one.
const EXPIRED_KEPT: Lifetime = Lifetime::from_secs(120);
/// How many expiries are sampled to estimate which tokens expire soonest. Entries are ordered by hash, so any run is a
/// random sample.
const SAMPLE: usize = 1024;

impl TokenCache {
    /// Returns whether there are revoked entries in the map, or too little room.
    pub(super) fn wants_sweep(&self) -> bool {
        self.revoked_len.load(Ordering::Acquire) > 0 || self.is_crowded()
    }

    /// Removes revoked and long expired entries, and makes room when it is scarce. One pass over all entries, so it
    /// must not run on the data path.
    pub fn sweep(&self) {
        let now = self.clock.now();
        let swept = read(&self.revoked_set).clone();
        self.retain(|_, entry| {
            now.since(entry.expires()) < EXPIRED_KEPT && !swept.contains(entry.grant, &entry.principal)
        });
        if self.is_crowded() {
            self.make_room();
        }
        let mut revoked_set = write(&self.revoked_set);
        revoked_set.subtract(&swept);
        self.revoked_len.store(revoked_set.len(), Ordering::Release);
        drop(revoked_set);
        lock(&self.tombstones).forget_old(now);
        lock(&self.principals).forget_unused();
        self.loading.forget_old(now);
    }

    fn is_crowded(&self) -> bool {
        self.len() > self.bound - self.bound / 16
    }

    /// Drops an eighth of the limit: the tokens that expire soonest according to a sample.
    fn make_room(&self) {
        let mut ends: Vec<Timestamp> = self.entries.iter().take(SAMPLE).map(|e| e.expires()).collect();
        ends.sort_unstable();
        let surplus = self.len().saturating_sub(self.bound - self.bound / 8);
        let rank = ends.len().saturating_mul(surplus) / self.len().max(1);
        let Some(limit) = ends.get(rank).copied() else { return };
        // Many tokens may share one expiry, so the number is bounded as well.
        let mut left = surplus;
        self.retain(|_, entry| {
            let drop_it = left > 0 && entry.expires() <= limit;
            left -= usize::from(drop_it);
            !drop_it
        });
    }

    /// Removes all tokens except those for which `keep` is true.
    pub(super) fn keep_only(&self, keep: impl Fn(&TokenHash) -> bool) {
        self.retain(|token, _| keep(token));
    }

    fn retain(&self, mut keep: impl FnMut(&TokenHash, &Entry) -> bool) {
        let mut removed = 0_usize;
        self.entries.retain(|token, entry| {
            let kept = keep(token, entry);
            removed += usize::from(!kept);
            kept
        });
        self.count.fetch_sub(removed, Ordering::Relaxed);
    }
}
