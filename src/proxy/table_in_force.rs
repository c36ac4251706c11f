//! `TableInForce`: the route table of one worker, for what goes on after its request was answered with another.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::route_access::RouteAccess;
use super::route_table::RouteTable;

/// The table in force at a worker; none before the first reload.
#[derive(Default)]
pub(super) struct TableInForce(ArcSwapOption<RouteTable>);

impl TableInForce {
    pub(super) fn replace(&self, table: &Arc<RouteTable>) {
        self.0.store(Some(Arc::clone(table)));
    }

    pub(super) fn get(&self) -> Option<Arc<RouteTable>> {
        self.0.load_full()
    }

    /// Returns what a principal may use now at the place of a route from this or an earlier table; `None` if that route
    /// is still in force, or nothing has its place any more.
    pub(super) fn changed(&self, access: &RouteAccess) -> Option<RouteAccess> {
        let table = self.0.load();
        let now = table.as_ref()?.route_of(access.route())?;
        (!Arc::ptr_eq(now, access.route())).then(|| RouteAccess::new(access.principal(), now))
    }
}
