//! Ends a connection that holds still (no head, no request, nothing read), floods, is too old, or when the gateway is
//! going down.
//!
//! One timer per connection, set anew only when it fires or a deadline comes nearer: a request costs no timer operation.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::activity::{Activity, Phase};

/// How long a connection that was told to end may stay without a request under way.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a connection may hold still.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From a head's first byte to its last; also to the first request.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// Without a byte written although one waits.
    pub(super) stall: Duration,
    /// In all; then it ends when its requests have ended.
    pub(super) age: Duration,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It came to its own end.
    Closed,
    /// The head did not come in time.
    Head,
    /// No request came.
    Idle,
    /// The peer reads nothing.
    Stalled,
    /// The peer sent too many frames for nothing.
    Flooded,
}

/// Runs a connection until it ends or `patience` with it does. `wind_down` is hyper's graceful shutdown.
pub(super) async fn watch<C: Future>(
    mut connection: Pin<&mut C>,
    wind_down: fn(Pin<&mut C>),
    activity: &Activity,
    patience: Patience,
) -> End {
    let mut still = Still::begin(patience);
    let mut timer = pin!(tokio::time::sleep(patience.head));
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
            if !still.winding && activity.is_ending() {
                still.wind();
                wind_down(connection.as_mut());
                continue;
            }
            if activity.is_flooded() {
                // A last look, so that GOAWAY leaves; nothing is read any more.
                wind_down(connection.as_mut());
                drop(connection.as_mut().poll(cx));
                return Poll::Ready(End::Flooded);
            }
            still.look(activity);
            let Some((deadline, due)) = still.deadline() else { return Poll::Pending };
            if registered && deadline >= timer.deadline() && !timer.is_elapsed() {
                return Poll::Pending;
            }
            registered = true;
            if arm(timer.as_mut(), deadline, cx).is_pending() {
                return Poll::Pending;
            }
            match due {
                Due::WindDown => {
                    still.wind();
                    wind_down(connection.as_mut());
                }
                Due::End(end) => return Poll::Ready(end),
            }
        }
    })
    .await
}

/// Sets the timer and leaves the waker with it. Unconstrained: a poll that tokio's budget refuses would leave none.
fn arm(mut timer: Pin<&mut Sleep>, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    timer.as_mut().reset(deadline);
    pin!(tokio::task::unconstrained(timer)).poll(cx)
}

/// What is to be done when the deadline comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    WindDown,
    End(End),
}

/// In which phase a connection is, and since when.
#[derive(Debug)]
struct Still {
    patience: Patience,
    phase: Phase,
    requests: u32,
    written: u32,
    since: Instant,
    old: Instant,
    winding: bool,
}

impl Still {
    fn begin(patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            patience,
            phase: Phase::Idle,
            requests: 0,
            written: 0,
            since: now,
            old: now + patience.age,
            winding: false,
        }
    }

    fn wind(&mut self) {
        self.winding = true;
        self.since = Instant::now();
    }

    fn look(&mut self, activity: &Activity) {
        let (phase, requests, written) = (activity.phase(), activity.requests(), activity.written());
        let advanced = phase == Phase::Stalled && written != self.written;
        if advanced || (phase, requests) != (self.phase, self.requests) {
            (self.phase, self.requests, self.written) = (phase, requests, written);
            // A busy connection has no deadline but its age: its streams have their own.
            if phase != Phase::Busy {
                self.since = Instant::now();
            }
        }
    }

    fn deadline(&self) -> Option<(Instant, Due)> {
        let patience = &self.patience;
        let limit = match self.phase {
            Phase::Busy => None,
            Phase::Stalled => Some((patience.stall, Due::End(End::Stalled))),
            Phase::Head => Some((patience.head, Due::End(End::Head))),
            Phase::Idle if self.winding => Some((GOODBYE, Due::End(End::Idle))),
            Phase::Idle if self.requests == 0 => Some((patience.head, Due::End(End::Head))),
            Phase::Idle => Some((patience.idle, Due::WindDown)),
        };
        let still = limit.map(|(limit, due)| (self.since + limit, due));
        let old = (!self.winding).then_some((self.old, Due::WindDown));
        still.into_iter().chain(old).min_by_key(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::super::activity::{Activity, Observed};
    use super::{End, Patience, watch};

    #[tokio::test]
    async fn ss_01_who_reads_slowly_is_served_and_who_stops_is_closed() {
        let day = Duration::from_secs(86400);
        let patience = Patience { head: day, idle: day, stall: Duration::from_millis(400), age: day };
        let activity = Arc::new(Activity::default());
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = Observed::text(near, Arc::clone(&activity));
        let connection = pin!(async move { while stream.write_all(&[0; 4096]).await.is_ok() {} });
        let reader = async move {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                far.read_exact(&mut [0; 16]).await.unwrap();
            }
            (Instant::now(), far)
        };
        let (end, (stopped, _far)) = tokio::join!(watch(connection, |_| (), &activity, patience), reader);
        assert_eq!(end, End::Stalled);
        // Not before the last byte was taken: the reader would have seen the end.
        assert!(stopped.elapsed() >= Duration::from_millis(300), "{:?}", stopped.elapsed());
    }
}
