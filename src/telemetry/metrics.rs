//! Counters and histograms with fixed labels. Each worker writes its own, so that no cache line travels between cores
//! on the data path; they are summed when somebody asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{ControlEvent, Exposition, Histogram, Kind, Outcome, ServerEvent};
use crate::sync::lock;

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

/// The first and the number of the statuses that HTTP knows (RFC 9110 15).
const FIRST_STATUS: u16 = 100;
const STATUSES: usize = 500;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    upstreams: Vec<String>,
    workers: Mutex<Vec<Arc<WorkerCounters>>>,
    control: Counters,
    server: Counters,
}

/// One worker's own counters: written without contention, summed at exposition.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    worker: Arc<WorkerCounters>,
    pub(super) upstreams: Arc<[Arc<Upstream>]>,
}

/// Aligned so that two workers never share a cache line (two lines, for the prefetcher takes pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct WorkerCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    by_name: Mutex<BTreeMap<String, Arc<Upstream>>>,
}

#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Upstream {
    outcomes: Counters,
    statuses: Counters,
    latency: Counters,
    micros: AtomicU64,
    pub(super) in_use: AtomicU64,
    pub(super) idle: AtomicU64,
    in_flight: AtomicU64,
    streams: AtomicU64,
}

#[derive(Debug)]
struct Counters(Box<[AtomicU64]>);

impl Counters {
    fn new(len: usize) -> Self {
        Self((0..len).map(|_| AtomicU64::new(0)).collect())
    }

    fn add(&self, n: usize) {
        if let Some(counter) = self.0.get(n) {
            counter.fetch_add(1, Relaxed);
        }
    }

    fn add_to(&self, sums: &mut [u64]) {
        for (sum, counter) in sums.iter_mut().zip(&self.0) {
            *sum += counter.load(Relaxed);
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            workers: Mutex::default(),
            control: Counters::new(ControlEvent::ALL.len()),
            server: Counters::new(ServerEvent::ALL.len()),
        }
    }
}

impl Metrics {
    /// Makes the metrics for these upstream names.
    #[must_use]
    pub fn new(upstreams: &[String]) -> Arc<Self> {
        Arc::new(Self { upstreams: upstreams.to_vec(), ..Self::default() })
    }

    /// Adds a worker.
    #[must_use]
    pub fn worker(self: &Arc<Self>) -> WorkerMetrics {
        let worker = Arc::<WorkerCounters>::default();
        lock(&self.workers).push(Arc::clone(&worker));
        WorkerMetrics::over(worker, &self.upstreams)
    }

    /// Counts an event of the control path.
    pub fn control(&self, event: ControlEvent) {
        self.control.add(event.place());
    }

    /// Counts an event of the server.
    pub fn server(&self, event: ServerEvent) {
        self.server.add(event.place());
    }

    /// Writes everything that is counted here.
    pub fn expose(&self, out: &mut Exposition) {
        let workers = lock(&self.workers);
        expose_upstreams(&sum(&workers), out);
        let total =
            |pick: fn(&WorkerCounters) -> &AtomicU64| workers.iter().map(|w| pick(w).load(Relaxed)).sum::<u64>();
        let (hits, misses) = (total(|w| &w.hits), total(|w| &w.misses));
        drop(workers);
        out.family(
            "mcpgate_token_cache_lookups_total",
            Kind::Counter,
            "Access tokens looked up in memory, by whether they were there.",
        );
        out.sample("mcpgate_token_cache_lookups_total", &[("result", "hit")], hits);
        out.sample("mcpgate_token_cache_lookups_total", &[("result", "miss")], misses);
        let name = "mcpgate_authorization_events_total";
        out.family(
            name,
            Kind::Counter,
            "Events of the authorization server. Commands are recorded in the audit trail only.",
        );
        for (event, counter) in ControlEvent::ALL.iter().zip(&self.control.0) {
            out.sample(name, &[("event", event.label())], counter.load(Relaxed));
        }
        let name = "mcpgate_server_events_total";
        out.family(name, Kind::Counter, "Events of connections, background tasks and the configuration.");
        for (event, counter) in ServerEvent::ALL.iter().zip(&self.server.0) {
            out.sample(name, &[("event", event.label())], counter.load(Relaxed));
        }
    }
}

