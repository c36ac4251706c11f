//! Notifies a service manager (sd_notify(3)): ready, reloading, stopping; and feeds its watchdog while every worker
//! responds. Without a service manager (no `NOTIFY_SOCKET`) nothing is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior};

/// Extra time after draining, to write the last audit rows and close the store.
const AFTER_DRAIN: Duration = Duration::from_secs(10);

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be notified");
    }
}

/// Reports that connections are accepted, or that a reload is over.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Reports that the configuration is being reloaded; `ready` follows in any case.
pub(super) fn reloading() {
    // systemd matches the message to its signal by this time.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the clock cannot be read"),
    }
}

/// Reports that the process is stopping, which may take as long as `drain`, whatever the manager's own limit is.
pub(super) fn stopping(drain: Duration) {
    let micros = u32::try_from((drain + AFTER_DRAIN).as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

/// The watchdog that the service manager has requested.
#[derive(Clone)]
pub(super) struct Watchdog {
    /// How long the manager waits for a message before it kills the process.
    limit: Duration,
    made: Instant,
    workers: Vec<Heartbeat>,
}

/// When a worker last answered, in milliseconds after the watchdog was made.
#[derive(Clone, Default)]
struct Heartbeat(Arc<AtomicU64>);

impl Watchdog {
    /// Makes a watchdog over this many workers, if the service manager requests one.
    pub(super) fn asked_for(workers: usize) -> Option<Self> {
        sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()).map(|limit| Self::new(limit, workers))
    }

    fn new(limit: Duration, workers: usize) -> Self {
        Self { limit, made: Instant::now(), workers: (0..workers).map(|_| Heartbeat::default()).collect() }
    }

    /// Reports for ever that a worker's runtime is running; to be spawned on that runtime.
    pub(super) async fn beat(self, worker: usize) {
        let Some(pulse) = self.workers.get(worker).cloned() else { return };
        let mut ticks = tokio::time::interval(self.limit / 8);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            pulse.0.store(self.now(), Relaxed);
        }
    }

    /// Feeds the watchdog for ever while all workers respond. Since it runs on the control path's runtime, it also
    /// shows that that one is running.
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
                    tracing::error!(
                        worker,
                        "a worker does not answer, so the watchdog of the service manager gets no keep-alive"
                    );
                }
                Some(_) => {}
            }
            silent = stuck.is_some();
        }
    }

    /// Returns a worker that has not responded for half of the limit.
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
                        // Blocks the whole runtime.
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
        // It takes half of the limit to notice, and a quarter until the next message.
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
