//! What is used a second time ends its grant on a full disk too: a code, a refresh token, a void access token.
//!
//! Each is judged inside an ordinary write, for nearly always it issues something. Where that write fails, what it would
//! have ended is ended as a revocation is: in the room that is kept for that, or in force at once and stored later.

use std::sync::Arc;

use rusqlite::Connection;

use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{codes, refresh, uses};
use crate::store::{Recorded, RedeemCode, Redemption, Result, RotateRefresh, Rotation, StoreError, UseReport};

/// Finds or ends what a request ends.
type Ending<R, T> = fn(&Connection, &R) -> Result<Option<T>>;

impl EmbeddedStore {
    pub(super) async fn redeem(&self, request: RedeemCode) -> Result<Redemption> {
        let request = Arc::new(request);
        let redeemed = Arc::clone(&request);
        let outcome = self.write(move |db| codes::redeem(db, &redeemed)).await;
        let Err(error) = outcome else { return outcome };
        let by = EndedBy::of(&request.audit);
        let ended = self.end_despite(error, by, &request, codes::replayed, codes::end_replayed).await?;
        Ok(Redemption::Replayed(ended))
    }

    pub(super) async fn rotate(&self, request: RotateRefresh) -> Result<Rotation> {
        let request = Arc::new(request);
        let rotated = Arc::clone(&request);
        let outcome = self.write(move |db| refresh::rotate(db, &rotated)).await;
        let Err(error) = outcome else { return outcome };
        let by = EndedBy::of(&request.audit);
        let ended = self.end_despite(error, by, &request, refresh::reused, refresh::end_reused).await?;
        Ok(Rotation::Reused(ended))
    }

    /// Ends what a request ends although `error` kept it from being written; that error where there is nothing to end, or
    /// it does not end. What is only in force is answered alike: whoever presents what is spent is refused either way, and
    /// no acknowledgement is due to them.
    async fn end_despite<R, T>(
        &self,
        error: StoreError,
        by: EndedBy,
        request: &Arc<R>,
        due: Ending<R, T>,
        end: Ending<R, T>,
    ) -> Result<T>
    where
        R: Send + Sync + 'static,
        T: Send + 'static,
    {
        if !matches!(error, StoreError::Unavailable(_)) {
            return Err(error);
        }
        // Looked at first: a request that ends nothing must not have the reserve given up.
        let looked = Arc::clone(request);
        let Some(due) = self.read(move |db| due(db, &looked)).await? else { return Err(error) };
        let ending = Arc::clone(request);
        match self.write_urgently(by, move |db| end(db, &ending)).await {
            Ok(ended) => ended.ok_or(error),
            Err(StoreError::NotStored) => Ok(due),
            Err(failed @ (StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::Corrupt(_))) => {
                Err(failed)
            }
        }
    }

    pub(super) async fn record(&self, report: UseReport) -> Result<Recorded> {
        let report = Arc::new(report);
        let recorded = Arc::clone(&report);
        let error = match self.write(move |db| uses::record(db, &recorded)).await {
            Ok(ended) => return Ok(Recorded { ended, unwritten: None }),
            Err(error @ StoreError::Unavailable(_)) => error,
            Err(error @ (StoreError::Conflict(_) | StoreError::Corrupt(_) | StoreError::NotStored)) => {
                return Err(error);
            }
        };
        let mut ended = Vec::new();
        for void in self.read(move |db| uses::void_uses(db, &report)).await? {
            let grant = (void.grant.tenant.clone(), void.grant.id);
            let by = EndedBy::Account(Some(void.grant.subject.clone()));
            match self.write_urgently(by, move |db| uses::end_void_use(db, &void)).await {
                Ok(false) => {}
                Ok(true) | Err(StoreError::NotStored) => ended.push(grant),
                // It is reported again, and tried again with that.
                Err(error) => {
                    tracing::error!(%error, grant = %grant.1, "the family of a void token could not be ended")
                }
            }
        }
        if ended.is_empty() { Err(error) } else { Ok(Recorded { ended, unwritten: Some(error) }) }
    }
}
