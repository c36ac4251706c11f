//! `Permit`: the proof that a caller has the scopes that an upstream asks for. Sending takes one.

use std::sync::Arc;

use super::cached_principal::CachedPrincipal;
use super::rejection::Rejection;
use super::route::Route;

/// Made only by [`Permit::grant`]. It holds the route that it is for: by it no other upstream can be reached.
pub(super) struct Permit {
    caller: Arc<CachedPrincipal>,
    route: Arc<Route>,
}

impl Permit {
    /// Permits a caller to use a route, if it has the scopes.
    pub(super) fn grant(caller: Arc<CachedPrincipal>, route: &Arc<Route>) -> Result<Self, Rejection> {
        if caller.has_scopes {
            Ok(Self { caller, route: Arc::clone(route) })
        } else {
            Err(Rejection::InsufficientScope)
        }
    }

    pub(super) fn caller(&self) -> &Arc<CachedPrincipal> {
        &self.caller
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }
}
