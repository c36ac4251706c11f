//! One record per request, made when its answer is handed over whole or its stream has ended: counters, and a line in
//! the log. Never a token.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use tokio::time::Instant;

use super::fault::Fault;
use super::route::Route;
use crate::telemetry::{Outcome, WorkerMetrics};

/// nginx's word for a client that left before its answer; there is no registered one.
const CLIENT_LEFT: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// A request under way; dropping it ends it.
pub(super) struct Record {
    metrics: WorkerMetrics,
    route: Arc<Route>,
    method: Method,
    request_id: HeaderValue,
    begun: Instant,
    outcome: Outcome,
    status: StatusCode,
}

impl Record {
    pub(super) fn begin(
        metrics: &WorkerMetrics,
        route: &Arc<Route>,
        method: &Method,
        request_id: &HeaderValue,
    ) -> Self {
        Self {
            metrics: metrics.clone(),
            route: Arc::clone(route),
            method: method.clone(),
            request_id: request_id.clone(),
            begun: Instant::now(),
            outcome: Outcome::Forwarded,
            status: CLIENT_LEFT,
        }
    }

    /// Notes what is answered.
    pub(super) fn answer(&mut self, outcome: Outcome, status: StatusCode) {
        self.outcome = outcome;
        self.status = status;
    }

    /// Notes that the answer broke off after its head.
    pub(super) fn break_off(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Notes, here and in the log, that it broke off because of the upstream.
    pub(super) fn fail(&mut self, fault: &Fault) {
        self.outcome = fault.cause.outcome();
        fault.log(&self.route, &self.request_id);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.begun.elapsed();
        self.metrics.request(self.route.index, self.outcome, self.status.as_u16(), elapsed);
        tracing::info!(
            target: "mcpgate::access",
            upstream = %self.route.name,
            method = %self.method,
            status = self.status.as_u16(),
            outcome = self.outcome.label(),
            micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            request_id = self.request_id.to_str().unwrap_or_default(),
        );
    }
}
