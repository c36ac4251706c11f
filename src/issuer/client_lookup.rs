//! Finds the client of a request: added, registered, or described by a metadata document.

use super::audit::OrUnavailable;
use super::diagnosis::Why;
use super::metadata_document::document_url;
use super::rejection::StoreFailed;
use super::{AuthorizeRejection, Caller, Issuer};
use crate::oauth::{Client, ClientId, ClientOrigin, Lifetime, OAuthError, Rule};

/// Why no client was found for an authorization request; the detail is for log and audit trail alone (CI-18).
#[derive(Debug)]
pub(super) enum LookupFailure {
    /// There is none, or its document is no good, or it is switched off.
    NotAClient(Rule, Option<String>),
    /// Its document cannot be had just now.
    TryLater(String),
    /// Too many are asked for.
    Throttled(Lifetime),
    /// The store failed.
    Unavailable(StoreFailed),
}

impl From<StoreFailed> for LookupFailure {
    fn from(failed: StoreFailed) -> Self {
        Self::Unavailable(failed)
    }
}

impl Issuer {
    /// Finds a client that is stored, switched on and admitted. This is all that `/token`, `/revoke` and the later steps of an
    /// authorization use: they never make the gateway fetch anything.
    pub(super) async fn enabled_client(&self, id: &ClientId, caller: &Caller) -> Result<Option<Client>, StoreFailed> {
        let client = self.store.find_client(&self.tenant, id).await.or_unavailable(self, caller).await?;
        // What an operator admits by document no longer is no client any longer, whatever it was given before.
        let policy = self.policy();
        let admitted =
            |c: &Client| c.origin != ClientOrigin::MetadataDocument || document_url(&c.id, &policy).is_some();
        Ok(client.filter(|c| !c.disabled && admitted(c)))
    }

    /// Finds the client of an authorization request; a metadata document is fetched when no fresh copy is at hand.
    ///
    /// # Errors
    /// A page: as long as the client is unknown, so is where it might be redirected to.
    pub(super) async fn client_for_authorization(
        &self,
        id: &ClientId,
        caller: &Caller,
    ) -> Result<Client, AuthorizeRejection> {
        let stored = self.store.find_client(&self.tenant, id).await.or_unavailable(self, caller).await?;
        let found = match stored {
            Some(client) if client.disabled => Err(LookupFailure::NotAClient(Rule::ClientDisabled, None)),
            Some(client) if client.origin != ClientOrigin::MetadataDocument => Ok(client),
            stored if id.is_url() => self.described_client(id, stored, caller).await,
            Some(_) | None => Err(LookupFailure::NotAClient(Rule::ClientUnknown, None)),
        };
        let (rule, detail, words) = match found {
            Ok(client) => return Ok(client),
            Err(LookupFailure::Unavailable(failed)) => return Err(failed.into()),
            Err(LookupFailure::Throttled(wait)) => {
                let error = OAuthError::new(Rule::TooManyDocuments, "").came("client_id", id.as_str());
                self.refuse_authorization(Why::throttled(&error), caller).await;
                return Err(AuthorizeRejection::Throttled(wait));
            }
            Err(LookupFailure::NotAClient(rule, detail)) => (
                rule,
                detail,
                "This application is not known here. Remove the connection in the application and add it again.",
            ),
            Err(LookupFailure::TryLater(detail)) => {
                let words = "What this application says of itself cannot be read just now. Try again in a minute.";
                (Rule::DocumentUnreachable, Some(detail), words)
            }
        };
        let error = OAuthError::new(rule, words).came("client_id", id.as_str());
        Err(self.refuse_by_page(error, detail.as_deref(), None, caller).await)
    }
}
