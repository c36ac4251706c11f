//! Monitors the open answers of one worker: their tokens, age and silence. One task checks all of them periodically, so
//! that an idle stream needs no timer of its own.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::task::AtomicWaker;
use http::HeaderValue;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::oauth::{Lifetime, Timestamp, TokenHash};
use crate::proxy::authenticate::Authenticated;
use crate::proxy::route::Route;
use crate::proxy::route_table::RouteTable;
use crate::proxy::session::Sessions;
use crate::sync::lock;
use crate::token_cache::{Principal, TokenCache};

/// What a stream is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum StreamSignal {
    /// Send a keep-alive comment.
    KeepAlive,
    /// The token was revoked, its account may no longer hold it or one of its scopes, or it has expired and the grace
    /// period is over.
    TokenEnded,
    /// Cached tokens can no longer be trusted (the change log is too old), and the grace period is over.
    Unprovable,
    /// It was opened without a token, and whoever signed in since has the session now.
    TakenOver,
    /// Its upstream is no longer configured.
    Removed,
    /// It has reached the maximum duration of a stream.
    TooOld,
    /// The upstream has been silent for longer than an answer may pause.
    TooSilent,
    /// The process ends now.
    GoingDown,
}

const NONE: u8 = 0;

impl StreamSignal {
    const ALL: [Self; 8] = [
        Self::KeepAlive,
        Self::TokenEnded,
        Self::TakenOver,
        Self::Unprovable,
        Self::TooOld,
        Self::TooSilent,
        Self::Removed,
        Self::GoingDown,
    ];

    const fn code(self) -> u8 {
        match self {
            Self::KeepAlive => 1,
            Self::TokenEnded => 2,
            Self::TooOld => 3,
            Self::TooSilent => 4,
            Self::Removed => 5,
            Self::Unprovable => 6,
            Self::GoingDown => 7,
            Self::TakenOver => 8,
        }
    }
}

/// The part of a monitored stream that its response body holds.
pub(in crate::proxy) struct StreamHandle {
    signal: AtomicU8,
    active: AtomicBool,
    waker: AtomicWaker,
    streams: Arc<OpenStreams>,
    /// The token's; `None` without one, which nobody can revoke.
    hash: Option<TokenHash>,
    /// The token cache's generation when the token was last known to be valid.
    generation: AtomicU64,
}

impl StreamHandle {
    /// Takes the signal, if there is one.
    pub(in crate::proxy) fn take_signal(&self) -> Option<StreamSignal> {
        if self.signal.load(Ordering::Relaxed) == NONE {
            return None;
        }
        let code = self.signal.swap(NONE, Ordering::Acquire);
        StreamSignal::ALL.into_iter().find(|o| o.code() == code)
    }

    /// Registers a waker for the next signal.
    pub(in crate::proxy) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    /// Records that data was received from the upstream.
    pub(in crate::proxy) fn note_data(&self) {
        self.active.store(true, Ordering::Relaxed);
    }

    /// Returns whether the token is no longer valid. TV-14: checked before anything from the upstream is forwarded,
    /// since the next periodic check may be a moment away. Costs one atomic load while nothing is revoked.
    pub(in crate::proxy) fn is_revoked(&self) -> bool {
        let generation = self.streams.cache.generation();
        if generation == self.generation.load(Ordering::Relaxed) {
            return false;
        }
        let (cache, now) = (&self.streams.cache, self.streams.clock.now());
        let is_revoked = self.hash.as_ref().is_some_and(|hash| cache.is_forgotten(hash, now));
        if !is_revoked {
            self.generation.store(generation, Ordering::Relaxed);
        }
        is_revoked
    }

    fn send(&self, signal: StreamSignal) {
        self.signal.store(signal.code(), Ordering::Release);
        self.waker.wake();
    }
}

