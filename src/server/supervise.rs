//! Supervises background tasks and threads. A task that panics is restarted; a thread that panics cannot be, so the
//! process drains, ends and reports why. Nothing stops silently.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry::{Metrics, ServerEvent};

/// Pause before a panicked task is restarted; doubled each time up to the longest, until the task runs for that long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Capacity of the channel for failures; the first one already ends the process.
const NEWS: usize = 8;

/// Starts tasks that run until the process ends.
#[derive(Clone)]
pub(super) struct Supervisor {
    pub(super) metrics: Arc<Metrics>,
    /// Ends all tasks.
    pub(super) ended: CancellationToken,
}

impl Supervisor {
    /// Runs a task until the process ends, and starts it again when it panics or returns before.
    pub(super) fn spawn<F>(&self, name: &'static str, task: impl Fn() -> F + Send + 'static) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn_until(name, self.ended.clone(), task)
    }

    /// Like `spawn`, but until `stop`, which the task itself observes.
    pub(super) fn spawn_until<F>(
        &self,
        name: &'static str,
        stop: CancellationToken,
        task: impl Fn() -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (metrics, over) = (Arc::clone(&self.metrics), self.ended.clone());
        tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            tracing::debug!(task = name, "a background task is looked after");
            loop {
                let began = Instant::now();
                let ended = tokio::select! {
                    ended = AssertUnwindSafe(task()).catch_unwind() => ended,
                    () = stop.cancelled() => return,
                };
                if stop.is_cancelled() || over.is_cancelled() {
                    return;
                }
                metrics.server(ServerEvent::TaskRestarted);
                let how = if ended.is_err() { "panicked" } else { "ended by itself" };
                tracing::error!(task = name, "a background task {how} and is restarted");
                if began.elapsed() > LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        })
    }
}

/// Receives failures of essential parts: which part, and how it failed.
pub(super) type Failures = mpsc::Receiver<String>;

/// Reports failures of essential parts.
#[derive(Clone)]
pub(super) struct Alarm(mpsc::Sender<String>);

impl Alarm {
    /// Makes an alarm and its receiving end.
    pub(super) fn new() -> (Self, Failures) {
        let (tell, failures) = mpsc::channel(NEWS);
        (Self(tell), failures)
    }

    /// Reports that the process has to end, and why.
    pub(super) fn raise(&self, cause: String) {
        // If the channel is full, the process is already ending for another reason.
        let _told = self.0.try_send(cause);
    }

    /// Returns a guard that raises the alarm when it is dropped by a panic of `thread`.
    pub(super) fn of_thread(&self, thread: String) -> ThreadAlarm {
        ThreadAlarm { alarm: self.clone(), thread }
    }
}

/// A guard that a thread holds while it runs.
pub(super) struct ThreadAlarm {
    alarm: Alarm,
    thread: String,
}

impl Drop for ThreadAlarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.alarm.raise(format!("the thread {} panicked", self.thread));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    fn supervisor() -> Supervisor {
        Supervisor { metrics: Metrics::new(&[]), ended: CancellationToken::new() }
    }

    #[tokio::test]
    async fn a_task_that_panics_or_returns_is_started_again_and_counted() {
        let supervisor = supervisor();
        let starts = Arc::new(AtomicU32::new(0));
        let task = {
            let starts = Arc::clone(&starts);
            supervisor.spawn("odd", move || {
                let nth = starts.fetch_add(1, SeqCst);
                async move {
                    match nth {
                        0 => panic!("a defect"),
                        1 => {}
                        _ => std::future::pending().await,
                    }
                }
            })
        };
        while starts.load(SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut out = crate::telemetry::Exposition::default();
        supervisor.metrics.expose(&mut out);
        assert!(out.finish().contains("mcpgate_server_events_total{event=\"task_restarted\"} 2\n"));
        supervisor.ended.cancel();
        task.await.unwrap();
        assert_eq!(starts.load(SeqCst), 3, "not after the end");
    }

    #[tokio::test]
    async fn a_task_that_cannot_hold_does_not_spin() {
        let supervisor = supervisor();
        let starts = Arc::new(AtomicU32::new(0));
        let (counted, began) = (Arc::clone(&starts), Instant::now());
        drop(supervisor.spawn("hopeless", move || {
            counted.fetch_add(1, SeqCst);
            async { panic!("a defect") }
        }));
        // 100 ms, 200 ms, 400 ms: the fifth start comes after a second and a half.
        while starts.load(SeqCst) < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_thread_that_panics_is_told_and_one_that_ends_is_not() {
        let (alarm, mut failures) = Alarm::new();
        for panics in [false, true] {
            let kept = alarm.of_thread("worker-7".to_owned());
            let body = move || {
                let _kept = kept;
                assert!(!panics, "a defect");
            };
            assert_eq!(std::thread::spawn(body).join().is_err(), panics);
        }
        assert_eq!(failures.try_recv().unwrap(), "the thread worker-7 panicked");
        assert!(failures.try_recv().is_err());
    }
}
