//! What the data path notes for the store: tokens that were presented whose use the store has to know. A task of the
//! issuer reports it; the data path writes nothing and waits for nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::oauth::{GrantId, TenantId, TokenHash};
use crate::sync::lock;

/// How long what was issued waits to be reported as unused: most clients use it within this, and one write does for both.
pub(super) const UNUSED_AFTER: Duration = Duration::from_millis(400);

/// What is to be reported.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) noted: Mutex<Noted>,
    pub(super) wake: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) presented: HashSet<(TenantId, TokenHash)>,
    /// Family → its generation, and when it was given out.
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
    /// Notes that a token was presented. Called once for each token whose use is to be reported, not for each request.
    pub(super) fn note(&self, tenant: &TenantId, token: TokenHash) {
        lock(&self.noted).presented.insert((tenant.clone(), token));
        self.wake.notify_one();
    }
}
