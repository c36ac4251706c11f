//! Watching over the open answers of one worker: their tokens, their age, their silence. One task looks at all of them
//! once in a while, so that an idle stream costs no timer of its own.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::oauth::{Lifetime, Timestamp, TokenHash};
use crate::proxy::authenticate::Authenticated;
use crate::proxy::route::{Route, RouteTable};
use crate::sync::lock;
use crate::token_cache::TokenCache;

/// What the watch says to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Order {
    /// Show a sign of life.
    KeepAlive,
    /// The token is revoked, or the time of grace is over since it has expired.
    TokenEnded,
    /// The time of grace is over since nobody vouches for the token any more.
    Unvouched,
    /// What it comes from is no longer configured.
    Removed,
    /// Open for as long as a stream may be.
    TooOld,
    /// Nothing came for as long as an answer may pause.
    TooSilent,
    /// The process ends now.
    GoingDown,
}

const NONE: u8 = 0;

impl Order {
    const ALL: [Self; 7] = [
        Self::KeepAlive,
        Self::TokenEnded,
        Self::Unvouched,
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
            Self::Unvouched => 6,
            Self::GoingDown => 7,
        }
    }
}

/// The side of the watch that a stream holds.
pub(in crate::proxy) struct Ward {
    order: AtomicU8,
    active: AtomicBool,
    waker: AtomicWaker,
    watch: Arc<Watch>,
    hash: TokenHash,
    /// Of the token cache, when the token was last known to be good.
    generation: AtomicU64,
}

impl Ward {
    /// Takes the order, if there is one.
    pub(in crate::proxy) fn order(&self) -> Option<Order> {
        if self.order.load(Ordering::Relaxed) == NONE {
            return None;
        }
        let code = self.order.swap(NONE, Ordering::Acquire);
        Order::ALL.into_iter().find(|o| o.code() == code)
    }

    /// Wants to be woken when there is an order.
    pub(in crate::proxy) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    /// Says that something came from the upstream.
    pub(in crate::proxy) fn is_alive(&self) {
        self.active.store(true, Ordering::Relaxed);
    }

    /// Returns whether the token is no longer honoured. TV-14: asked before anything of the upstream's is passed on, since
    /// the next look may be a moment away. Costs one load while nothing is revoked.
    pub(in crate::proxy) fn is_revoked(&self) -> bool {
        let generation = self.watch.cache.generation();
        if generation == self.generation.load(Ordering::Relaxed) {
            return false;
        }
        let is_revoked = self.watch.cache.is_forgotten(&self.hash, self.watch.clock.now());
        if !is_revoked {
            self.generation.store(generation, Ordering::Relaxed);
        }
        is_revoked
    }

    fn tell(&self, order: Order) {
        self.order.store(order.code(), Ordering::Release);
        self.waker.wake();
    }
}

/// How long an answer may last and pause.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Limits {
    pub(in crate::proxy) max_age: Duration,
    /// Silence after which a sign of life is due (event streams), or the answer is given up (others).
    pub(in crate::proxy) silence: Duration,
    pub(in crate::proxy) on_silence: Order,
    /// How long an answer may go on after its token has expired.
    pub(in crate::proxy) grace: Duration,
    /// Whether it never ends by itself: the stream of a GET, or of a subscription.
    pub(in crate::proxy) is_standing: bool,
}

struct Watched {
    ward: Arc<Ward>,
    route: Arc<Route>,
    hash: TokenHash,
    /// When the token has expired and the time of grace is over.
    end: Timestamp,
    opened: Instant,
    heard: Instant,
    limits: Limits,
    /// Whether token and route have not been looked up yet since the answer began.
    unseen: bool,
}

/// All open answers of a worker.
pub(in crate::proxy) struct Watch {
    cache: Arc<TokenCache>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watched: Vec<Watched>,
    running: bool,
    /// Whether all answers are ended, those that begin from now on too; and whether those are that never end by themselves.
    closed: bool,
    is_draining: bool,
    /// The route table in force, and whether the answers have not been compared with it yet.
    table: Option<Arc<RouteTable>>,
    is_new: bool,
    /// Since when nobody vouches for the tokens in memory.
    unvouched: Option<Instant>,
}

/// How often the watch looks, unless shorter limits ask for more.
const LOOK: Duration = Duration::from_secs(1);
/// How soon after a look it looks again because something was revoked: storms of revocations are taken together.
const PAUSE: Duration = Duration::from_millis(100);

