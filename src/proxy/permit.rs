//! `Permit`: proof that a caller has the scopes that an upstream requires. Sending a request needs one.

use std::sync::Arc;

use super::cached_principal::CachedPrincipal;
use super::rejection::Rejection;
use super::route::Route;

/// Permission to use the route that the caller's token was checked for, and no other. Made only by [`Permit::grant`].
pub(super) struct Permit(Arc<CachedPrincipal>);

impl Permit {
    /// Permits a caller to use its route, if it has the scopes.
    pub(super) fn grant(caller: Arc<CachedPrincipal>) -> Result<Self, Rejection> {
        if caller.has_scopes() { Ok(Self(caller)) } else { Err(Rejection::InsufficientScope) }
    }

    pub(super) fn caller(&self) -> &Arc<CachedPrincipal> {
        &self.0
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        self.0.route()
    }
}
