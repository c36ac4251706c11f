//! What is known of a client's identity, and what its name could be mistaken for.

use super::metadata_document::document_url;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::policy::Policy;
use crate::issuer::{AuthorizeRejection, Identity, IssuerRequest};
use crate::oauth::{Client, ClientId, ClientOrigin, MetadataDocumentUrl, VerifiedRedirect, borrowed_brand, resembles};

impl Policy {
    /// Returns the document URL of a client whose publisher is verified: the operator trusts that exact URL. The host
    /// alone is not enough, because others may publish there too.
    pub(in crate::issuer) fn publisher(&self, client: &Client) -> Option<MetadataDocumentUrl> {
        if self.is_verified(&client.id) { self.document(client) } else { None }
    }

    /// Returns whether the operator trusts the publisher of the document at this URL.
    pub(in crate::issuer) fn is_verified(&self, id: &ClientId) -> bool {
        self.config.metadata_documents.verified_publishers.iter().any(|url| url == id.as_str())
    }

    /// Returns what is known of a client that wants its code sent to `redirect`.
    pub(in crate::issuer) fn identity(&self, client: &Client, redirect: &VerifiedRedirect) -> Identity {
        if client.origin == ClientOrigin::Manual {
            return Identity::Added;
        }
        // CIMD "OAuth Phishing": any program can use the client id of a known one and wait for the code on a local
        // port.
        if redirect.uri().is_local() {
            return Identity::OnThisComputer;
        }
        let publisher = self.publisher(client).map(|url| Identity::Published(url.host().to_owned()));
        publisher.unwrap_or(Identity::Unverified)
    }

    /// Returns the host of the document that describes a client.
    pub(in crate::issuer) fn document_host(&self, client: &Client) -> Option<String> {
        self.document(client).map(|url| url.host().to_owned())
    }

    fn document(&self, client: &Client) -> Option<MetadataDocumentUrl> {
        document_url(&client.id, self).ok().filter(|_| client.origin == ClientOrigin::MetadataDocument)
    }
}

impl IssuerRequest<'_> {
    /// Returns what a user could mistake the client for, if the client chose its name itself (RG-05).
    pub(in crate::issuer) async fn looks_like(
        &self,
        client: &Client,
        identity: &Identity,
        redirect: &VerifiedRedirect,
    ) -> Result<Option<String>, AuthorizeRejection> {
        let is_checked = matches!(identity, Identity::Added | Identity::Published(_));
        let name = client.metadata.client_name.as_deref().filter(|_| !is_checked);
        let Some(name) = name else { return Ok(None) };
        let added = self.services.store.operator_clients(&self.tenant).await.or_unavailable(self).await?;
        let known = added.into_iter().filter_map(|c| c.metadata.client_name);
        let known = known.chain([self.policy.config.login.product_name.clone()]).find(|known| resembles(name, known));
        let uri = redirect.uri();
        // A program on the user's computer has no host, but its document has one.
        let host = if uri.is_local() { self.policy.document_host(client) } else { Some(uri.display_host()) };
        Ok(known.or_else(|| borrowed_brand(name, host.as_deref()).map(str::to_owned)))
    }
}

/// Returns the client's name as pages show it.
pub(in crate::issuer) fn display_name(client: &Client) -> String {
    client.metadata.client_name.clone().unwrap_or_else(|| "an application without a name".to_owned())
}
