//! `UpstreamConnection`: counts a connection to an upstream in its gauge.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::metrics::WorkerMetrics;
use super::upstream_counters::UpstreamCounters;

/// A connection to an upstream, counted until it is dropped.
#[derive(Debug)]
pub struct UpstreamConnection {
    upstream: Option<Arc<UpstreamCounters>>,
    idle: bool,
}

impl UpstreamConnection {
    /// Counts a connection that is in use.
    pub(super) fn new(upstream: Option<Arc<UpstreamCounters>>) -> Self {
        if let Some(upstream) = &upstream {
            upstream.in_use.fetch_add(1, Relaxed);
        }
        Self { upstream, idle: false }
    }

    /// Sets whether the connection is idle or serves a request.
    pub fn set_idle(&mut self, idle: bool) {
        let before = std::mem::replace(&mut self.idle, idle);
        if let Some(upstream) = &self.upstream {
            upstream.connections(before).fetch_sub(1, Relaxed);
            upstream.connections(idle).fetch_add(1, Relaxed);
        }
    }
}

impl Drop for UpstreamConnection {
    fn drop(&mut self) {
        if let Some(upstream) = &self.upstream {
            upstream.connections(self.idle).fetch_sub(1, Relaxed);
        }
    }
}

impl UpstreamCounters {
    fn connections(&self, idle: bool) -> &AtomicU64 {
        if idle { &self.idle } else { &self.in_use }
    }
}

impl WorkerMetrics {
    /// Counts a connection to an upstream, in use at first.
    #[must_use]
    pub fn connection(&self, upstream: usize) -> UpstreamConnection {
        UpstreamConnection::new(self.upstreams.get(upstream).map(Arc::clone))
    }
}
