//! Accepting the machine's time, whatever the clock showed before.

use super::{Administration, AdministrationError};
use crate::oauth::Timestamp;
use crate::store::AuditEvent;

/// The outcome of accepting the machine's time.
#[derive(Debug)]
pub struct AcceptedTime {
    /// The time that was accepted.
    pub now: Timestamp,
    /// The latest time known before.
    pub seen: Option<Timestamp>,
}

impl Administration {
    /// Accepts the machine's time: a running server uses it within a minute, the next one from its start. What has
    /// expired by a later time that was known before stays expired.
    ///
    /// # Errors
    /// `Store`.
    pub async fn accept_time(&self) -> Result<AcceptedTime, AdministrationError> {
        let seen = self.services.store.clock_note().await?.map(|note| note.seen_at);
        let row = self.audit(AuditEvent::ClockAccepted);
        let now = row.at;
        if let Some(seen) = seen.filter(|seen| now < *seen) {
            self.services.store.sweep(seen, self.config.registration.unused_after).await?;
            self.services.store.turn_back(seen, now).await?;
            self.services.store.shorten_secrets(now.plus(self.config.tokens.secret_overlap)).await?;
        }
        self.services.store.accept_time(row).await?;
        Ok(AcceptedTime { now, seen })
    }
}
