//! Monitors the upstreams of the current configuration.

use std::sync::{Arc, Mutex};

use tokio::task::AbortHandle;

use super::catalogue_keeper::CatalogueKeeper;
use super::in_force::InForce;
use super::quota_keeper::QuotaKeeper;
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
    pub(super) quotas: Arc<QuotaKeeper>,
    watched: Mutex<Option<(Arc<RouteTable>, AbortHandle)>>,
}

impl Upstreams {
    /// Makes the monitor, with no upstreams yet, and begins to write what is used of quotas.
    pub(super) fn new(
        metrics: WorkerMetrics,
        supervisor: Supervisor,
        in_force: Arc<InForce>,
        keeper: Arc<CatalogueKeeper>,
        quotas: Arc<QuotaKeeper>,
    ) -> Self {
        let writer = Arc::clone(&quotas);
        drop(supervisor.spawn("record of quotas", move || {
            let writer = Arc::clone(&writer);
            async move { writer.run().await }
        }));
        Self { metrics, supervisor, in_force, keeper, quotas, watched: Mutex::default() }
    }

    /// Monitors the upstreams of a table from now on, and no others. Each is probed at once.
    pub(super) fn watch(&self, table: &Arc<RouteTable>) {
        self.quotas.watch(table.quotas());
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

    /// Writes which upstreams can be reached, and what their limits count, as metrics.
    pub(super) fn expose(&self, out: &mut Exposition) {
        let name = "mcpgate_upstream_up";
        out.family(name, Kind::Gauge, "1 if the last attempt to connect to the upstream succeeded, 0 if it failed.");
        for state in self.states() {
            if let Some(is_up) = state.is_up {
                out.sample(name, &[("upstream", &state.name)], u8::from(is_up));
            }
        }
        let watched = lock(&self.watched).as_ref().map(|(table, _)| Arc::clone(table));
        let limits = watched.map(|table| table.limit_states()).unwrap_or_default();
        let (counts, surplus) = ("mcpgate_limit_counts", "mcpgate_limit_surplus_total");
        out.family(counts, Kind::Gauge, "Users, grants, clients and networks that a limit of an upstream counts.");
        for state in &limits {
            out.sample(counts, &[("upstream", &state.upstream), ("limit", &state.limit)], state.counts);
        }
        let help = "Requests without a count of their own, because the limit counts as many as it can.";
        out.family(surplus, Kind::Counter, help);
        for state in &limits {
            out.sample(surplus, &[("upstream", &state.upstream), ("limit", &state.limit)], state.surplus);
        }
    }
}
