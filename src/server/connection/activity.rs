//! What a connection is doing, told by its bytes and its requests.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::sync::lock;

/// What is known of a connection. Its worker's thread writes all of it but `reclaimed`; the thread that accepts reads it
/// when it needs room, and then looks for nothing exact.
#[derive(Debug)]
pub(in crate::server) struct Activity {
    began: Instant,
    /// Since when it has waited for its peer, in microseconds after `began`.
    rests: AtomicU64,
    known: AtomicBool,
    reclaimed: AtomicBool,
    requests: AtomicU32,
    in_flight: AtomicU32,
    head_begun: AtomicBool,
    fragment: AtomicBool,
    write_waits: AtomicBool,
    written: AtomicU32,
    ending: AtomicBool,
    flooded: AtomicBool,
    waker: AtomicWaker,
    /// The tasks of answers that wait until the peer takes what it was sent.
    parked: Mutex<Vec<Waker>>,
}

impl Activity {
    /// Begins with a connection that has just been accepted.
    pub(in crate::server) fn new() -> Self {
        Self {
            began: Instant::now(),
            rests: AtomicU64::new(0),
            known: AtomicBool::new(false),
            reclaimed: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            head_begun: AtomicBool::new(false),
            fragment: AtomicBool::new(false),
            write_waits: AtomicBool::new(false),
            written: AtomicU32::new(0),
            ending: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            parked: Mutex::default(),
        }
    }

    /// Notes since when the connection has waited for its peer. Without effect while a request is under way.
    pub(in crate::server) fn rests_since(&self, moment: Instant) {
        let micros = moment.saturating_duration_since(self.began).as_micros();
        self.rests.store(u64::try_from(micros).unwrap_or(u64::MAX), Relaxed);
    }

    /// Returns since when the connection has waited for its peer; `None` while a request is under way. One that waits
    /// for its peer to read an answer counts as waiting, too, unless a good token was shown on it.
    pub(in crate::server) fn idle_since(&self) -> Option<Instant> {
        let waits = match self.phase() {
            Phase::Idle | Phase::Head => true,
            Phase::Stalled => !self.is_known(),
            Phase::Busy => false,
        };
        waits.then(|| self.began + Duration::from_micros(self.rests.load(Relaxed)))
    }

    /// Notes that a good access token was shown on the connection.
    pub(in crate::server) fn mark_known(&self) {
        self.known.store(true, Relaxed);
    }

    /// Returns whether a good access token was shown on the connection.
    pub(in crate::server) fn is_known(&self) -> bool {
        self.known.load(Relaxed)
    }

    /// Takes the connection's place away for another one: it ends now, or with the request that has begun meanwhile.
    pub(in crate::server) fn reclaim(&self) {
        self.reclaimed.store(true, Relaxed);
        self.waker.wake();
    }

    /// Returns whether its place was taken away.
    pub(in crate::server) fn is_reclaimed(&self) -> bool {
        self.reclaimed.load(Relaxed)
    }

    /// Returns whether a request is under way.
    pub(in crate::server) fn is_busy(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    /// Notes that the head of a request has begun.
    pub(in crate::server) fn begin_head(&self) {
        self.head_begun.store(true, Relaxed);
    }

    /// Returns whether the head of a request has begun.
    pub(in crate::server) fn is_in_head(&self) -> bool {
        self.head_begun.load(Relaxed)
    }

    /// Notes that the target of the request that comes in has a fragment.
    pub(in crate::server) fn note_fragment(&self) {
        self.fragment.store(true, Relaxed);
    }

    /// Notes that the peer has sent too many frames for nothing.
    pub(in crate::server) fn note_flood(&self) {
        self.flooded.store(true, Relaxed);
    }

    /// Notes that the stream has taken so many bytes.
    pub(in crate::server) fn note_written(&self, bytes: usize) {
        // Wraps: only the difference from one look to the next matters.
        self.written.fetch_add(u32::try_from(bytes).unwrap_or(u32::MAX), Relaxed);
    }

    /// A request's head is complete. Returns whether its target had a fragment.
    pub(in crate::server) fn begin_request(&self) -> bool {
        self.requests.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.head_begun.store(false, Relaxed);
        self.fragment.swap(false, Relaxed)
    }

    /// A request's answer has left, or was given up.
    pub(in crate::server) fn end_request(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Asks the connection to end when its requests have ended.
    pub(in crate::server) fn wind_down(&self) {
        self.ending.store(true, Relaxed);
        self.waker.wake();
    }

    /// Leaves the waker of the connection's task, which `wind_down` and `reclaim` wake.
    pub(in crate::server) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Returns whether `wind_down` was asked.
    pub(in crate::server) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    /// Returns whether the peer has sent too many frames for nothing.
    pub(in crate::server) fn is_flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    /// Returns whether bytes wait to be written because the peer takes none.
    pub(in crate::server) fn is_stalled(&self) -> bool {
        self.write_waits.load(Relaxed)
    }

    /// Leaves the waker of a task that waits until the peer takes bytes again.
    pub(in crate::server) fn park(&self, waker: &Waker) {
        let mut parked = self.parked();
        if !parked.iter().any(|other| other.will_wake(waker)) {
            parked.push(waker.clone());
        }
    }

    /// Notes whether bytes wait to be written.
    pub(in crate::server) fn write_waits(&self, waits: bool) {
        if self.is_stalled() == waits {
            return;
        }
        self.write_waits.store(waits, Relaxed);
        if !waits {
            let parked = std::mem::take(&mut *self.parked());
            parked.into_iter().for_each(Waker::wake);
        }
    }

    fn parked(&self) -> MutexGuard<'_, Vec<Waker>> {
        lock(&self.parked)
    }

    /// Returns how many requests have begun.
    pub(in crate::server) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// Returns how many bytes the stream has taken; wraps.
    pub(in crate::server) fn written(&self) -> u32 {
        self.written.load(Relaxed)
    }

    /// Returns what it is doing.
    pub(in crate::server) fn phase(&self) -> Phase {
        if self.is_stalled() {
            Phase::Stalled
        } else if self.is_busy() {
            Phase::Busy
        } else if self.is_in_head() {
            Phase::Head
        } else {
            Phase::Idle
        }
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Phase {
    /// Nothing.
    Idle,
    /// A request's head is coming in.
    Head,
    /// At least one request is under way.
    Busy,
    /// Bytes wait to be written and the peer takes none.
    Stalled,
}
