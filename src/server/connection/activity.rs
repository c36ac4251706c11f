//! What a connection is doing, as far as its bytes and requests show.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::sync::lock;

/// What is known of a connection. Its worker's thread writes everything except `reclaimed`; the accepting thread reads
/// it when it needs room, and does not need exact values.
#[derive(Debug)]
pub(in crate::server) struct Activity {
    began: Instant,
    /// Since when it has been waiting for its peer, in microseconds after `began`.
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
    /// The tasks of answers that wait until the peer reads what it was sent.
    parked: Mutex<Vec<Waker>>,
}

impl Activity {
    /// Starts tracking a connection that was just accepted.
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

    /// Records since when the connection has been waiting for its peer. No effect while a request is in progress.
    pub(in crate::server) fn rests_since(&self, moment: Instant) {
        let micros = moment.saturating_duration_since(self.began).as_micros();
        self.rests.store(u64::try_from(micros).unwrap_or(u64::MAX), Relaxed);
    }

    /// Returns since when the connection has been waiting for its peer; `None` while a request is in progress. Waiting
    /// for the peer to read an answer counts too, unless a good token was shown on the connection.
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

    /// Gives the connection's place to another one: it ends now, or with the request that has just begun.
    pub(in crate::server) fn reclaim(&self) {
        self.reclaimed.store(true, Relaxed);
        self.waker.wake();
    }

    /// Returns whether its place was given to another connection.
    pub(in crate::server) fn is_reclaimed(&self) -> bool {
        self.reclaimed.load(Relaxed)
    }

    /// Returns whether a request is in progress.
    pub(in crate::server) fn is_busy(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    /// Records that the head of a request has begun.
    pub(in crate::server) fn begin_head(&self) {
        self.head_begun.store(true, Relaxed);
    }

    /// Returns whether the head of a request has begun.
    pub(in crate::server) fn is_in_head(&self) -> bool {
        self.head_begun.load(Relaxed)
    }

    /// Records that the target of the incoming request has a fragment.
    pub(in crate::server) fn note_fragment(&self) {
        self.fragment.store(true, Relaxed);
    }

    /// Records that the peer has sent too many useless frames.
    pub(in crate::server) fn note_flood(&self) {
        self.flooded.store(true, Relaxed);
    }

    /// Adds to the number of bytes written to the stream.
    pub(in crate::server) fn note_written(&self, bytes: usize) {
        // May wrap: only the difference between two readings matters.
        self.written.fetch_add(u32::try_from(bytes).unwrap_or(u32::MAX), Relaxed);
    }

    /// Records that a request's head is complete. Returns whether its target had a fragment.
    pub(in crate::server) fn begin_request(&self) -> bool {
        self.requests.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.head_begun.store(false, Relaxed);
        self.fragment.swap(false, Relaxed)
    }

    /// Records that a request's answer was sent or abandoned.
    pub(in crate::server) fn end_request(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Records that the rest of a body is being read, after which its request has ended.
    pub(in crate::server) fn begin_rest(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Records that the rest of a body was read or given up.
    pub(in crate::server) fn end_rest(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
        // Otherwise nothing would tell the connection that it waits for its peer now.
        self.waker.wake();
    }

    /// Asks the connection to end when its requests have ended.
    pub(in crate::server) fn wind_down(&self) {
        self.ending.store(true, Relaxed);
        self.waker.wake();
    }

    /// Registers the waker of the connection's task, which `wind_down` and `reclaim` wake.
    pub(in crate::server) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Returns whether `wind_down` was called.
    pub(in crate::server) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    /// Returns whether the peer has sent too many useless frames.
    pub(in crate::server) fn is_flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    /// Returns whether bytes wait to be written because the peer reads none.
    pub(in crate::server) fn is_stalled(&self) -> bool {
        self.write_waits.load(Relaxed)
    }

    /// Registers the waker of a task that waits until the peer reads again.
    pub(in crate::server) fn park(&self, waker: &Waker) {
        let mut parked = self.parked();
        if !parked.iter().any(|other| other.will_wake(waker)) {
            parked.push(waker.clone());
        }
    }

    /// Records whether bytes wait to be written.
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

    /// Returns how many bytes were written to the stream; wraps.
    pub(in crate::server) fn written(&self) -> u32 {
        self.written.load(Relaxed)
    }

    /// Returns what the connection is doing.
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
    /// Nothing is in progress.
    Idle,
    /// A request's head is being received.
    Head,
    /// At least one request is in progress.
    Busy,
    /// Bytes wait to be written and the peer reads none.
    Stalled,
}
