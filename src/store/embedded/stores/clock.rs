//! `ClockStore`: what is noted of the time.

use async_trait::async_trait;

use crate::oauth::Timestamp;
use crate::store::clock::AHEAD;
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::rows::{clients, clock};
use crate::store::{AuditRow, ClockNote, ClockStore, Result};

#[async_trait]
impl ClockStore for EmbeddedStore {
    async fn clock_note(&self) -> Result<Option<ClockNote>> {
        self.read(clock::note).await
    }

    async fn note_time(&self, seen: Timestamp) -> Result<()> {
        self.write(move |db| clock::note_seen(db, seen)).await
    }

    async fn accept_time(&self, audit: AuditRow) -> Result<()> {
        self.write(move |db| clock::accept(db, &audit)).await
    }

    async fn turn_back(&self, told: Timestamp, now: Timestamp) -> Result<u64> {
        self.write(move |db| clock::turn_back(db, told, now)).await
    }

    async fn shorten_secrets(&self, latest: Timestamp) -> Result<u64> {
        let changed = self.write(move |db| clients::shorten_secrets(db, latest.plus(AHEAD), latest)).await?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }
}
