//! What is done once a minute: removing what has expired, and writing down what was only counted.

use std::time::Duration;

use super::{ClockWatch, Issuer};
use crate::oauth::Timestamp;
use crate::store::StoreError;

/// Pending authorizations live ten minutes and codes one; a minute keeps the store near what is alive.
const EVERY: Duration = Duration::from_secs(60);

impl Issuer {
    /// Does it until the process ends. A failure waits for the next time.
    pub async fn sweep_forever(&self) {
        let mut watch = ClockWatch::default();
        // At once: an earlier process may have run with a wrong clock.
        self.clock_is_proven(&mut watch).await;
        loop {
            tokio::time::sleep(EVERY).await;
            self.sweep_once(&mut watch).await;
        }
    }

    /// Does it once.
    pub async fn sweep_once(&self, watch: &mut ClockWatch) {
        self.record_counted_refusals().await;
        // A token that has ended is removed with what it says of its generation.
        if let Err(error) = self.report_uses().await {
            tracing::debug!(%error, "the first uses of tokens are reported later");
        }
        if !self.clock_is_proven(watch).await {
            return;
        }
        if let Err(error) = self.sweep_by(self.clock.now()).await {
            tracing::warn!(%error, "expired rows could not be removed from the store");
        }
    }

    /// Removes what has ended by `now`.
    pub(super) async fn sweep_by(&self, now: Timestamp) -> Result<(), StoreError> {
        let rows = self.store.sweep(now, self.config.load().registration.unused_after).await?;
        if rows > 0 {
            tracing::debug!(rows, "expired rows were removed from the store");
        }
        Ok(())
    }
}
