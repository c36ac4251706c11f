//! Remembered consent: for which clients, and when it replaces asking again.

use super::interaction::AccessRequest;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::policy::Policy;
use crate::issuer::{AuthorizeRejection, IssuerRequest};
use crate::oauth::{
    Client, ClientOrigin, ClientStanding, Digest, Exclusions, MetadataDocumentUrl, RedirectUri, ScopeSet, Timestamp,
};
use crate::store::{Consent, ConsentKey, LoginSession};

/// Whether consent to a request is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::issuer) enum Memory {
    /// Not remembered: the user is asked each time.
    Never,
    /// Remembered, and valid for the same scopes or fewer, wherever the request comes from.
    Anywhere,
    /// Remembered, and valid only when the browser comes from the origin of this document.
    FromPublisher(MetadataDocumentUrl),
}

/// What a user approved before.
pub(in crate::issuer) struct ApprovedBefore {
    pub(in crate::issuer) scopes: ScopeSet,
    pub(in crate::issuer) exclusions: Exclusions,
    /// When the user was shown what they approved.
    pub(in crate::issuer) shown_at: Timestamp,
}

impl Policy {
    /// Returns whether consent to this request is remembered: the operator must have added or trusted the client, and
    /// no program on the user's machine may receive its codes (RFC 8252 8.6). For all other clients the user is asked
    /// each time.
    pub(in crate::issuer) fn memory(&self, asked: &AccessRequest) -> Memory {
        let (client, redirect) = (&asked.client, asked.request.redirect().uri());
        if client.origin == ClientOrigin::Manual {
            let uris = client.metadata.redirect_uris.as_slice();
            return if uris.iter().any(RedirectUri::is_local) { Memory::Never } else { Memory::Anywhere };
        }
        let publisher = if self.config.metadata_documents.remember_consent { self.publisher(client) } else { None };
        // The document may also name ports on the user's machine; consent for the site does not cover those.
        publisher.filter(|_| !redirect.is_local()).map_or(Memory::Never, Memory::FromPublisher)
    }
}

impl IssuerRequest<'_> {
    /// Returns what the user approved before, if their remembered consent covers those scopes of this request that they
    /// may approve. `referer` is the browser's `Referer`.
    pub(in crate::issuer) async fn consent_is_remembered(
        &self,
        asked: &AccessRequest,
        session: &LoginSession,
        scopes: &ScopeSet,
        referer: Option<&str>,
    ) -> Result<Option<ApprovedBefore>, AuthorizeRejection> {
        let request = &asked.request;
        let memory = self.policy.memory(asked);
        let comes_from_there = match &memory {
            Memory::Never => false,
            Memory::Anywhere => true,
            // Anybody can send a browser here with the publisher's own parameters, and the code goes to the publisher.
            // Only the question tells the user of it, so it is left out only when the publisher's own site started the
            // request.
            Memory::FromPublisher(url) => referer.is_some_and(|referer| url.is_origin_of(referer)),
        };
        let may_be_used = self.policy.standing(&asked.client) == ClientStanding::Approved;
        if !comes_from_there || !may_be_used || request.prompt().consent || request.prompt().login {
            return Ok(None);
        }
        let found = self.services.store.find_consent(&self.consent_key(asked, session)).await;
        let covers = |c: &Consent| {
            let scopes_are_covered =
                if memory == Memory::Anywhere { scopes.is_subset(&c.scopes) } else { *scopes == c.scopes };
            // CN-09: another name or another set of redirect URIs is another application to the user.
            scopes_are_covered && self.now() < c.expires_at && c.client_fingerprint == fingerprint(asked, &memory)
        };
        let Some(consent) = found.or_unavailable(self).await?.filter(covers) else { return Ok(None) };
        // On another page, the user may have left out something since.
        let exclusions = self.left_out(asked, session).await?.unwrap_or(consent.exclusions);
        Ok(Some(ApprovedBefore { scopes: scopes.clone(), exclusions, shown_at: consent.given_at }))
    }

    /// Returns what a user left out for a client when they last decided on a page, however what they granted it has
    /// ended; `None` if nothing.
    pub(in crate::issuer) async fn left_out(
        &self,
        asked: &AccessRequest,
        session: &LoginSession,
    ) -> Result<Option<Exclusions>, AuthorizeRejection> {
        let found = self.services.store.find_left_out(&self.consent_key(asked, session)).await;
        Ok(found.or_unavailable(self).await?)
    }

    /// Returns what a user is asked to consent to.
    pub(in crate::issuer) fn consent_key(&self, asked: &AccessRequest, session: &LoginSession) -> ConsentKey {
        ConsentKey {
            tenant: self.tenant.clone(),
            subject: session.subject.clone(),
            client: asked.client.id.clone(),
            resource: asked.request.resource().clone(),
        }
    }

    /// Returns what to remember of an approval of what was shown at a moment, if anything.
    pub(in crate::issuer) fn to_remember(
        &self,
        asked: &AccessRequest,
        session: &LoginSession,
        (scopes, exclusions): (ScopeSet, Exclusions),
        given_at: Timestamp,
    ) -> Option<Consent> {
        let memory = self.policy.memory(asked);
        if memory == Memory::Never {
            return None;
        }
        Some(Consent {
            key: self.consent_key(asked, session),
            scopes,
            exclusions,
            client_fingerprint: fingerprint(asked, &memory),
            given_at,
            // For as long as the grant itself can live, so that the user is asked at least as often as the access ends.
            expires_at: self.now().plus(self.policy.config.tokens.refresh_absolute),
        })
    }
}

/// Hashes what the user saw when they consented: the name, and where codes may go. For a publisher also where this code
/// went, because its document can name several redirect URIs.
fn fingerprint(asked: &AccessRequest, memory: &Memory) -> Digest<Client> {
    let metadata = &asked.client.metadata;
    let uris = metadata.redirect_uris.as_slice().iter().map(RedirectUri::as_str);
    // Neither a name nor a URI contains a line feed, so no two clients write the same text.
    let name = metadata.client_name.as_deref().unwrap_or_default();
    let this = matches!(memory, Memory::FromPublisher(_)).then(|| asked.request.redirect().uri().as_str());
    let lines: Vec<&str> = std::iter::once(name).chain(uris).chain(this.map(|_| "")).chain(this).collect();
    Digest::of(lines.join("\n").as_bytes())
}
