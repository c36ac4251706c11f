//! Clients in memory.

use std::net::IpAddr;

use async_trait::async_trait;

use super::super::{
    AuditRow, Change, ClientChange, ClientStore, Insertion, Result, SecretRotation, StoreError, Update, limits,
};
use super::{MemoryStore, State};
use crate::oauth::{
    Client, ClientDecision, ClientId, ClientMetadata, ClientOrigin, Digest, DocumentAge, Grant, TenantId, Timestamp,
};
use crate::store::{Ephemeral, EphemeralKind};

impl State {
    /// Finds the client with this registration.
    fn registered(&self, tenant: &TenantId, registration: Option<Digest<ClientMetadata>>) -> Option<&Client> {
        let registered = self.clients.iter().filter(|c| c.tenant == *tenant && c.origin == ClientOrigin::Registered);
        registered.filter(|_| registration.is_some()).find(|c| c.metadata.registration_hash() == registration)
    }

    pub(super) fn insert_client(&mut self, client: Client, cap: u64, audit: AuditRow) -> Result<Insertion> {
        limits::client(&client)?;
        if self.client(&client.tenant, &client.id).is_some() {
            return Ok(Insertion::Exists);
        }
        let hash = client.metadata.registration_hash();
        if client.origin == ClientOrigin::Registered && self.registered(&client.tenant, hash).is_some() {
            return Ok(Insertion::Same);
        }
        if client.origin != ClientOrigin::Manual
            && !self.make_room_for_client(&client.tenant, client.origin, cap, audit.at)
        {
            return Ok(Insertion::Full);
        }
        self.clients.push(client);
        self.record(audit);
        Ok(Insertion::Inserted)
    }

    /// Changes a client; returns how many grants ended by it.
    pub(super) fn change_client(&mut self, change: &ClientChange, audit: &AuditRow) -> Result<Option<u64>> {
        limits::client(&change.after)?;
        let (tenant, id) = (audit.tenant.clone(), change.before.id.clone());
        let Some(client) = self.client_mut(&tenant, &id).filter(|client| change.is_of(client)) else {
            return Ok(None);
        };
        *client = change.applied_to(client.clone());
        self.successions.remove(&(tenant.clone(), id.clone()));
        if change.voids_pending() {
            self.consents.retain(|c| c.key.tenant != tenant || c.key.client != id);
            self.codes.retain(|c| c.tenant != tenant || c.client != id || c.used_at.is_some());
            // CA-09: a used assertion stays used.
            let is_used = |e: &Ephemeral| e.key.kind == EphemeralKind::ClientAssertion;
            self.ephemerals.retain(|e| e.key.tenant != tenant || e.client.as_ref() != Some(&id) || is_used(e));
        }
        let ends = |g: &&Grant| g.tenant == tenant && g.client == id && g.revoked_at.is_none() && change.ends(g);
        let ending: Vec<_> = self.grants.iter().filter(ends).map(|grant| grant.id).collect();
        let ended = u64::try_from(ending.len()).unwrap_or(u64::MAX);
        for grant in ending {
            self.end_grant(&tenant, grant, audit.at);
        }
        self.record(ClientChange::row(audit, ended));
        Ok(Some(ended))
    }

    pub(super) fn set_client_disabled(&mut self, id: &ClientId, disabled: bool, audit: AuditRow) -> Result<Update> {
        let Some(client) = self.client_mut(&audit.tenant, id) else { return Ok(Update::NotFound) };
        let is_change = disabled || client.disabled;
        client.disabled = disabled;
        if is_change {
            self.successions.remove(&(audit.tenant.clone(), id.clone()));
        }
        if disabled {
            self.announce(audit.at, Change::ClientDisabled(audit.tenant.clone(), id.clone()));
        }
        self.done(audit)
    }

    pub(super) fn delete_client(&mut self, id: &ClientId, audit: AuditRow) -> Result<Update> {
        if self.client(&audit.tenant, id).is_none() {
            return Ok(Update::NotFound);
        }
        self.remove_client(&audit.tenant, id, audit.at);
        self.done(audit)
    }