impl WorkerMetrics {
    fn over(worker: Arc<WorkerCounters>, upstreams: &[String]) -> Self {
        let mut by_name = lock(&worker.by_name);
        let upstreams = upstreams.iter().map(|n| Arc::clone(by_name.entry(n.clone()).or_default())).collect();
        drop(by_name);
        Self { worker, upstreams }
    }

    /// Returns the same worker's metrics for another list of upstreams: counts go on where a name stays.
    #[must_use]
    pub fn for_upstreams(&self, upstreams: &[String]) -> Self {
        Self::over(Arc::clone(&self.worker), upstreams)
    }

    /// Counts a finished request: `upstream` is its index in the list of names these metrics were made for.
    pub fn request(&self, upstream: usize, outcome: Outcome, status: u16, elapsed: Duration) {
        let Some(upstream) = self.upstreams.get(upstream) else { return };
        upstream.outcomes.add(outcome.place());
        upstream.statuses.add(usize::from(status.saturating_sub(FIRST_STATUS)));
        upstream.latency.add(BOUNDS.partition_point(|bound| *bound < elapsed));
        upstream.micros.fetch_add(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts a request to an upstream that has begun.
    pub fn begin_request(&self, upstream: usize) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.in_flight.fetch_add(1, Relaxed);
        }
    }

    /// Counts that the answer to a request is a stream of events.
    pub fn open_stream(&self, upstream: usize) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.streams.fetch_add(1, Relaxed);
        }
    }

    /// Counts that a request that has begun, and the stream that it was answered by, have ended.
    pub fn end_request(&self, upstream: usize, was_stream: bool) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.in_flight.fetch_sub(1, Relaxed);
            if was_stream {
                upstream.streams.fetch_sub(1, Relaxed);
            }
        }
    }

    /// Counts token cache lookups.
    pub fn cache(&self, hit: bool) {
        let counter = if hit { &self.worker.hits } else { &self.worker.misses };
        counter.fetch_add(1, Relaxed);
    }
}

