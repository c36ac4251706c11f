//! Monitors the upstreams of the current configuration.

use std::sync::{Arc, Mutex};

use tokio::task::AbortHandle;

use super::catalogue_keeper::CatalogueKeeper;
use super::in_force::InForce;
use super::supervise::Supervisor;
use crate::proxy::{RouteTable, UpstreamState};
use crate::sync::lock;
use crate::telemetry::{Exposition, Kind, WorkerMetrics};

/// The monitored upstreams.
pub(super) struct Upstreams {
    metrics: WorkerMetrics,
    supervisor: Supervisor,
    in_force: Arc<InForce>,
    keeper: Arc<CatalogueKeeper>,
    watched: Mutex<Option<(Arc<RouteTable>, AbortHandle)>>,
}

impl Upstreams {
    /// Makes the monitor, with no upstreams yet.
    pub(super) fn new(
        metrics: WorkerMetrics,
        supervisor: Supervisor,
        in_force: Arc<InForce>,
        keeper: Arc<CatalogueKeeper>,
    ) -> Self {
        Self { metrics, supervisor, in_force, keeper, watched: Mutex::default() }
    }

    /// Monitors the upstreams of a table from now on, and no others. Each is probed at once.
    pub(super) fn watch(&self, table: &Arc<RouteTable>) {
        table.await_lists();
        let (watched, metrics, in_force) = (Arc::clone(table), self.metrics.clone(), Arc::clone(&self.in_force));
        let keeper = Arc::clone(&self.keeper);
        let task = self.supervisor.spawn("upstream watch", move || {
            let (watched, metrics, in_force) = (Arc::clone(&watched), metrics.clone(), Arc::clone(&in_force));
            let learnt = move |upstream: &str, title: &str| in_force.adopt_title(upstream, title);
            let keeper = Arc::clone(&keeper);
            async move {
                tokio::join!(watched.watch_upstreams(&metrics, &learnt), keeper.keep(watched.catalogues()));
            }
        });
        let new = (Arc::clone(table), task.abort_handle());
        if let Some((_, task)) = lock(&self.watched).replace(new) {
            task.abort();
        }
    }

    /// Returns the state of each upstream.
    pub(super) fn states(&self) -> Vec<UpstreamState> {
        let watched = lock(&self.watched);
        watched.as_ref().map(|(table, _)| table.states()).unwrap_or_default()
    }

    /// Writes which upstreams can be reached, as metrics.
    pub(super) fn expose(&self, out: &mut Exposition) {
        let name = "mcpgate_upstream_up";
        out.family(name, Kind::Gauge, "1 if the last attempt to connect to the upstream succeeded, 0 if it failed.");
        for state in self.states() {
            if let Some(is_up) = state.is_up {
                out.sample(name, &[("upstream", &state.name)], u8::from(is_up));
            }
        }
    }
}
