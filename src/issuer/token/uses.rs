//! Reports to the store which access tokens were presented, which distinguishes a lost refresh response from reuse.
//!
//! The data path notes uses in the token cache; a task here writes them to the store, as does a late retry before it is
//! decided.

use std::time::Duration;

use crate::issuer::Issuer;
use crate::store::{StoreError, UseReport};
use crate::telemetry::ControlEvent;
use crate::token_cache::TokenCache;

/// Pause after a report that could not be written.
const PAUSE: Duration = Duration::from_secs(1);

/// The most marks per store operation: each hundred takes a fraction of a millisecond of the writer's time.
const AT_ONCE: usize = 500;

/// A report that is put back into the cache unless it was written, also when the request that writes it is dropped.
/// Writing it twice does no harm.
struct Taken<'c> {
    cache: &'c TokenCache,
    report: UseReport,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.cache.put_back_uses(std::mem::take(&mut self.report));
    }
}

impl Issuer {
    /// Reports uses as soon as some are noted, until the process ends.
    pub async fn report_uses_forever(&self) {
        let mut failing = false;
        loop {
            self.cache.uses_are_due().await;
            let reported = self.report(false).await;
            match &reported {
                Ok(()) if failing => tracing::info!("the first uses of tokens are recorded again"),
                Err(error) if !failing => tracing::warn!(%error, "the first uses of tokens cannot be recorded"),
                Ok(()) | Err(_) => {}
            }
            failing = reported.is_err();
            if failing {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Reports all noted uses.
    ///
    /// # Errors
    /// `StoreError` when they could not be written; they are kept for later.
    pub async fn report_uses(&self) -> Result<(), StoreError> {
        self.report(true).await
    }

    async fn report(&self, all: bool) -> Result<(), StoreError> {
        // One report at a time: a caller that needs everything written must also wait for what another task is writing.
        let _alone = self.reporting.lock().await;
        let report = self.cache.take_uses(all, self.services.clock.now());
        let mut taken = Taken { cache: &self.cache, report };
        while let Some(part) = part_of(&taken.report) {
            let recorded = self.services.store.record_uses(part.clone()).await?;
            for (tenant, grant) in recorded.ended {
                self.metrics.control(ControlEvent::RefreshReused);
                tracing::warn!(%grant, "an access token from a lost answer was presented: two parties have tokens of \
                                        the grant, so it has ended");
                self.cache.forget_grant(&tenant, grant);
            }
            recorded.unwritten.map_or(Ok(()), Err)?;
            let UseReport { presented, issued, .. } = &mut taken.report;
            presented.truncate(presented.len() - part.presented.len());
            issued.truncate(issued.len() - part.issued.len());
        }
        Ok(())
    }
}

/// Takes the next part to write from the end of the report. A generation is unused only if none of its tokens was
/// presented, so presented tokens are written first.
fn part_of(report: &UseReport) -> Option<UseReport> {
    let presented: Vec<_> = report.presented.iter().rev().take(AT_ONCE).rev().cloned().collect();
    let left = if presented.len() < report.presented.len() { 0 } else { AT_ONCE };
    let issued: Vec<_> = report.issued.iter().rev().take(left).rev().cloned().collect();
    let is_empty = presented.is_empty() && issued.is_empty();
    (!is_empty).then_some(UseReport { presented, issued, now: report.now })
}
