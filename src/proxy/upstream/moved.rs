//! `Moved`: what redirects have told of where an upstream is.

use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwapOption;
use http::uri::PathAndQuery;

use crate::sync::lock;

/// What redirects have told of a route.
#[derive(Default)]
pub(in crate::proxy) struct Moved {
    /// Where a 308 said that everything is; RFC 9110 15.4.9: for good.
    pub(in crate::proxy) to: ArcSwapOption<PathAndQuery>,
    /// The URL that the operator was last told to write.
    told: Mutex<Option<String>>,
}

impl Moved {
    /// Returns the path and query that stand for those of the configured URL.
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
