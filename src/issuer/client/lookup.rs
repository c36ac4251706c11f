//! Finds the client of a request: added, registered, or described by a metadata document.

use super::lookup_failure::LookupFailure;
use super::metadata_document::document_url;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{AuthorizeRejection, IssuerRequest};
use crate::oauth::{Client, ClientId, ClientOrigin, OAuthError, Rule};

/// What the page says about every unknown client.
const UNKNOWN: &str = "This application is unknown here. Remove the connection in the application and add it again.";

impl IssuerRequest<'_> {
    /// Finds a client that is stored, switched on and admitted. This is all that `/token`, `/revoke` and the later
    /// steps of an authorization use: they never make the gateway fetch a document.
    pub(in crate::issuer) async fn enabled_client(&self, id: &ClientId) -> Result<Option<Client>, StoreFailed> {
        let client = self.services.store.find_client(&self.tenant, id).await.or_unavailable(self).await?;
        // A client whose document the operator no longer admits is no client any more, whatever it was granted before.
        let policy = &self.policy;
        let admitted = |c: &Client| c.origin != ClientOrigin::MetadataDocument || document_url(&c.id, policy).is_ok();
        Ok(client.filter(|c| !c.disabled && admitted(c)))
    }

    /// Finds the client of an authorization request; a metadata document is fetched when no fresh copy is at hand.
    ///
    /// # Errors
    /// Always a page: without a client no redirect URI can be verified.
    pub(in crate::issuer) async fn client_for_authorization(
        &self,
        id: &ClientId,
    ) -> Result<Client, AuthorizeRejection> {
        let stored = self.services.store.find_client(&self.tenant, id).await.or_unavailable(self).await?;
        let found = match stored {
            Some(client) if client.disabled => Err(LookupFailure::NotAClient(Rule::ClientDisabled, None)),
            Some(client) if client.origin != ClientOrigin::MetadataDocument => Ok(client),
            // Boxed, because fetching a document needs more space than the rest.
            stored if id.is_url() => Box::pin(self.described_client(id, stored)).await,
            Some(_) | None => Err(LookupFailure::NotAClient(Rule::ClientUnknown, None)),
        };
        let error = |rule, words: &'static str| OAuthError::new(rule, words).came("client_id", id.as_str());
        let (error, detail) = match found {
            Ok(client) => return Ok(client),
            Err(LookupFailure::Unavailable(failed)) => return Err(failed.into()),
            Err(LookupFailure::Full(wait)) => return Err(AuthorizeRejection::Throttled(wait)),
            Err(LookupFailure::Throttled(wait, key)) => {
                let error = error(Rule::TooManyDocuments, "");
                self.refuse_authorization(Diagnosis::throttled(&error).by(key)).await;
                return Err(AuthorizeRejection::Throttled(wait));
            }
            Err(LookupFailure::NotAdmitted(cause)) => {
                let error = error(Rule::DocumentNotAllowed, UNKNOWN).expected(cause.expected());
                self.refuse_authorization(Diagnosis::from(&error).by(cause.key())).await;
                return Err(AuthorizeRejection::Page(error));
            }
            Err(LookupFailure::NotAClient(rule, detail)) => (error(rule, UNKNOWN), detail),
            Err(LookupFailure::TryLater(detail)) => {
                let words = "The description of this application cannot be fetched at the moment. Try again in a \
                             minute.";
                (error(Rule::DocumentUnreachable, words), Some(detail))
            }
        };
        Err(self.refuse_by_page(error, detail.as_deref(), None).await)
    }
}
