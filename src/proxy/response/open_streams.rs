//! Monitors the open answers of one worker: their tokens, age and silence, and what a reload changes for them. One task
//! checks all of them periodically, so that an idle stream needs no timer of its own.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::open_stream::{NewStream, OpenStream, StreamLimits};
use super::stream_handle::{StreamHandle, StreamSignal, TokenCheck};
use crate::proxy::route_table::RouteTable;
use crate::proxy::session::Sessions;
use crate::proxy::table_in_force::TableInForce;
use crate::sync::lock;

/// All open answers of a worker.
pub(in crate::proxy) struct OpenStreams {
    tokens: Arc<TokenCheck>,
    sessions: Arc<Sessions>,
    table: Arc<TableInForce>,
    /// The table was replaced.
    replaced: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    streams: Vec<OpenStream>,
    running: bool,
    /// Whether all answers are ended, including new ones; and below, whether those are that never end by themselves.
    closed: bool,
    is_draining: bool,
    /// The table that the answers go by, or will once each was compared with it.
    table: Option<Arc<RouteTable>>,
    /// Since when the change log is too old for cached tokens to be trusted.
    unprovable_since: Option<Instant>,
}

/// How often all streams are checked, unless shorter limits require more.
const LOOK: Duration = Duration::from_secs(1);
/// Minimum pause between two checks after revocations, so that a burst of revocations is handled together.
const PAUSE: Duration = Duration::from_millis(100);
/// Minimum pause between two checks.
const LEAST_PAUSE: Duration = Duration::from_millis(5);
/// How many answers one check compares with a new table, so that it delays nobody; the rest follows after a pause.
const MOST_COMPARED: usize = 256;

impl OpenStreams {
    pub(in crate::proxy) fn new(
        tokens: Arc<TokenCheck>,
        sessions: Arc<Sessions>,
        table: Arc<TableInForce>,
    ) -> Arc<Self> {
        Arc::new(Self { tokens, sessions, table, replaced: Notify::new(), state: Mutex::default() })
    }

    /// Monitors an answer until its handle is dropped.
    pub(in crate::proxy) fn add(self: &Arc<Self>, new: NewStream<'_>, limits: StreamLimits) -> Arc<StreamHandle> {
        let (stream, handle) = OpenStream::new(new, limits, &self.tokens);
        let mut state = lock(&self.state);
        if state.closed || (state.is_draining && limits.is_standing) {
            handle.send(StreamSignal::GoingDown);
            return handle;
        }
        state.streams.push(stream);
        if !std::mem::replace(&mut state.running, true) {
            tokio::spawn(Arc::clone(self).run());
        }
        handle
    }

    /// Compares the answers with the table in force, which was replaced.
    pub(in crate::proxy) fn look_soon(&self) {
        self.replaced.notify_one();
    }

    /// Ends the answers that never end by themselves, and all new ones of that kind.
    pub(in crate::proxy) fn drain(&self) {
        let mut state = lock(&self.state);
        state.is_draining = true;
        let standing = state.streams.extract_if(.., |stream| stream.limits().is_standing);
        standing.for_each(|stream| stream.send(StreamSignal::GoingDown));
    }

    /// Ends all answers, including new ones.
    pub(in crate::proxy) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.streams.drain(..).for_each(|stream| stream.send(StreamSignal::GoingDown));
    }

    /// Monitors the answers until none is open. A panic must not leave answers open whose tokens are revoked.
    async fn run(self: Arc<Self>) {
        despite_panics(|| self.look_until_none()).await;
    }

    async fn look_until_none(&self) {
        let mut revocations = self.tokens.cache.revocations();
        let mut revoked = true;
        while let Some(pause) = self.look(revoked) {
            sleep(PAUSE.min(pause)).await;
            let news = async {
                tokio::select! {
                    changed = revocations.changed() => changed.is_ok(),
                    () = self.replaced.notified() => false,
                }
            };
            revoked = matches!(timeout(pause, news).await, Ok(true));
        }
    }

    /// Checks all answers once; returns when to check again, or `None` when none is open.
    fn look(&self, revoked: bool) -> Option<Duration> {
        let (now, time) = (Instant::now(), self.tokens.clock.now());
        let table = self.table.get();
        let mut state = lock(&self.state);
        let since = if self.tokens.cache.is_current() { None } else { state.unprovable_since.or(Some(now)) };
        state.unprovable_since = since;
        let unprovable_for = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let is_other = table.as_ref().map(Arc::as_ptr) != state.table.as_ref().map(Arc::as_ptr);
        state.table.clone_from(&table);
        let (mut pause, mut left) = (LOOK, MOST_COMPARED);
        state.streams.retain_mut(|stream| {
            if !stream.is_awaited() {
                return false;
            }
            pause = pause.min(stream.limits().silence / 4);
            let followed = stream.follow(table.as_deref(), is_other, &mut left);
            if followed.is_pending() {
                pause = LEAST_PAUSE;
            }
            let signal = if let Poll::Ready(Some(ended)) = followed {
                Some(ended)
            } else if stream.is_taken_over(&self.sessions) {
                Some(StreamSignal::TakenOver)
            } else if unprovable_for > stream.limits().grace {
                // TV-23: a token that cannot be checked stays valid only for a while.
                Some(StreamSignal::Unprovable)
            } else {
                stream.judge(now, time, revoked, &self.tokens)
            };
            if let Some(signal) = signal {
                stream.send(signal);
                return signal == StreamSignal::KeepAlive;
            }
            true
        });
        state.running = !state.streams.is_empty();
        state.running.then_some(pause.max(LEAST_PAUSE))
    }
}

/// Runs a task to its end, and again when it panics.
async fn despite_panics<F: Future<Output = ()>>(task: impl Fn() -> F) {
    while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
        tracing::error!("the task that watches open answers failed and is restarted");
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_panic_does_not_end_the_watch_over_answers() {
        let begun = AtomicU32::new(0);
        super::despite_panics(|| async { assert!(begun.fetch_add(1, Ordering::SeqCst) > 0, "a defect") }).await;
        assert_eq!(begun.into_inner(), 2);
    }
}
