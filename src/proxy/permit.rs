//! `Permit`: proof that a caller may use an upstream and has the scopes that it requires. Sending a request needs one.

use std::sync::Arc;

use super::cached_principal::CachedPrincipal;
use super::rejection::{LackingScopes, Rejection};
use super::route::Route;
use crate::config::UpstreamKind;
use crate::oauth::ScopeToken;
use crate::policy::{Demand, Lacking, Rules};

/// Permission to use the route that the caller's token was checked for, and no other. Made only by [`Permit::grant`].
pub(super) struct Permit(Arc<CachedPrincipal>);

impl Permit {
    /// Permits a caller to use its route for a request, if its account may hold a token for it, and it has the scopes
    /// that every request to the route needs and, where the route has a map, those that this one needs.
    pub(super) fn grant(caller: Arc<CachedPrincipal>, demand: &Demand) -> Result<Self, Rejection> {
        if !caller.is_admitted() {
            return Err(Rejection::NotAdmitted);
        }
        match &caller.route().rules {
            None if !caller.has_scopes() => Err(Rejection::InsufficientScope),
            Some(rules) if !caller.has_scopes() || !demand.is_met_by(caller.standing()) => {
                Err(refusal(&caller, rules, demand))
            }
            None | Some(_) => Ok(Self(caller)),
        }
    }

    pub(super) fn caller(&self) -> &Arc<CachedPrincipal> {
        &self.0
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        self.0.route()
    }
}

/// Returns the refusal of a request by the route's map.
fn refusal(caller: &CachedPrincipal, rules: &Rules, demand: &Demand) -> Rejection {
    let route = caller.route();
    match rules.lacking(caller.standing(), demand, &route.required_scopes) {
        Lacking::Scopes(lacking) => {
            let names: Vec<&str> = lacking.iter().map(ScopeToken::as_str).collect();
            let what = if names.len() == 1 { "scope" } else { "scopes" };
            let text = format!("this needs the {what} {}, which the token lacks: authorize again", names.join(" and "));
            // MCP authorization, step-up: clients that do not accumulate scopes keep what they have.
            let wanted = rules.known(caller.principal().scopes()).union(&lacking);
            Rejection::LackingScopes(Box::new(LackingScopes { wanted, text }))
        }
        Lacking::Unopened if route.kind == UpstreamKind::Mcp && !matches!(demand, Demand::Each(_)) => {
            Rejection::UnopenedMessage
        }
        Lacking::Unopened => Rejection::UnopenedRequest,
    }
}
