//! The token cache: token hash → principal, in memory, sharded; filled from the store after the start and by issuance,
//! cleared by changes. Lookup is synchronous; a miss is loaded once for all waiters.
//!
//! It never reports a token as valid when that is not certain: [`Lookup::Stale`] and [`Load::Unknown`] become 503. It
//! does not know who asks, or over which protocol. Start at [`TokenCache::lookup`] and [`TokenCache::load`], then
//! `revoked.rs` (revocation) and `follower.rs` (changes by others).

use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use tokio::sync::watch;
use tokio::time::Instant;

mod admitting;
mod answer;
mod entry;
mod eviction;
mod fill;
mod follower;
mod load;
mod loading;
mod prefix_hasher;
mod principals;
mod proof;
mod reading;
mod report;
mod revoked;
mod uses;

pub use answer::{Load, Lookup};
pub use entry::Principal;
pub use follower::Follower;
pub use prefix_hasher::PrefixHasher;

use crate::clock::Clock;
use crate::oauth::{AccountId, ClientId, GrantId, TenantId, Timestamp, TokenHash, TokenKeys};
use crate::store::{Change, ChangePosition, Store};
use crate::sync::{lock, read, write};

use entry::Entry;
use loading::Loading;
use principals::Principals;
use revoked::{RevokedSet, Tombstones};
use uses::Uses;

/// The number of shards: many, so that removing expired tokens holds each lock for only microseconds.
const SHARDS: usize = 256;

/// Access tokens in memory, shared by all workers.
pub struct TokenCache {
    store: Arc<dyn Store>,
    keys: ArcSwap<TokenKeys>,
    clock: Arc<dyn Clock>,
    entries: DashMap<TokenHash, Entry, BuildHasherDefault<PrefixHasher>>,
    count: AtomicUsize,
    bound: usize,
    principals: Mutex<Principals>,
    revoked_set: RwLock<RevokedSet>,
    /// The size of `revoked_set`, so that a lookup takes no lock while nothing is revoked.
    revoked_len: AtomicUsize,
    tombstones: Mutex<Tombstones>,
    /// Incremented by every revocation, before it takes effect.
    generation: AtomicU64,
    /// Signals every revocation, after it has taken effect.
    revoked: watch::Sender<u64>,
    /// Signals that what is pinned of an upstream has changed.
    tools_changed: watch::Sender<u64>,
    loading: Loading,
    uses: Uses,
    /// The last change that was applied; `None` while earlier changes may be missing.
    position: Mutex<Option<ChangePosition>>,
    is_filling: AtomicBool,
    max_stale: Duration,
    made: Instant,
    /// When the change log was last read, in milliseconds after `made`.
    current_at: AtomicU64,
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenCache({} tokens)", self.len())
    }
}

