//! Copies of metadata documents that an operator imports.

use std::sync::Arc;

use super::{Administration, AdministrationError};
use crate::issuer::Registered;
use crate::issuer::client::metadata_document::{document_url, joined};
use crate::issuer::client::register::left_out_reason;
use crate::issuer::policy::Policy;
use crate::oauth::{
    Client, ClientId, ClientLifetimes, ClientMetadata, ClientOrigin, DocumentAge, DocumentSource, MetadataDocumentUrl,
    ReadMetadata,
};
use crate::store::{AuditEvent, AuditRow};

impl Administration {
    /// Stores a copy of a trusted publisher's metadata document. It is used while the document itself cannot be
    /// fetched, and replaced when it can. A fetched document must name the URL that it was fetched from, so that no
    /// publisher can write the document of another.
    ///
    /// # Errors
    /// `NoDocument`, `Elsewhere`, `NotVerified`, `NotAdmitted`, `BadClient`, `Store`.
    pub async fn import_document(
        &self,
        document: &[u8],
        fetched_from: Option<&str>,
    ) -> Result<Registered, AdministrationError> {
        let policy = Policy::new(Arc::clone(&self.config), self.tenant.clone());
        let internal = !self.config.outbound.allow_addresses.is_empty();
        let named = MetadataDocumentUrl::named_in(document, internal).ok_or(AdministrationError::NoDocument)?;
        if let Some(url) = fetched_from.filter(|url| *url != named.as_str()) {
            return Err(AdministrationError::Elsewhere { at: url.to_owned(), of: named.as_str().to_owned() });
        }
        let id = ClientId::parse(named.as_str()).ok_or(AdministrationError::NoDocument)?;
        if !policy.is_verified(&id) {
            return Err(AdministrationError::NotVerified(named.as_str().to_owned()));
        }
        let not_admitted = || AdministrationError::NotAdmitted(named.as_str().to_owned());
        let url = document_url(&id, &policy).map_err(|_| not_admitted())?;
        let read = ClientMetadata::from_metadata_document(document, &url, &policy.registration());
        let ReadMetadata { metadata, left_out } = read.map_err(AdministrationError::BadClient)?;
        let now = self.services.clock.now();
        let known = self.services.store.find_client(&self.tenant, &id).await?;
        // CI-14: remembered consent applies to what the document said before.
        let void_consents = known.as_ref().is_some_and(|old| old.metadata.security_relevant_change(&metadata));
        // Not fresh: the next sign-in tries the publisher first.
        let age = Some(DocumentAge { fetched_at: now, fresh_until: now, source: DocumentSource::Imported });
        let client = match known {
            Some(old) => Client { metadata, document: age, ..old },
            None => Client {
                tenant: self.tenant.clone(),
                id: id.clone(),
                origin: ClientOrigin::MetadataDocument,
                metadata,
                secrets: Vec::new(),
                resource: None,
                lifetimes: ClientLifetimes::default(),
                disabled: false,
                created_at: now,
                last_token_at: None,
                last_used_at: None,
                document: age,
                decision: None,
            },
        };
        let voided = void_consents.then(|| "consents_voided".to_owned());
        let row = AuditRow {
            reason: joined(voided, left_out_reason(&left_out)),
            ..self.audit_about(AuditEvent::ClientDocumentImported, &id)
        };
        self.services.store.put_document_client(client.clone(), void_consents, Some(row)).await?;
        Ok(Registered { client, secret: None, left_out })
    }
}
