//! Ends connections: when the peer is too slow (to send a head or a request, or to read answers) or floods, when the
//! connection is too old, when another one needs its place, and when the gateway shuts down.
//!
//! One timer per connection, reset only when it fires or a deadline moves closer: a request costs no timer operation.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::activity::{Activity, Phase};
use crate::telemetry::ServerEvent;

/// How long a connection that was told to end may stay without a request in progress.
const GOODBYE: Duration = Duration::from_secs(1);

/// Bytes per second that a peer must read of a pending answer. A slower client is closed when it has fallen
/// `TimeLimits::stall` behind; one that reads nothing, after exactly that time. Until then each answer in progress
/// holds a connection to its upstream, and there are few of those.
const SLOWEST: u32 = 1024;

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLimits {
    /// From a head's first byte to its last; also until the first request.
    pub(super) head: Duration,
    /// Between two requests, without one in progress.
    pub(super) idle: Duration,
    /// How far the peer may fall behind [`SLOWEST`] in reading what is written.
    pub(super) stall: Duration,
    /// Lifetime of the connection; after that it ends when its requests have ended.
    pub(super) age: Duration,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It ended by itself.
    Closed,
    /// The head was not received in time.
    Head,
    /// No request was received in time.
    Idle,
    /// The peer reads its answers too slowly.
    Stalled,
    /// The peer sent too many useless frames.
    Flooded,
    /// A new connection needed its place.
    Reclaimed,
}

impl End {
    /// Returns the event that it is counted as.
    pub(super) const fn event(self) -> Option<ServerEvent> {
        match self {
            Self::Head => Some(ServerEvent::HeadTimeout),
            Self::Idle => Some(ServerEvent::IdleTimeout),
            Self::Stalled => Some(ServerEvent::WriteStalled),
            Self::Flooded => Some(ServerEvent::ControlFlood),
            // A reclaimed connection was counted when it was reclaimed.
            Self::Closed | Self::Reclaimed => None,
        }
    }
}

/// Runs what comes before a connection's first request; `None` if the connection is reclaimed meanwhile.
pub(super) async fn unless_reclaimed<F: Future>(activity: &Activity, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        activity.register(cx.waker());
        if activity.is_reclaimed() { Poll::Ready(None) } else { future.as_mut().poll(cx).map(Some) }
    })
    .await
}

/// Runs a connection until it ends or exceeds `limits`. `wind_down` is hyper's graceful shutdown.
pub(super) async fn run_within<C: Future>(
    mut connection: Pin<&mut C>,
    wind_down: fn(Pin<&mut C>),
    activity: &Activity,
    limits: TimeLimits,
) -> End {
    let mut deadlines = Deadlines::begin(limits);
    activity.rests_since(deadlines.since);
    let mut timer = pin!(tokio::time::sleep(limits.head));
    let mut registered = false;
    poll_fn(move |cx| {
        // Once is enough: this future is never moved to another task.
        if !registered {
            activity.register(cx.waker());
        }
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Closed);
            }
            if !deadlines.winding && activity.is_reclaimed() {
                deadlines.wind();
                wind_down(connection.as_mut());
                if activity.idle_since().is_some() {
                    // Polled once more, so that HTTP/2 sends GOAWAY.
                    drop(connection.as_mut().poll(cx));
                    return Poll::Ready(End::Reclaimed);
                }
                continue;
            }
            if !deadlines.winding && activity.is_ending() {
                deadlines.wind();
                wind_down(connection.as_mut());
                continue;
            }
            if activity.is_flooded() {
                // Polled once more, so that GOAWAY is sent; nothing more is read.
                wind_down(connection.as_mut());
                drop(connection.as_mut().poll(cx));
                return Poll::Ready(End::Flooded);
            }
            deadlines.look(activity);
            let Some((deadline, due)) = deadlines.deadline() else { return Poll::Pending };
            if registered && deadline >= timer.deadline() && !timer.is_elapsed() {
                return Poll::Pending;
            }
            registered = true;
            if arm(timer.as_mut(), deadline, cx).is_pending() {
                return Poll::Pending;
            }
            match due {
                DeadlineAction::WindDown => {
                    deadlines.wind();
                    wind_down(connection.as_mut());
                }
                DeadlineAction::End(end) => return Poll::Ready(end),
            }
        }
    })
    .await
}

/// Sets the timer and registers the waker with it. Unconstrained, because a poll that tokio's coop budget refuses would
/// not register it.
fn arm(mut timer: Pin<&mut Sleep>, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    timer.as_mut().reset(deadline);
    pin!(tokio::task::unconstrained(timer)).poll(cx)
}

/// What to do when a deadline is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeadlineAction {
    WindDown,
    End(End),
}

