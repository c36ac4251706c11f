//! What the configuration allows: which resources exist, and which of their scopes a client may hold.

use std::sync::Arc;

use crate::config::{Config, UpstreamConfig};
use crate::oauth::{
    Client, ClientOrigin, Grant, GroupSet, LifetimePolicy, RegistrationPolicy, RequestPolicy, ResourceIndicator,
    ScopeSet, ScopeToken, TenantId,
};

/// The scope by which clients ask for a refresh token; it grants nothing here.
const OFFLINE_ACCESS: &str = "offline_access";

/// The configuration as one request sees it from beginning to end, whatever is reloaded meanwhile.
pub(super) struct Policy {
    /// The whole configuration.
    pub(super) config: Arc<Config>,
    tenant: TenantId,
}

impl Policy {
    /// Makes the policy of a tenant from a configuration.
    pub(super) fn new(config: Arc<Config>, tenant: TenantId) -> Self {
        Self { config, tenant }
    }

    /// Finds the tenant's upstream whose tokens have this audience; of several, any: they share what is asked of it.
    pub(super) fn upstream(&self, resource: &ResourceIndicator) -> Option<&UpstreamConfig> {
        self.upstreams().find(|u| u.resource == *resource)
    }

    /// Returns how long tokens for this resource live, and the most that a single client may be given.
    pub(super) fn lifetimes(&self, resource: &ResourceIndicator) -> LifetimePolicy {
        self.config.tokens.lifetimes(self.upstream(resource).and_then(|upstream| upstream.access_lifetime))
    }

    /// Returns the resource that a token request names. The bare origin stands for the grant's own resource, as it did
    /// when that was the only upstream; what is granted stays the same, whatever has been configured since. The URL of
    /// an upstream stands for the resource that it shares.
    pub(super) fn named_at_token(&self, named: ResourceIndicator, granted: &ResourceIndicator) -> ResourceIndicator {
        if self.upstream(&named).is_some() {
            return named;
        }
        let is_shared = self.shared().any(|(url, resource)| url == named && resource == *granted);
        if is_shared || named.is_origin_of(granted) { granted.clone() } else { named }
    }

    /// Returns the URLs of upstreams that share a resource, each with that resource.
    fn shared(&self) -> impl Iterator<Item = (ResourceIndicator, ResourceIndicator)> {
        let sharing = self.upstreams().filter(|upstream| upstream.shares_resource());
        sharing.filter_map(|u| Some((ResourceIndicator::parse(&u.called_at()).ok()?, u.resource.clone())))
    }

    /// Returns all upstreams whose tokens have this audience.
    pub(super) fn upstreams_of(&self, resource: &ResourceIndicator) -> impl Iterator<Item = &UpstreamConfig> {
        self.upstreams().filter(move |upstream| upstream.resource == *resource)
    }

    /// Returns what may be requested of which resources; the request itself checks which of them this client may use.
    pub(super) fn request(&self) -> RequestPolicy {
        let mut resources: Vec<(ResourceIndicator, ScopeSet, ScopeSet)> = Vec::new();
        for upstream in self.upstreams() {
            if !resources.iter().any(|(resource, ..)| *resource == upstream.resource) {
                resources.push((upstream.resource.clone(), catalogue(upstream), upstream.default_scopes.clone()));
            }
        }
        RequestPolicy {
            resources,
            shared: self.shared().collect(),
            of_registered: self.config.registration.resource.clone(),
            default: self.config.default_resource.clone(),
        }
    }

    /// Returns the scopes of an upstream that a client may hold now: the whole catalogue, or for a client that an
    /// operator added, what they allowed it. The scopes in a client's own registration are no limit: it may ask the
    /// user for more.
    pub(super) fn allowed(&self, client: &Client, upstream: &UpstreamConfig) -> ScopeSet {
        client.scope_limit().map_or_else(|| catalogue(upstream), |limit| catalogue(upstream).intersection(limit))
    }

    /// Returns the scopes of an upstream that a client may use for itself, without a person who consents; `None` if it
    /// may have no token for it. A client that an operator added has what it was granted by name, a client that
    /// registered itself what it registered, without scopes that are sensitive or include one that is.
    pub(super) fn granted_to_service(&self, client: &Client, upstream: &UpstreamConfig) -> Option<ScopeSet> {
        let all = catalogue(upstream);
        if client.origin == ClientOrigin::Manual {
            if all.is_empty() {
                return (client.resource.as_ref() == Some(&upstream.resource)).then_some(all);
            }
            return client.scope_limit().map(|limit| all.intersection(limit)).filter(|scopes| !scopes.is_empty());
        }
        let sensitive: ScopeSet = upstream.scopes.iter().filter(|s| s.sensitive).map(|s| s.name.clone()).collect();
        let included =
            |name: &ScopeToken| upstream.rules.as_ref().map(|rules| rules.included(name)).unwrap_or_default();
        let is_open = |name: &&ScopeToken| {
            !sensitive.contains(name.as_str()) && included(name).intersection(&sensitive).is_empty()
        };
        let open: ScopeSet = all.iter().filter(is_open).cloned().collect();
        let registered = client.metadata.scope.as_ref().map_or_else(|| open.clone(), |own| open.intersection(own));
        Some(registered).filter(|scopes| all.is_empty() || !scopes.is_empty())
    }

    /// Returns those of the scopes that the grant's resource has, or had when it was granted. Clients send the same
    /// list to every endpoint, and authorization ignores unknown scopes as well (RFC 6749 3.3).
    pub(super) fn known_to(&self, grant: &Grant, scopes: &ScopeSet) -> ScopeSet {
        let known = self.upstream(&grant.resource).map(catalogue).unwrap_or_default();
        scopes.intersection(&known.union(&grant.scopes))
    }

    /// Returns the scopes that these include at a resource, directly or not.
    pub(super) fn included(&self, resource: &ResourceIndicator, scopes: &ScopeSet) -> ScopeSet {
        let rules = self.upstream(resource).and_then(|upstream| upstream.rules.as_deref());
        let each = rules.into_iter().flat_map(|rules| scopes.iter().map(|scope| rules.included(scope)));
        each.fold(ScopeSet::default(), |all, included| all.union(&included))
    }

    /// Returns what a client may register. A stranger's key set is at a public host even if `outbound.allow_addresses`
    /// opens the operator's own network to documents.
    pub(super) fn registration(&self) -> RegistrationPolicy {
        let offline = ScopeToken::parse(OFFLINE_ACCESS).into_iter().collect();
        RegistrationPolicy {
            redirects: self.config.redirect_policy(),
            scopes: self.known().union(&offline),
            client_credentials: self.config.registration.client_credentials,
            may_act_for: GroupSet::default(),
            internal_hosts: false,
        }
    }

    fn known(&self) -> ScopeSet {
        self.upstreams().flat_map(|u| &u.scopes).map(|s| s.name.clone()).collect()
    }

    /// Returns the upstreams of the tenant.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &UpstreamConfig> {
        self.config.upstreams.iter().filter(|u| u.tenant == self.tenant)
    }
}

fn catalogue(upstream: &UpstreamConfig) -> ScopeSet {
    upstream.scopes.iter().map(|s| s.name.clone()).collect()
}
