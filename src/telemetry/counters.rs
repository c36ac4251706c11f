//! `Counters`: a row of counters, one for each value of a label.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters, indexed by what they count.
#[derive(Debug)]
pub(super) struct Counters(Box<[AtomicU64]>);

impl Counters {
    /// Makes `len` counters that start at 0.
    pub(super) fn new(len: usize) -> Self {
        Self((0..len).map(|_| AtomicU64::new(0)).collect())
    }

    /// Increments the counter at an index.
    pub(super) fn add(&self, place: usize) {
        if let Some(counter) = self.0.get(place) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Returns the values of all counters in order.
    pub(super) fn values(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|counter| counter.load(Relaxed))
    }

    /// Adds each value to the sum at the same index.
    pub(super) fn add_to(&self, sums: &mut [u64]) {
        sums.iter_mut().zip(self.values()).for_each(|(sum, value)| *sum += value);
    }
}
