//! The part of a store for clients.

use std::net::IpAddr;

use async_trait::async_trait;

use super::{AuditRow, ClientChange, Insertion, Result, Update};
use crate::oauth::{
    Client, ClientDecision, ClientId, ClientMetadata, ClientSecretHash, DocumentAge, Lifetime, TenantId, Timestamp,
};

/// How long a confidential client that registered itself and was never used keeps its place when the same program
/// registers anew: whoever got its secret may be about to use it.
pub(super) const CLIENT_SUCCEEDED_AFTER: Lifetime = Lifetime::from_secs(3600);

/// A new secret that replaces a client's current one.
#[derive(Debug, Clone, Copy)]
pub struct SecretRotation {
    /// The new secret.
    pub new: ClientSecretHash,
    /// Until when the replaced secret stays valid.
    pub previous_until: Timestamp,
}

impl SecretRotation {
    /// Returns a client's secrets after the rotation: the new one, and until its end the replaced one. A secret
    /// replaced by an earlier rotation ends now, so that never more than two are valid.
    pub(super) fn applied_to(self, secrets: &[ClientSecretHash], now: Timestamp) -> Vec<ClientSecretHash> {
        let replaced = secrets.iter().find(|s| s.until.is_none()).filter(|_| now < self.previous_until);
        let replaced = replaced.map(|s| ClientSecretHash { until: Some(self.previous_until), ..*s });
        std::iter::once(self.new).chain(replaced).collect()
    }
}

/// Adds, finds and changes clients.
#[async_trait]
pub trait ClientStore {
    /// Adds a client, unless its id is taken, or another client has registered the same metadata
    /// (`ClientMetadata::registration_hash`). If the tenant already has `cap` clients that no operator added
    /// (registered or described by a document), the new one replaces the unused one that registered longest ago, unless
    /// that was only minutes ago. The audit row is written if the client was added.
    async fn insert_client(&self, client: Client, cap: u64, audit: AuditRow) -> Result<Insertion>;
    /// Adds a client that registers itself from a site, as `insert_client` does. A confidential one takes the place of
    /// those that registered the same metadata from there (`ClientMetadata::succession_hash`) and were never used
    /// since: they are removed, each with `Change::ClientDeleted` and an audit row, if they are more than an hour old
    /// and no operator has changed them, and unless a sign-in with them is pending.
    async fn register_client(&self, client: Client, site: IpAddr, cap: u64, audit: AuditRow) -> Result<Insertion>;
    /// Finds the public client that has registered the same metadata, and records the time, so that the sweep does not
    /// remove it as abandoned; `None` if there is none, or the metadata are those of a client with a secret.
    async fn find_registered(
        &self,
        tenant: &TenantId,
        metadata: &ClientMetadata,
        now: Timestamp,
    ) -> Result<Option<Client>>;
    /// Finds a client by its id.
    async fn find_client(&self, tenant: &TenantId, id: &ClientId) -> Result<Option<Client>>;
    /// Lists all clients of a tenant, oldest first.
    async fn list_clients(&self, tenant: &TenantId) -> Result<Vec<Client>>;
    /// Lists the clients of a tenant that an operator added, oldest first.
    async fn operator_clients(&self, tenant: &TenantId) -> Result<Vec<Client>>;
    /// Stores a client that is described by a metadata document, new or changed; of an existing one only the metadata
    /// change. `void_consents` drops remembered consent. Writes the audit row, if there is one. `StoreError::Conflict`
    /// if the id belongs to another kind of client.
    async fn put_document_client(&self, client: Client, void_consents: bool, audit: Option<AuditRow>) -> Result<()>;
    /// Records that a client's document was fetched again and has not changed.
    async fn note_document_age(&self, tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Result<Update>;
    /// Changes a client as an operator wants; returns how many grants ended by it (`ClientChange::ends`), each with
    /// `Change::GrantRevoked`; `None`, with no effect, if the client is not the one that the operator saw. If what is
    /// pending was for what the client was before, remembered consent, codes and sign-ins that have begun end too.
    async fn change_client(&self, change: ClientChange, audit: AuditRow) -> Result<Option<u64>>;
    /// Disables or enables a client; disabling emits `Change::ClientDisabled`, and its tokens are refused while it is
    /// disabled.
    async fn set_client_disabled(&self, id: &ClientId, disabled: bool, audit: AuditRow) -> Result<Update>;
    /// Removes a client with its grants, codes, tokens, consents, interactions, and its service account, which has the
    /// client's id; emits `Change::ClientDeleted`.
    async fn delete_client(&self, id: &ClientId, audit: AuditRow) -> Result<Update>;
    /// Keeps what an operator decided about a client; `Update::NotFound`, with no effect, if an operator added it, or
    /// it is no longer what they saw.
    async fn decide_client(&self, id: &ClientId, decision: ClientDecision, audit: AuditRow) -> Result<Update>;
    /// Replaces the current secret by a new one.
    async fn rotate_client_secret(&self, id: &ClientId, by: SecretRotation, audit: AuditRow) -> Result<Update>;
}