/// The phase of a connection, and since when it is in that phase.
#[derive(Debug)]
struct Deadlines {
    limits: TimeLimits,
    phase: Phase,
    requests: u32,
    written: u32,
    since: Instant,
    /// When the connection was last checked, and how far behind the peer was then.
    looked: Instant,
    behind: Duration,
    old: Instant,
    winding: bool,
}

impl Deadlines {
    fn begin(limits: TimeLimits) -> Self {
        let now = Instant::now();
        Self {
            limits,
            phase: Phase::Idle,
            requests: 0,
            written: 0,
            since: now,
            looked: now,
            behind: Duration::ZERO,
            old: now + limits.age,
            winding: false,
        }
    }

    fn wind(&mut self) {
        self.winding = true;
        self.since = Instant::now();
    }

    fn look(&mut self, activity: &Activity) {
        let (phase, requests) = (activity.phase(), activity.requests());
        if phase == Phase::Stalled || self.phase == Phase::Stalled {
            self.measure(phase, activity.written());
        }
        if (phase, requests) != (self.phase, self.requests) {
            (self.phase, self.requests) = (phase, requests);
            // A busy connection has no deadline except its age: its streams have their own.
            if phase != Phase::Busy {
                self.since = Instant::now();
                activity.rests_since(self.since);
            }
        }
    }

    /// Measures how far the peer is behind: the time during which bytes waited for it, minus the time that the bytes it
    /// read may take. It has caught up when no request is in progress.
    fn measure(&mut self, phase: Phase, written: u32) {
        if phase == self.phase && written == self.written {
            return;
        }
        let now = Instant::now();
        if self.phase == Phase::Stalled {
            let taken = Duration::from_secs(1).saturating_mul(written.wrapping_sub(self.written)) / SLOWEST;
            self.behind = (self.behind + now.duration_since(self.looked)).saturating_sub(taken);
        }
        if phase == Phase::Idle {
            self.behind = Duration::ZERO;
        }
        (self.looked, self.written) = (now, written);
    }

    fn deadline(&self) -> Option<(Instant, DeadlineAction)> {
        let limits = &self.limits;
        let still = match self.phase {
            Phase::Busy => None,
            Phase::Stalled => {
                Some((self.looked + limits.stall.saturating_sub(self.behind), DeadlineAction::End(End::Stalled)))
            }
            Phase::Head => Some((self.since + limits.head, DeadlineAction::End(End::Head))),
            Phase::Idle if self.winding => Some((self.since + GOODBYE, DeadlineAction::End(End::Idle))),
            Phase::Idle if self.requests == 0 => Some((self.since + limits.head, DeadlineAction::End(End::Head))),
            Phase::Idle => Some((self.since + limits.idle, DeadlineAction::WindDown)),
        };
        let old = (!self.winding).then_some((self.old, DeadlineAction::WindDown));
        still.into_iter().chain(old).min_by_key(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::super::activity::Activity;
    use super::super::observed::ObservedStream;
    use super::{End, TimeLimits, run_within};

    const STALL: Duration = Duration::from_millis(400);

    /// Serves an endless answer to a peer that reads `bytes` of it twenty times, a tenth of a second apart, and then
    /// nothing. Returns whether all these reads were served, and how long after the last one it was closed.
    async fn read_slowly(bytes: usize) -> (bool, Duration) {
        let day = Duration::from_secs(86400);
        let limits = TimeLimits { head: day, idle: day, stall: STALL, age: day };
        let activity = Arc::new(Activity::new());
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = ObservedStream::text(near, Arc::clone(&activity));
        let connection = async move { while stream.write_all(&[0; 4096]).await.is_ok() {} };
        let reader = async move {
            let mut taken = Instant::now();
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if far.read_exact(&mut vec![0; bytes]).await.is_err() {
                    return (false, taken, far);
                }
                taken = Instant::now();
            }
            (true, taken, far)
        };
        let closing = async move {
            // Dropped when it has ended, as the server does.
            let mut connection = Box::pin(connection);
            (run_within(connection.as_mut(), |_| (), &activity, limits).await, Instant::now())
        };
        let ((end, closed), (served, taken, _far)) = tokio::join!(closing, reader);
        assert_eq!(end, End::Stalled);
        (served, closed.duration_since(taken))
    }

    #[tokio::test]
    async fn who_reads_slowly_is_served_and_who_stops_is_closed() {
        let (served, after) = read_slowly(256).await;
        assert!(served);
        assert!(after >= STALL * 3 / 4, "{after:?}");
    }

    #[tokio::test]
    async fn ds_04_who_reads_less_than_a_kilobyte_a_second_is_closed_when_too_far_behind() {
        let (served, after) = read_slowly(16).await;
        assert!(!served, "160 bytes a second are too few");
        assert!(after < STALL, "no full time of grace after each of the reads: {after:?}");
    }
}
