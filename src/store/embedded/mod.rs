//! SQLite: one writer thread with group commit, readers beside it.

use std::path::Path;

use async_trait::async_trait;

use super::*;

/// The embedded store.
#[derive(Debug)]
pub struct EmbeddedStore {}

impl EmbeddedStore {
    /// Opens or makes the database file (mode 0600).
    ///
    /// # Errors
    /// `StoreError`.
    pub fn open(_file: &Path) -> Result<Self, StoreError> {
        todo!()
    }
}

#[async_trait]
impl ClientStore for EmbeddedStore {
    async fn insert_client(&self, _client: Client, _cap: u64, _audit: AuditRow) -> Result<Insertion, StoreError> {
        todo!()
    }
    async fn find_client(&self, _tenant: &TenantId, _id: &ClientId) -> Result<Option<Client>, StoreError> {
        todo!()
    }
    async fn list_clients(&self, _tenant: &TenantId) -> Result<Vec<Client>, StoreError> {
        todo!()
    }
    async fn put_document_client(
        &self,
        _client: Client,
        _void_consents: bool,
        _audit: AuditRow,
    ) -> Result<(), StoreError> {
        todo!()
    }
    async fn set_client_disabled(
        &self,
        _tenant: &TenantId,
        _id: &ClientId,
        _disabled: bool,
        _audit: AuditRow,
    ) -> Result<Update, StoreError> {
        todo!()
    }
    async fn delete_client(&self, _tenant: &TenantId, _id: &ClientId, _audit: AuditRow) -> Result<Update, StoreError> {
        todo!()
    }
    async fn rotate_client_secret(
        &self,
        _tenant: &TenantId,
        _id: &ClientId,
        _new: ClientSecretHash,
        _previous_until: Timestamp,
        _audit: AuditRow,
    ) -> Result<Update, StoreError> {
        todo!()
    }
}

#[async_trait]
impl GrantStore for EmbeddedStore {
    async fn insert_code(
        &self,
        _code: CodeRecord,
        _interaction: TokenHash,
        _remember: Option<Consent>,
        _audit: AuditRow,
    ) -> Result<Update, StoreError> {
        todo!()
    }
    async fn find_code(&self, _tenant: &TenantId, _hash: &TokenHash) -> Result<Option<CodeRecord>, StoreError> {
        todo!()
    }
    async fn redeem_code(&self, _request: RedeemCode) -> Result<Redemption, StoreError> {
        todo!()
    }
    async fn find_grant(&self, _tenant: &TenantId, _id: GrantId) -> Result<Option<Grant>, StoreError> {
        todo!()
    }
    async fn list_grants(
        &self,
        _tenant: &TenantId,
        _subject: Option<&Subject>,
        _client: Option<&ClientId>,
        _now: Timestamp,
    ) -> Result<Vec<Grant>, StoreError> {
        todo!()
    }
    async fn rotate_refresh_token(&self, _request: RotateRefresh) -> Result<Rotation, StoreError> {
        todo!()
    }
    async fn insert_operator_token(
        &self,
        _grant: Grant,
        _token: AccessTokenRecord,
        _audit: AuditRow,
    ) -> Result<(), StoreError> {
        todo!()
    }
    async fn find_access_token(
        &self,
        _hash: &TokenHash,
        _now: Timestamp,
    ) -> Result<Option<AccessTokenRecord>, StoreError> {
        todo!()
    }
    async fn live_access_tokens(
        &self,
        _after: u64,
        _limit: u32,
        _now: Timestamp,
    ) -> Result<(Vec<AccessTokenRecord>, Option<u64>), StoreError> {
        todo!()
    }
    async fn revoke_grant(&self, _tenant: &TenantId, _id: GrantId, _audit: AuditRow) -> Result<Update, StoreError> {
        todo!()
    }
    async fn revoke_access_token(
        &self,
        _tenant: &TenantId,
        _hash: &TokenHash,
        _audit: AuditRow,
    ) -> Result<Update, StoreError> {
        todo!()
    }
    async fn revoke_grants(
        &self,
        _tenant: &TenantId,
        _subject: Option<&Subject>,
        _client: Option<&ClientId>,
        _audit: AuditRow,
    ) -> Result<u64, StoreError> {
        todo!()
    }
}

