//! `Timer`: one for all waits on a connection. Most end long before their time, so that a wait which begins costs no
//! timer operation: the timer is left as it is until it rings, and only then set to the time that counts.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is made when it is first needed.
#[derive(Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Waits for `future` until `deadline`; `None` when that has come first.
    pub(super) async fn wait<F: Future + Unpin>(&mut self, future: &mut F, deadline: Instant) -> Option<F::Output> {
        poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(deadline, cx).map(|()| None),
        })
        .await
    }

    fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // It may ring for a wait before this one, but not too late for this one.
        if timer.is_elapsed() || deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= timer.deadline() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::time::{Instant, sleep, timeout};

    use super::Timer;

    #[tokio::test]
    async fn each_wait_ends_at_its_own_time_whatever_the_timer_was_set_to() {
        let mut timer = Timer::default();
        let waits = async {
            // The waits before end early, so that the timer stays set to a time that is not the next one's.
            for (before, millis) in [(3_600_000, 20), (1, 40), (5, 5), (3_600_000, 1), (2, 30)] {
                let (begun, time) = (Instant::now(), Duration::from_millis(millis));
                let answer = &mut Box::pin(sleep(Duration::from_millis(1)));
                let _set = timer.wait(answer, begun + Duration::from_millis(before)).await;
                assert_eq!(timer.wait(&mut pending::<()>(), begun + time).await, None);
                assert!(begun.elapsed() >= time, "{:?} and not {time:?}", begun.elapsed());
                assert_eq!(timer.wait(&mut std::future::ready(7), begun).await, Some(7));
            }
        };
        assert!(timeout(Duration::from_secs(60), waits).await.is_ok(), "a wait goes on beyond its time");
    }
}
