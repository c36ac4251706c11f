//! Guards against a wrong clock: after the wall clock was set, nothing is removed as expired until the new time has
//! held for an hour or an operator has accepted it.

use super::Issuer;
use crate::clock::{BELIEVED_AFTER, ClockStatus, STEP};
use crate::oauth::{Lifetime, Timestamp};
use crate::store::StoreError;

const DAY: Lifetime = Lifetime::from_secs(24 * 3600);

/// How often to look for rows that were made while the clock was ahead. The clock may be ahead for less than the minute
/// between two checks, and a command may write a row in that time.
const TURN_BACK_EVERY: Lifetime = Lifetime::from_secs(3600);

/// State of the task that checks the clock.
#[derive(Debug, Default)]
pub struct ClockWatch {
    /// Whether the doubt has been logged.
    is_told: bool,
    /// When rows that were made while the clock was ahead were last corrected; `None` until the first pass, which
    /// covers those of an earlier process.
    turned_back_at: Option<Timestamp>,
}

impl Issuer {
    /// Checks the clock; returns whether what has expired by it may be removed.
    pub(super) async fn clock_is_proven(&self, watch: &mut ClockWatch) -> bool {
        let status = self.services.clock.status();
        match self.follow_clock(status, watch).await {
            Ok(is_proven) => is_proven,
            Err(error) => {
                tracing::warn!(%error, "the time could not be compared with the time in the store; nothing is \
                                        removed for now");
                false
            }
        }
    }

    async fn follow_clock(&self, status: ClockStatus, watch: &mut ClockWatch) -> Result<bool, StoreError> {
        let (was_ahead, is_proven) = match status {
            ClockStatus::InDoubt { wall, expected, stood, last_right } => {
                if stood < BELIEVED_AFTER && !self.operator_accepts(wall, last_right).await? {
                    if !std::mem::replace(&mut watch.is_told, true) {
                        tell(wall, expected);
                    }
                    return Ok(false);
                }
                self.believe(wall, expected).await?;
                (false, true)
            }
            ClockStatus::Unproven { was_ahead, pause } => {
                if watch.turned_back_at.is_none() {
                    tell_pause(pause);
                }
                (was_ahead, false)
            }
            ClockStatus::Right { was_ahead } => (was_ahead, true),
        };
        if std::mem::take(&mut watch.is_told) {
            tracing::info!("the clock is right again, or is now believed");
        }
        let now = self.services.clock.now();
        let is_due = |last: Timestamp| now < last || now.since(last) >= TURN_BACK_EVERY;
        if was_ahead || watch.turned_back_at.is_none_or(is_due) {
            self.turn_back(now, now).await?;
            watch.turned_back_at = Some(now);
        }
        self.services.store.note_time(now).await?;
        Ok(is_proven)
    }

    /// Stores the time when the process ends, if the clock is trusted.
    ///
    /// # Errors
    /// `StoreError` when it could not be written.
    pub async fn note_time(&self) -> Result<(), StoreError> {
        if self.services.clock.is_in_doubt() {
            Ok(())
        } else {
            self.services.store.note_time(self.services.clock.now()).await
        }
    }

    /// Returns whether an operator has accepted the time since the clock was set.
    async fn operator_accepts(&self, wall: Timestamp, last_right: Lifetime) -> Result<bool, StoreError> {
        let accepted = self.services.store.clock_note().await?.and_then(|note| note.accepted_at);
        // The acceptance is dated by the wall clock at the time of the command: it must be later than the last moment
        // when that clock was right, and not in the future. This process may not have read the clock between the step
        // and the command.
        Ok(accepted.is_some_and(|at| wall.since(at) <= last_right && at <= wall.plus(STEP)))
    }

    /// Accepts the wall clock's time. If it is earlier than expected, what has expired by the expected time is removed
    /// first, so that it stays expired.
    async fn believe(&self, wall: Timestamp, expected: Timestamp) -> Result<(), StoreError> {
        if wall < expected {
            self.sweep_by(expected).await?;
            self.cache.refill().await?;
        }
        self.services.clock.accept();
        if wall < expected {
            self.turn_back(expected, self.services.clock.now()).await?;
        }
        tracing::warn!(seconds = apart(wall, expected), "the clock jumped, and the new time is now believed");
        Ok(())
    }

    async fn turn_back(&self, told: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let overlap = self.services.config.load().tokens.secret_overlap;
        let changed = self.services.store.turn_back(told, now).await?;
        let changed = changed.saturating_add(self.services.store.shorten_secrets(now.plus(overlap)).await?);
        if changed > 0 {
            tracing::warn!(
                changed,
                "tokens and sessions issued while the clock was ahead have ended, or end as if issued now"
            );
        }
        Ok(())
    }
}

/// Logs that the process started long after the newest known time: the longer the gap, the more likely the clock is
/// wrong.
fn tell_pause(pause: Lifetime) {
    let text = "nothing is removed from the store for an hour: no server has used it for this long, or the clock was \
                set";
    if pause > DAY {
        tracing::warn!(seconds = pause.as_secs(), "{text}");
    } else {
        tracing::info!(seconds = pause.as_secs(), "{text}");
    }
}

/// How many seconds the wall clock is ahead.
fn apart(wall: Timestamp, expected: Timestamp) -> i64 {
    let seconds = |moment: Timestamp| i64::try_from(moment.as_secs()).unwrap_or(i64::MAX);
    seconds(wall).saturating_sub(seconds(expected))
}

fn tell(wall: Timestamp, expected: Timestamp) {
    tracing::warn!(
        seconds = apart(wall, expected),
        "the clock is in doubt: nothing is removed from the store until it is right, an hour has passed, or `mcpgate \
         clock accept` is run"
    );
}
