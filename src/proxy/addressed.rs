//! `Addressed`: the proof that a good token is for the upstream of the request.

use super::authenticate::Authenticated;
use super::rejection::Rejection;
use super::route::Route;

/// A good token whose audience is the upstream of the request. Made only by [`Addressed::check`].
pub(super) struct Addressed(Authenticated);

impl Addressed {
    /// Checks the audience: exact equality of the canonical resource, and the same tenant.
    pub(super) fn check(token: Authenticated, route: &Route) -> Result<Self, Rejection> {
        // RFC 8707 2, OAuth 2.1 5.2: never a prefix; a token for the origin is not one for its paths.
        if *token.principal.resource() == route.resource && *token.principal.tenant() == route.tenant {
            Ok(Self(token))
        } else {
            Err(Rejection::WrongAudience)
        }
    }

    pub(super) fn token(&self) -> &Authenticated {
        &self.0
    }
}
