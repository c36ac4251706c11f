//! What a store records about the time, and the corrections when the clock turns out to have been wrong.

use async_trait::async_trait;

use super::issuance::settled;
use super::{AuditRow, Result};
use crate::oauth::{Grant, Lifetime, Timestamp};

/// How far in the future a time must be to count as one from a clock that was ahead. Small corrections stay below this.
pub(super) const AHEAD: Lifetime = Lifetime::from_secs(60);

/// What is recorded about the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockNote {
    /// The latest time that a server saw while its clock was right.
    pub seen_at: Timestamp,
    /// When an operator last confirmed that the clock is right.
    pub accepted_at: Option<Timestamp>,
}

/// Records of the time, so that a process notices if the clock was set while no process was running.
#[async_trait]
pub trait ClockStore {
    /// Returns what is recorded about the time; if nothing is, the time of the newest audit row.
    async fn clock_note(&self) -> Result<Option<ClockNote>>;
    /// Records a time that a server saw while its clock was right.
    async fn note_time(&self, seen: Timestamp) -> Result<()>;
    /// Records that an operator has confirmed `audit.at` as the right time.
    async fn accept_time(&self, audit: AuditRow) -> Result<()>;
    /// Corrects rows when time goes back from `told` to `now`: removes client secrets that had expired by `told`, and
    /// what was made more than a minute after `now`, by a clock that was ahead. If time goes back by more than a
    /// minute, all pending authorizations are removed, since some had expired. Grants made or refreshed in the future
    /// are kept, with their ends counted from `now`, except API keys, which nobody could issue anew. Sessions used
    /// in the future end as if they had been used `now`. Later times of last use, of failed logins and of fetched
    /// documents become `now`. Returns how many rows were removed or changed; emits `Change::AccessTokenRevoked` and
    /// `Change::GrantRevoked`.
    async fn turn_back(&self, told: Timestamp, now: Timestamp) -> Result<u64>;
    /// Ends replaced client secrets at `latest` if they would be valid for more than a minute longer, because they were
    /// replaced while the clock was ahead. Returns how many clients had one.
    async fn shorten_secrets(&self, latest: Timestamp) -> Result<u64>;
}

/// How long after the newest recorded time a time counts as confirmed: a server records it once a minute.
const BORNE_OUT: Lifetime = Lifetime::from_secs(120);

/// Returns the latest time up to `now` that the record confirms. A clock that was set ahead is not recorded.
pub(super) fn borne_out(now: Timestamp, seen: Option<Timestamp>) -> Timestamp {
    seen.map_or(now, |seen| now.min(seen.plus(BORNE_OUT)))
}

/// Longer than any grace period of a refresh token.
const PAST_ANY_GRACE: Lifetime = Lifetime::from_secs(121);

/// Returns a grant that was made or refreshed after `latest`, by a clock that was ahead, as if that had happened `now`,
/// so that its ends count from there. A grace period is over, since it is unknown when it began.
pub(super) fn put_back(grant: Grant, latest: Timestamp, now: Timestamp) -> Grant {
    let from_now = |end: Timestamp, began: Timestamp| now.plus(end.since(began));
    let is_new = grant.created_at > latest;
    let past_grace = Timestamp::from_millis(now.as_millis().saturating_sub(PAST_ANY_GRACE.as_millis()));
    settled(Grant {
        authenticated_at: grant.authenticated_at.min(now),
        consented_at: if grant.consented_at > latest { now } else { grant.consented_at },
        created_at: if is_new { now } else { grant.created_at },
        expires_at: if is_new { from_now(grant.expires_at, grant.created_at) } else { grant.expires_at },
        idle_until: from_now(grant.idle_until, grant.rotated_at),
        rotated_at: if grant.generation == 0 { now } else { past_grace },
        retried_at: None,
        ..grant
    })
}