impl Default for Upstream {
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

/// The sum over all workers.
struct Sum {
    outcomes: Vec<u64>,
    statuses: Vec<u64>,
    latency: Vec<u64>,
    micros: u64,
    in_use: u64,
    idle: u64,
    in_flight: u64,
    streams: u64,
}

fn sum(workers: &[Arc<WorkerCounters>]) -> BTreeMap<String, Sum> {
    let mut sums = BTreeMap::new();
    for worker in workers {
        for (name, upstream) in lock(&worker.by_name).iter() {
            let sum = sums.entry(name.clone()).or_insert_with(|| Sum {
                outcomes: vec![0; Outcome::ALL.len()],
                statuses: vec![0; STATUSES],
                latency: vec![0; BOUNDS.len() + 1],
                micros: 0,
                in_use: 0,
                idle: 0,
                in_flight: 0,
                streams: 0,
            });
            upstream.outcomes.add_to(&mut sum.outcomes);
            upstream.statuses.add_to(&mut sum.statuses);
            upstream.latency.add_to(&mut sum.latency);
            sum.micros += upstream.micros.load(Relaxed);
            sum.in_use += upstream.in_use.load(Relaxed);
            sum.idle += upstream.idle.load(Relaxed);
            sum.in_flight += upstream.in_flight.load(Relaxed);
            sum.streams += upstream.streams.load(Relaxed);
        }
    }
    sums
}

fn expose_upstreams(sums: &BTreeMap<String, Sum>, out: &mut Exposition) {
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
    out.family(name, Kind::Histogram, "Time from the head of a request to the end of its response, streams included.");
    let bounds = BOUNDS.map(|bound| bound.as_secs_f64());
    for (upstream, sum) in sums {
        let seconds = Duration::from_micros(sum.micros).as_secs_f64();
        let histogram = Histogram { bounds: &bounds, counts: &sum.latency, sum: seconds };
        out.histogram(name, &[("upstream", upstream)], histogram);
    }
    let mut gauge = |name: &str, help: &str, value: fn(&Sum) -> u64| {
        out.family(name, Kind::Gauge, help);
        for (upstream, sum) in sums {
            out.sample(name, &[("upstream", upstream)], value(sum));
        }
    };
    let help = "Requests to an upstream's path whose response has not ended, open streams included.";
    gauge("mcpgate_requests_in_flight", help, |sum| sum.in_flight);
    let help = "Requests in flight that are answered by a stream of events.";
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

#[cfg(test)]
mod tests {
    use super::{Exposition, Metrics, Outcome};
    use crate::telemetry::{ControlEvent, ServerEvent};
    use std::time::Duration;

    fn text(metrics: &Metrics) -> String {
        let mut out = Exposition::default();
        metrics.expose(&mut out);
        out.finish()
    }

    #[test]
    fn workers_are_summed() {
        let metrics = Metrics::new(&["one".to_owned(), "two".to_owned()]);
        let (a, b) = (metrics.worker(), metrics.worker());
        (0..3).for_each(|_| a.begin_request(0));
        a.open_stream(0);
        a.open_stream(0);
        a.end_request(0, true);
        a.request(0, Outcome::Forwarded, 200, Duration::from_micros(90));
        b.request(0, Outcome::Forwarded, 404, Duration::from_millis(3));
        b.request(1, Outcome::InvalidToken, 401, Duration::from_secs(70));
        a.cache(true);
        b.cache(false);
        let mut kept = b.connection(1);
        drop(a.connection(1));
        kept.set_idle(true);
        metrics.control(ControlEvent::TokenIssued);
        metrics.server(ServerEvent::Accepted);
        let text = text(&metrics);
        for line in [
            "mcpgate_requests_total{upstream=\"one\",outcome=\"forwarded\"} 2",
            "mcpgate_requests_total{upstream=\"two\",outcome=\"invalid_token\"} 1",
            "mcpgate_responses_total{upstream=\"one\",status=\"404\"} 1",
            "mcpgate_request_duration_seconds_bucket{upstream=\"one\",le=\"0.0001\"} 1",
            "mcpgate_request_duration_seconds_bucket{upstream=\"one\",le=\"0.005\"} 2",
            "mcpgate_request_duration_seconds_bucket{upstream=\"two\",le=\"60\"} 0",
            "mcpgate_request_duration_seconds_bucket{upstream=\"two\",le=\"+Inf\"} 1",
            "mcpgate_request_duration_seconds_sum{upstream=\"one\"} 0.00309",
            "mcpgate_token_cache_lookups_total{result=\"hit\"} 1",
            "mcpgate_requests_in_flight{upstream=\"one\"} 2",
            "mcpgate_open_streams{upstream=\"one\"} 1",
            "mcpgate_upstream_connections{upstream=\"two\",state=\"idle\"} 1",
            "mcpgate_upstream_connections{upstream=\"two\",state=\"in_use\"} 0",
            "mcpgate_authorization_events_total{event=\"token_issued\"} 1",
            "mcpgate_server_events_total{event=\"accepted\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_reload_that_reorders_upstreams_counts_on() {
        let metrics = Metrics::new(&["one".to_owned(), "two".to_owned()]);
        let before = metrics.worker();
        before.request(0, Outcome::Forwarded, 200, Duration::ZERO);
        let after = before.for_upstreams(&["two".to_owned(), "one".to_owned()]);
        after.request(1, Outcome::Forwarded, 200, Duration::ZERO);
        before.request(0, Outcome::Forwarded, 200, Duration::ZERO);
        assert!(text(&metrics).contains("mcpgate_requests_total{upstream=\"one\",outcome=\"forwarded\"} 3\n"));
    }

    #[test]
    fn ds_09_series_do_not_grow_with_what_strangers_send() {
        let metrics = Metrics::new(&["one".to_owned()]);
        let worker = metrics.worker();
        worker.request(0, Outcome::BadRequest, 400, Duration::ZERO);
        let before = text(&metrics).lines().count();
        for status in 0..u16::MAX {
            worker.request(7, Outcome::BadRequest, status, Duration::ZERO);
            worker.request(0, Outcome::BadRequest, 400, Duration::from_millis(u64::from(status)));
        }
        assert_eq!(text(&metrics).lines().count(), before);
    }
}
