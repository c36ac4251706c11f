//! Metrics of the process, with the names that Prometheus' client libraries use. Linux only; elsewhere only the start
//! time is reported.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::files;
use crate::oauth::Timestamp;
use crate::telemetry::{Exposition, Kind};

/// The largest file read from proc(5), in bytes: some 50 numbers.
const LONGEST: u64 = 4096;

/// Writes the metrics of the process.
pub(super) fn expose(out: &mut Exposition, started: Timestamp) {
    let started = Duration::from_millis(started.as_millis()).as_secs_f64();
    out.single(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the process started, in seconds since the epoch.",
        started,
    );
    if let Some(usage) = Usage::read() {
        let help = "CPU time used by the process, in user and system mode.";
        out.single("process_cpu_seconds_total", Kind::Counter, help, usage.cpu.as_secs_f64());
        out.single("process_resident_memory_bytes", Kind::Gauge, "Resident memory.", usage.resident);
        out.single("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory.", usage.virtual_memory);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder being read here.
        out.single("process_open_fds", Kind::Gauge, "Open file descriptors.", open.count().saturating_sub(1));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        out.single("process_max_fds", Kind::Gauge, "Maximum number of open file descriptors.", most);
    }
}

/// The resources that the process uses.
struct Usage {
    cpu: Duration,
    resident: u64,
    virtual_memory: u64,
}

impl Usage {
    fn read() -> Option<Self> {
        Self::of(&files::read_text(Path::new("/proc/self/stat"), LONGEST).ok()?)
    }

    /// Reads proc(5) `stat`.
    fn of(stat: &str) -> Option<Self> {
        // The second field is a name in parentheses that may contain anything, so fields are counted after the last
        // parenthesis.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
        let ticks = field(14)?.checked_add(field(15)?)?;
        let millis = ticks.checked_mul(1000)?.checked_div(rustix::param::clock_ticks_per_second())?;
        let page = u64::try_from(rustix::param::page_size()).ok()?;
        Some(Self {
            cpu: Duration::from_millis(millis),
            resident: field(24)?.checked_mul(page)?,
            virtual_memory: field(23)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_program_is_called() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 19 8192 3 22 23";
        let usage = Usage::of(stat).unwrap();
        let expected = (Duration::from_secs(3), 8192, 3 * u64::try_from(rustix::param::page_size()).unwrap());
        assert_eq!((usage.cpu, usage.virtual_memory, usage.resident), expected);
        assert!(Usage::of("7 (a) S 1 2").is_none());
    }
}