impl TokenCache {
    /// Makes an empty cache.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        keys: Arc<TokenKeys>,
        clock: Arc<dyn Clock>,
        config: &crate::config::Config,
    ) -> Arc<Self> {
        let cache = Arc::new(Self {
            store,
            keys: ArcSwap::new(keys),
            clock,
            entries: DashMap::with_capacity_and_hasher_and_shard_amount(0, BuildHasherDefault::default(), SHARDS),
            count: AtomicUsize::new(0),
            bound: config.limits.tokens_in_memory,
            principals: Mutex::default(),
            revoked_set: RwLock::default(),
            revoked_len: AtomicUsize::new(0),
            tombstones: Mutex::default(),
            generation: AtomicU64::new(0),
            revoked: watch::Sender::new(0),
            tools_changed: watch::Sender::new(0),
            loading: Loading::new(config.rates.store_reads_per_second),
            uses: Uses::default(),
            position: Mutex::default(),
            is_filling: AtomicBool::new(false),
            max_stale: config.max_stale.as_duration(),
            made: Instant::now(),
            current_at: AtomicU64::new(0),
        });
        let told = Arc::downgrade(&cache);
        // A revocation that cannot be stored is not in the change log, so it is applied directly.
        cache.store.tell_unstored(Box::new(move |change| {
            if let Some(cache) = told.upgrade() {
                cache.apply(change);
            }
        }));
        cache
    }

    /// Looks up a presented token with the given hash; never waits. One whose MAC matches no current key is reported as
    /// absent, and `load` refuses it. `now` is the time, and `at` the same moment by the monotonic clock.
    #[must_use]
    pub fn lookup_presented(&self, presented: &[u8], hash: &TokenHash, now: Timestamp, at: Instant) -> Lookup {
        self.look(hash, now, at, Some(presented))
    }

    /// Looks up a token known to be genuine; never waits.
    #[must_use]
    pub fn lookup(&self, hash: &TokenHash, now: Timestamp) -> Lookup {
        self.look(hash, now, Instant::now(), None)
    }

    fn look(&self, hash: &TokenHash, now: Timestamp, at: Instant, presented: Option<&[u8]>) -> Lookup {
        let found = self.entries.get(hash);
        let Some(entry) = found.filter(|entry| presented.is_none_or(|text| self.is_proven(entry, text, hash))) else {
            return Lookup::Absent;
        };
        let (principal, grant) = (Arc::clone(&entry.principal), entry.grant);
        let (expires, reports_use) = (entry.expires(), entry.take_report());
        drop(entry);
        if self.revoked_len.load(Ordering::Acquire) > 0 && read(&self.revoked_set).contains(grant, &principal) {
            return Lookup::Absent;
        }
        if reports_use {
            self.uses.note(principal.tenant(), *hash);
        }
        if now >= expires {
            return Lookup::Expired;
        }
        if !self.is_current_at(at) {
            return Lookup::Stale;
        }
        Lookup::Hit(principal, grant, expires)
    }

    /// Returns whether a token was presented since this process issued it; `None` when it is no longer in the cache.
    #[must_use]
    pub fn was_presented(&self, hash: &TokenHash) -> Option<bool> {
        self.entries.get(hash).map(|entry| entry.was_presented())
    }

    /// Removes all tokens of a grant; takes effect at once.
    pub fn forget_grant(&self, _tenant: &TenantId, grant: GrantId) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        lock(&self.tombstones).grants.insert(grant, self.clock.now());
        self.add_revoked(|revoked| revoked.add_grant(grant));
    }

    /// Removes one token.
    pub fn forget_token(&self, hash: &TokenHash) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        lock(&self.tombstones).tokens.insert(*hash, self.clock.now());
        if self.entries.remove(hash).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        self.announce();
    }

    /// Removes all tokens of a client.
    pub fn forget_client(&self, tenant: &TenantId, client: &ClientId) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        lock(&self.tombstones).clients.insert((tenant.clone(), client.clone()), self.clock.now());
        let theirs = lock(&self.principals).take_client(tenant, client);
        self.add_revoked(|revoked| revoked.add_principals(theirs));
    }

    /// Removes all tokens of a subject; those that are still valid in the store are read again.
    pub fn forget_subject(&self, tenant: &TenantId, subject: &AccountId) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        lock(&self.tombstones).subjects.insert((tenant.clone(), subject.clone()), self.clock.now());
        let theirs = lock(&self.principals).take_subject(tenant, subject);
        self.add_revoked(|revoked| revoked.add_principals(theirs));
    }

    /// Makes the tokens of a subject be read from the store again when next presented, because its login name has
    /// changed. They stay valid.
    pub fn forget_name(&self, tenant: &TenantId, subject: &AccountId) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        let theirs = lock(&self.principals).take_subject(tenant, subject);
        self.add_revoked(|revoked| revoked.add_principals(theirs));
    }

    fn add_revoked(&self, add: impl FnOnce(&mut RevokedSet)) {
        let mut revoked_set = write(&self.revoked_set);
        add(&mut revoked_set);
        self.revoked_len.store(revoked_set.len(), Ordering::Release);
        drop(revoked_set);
        self.announce();
    }

    fn announce(&self) {
        self.revoked.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Applies a change read from the store.
    fn apply(&self, change: &Change) {
        match change {
            Change::GrantRevoked(tenant, grant) => self.forget_grant(tenant, *grant),
            Change::AccessTokenRevoked(_, hash) => self.forget_token(hash),
            Change::ClientDisabled(tenant, client) | Change::ClientDeleted(tenant, client) => {
                self.forget_client(tenant, client);
            }
            // A token that was stored before the change must not enter the cache with the groups of that time, so its
            // subject is forgotten like a disabled one. Its tokens stay valid in the store.
            Change::AccountDisabled(tenant, subject) | Change::AccountGroupsChanged(tenant, subject) => {
                self.forget_subject(tenant, subject);
            }
            Change::AccountRenamed(tenant, subject) => self.forget_name(tenant, subject),
            Change::ToolsChanged(..) => self.tools_changed.send_modify(|n| *n = n.wrapping_add(1)),
        }
    }

    /// Returns a number that changes whenever something is revoked.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Returns a receiver that is notified whenever something was revoked; open streams then look up their token again.
    #[must_use]
    pub fn revocations(&self) -> watch::Receiver<u64> {
        self.revoked.subscribe()
    }

    /// Returns a receiver that is notified whenever tools of an upstream were approved or forgotten, or may have been.
    #[must_use]
    pub fn tool_changes(&self) -> watch::Receiver<u64> {
        self.tools_changed.subscribe()
    }

    /// Returns the number of tokens in the cache.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns whether no token is in the cache.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn mark_current(&self, at: Instant) {
        self.current_at.store(self.since_made(at), Ordering::Release);
    }

    /// Returns whether the change log was read recently enough for the entries to be trusted.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.is_current_at(Instant::now())
    }

    fn is_current_at(&self, now: Instant) -> bool {
        // Measured by the monotonic clock: a jump of the wall clock must neither stop traffic nor hide a dead follower.
        let age = self.since_made(now).saturating_sub(self.current_at.load(Ordering::Acquire));
        age <= millis(self.max_stale)
    }

    fn since_made(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.made))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
