//! `Health`: whether an upstream could be reached at the last attempt, and what is wrong with its answers.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::proxy::fault::Cause;
use crate::sync::lock;

/// The state of one upstream, as seen by probes and requests.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Health {
    state: Mutex<State>,
    /// Whether `State::doubt` is set, so that requests need not take the lock.
    is_doubted: AtomicBool,
    /// A request has found it reachable again.
    recovered: Notify,
}

#[derive(Debug, Default)]
pub(in crate::proxy) struct State {
    /// How the last attempt to connect ended; `None` before the first.
    pub(in crate::proxy) last: Option<Result<(), Cause>>,
    /// Why it does not seem to be an MCP server.
    pub(in crate::proxy) doubt: Option<String>,
}

impl Health {
    /// Records how an attempt to connect ended. Returns how the previous one ended.
    pub(in crate::proxy) fn tried(&self, end: Result<(), Cause>) -> Option<Result<(), Cause>> {
        self.lock().last.replace(end)
    }

    /// Records how an attempt to connect for a request ended, which may be what finds it reachable again.
    pub(in crate::proxy) fn tried_for_request(&self, end: Result<(), Cause>) {
        if matches!(self.tried(end), Some(Err(_))) && end.is_ok() {
            self.recovered.notify_one();
        }
    }

    /// Waits until a request finds it reachable again.
    pub(in crate::proxy) async fn recovered(&self) {
        self.recovered.notified().await;
    }

    /// Returns whether the last attempt failed.
    pub(in crate::proxy) fn is_down(&self) -> bool {
        matches!(self.lock().last, Some(Err(_)))
    }

    /// Records why it does not seem to be an MCP server.
    pub(in crate::proxy) fn doubt(&self, why: Option<String>) {
        self.is_doubted.store(why.is_some(), Relaxed);
        self.lock().doubt = why;
    }

    /// Records that it has answered a request as an MCP server does.
    pub(in crate::proxy) fn note_mcp_answer(&self) {
        if self.is_doubted.load(Relaxed) {
            self.doubt(None);
        }
    }

    pub(in crate::proxy) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
