//! `Counters`: a row of counters, one for each value of a label.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters by the place of what they count.
#[derive(Debug)]
pub(super) struct Counters(Box<[AtomicU64]>);

impl Counters {
    /// Makes `len` of them, at 0.
    pub(super) fn new(len: usize) -> Self {
        Self((0..len).map(|_| AtomicU64::new(0)).collect())
    }

    /// Counts one at this place.
    pub(super) fn add(&self, place: usize) {
        if let Some(counter) = self.0.get(place) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Returns what each has counted, by place.
    pub(super) fn values(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|counter| counter.load(Relaxed))
    }

    /// Adds what each has counted to the sum at its place.
    pub(super) fn add_to(&self, sums: &mut [u64]) {
        sums.iter_mut().zip(self.values()).for_each(|(sum, value)| *sum += value);
    }
}
