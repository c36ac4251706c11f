//! Reuse of a code, a refresh token or a void access token ends its grant, even when the disk is full.
//!
//! Each is judged inside an ordinary write, since it nearly always issues something. If that write fails, the grant
//! that it would have ended is ended like a revocation: in the space reserved for that, or in force at once and stored
//! later.

use std::sync::Arc;

use rusqlite::Connection;

use crate::oauth::GrantId;
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{grants, uses};
use crate::store::{Ending, Recorded, Result, StoreError, UseReport};

/// A query for what a request ends.
type Due<R> = fn(&Connection, &R) -> Result<Option<Ending>>;

impl EmbeddedStore {
    /// Carries out a request in an ordinary write. If that write fails, the grant that it would have ended is ended
    /// nevertheless, and `ended` is the answer.
    pub(super) async fn write_or_end<R, T>(
        &self,
        request: R,
        write: fn(&Connection, &R) -> Result<T>,
        due: Due<R>,
        ended: fn(GrantId) -> T,
    ) -> Result<T>
    where
        R: Send + Sync + 'static,
        T: Send + 'static,
    {
        let request = Arc::new(request);
        let written = Arc::clone(&request);
        let error = match self.write(move |db| write(db, &written)).await {
            Err(error @ StoreError::Unavailable(_)) => error,
            done => return done,
        };
        // Checked first: a request that ends nothing must not use up the reserve.
        let looked = Arc::clone(&request);
        let Some(ending) = self.read(move |db| due(db, &looked)).await? else { return Err(error) };
        if self.end_urgently(&ending, request, due).await? { Ok(ended(ending.grant)) } else { Err(error) }
    }

    /// Ends what is due, if it still is; returns whether it was. An ending that is in force but not yet stored gets the
    /// same answer: a client that presents a used code or token is refused either way, and needs no confirmation.
    async fn end_urgently<R>(&self, ending: &Ending, request: Arc<R>, due: Due<R>) -> Result<bool>
    where
        R: Send + Sync + 'static,
    {
        let end = move |db: &Connection| match due(db, &request)? {
            Some(ending) => grants::end_by(db, &ending).map(|()| true),
            None => Ok(false),
        };
        match self.write_urgently(EndedBy::of(&ending.audit), end).await {
            Err(StoreError::NotStored) => Ok(true),
            ended => ended,
        }
    }

    /// Stores the reported uses; if that fails, ends the affected families nevertheless.
    pub(super) async fn record(&self, report: Arc<UseReport>) -> Result<Recorded> {
        let recorded = Arc::clone(&report);
        let error = match self.write(move |db| uses::record(db, &recorded)).await {
            Ok(ended) => return Ok(Recorded { ended, unwritten: None }),
            Err(error @ StoreError::Unavailable(_)) => error,
            Err(error @ (StoreError::Conflict(_) | StoreError::Corrupt(_) | StoreError::NotStored)) => {
                return Err(error);
            }
        };
        let mut ended = Vec::new();
        for (void, ending) in self.read(move |db| uses::void_uses(db, &report)).await? {
            match self.end_urgently(&ending, Arc::new(void), uses::ending).await {
                Ok(false) => {}
                Ok(true) => ended.push((ending.audit.tenant, ending.grant)),
                // The process reports it again, which is the next attempt.
                Err(error) => {
                    tracing::error!(%error, grant = %ending.grant, "the family of a void token could not be ended")
                }
            }
        }
        if ended.is_empty() { Err(error) } else { Ok(Recorded { ended, unwritten: Some(error) }) }
    }
}