impl Watch {
    pub(in crate::proxy) fn new(cache: Arc<TokenCache>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { cache, clock, state: Mutex::default() })
    }

    /// Watches an answer until its ward is dropped. `generation` is that of the token cache before the token was looked up.
    pub(in crate::proxy) fn over(
        self: &Arc<Self>,
        token: &Authenticated,
        generation: u64,
        route: &Arc<Route>,
        limits: Limits,
    ) -> Arc<Ward> {
        let ward = Arc::new(Ward {
            order: AtomicU8::new(NONE),
            active: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            watch: Arc::clone(self),
            hash: token.hash,
            generation: AtomicU64::new(generation),
        });
        let now = Instant::now();
        let grace = Lifetime::from_millis(u64::try_from(limits.grace.as_millis()).unwrap_or(u64::MAX));
        let (hash, end) = (token.hash, token.expires.plus(grace));
        let (held, route) = (Arc::clone(&ward), Arc::clone(route));
        let watched = Watched { ward: held, route, hash, end, opened: now, heard: now, limits, unseen: true };
        let mut state = lock(&self.state);
        if state.closed || (state.is_draining && limits.is_standing) {
            ward.tell(Order::GoingDown);
            return ward;
        }
        state.watched.push(watched);
        if !std::mem::replace(&mut state.running, true) {
            tokio::spawn(Arc::clone(self).run());
        }
        ward
    }

    /// Ends the answers of upstreams that a table has no more, at the next look.
    pub(in crate::proxy) fn adopt(&self, table: &Arc<RouteTable>) {
        let mut state = lock(&self.state);
        state.table = Some(Arc::clone(table));
        state.is_new = true;
    }

    /// Ends the answers that never end by themselves, now and from now on.
    pub(in crate::proxy) fn drain(&self) {
        let mut state = lock(&self.state);
        state.is_draining = true;
        let standing = state.watched.extract_if(.., |watched| watched.limits.is_standing);
        standing.for_each(|watched| watched.ward.tell(Order::GoingDown));
    }

    /// Ends all answers, now and from now on.
    pub(in crate::proxy) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.watched.drain(..).for_each(|watched| watched.ward.tell(Order::GoingDown));
    }

    /// Looks after the answers until none is open. A panic must not leave answers open whose tokens are revoked.
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

    /// Looks at all answers once; returns when to look again, or `None` when there is nothing to look at.
    fn look(&self, revoked: bool) -> Option<Duration> {
        let (now, time) = (Instant::now(), self.clock.now());
        let mut state = lock(&self.state);
        let since = if self.cache.is_vouched() { None } else { state.unvouched.or(Some(now)) };
        state.unvouched = since;
        let unvouched = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let mut pause = LOOK;
        let State { watched, table, is_new, .. } = &mut *state;
        let is_new = std::mem::take(is_new);
        watched.retain_mut(|watched| {
            // The other half is held by the answer itself.
            if Arc::strong_count(&watched.ward) == 1 {
                return false;
            }
            pause = pause.min(watched.limits.silence / 4);
            // TV-14: whatever the token says, there is nothing left that it is good for.
            let is_removed =
                (is_new || watched.unseen) && table.as_ref().is_some_and(|table| !table.serves(&watched.route));
            let order = if is_removed {
                Some(Order::Removed)
            } else if unvouched > watched.limits.grace {
                // TV-23: what nobody can prove to be good is not taken to be for long.
                Some(Order::Unvouched)
            } else {
                watched.judge(now, time, revoked, &self.cache)
            };
            if let Some(order) = order {
                watched.ward.tell(order);
                return order == Order::KeepAlive;
            }
            true
        });
        state.running = !state.watched.is_empty();
        state.running.then_some(pause.max(Duration::from_millis(5)))
    }
}

impl Watched {
    fn judge(&mut self, now: Instant, time: Timestamp, revoked: bool, cache: &TokenCache) -> Option<Order> {
        // TV-15: a token that expires in the middle of an answer lets it end in peace, for a while.
        if time >= self.end {
            return Some(Order::TokenEnded);
        }
        // TV-14, SS-06. A token that is no longer in memory may be revoked: closing is right, for a client that comes
        // again is checked against the store. Expired ones stay in memory for longer than the grace.
        if (std::mem::take(&mut self.unseen) || revoked) && cache.is_forgotten(&self.hash, time) {
            return Some(Order::TokenEnded);
        }
        if now.saturating_duration_since(self.opened) >= self.limits.max_age {
            return Some(Order::TooOld);
        }
        if self.ward.active.swap(false, Ordering::Relaxed) {
            self.heard = now;
        } else if now.saturating_duration_since(self.heard) >= self.limits.silence {
            self.heard = now;
            return Some(self.limits.on_silence);
        }
        None
    }
}

/// Runs a task to its end; again when it panics.
async fn despite_panics<F: Future<Output = ()>>(task: impl Fn() -> F) {
    while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
        tracing::error!("watching open answers failed; it begins again");
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
