//! Clients described by a document at their id's URL (Client ID Metadata Documents): when one is fetched, how long it
//! counts as fresh, and what happens when it changes or cannot be fetched.

use super::documents::DocumentFault;
use super::lookup_failure::{LookupFailure, NotAdmitted};
use super::register::left_out_reason;
use super::shipped;
use crate::config::{MetadataDocumentConfig, MetadataDocumentMode, WhoRegisters};
use crate::issuer::IssuerRequest;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::policy::Policy;
use crate::oauth::{
    Client, ClientId, ClientLifetimes, ClientMetadata, ClientOrigin, DocumentAge, DocumentSource, Lifetime,
    MetadataDocumentUrl, ReadMetadata, Rule, Timestamp,
};
use crate::outbound::{FetchError, Fetched};
use crate::store::{AuditEvent, AuditRow, Insertion};

/// How long a document is not fetched again after a failure: this limits the load and is not a cached answer (CI-12).
const BACK_OFF: Lifetime = Lifetime::from_secs(10);

/// Seconds for which a document without cache headers is fresh.
const ORDINARY_FRESHNESS: u64 = 3600;

/// How long the last good copy replaces a document that cannot be fetched, for a client in use. CIMD leaves this open;
/// a week is longer than most outages and shorter than a lost domain goes unnoticed.
const OUTAGE: Lifetime = Lifetime::from_secs(7 * 24 * 3600);

/// The configuration key of the limit on fetches.
const FETCHES: &str = "rates.fetches_per_host_per_minute";

