//! What the configuration allows at this moment: which resources there are, and which of their scopes a client may hold.

use std::sync::Arc;

use super::Issuer;
use crate::config::{Config, UpstreamConfig};
use crate::oauth::{Client, RegistrationPolicy, RequestPolicy, ResourceIndicator, ScopeSet, ScopeToken, TenantId};

/// The scope by which clients ask for a refresh token; a permission without content (protocol.md A-32).
const OFFLINE_ACCESS: &str = "offline_access";

/// The configuration as one request sees it from beginning to end, whatever is reloaded meanwhile.
pub(super) struct Policy {
    /// All of it.
    pub(super) config: Arc<Config>,
    tenant: TenantId,
}

impl Issuer {
    /// Returns the policy of this moment.
    pub(super) fn policy(&self) -> Policy {
        Policy { config: self.config.load_full(), tenant: self.tenant.clone() }
    }
}

impl Policy {
    /// Finds the upstream whose tokens have this audience, among the tenant's own.
    pub(super) fn upstream(&self, resource: &ResourceIndicator) -> Option<&UpstreamConfig> {
        self.upstreams().find(|u| u.resource == *resource)
    }

    /// Returns what a client may ask of which resources: of the one that it is bound to, or of all.
    pub(super) fn request(&self, client: &Client) -> RequestPolicy {
        let bound = |u: &&UpstreamConfig| client.resource.as_ref().is_none_or(|r| *r == u.resource);
        let resources = self.upstreams().filter(bound).map(|u| {
            let allowed = self.allowed(client, u);
            let default = Some(u.default_scopes.intersection(&allowed)).filter(|d| !d.is_empty());
            (u.resource.clone(), allowed.clone(), default.unwrap_or(allowed))
        });
        RequestPolicy { resources: resources.collect() }
    }

    /// Returns the scopes of an upstream that a client may hold: the catalogue, within what the client is registered
    /// for. A registration that names only scopes nobody here knows was not meant as a limit, and is none.
    pub(super) fn allowed(&self, client: &Client, upstream: &UpstreamConfig) -> ScopeSet {
        let limit = client.metadata.scope.as_ref().map(|s| s.intersection(&self.known()));
        match limit.filter(|l| !l.is_empty()) {
            Some(limit) => catalogue(upstream).intersection(&limit),
            None => catalogue(upstream),
        }
    }

    /// Returns what a client may register.
    pub(super) fn registration(&self) -> RegistrationPolicy {
        let offline = ScopeToken::parse(OFFLINE_ACCESS).into_iter().collect();
        RegistrationPolicy {
            extra_redirect_uris: self.config.registration.extra_redirect_uris.clone(),
            scopes: self.known().union(&offline),
        }
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
