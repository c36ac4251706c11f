//! API keys that people make on their account page, with their current password.

use super::own_password::ProvenOwner;
use crate::config::UpstreamConfig;
use crate::issuer::account_view::{KeyMade, KeyOffer, OfferedScope, OwnKey};
use crate::issuer::api_keys::{KeyParts, MadeKey, WantedKey};
use crate::issuer::audit::OrUnavailable;
use crate::issuer::built_in::BuiltIn;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{AuthorizeRejection, IssuerRequest};
use crate::oauth::{GroupSet, ScopeSet};
use crate::store::{Account, AuditEvent, KeyAdded};

impl IssuerRequest<'_> {
    /// Makes an API key for the person signed in by a session, if the current password is right. It is asked for
    /// because a key outlives the session: somebody at a browser that another person left signed in must not get one.
    /// An attempt counts like one on the login page.
    ///
    /// # Errors
    /// `Throttled` when all hash slots are taken, `Unavailable`.
    pub async fn make_own_key(&self, session: &str, wish: &OwnKey<'_>) -> Result<KeyMade, AuthorizeRejection> {
        let account = match self.owner_by_password(session, wish.present).await? {
            ProvenOwner::Is(account) => account,
            ProvenOwner::Wrong => return Ok(KeyMade::Wrong),
            ProvenOwner::Throttled(wait) => return Ok(KeyMade::Throttled(wait)),
            ProvenOwner::SignedOut => return Ok(KeyMade::SignedOut),
        };
        let wanted = WantedKey {
            name: wish.name,
            upstream: Some(wish.upstream),
            scopes: &[],
            lifetime: wish.lifetime,
            addresses: &[],
        };
        let audit = self.audit_by(account.subject.id(), AuditEvent::KeyCreated);
        let checked = wanted.details().and_then(|details| {
            let expires_at = wanted.lifetime.end(&self.policy.config.tokens, audit.at)?;
            Ok((details, expires_at))
        });
        let ((name, addresses), expires_at) = match checked {
            Ok(checked) => checked,
            Err(refused) => return Ok(KeyMade::Refused(refused)),
        };
        let upstream = self.policy.upstreams().find(|upstream| upstream.name == wish.upstream);
        let Some(upstream) = upstream else { return Ok(KeyMade::NotOffered) };
        let groups = self.groups_of(&account).await?;
        let held = held(&account, &groups, upstream).map(|held| held.intersection(&wish.scopes));
        let Some(scopes) = held.filter(|scopes| upstream.scopes.is_empty() || !scopes.is_empty()) else {
            return Ok(KeyMade::NotOffered);
        };
        let added = self.audit(AuditEvent::ClientAdded);
        let client = BuiltIn::Keys.ensure(&self.services, &self.tenant, added).await.or_unavailable(self).await?;
        let Some(client) = client else { return Ok(KeyMade::SwitchedOff) };
        let (tenant, authenticated_at) = (self.tenant.clone(), audit.at);
        let parts = KeyParts {
            tenant,
            client,
            account: *account,
            scopes,
            name,
            addresses,
            expires_at,
            authenticated_at,
            audit,
        };
        let (key, new) = parts.make(&self.services, upstream);
        Ok(match self.services.store.insert_key(new).await.or_unavailable(self).await? {
            KeyAdded::Added(issued) => KeyMade::Done(Box::new(MadeKey { key, grant: *issued.grant })),
            KeyAdded::TooMany => KeyMade::TooMany,
            KeyAdded::NotFound => KeyMade::SignedOut,
        })
    }

    /// Returns for what a person may make keys.
    pub(super) async fn key_offers(&self, account: &Account) -> Result<Vec<KeyOffer>, StoreFailed> {
        let groups = self.groups_of(account).await?;
        let offer = |upstream: &UpstreamConfig| {
            let held = held(account, &groups, upstream)?;
            let scopes = upstream.scopes.iter().filter(|scope| held.contains(scope.name.as_str()));
            let scopes = scopes.map(|scope| OfferedScope {
                name: scope.name.clone(),
                title: scope.title.clone(),
                is_usual: upstream.default_scopes.contains(scope.name.as_str()) && !scope.sensitive,
            });
            let (upstream, resource_name) = (upstream.name.clone(), upstream.display_name.clone());
            Some(KeyOffer { upstream, resource_name, scopes: scopes.collect() })
        };
        // Of those that share a resource, one stands for all: a key is good for all of them.
        let is_first = |upstream: &&UpstreamConfig| {
            self.policy.upstream(&upstream.resource).is_some_and(|first| first.name == upstream.name)
        };
        Ok(self.policy.upstreams().filter(is_first).filter_map(offer).collect())
    }

    async fn groups_of(&self, account: &Account) -> Result<GroupSet, StoreFailed> {
        self.services.store.groups_of(&self.tenant, account.subject.id()).await.or_unavailable(self).await
    }
}

/// Returns the scopes that an account may have at an upstream; `None` if it may have no token for it.
fn held(account: &Account, groups: &GroupSet, upstream: &UpstreamConfig) -> Option<ScopeSet> {
    let all = upstream.scopes.iter().map(|scope| scope.name.clone()).collect();
    upstream.holders.narrow(account.name.as_str(), groups, &all)
}