impl IssuerRequest<'_> {
    /// Finds the client that the document at `id` describes, fetching it unless the `stored` copy is fresh.
    pub(in crate::issuer) async fn described_client(
        &self,
        id: &ClientId,
        stored: Option<Client>,
    ) -> Result<Client, LookupFailure> {
        let policy = &self.policy;
        let url = document_url(id, policy).map_err(LookupFailure::NotAdmitted)?;
        may_become_client(&url, stored.is_some(), policy).map_err(LookupFailure::NotAdmitted)?;
        let now = self.now();
        if let Some(client) = stored.as_ref().filter(|c| is_fresh(c, now)) {
            return Ok(client.clone());
        }
        // The caller who begins a fetch is charged for it before it takes any memory; joining a fetch in progress is
        // free.
        let mut leave = None;
        let entry = match self.documents.find(id) {
            Some(entry) => entry,
            None => {
                match self.throttle.begin_fetch(url.host(), self.caller) {
                    Ok(taken) => leave = Some(taken),
                    Err(wait) => return old_copy(stored, now).ok_or(LookupFailure::Throttled(wait, None)),
                }
                match self.documents.add(id, now) {
                    Some(entry) => entry,
                    None => return old_copy(stored, now).ok_or(LookupFailure::Throttled(BACK_OFF, None)),
                }
            }
        };
        let mut failed = entry.lock().await;
        self.advance_now();
        // Read it again under the lock: whoever held the lock before may just have stored the document.
        let stored = self.services.store.find_client(&self.tenant, id).await.or_unavailable(self).await?;
        match stored {
            Some(client) if client.disabled => return Err(LookupFailure::NotAClient(Rule::ClientDisabled, None)),
            Some(client) if is_fresh(&client, now) => return Ok(client),
            Some(_) | None => {}
        }
        if let Some((_, fault)) = failed.as_ref().filter(|(until, _)| now < *until) {
            return stand_in(stored, fault, policy.is_verified(id), now);
        }
        let _leave = match leave.map_or_else(|| self.throttle.begin_fetch(url.host(), self.caller), Ok) {
            Ok(leave) => leave,
            Err(wait) => return old_copy(stored, now).ok_or(LookupFailure::Throttled(wait, None)),
        };
        let fetched = self.fetch_document(&url, stored.is_some()).await;
        self.advance_now();
        let fault = match fetched {
            Ok((read, believed)) => {
                *failed = None;
                let fresh_until = now.plus(believed);
                let age = DocumentAge { fetched_at: now, fresh_until, source: DocumentSource::Fetched };
                return Box::pin(self.keep_document(id, read, age, stored)).await;
            }
            Err(DocumentFault::Fetch(FetchError::Busy)) if stored.is_none() => {
                return Err(LookupFailure::Throttled(BACK_OFF, Some(FETCHES)));
            }
            Err(fault) => fault,
        };
        tracing::info!(client = url.as_str(), %fault, "a metadata document was refused");
        let answer = if policy.is_verified(id) && fault.lets_copy_stand_in() {
            self.copy(&url, id, stored, &fault).await
        } else {
            stand_in(stored, &fault, false, now)
        };
        *failed = Some((now.plus(BACK_OFF), fault));
        answer
    }

    /// Answers with a copy of a trusted publisher's document: the stored one, or else the one shipped with the program.
    /// It expires as any document does, and then the publisher is asked again.
    async fn copy(
        &self,
        url: &MetadataDocumentUrl,
        id: &ClientId,
        stored: Option<Client>,
        fault: &DocumentFault,
    ) -> Result<Client, LookupFailure> {
        let fresh_until = self.now().plus(self.policy.config.metadata_documents.min_cache);
        let client = if let Some(client) = stored {
            let age = client.document.map(|age| DocumentAge { fresh_until, ..age });
            if let Some(age) = age {
                self.services.store.note_document_age(&self.tenant, id, age).await.or_unavailable(self).await?;
            }
            Client { document: age, ..client }
        } else {
            let Some(shipped) = shipped::copy_of(url.as_str()) else {
                tracing::warn!(
                    client = url.as_str(), %fault, said = fault.said(),
                    "a publisher's metadata document cannot be fetched, and there is no copy: import one with \
                     mcpgate client document import"
                );
                return Err(LookupFailure::TryLater(fault.to_string()));
            };
            let age = DocumentAge { fetched_at: shipped.seen, fresh_until, source: DocumentSource::Shipped };
            let read =
                ClientMetadata::from_metadata_document(shipped.content.as_bytes(), url, &self.policy.registration());
            let read = read.map_err(|error| {
                let detail = format!("{}: {}", error.rule().label(), error.description());
                LookupFailure::NotAClient(Rule::DocumentRefused, Some(detail))
            })?;
            Box::pin(self.keep_document(id, read, age, None)).await?
        };
        let copied = client.document.map(|age| age.fetched_at.day()).unwrap_or_default();
        tracing::warn!(
            client = url.as_str(), %fault, said = fault.said(), copy_of = copied,
            "a publisher's metadata document cannot be fetched, and a copy is used; if sign-ins fail, import a newer \
             one with mcpgate client document import"
        );
        Ok(client)
    }

    /// Fetches and parses a document; returns its content and how long it is fresh.
    async fn fetch_document(
        &self,
        url: &MetadataDocumentUrl,
        is_known: bool,
    ) -> Result<(ReadMetadata, Lifetime), DocumentFault> {
        let limits = &self.policy.config.metadata_documents;
        let fetched = if is_known {
            self.fetch.refetch_json(url.as_str(), limits.max_bytes).await?
        } else {
            self.fetch.fetch_json(url.as_str(), limits.max_bytes).await?
        };
        let read = ClientMetadata::from_metadata_document(&fetched.body, url, &self.policy.registration());
        let read =
            read.map_err(|error| DocumentFault::Content(format!("{}: {}", error.rule().label(), error.description())))?;
        Ok((read, believed_for(&fetched, limits)))
    }

    /// Stores the content of a document and when it was fetched.
    async fn keep_document(
        &self,
        id: &ClientId,
        read: ReadMetadata,
        age: DocumentAge,
        stored: Option<Client>,
    ) -> Result<Client, LookupFailure> {
        let ReadMetadata { metadata, left_out } = read;
        let Some(old) = stored else {
            // A client seen for the first time adds a row, so it counts as a registration.
            let (rates, described) = (&self.policy.config.rates, ClientOrigin::MetadataDocument);
            let held = |wait| LookupFailure::Throttled(wait, Some("rates.registrations_per_hour"));
            self.throttle.charge_registration(described, self.caller, rates).map_err(held)?;
            let client = Client {
                tenant: self.tenant.clone(),
                id: id.clone(),
                origin: described,
                metadata,
                secrets: Vec::new(),
                resource: None,
                lifetimes: ClientLifetimes::default(),
                disabled: false,
                created_at: self.now(),
                last_token_at: None,
                last_used_at: None,
                document: Some(age),
                decision: None,
            };
            let copied = (age.source == DocumentSource::Shipped).then(|| "shipped_copy".to_owned());
            let row = AuditRow {
                client: Some(id.clone()),
                reason: joined(copied, left_out_reason(&left_out)),
                ..self.audit(AuditEvent::ClientAdded)
            };
            self.expect_room()?;
            let cap = self.policy.config.registration.max_clients;
            let inserted =
                self.services.store.insert_client(client.clone(), cap, row).await.or_unavailable(self).await?;
            return match inserted {
                // Another process fetched and stored the same document first.
                Insertion::Inserted | Insertion::Exists | Insertion::Same => Ok(client),
                Insertion::Full => Err(LookupFailure::Full(self.client_cap_reached(Some(id)).await)),
            };
        };
        if old.metadata == metadata {
            self.services.store.note_document_age(&self.tenant, id, age).await.or_unavailable(self).await?;
            return Ok(Client { document: Some(age), ..old });
        }
        // CI-14: keys of which none is left are somebody else's, for all that is known.
        if let (Some(before), Some(after)) = (&old.metadata.keys, &metadata.keys)
            && before.are_replaced_by(after)
        {
            self.end_grants_of_old_keys(&old).await?;
        }
        // CI-14: remembered consent applies to what the document said before.
        let void_consents = old.metadata.security_relevant_change(&metadata);
        let client = Client { metadata, document: Some(age), ..old };
        let row = AuditRow {
            client: Some(id.clone()),
            reason: joined(void_consents.then(|| "consents_voided".to_owned()), left_out_reason(&left_out)),
            ..self.audit(AuditEvent::ClientDocumentChanged)
        };
        let row = self.admit_row(row);
        self.services.store.put_document_client(client.clone(), void_consents, row).await.or_unavailable(self).await?;
        Ok(client)
    }
}

