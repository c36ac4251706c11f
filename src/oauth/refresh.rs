//! The rule for rotating refresh tokens. Stores call `judge_refresh` inside their transaction (`store/rotation.rs`), so
//! that check and write are atomic.

use super::{ClientId, FirstUse, Grant, Lifetime, Timestamp};

/// What `/token` presented with a genuine refresh token.
#[derive(Debug, Clone)]
pub struct PresentedRefresh {
    /// The authenticated client.
    pub client: ClientId,
    /// Whether it authenticated by an assertion.
    pub by_assertion: bool,
    /// The generation encoded in the token.
    pub generation: u32,
    /// The grace period: how long the preceding generation may be retried; zero for never.
    pub grace: Lifetime,
    /// How long after the rotation the preceding generation may be presented again while the current one is unused;
    /// zero for never.
    pub lost_answer: Lifetime,
    /// Whether the clock is in doubt, so that the rotation may be more recent than it looks.
    pub clock_in_doubt: bool,
}

/// What the rules say about a presented refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshVerdict {
    /// The current generation: rotate to the next.
    Rotate,
    /// The preceding generation, within the grace period: answer with the current one again.
    Retry,
    /// The preceding generation, after the grace period, while the current one was never used: its answer was lost.
    /// Answer with the current one again; access tokens issued with it before become invalid.
    LateRetry,
    /// An older generation, or the preceding one in any other case: revoke the family.
    Reused,
    /// Issue nothing and change nothing.
    Refused(RefreshRefusal),
}

/// Why a presented refresh token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshRefusal {
    /// The preceding generation, and it is not known whether the current one was used or how long ago the rotation was:
    /// the family is left alone.
    InDoubt,
    /// A generation that was never issued by this store (a restored backup; RT-16).
    Ahead,
    /// Idle too long, past the absolute end, or revoked.
    Dead,
    /// The token belongs to another client.
    WrongClient,
    /// The grant does not allow refreshing.
    NotAllowed,
    /// The grant was made for a client that signed an assertion, and this one did not.
    NoAssertion,
}

/// How far in the future a rotation may be: a request that waited for the writer has an earlier `now`.
const EARLY: Lifetime = Lifetime::from_secs(10);

impl Grant {
    /// Decides what a presented refresh token is answered with.
    #[must_use]
    pub fn judge_refresh(&self, presented: &PresentedRefresh, now: Timestamp) -> RefreshVerdict {
        // Checked before anything is revoked: another client that got hold of a token cannot end its family (RT-06).
        if presented.client != self.client {
            return RefreshVerdict::Refused(RefreshRefusal::WrongClient);
        }
        // Whoever stole the token does not have the client's key, and cannot end the family either.
        if self.by_assertion && !presented.by_assertion {
            return RefreshVerdict::Refused(RefreshRefusal::NoAssertion);
        }
        // Even if the family has ended: the token was issued by a newer state of the store than this one (RT-16).
        if presented.generation > self.generation {
            return RefreshVerdict::Refused(RefreshRefusal::Ahead);
        }
        if !self.is_active(now) || now >= self.idle_until {
            return RefreshVerdict::Refused(RefreshRefusal::Dead);
        }
        if !self.may_refresh {
            return RefreshVerdict::Refused(RefreshRefusal::NotAllowed);
        }
        match self.generation.saturating_sub(presented.generation) {
            0 => RefreshVerdict::Rotate,
            1 => self.judge_predecessor(presented, now),
            // RFC 9700 4.14.2: a used token is presented, so two parties hold the family.
            _ => RefreshVerdict::Reused,
        }
    }

    /// Decides about the generation before the current one. This relaxes OAuth 2.1 4.3.1, because several processes of
    /// a client share one token and answers get lost; returning the same successor does not fork the family.
    fn judge_predecessor(&self, presented: &PresentedRefresh, now: Timestamp) -> RefreshVerdict {
        // After a late retry the grace period starts again, for processes that retry together.
        let answered_at = self.retried_at.unwrap_or(self.rotated_at);
        // If the clock was set back since then, the time passed is unknown, and no period is extended.
        let is_known = answered_at.since(now) <= EARLY;
        let is_within = |limit: Lifetime, began: Timestamp| limit > Lifetime::default() && now.since(began) <= limit;
        if is_known && is_within(presented.grace, answered_at) {
            return RefreshVerdict::Retry;
        }
        let is_strict = presented.grace.max(presented.lost_answer) == Lifetime::default();
        let is_doubtful = presented.clock_in_doubt || (!is_known && self.first_use != FirstUse::Used);
        if is_doubtful && !is_strict {
            return RefreshVerdict::Refused(RefreshRefusal::InDoubt);
        }
        if is_within(presented.lost_answer, self.rotated_at) {
            match self.first_use {
                FirstUse::Unused => return RefreshVerdict::LateRetry,
                FirstUse::Unknown => return RefreshVerdict::Refused(RefreshRefusal::InDoubt),
                FirstUse::Used => {}
            }
        }
        RefreshVerdict::Reused
    }
}
