//! What an account may hold, by the configuration (`allow_users`, `allow_groups`, and those of the scopes).

use super::interaction::AccessRequest;
use crate::config::UpstreamConfig;
use crate::issuer::IssuerRequest;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::rejection::StoreFailed;
use crate::oauth::{AccountId, ScopeSet};
use crate::store::Account;

impl IssuerRequest<'_> {
    /// Returns those of the scopes that an account may hold at an upstream now; `None` if it may hold no token for it.
    pub(in crate::issuer) async fn may_hold(
        &self,
        account: &Account,
        upstream: &UpstreamConfig,
        scopes: &ScopeSet,
    ) -> Result<Option<ScopeSet>, StoreFailed> {
        if upstream.holders.are_all() {
            return Ok(Some(scopes.clone()));
        }
        let groups =
            self.services.store.groups_of(&self.tenant, account.subject.id()).await.or_unavailable(self).await?;
        Ok(upstream.holders.narrow(account.name.as_str(), &groups, scopes))
    }

    /// Returns those of the requested scopes that a person may approve; `None` if none, or no token at all.
    pub(in crate::issuer) async fn may_approve(
        &self,
        subject: &AccountId,
        asked: &AccessRequest,
    ) -> Result<Option<ScopeSet>, StoreFailed> {
        let requested = asked.request.scopes();
        let upstream = self.policy.upstream(asked.request.resource()).filter(|upstream| !upstream.holders.are_all());
        // Without the upstream, the page says what is missing.
        let Some(upstream) = upstream else { return Ok(Some(requested.clone())) };
        let account = self.services.store.find_account(&self.tenant, subject).await.or_unavailable(self).await?;
        match account {
            Some(account) => self.may_hold(&account, upstream, requested).await,
            None => Ok(None),
        }
    }
}