/// Limits on how long an answer may last and pause.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct StreamLimits {
    pub(in crate::proxy) max_age: Duration,
    /// Silence after which a keep-alive is due (event streams), or the answer is given up (others).
    pub(in crate::proxy) silence: Duration,
    pub(in crate::proxy) on_silence: StreamSignal,
    /// How long an answer may continue after its token has expired.
    pub(in crate::proxy) grace: Duration,
    /// Whether it never ends by itself: the stream of a GET, or of a subscription.
    pub(in crate::proxy) is_standing: bool,
}

struct OpenStream {
    handle: Arc<StreamHandle>,
    route: Arc<Route>,
    principal: Arc<Principal>,
    hash: Option<TokenHash>,
    /// The session, where it could be taken over: of a stream without a token that does not end by itself.
    session: Option<HeaderValue>,
    /// When the token has expired and the grace period is over.
    end: Timestamp,
    opened: Instant,
    heard: Instant,
    limits: StreamLimits,
    /// Whether token and route were not checked yet since the answer began.
    unseen: bool,
}

/// All open answers of a worker.
pub(in crate::proxy) struct OpenStreams {
    cache: Arc<TokenCache>,
    clock: Arc<dyn Clock>,
    sessions: Arc<Sessions>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    streams: Vec<OpenStream>,
    running: bool,
    /// Whether all answers are ended, including new ones; and below, whether those are that never end by themselves.
    closed: bool,
    is_draining: bool,
    /// The current route table, and whether the answers were not compared with it yet.
    table: Option<Arc<RouteTable>>,
    is_new: bool,
    /// Since when the change log is too old for cached tokens to be trusted.
    unprovable_since: Option<Instant>,
}

/// How often all streams are checked, unless shorter limits require more.
const LOOK: Duration = Duration::from_secs(1);
/// Minimum pause between two checks after revocations, so that a burst of revocations is handled together.
const PAUSE: Duration = Duration::from_millis(100);

impl OpenStreams {
    pub(in crate::proxy) fn new(cache: Arc<TokenCache>, clock: Arc<dyn Clock>, sessions: Arc<Sessions>) -> Arc<Self> {
        Arc::new(Self { cache, clock, sessions, state: Mutex::default() })
    }

    /// Monitors an answer until its handle is dropped. `session` is the id that its request names, `generation` is the
    /// token cache's before the token was looked up.
    pub(in crate::proxy) fn add(
        self: &Arc<Self>,
        (token, session): (&Authenticated, Option<&HeaderValue>),
        generation: u64,
        route: &Arc<Route>,
        limits: StreamLimits,
    ) -> Arc<StreamHandle> {
        let hash = Some(*token.hash()).filter(|_| !token.is_anonymous());
        let handle = Arc::new(StreamHandle {
            signal: AtomicU8::new(NONE),
            active: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            streams: Arc::clone(self),
            hash,
            generation: AtomicU64::new(generation),
        });
        let session = session.filter(|_| token.is_anonymous() && limits.is_standing).cloned();
        let now = Instant::now();
        let grace = Lifetime::from_millis(u64::try_from(limits.grace.as_millis()).unwrap_or(u64::MAX));
        let end = token.expires().plus(grace);
        let (held, route, principal) = (Arc::clone(&handle), Arc::clone(route), Arc::clone(token.principal()));
        let stream = OpenStream {
            handle: held,
            route,
            principal,
            hash,
            session,
            end,
            opened: now,
            heard: now,
            limits,
            unseen: true,
        };
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

    /// Ends the answers of upstreams that are no longer in the table, at the next check.
    pub(in crate::proxy) fn adopt(&self, table: &Arc<RouteTable>) {
        let mut state = lock(&self.state);
        state.table = Some(Arc::clone(table));
        state.is_new = true;
    }

    /// Ends the answers that never end by themselves, and all new ones of that kind.
    pub(in crate::proxy) fn drain(&self) {
        let mut state = lock(&self.state);
        state.is_draining = true;
        let standing = state.streams.extract_if(.., |stream| stream.limits.is_standing);
        standing.for_each(|stream| stream.handle.send(StreamSignal::GoingDown));
    }

    /// Ends all answers, including new ones.
    pub(in crate::proxy) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.streams.drain(..).for_each(|stream| stream.handle.send(StreamSignal::GoingDown));
    }

