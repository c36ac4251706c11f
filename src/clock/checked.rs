//! The wall clock, compared with the boot-time clock. When the wall clock is set, either the new time is wrong or the
//! old one was; which of the two is not known until the new time has held for a while.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use super::{Clock, ClockSource, ClockStatus, SystemClock};
use crate::sync::lock;
use crate::time::{Lifetime, Timestamp};

/// A larger step puts the clock in doubt. Smaller corrections by time services are normal.
pub const STEP: Lifetime = Lifetime::from_secs(60);
/// How long a wall clock must show the new time to be trusted.
pub const BELIEVED_AFTER: Lifetime = Lifetime::from_secs(3600);

/// A clock that notices when the wall clock is set.
///
/// While the wall clock is in doubt, `now` is the later of the time it shows and the time computed from the last
/// trusted time and the boot-time clock, so that what has expired by either is refused. When the wall clock is right
/// again, time continues from there. It never goes back before a time that was returned while the clock was trusted,
/// unless `accept` is called.
#[derive(Debug)]
pub struct CheckedClock<H = SystemClock> {
    hands: H,
    /// Wall clock minus boot-time clock, in milliseconds, when the wall clock was last right.
    trusted: AtomicI64,
    /// The latest time that was returned while the clock was right, in milliseconds.
    latest: AtomicU64,
    in_doubt: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Present while the wall clock has been set and is in doubt.
    step: Option<ClockStep>,
    /// Present if the process started long after the newest known time; that time.
    start: Option<ClockStep>,
    /// Whether the process started before the newest known time, and the clock was not set since.
    began_behind: bool,
    /// The latest time that was returned while the clock was in doubt, in milliseconds.
    told_in_doubt: u64,
    /// When the clock was last found right, or the process started, by the boot-time clock, in milliseconds.
    right_at: u64,
}

#[derive(Debug, Clone, Copy)]
struct ClockStep {
    /// Wall clock minus boot-time clock, in milliseconds.
    offset: i64,
    /// When it was noticed, by the boot-time clock, in milliseconds.
    since: u64,
}