/// Parses a client id as the URL of a document that the operator allows. No other host name is ever resolved.
pub(in crate::issuer) fn document_url(id: &ClientId, policy: &Policy) -> Result<MetadataDocumentUrl, NotAdmitted> {
    // Single-label hosts and the like belong to the operator's own network, which they enable by allowing its
    // addresses.
    let internal = !policy.config.outbound.allow_addresses.is_empty();
    let url = MetadataDocumentUrl::parse(id.as_str(), internal).ok_or_else(|| {
        let would_be = MetadataDocumentUrl::parse(id.as_str(), true);
        if would_be.is_some() { NotAdmitted::Internal } else { NotAdmitted::NoUrl }
    });
    // A listed host means port 443 of it: whoever can bind another port need not be the owner of the host.
    match &policy.config.metadata_documents.mode {
        MetadataDocumentMode::Off => Err(NotAdmitted::Off),
        MetadataDocumentMode::Allowlist(list) => {
            let url = url?;
            let is_listed = list.iter().any(|a| a == url.as_str() || a == url.authority());
            if is_listed { Ok(url) } else { Err(NotAdmitted::NotListed) }
        }
        MetadataDocumentMode::Open => url,
    }
}

/// Checks a document against `registration.mode`, which is about sign-ins: sessions of a client go on.
fn may_become_client(url: &MetadataDocumentUrl, is_known: bool, policy: &Policy) -> Result<(), NotAdmitted> {
    match &policy.config.registration.who {
        WhoRegisters::Nobody if !is_known => Err(NotAdmitted::Closed),
        WhoRegisters::Listed(hosts) if !hosts.contains(url.authority()) => Err(NotAdmitted::HostNotListed),
        WhoRegisters::Nobody | WhoRegisters::Listed(_) | WhoRegisters::Approved | WhoRegisters::Anybody => Ok(()),
    }
}

/// Returns how long a document is fresh: as its headers say, within the configured bounds (CI-13).
fn believed_for(fetched: &Fetched, limits: &MetadataDocumentConfig) -> Lifetime {
    let said = if fetched.no_store { 0 } else { fetched.max_age.unwrap_or(ORDINARY_FRESHNESS) };
    // The minimum is applied last: it bounds the load on the other server whatever maximum the operator configures.
    Lifetime::from_secs(said).min(limits.max_cache).max(limits.min_cache)
}

/// Joins two optional parts of an audit row's reason.
pub(in crate::issuer) fn joined(first: Option<String>, second: Option<String>) -> Option<String> {
    let all: Vec<_> = first.into_iter().chain(second).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn is_fresh(client: &Client, now: Timestamp) -> bool {
    client.document.is_some_and(|age| now < age.fresh_until)
}

/// Returns the last good copy if it is recent enough and the client has been used. Nobody depends on an unused client,
/// and an old copy would only help an attacker who keeps the new one from being fetched.
fn old_copy(stored: Option<Client>, now: Timestamp) -> Option<Client> {
    stored
        .filter(|c| c.last_token_at.is_some())
        .filter(|c| c.document.is_none_or(|age| age.source == DocumentSource::Fetched))
        .filter(|c| now.since(c.document.map_or(c.created_at, |age| age.fetched_at)) <= OUTAGE)
}

/// Answers while a document cannot be fetched: with the last good copy, if the fault may be temporary.
fn stand_in(
    stored: Option<Client>,
    fault: &DocumentFault,
    is_verified: bool,
    now: Timestamp,
) -> Result<Client, LookupFailure> {
    if let Some(client) = stored.as_ref().filter(|_| is_verified && fault.lets_copy_stand_in()) {
        return Ok(client.clone());
    }
    // CI-18: a name that does not resolve and one that resolves to an internal address get the same answer until
    // somebody has granted the client anything. Otherwise a stranger could find out which internal names exist, even by
    // pointing the name of their own document there after it was fetched once.
    let is_used = stored.as_ref().is_some_and(|client| client.last_token_at.is_some());
    let is_unknown_name = !is_used && matches!(fault, DocumentFault::Fetch(FetchError::Dns));
    if is_unknown_name || !fault.is_transient() {
        return Err(LookupFailure::NotAClient(Rule::DocumentRefused, Some(fault.to_string())));
    }
    let unreachable = || LookupFailure::TryLater(fault.to_string());
    let client = old_copy(stored, now).ok_or_else(unreachable)?;
    tracing::warn!(
        client = client.id.as_str(),
        "a metadata document cannot be fetched, and its last valid copy is used"
    );
    Ok(client)
}
