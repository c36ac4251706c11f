//! What the configuration allows at this moment: which resources there are, and which of their scopes a client may hold.

use std::sync::Arc;

use crate::config::{Config, UpstreamConfig};
use crate::oauth::{
    Client, ClientOrigin, Grant, RegistrationPolicy, RequestPolicy, ResourceIndicator, ScopeSet, ScopeToken, TenantId,
};

/// The scope by which clients ask for a refresh token; a permission without content here.
const OFFLINE_ACCESS: &str = "offline_access";

/// The configuration as one request sees it from beginning to end, whatever is reloaded meanwhile.
pub(super) struct Policy {
    /// All of it.
    pub(super) config: Arc<Config>,
    tenant: TenantId,
}

impl Policy {
    /// Takes a configuration as a tenant's policy.
    pub(super) fn new(config: Arc<Config>, tenant: TenantId) -> Self {
        Self { config, tenant }
    }

    /// Finds the upstream whose tokens have this audience, among the tenant's own.
    pub(super) fn upstream(&self, resource: &ResourceIndicator) -> Option<&UpstreamConfig> {
        self.upstreams().find(|u| u.resource == *resource)
    }

    /// Returns the resource that a token request names. The origin stands for the resource of the grant, as it did when
    /// that was the only one: what is granted does not change with it, whatever has been configured since.
    pub(super) fn named_at_token(&self, named: ResourceIndicator, granted: &ResourceIndicator) -> ResourceIndicator {
        let is_bare_origin = named.is_origin_of(granted) && self.upstream(&named).is_none();
        if is_bare_origin { granted.clone() } else { named }
    }

    /// Returns what may be asked of which resources; which of them this client may ask is the request's own rule.
    pub(super) fn request(&self) -> RequestPolicy {
        let row = |u: &UpstreamConfig| (u.resource.clone(), catalogue(u), u.default_scopes.clone());
        RequestPolicy { resources: self.upstreams().map(row).collect() }
    }

    /// Returns the scopes of an upstream that a client may hold now: the catalogue, and for a client that an operator
    /// added, within what they gave it. What a client registered for itself is no limit: it may ask the user for more.
    pub(super) fn allowed(&self, client: &Client, upstream: &UpstreamConfig) -> ScopeSet {
        let limit = client.metadata.scope.as_ref().filter(|_| client.origin == ClientOrigin::Manual);
        limit.map_or_else(|| catalogue(upstream), |limit| catalogue(upstream).intersection(limit))
    }

    /// Returns those of the scopes that mean something at a grant's resource: what it has, or had when it was granted.
    /// Clients send the same list to every endpoint, and authorization ignores the rest as well (RFC 6749 3.3).
    pub(super) fn known_to(&self, grant: &Grant, scopes: &ScopeSet) -> ScopeSet {
        let known = self.upstream(&grant.resource).map(catalogue).unwrap_or_default();
        scopes.intersection(&known.union(&grant.scopes))
    }

    /// Returns what a client may register.
    pub(super) fn registration(&self) -> RegistrationPolicy {
        let offline = ScopeToken::parse(OFFLINE_ACCESS).into_iter().collect();
        RegistrationPolicy { redirects: self.config.redirect_policy(), scopes: self.known().union(&offline) }
    }

    fn known(&self) -> ScopeSet {
        self.upstreams().flat_map(|u| &u.scopes).map(|s| s.name.clone()).collect()
    }

    fn upstreams(&self) -> impl Iterator<Item = &UpstreamConfig> {
        self.config.upstreams.iter().filter(|u| u.tenant == self.tenant)
    }
}

fn catalogue(upstream: &UpstreamConfig) -> ScopeSet {
    upstream.scopes.iter().map(|s| s.name.clone()).collect()
}
