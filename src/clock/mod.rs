//! The only callers of the system's time: `CheckedClock` over `SystemClock` for a server, `SystemClock` for commands,
//! `ManualClock` for tests.

mod checked;

pub use checked::{BELIEVED_AFTER, CheckedClock, STEP};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::ClockId;

use crate::time::{Lifetime, Timestamp};

/// The source of time for all decisions.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Returns whether the wall clock was set and it is not known yet whether it is right. What is refused as expired
    /// may be valid after all.
    fn is_in_doubt(&self) -> bool {
        false
    }

    /// Returns the state of the wall clock. Only for the task that watches it, because part of the answer is given only
    /// once.
    fn status(&self) -> ClockStatus {
        ClockStatus::Right { was_ahead: false }
    }

    /// Trusts the wall clock from now on, whatever it showed before.
    fn accept(&self) {}
}

/// The state of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockStatus {
    /// It agrees with the boot-time clock.
    Right {
        /// Whether later times were returned while it was in doubt; reported once.
        was_ahead: bool,
    },
    /// As `Right`, but not for long enough: the process started long after the newest known time. Either no process ran
    /// meanwhile, or the clock was set.
    Unproven {
        /// As in `Right`.
        was_ahead: bool,
        /// How long after the newest known time the process started.
        pause: Lifetime,
    },
    /// The clock was set.
    InDoubt {
        /// The time that it shows.
        wall: Timestamp,
        /// The time that it should show according to the boot-time clock.
        expected: Timestamp,
        /// For how long it is known to have shown the new time.
        stood: Lifetime,
        /// How long ago it was last found right, or the process started; it was set since then.
        last_right: Lifetime,
    },
}

/// The two clocks of a machine, in milliseconds.
pub trait ClockSource: Send + Sync + 'static {
    /// Since the Unix epoch; can be set.
    fn wall(&self) -> u64;
    /// Since the machine started, sleep included; cannot be set.
    fn uptime(&self) -> u64;
}

/// The system's clocks; as a `Clock`, only the wall clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl ClockSource for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the only place that reads the system clock")]
    fn wall(&self) -> u64 {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    fn uptime(&self) -> u64 {
        let uptime = rustix::time::clock_gettime(ClockId::Boottime);
        let millis = uptime.tv_sec.saturating_mul(1000).saturating_add(uptime.tv_nsec / 1_000_000);
        u64::try_from(millis).unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall())
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicU64,
    uptime: AtomicU64,
}

impl ManualClock {
    /// Makes a clock that shows `start`, on a machine that has just started.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { wall: start.as_millis().into(), uptime: 0.into() }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Lifetime) {
        self.wall.fetch_add(by.as_millis(), Ordering::SeqCst);
        self.uptime.fetch_add(by.as_millis(), Ordering::SeqCst);
    }

    /// Sets the wall clock; no time passes.
    pub fn set(&self, to: Timestamp) {
        self.wall.store(to.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall())
    }
}

impl ClockSource for ManualClock {
    fn wall(&self) -> u64 {
        self.wall.load(Ordering::SeqCst)
    }

    fn uptime(&self) -> u64 {
        self.uptime.load(Ordering::SeqCst)
    }
}

impl<H: ClockSource> ClockSource for Arc<H> {
    fn wall(&self) -> u64 {
        H::wall(self)
    }

    fn uptime(&self) -> u64 {
        H::uptime(self)
    }
}
