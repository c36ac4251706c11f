//! `ClientStore`: clients and their registration.

use std::net::IpAddr;

use rusqlite::Connection;

use crate::oauth::{Client, ClientDecision, ClientId, ClientMetadata, DocumentAge, TenantId, Timestamp};
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{audit, client_changes, clients, registrations};
use crate::store::record::REGISTERED_AGAIN_EVERY;
use crate::store::{AuditRow, ClientChange, Insertion, Result, SecretRotation, Update, limits};

implement! { ClientStore:
    read find_client(tenant: &TenantId, id: &ClientId) -> Option<Client>
        = |db| Ok(clients::find(db, &tenant, &id)?.map(|found| found.client));
    read list_clients(tenant: &TenantId) -> Vec<Client> = |db| clients::list(db, &tenant);
    read operator_clients(tenant: &TenantId) -> Vec<Client> = |db| clients::list_of_operators(db, &tenant);
    write note_document_age(tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Update
        = |db| clients::note_age(db, &tenant, &id, age);
    write_urgently(audit) delete_client(id: &ClientId, audit: AuditRow) -> Update
        = |db| clients::remove(db, &id, &audit);
    write decide_client(id: &ClientId, decision: ClientDecision, audit: AuditRow) -> Update
        = |db| clients::decide(db, &id, decision, &audit);
    write rotate_client_secret(id: &ClientId, by: SecretRotation, audit: AuditRow) -> Update
        = |db| clients::replace_secret(db, &id, Some(by), &audit);
    + async fn insert_client(&self, client: Client, cap: u64, audit: AuditRow) -> Result<Insertion> {
        let metadata = limits::client(&client)?;
        self.write(move |db| registrations::insert(db, &client, &metadata, cap, &audit)).await
    }
    + async fn register_client(&self, client: Client, site: IpAddr, cap: u64, audit: AuditRow) -> Result<Insertion> {
        let metadata = limits::client(&client)?;
        self.write(move |db| registrations::register(db, &client, (&metadata, site), cap, &audit)).await
    }
    + async fn find_registered(
        &self,
        tenant: &TenantId,
        metadata: &ClientMetadata,
        now: Timestamp,
    ) -> Result<Option<Client>> {
        let (tenant, Some(hash)) = (tenant.clone(), metadata.registration_hash()) else { return Ok(None) };
        let found = self.read(move |db| registrations::find_registered(db, &tenant, &hash)).await?;
        let Some((found, registered_at)) = found else { return Ok(None) };
        let is_due = now >= registered_at.plus(REGISTERED_AGAIN_EVERY);
        // The client may have been removed meanwhile.
        if is_due && !self.write(move |db| registrations::note_again(db, found.no, now)).await? {
            return Ok(None);
        }
        Ok(Some(found.client))
    }
    + async fn put_document_client(&self, client: Client, void_consents: bool, audit: Option<AuditRow>) -> Result<()> {
        let metadata = limits::client(&client)?;
        self.write(move |db| {
            clients::put_document(db, client, &metadata, void_consents)?;
            audit.map_or(Ok(()), |row| audit::append(db, &row))
        })
        .await
    }
    + async fn change_client(&self, change: ClientChange, audit: AuditRow) -> Result<Option<u64>> {
        let metadata = limits::client(&change.after)?;
        self.write(move |db| client_changes::change(db, &change, &metadata, &audit)).await
    }
    + async fn set_client_disabled(&self, id: &ClientId, disabled: bool, audit: AuditRow) -> Result<Update> {
        let (id, by) = (id.clone(), EndedBy::of(&audit));
        let work = move |db: &Connection| clients::set_disabled(db, &id, disabled, &audit);
        if disabled { self.write_urgently(by, work).await } else { self.write(work).await }
    }
}
