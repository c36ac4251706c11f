//! Counters and histograms with fixed labels, per worker on the data path, and their Prometheus exposition.

use std::sync::Arc;
use std::time::Duration;

/// Something the control path did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name says it")]
pub enum ControlEvent {
    AuthorizationDenied,
    ClientRegistered,
    CodeReplayed,
    LoginFailed,
    LoginSucceeded,
    LoginThrottled,
    RefreshReused,
    TokenIssued,
    TokenRefreshed,
    TokenRefused,
    TokenRevoked,
}

/// How a request to an upstream's path ended; the metric label. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name says it")]
pub enum Outcome {
    Forwarded,
    Preflight,
    NoCredentials,
    MalformedCredentials,
    InvalidToken,
    WrongAudience,
    InsufficientScope,
    BadOrigin,
    BadSession,
    BadRequest,
    MethodNotAllowed,
    UnsupportedMediaType,
    TooLarge,
    HeaderMismatch,
    RateLimited,
    Overloaded,
    Unprovable,
    UpstreamUnreachable,
    UpstreamSlow,
    UpstreamRefused,
    UpstreamProtocol,
    Internal,
}

/// All metrics of the process.
#[derive(Debug, Default)]
pub struct Metrics {}

/// One worker's own counters: written without contention, summed at exposition.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {}

impl Metrics {
    /// Makes the metrics for these upstream names.
    #[must_use]
    pub fn new(_upstreams: &[String]) -> Arc<Self> {
        Arc::new(Self {})
    }
    /// Adds a worker.
    #[must_use]
    pub fn worker(self: &Arc<Self>) -> WorkerMetrics {
        WorkerMetrics {}
    }
    /// Counts an event of the control path.
    pub fn control(&self, _event: ControlEvent) {}
}

impl WorkerMetrics {
    /// Counts a finished request: `upstream` is its index in the configuration's order of names given to `Metrics::new`.
    pub fn request(&self, _upstream: usize, _outcome: Outcome, _status: u16, _elapsed: Duration) {}
    /// Counts token cache lookups.
    pub fn cache(&self, _hit: bool) {}
    /// Tells how many upstream connections this worker holds: in use, idle.
    pub fn pool(&self, _upstream: usize, _in_use: usize, _idle: usize) {}
}
