//! Counters of one upstream: kept per worker, and summed when they are read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::counters::Counters;
use super::{Exposition, Histogram, Kind, Outcome};

/// Upper bounds of the latency buckets: from a warm gateway's 100 µs to the longest answer that is not a stream.
const BOUNDS: [Duration; 16] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

/// The first HTTP status, and below the number of statuses (RFC 9110 15).
const FIRST_STATUS: u16 = 100;
const STATUSES: usize = 500;

/// One worker's counters of one upstream. Aligned so that two workers never share a cache line, nor a pair of lines,
/// which the prefetcher loads together.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct UpstreamCounters {
    outcomes: Counters,
    statuses: Counters,
    latency: Counters,
    micros: AtomicU64,
    pub(super) in_use: AtomicU64,
    pub(super) idle: AtomicU64,
    in_flight: AtomicU64,
    streams: AtomicU64,
}

impl Default for UpstreamCounters {
    fn default() -> Self {
        Self {
            outcomes: Counters::new(Outcome::ALL.len()),
            statuses: Counters::new(STATUSES),
            latency: Counters::new(BOUNDS.len() + 1),
            micros: AtomicU64::new(0),
            in_use: AtomicU64::new(0),
            idle: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            streams: AtomicU64::new(0),
        }
    }
}

impl UpstreamCounters {
    /// Counts a finished request.
    pub(super) fn request(&self, outcome: Outcome, status: u16, elapsed: Duration) {
        self.outcomes.add(outcome.place());
        self.statuses.add(usize::from(status.saturating_sub(FIRST_STATUS)));
        self.latency.add(BOUNDS.partition_point(|bound| *bound < elapsed));
        self.micros.fetch_add(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts the start of a request.
    pub(super) fn begin_request(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Counts an answer that is a stream of events.
    pub(super) fn open_stream(&self) {
        self.streams.fetch_add(1, Relaxed);
    }

    /// Counts the end of a request, and of the stream if it was answered by one.
    pub(super) fn end_request(&self, was_stream: bool) {
        self.in_flight.fetch_sub(1, Relaxed);
        if was_stream {
            self.streams.fetch_sub(1, Relaxed);
        }
    }
}

/// The sum over all workers.
pub(super) struct UpstreamSum {
    outcomes: Vec<u64>,
    statuses: Vec<u64>,
    latency: Vec<u64>,
    micros: u64,
    in_use: u64,
    idle: u64,
    in_flight: u64,
    streams: u64,
}

impl Default for UpstreamSum {
    fn default() -> Self {
        Self {
            outcomes: vec![0; Outcome::ALL.len()],
            statuses: vec![0; STATUSES],
            latency: vec![0; BOUNDS.len() + 1],
            micros: 0,
            in_use: 0,
            idle: 0,
            in_flight: 0,
            streams: 0,
        }
    }
}

impl UpstreamSum {
    /// Adds the counters of one worker.
    pub(super) fn add(&mut self, counters: &UpstreamCounters) {
        counters.outcomes.add_to(&mut self.outcomes);
        counters.statuses.add_to(&mut self.statuses);
        counters.latency.add_to(&mut self.latency);
        self.micros += counters.micros.load(Relaxed);
        self.in_use += counters.in_use.load(Relaxed);
        self.idle += counters.idle.load(Relaxed);
        self.in_flight += counters.in_flight.load(Relaxed);
        self.streams += counters.streams.load(Relaxed);
    }
}

/// Writes the sums, each with the name of its upstream.
pub(super) fn expose(sums: &BTreeMap<String, UpstreamSum>, out: &mut Exposition) {
    let name = "mcpgate_requests_total";
    out.family(name, Kind::Counter, "Requests to an upstream's path, by outcome (see docs/errors.md).");
    for (upstream, sum) in sums {
        for (outcome, count) in Outcome::ALL.iter().zip(&sum.outcomes) {
            out.sample(name, &[("upstream", upstream), ("outcome", outcome.label())], count);
        }
    }
    let name = "mcpgate_responses_total";
    out.family(name, Kind::Counter, "Responses to requests to an upstream's path, by HTTP status.");
    for (upstream, sum) in sums {
        for (status, count) in (FIRST_STATUS..).zip(&sum.statuses).filter(|(_, count)| **count > 0) {
            out.sample(name, &[("upstream", upstream), ("status", &status.to_string())], count);
        }
    }
    let name = "mcpgate_request_duration_seconds";
    out.family(name, Kind::Histogram, "Time from the head of a request to the end of its response, including streams.");
    let bounds = BOUNDS.map(|bound| bound.as_secs_f64());
    for (upstream, sum) in sums {
        let seconds = Duration::from_micros(sum.micros).as_secs_f64();
        let histogram = Histogram { bounds: &bounds, counts: &sum.latency, sum: seconds };
        out.histogram(name, &[("upstream", upstream)], histogram);
    }
    let mut gauge = |name: &str, help: &str, value: fn(&UpstreamSum) -> u64| {
        out.family(name, Kind::Gauge, help);
        for (upstream, sum) in sums {
            out.sample(name, &[("upstream", upstream)], value(sum));
        }
    };
    let help = "Requests to an upstream's path whose response has not ended, including open streams.";
    gauge("mcpgate_requests_in_flight", help, |sum| sum.in_flight);
    let help = "Requests in flight that are answered with an event stream.";
    gauge("mcpgate_open_streams", help, |sum| sum.streams);
    let name = "mcpgate_upstream_connections";
    out.family(
        name,
        Kind::Gauge,
        "Open connections to an upstream, by state. An HTTP/2 connection is in use for as long as it is open.",
    );
    for (upstream, sum) in sums {
        out.sample(name, &[("upstream", upstream), ("state", "in_use")], sum.in_use);
        out.sample(name, &[("upstream", upstream), ("state", "idle")], sum.idle);
    }
}
