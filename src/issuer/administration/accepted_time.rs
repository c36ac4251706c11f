//! Accepting the time of the machine, whatever the clock showed before.

use super::{Administration, AdministrationError};
use crate::oauth::Timestamp;
use crate::store::AuditEvent;

/// What was accepted.
#[derive(Debug)]
pub struct AcceptedTime {
    /// The time of the machine.
    pub now: Timestamp,
    /// The newest moment that was known before.
    pub seen: Option<Timestamp>,
}

impl Administration {
    /// Accepts the time of the machine: a running server believes it within a minute, the next one from its start. What has
    /// ended by a later time that was known stays ended.
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
