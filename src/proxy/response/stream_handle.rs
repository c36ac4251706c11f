//! `StreamHandle`: what the body of an open answer and the task that monitors it have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use futures_util::task::AtomicWaker;

use crate::clock::Clock;
use crate::mcp::ChangedLists;
use crate::oauth::TokenHash;
use crate::token_cache::TokenCache;

/// What says whether tokens are still valid.
pub(in crate::proxy) struct TokenCheck {
    pub(super) cache: Arc<TokenCache>,
    pub(super) clock: Arc<dyn Clock>,
}

impl TokenCheck {
    pub(in crate::proxy) fn new(cache: Arc<TokenCache>, clock: Arc<dyn Clock>) -> Self {
        Self { cache, clock }
    }
}

/// What a stream is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum StreamSignal {
    /// Send a keep-alive comment.
    KeepAlive,
    /// The token was revoked, its account may no longer hold it or one of its scopes, or it has expired and the grace
    /// period is over.
    TokenEnded,
    /// Its request would now be refused, or rules apply that it was not made for.
    RulesChanged,
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
    const ALL: [Self; 9] = [
        Self::KeepAlive,
        Self::TokenEnded,
        Self::RulesChanged,
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
            Self::RulesChanged => 9,
        }
    }
}

/// The part of a monitored stream that its response body holds.
pub(in crate::proxy) struct StreamHandle {
    signal: AtomicU8,
    /// The lists whose change the client is not told of yet.
    lists: AtomicU8,
    active: AtomicBool,
    waker: AtomicWaker,
    tokens: Arc<TokenCheck>,
    /// The token's; `None` without one, which nobody can revoke.
    hash: Option<TokenHash>,
    /// The token cache's generation when the token was last known to be valid.
    generation: AtomicU64,
}

impl StreamHandle {
    /// Makes the handle of an answer to a token. `generation` is the token cache's before the token was looked up.
    pub(super) fn new(hash: Option<TokenHash>, generation: u64, tokens: &Arc<TokenCheck>) -> Self {
        Self {
            signal: AtomicU8::new(NONE),
            lists: AtomicU8::new(NONE),
            active: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            tokens: Arc::clone(tokens),
            hash,
            generation: AtomicU64::new(generation),
        }
    }

    /// Takes the signal, if there is one.
    pub(in crate::proxy) fn take_signal(&self) -> Option<StreamSignal> {
        if self.signal.load(Ordering::Relaxed) == NONE {
            return None;
        }
        let code = self.signal.swap(NONE, Ordering::Acquire);
        StreamSignal::ALL.into_iter().find(|o| o.code() == code)
    }

    /// Returns whether the client is to be told that lists have changed.
    pub(in crate::proxy) fn has_changed_lists(&self) -> bool {
        self.lists.load(Ordering::Relaxed) != NONE
    }

    /// Takes the lists that have changed.
    pub(in crate::proxy) fn take_changed_lists(&self) -> ChangedLists {
        ChangedLists::of_bits(self.lists.swap(NONE, Ordering::Acquire))
    }

    /// Has the client told that lists have changed.
    pub(super) fn tell(&self, lists: ChangedLists) {
        if !lists.is_empty() {
            self.lists.fetch_or(lists.bits(), Ordering::Release);
            self.waker.wake();
        }
    }

    /// Registers a waker for the next signal.
    pub(in crate::proxy) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    /// Returns whether data was received from the upstream since this was last asked.
    pub(super) fn take_data(&self) -> bool {
        self.active.swap(false, Ordering::Relaxed)
    }

    /// Records that data was received from the upstream.
    pub(in crate::proxy) fn note_data(&self) {
        self.active.store(true, Ordering::Relaxed);
    }

    /// Returns whether the token is no longer valid. TV-14: checked before anything from the upstream is forwarded,
    /// since the next periodic check may be a moment away. Costs one atomic load while nothing is revoked.
    pub(in crate::proxy) fn is_revoked(&self) -> bool {
        let generation = self.tokens.cache.generation();
        if generation == self.generation.load(Ordering::Relaxed) {
            return false;
        }
        let now = self.tokens.clock.now();
        let is_revoked = self.hash.as_ref().is_some_and(|hash| self.tokens.cache.is_forgotten(hash, now));
        if !is_revoked {
            self.generation.store(generation, Ordering::Relaxed);
        }
        is_revoked
    }

    pub(super) fn send(&self, signal: StreamSignal) {
        self.signal.store(signal.code(), Ordering::Release);
        self.waker.wake();
    }
}
