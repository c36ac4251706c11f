//! What a service manager is told (sd_notify(3)): ready, reloading, stopping; and the watchdog, which is fed only while every
//! worker answers. Without one (no `NOTIFY_SOCKET`) nothing is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior};

/// Beyond the time to drain: the last audit rows, the store.
const AFTER_DRAIN: Duration = Duration::from_secs(10);

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// Connections are accepted; or a reload is over.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is read again; `ready` follows in any case.
pub(super) fn reloading() {
    // systemd pairs it with the signal by this time.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the clock cannot be read"),
    }
}

/// The process goes down, which may take as long as `drain`, whatever the manager's own limit is.
pub(super) fn stopping(drain: Duration) {
    let micros = u32::try_from((drain + AFTER_DRAIN).as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

/// The watchdog that the service manager asks for.
#[derive(Clone)]
pub(super) struct Watchdog {
    /// Without news for so long the manager ends the process.
    limit: Duration,
    made: Instant,
    workers: Vec<Heartbeat>,
}

/// When a worker last answered, in milliseconds after the watchdog was made.
#[derive(Clone, Default)]
struct Heartbeat(Arc<AtomicU64>);

impl Watchdog {
    /// Makes one for so many workers, if the service manager asks for one.
    pub(super) fn asked_for(workers: usize) -> Option<Self> {
        sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()).map(|limit| Self::new(limit, workers))
    }

    fn new(limit: Duration, workers: usize) -> Self {
        Self { limit, made: Instant::now(), workers: (0..workers).map(|_| Heartbeat::default()).collect() }
    }

    /// Shows that a worker's runtime runs, for ever: to be spawned there.
    pub(super) async fn beat(self, worker: usize) {
        let Some(pulse) = self.workers.get(worker).cloned() else { return };
        let mut ticks = tokio::time::interval(self.limit / 8);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            pulse.0.store(self.now(), Relaxed);
        }
    }

    /// Feeds the watchdog while all workers answer, for ever. That it runs shows that the control path does.
    pub(super) async fn run(self) {
        self.run_with(|| tell(&[NotifyState::Watchdog])).await;
    }

    async fn run_with(self, feed: impl Fn()) {
        let mut ticks = tokio::time::interval(self.limit / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent = false;
        loop {
            ticks.tick().await;
            let stuck = self.stuck();
            match &stuck {
                None => feed(),
                Some(worker) if !silent => {
                    tracing::error!(worker, "a worker does not answer; the watchdog of the service manager is not fed");
                }
                Some(_) => {}
            }
            silent = stuck.is_some();
        }
    }

    /// Returns a worker that has not answered for half of the limit.
    fn stuck(&self) -> Option<usize> {
        let half = u64::try_from(self.limit.as_millis() / 2).unwrap_or(u64::MAX);
        let now = self.now();
        self.workers.iter().position(|pulse| now.saturating_sub(pulse.0.load(Relaxed)) > half)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_watchdog_is_not_fed_while_a_worker_is_stuck() {
        let watchdog = Watchdog::new(Duration::from_millis(800), 2);
        let fed = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&fed);
        let feed = move || {
            counted.fetch_add(1, Relaxed);
        };
        drop(tokio::spawn(watchdog.clone().run_with(feed)));
        drop(tokio::spawn(watchdog.clone().beat(0)));
        let (hold_up, held_up) = std::sync::mpsc::channel::<std::sync::mpsc::Receiver<()>>();
        let worker = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                drop(tokio::spawn(watchdog.beat(1)));
                loop {
                    match held_up.try_recv() {
                        // The whole runtime waits.
                        Ok(until) => drop(until.recv()),
                        Err(std::sync::mpsc::TryRecvError::Empty) => {
                            tokio::time::sleep(Duration::from_millis(10)).await
                        }
                        Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                    }
                }
            });
        });
        let is_fed_from = async |before: u64| {
            while fed.load(Relaxed) <= before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        is_fed_from(2).await;
        let (let_go, until) = std::sync::mpsc::channel();
        hold_up.send(until).unwrap();
        // Half of the limit until it is seen, and a quarter until the next feeding.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let before = fed.load(Relaxed);
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(fed.load(Relaxed), before, "while one of the two is stuck");
        drop(let_go);
        is_fed_from(before).await;
        drop(hold_up);
        worker.join().unwrap();
    }

    #[tokio::test]
    async fn a_worker_that_does_not_answer_for_half_of_the_time_is_noticed() {
        let hour = Duration::from_secs(3600);
        let made = Instant::now().checked_sub(10 * hour).expect("the machine runs for longer");
        let watchdog = Watchdog { made, ..Watchdog::new(hour, 2) };
        assert_eq!(watchdog.stuck(), Some(0), "none has answered yet");
        for worker in 0..2 {
            drop(tokio::spawn(watchdog.clone().beat(worker)));
        }
        while watchdog.stuck().is_some() {
            tokio::task::yield_now().await;
        }
        let ago = |minutes: u64| watchdog.now() - minutes * 60_000;
        watchdog.workers[1].0.store(ago(29), Relaxed);
        assert_eq!(watchdog.stuck(), None);
        watchdog.workers[1].0.store(ago(31), Relaxed);
        assert_eq!(watchdog.stuck(), Some(1));
    }
}
