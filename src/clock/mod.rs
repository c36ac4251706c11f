//! The only callers of the system's time: `CheckedClock` over `SystemClock` for a server, `SystemClock` for commands,
//! `ManualClock` for tests.

mod checked;

pub use checked::{BELIEVED_AFTER, CheckedClock, STEP};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::ClockId;

use crate::time::{Lifetime, Timestamp};

/// Tells the time to everything that decides by it.
pub trait Clock: Send + Sync + 'static {
    /// Returns the present moment.
    fn now(&self) -> Timestamp;

    /// Returns whether the wall clock was set, and it is not known yet whether it is right now. What is refused because
    /// of its age may be good after all.
    fn is_in_doubt(&self) -> bool {
        false
    }

    /// Returns what is known of the wall clock. For the one task that looks after it: some of the answer is given once.
    fn status(&self) -> ClockStatus {
        ClockStatus::Right { was_ahead: false }
    }

    /// Believes the wall clock from now on, whatever it showed before.
    fn accept(&self) {}
}

/// What is known of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockStatus {
    /// It goes as the boot-time clock does.
    Right {
        /// Whether later moments were told while it was in doubt; said once.
        was_ahead: bool,
    },
    /// As `Right`, but it has not gone so for long enough: when the process began, it was well after the newest moment
    /// that was known. Either no process ran meanwhile, or it was set.
    Unproven {
        /// As there.
        was_ahead: bool,
        /// How long after the newest moment that was known the process began.
        pause: Lifetime,
    },
    /// It was set.
    InDoubt {
        /// What it shows.
        wall: Timestamp,
        /// What it should show by the boot-time clock.
        expected: Timestamp,
        /// How long it is known to have shown the new time.
        stood: Lifetime,
        /// How long ago it was last found right, or the process began: it was set since then.
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

/// The system's clocks; as a `Clock`, the wall clock alone.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl ClockSource for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one door to the system's time")]
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
