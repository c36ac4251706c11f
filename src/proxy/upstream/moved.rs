//! `Moved`: where redirects say that an upstream is.

use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwapOption;
use http::uri::PathAndQuery;

use crate::sync::lock;

/// What is known of a route from redirects.
#[derive(Default)]
pub(in crate::proxy) struct Moved {
    /// The path that a 308 has named, which is permanent (RFC 9110 15.4.9).
    pub(in crate::proxy) to: ArcSwapOption<PathAndQuery>,
    /// The URL that the log last told the operator to configure.
    told: Mutex<Option<String>>,
}

impl Moved {
    /// Returns the path and query that replace those of the configured URL.
    pub(in crate::proxy) fn to(&self) -> Option<Arc<PathAndQuery>> {
        self.to.load_full()
    }

    /// Returns whether the upstream has redirected a request that was followed.
    pub(in crate::proxy) fn has_happened(&self) -> bool {
        self.lock().is_some()
    }

    pub(in crate::proxy) fn lock(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.told)
    }
}
