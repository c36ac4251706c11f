//! Counters and histograms with fixed labels. Each worker writes its own, so that no cache line moves between cores on
//! the data path; they are summed when they are read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::counters::Counters;
use super::upstream_counters::{self, UpstreamCounters, UpstreamSum};
use super::{ControlEvent, Exposition, Kind, Outcome, ServerEvent};
use crate::sync::lock;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    upstreams: Vec<String>,
    workers: Mutex<Vec<Arc<WorkerCounters>>>,
    control: Counters,
    server: Counters,
}

/// The counters of one worker: written without contention, summed at exposition.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    worker: Arc<WorkerCounters>,
    pub(super) upstreams: Arc<[Arc<UpstreamCounters>]>,
}

/// Aligned so that two workers never share a cache line, nor a pair of lines, which the prefetcher loads together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct WorkerCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    by_name: Mutex<BTreeMap<String, Arc<UpstreamCounters>>>,
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

    /// Adds the counters of a worker.
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
        upstream_counters::expose(&sum(&workers), out);
        let total =
            |pick: fn(&WorkerCounters) -> &AtomicU64| workers.iter().map(|w| pick(w).load(Relaxed)).sum::<u64>();
        let (hits, misses) = (total(|w| &w.hits), total(|w| &w.misses));
        drop(workers);
        out.family(
            "mcpgate_token_cache_lookups_total",
            Kind::Counter,
            "Lookups of access tokens in memory, by result.",
        );
        out.sample("mcpgate_token_cache_lookups_total", &[("result", "hit")], hits);
        out.sample("mcpgate_token_cache_lookups_total", &[("result", "miss")], misses);
        let name = "mcpgate_authorization_events_total";
        out.family(
            name,
            Kind::Counter,
            "Events of the authorization server. Commands are recorded in the audit trail only.",
        );
        for (event, count) in ControlEvent::ALL.iter().zip(self.control.values()) {
            out.sample(name, &[("event", event.label())], count);
        }
        let name = "mcpgate_server_events_total";
        out.family(name, Kind::Counter, "Events of connections, background tasks and the configuration.");
        for (event, count) in ServerEvent::ALL.iter().zip(self.server.values()) {
            out.sample(name, &[("event", event.label())], count);
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

    /// Returns the same worker's metrics for another list of upstreams: counts continue for names that stay.
    #[must_use]
    pub fn for_upstreams(&self, upstreams: &[String]) -> Self {
        Self::over(Arc::clone(&self.worker), upstreams)
    }

    /// Counts a finished request: `upstream` is its index in the list of names these metrics were made for.
    pub fn request(&self, upstream: usize, outcome: Outcome, status: u16, elapsed: Duration) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.request(outcome, status, elapsed);
        }
    }

    /// Counts the start of a request to an upstream.
    pub fn begin_request(&self, upstream: usize) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.begin_request();
        }
    }

    /// Counts an answer that is a stream of events.
    pub fn open_stream(&self, upstream: usize) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.open_stream();
        }
    }

    /// Counts the end of a request, and of the stream if it was answered by one.
    pub fn end_request(&self, upstream: usize, was_stream: bool) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.end_request(was_stream);
        }
    }

    /// Counts token cache lookups.
    pub fn cache(&self, hit: bool) {
        let counter = if hit { &self.worker.hits } else { &self.worker.misses };
        counter.fetch_add(1, Relaxed);
    }
}

fn sum(workers: &[Arc<WorkerCounters>]) -> BTreeMap<String, UpstreamSum> {
    let mut sums: BTreeMap<String, UpstreamSum> = BTreeMap::new();
    for worker in workers {
        for (name, upstream) in lock(&worker.by_name).iter() {
            sums.entry(name.clone()).or_default().add(upstream);
        }
    }
    sums
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
