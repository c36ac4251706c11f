//! `UpstreamState`: the state of an upstream, for operators; and what it offers, for the consent page.

use std::sync::Arc;

use crate::catalogue::{self, ListedTool, ToolCaller};
use crate::config::PinMode;
use crate::oauth::Timestamp;
use crate::proxy::route::Route;
use crate::proxy::route_table::RouteTable;

/// The state of an upstream, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamState {
    /// Its name in the configuration.
    pub name: String,
    /// Whether the last attempt to connect to it succeeded; `None` before the first.
    pub is_up: Option<bool>,
    /// The state in words, and what is wrong with its answers.
    pub detail: String,
}

impl RouteTable {
    /// Returns the tools that an upstream, by its name, offers to a subject who consents at this moment, without those
    /// that are held. Waits for an answer that is awaited; `None` if nothing is known.
    pub async fn offered(&self, upstream: &str, subject: &str, consented_at: Timestamp) -> Option<Vec<ListedTool>> {
        let route = self.routes.iter().find(|route| route.name == upstream)?;
        let person = catalogue::person(route.tenant.as_str(), subject);
        let mut tools = route.catalogue.offered(ToolCaller { person: &person, consented_at }).await?;
        tools.retain(|tool| route.pin() != PinMode::Hold || !route.catalogue.differs(&person, &tool.name));
        Some(tools)
    }

    /// Returns the state of each upstream, in the order of the configuration.
    #[must_use]
    pub fn states(&self) -> Vec<UpstreamState> {
        let of = |route: &Arc<Route>| {
            let state = route.health.lock();
            let detail = match (&state.last, &state.doubt) {
                (None, _) => "not tried yet".to_owned(),
                (Some(Err(cause)), _) => format!("down ({})", cause.row().reason),
                (Some(Ok(())), None) => "up".to_owned(),
                (Some(Ok(())), Some(doubt)) => format!("up, but not an MCP server: {doubt}"),
            };
            UpstreamState { name: route.name.clone(), is_up: state.last.map(|last| last.is_ok()), detail }
        };
        self.routes.iter().map(of).collect()
    }
}
