//! `Health`: whether an upstream could be reached when that was last tried, and what is wrong with what it answers.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fault::Cause;
use super::route::{Route, RouteTable};

/// What is known of one upstream, by probes and by requests.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Mutex<State>,
    /// Whether `State::doubt` is set, so that requests need not look.
    is_doubted: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// How the last attempt to connect ended; `None` before the first.
    last: Option<Result<(), Cause>>,
    /// Why it seems to be no MCP server.
    doubt: Option<String>,
}

/// What is known of an upstream, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamState {
    /// Its name in the configuration.
    pub name: String,
    /// Whether the last attempt to connect to it succeeded; `None` before the first.
    pub is_up: Option<bool>,
    /// The same in words, and what is wrong with its answers.
    pub detail: String,
}

impl Health {
    /// Notes how an attempt to connect ended. Returns how the one before did.
    pub(super) fn tried(&self, end: Result<(), Cause>) -> Option<Result<(), Cause>> {
        self.lock().last.replace(end)
    }

    /// Returns whether the last attempt failed.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.lock().last, Some(Err(_)))
    }

    /// Notes why it seems to be no MCP server.
    pub(super) fn doubt(&self, why: Option<String>) {
        self.is_doubted.store(why.is_some(), Relaxed);
        self.lock().doubt = why;
    }

    /// Notes that it has answered a request as an MCP server does.
    pub(super) fn is_mcp(&self) {
        if self.is_doubted.load(Relaxed) {
            self.doubt(None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RouteTable {
    /// Returns what is known of each upstream, in the order of the configuration.
    #[must_use]
    pub fn states(&self) -> Vec<UpstreamState> {
        let of = |route: &Arc<Route>| {
            let state = route.health.lock();
            let detail = match (&state.last, &state.doubt) {
                (None, _) => "not tried yet".to_owned(),
                (Some(Err(cause)), _) => format!("down ({})", cause.label()),
                (Some(Ok(())), None) => "up".to_owned(),
                (Some(Ok(())), Some(doubt)) => format!("up, but no MCP server: {doubt}"),
            };
            UpstreamState { name: route.name.clone(), is_up: state.last.map(|last| last.is_ok()), detail }
        };
        self.routes.iter().map(of).collect()
    }
}
