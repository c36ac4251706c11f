//! `Pace`: the minimum speed of a body. Only time spent waiting for the next bytes counts, so that the sender is not
//! blamed for a slow reader.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The minimum speed of a body.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long the body may be waited for in total.
    pub total: Duration,
    /// How far the body may fall behind [`Pace::BYTES_PER_SECOND`].
    pub grace: Duration,
}

impl Pace {
    /// The minimum rate once the grace is used up. Even on the worst link a client sends its few hundred bytes within
    /// the grace; a slower one probably wants to hold the request open.
    pub const BYTES_PER_SECOND: u32 = 1024;
    /// The grace for clients: long enough for a phone that changes networks.
    pub const CLIENTS_GRACE: Duration = Duration::from_secs(5);
}

/// Tracks whether a body keeps its pace.
#[derive(Debug)]
pub struct Paced {
    pace: Pace,
    waited: Duration,
    /// How far the body is behind. Never negative: fast bytes earlier do not allow a pause later.
    behind: Duration,
    /// Since when the next bytes are waited for.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    /// Starts with a body that was not waited for yet.
    #[must_use]
    pub const fn new(pace: Pace) -> Self {
        Self { pace, waited: Duration::ZERO, behind: Duration::ZERO, since: None, timer: None }
    }

    /// Records that bytes were received, and that nobody waits for the next ones.
    pub fn received(&mut self, bytes: usize) {
        if self.since.is_some() {
            self.received_at(bytes, Instant::now());
        }
    }

    /// Drops the minimum rate and keeps only the total time.
    pub const fn waive_rate(&mut self) {
        self.pace.grace = self.pace.total;
    }

    /// Polled while waiting for the next bytes, until [`Paced::received`] is called; ready when they are too late.
    pub fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let end = self.end(now);
        // A timer that is set to the current moment fires only a moment later.
        if end <= now {
            return Poll::Ready(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        timer.as_mut().reset(end);
        timer.as_mut().poll(cx)
    }

    fn received_at(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.since.take() {
            let time = now.saturating_duration_since(since);
            self.waited = self.waited.saturating_add(time);
            self.behind = self.behind.saturating_add(time);
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let worth = Duration::from_secs(1).saturating_mul(bytes) / Pace::BYTES_PER_SECOND;
        self.behind = self.behind.saturating_sub(worth);
    }

    /// Returns until when to wait for the next bytes.
    fn end(&mut self, now: Instant) -> Instant {
        let since = *self.since.get_or_insert(now);
        let Pace { total, grace } = self.pace;
        since + total.saturating_sub(self.waited).min(grace.saturating_sub(self.behind))
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, Paced};
    use std::time::Duration;
    use tokio::time::Instant;

    /// Returns the second at which a body is given up, when these bytes arrive, each after a wait of this many seconds.
    fn given_up(came: &[(u64, usize)]) -> u64 {
        let mut paced = Paced::new(Pace { total: Duration::from_secs(20), grace: Duration::from_secs(5) });
        let began = Instant::now();
        let mut now = began;
        for (wait, bytes) in came {
            let next = now + Duration::from_secs(*wait);
            if paced.end(now) <= next {
                break;
            }
            paced.received_at(*bytes, next);
            now = next;
        }
        (paced.end(now) - began).as_secs()
    }

    #[test]
    fn after_the_grace_a_body_must_bring_a_kilobyte_a_second_and_earlier_bytes_do_not_pay_for_it() {
        for (came, second) in [
            (&[][..], 5),
            (&[(0, 1)], 5),
            (&[(0, 1_000_000)], 5),
            (&[(1, 1), (1, 1), (1, 1), (1, 1), (1, 1)], 5),
            (&[(1, 300_000), (1, 1), (1, 1), (1, 1)], 6),
            (&[(4, 1024)], 6),
            (&[(4, 2048), (4, 2048), (4, 2048)], 7),
            (&[(4, 8192), (4, 8192), (4, 8192)], 17),
            (&[(4, 8192), (4, 8192), (4, 8192), (4, 8192)], 20),
        ] {
            assert_eq!(given_up(came), second, "{came:?}");
        }
    }

    #[test]
    fn time_in_which_nobody_waited_does_not_count() {
        let mut paced = Paced::new(Pace { total: Duration::from_secs(20), grace: Duration::from_secs(5) });
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(paced.end(at(0)), at(5));
        paced.received_at(1024, at(3));
        assert_eq!(paced.end(at(100)), at(103));
    }

    #[test]
    fn without_a_rate_the_time_in_all_is_left() {
        let mut paced = Paced::new(Pace { total: Duration::from_secs(20), grace: Duration::from_secs(5) });
        let began = Instant::now();
        assert_eq!(paced.end(began), began + Duration::from_secs(5));
        paced.waive_rate();
        assert_eq!(paced.end(began), began + Duration::from_secs(20));
    }
}