    /// Replaces the secret of a client; without a new one, all secrets go.
    pub(super) fn replace_secret(
        &mut self,
        id: &ClientId,
        by: Option<SecretRotation>,
        audit: AuditRow,
    ) -> Result<Update> {
        let Some(client) = self.client_mut(&audit.tenant, id) else { return Ok(Update::NotFound) };
        client.secrets = by.map_or_else(Vec::new, |by| by.applied_to(&client.secrets, audit.at));
        self.successions.remove(&(audit.tenant.clone(), id.clone()));
        self.done(audit)
    }
}

#[async_trait]
impl ClientStore for MemoryStore {
    async fn insert_client(&self, client: Client, cap: u64, audit: AuditRow) -> Result<Insertion> {
        self.write().insert_client(client, cap, audit)
    }

    async fn register_client(&self, client: Client, site: IpAddr, cap: u64, audit: AuditRow) -> Result<Insertion> {
        self.write().register_client(client, site, cap, audit)
    }

    async fn find_registered(
        &self,
        tenant: &TenantId,
        metadata: &ClientMetadata,
        now: Timestamp,
    ) -> Result<Option<Client>> {
        let mut state = self.write();
        let found = state.registered(tenant, metadata.registration_hash()).cloned();
        if let Some(client) = &found {
            state.registered_again.insert((tenant.clone(), client.id.clone()), now);
        }
        Ok(found)
    }

    async fn find_client(&self, tenant: &TenantId, id: &ClientId) -> Result<Option<Client>> {
        Ok(self.read().client(tenant, id).cloned())
    }

    async fn list_clients(&self, tenant: &TenantId) -> Result<Vec<Client>> {
        Ok(self.read().clients.iter().filter(|c| c.tenant == *tenant).cloned().collect())
    }

    async fn operator_clients(&self, tenant: &TenantId) -> Result<Vec<Client>> {
        let theirs = |c: &&Client| c.tenant == *tenant && c.origin == ClientOrigin::Manual;
        Ok(self.read().clients.iter().filter(theirs).cloned().collect())
    }

    async fn put_document_client(&self, client: Client, void_consents: bool, audit: Option<AuditRow>) -> Result<()> {
        limits::client(&client)?;
        let mut state = self.write();
        let known = state.client(&client.tenant, &client.id);
        if known.is_some_and(|k| k.origin != ClientOrigin::MetadataDocument) {
            return Err(StoreError::Conflict("the id belongs to a client without a metadata document".to_owned()));
        }
        if void_consents {
            state.consents.retain(|c| c.key.tenant != client.tenant || c.key.client != client.id);
        }
        match state.client_mut(&client.tenant, &client.id) {
            // An operator's decisions about a client (disabled, bound to a resource, approved) survive a new document.
            Some(known) => (known.metadata, known.document) = (client.metadata, client.document),
            None => state.clients.push(client),
        }
        audit.into_iter().for_each(|row| state.record(row));
        Ok(())
    }

    async fn note_document_age(&self, tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Result<Update> {
        let mut state = self.write();
        let Some(client) = state.client_mut(tenant, id) else { return Ok(Update::NotFound) };
        client.document = Some(age);
        Ok(Update::Done)
    }

    async fn change_client(&self, change: ClientChange, audit: AuditRow) -> Result<Option<u64>> {
        self.write().change_client(&change, &audit)
    }

    async fn set_client_disabled(&self, id: &ClientId, disabled: bool, audit: AuditRow) -> Result<Update> {
        self.write().set_client_disabled(id, disabled, audit)
    }

    async fn delete_client(&self, id: &ClientId, audit: AuditRow) -> Result<Update> {
        self.write().delete_client(id, audit)
    }

    async fn decide_client(&self, id: &ClientId, decision: ClientDecision, audit: AuditRow) -> Result<Update> {
        let mut state = self.write();
        let found = state.client_mut(&audit.tenant, id).filter(|client| client.is_decided_by(&decision));
        let Some(client) = found else { return Ok(Update::NotFound) };
        client.decision = Some(Box::new(decision));
        state.done(audit)
    }

    async fn rotate_client_secret(&self, id: &ClientId, by: SecretRotation, audit: AuditRow) -> Result<Update> {
        self.write().replace_secret(id, Some(by), audit)
    }
}
