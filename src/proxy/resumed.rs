//! When a request last went on: one reading of the clock for all that follows until the request waits again.

use std::future::poll_fn;
use std::pin::Pin;

use tokio::time::Instant;

/// When a request came, or went on after its last wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resumed(Instant);

impl Resumed {
    /// Begins with the time at which the request came.
    pub(super) const fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// Returns the time.
    pub(super) const fn time(self) -> Instant {
        self.0
    }

    /// Awaits a step of the request, and reads the clock again if it had to wait.
    pub(super) async fn after<F: Future>(&mut self, mut step: Pin<&mut F>) -> F::Output {
        let mut has_waited = false;
        let output = poll_fn(|cx| {
            let output = step.as_mut().poll(cx);
            has_waited |= output.is_pending();
            output
        })
        .await;
        if has_waited {
            self.0 = Instant::now();
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::pin::pin;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::Resumed;

    #[tokio::test]
    async fn the_clock_is_read_again_after_a_wait_and_not_without_one() {
        let begun = Instant::now();
        let mut resumed = Resumed::at(begun);
        resumed.after(pin!(ready(()))).await;
        assert_eq!(resumed.time(), begun);
        let wait = Duration::from_millis(20);
        resumed.after(pin!(sleep(wait))).await;
        assert!(resumed.time() >= begun + wait);
    }
}
