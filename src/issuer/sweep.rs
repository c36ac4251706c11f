//! Upkeep that runs once a minute: removing what has expired, and writing the counts of refusals without a row.

use std::time::Duration;

use tokio::time::Instant;

use super::{ClockWatch, Issuer};
use crate::oauth::Timestamp;
use crate::store::{AuditRetention, StoreError};

/// Pause between two sweeps. Pending authorizations live ten minutes and codes one, so few expired rows pile up in a
/// minute.
const EVERY: Duration = Duration::from_secs(60);

/// How long one pass may prune the audit trail; the next pass continues where it ended.
const PRUNING: Duration = Duration::from_secs(20);

/// Minimum pause between two steps of pruning.
const PAUSE: Duration = Duration::from_millis(5);

impl Issuer {
    /// Sweeps until the process ends. What fails is tried again in the next sweep.
    pub async fn sweep_forever(&self) {
        let mut watch = ClockWatch::default();
        // Once right at the start: an earlier process may have run with a wrong clock.
        self.clock_is_proven(&mut watch).await;
        loop {
            tokio::time::sleep(EVERY).await;
            self.sweep_once(&mut watch).await;
        }
    }

    /// Removes the audit rows that are older than the configuration keeps; returns how many. After each step the store
    /// is left to others for as long as the step took.
    ///
    /// # Errors
    /// `StoreError` when the store fails.
    pub async fn prune_audit(&self, now: Timestamp) -> Result<u64, StoreError> {
        let began = Instant::now();
        let mut gone: u64 = 0;
        loop {
            let policy = self.services.config.load().audit.clone();
            let since = Timestamp::from_millis(now.as_millis().saturating_sub(policy.keep.as_millis()));
            let keep = AuditRetention { since: Some(since), max_bytes: policy.max_bytes };
            let step = Instant::now();
            let pruned = self.services.store.prune_audit(keep, None).await?;
            gone = gone.saturating_add(pruned.rows);
            if !pruned.more || began.elapsed() >= PRUNING {
                return Ok(gone);
            }
            tokio::time::sleep(step.elapsed().max(PAUSE)).await;
        }
    }

    /// Sweeps one time.
    pub async fn sweep_once(&self, watch: &mut ClockWatch) {
        self.record_counted_refusals().await;
        // Before the removal: an expired token is removed together with what it says about its generation.
        if let Err(error) = self.report_uses().await {
            tracing::debug!(%error, "the first uses of tokens are reported later");
        }
        if !self.clock_is_proven(watch).await {
            return;
        }
        let now = self.services.clock.now();
        if let Err(error) = self.sweep_by(now).await {
            tracing::warn!(%error, "expired rows could not be removed from the store");
        }
        match self.prune_audit(now).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "rows were removed from the audit trail by its limits"),
            Err(error) => tracing::warn!(%error, "the audit trail could not be pruned"),
        }
    }

    /// Removes what has ended by `now`.
    pub(super) async fn sweep_by(&self, now: Timestamp) -> Result<(), StoreError> {
        let rows = self.services.store.sweep(now, self.services.config.load().registration.unused_after).await?;
        if rows > 0 {
            tracing::debug!(rows, "expired rows were removed from the store");
        }
        Ok(())
    }
}
