//! `EphemeralStore`: what lives for minutes.

use async_trait::async_trait;

use crate::oauth::Timestamp;
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::rows::ephemeral;
use crate::store::{
    Advance, Ephemeral, EphemeralKey, EphemeralLimits, EphemeralStore, Insertion, Result, Update, limits,
};

#[async_trait]
impl EphemeralStore for EmbeddedStore {
    async fn put_ephemeral(&self, new: Ephemeral, limits: EphemeralLimits) -> Result<Insertion> {
        limits::body(new.body.as_deref())?;
        self.write(move |db| ephemeral::insert(db, &new, &limits)).await
    }

    async fn find_ephemeral(&self, key: &EphemeralKey, now: Timestamp) -> Result<Option<Ephemeral>> {
        let key = key.clone();
        self.read(move |db| ephemeral::find(db, &key, now)).await
    }

    async fn advance_ephemeral(
        &self,
        key: &EphemeralKey,
        advance: Advance,
        limits: EphemeralLimits,
        now: Timestamp,
    ) -> Result<Update> {
        limits::body(advance.body.as_deref())?;
        let key = key.clone();
        self.write(move |db| ephemeral::advance(db, &key, &advance, Some(&limits), now)).await
    }
}
