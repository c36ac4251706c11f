//! `ClientStore`: clients and their registration.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::oauth::{
    Client, ClientId, ClientMetadata, ClientOrigin, ClientSecretHash, DocumentAge, TenantId, Timestamp,
};
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{audit, clients, registrations};
use crate::store::record::REGISTERED_AGAIN_EVERY;
use crate::store::{AuditRow, ClientStore, Insertion, Result, Update, limits};

#[async_trait]
impl ClientStore for EmbeddedStore {
    async fn insert_client(&self, client: Client, cap: u64, audit: AuditRow) -> Result<Insertion> {
        let metadata = limits::client(&client)?;
        self.write(move |db| {
            if clients::find(db, &client.tenant, &client.id)?.is_some() {
                return Ok(Insertion::Exists);
            }
            if let Some(hash) = clients::registration(&client)
                && registrations::find_registered(db, &client.tenant, &hash)?.is_some()
            {
                return Ok(Insertion::Same);
            }
            if client.origin != ClientOrigin::Manual
                && !registrations::has_room(db, &client.tenant, client.origin, cap, audit.at)?
            {
                return Ok(Insertion::Full);
            }
            clients::insert(db, &client, &metadata)?;
            audit::append(db, &audit)?;
            Ok(Insertion::Inserted)
        })
        .await
    }

    async fn find_registered(
        &self,
        tenant: &TenantId,
        metadata: &ClientMetadata,
        now: Timestamp,
    ) -> Result<Option<Client>> {
        let (tenant, Some(hash)) = (tenant.clone(), metadata.registration_hash()) else { return Ok(None) };
        let Some((found, registered_at)) =
            self.read(move |db| registrations::find_registered(db, &tenant, &hash)).await?
        else {
            return Ok(None);
        };
        if now >= registered_at.plus(REGISTERED_AGAIN_EVERY) {
            // It may have been removed meanwhile.
            if !self.write(move |db| registrations::note_again(db, found.no, now)).await? {
                return Ok(None);
            }
        }
        Ok(Some(found.client))
    }

    async fn find_client(&self, tenant: &TenantId, id: &ClientId) -> Result<Option<Client>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |db| Ok(clients::find(db, &tenant, &id)?.map(|found| found.client))).await
    }

    async fn list_clients(&self, tenant: &TenantId) -> Result<Vec<Client>> {
        let tenant = tenant.clone();
        self.read(move |db| clients::list(db, &tenant)).await
    }

    async fn operator_clients(&self, tenant: &TenantId) -> Result<Vec<Client>> {
        let tenant = tenant.clone();
        self.read(move |db| clients::list_of_operators(db, &tenant)).await
    }

    async fn put_document_client(&self, client: Client, void_consents: bool, audit: Option<AuditRow>) -> Result<()> {
        let metadata = limits::client(&client)?;
        self.write(move |db| {
            clients::put_document(db, client, &metadata, void_consents)?;
            audit.map_or(Ok(()), |row| audit::append(db, &row))
        })
        .await
    }

    async fn note_document_age(&self, tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Result<Update> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.write(move |db| clients::note_age(db, &tenant, &id, age)).await
    }

    async fn set_client_disabled(
        &self,
        tenant: &TenantId,
        id: &ClientId,
        disabled: bool,
        audit: AuditRow,
    ) -> Result<Update> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let by = EndedBy::of(&audit);
        let work = move |db: &Connection| clients::set_disabled(db, &tenant, &id, disabled, &audit);
        if disabled { self.write_urgently(by, work).await } else { self.write(work).await }
    }

    async fn delete_client(&self, tenant: &TenantId, id: &ClientId, audit: AuditRow) -> Result<Update> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.write_urgently(EndedBy::of(&audit), move |db| clients::remove(db, &tenant, &id, &audit)).await
    }

    async fn rotate_client_secret(
        &self,
        tenant: &TenantId,
        id: &ClientId,
        new: ClientSecretHash,
        previous_until: Timestamp,
        audit: AuditRow,
    ) -> Result<Update> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.write(move |db| clients::rotate_secret(db, &tenant, &id, new, previous_until, &audit)).await
    }
}
