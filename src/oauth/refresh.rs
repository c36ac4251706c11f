//! The rule of a refresh token's rotation. Stores ask `judge_refresh` inside their transaction (`store/rotation.rs`), so
//! that the rule and the write are one.

use super::{ClientId, FirstUse, Grant, Lifetime, Timestamp};

/// What `/token` presented with a genuine refresh token.
#[derive(Debug, Clone)]
pub struct PresentedRefresh {
    /// The authenticated client.
    pub client: ClientId,
    /// The generation that the token names.
    pub generation: u32,
    /// How long the preceding generation may be retried; zero is strict.
    pub grace: Lifetime,
    /// How long after the rotation the preceding generation may be presented again while nothing of the live one has been
    /// used; zero: never.
    pub lost_answer: Lifetime,
    /// Whether the clock is in doubt, so that the predecessor may be younger than it looks.
    pub clock_in_doubt: bool,
}

/// What the rules say of a presented refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshVerdict {
    /// The live generation: move on to the next.
    Rotate,
    /// The generation before the live one, within the grace: answer with the live one again.
    Retry,
    /// The generation before the live one, after the grace, and nothing of the live one was ever used: its answer was
    /// lost. Answer with the live one again; access tokens given out with it before are void.
    LateRetry,
    /// An older generation, or the preceding one otherwise: revoke the family.
    Reused,
    /// Change nothing.
    Refused(RefreshRefusal),
}

/// Why a presented refresh token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshRefusal {
    /// The preceding generation, and it is not known whether the live one was used, or how long ago the rotation was:
    /// the family is left alone.
    InDoubt,
    /// A generation that was never issued by this store (a restored backup; RT-16).
    Ahead,
    /// Idle too long, past the absolute end, or revoked.
    Dead,
    /// Another client's.
    WrongClient,
    /// The grant does not allow refreshing.
    NotAllowed,
}

/// How far in the future a rotation may lie: a request that waited for the writer carries an earlier `now`.
const EARLY: Lifetime = Lifetime::from_secs(10);

impl Grant {
    /// Judges a presented refresh token.
    #[must_use]
    pub fn judge_refresh(&self, presented: &PresentedRefresh, now: Timestamp) -> RefreshVerdict {
        // Before anything is revoked: another client cannot end a family that it got hold of (RT-06).
        if presented.client != self.client {
            return RefreshVerdict::Refused(RefreshRefusal::WrongClient);
        }
        // Even of a family that has ended: it was issued by a store of which this one is an old copy (RT-16).
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
            // RFC 9700 4.14.2: a spent token is presented, so two parties hold the family.
            _ => RefreshVerdict::Reused,
        }
    }

    /// Judges the generation before the live one. OAuth 2.1 4.3.1, relaxed: several processes share one token, and answers
    /// are lost; the same successor is no new branch.
    fn judge_predecessor(&self, presented: &PresentedRefresh, now: Timestamp) -> RefreshVerdict {
        // Processes that retry together after a lost answer have the grace again.
        let answered_at = self.retried_at.unwrap_or(self.rotated_at);
        // A clock that was set back since then does not tell how long ago that was, and lengthens nothing.
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
