//! The tools of upstreams for the consent page, from the routes in force.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use super::worker::Snapshot;
use crate::issuer::{OfferedTool, OfferedTools};
use crate::oauth::{AccountId, Timestamp};

/// A snapshot that can be replaced, whose routes are asked.
pub(super) struct ToolsInForce(ArcSwap<Snapshot>);

impl ToolsInForce {
    /// Starts with the given snapshot.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot.clone()))
    }

    /// Asks the routes of the given snapshot from now on.
    pub(super) fn exchange(&self, snapshot: &Snapshot) {
        self.0.store(Arc::new(snapshot.clone()));
    }
}

#[async_trait]
impl OfferedTools for ToolsInForce {
    async fn tools(&self, upstream: &str, person: &AccountId, consented_at: Timestamp) -> Option<Vec<OfferedTool>> {
        let snapshot = self.0.load_full();
        let tools = snapshot.table.offered(upstream, person.as_str(), consented_at).await?;
        let offered = tools.into_iter().map(|tool| OfferedTool {
            name: tool.name,
            title: tool.title,
            annotations: tool.annotations,
        });
        Some(offered.collect())
    }
}
