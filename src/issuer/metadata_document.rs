//! Clients described by a document at their id's URL (Client ID Metadata Documents): when one is fetched, how long it is
//! believed, and what happens when it changes or cannot be had.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::audit::OrUnavailable;
use super::client_lookup::LookupFailure;
use super::policy::Policy;
use super::{Caller, Issuer};
use crate::config::{MetadataDocumentConfig, MetadataDocumentMode};
use crate::oauth::{Client, ClientId, ClientMetadata, ClientOrigin, Lifetime, MetadataDocumentUrl, Timestamp};
use crate::outbound::{FetchError, Fetched};
use crate::store::{AuditEvent, AuditRow};

/// How long nothing is fetched after a failure: a limit on the load, not a cached answer (CI-12).
const BACK_OFF: Lifetime = Lifetime::from_secs(10);

/// How long a document without cache headers is believed.
const ORDINARY_FRESHNESS: u64 = 3600;

/// How long the last good copy stands in for a document that cannot be had (CIMD leaves this open; a week outlasts an
/// outage, and ends before a lost domain is forgotten).
const OUTAGE: Lifetime = Lifetime::from_secs(7 * 24 * 3600);

/// Documents whose freshness is remembered; beyond that some are fetched again before their time.
const MAX_REMEMBERED: usize = 10_000;

/// What is remembered of one document between fetches.
#[derive(Debug, Default)]
struct Freshness {
    fetched_at: Option<Timestamp>,
    fresh_until: Timestamp,
    failed: Option<(Timestamp, bool)>,
}

/// The freshness of documents; their content is in the store. The lock of each entry is held while its document is
/// fetched, so that all who wait share one fetch.
#[derive(Debug, Default)]
pub(super) struct Documents(Mutex<HashMap<ClientId, Arc<tokio::sync::Mutex<Freshness>>>>);

impl Documents {
    fn entry(&self, id: &ClientId) -> Arc<tokio::sync::Mutex<Freshness>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_REMEMBERED && !entries.contains_key(id) {
            // An entry in use must stay, or a second fetch of the same document could begin.
            entries.retain(|_, entry| Arc::strong_count(entry) > 1);
        }
        Arc::clone(entries.entry(id.clone()).or_default())
    }
}

impl Issuer {
    /// Finds the client that the document at `id` describes, fetching it unless a fresh copy is at hand.
    pub(super) async fn described_client(&self, id: &ClientId, caller: &Caller) -> Result<Client, LookupFailure> {
        let policy = self.policy();
        let url = document_url(id, &policy).ok_or(LookupFailure::NotAClient("metadata_document_not_allowed"))?;
        let entry = self.documents.entry(id);
        let mut freshness = entry.lock().await;
        // Read behind the lock: whoever held it may just have stored the document.
        let stored = self.store.find_client(&self.tenant, id).await.or_unavailable(caller)?;
        let now = self.clock.now();
        match stored {
            Some(client) if client.disabled => return Err(LookupFailure::NotAClient("client_disabled")),
            Some(client) if now < freshness.fresh_until => return Ok(client),
            Some(_) | None => {}
        }
        if let Some((_, transient)) = freshness.failed.filter(|(until, _)| now < *until) {
            return stand_in(stored, &freshness, transient, now);
        }
        let limits = &policy.config.metadata_documents;
        let refused = match self.fetch.fetch_json(url.as_str(), limits.max_bytes).await {
            Ok(fetched) => match ClientMetadata::from_metadata_document(&fetched.body, &url, &policy.registration()) {
                Ok(metadata) => {
                    let client = self.keep_document(id, metadata, stored, &policy, caller).await?;
                    let fresh_until = now.plus(believed_for(&fetched, limits));
                    *freshness = Freshness { fetched_at: Some(now), fresh_until, failed: None };
                    return Ok(client);
                }
                Err(error) => {
                    tracing::info!(client = id.as_str(), fault = error.description(), "a metadata document is refused");
                    false
                }
            },
            Err(FetchError::Busy) if stored.is_none() => return Err(LookupFailure::Throttled(BACK_OFF)),
            Err(error) => {
                tracing::info!(client = id.as_str(), %error, "a metadata document could not be fetched");
                error.is_transient()
            }
        };
        freshness.failed = Some((now.plus(BACK_OFF), refused));
        stand_in(stored, &freshness, refused, now)
    }

