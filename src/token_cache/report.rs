//! The interface for the issuer's task that reports uses to the store.

use tokio::time::Instant;

use super::TokenCache;
use super::uses::UNUSED_AFTER;
use crate::oauth::{GrantId, TenantId, Timestamp};
use crate::store::UseReport;
use crate::sync::lock;

impl TokenCache {
    /// Records that this process has issued a generation of a family.
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

    /// Takes the uses that are due to be reported, or all of them.
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
            // A generation that was issued since takes precedence.
            noted.issued.entry((tenant, grant)).or_insert_with(|| (generation, Instant::now()));
        }
    }
}