#[async_trait]
impl SessionStore for EmbeddedStore {
    async fn insert_session(
        &self,
        _session: LoginSession,
        _replaces: Option<TokenHash>,
        _audit: AuditRow,
    ) -> Result<(), StoreError> {
        todo!()
    }
    async fn touch_session(&self, _hash: &TokenHash, _now: Timestamp) -> Result<Option<LoginSession>, StoreError> {
        todo!()
    }
    async fn delete_session(&self, _hash: &TokenHash, _audit: AuditRow) -> Result<Update, StoreError> {
        todo!()
    }
    async fn begin_interaction(&self, _interaction: Interaction) -> Result<(), StoreError> {
        todo!()
    }
    async fn find_interaction(&self, _id: &TokenHash, _now: Timestamp) -> Result<Option<Interaction>, StoreError> {
        todo!()
    }
    async fn advance_interaction(
        &self,
        _id: &TokenHash,
        _expected: InteractionStep,
        _next: InteractionStep,
        _session: Option<TokenHash>,
        _now: Timestamp,
    ) -> Result<Update, StoreError> {
        todo!()
    }
    async fn find_consent(
        &self,
        _tenant: &TenantId,
        _subject: &Subject,
        _client: &ClientId,
        _resource: &crate::oauth::ResourceIndicator,
    ) -> Result<Option<Consent>, StoreError> {
        todo!()
    }
}

#[async_trait]
impl AccountStore for EmbeddedStore {
    async fn insert_account(&self, _account: Account, _audit: AuditRow) -> Result<Insertion, StoreError> {
        todo!()
    }
    async fn find_account_by_name(&self, _tenant: &TenantId, _name: &str) -> Result<Option<Account>, StoreError> {
        todo!()
    }
    async fn find_account(&self, _tenant: &TenantId, _subject: &Subject) -> Result<Option<Account>, StoreError> {
        todo!()
    }
    async fn list_accounts(&self, _tenant: &TenantId) -> Result<Vec<Account>, StoreError> {
        todo!()
    }
    async fn set_account_disabled(
        &self,
        _tenant: &TenantId,
        _subject: &Subject,
        _disabled: bool,
        _audit: AuditRow,
    ) -> Result<Update, StoreError> {
        todo!()
    }
    async fn set_password(
        &self,
        _tenant: &TenantId,
        _subject: &Subject,
        _phc: String,
        _now: Timestamp,
        _audit: AuditRow,
    ) -> Result<Update, StoreError> {
        todo!()
    }
    async fn rehash_password(
        &self,
        _tenant: &TenantId,
        _subject: &Subject,
        _old_phc: &str,
        _new_phc: String,
    ) -> Result<Update, StoreError> {
        todo!()
    }
    async fn record_login_failure(
        &self,
        _tenant: &TenantId,
        _subject: &Subject,
        _audit: AuditRow,
    ) -> Result<u32, StoreError> {
        todo!()
    }
    async fn record_login_success(&self, _tenant: &TenantId, _subject: &Subject) -> Result<(), StoreError> {
        todo!()
    }
    async fn insert_setup_link(&self, _link: SetupLink, _audit: AuditRow) -> Result<(), StoreError> {
        todo!()
    }
    async fn find_setup_link(&self, _hash: &TokenHash, _now: Timestamp) -> Result<Option<SetupLink>, StoreError> {
        todo!()
    }
    async fn redeem_setup_link(
        &self,
        _hash: &TokenHash,
        _phc: String,
        _now: Timestamp,
        _audit: AuditRow,
    ) -> Result<Update, StoreError> {
        todo!()
    }
}

#[async_trait]
impl AuditStore for EmbeddedStore {
    async fn append_audit(&self, _audit: AuditRow) -> Result<(), StoreError> {
        todo!()
    }
    async fn audit_after(
        &self,
        _tenant: Option<&TenantId>,
        _after: u64,
        _limit: u32,
    ) -> Result<Vec<(u64, AuditRow)>, StoreError> {
        todo!()
    }
    async fn newest_audit(&self) -> Result<u64, StoreError> {
        todo!()
    }
    async fn change_mark(&self) -> Result<u64, StoreError> {
        todo!()
    }
    async fn changes_after(&self, _after: ChangeSeq) -> Result<Vec<(ChangeSeq, Change)>, StoreError> {
        todo!()
    }
    async fn newest_change(&self) -> Result<ChangeSeq, StoreError> {
        todo!()
    }
    async fn sweep(&self, _now: Timestamp, _unused_client_after: crate::oauth::Lifetime) -> Result<u64, StoreError> {
        todo!()
    }
    async fn backup(&self, _to: &std::path::Path) -> Result<(), StoreError> {
        todo!()
    }
    fn stats(&self) -> StoreStats {
        todo!()
    }
    async fn check(&self) -> Result<Vec<String>, StoreError> {
        todo!()
    }
}
