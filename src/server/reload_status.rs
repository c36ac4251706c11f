//! Outcome of the last attempt to load a configuration, for the metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::oauth::Timestamp;
use crate::telemetry::{Exposition, Kind};

/// Outcome of the last attempt to load a configuration.
#[derive(Debug)]
pub(super) struct ReloadStatus {
    /// When the process started.
    pub(super) started: Timestamp,
    /// Whether the last configuration was adopted.
    taken: AtomicBool,
    /// When one was last adopted, in milliseconds since the epoch.
    at: AtomicU64,
}

impl ReloadStatus {
    /// Starts with the configuration read at startup.
    pub(super) fn new(started: Timestamp) -> Self {
        Self { started, taken: AtomicBool::new(true), at: AtomicU64::new(started.as_millis()) }
    }

    /// Records whether a configuration was adopted.
    pub(super) fn note(&self, taken: bool, now: Timestamp) {
        self.taken.store(taken, Relaxed);
        if taken {
            self.at.store(now.as_millis(), Relaxed);
        }
    }

    /// Writes it as metrics.
    pub(super) fn expose(&self, out: &mut Exposition) {
        let taken = u8::from(self.taken.load(Relaxed));
        let help = "1 if the last reload of the configuration succeeded, 0 if it was refused.";
        out.single("mcpgate_config_last_reload_successful", Kind::Gauge, help, taken);
        let at = Duration::from_millis(self.at.load(Relaxed)).as_secs_f64();
        let help = "When a configuration was last loaded, in seconds since the epoch.";
        out.single("mcpgate_config_last_reload_success_timestamp_seconds", Kind::Gauge, help, at);
    }
}