    /// Monitors the answers until none is open. A panic must not leave answers open whose tokens are revoked.
    async fn run(self: Arc<Self>) {
        despite_panics(|| self.look_until_none()).await;
    }

    async fn look_until_none(&self) {
        let mut revocations = self.cache.revocations();
        let mut revoked = true;
        while let Some(pause) = self.look(revoked) {
            tokio::time::sleep(PAUSE.min(pause)).await;
            revoked = matches!(tokio::time::timeout(pause, revocations.changed()).await, Ok(Ok(())));
        }
    }

    /// Checks all answers once; returns when to check again, or `None` when none is open.
    fn look(&self, revoked: bool) -> Option<Duration> {
        let (now, time) = (Instant::now(), self.clock.now());
        let mut state = lock(&self.state);
        let since = if self.cache.is_current() { None } else { state.unprovable_since.or(Some(now)) };
        state.unprovable_since = since;
        let unprovable_for = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let mut pause = LOOK;
        let State { streams, table, is_new, .. } = &mut *state;
        let is_new = std::mem::take(is_new);
        streams.retain_mut(|stream| {
            // The other reference is held by the answer itself.
            if Arc::strong_count(&stream.handle) == 1 {
                return false;
            }
            pause = pause.min(stream.limits.silence / 4);
            // TV-14: the token is useless without its upstream.
            let is_removed =
                (is_new || stream.unseen) && table.as_ref().is_some_and(|table| !table.serves(&stream.route));
            let is_narrowed = (is_new || stream.unseen)
                && table.as_ref().is_some_and(|table| !table.upholds(&stream.route, &stream.principal));
            let signal = if is_removed {
                Some(StreamSignal::Removed)
            } else if is_narrowed {
                Some(StreamSignal::TokenEnded)
            } else if stream.is_taken_over(&self.sessions) {
                Some(StreamSignal::TakenOver)
            } else if unprovable_for > stream.limits.grace {
                // TV-23: a token that cannot be checked stays valid only for a while.
                Some(StreamSignal::Unprovable)
            } else {
                stream.judge(now, time, revoked, &self.cache)
            };
            if let Some(signal) = signal {
                stream.handle.send(signal);
                return signal == StreamSignal::KeepAlive;
            }
            true
        });
        state.running = !state.streams.is_empty();
        state.running.then_some(pause.max(Duration::from_millis(5)))
    }
}

impl OpenStream {
    fn is_taken_over(&self, sessions: &Sessions) -> bool {
        self.session.as_ref().is_some_and(|id| sessions.is_taken(&self.route, &self.principal, id))
    }

    fn judge(&mut self, now: Instant, time: Timestamp, revoked: bool, cache: &TokenCache) -> Option<StreamSignal> {
        // TV-15: an answer may continue for a while after its token has expired.
        if time >= self.end {
            return Some(StreamSignal::TokenEnded);
        }
        // TV-14, SS-06. A token that is no longer in the cache may be revoked, so the stream is closed: a client that
        // reconnects is checked against the store. Expired tokens stay in the cache for longer than the grace period.
        let is_due = std::mem::take(&mut self.unseen) || revoked;
        if is_due && self.hash.as_ref().is_some_and(|hash| cache.is_forgotten(hash, time)) {
            return Some(StreamSignal::TokenEnded);
        }
        if now.saturating_duration_since(self.opened) >= self.limits.max_age {
            return Some(StreamSignal::TooOld);
        }
        if self.handle.active.swap(false, Ordering::Relaxed) {
            self.heard = now;
        } else if now.saturating_duration_since(self.heard) >= self.limits.silence {
            self.heard = now;
            return Some(self.limits.on_silence);
        }
        None
    }
}

/// Runs a task to its end, and again when it panics.
async fn despite_panics<F: Future<Output = ()>>(task: impl Fn() -> F) {
    while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
        tracing::error!("the task that watches open answers failed and is restarted");
        tokio::time::sleep(LOOK).await;
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
