//! What a store notes of the time, and what it does when the clock turns out to have been wrong.

use async_trait::async_trait;

use super::issuance::settled;
use super::{AuditRow, Result};
use crate::oauth::{Grant, Lifetime, Timestamp};

/// A time this far in the future comes from a clock that was ahead. Small corrections stay below it.
pub(super) const AHEAD: Lifetime = Lifetime::from_secs(60);

/// What is noted of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockNote {
    /// The newest moment that a server saw while its clock was right.
    pub seen_at: Timestamp,
    /// When an operator last said that the clock is right.
    pub accepted_at: Option<Timestamp>,
}

/// What is noted of the time, so that a process notices when the clock was set while none ran.
#[async_trait]
pub trait ClockStore {
    /// Returns what is noted of the time; where nothing is, the moment of the newest audit row.
    async fn clock_note(&self) -> Result<Option<ClockNote>>;
    /// Notes a moment that a server saw while its clock was right.
    async fn note_time(&self, seen: Timestamp) -> Result<()>;
    /// Notes that for an operator `audit.at` is the right time.
    async fn accept_time(&self, audit: AuditRow) -> Result<()>;
    /// Time goes back from `told` to `now`: removes client secrets that had ended by `told`, and what was made more than a
    /// minute after `now`, by a clock that was ahead. If it goes back by more than a minute, no pending authorization stays:
    /// some were too old to go on with. Grants made or refreshed then stay, and their ends count from `now`.
    /// Sessions that were used then end as if that had been `now`.
    /// Later times of last use, of failed logins and of fetched documents become `now`. Returns how many rows were removed or changed; emits `Change::AccessTokenRevoked`.
    async fn turn_back(&self, told: Timestamp, now: Timestamp) -> Result<u64>;
    /// Lets client secrets that have been replaced end at `latest` where they would work for more than a minute longer: they
    /// were replaced by a clock that was ahead. Returns how many clients had one.
    async fn shorten_secrets(&self, latest: Timestamp) -> Result<u64>;
}

/// How long after the newest noted moment a time is borne out: a server notes it once a minute.
const BORNE_OUT: Lifetime = Lifetime::from_secs(120);

/// Returns the latest moment up to `now` that what is noted bears out. A clock that was set ahead is not noted.
pub(super) fn borne_out(now: Timestamp, seen: Option<Timestamp>) -> Timestamp {
    seen.map_or(now, |seen| now.min(seen.plus(BORNE_OUT)))
}

/// Longer than any grace of a refresh token.
const PAST_ANY_GRACE: Lifetime = Lifetime::from_secs(121);

/// Returns a grant that was made or refreshed after `latest`, by a clock that was ahead, as if that had been `now`: its ends
/// count from there. A grace is over, since nobody knows any more how long ago it began.
pub(super) fn put_back(grant: Grant, latest: Timestamp, now: Timestamp) -> Grant {
    let from_now = |end: Timestamp, began: Timestamp| now.plus(end.since(began));
    let is_new = grant.created_at > latest;
    let past_grace = Timestamp::from_millis(now.as_millis().saturating_sub(PAST_ANY_GRACE.as_millis()));
    settled(Grant {
        authenticated_at: grant.authenticated_at.min(now),
        created_at: if is_new { now } else { grant.created_at },
        expires_at: if is_new { from_now(grant.expires_at, grant.created_at) } else { grant.expires_at },
        idle_until: from_now(grant.idle_until, grant.rotated_at),
        rotated_at: if grant.generation == 0 { now } else { past_grace },
        retried_at: None,
        ..grant
    })
}
