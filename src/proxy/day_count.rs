//! `DayCount`: how much of a limit for each day one user, grant or client has used: as the store has it, and what it
//! does not have yet.

use crate::oauth::{Lifetime, Timestamp};

/// A day in UTC, leap seconds left out.
const DAY: Lifetime = Lifetime::from_secs(24 * 3600);

/// The uses of one day. Those of the day before are dropped with the first of the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DayCount {
    /// Its first moment.
    day: Timestamp,
    /// The sum in the store, over all processes, when it was last told.
    stored: u64,
    /// What was counted here since. Less than zero if a use was taken back after it was written.
    unwritten: i64,
    /// Whether it is listed as one that has something to write.
    is_listed: bool,
}

impl DayCount {
    /// Returns whether it has counted on this day, or on a later one, for a clock that is behind.
    pub(super) fn counts_on(&self, day: Timestamp) -> bool {
        self.day >= day && self.used() > 0
    }

    /// Checks that there is room for this many more uses, and otherwise returns how long the day still lasts.
    pub(super) fn check(&self, number: u32, most: u32, now: Timestamp) -> Result<(), Lifetime> {
        let today = now.midnight();
        let used = if self.day < today { 0 } else { self.used() };
        if used.saturating_add(number.into()) <= most.into() {
            return Ok(());
        }
        Err(self.day.max(today).plus(DAY).since(now))
    }

    /// Counts uses; returns whether it has to be listed now.
    pub(super) fn add(&mut self, number: u32, now: Timestamp) -> bool {
        self.turn(now.midnight());
        self.unwritten = self.unwritten.saturating_add(number.into());
        self.list()
    }

    /// Takes uses back.
    pub(super) fn take_back(&mut self, number: u32) {
        self.unwritten = self.unwritten.saturating_sub(number.into());
    }

    /// Notes that it is listed; returns whether it was not.
    pub(super) fn list(&mut self) -> bool {
        !std::mem::replace(&mut self.is_listed, true)
    }

    /// Returns the day and what has to be written of it, if anything; it is not listed from here on.
    pub(super) fn take_unwritten(&mut self) -> Option<(Timestamp, u64)> {
        self.is_listed = false;
        u64::try_from(self.unwritten).ok().filter(|number| *number > 0).map(|number| (self.day, number))
    }

    /// Notes that uses of a day were written, and the sum in the store after that.
    pub(super) fn wrote(&mut self, day: Timestamp, number: u64, sum: u64) {
        if self.day == day {
            self.unwritten = self.unwritten.saturating_sub(i64::try_from(number).unwrap_or(i64::MAX));
            self.stored = self.stored.max(sum);
        }
    }

    /// Learns the sum of a day in the store.
    pub(super) fn learn(&mut self, day: Timestamp, sum: u64) {
        self.turn(day);
        self.wrote(day, 0, sum);
    }

    fn used(&self) -> u64 {
        self.stored.saturating_add_signed(self.unwritten)
    }

    /// Begins a later day.
    fn turn(&mut self, today: Timestamp) {
        if self.day < today {
            *self = Self { day: today, is_listed: self.is_listed, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon of a day.
    const NOON: Timestamp = Timestamp::from_secs(1_795_262_400);
    const TODAY: Timestamp = NOON.midnight();

    fn used(number: u32) -> DayCount {
        let mut count = DayCount::default();
        assert!(count.add(number, NOON), "it is listed with its first use");
        assert!(!count.add(0, NOON), "and only once");
        count
    }

    #[test]
    fn a_day_has_room_for_as_many_uses_as_its_limit() {
        let mut count = used(3);
        assert_eq!(count.check(2, 5, NOON), Ok(()));
        let rest = Lifetime::from_secs(12 * 3600);
        assert_eq!(count.check(3, 5, NOON), Err(rest));
        assert_eq!(count.check(3, 5, NOON.plus(rest)), Ok(()), "at midnight in UTC");
        count.add(2, NOON);
        assert_eq!(count.check(1, 5, NOON.plus(Lifetime::from_millis(1))), Err(Lifetime::from_millis(43_199_999)));
        count.take_back(2);
        assert_eq!(count.check(2, 5, NOON), Ok(()));
    }

    #[test]
    fn the_next_day_begins_with_nothing_and_a_clock_that_goes_back_opens_none_again() {
        let mut count = used(5);
        let tomorrow = NOON.plus(DAY);
        count.add(1, tomorrow);
        assert_eq!((count.check(4, 5, tomorrow), count.check(5, 5, tomorrow).is_ok()), (Ok(()), false));
        assert!(count.counts_on(tomorrow.midnight()) && count.counts_on(TODAY));
        assert_eq!(count.check(5, 5, NOON), Err(Lifetime::from_secs(36 * 3600)), "until the end of the later day");
        assert!(!used(5).counts_on(tomorrow.midnight()));
        count.learn(TODAY, 100);
        assert_eq!(count.check(4, 5, tomorrow), Ok(()), "what is learnt of an earlier day is of no use");
    }

    #[test]
    fn what_is_written_counts_once_whatever_happens_meanwhile() {
        let mut count = used(3);
        assert_eq!(count.take_unwritten(), Some((TODAY, 3)));
        assert!(count.add(2, NOON), "it is listed again");
        count.wrote(TODAY, 3, 10);
        assert_eq!(count.used(), 12, "another process has counted seven");
        assert_eq!(count.take_unwritten(), Some((TODAY, 2)));
        // Two are taken back while they are written.
        count.take_back(2);
        count.wrote(TODAY, 2, 12);
        assert_eq!((count.used(), count.take_unwritten()), (10, None));
        count.add(3, NOON);
        assert_eq!((count.used(), count.take_unwritten()), (13, Some((TODAY, 1))), "two of them are written already");
        count.learn(TODAY, 11);
        assert_eq!(count.used(), 13, "what was known is more");
        count.add(1, NOON.plus(DAY));
        count.wrote(TODAY, 1, 13);
        assert_eq!((count.used(), count.take_unwritten()), (1, Some((TODAY.plus(DAY), 1))), "a new day");
    }
}
