//! Reporting to the store which access tokens were presented: what tells a lost answer to a refresh from reuse.
//!
//! The data path notes it in the token cache; here it is written, by a task, and before a late retry is judged.

use std::time::Duration;

use crate::issuer::Issuer;
use crate::store::{StoreError, UseReport};
use crate::telemetry::ControlEvent;
use crate::token_cache::TokenCache;

/// How long to wait after a report that could not be written.
const PAUSE: Duration = Duration::from_secs(1);

/// Marks in one operation of the store: a fraction of a millisecond of its writer's time for each hundred.
const AT_ONCE: usize = 500;

/// A report that goes back to where it was taken from unless it has been written: also when the request that writes it
/// is dropped. Writing it twice does no harm.
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
    /// Reports what is noted, as soon as there is something, until the process ends.
    pub async fn report_uses_forever(&self) {
        let Some(cache) = &self.cache else { return };
        let mut failing = false;
        loop {
            cache.uses_are_due().await;
            let reported = self.report(cache, false).await;
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

    /// Reports all that is noted.
    ///
    /// # Errors
    /// `StoreError` when it could not be written; it is kept for later.
    pub async fn report_uses(&self) -> Result<(), StoreError> {
        match &self.cache {
            Some(cache) => self.report(cache, true).await,
            None => Ok(()),
        }
    }

    async fn report(&self, cache: &TokenCache, all: bool) -> Result<(), StoreError> {
        // One at a time: a caller that needs everything written must also wait for what another task is writing.
        let _alone = self.reporting.lock().await;
        let mut taken = Taken { cache, report: cache.take_uses(all, self.services.clock.now()) };
        while let Some(part) = part_of(&taken.report) {
            let recorded = self.services.store.record_uses(part.clone()).await?;
            for (tenant, grant) in recorded.ended {
                self.metrics.control(ControlEvent::RefreshReused);
                tracing::warn!(%grant, "an access token that came with a lost answer was presented: two parties hold the grant, and it has ended");
                cache.forget_grant(&tenant, grant);
            }
            recorded.unwritten.map_or(Ok(()), Err)?;
            let UseReport { presented, issued, .. } = &mut taken.report;
            presented.truncate(presented.len() - part.presented.len());
            issued.truncate(issued.len() - part.issued.len());
        }
        Ok(())
    }
}

/// Returns what is written next, from the end. What was issued is unused only if no token of it was presented, so that
/// comes first.
fn part_of(report: &UseReport) -> Option<UseReport> {
    let presented: Vec<_> = report.presented.iter().rev().take(AT_ONCE).rev().cloned().collect();
    let left = if presented.len() < report.presented.len() { 0 } else { AT_ONCE };
    let issued: Vec<_> = report.issued.iter().rev().take(left).rev().cloned().collect();
    let is_empty = presented.is_empty() && issued.is_empty();
    (!is_empty).then_some(UseReport { presented, issued, now: report.now })
}
