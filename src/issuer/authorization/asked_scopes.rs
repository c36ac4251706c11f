//! Which scopes a consent page shows, and which of them an approval grants.

use super::holding::ConsentOffer;
use super::interaction::{AccessRequest, Purpose};
use crate::config::ScopeConfig;
use crate::issuer::{AskedScope, AuthorizeRejection, Handles, IssuerRequest};
use crate::oauth::{AuthMethod, ClientStanding, ScopeSet};

impl IssuerRequest<'_> {
    /// Returns what an approval with these ticks grants. AZ-28: a form can take scopes away but never add any that no
    /// page shows: because the client neither asked for it nor holds it, the configuration no longer has it, or the
    /// person may not hold it.
    pub(in crate::issuer) fn granted(
        &self,
        asked: &AccessRequest,
        ticked: &ScopeSet,
        offer: &ConsentOffer,
    ) -> ScopeSet {
        let shown: ScopeSet = self.asked_scopes(asked, offer).into_iter().map(|scope| scope.name).collect();
        ticked.intersection(&shown)
    }

    /// Returns whether the page shows a scope that is not ticked and part of one that is.
    pub(in crate::issuer) fn leaves_out_a_part(
        &self,
        asked: &AccessRequest,
        ticked: &ScopeSet,
        offer: &ConsentOffer,
    ) -> bool {
        let shown = self.asked_scopes(asked, offer);
        let (on, off): (Vec<_>, Vec<_>) = shown.iter().partition(|scope| ticked.contains(scope.name.as_str()));
        off.iter().any(|part| on.iter().any(|whole| whole.includes.contains(part.name.as_str())))
    }

    /// Returns the scopes that the page of a request shows.
    pub(in crate::issuer) fn asked_scopes(&self, asked: &AccessRequest, offer: &ConsentOffer) -> Vec<AskedScope> {
        let policy = &self.policy;
        let Some(upstream) = policy.upstream(asked.request.resource()) else { return Vec::new() };
        let wanted = upstream.scopes.iter().filter(|scope| offer.scopes.contains(scope.name.as_str()));
        let keeps_held = is_distinguishable(asked);
        let included = |scope: &ScopeConfig| upstream.rules.as_ref().map(|rules| rules.included(&scope.name));
        let is_held = |scope: &ScopeConfig| {
            let name = scope.name.as_str();
            let mut holders = upstream.scopes.iter().filter(|other| offer.held.contains(other.name.as_str()));
            holders.any(|other| other.name == scope.name || included(other).is_some_and(|all| all.contains(name)))
        };
        let named = |scope: &ScopeConfig| {
            let is_requested = asked.request.scopes().contains(scope.name.as_str());
            let includes = included(scope).unwrap_or_default().intersection(&offer.may_hold);
            let parts = || upstream.scopes.iter().filter(|part| includes.contains(part.name.as_str()));
            let sensitive = scope.sensitive || parts().any(|part| part.sensitive);
            // Without a scope that every request needs, the other scopes are useless.
            let is_harmless = !sensitive || upstream.required_scopes.contains(scope.name.as_str());
            AskedScope {
                name: scope.name.clone(),
                title: scope.title.clone(),
                description: scope.description.clone(),
                sensitive,
                is_requested,
                is_held: is_held(scope),
                preticked: is_harmless && (is_requested || keeps_held),
                groups: Vec::new(),
                opens_elsewhere: 0,
                included_titles: parts().map(|part| part.title.clone()).collect(),
                includes,
            }
        };
        let mut shown: Vec<_> = wanted.map(named).collect();
        // What is part of a scope that is ticked is granted with it.
        let ticked: Vec<_> = shown.iter().filter(|scope| scope.preticked).map(|scope| scope.includes.clone()).collect();
        for scope in &mut shown {
            scope.preticked |= ticked.iter().any(|includes| includes.contains(scope.name.as_str()));
        }
        shown
    }

    /// Returns the scopes that the consent page of a transaction shows now, even if the transaction was already
    /// decided.
    ///
    /// # Errors
    /// `Gone`, `Expired`, `Page` when its client is no longer accepted, `Unavailable`.
    pub async fn offered(&self, handles: &Handles) -> Result<Vec<AskedScope>, AuthorizeRejection> {
        match self.transaction(handles).await?.purpose {
            // The page of a client that no operator has let in offers nothing.
            Purpose::Authorization(asked) if self.policy.standing(&asked.client) != ClientStanding::Approved => {
                Ok(Vec::new())
            }
            Purpose::Authorization(asked) => {
                let session = self.live_session(handles.session.as_deref()).await?;
                let offer = match session {
                    Some(session) => self.offer(&asked, &session).await?.unwrap_or_default(),
                    None => ConsentOffer { scopes: asked.request.scopes().clone(), ..ConsentOffer::default() },
                };
                Ok(self.asked_scopes(&asked, &offer))
            }
            Purpose::Account => Ok(Vec::new()),
        }
    }
}

/// Returns whether no other program can pass for the client: the code goes to a web site, or the client has a secret.
/// Any other gets no scope by a mere click that it does not ask for, though the client of the same id has it.
fn is_distinguishable(asked: &AccessRequest) -> bool {
    let has_secret = asked.client.metadata.token_endpoint_auth_method != AuthMethod::None;
    has_secret || !asked.request.redirect().uri().is_local()
}
