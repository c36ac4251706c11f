//! What a store does about clients.

use async_trait::async_trait;

use super::{AuditRow, Insertion, Result, Update};
use crate::oauth::{Client, ClientId, ClientMetadata, ClientSecretHash, DocumentAge, TenantId, Timestamp};

/// A secret that takes the place of a client's present one.
#[derive(Debug, Clone, Copy)]
pub struct SecretRotation {
    /// The new one.
    pub new: ClientSecretHash,
    /// Until when the one that it replaces is honoured.
    pub previous_until: Timestamp,
}

impl SecretRotation {
    /// Returns a client's secrets after it: the new one, and until its end the one that it replaces. An earlier one that a
    /// rotation before this has replaced ends now, so that never more than two are honoured.
    pub(super) fn applied_to(self, secrets: &[ClientSecretHash], now: Timestamp) -> Vec<ClientSecretHash> {
        let replaced = secrets.iter().find(|s| s.until.is_none()).filter(|_| now < self.previous_until);
        let replaced = replaced.map(|s| ClientSecretHash { until: Some(self.previous_until), ..*s });
        std::iter::once(self.new).chain(replaced).collect()
    }
}

/// Clients.
#[async_trait]
pub trait ClientStore {
    /// Adds a client unless its id is taken, or it is a registration and another client has registered the same
    /// (`ClientMetadata::registration_hash`). When the tenant has `cap` clients of a kind that needs no operator
    /// (registered, or described by a document), the new one replaces the unused one that registered the longest ago, if
    /// that was not a moment ago. The audit row is written when it was added.
    async fn insert_client(&self, client: Client, cap: u64, audit: AuditRow) -> Result<Insertion>;
    /// Finds the public client that has registered the same metadata, and notes the time, so that the sweep does not
    /// remove it as abandoned; `None` when there is none, or these are the metadata of a client with a secret.
    async fn find_registered(
        &self,
        tenant: &TenantId,
        metadata: &ClientMetadata,
        now: Timestamp,
    ) -> Result<Option<Client>>;
    /// Finds one.
    async fn find_client(&self, tenant: &TenantId, id: &ClientId) -> Result<Option<Client>>;
    /// Lists all of a tenant, oldest first.
    async fn list_clients(&self, tenant: &TenantId) -> Result<Vec<Client>>;
    /// Lists those of a tenant that an operator added, oldest first.
    async fn operator_clients(&self, tenant: &TenantId) -> Result<Vec<Client>>;
    /// Stores a client known by its metadata document, new or changed; of a known one only the metadata change.
    /// `void_consents` drops remembered consent. The audit row is written, if there is one. `StoreError::Conflict` when the
    /// id belongs to another kind of client.
    async fn put_document_client(&self, client: Client, void_consents: bool, audit: Option<AuditRow>) -> Result<()>;
    /// Remembers that a client's document was fetched and says what it said before.
    async fn note_document_age(&self, tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Result<Update>;
    /// Switches a client off or on; off emits `Change::ClientDisabled`, and its tokens are refused while it is off.
    async fn set_client_disabled(&self, id: &ClientId, disabled: bool, audit: AuditRow) -> Result<Update>;
    /// Removes a client with its grants, codes, tokens, consents and interactions; emits `Change::ClientDeleted`.
    async fn delete_client(&self, id: &ClientId, audit: AuditRow) -> Result<Update>;
    /// Puts a new secret in the place of the present one.
    async fn rotate_client_secret(&self, id: &ClientId, by: SecretRotation, audit: AuditRow) -> Result<Update>;
}
