//! Which scopes a consent page shows, and which of them an approval grants.

use super::interaction::{AccessRequest, Purpose};
use crate::config::ScopeConfig;
use crate::issuer::{AskedScope, AuthorizeRejection, Handles, IssuerRequest};
use crate::oauth::ScopeSet;

impl IssuerRequest<'_> {
    /// Returns what an approval with these ticks grants. AZ-28: a form can take scopes away but never add any, neither
    /// one that the client did not ask for nor one that no page shows, because the configuration no longer has it or
    /// the person may not hold it.
    pub(in crate::issuer) fn granted(&self, asked: &AccessRequest, ticked: &ScopeSet, may: &ScopeSet) -> ScopeSet {
        let shown: ScopeSet = self.asked_scopes(asked, may).into_iter().map(|scope| scope.name).collect();
        ticked.intersection(&shown)
    }

    /// Returns the scopes that the page of a request shows: those of `may`, which the person may approve.
    pub(in crate::issuer) fn asked_scopes(&self, asked: &AccessRequest, may: &ScopeSet) -> Vec<AskedScope> {
        let policy = &self.policy;
        let Some(upstream) = policy.upstream(asked.request.resource()) else { return Vec::new() };
        let wanted = upstream.scopes.iter().filter(|scope| may.contains(scope.name.as_str()));
        let named = |scope: &ScopeConfig| AskedScope {
            name: scope.name.clone(),
            title: scope.title.clone(),
            description: scope.description.clone(),
            sensitive: scope.sensitive,
            // Without a scope that every request needs, the other scopes are useless.
            preticked: !scope.sensitive || upstream.required_scopes.contains(scope.name.as_str()),
            groups: Vec::new(),
            opens_elsewhere: 0,
        };
        wanted.map(named).collect()
    }

    /// Returns the scopes that the consent page of a transaction shows now, even if the transaction was already
    /// decided.
    ///
    /// # Errors
    /// `Gone`, `Expired`, `Page` when its client is no longer accepted, `Unavailable`.
    pub async fn offered(&self, handles: &Handles) -> Result<Vec<AskedScope>, AuthorizeRejection> {
        match self.transaction(handles).await?.purpose {
            Purpose::Authorization(asked) => {
                let session = self.live_session(handles.session.as_deref()).await?;
                let may = match session {
                    Some(session) => self.may_approve(&session.subject, &asked).await?.unwrap_or_default(),
                    None => asked.request.scopes().clone(),
                };
                Ok(self.asked_scopes(&asked, &may))
            }
            Purpose::Account => Ok(Vec::new()),
        }
    }
}
