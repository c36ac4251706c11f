//! `Addressed`: proof that a valid token is for the upstream of the request.

use std::net::IpAddr;
use std::sync::Arc;

use super::authenticate::Authenticated;
use super::rejection::Rejection;
use super::route::Route;

/// A valid token whose audience is the upstream of the request, with the route to it. Made only by
/// [`Addressed::check`].
pub(super) struct Addressed<'r> {
    token: Authenticated,
    route: &'r Arc<Route>,
}

impl<'r> Addressed<'r> {
    /// Checks the audience: exact equality of the canonical resource, and the same tenant. Then checks whether the
    /// token may be used from the client's address.
    pub(super) fn check(token: Authenticated, route: &'r Arc<Route>, client: IpAddr) -> Result<Self, Rejection> {
        // RFC 8707 2, OAuth 2.1 5.2: never a prefix; a token for the origin is not one for its paths.
        let principal = token.principal();
        if *principal.resource() != route.resource || *principal.tenant() != route.tenant {
            return Err(Rejection::WrongAudience);
        }
        if !principal.addresses().permit(client) {
            return Err(Rejection::WrongAddress);
        }
        Ok(Self { token, route })
    }

    pub(super) fn token(&self) -> &Authenticated {
        &self.token
    }

    pub(super) fn route(&self) -> &'r Arc<Route> {
        self.route
    }
}
