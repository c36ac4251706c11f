//! `KeySets`: the keys that clients publish at a URL (RFC 7591 2, `jwks_uri`), as they were last fetched. In memory:
//! they are fetched again after a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::oauth::jose::{JoseFault, JwkSet, Jws};
use crate::oauth::{ClientId, Lifetime, Timestamp};
use crate::outbound::{FetchError, Fetched};
use crate::sync::lock;

/// The most sets in memory. One has up to 50 keys, and takes up to 30 KiB.
const MAX_SETS: usize = 2000;

/// How long a set is believed without being fetched again: bounds on what its server says, and what holds if it says
/// nothing.
const FRESH: std::ops::RangeInclusive<u64> = 600..=24 * 3600;
const ORDINARY_FRESHNESS: u64 = 3600;

/// How often a signature that no key of the set has made lets the gateway ask for the set again: anybody can make one.
const FOR_NEW_KEYS: Lifetime = Lifetime::from_secs(60);

/// How long a set is not fetched again after a failure.
const BACK_OFF: Lifetime = Lifetime::from_secs(30);

/// How long the last good set is used while its server cannot be reached. A key that was taken out of the set meanwhile
/// is believed that much longer.
const OUTAGE: Lifetime = Lifetime::from_secs(24 * 3600);

/// Why there are no keys at a URL, for log and audit trail (CI-18).
#[derive(Debug, Clone, thiserror::Error)]
pub(in crate::issuer) enum KeySetFault {
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was fetched is no set that may be used.
    #[error("{}", .0.words())]
    Content(JoseFault),
}

impl KeySetFault {
    /// Returns whether a set that was fetched before may be used instead.
    fn is_transient(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_transient(),
            Self::Content(_) => false,
        }
    }

    /// Returns whether the client should try again. A name that does not resolve and one that leads into the operator's
    /// network get the same answer, so that nobody finds out which internal names exist (CI-18).
    pub(in crate::issuer) fn may_pass(&self) -> bool {
        self.is_transient() && !matches!(self, Self::Fetch(FetchError::Dns))
    }
}

/// A set that was just fetched.
pub(in crate::issuer) struct NewSet {
    keys: Arc<JwkSet>,
    fetched_at: Timestamp,
    fresh_until: Timestamp,
}

/// What is known of the set of one client.
#[derive(Debug, Default)]
pub(in crate::issuer) struct KnownSet {
    keys: Option<Arc<JwkSet>>,
    /// Where the keys were fetched, and when.
    url: Box<str>,
    fetched_at: Timestamp,
    fresh_until: Timestamp,
    /// The last failure since then, and until when it is not tried again.
    failed: Option<(Timestamp, KeySetFault)>,
}

impl KnownSet {
    /// Turns to the URL at which the client publishes its keys now. The keys of another one are only compared with what
    /// is fetched there.
    pub(in crate::issuer) fn turn_to(&mut self, url: &str) {
        if *self.url != *url {
            self.distrust();
            self.url = url.into();
        }
    }

    /// Returns the keys if they need not be fetched for this signed text. It need not name its key (RFC 7515 4.1.4).
    pub(in crate::issuer) fn current(&self, signed: &Jws, now: Timestamp) -> Option<Arc<JwkSet>> {
        let keys = self.keys.as_ref()?;
        let may_ask = now >= self.fetched_at.plus(FOR_NEW_KEYS);
        let is_enough = now < self.fresh_until && (!may_ask || signed.verify(keys).is_ok());
        is_enough.then(|| Arc::clone(keys))
    }

    /// Returns the failure because of which the set is not fetched at the moment.
    pub(in crate::issuer) fn holds_off(&self, now: Timestamp) -> Option<KeySetFault> {
        self.failed.as_ref().filter(|(until, _)| now < *until).map(|(_, fault)| fault.clone())
    }

    /// Returns the keys as they were last fetched, if a fault that may be temporary keeps them from being fetched now.
    /// The gateway's own limits are no such fault: whoever has a key that was taken out could exhaust them.
    pub(in crate::issuer) fn stale(&self, fault: &KeySetFault, now: Timestamp) -> Option<Arc<JwkSet>> {
        let is_usable = fault.is_transient() && now.since(self.fetched_at) <= OUTAGE;
        self.keys.clone().filter(|_| is_usable)
    }

    /// Returns whether the set was fetched before.
    pub(in crate::issuer) fn is_known(&self) -> bool {
        self.keys.is_some()
    }

    /// Reads what was fetched; a fault keeps the set from being fetched again at once.
    pub(in crate::issuer) fn read(
        &mut self,
        fetched: Result<Fetched, FetchError>,
        now: Timestamp,
    ) -> Result<NewSet, KeySetFault> {
        let read = fetched.map_err(KeySetFault::Fetch).and_then(|fetched| {
            let keys = JwkSet::parse(&fetched.body).map_err(KeySetFault::Content)?;
            Ok(NewSet { keys: Arc::new(keys), fresh_until: now.plus(believed_for(&fetched)), fetched_at: now })
        });
        read.inspect_err(|fault| self.failed = Some((now.plus(BACK_OFF), fault.clone())))
    }

    /// Returns whether there are keys, and none of them is in the new set.
    pub(in crate::issuer) fn is_replaced_by(&self, new: &NewSet) -> bool {
        self.keys.as_ref().is_some_and(|keys| !keys.overlaps(&new.keys))
    }

    /// Ends the trust in the keys, which are only compared from now on.
    pub(in crate::issuer) fn distrust(&mut self) {
        *self = Self { keys: self.keys.take(), url: std::mem::take(&mut self.url), ..Self::default() };
    }

    /// Installs a new set, and returns its keys.
    pub(in crate::issuer) fn install(&mut self, new: NewSet) -> Arc<JwkSet> {
        let NewSet { keys, fetched_at, fresh_until } = new;
        self.keys = Some(Arc::clone(&keys));
        (self.fetched_at, self.fresh_until, self.failed) = (fetched_at, fresh_until, None);
        keys
    }
}

fn believed_for(fetched: &Fetched) -> Lifetime {
    let said = if fetched.no_store { 0 } else { fetched.max_age.unwrap_or(ORDINARY_FRESHNESS) };
    Lifetime::from_secs(said.clamp(*FRESH.start(), *FRESH.end()))
}

/// A set that is locked while it is fetched, so that everybody who waits for it shares one fetch.
pub(in crate::issuer) type SharedSet = Arc<tokio::sync::Mutex<KnownSet>>;

/// Key sets by client.
#[derive(Debug, Default)]
pub(in crate::issuer) struct KeySets(Mutex<HashMap<ClientId, SharedSet>>);

impl KeySets {
    /// Returns what is known of a client's set. If there are too many, one that nobody is fetching makes room, the one
    /// that was fetched longest ago; without any, `None`.
    pub(in crate::issuer) fn of(&self, client: &ClientId) -> Option<SharedSet> {
        let mut sets = lock(&self.0);
        if let Some(known) = sets.get(client) {
            return Some(Arc::clone(known));
        }
        if sets.len() >= MAX_SETS {
            let idle = sets.iter().filter(|(_, set)| Arc::strong_count(set) == 1);
            let aged = idle.filter_map(|(id, set)| Some((set.try_lock().ok()?.fetched_at, id.clone())));
            let (_, oldest) = aged.min()?;
            sets.remove(&oldest);
        }
        Some(Arc::clone(sets.entry(client.clone()).or_default()))
    }
}
