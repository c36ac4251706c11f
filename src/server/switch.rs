//! `Switch` and `Slots`: a value that several workers each hold a copy of, and that is replaced at all of them at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use arc_swap::ArcSwap;

/// Says which of the two values of every [`Slots`] is in force.
#[derive(Debug, Default)]
pub(super) struct Switch(AtomicBool);

/// One copy of the value in force, and room to prepare the next one.
#[derive(Debug)]
pub(super) struct Slots<T> {
    first: ArcSwap<T>,
    second: ArcSwap<T>,
}

impl Switch {
    /// Puts the prepared values in force, everywhere. Called by one task at a time.
    pub(super) fn turn(&self) {
        self.0.store(!self.0.load(Relaxed), Release);
    }

    fn is_second(&self) -> bool {
        self.0.load(Acquire)
    }
}

impl<T> Slots<T> {
    /// Makes slots with a value that is in force at once.
    pub(super) fn new(value: T) -> Self {
        let value = Arc::new(value);
        Self { first: ArcSwap::new(Arc::clone(&value)), second: ArcSwap::new(value) }
    }

    /// Returns the value in force.
    pub(super) fn load(&self, switch: &Switch) -> Arc<T> {
        self.slot(switch.is_second()).load_full()
    }

    /// Prepares the value that the next turn of the switch puts in force.
    pub(super) fn prepare(&self, switch: &Switch, value: T) {
        self.slot(!switch.is_second()).store(Arc::new(value));
    }

    /// Drops the value that the last turn of the switch replaced.
    pub(super) fn drop_former(&self, switch: &Switch) {
        self.slot(!switch.is_second()).store(self.load(switch));
    }

    fn slot(&self, is_second: bool) -> &ArcSwap<T> {
        if is_second { &self.second } else { &self.first }
    }
}

#[cfg(test)]
mod tests {
    use super::{Slots, Switch};
    use std::sync::Arc;

    #[test]
    fn a_value_is_replaced_everywhere_at_once_and_the_former_one_dropped() {
        let switch = Switch::default();
        let workers = [Slots::new(0), Slots::new(0)];
        for value in 1..4 {
            let former = workers[0].load(&switch);
            workers[0].prepare(&switch, value);
            assert_eq!(workers.each_ref().map(|slots| *slots.load(&switch)), [value - 1; 2]);
            workers[1].prepare(&switch, value);
            assert_eq!(workers.each_ref().map(|slots| *slots.load(&switch)), [value - 1; 2]);
            switch.turn();
            assert_eq!(workers.each_ref().map(|slots| *slots.load(&switch)), [value; 2]);
            workers.iter().for_each(|slots| slots.drop_former(&switch));
            assert_eq!(workers.each_ref().map(|slots| *slots.load(&switch)), [value; 2]);
            assert_eq!(Arc::strong_count(&former), 1, "no worker keeps what was withdrawn");
        }
    }
}
