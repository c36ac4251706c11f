//! Uses of tokens that the store must learn of, noted on the data path. A task of the issuer reports them; the data
//! path writes nothing and waits for nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::oauth::{GrantId, TenantId, TokenHash};
use crate::sync::lock;

/// How long to wait before reporting an issued generation as unused: most clients use it within this time, so that one
/// write is enough.
pub(super) const UNUSED_AFTER: Duration = Duration::from_millis(400);

/// The uses that are to be reported.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) noted: Mutex<Noted>,
    pub(super) wake: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) presented: HashSet<(TenantId, TokenHash)>,
    /// Family → its generation, and when it was issued.
    pub(super) issued: HashMap<(TenantId, GrantId), (u32, Instant)>,
}

impl Noted {
    /// Returns when there is something to report: `None` when nothing is noted.
    pub(super) fn due(&self) -> Option<Instant> {
        if !self.presented.is_empty() {
            return Some(Instant::now());
        }
        self.issued.values().map(|(_, at)| *at + UNUSED_AFTER).min()
    }
}

impl Uses {
    /// Records that a token was presented. Called once per token whose use must be reported, not per request.
    pub(super) fn note(&self, tenant: &TenantId, token: TokenHash) {
        lock(&self.noted).presented.insert((tenant.clone(), token));
        self.wake.notify_one();
    }
}
