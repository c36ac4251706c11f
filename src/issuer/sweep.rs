//! What is done once a minute: removing what has expired, and writing down what was only counted.

use std::time::Duration;

use super::Issuer;

/// Pending authorizations live ten minutes and codes one; a minute keeps the store near what is alive.
const EVERY: Duration = Duration::from_secs(60);

impl Issuer {
    /// Does it until the process ends. A failure waits for the next time.
    pub async fn sweep_forever(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.record_counted_refusals().await;
            // A token that has ended is removed with what it says of its generation.
            if let Err(error) = self.report_uses().await {
                tracing::debug!(%error, "the first uses of tokens are reported later");
            }
            let unused_after = self.config.load().registration.unused_after;
            match self.store.sweep(self.clock.now(), unused_after).await {
                Ok(0) => {}
                Ok(rows) => tracing::debug!(rows, "expired rows were removed from the store"),
                Err(error) => tracing::warn!(%error, "expired rows could not be removed from the store"),
            }
        }
    }
}
