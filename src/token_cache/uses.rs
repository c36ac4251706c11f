//! What the data path notes for the store: tokens that were presented whose use the store has to know. A task of the
//! issuer reports it; the data path writes nothing and waits for nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{TokenCache, lock};
use crate::oauth::{GrantId, TenantId, Timestamp, TokenHash};
use crate::store::UseReport;

/// How long what was issued waits to be reported as unused: most clients use it within this, and one write does for both.
const UNUSED_AFTER: Duration = Duration::from_millis(400);

/// What is to be reported.
#[derive(Debug, Default)]
pub(super) struct Uses {
    noted: Mutex<Noted>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Noted {
    presented: HashSet<(TenantId, TokenHash)>,
    /// Family → its generation, and when it was given out.
    issued: HashMap<(TenantId, GrantId), (u32, Instant)>,
}

impl Noted {
    /// Returns when there is something to report: `None` when nothing is noted.
    fn due(&self) -> Option<Instant> {
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

impl TokenCache {
    /// Notes that this process has given out a generation of a family.
    pub fn note_issued(&self, tenant: &TenantId, grant: GrantId, generation: u32) {
        lock(&self.uses.noted).issued.insert((tenant.clone(), grant), (generation, Instant::now()));
        self.uses.wake.notify_one();
    }

    /// Waits until there is something to report.
    pub async fn uses_are_due(&self) {
        loop {
            let due = lock(&self.uses.noted).due();
            match due {
                Some(at) if at <= Instant::now() => return,
                Some(at) => {
                    let _: Result<_, _> = tokio::time::timeout_at(at, self.uses.wake.notified()).await;
                }
                None => self.uses.wake.notified().await,
            }
        }
    }

    /// Takes what is due to be reported, or all that is noted.
    #[must_use]
    pub fn take_uses(&self, all: bool, now: Timestamp) -> UseReport {
        let mut noted = lock(&self.uses.noted);
        let presented = noted.presented.drain().collect();
        let due = noted.issued.extract_if(|_, (_, at)| all || at.elapsed() >= UNUSED_AFTER);
        let issued = due.map(|((tenant, grant), (generation, _))| (tenant, grant, generation)).collect();
        UseReport { presented, issued, now }
    }

    /// Puts back what could not be reported.
    pub fn put_back_uses(&self, report: UseReport) {
        let mut noted = lock(&self.uses.noted);
        noted.presented.extend(report.presented);
        for (tenant, grant, generation) in report.issued {
            // A generation that was given out since is the one that counts.
            noted.issued.entry((tenant, grant)).or_insert_with(|| (generation, Instant::now()));
        }
    }
}
