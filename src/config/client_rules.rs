//! The rules for clients, as the configuration sets them.

use super::policy::WhoRegisters;
use super::settings::Config;
use crate::oauth::{GroupSet, LifetimePolicy, RedirectPolicy, RegistrationPolicy, ResourceIndicator, ScopeSet};

impl Config {
    /// Returns the rules for a client that the operator describes, which may ask for these scopes.
    #[must_use]
    pub fn operator_registration(&self, scopes: ScopeSet) -> RegistrationPolicy {
        RegistrationPolicy {
            // registration.hosts is for clients that the operator does not add.
            redirects: RedirectPolicy { hosts: None, ..self.redirect_policy() },
            scopes,
            client_credentials: true,
            may_act_for: GroupSet::default(),
            internal_hosts: !self.outbound.allow_addresses.is_empty(),
        }
    }

    /// Returns all scopes of the upstream with this resource, or of every upstream.
    #[must_use]
    pub fn scopes_at(&self, resource: Option<&ResourceIndicator>) -> ScopeSet {
        let upstreams = self.upstreams.iter().filter(|upstream| resource.is_none_or(|at| *at == upstream.resource));
        upstreams.flat_map(|upstream| upstream.scopes.iter().map(|scope| scope.name.clone())).collect()
    }

    /// Returns the bounds for the lifetimes of a client bound to this resource, or to none: then those of the upstream
    /// with the longest hold, since at the others theirs still do.
    #[must_use]
    pub fn lifetimes_at(&self, bound: Option<&ResourceIndicator>) -> LifetimePolicy {
        let its = self.upstreams.iter().filter(|upstream| bound.is_none_or(|bound| *bound == upstream.resource));
        let policies = its.map(|upstream| self.tokens.lifetimes(upstream.access_lifetime));
        let longest = policies.max_by_key(|policy| policy.access_longest);
        longest.unwrap_or_else(|| self.tokens.lifetimes(None))
    }

    /// Returns the rules for redirect URIs.
    #[must_use]
    pub fn redirect_policy(&self) -> RedirectPolicy {
        RedirectPolicy {
            refused_schemes: self.registration.refused_schemes.clone(),
            allowed_uris: self.registration.extra_redirect_uris.clone(),
            own_origins: self.all_origins(),
            hosts: match &self.registration.who {
                WhoRegisters::Listed(hosts) => Some(hosts.clone()),
                WhoRegisters::Anybody | WhoRegisters::Approved | WhoRegisters::Nobody => None,
            },
        }
    }
}
