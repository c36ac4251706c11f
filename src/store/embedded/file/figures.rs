//! Figures of the writer for the metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::store::StoreStats;

/// Counts for the metrics.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) commits: AtomicU64,
    pub(super) operations: AtomicU64,
    pub(super) commit_micros: AtomicU64,
    pub(super) commit_buckets: [AtomicU64; 6],
    pub(super) failures: AtomicU64,
    pub(super) failing: AtomicBool,
    pub(super) halted: AtomicBool,
    pub(super) dead: AtomicBool,
    pub(super) scarce: AtomicBool,
    /// The number of operations that are in force but not stored yet.
    pub(super) unstored: AtomicUsize,
}

impl Figures {
    /// Upper bounds of the first five buckets; the sixth has none.
    const BOUNDS: [Duration; 5] = [
        Duration::from_millis(1),
        Duration::from_millis(5),
        Duration::from_millis(25),
        Duration::from_millis(100),
        Duration::from_millis(500),
    ];

    /// Counts a commit.
    pub(super) fn committed(&self, operations: usize, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(u64::try_from(operations).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.commit_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let bucket = Self::BOUNDS.iter().take_while(|bound| took > **bound).count();
        self.commit_buckets.get(bucket).into_iter().for_each(|b| {
            b.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// Returns the current figures.
    pub(super) fn stats(&self) -> StoreStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            commits: read(&self.commits),
            operations: read(&self.operations),
            commit_micros: read(&self.commit_micros),
            commit_buckets: self.commit_buckets.each_ref().map(read),
            failures: read(&self.failures),
            failing: self.failing.load(Ordering::Relaxed),
            halted: self.halted.load(Ordering::Relaxed),
            dead: self.dead.load(Ordering::Relaxed),
            scarce: self.scarce.load(Ordering::Relaxed),
            unstored: self.unstored.load(Ordering::Relaxed),
        }
    }
}
