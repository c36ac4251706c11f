//! `Permit`: proof that a caller may use an upstream, and that nothing in its rules is against a request. Sending a
//! request needs one.

use std::sync::Arc;

use super::cached_principal::CachedPrincipal;
use super::rejection::Rejection;
use super::route::Route;
use super::verdict::{Refused, Verdict, refusal};

/// Permission to use the route that the caller's token was checked for, and no other. Made only by [`Permit::grant`].
pub(super) struct Permit(Arc<CachedPrincipal>);

impl Permit {
    /// Permits a caller to use its route for a request, if its account may hold a token for it, it has the scopes that
    /// every request to the route needs, and nothing in the rules of the route is against this one.
    pub(super) fn grant(caller: Arc<CachedPrincipal>, verdict: &Verdict) -> Result<Self, Rejection> {
        if !caller.is_admitted() {
            return Err(Rejection::NotAdmitted);
        }
        let refused = match verdict {
            Verdict::Passes => None,
            Verdict::Refused(refused) => Some(&**refused),
        };
        if caller.has_scopes() && refused.is_none_or(Refused::is_part) {
            return Ok(Self(caller));
        }
        Err(caller
            .route()
            .rules
            .as_deref()
            .map_or(Rejection::InsufficientScope, |rules| refusal(&caller, rules, refused)))
    }

    pub(super) fn caller(&self) -> &Arc<CachedPrincipal> {
        &self.0
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        self.0.route()
    }
}