impl<H: ClockSource> CheckedClock<H> {
    /// Makes a clock for a process that starts now. `newest` is the latest time that an earlier process is known to
    /// have seen.
    #[must_use]
    pub fn new(hands: H, newest: Option<Timestamp>) -> Self {
        let (wall, uptime) = (hands.wall(), hands.uptime());
        let newest = newest.map_or(wall, Timestamp::as_millis);
        let known = ClockStep { offset: offset(newest, uptime), since: uptime };
        let shown = ClockStep { offset: offset(wall, uptime), since: uptime };
        let mut state = State { right_at: uptime, ..State::default() };
        let mut trusted = shown;
        if wall.saturating_add(STEP.as_millis()) < newest {
            (state.step, state.began_behind) = (Some(shown), true);
            trusted = known;
        } else if newest.saturating_add(STEP.as_millis()) < wall {
            state.start = Some(known);
        }
        Self {
            hands,
            trusted: trusted.offset.into(),
            latest: newest.into(),
            in_doubt: state.step.is_some().into(),
            state: state.into(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn agrees(&self, offset: i64) -> bool {
        is_near(offset, self.trusted.load(Relaxed))
    }

    /// Returns `moment`, or the latest returned time if that is later.
    fn not_before_latest(&self, moment: u64) -> u64 {
        if moment <= self.latest.load(Relaxed) {
            return self.latest.load(Relaxed);
        }
        self.latest.fetch_max(moment, Relaxed).max(moment)
    }

    /// Checks the wall clock, and returns the time.
    fn judge(&self, state: &mut State) -> u64 {
        // Read again, because a thread that was interrupted between the two readings sees a step that is none.
        let (wall, uptime) = (self.hands.wall(), self.hands.uptime());
        let offset = offset(wall, uptime);
        if !self.agrees(offset) && state.began_behind && offset > self.trusted.load(Relaxed) {
            // A machine that does not keep the time while it is off has got it now: treated as if it had started with
            // it.
            let known = ClockStep { offset: self.trusted.swap(offset, Relaxed), since: uptime };
            (state.start, state.began_behind) = (Some(known), false);
        } else if !self.agrees(offset)
            && let Some(start) = state.start.take()
        {
            // It was set soon after the start: either the time shown since then was wrong, or the new one is.
            state.told_in_doubt = self.latest.load(Relaxed);
            self.trusted.store(start.offset, Relaxed);
            self.latest.store(wall_time(start.offset, uptime), Relaxed);
        }
        if self.agrees(offset) {
            (state.step, state.began_behind) = (None, false);
            self.in_doubt.store(false, Relaxed);
            return self.not_before_latest(wall);
        }
        if !state.step.is_some_and(|step| is_near(step.offset, offset)) {
            state.step = Some(ClockStep { offset, since: uptime });
        }
        self.in_doubt.store(true, Relaxed);
        let now = self.not_before_latest(wall_time(self.trusted.load(Relaxed), uptime)).max(wall);
        state.told_in_doubt = state.told_in_doubt.max(now);
        now
    }
}

impl<H: ClockSource> Clock for CheckedClock<H> {
    fn now(&self) -> Timestamp {
        let wall = self.hands.wall();
        let is_right = !self.in_doubt.load(Relaxed) && self.agrees(offset(wall, self.hands.uptime()));
        let now = if is_right { self.not_before_latest(wall) } else { self.judge(&mut self.state()) };
        Timestamp::from_millis(now)
    }

    fn is_in_doubt(&self) -> bool {
        self.judge(&mut self.state());
        self.in_doubt.load(Relaxed)
    }

    fn status(&self) -> ClockStatus {
        let mut state = self.state();
        let now = self.judge(&mut state);
        let (wall, uptime) = (self.hands.wall(), self.hands.uptime());
        let ago = |since: u64| Lifetime::from_millis(uptime.saturating_sub(since));
        if let Some(step) = state.step {
            let expected = Timestamp::from_millis(wall_time(self.trusted.load(Relaxed), uptime));
            let (wall, last_right) = (Timestamp::from_millis(wall), ago(state.right_at));
            return ClockStatus::InDoubt { wall, expected, stood: ago(step.since), last_right };
        }
        // Gradual correction by a time service is not a step.
        let right = offset(wall, uptime);
        self.trusted.store(right, Relaxed);
        state.right_at = uptime;
        state.start = state.start.filter(|start| ago(start.since) < BELIEVED_AFTER);
        let was_ahead = std::mem::take(&mut state.told_in_doubt) > now.saturating_add(STEP.as_millis());
        match state.start {
            Some(start) => {
                ClockStatus::Unproven { was_ahead, pause: Lifetime::from_millis(right.abs_diff(start.offset)) }
            }
            None => ClockStatus::Right { was_ahead },
        }
    }

    fn accept(&self) {
        let mut state = self.state();
        let (wall, uptime) = (self.hands.wall(), self.hands.uptime());
        self.trusted.store(offset(wall, uptime), Relaxed);
        self.latest.store(wall, Relaxed);
        self.in_doubt.store(false, Relaxed);
        *state = State { right_at: uptime, ..State::default() };
    }
}

fn offset(wall: u64, uptime: u64) -> i64 {
    signed(wall).saturating_sub(signed(uptime))
}

/// Returns the wall clock's time at `uptime`, given its offset from the boot-time clock.
fn wall_time(offset: i64, uptime: u64) -> u64 {
    u64::try_from(offset.saturating_add(signed(uptime))).unwrap_or_default()
}

fn is_near(one: i64, other: i64) -> bool {
    one.abs_diff(other) <= STEP.as_millis()
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::ManualClock;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);
    const MINUTES: Lifetime = Lifetime::from_secs(10 * 60);
    const DAYS: Lifetime = Lifetime::from_secs(200 * 86_400);

    fn at_start(newest: Option<Timestamp>) -> (Arc<ManualClock>, CheckedClock<Arc<ManualClock>>) {
        let hands = Arc::new(ManualClock::new(START));
        (Arc::clone(&hands), CheckedClock::new(hands, newest))
    }

    fn before(moment: Timestamp, by: Lifetime) -> Timestamp {
        Timestamp::from_millis(moment.as_millis() - by.as_millis())
    }

    #[test]
    fn ck_03_a_machine_that_slept_is_not_in_doubt() {
        let (hands, clock) = at_start(Some(START));
        hands.advance(DAYS);
        assert_eq!((clock.now(), clock.status()), (START.plus(DAYS), ClockStatus::Right { was_ahead: false }));
    }

    #[test]
    fn small_corrections_are_followed_and_time_never_goes_back() {
        let (hands, clock) = at_start(Some(START));
        for _ in 0..10 {
            let now = clock.now();
            hands.set(before(now, Lifetime::from_secs(40)));
            assert_eq!((clock.now(), clock.status()), (now, ClockStatus::Right { was_ahead: false }));
            hands.advance(Lifetime::from_secs(50));
            assert_eq!(clock.now(), now.plus(Lifetime::from_secs(10)));
        }
    }

    #[test]
    fn ahead_everything_ends_early_until_the_clock_is_right_again() {
        let (hands, clock) = at_start(Some(START));
        hands.set(START.plus(DAYS));
        assert_eq!((clock.now(), clock.is_in_doubt()), (START.plus(DAYS), true));
        hands.advance(MINUTES);
        hands.set(START.plus(MINUTES));
        assert_eq!(clock.now(), START.plus(MINUTES));
        assert_eq!(clock.status(), ClockStatus::Right { was_ahead: true });
        assert_eq!(clock.status(), ClockStatus::Right { was_ahead: false }, "told once");
    }

    #[test]
    fn set_back_time_goes_on() {
        let (hands, clock) = at_start(Some(START));
        hands.set(before(START, MINUTES));
        assert_eq!((clock.now(), clock.is_in_doubt()), (START, true));
        hands.advance(MINUTES);
        assert_eq!(clock.now(), START.plus(MINUTES));
        hands.set(START.plus(MINUTES));
        assert_eq!(clock.status(), ClockStatus::Right { was_ahead: false });
    }

    #[test]
    fn how_long_it_has_stood_counts_from_the_last_step() {
        let (hands, clock) = at_start(Some(START));
        let stood = || match clock.status() {
            ClockStatus::InDoubt { stood, .. } => stood,
            other @ (ClockStatus::Right { .. } | ClockStatus::Unproven { .. }) => panic!("{other:?}"),
        };
        hands.set(START.plus(DAYS));
        assert_eq!(stood(), Lifetime::default());
        hands.advance(MINUTES);
        assert_eq!(stood(), MINUTES);
        hands.set(START.plus(DAYS).plus(DAYS));
        assert_eq!(stood(), Lifetime::default());
        clock.accept();
        assert_eq!((clock.now(), clock.is_in_doubt()), (START.plus(DAYS).plus(DAYS), false));
    }

    #[test]
    fn an_earlier_time_counts_once_it_is_accepted() {
        let (hands, clock) = at_start(Some(START));
        hands.set(before(START, MINUTES));
        assert_eq!(clock.now(), START);
        clock.accept();
        assert_eq!((clock.now(), clock.is_in_doubt()), (before(START, MINUTES), false));
    }

    #[test]
    fn a_machine_without_a_battery_is_told_the_time_after_the_start() {
        let down = MINUTES;
        let (hands, clock) = at_start(Some(START.plus(DAYS)));
        assert!(clock.is_in_doubt());
        hands.advance(Lifetime::from_secs(20));
        hands.set(START.plus(DAYS).plus(down));
        assert_eq!(clock.now(), START.plus(DAYS).plus(down));
        assert!(!clock.is_in_doubt());
        assert!(matches!(clock.status(), ClockStatus::Unproven { .. }), "nothing is removed for an hour");
    }

    #[derive(Debug, Clone, Copy)]
    enum Event {
        Pass(u64),
        Set(i64),
        Look,
        Accept,
        Restart,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            (0..400_u64).prop_map(Event::Pass),
            (-4000..4000_i64).prop_map(Event::Set),
            Just(Event::Set(0)),
            Just(Event::Look),
            Just(Event::Accept),
            Just(Event::Restart),
        ];
        prop::collection::vec(event, 1..40)
    }

    proptest! {
        /// The wall clock is set off the right time by some seconds, in any order with all other events.
        #[test]
        fn what_had_ended_by_a_right_clock_stays_ended(events in events()) {
            let hands = Arc::new(ManualClock::new(START));
            let mut clock = CheckedClock::new(Arc::clone(&hands), Some(START));
            // The latest time returned while the clock was right, and the one recorded for the next process.
            let (mut told, mut noted) = (START, START);
            for event in events {
                let uptime = Lifetime::from_millis(hands.uptime());
                match event {
                    Event::Pass(secs) => hands.advance(Lifetime::from_secs(secs)),
                    Event::Set(secs) => {
                        let right = START.plus(uptime).as_millis();
                        hands.set(Timestamp::from_millis(right.saturating_add_signed(secs * 1000)));
                    }
                    Event::Look => {}
                    Event::Accept => {
                        clock.accept();
                        (told, noted) = (clock.now(), clock.now());
                    }
                    Event::Restart => {
                        clock = CheckedClock::new(Arc::clone(&hands), Some(noted));
                        told = noted;
                    }
                }
                let now = clock.now();
                prop_assert!(now >= told, "{now:?} is before {told:?}");
                prop_assert!(now.as_millis() >= hands.wall(), "whatever has ended by the wall clock is refused");
                prop_assert_eq!(clock.now(), now);
                match clock.status() {
                    ClockStatus::Right { .. } => (told, noted) = (now, now),
                    ClockStatus::Unproven { .. } | ClockStatus::InDoubt { .. } => {}
                }
            }
        }
    }

    #[test]
    fn a_start_behind_what_is_known_goes_on_from_there() {
        let (hands, clock) = at_start(Some(START.plus(MINUTES)));
        assert_eq!((clock.now(), clock.is_in_doubt()), (START.plus(MINUTES), true));
        hands.advance(MINUTES);
        assert_eq!(clock.now(), START.plus(MINUTES).plus(MINUTES));
    }

    #[test]
    fn a_start_after_a_pause_is_believed_and_proven_in_an_hour() {
        let (hands, clock) = at_start(Some(before(START, DAYS)));
        assert_eq!((clock.now(), clock.status()), (START, ClockStatus::Unproven { was_ahead: false, pause: DAYS }));
        hands.advance(BELIEVED_AFTER);
        assert_eq!(clock.status(), ClockStatus::Right { was_ahead: false });
        assert_eq!(at_start(None).1.status(), ClockStatus::Right { was_ahead: false });
    }

    #[test]
    fn a_start_with_a_wrong_clock_is_put_right() {
        let (hands, clock) = at_start(Some(before(START, DAYS)));
        assert_eq!(clock.now(), START);
        hands.advance(MINUTES);
        // It was down for a few seconds, or for a few hours.
        hands.set(before(START, DAYS).plus(MINUTES).plus(Lifetime::from_secs(5)));
        assert_eq!(clock.now(), before(START, DAYS).plus(MINUTES).plus(Lifetime::from_secs(5)));
        assert_eq!(clock.status(), ClockStatus::Right { was_ahead: true });

        let (hands, clock) = at_start(Some(before(START, DAYS)));
        assert_eq!(clock.now(), START);
        let right = before(START, DAYS).plus(BELIEVED_AFTER);
        hands.set(right);
        assert_eq!((clock.now(), clock.is_in_doubt()), (right, true));
    }
}
