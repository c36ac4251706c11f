//! What an account may hold, by the configuration (`allow_users`, `allow_groups`, and those of the scopes).

use super::interaction::AccessRequest;
use crate::config::UpstreamConfig;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{AuthorizeRejection, IssuerRequest};
use crate::oauth::{AccountId, Exclusions, LoginName, ScopeSet};
use crate::store::LoginSession;

/// What a consent page offers.
#[derive(Debug, Default)]
pub(in crate::issuer) struct ConsentOffer {
    /// The scopes that the person may approve: those that are requested, and those that the client holds.
    pub(in crate::issuer) scopes: ScopeSet,
    /// Those that the client holds by the newest grant that the person gave it.
    pub(in crate::issuer) held: ScopeSet,
    /// What the person left out for this client before, whether it holds anything or not.
    pub(in crate::issuer) left_out: Exclusions,
    /// All scopes of the upstream that the person may hold.
    pub(in crate::issuer) may_hold: ScopeSet,
}

impl IssuerRequest<'_> {
    /// Returns those of the scopes that an account may hold at an upstream now; `None` if it may hold no token for it.
    pub(in crate::issuer) async fn may_hold(
        &self,
        subject: &AccountId,
        name: &LoginName,
        upstream: &UpstreamConfig,
        scopes: &ScopeSet,
    ) -> Result<Option<ScopeSet>, StoreFailed> {
        if upstream.holders.are_all() {
            return Ok(Some(scopes.clone()));
        }
        let groups = self.services.store.groups_of(&self.tenant, subject).await.or_unavailable(self).await?;
        Ok(upstream.holders.narrow(name.as_str(), &groups, scopes))
    }

    /// Returns those of the requested scopes that a person may approve; `None` if none, or no token at all.
    pub(in crate::issuer) async fn may_approve(
        &self,
        subject: &AccountId,
        asked: &AccessRequest,
    ) -> Result<Option<ScopeSet>, StoreFailed> {
        self.may_approve_of(subject, asked, asked.request.scopes()).await
    }

    /// Returns what the consent page of a request offers to the person of a session; `None` if they may approve none of
    /// the requested scopes, or no token at all.
    pub(in crate::issuer) async fn offer(
        &self,
        asked: &AccessRequest,
        session: &LoginSession,
    ) -> Result<Option<ConsentOffer>, AuthorizeRejection> {
        let Some(requested) = self.may_approve(&session.subject, asked).await? else { return Ok(None) };
        let upstream = self.policy.upstream(asked.request.resource());
        let all: ScopeSet = upstream.into_iter().flat_map(|up| &up.scopes).map(|scope| scope.name.clone()).collect();
        let may_hold = self.may_approve_of(&session.subject, asked, &all).await?.unwrap_or_default();
        let before = self.left_out(asked, session).await?;
        let Some(grant) = self.held(asked, session).await? else {
            let (held, left_out) = (ScopeSet::default(), before.unwrap_or_default());
            return Ok(Some(ConsentOffer { scopes: requested, held, left_out, may_hold }));
        };
        // An operator may have narrowed what the client may ask for.
        let limit = asked.client.scope_limit();
        let held = limit.map_or_else(|| grant.scopes.clone(), |limit| grant.scopes.intersection(limit));
        let held = self.may_approve_of(&session.subject, asked, &held).await?.unwrap_or_default();
        let all = requested.union(&held);
        // Clients send back what they were granted, so it must fit into a parameter.
        let scopes = if ScopeSet::parse(&all.to_string()).is_ok() { all } else { requested };
        Ok(Some(ConsentOffer { scopes, held, left_out: before.unwrap_or(grant.exclusions), may_hold }))
    }

    async fn may_approve_of(
        &self,
        subject: &AccountId,
        asked: &AccessRequest,
        scopes: &ScopeSet,
    ) -> Result<Option<ScopeSet>, StoreFailed> {
        let upstream = self.policy.upstream(asked.request.resource()).filter(|upstream| !upstream.holders.are_all());
        // Without the upstream, the page says what is missing.
        let Some(upstream) = upstream else { return Ok(Some(scopes.clone())) };
        let account = self.services.store.find_account(&self.tenant, subject).await.or_unavailable(self).await?;
        match account {
            Some(account) => self.may_hold(account.subject.id(), &account.name, upstream, scopes).await,
            None => Ok(None),
        }
    }
}