    /// Stores what a document says, when that is new.
    async fn keep_document(
        &self,
        id: &ClientId,
        metadata: ClientMetadata,
        stored: Option<Client>,
        policy: &Policy,
        caller: &Caller,
    ) -> Result<Client, LookupFailure> {
        let Some(old) = stored else {
            // A first sight writes a row, so it counts like a registration.
            self.throttle.registration(caller, &policy.config.rates).map_err(LookupFailure::Throttled)?;
            let client = Client {
                tenant: self.tenant.clone(),
                id: id.clone(),
                origin: ClientOrigin::MetadataDocument,
                metadata,
                secrets: Vec::new(),
                resource: None,
                disabled: false,
                created_at: self.clock.now(),
                last_used_at: None,
            };
            let row = AuditRow { client: Some(id.clone()), ..self.audit(AuditEvent::ClientAdded, caller) };
            self.store.put_document_client(client.clone(), false, row).await.or_unavailable(caller)?;
            return Ok(client);
        };
        if old.metadata == metadata {
            return Ok(old);
        }
        // CI-14: remembered consent was given to what the document said before.
        let void_consents = old.metadata.security_relevant_change(&metadata);
        let client = Client { metadata, ..old };
        let row = AuditRow {
            client: Some(id.clone()),
            reason: void_consents.then(|| "consents_voided".to_owned()),
            ..self.audit(AuditEvent::ClientDocumentChanged, caller)
        };
        self.store.put_document_client(client.clone(), void_consents, row).await.or_unavailable(caller)?;
        Ok(client)
    }
}

/// Reads a client id as a document's URL that the operator lets us fetch. Nothing is resolved for any other.
pub(super) fn document_url(id: &ClientId, policy: &Policy) -> Option<MetadataDocumentUrl> {
    // Single-label hosts and the like are an operator's own network: he says so by allowing its addresses.
    let internal = !policy.config.outbound.allow_addresses.is_empty();
    let url = MetadataDocumentUrl::parse(id.as_str(), internal)?;
    // A host stands for its port 443: whoever may bind another port of it need not be its owner.
    let allowed = match &policy.config.metadata_documents.mode {
        MetadataDocumentMode::Off => false,
        MetadataDocumentMode::Allowlist(list) => list.iter().any(|a| a == url.as_str() || a == url.authority()),
        MetadataDocumentMode::Open => true,
    };
    allowed.then_some(url)
}

/// Returns how long a document is believed: what its headers say, within our bounds (CI-13).
fn believed_for(fetched: &Fetched, limits: &MetadataDocumentConfig) -> Lifetime {
    let said = if fetched.no_store { 0 } else { fetched.max_age.unwrap_or(ORDINARY_FRESHNESS) };
    // The floor comes last: it keeps the load on a third party bounded whatever the operator sets as ceiling.
    Lifetime::from_secs(said).min(limits.max_cache).max(limits.min_cache)
}

/// Answers while a document cannot be had: by the last good copy, if it is young enough and the fault may pass.
fn stand_in(
    stored: Option<Client>,
    freshness: &Freshness,
    transient: bool,
    now: Timestamp,
) -> Result<Client, LookupFailure> {
    if !transient {
        return Err(LookupFailure::NotAClient("metadata_document_refused"));
    }
    let young = |c: &Client| now.since(freshness.fetched_at.unwrap_or(c.created_at)) <= OUTAGE;
    let client = stored.filter(young).ok_or(LookupFailure::TryLater("metadata_document_unreachable"))?;
    tracing::warn!(client = client.id.as_str(), "a metadata document is unreachable: its last good copy stands in");
    Ok(client)
}
