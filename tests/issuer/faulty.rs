//! A store that fails at the call one names: before the deed (nothing is changed) or after it (the acknowledgement is
//! lost).

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mcpgate::oauth::{
    AccessTokenRecord, Client, ClientId, ClientMetadata, ClientSecretHash, CodeRecord, DocumentAge, Grant, GrantId,
    Lifetime, LoginNameHash, ResourceIndicator, Subject, TenantId, Timestamp, TokenHash,
};
use mcpgate::store::{
    Account, AccountStore, Advance, AuditFilter, AuditPage, AuditRetention, AuditRow, AuditStore, ChangeLog, ChangeSeq,
    Changes, ClientStore, ClockNote, ClockStore, Consent, GrantStore, Insertion, Interaction, LoginHistory, LoginPlace,
    LoginSession, LoginStore, NewPassword, PasswordChange, PendingLimits, Pruned, Recorded, RedeemCode, Redemption,
    Renaming, RotateRefresh, Rotation, SessionStore, SetupLink, Store, StoreError, StoreStats, Update, Upkeep,
    UseReport,
};

/// When the fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

pub(crate) struct FaultyStore {
    inner: Arc<dyn Store>,
    /// Calls until the fault, and its moment.
    fault: Mutex<Option<(usize, Moment)>>,
    /// Calls until another writer changes the store, and what it does: a test sets it to come between two calls.
    pub(crate) meanwhile: Mutex<Option<(usize, BoxFuture<'static, ()>)>>,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, fault: Mutex::new(None), meanwhile: Mutex::new(None) }
    }

    /// The `n`-th call from now on (0 is the next) fails, once.
    pub(crate) fn fail_at(&self, n: usize, moment: Moment) {
        *self.fault.lock().unwrap() = Some((n, moment));
    }

    /// Takes the fault away; whether it has struck.
    pub(crate) fn mend(&self) -> bool {
        self.fault.lock().unwrap().take().is_none()
    }

    fn due(&self) -> Option<BoxFuture<'static, ()>> {
        let mut meanwhile = self.meanwhile.lock().unwrap();
        match meanwhile.as_mut() {
            Some((0, _)) => meanwhile.take().map(|(_, change)| change),
            Some((n, _)) => {
                *n -= 1;
                None
            }
            None => None,
        }
    }

    fn strikes(&self) -> Option<Moment> {
        let mut fault = self.fault.lock().unwrap();
        match fault.as_mut() {
            Some((0, moment)) => {
                let moment = *moment;
                *fault = None;
                Some(moment)
            }
            Some((n, _)) => {
                *n -= 1;
                None
            }
            None => None,
        }
    }
}

fn fault() -> StoreError {
    StoreError::Unavailable("a fault of the test".to_owned())
}

macro_rules! faulty {
    ($($trait:ident { $(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)* })*) => {
        $(#[async_trait]
        impl $trait for FaultyStore {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, StoreError> {
                if let Some(change) = self.due() {
                    change.await;
                }
                let struck = self.strikes();
                if struck == Some(Moment::Before) {
                    return Err(fault());
                }
                let answer = self.inner.$name($($arg),*).await?;
                if struck.is_some() { Err(fault()) } else { Ok(answer) }
            })*
        })*
    };
}

faulty! {
    ClientStore {
        fn insert_client(client: Client, cap: u64, audit: AuditRow) -> Insertion;
        fn find_registered(tenant: &TenantId, metadata: &ClientMetadata, now: Timestamp) -> Option<Client>;
        fn find_client(tenant: &TenantId, id: &ClientId) -> Option<Client>;
        fn list_clients(tenant: &TenantId) -> Vec<Client>;
        fn operator_clients(tenant: &TenantId) -> Vec<Client>;
        fn put_document_client(client: Client, void_consents: bool, audit: Option<AuditRow>) -> ();
        fn note_document_age(tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Update;
        fn set_client_disabled(tenant: &TenantId, id: &ClientId, disabled: bool, audit: AuditRow) -> Update;
        fn delete_client(tenant: &TenantId, id: &ClientId, audit: AuditRow) -> Update;
        fn rotate_client_secret(
            tenant: &TenantId, id: &ClientId, new: ClientSecretHash, until: Timestamp, audit: AuditRow
        ) -> Update;
    }
    GrantStore {
        fn insert_code(code: CodeRecord, at: TokenHash, remember: Option<Consent>, audit: AuditRow) -> Update;
        fn find_code(tenant: &TenantId, hash: &TokenHash) -> Option<CodeRecord>;
        fn redeem_code(request: RedeemCode) -> Redemption;
        fn find_grant(tenant: &TenantId, id: GrantId) -> Option<Grant>;
        fn list_grants(
            tenant: &TenantId, subject: Option<&Subject>, client: Option<&ClientId>, now: Timestamp
        ) -> Vec<Grant>;
        fn rotate_refresh_token(request: RotateRefresh) -> Rotation;
        fn record_uses(report: UseReport) -> Recorded;
        fn insert_operator_token(grant: Grant, token: AccessTokenRecord, audit: AuditRow) -> ();
        fn find_access_token(tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<AccessTokenRecord>;
        fn find_access_tokens(
            wanted: &[(TenantId, TokenHash)], now: Timestamp
        ) -> Vec<Option<AccessTokenRecord>>;
        fn find_void_tokens(wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Vec<bool>;
        fn live_access_tokens(after: u64, limit: u32, now: Timestamp) -> (Vec<AccessTokenRecord>, Option<u64>);
        fn revoke_grant(tenant: &TenantId, id: GrantId, audit: AuditRow) -> Update;
        fn revoke_access_token(tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Update;
        fn revoke_grants(
            tenant: &TenantId, subject: Option<&Subject>, client: Option<&ClientId>, audit: AuditRow
        ) -> u64;
    }
    SessionStore {
        fn insert_session(
            session: LoginSession, replaces: Option<TokenHash>, password_set_at: Option<Timestamp>, audit: AuditRow
        ) -> Update;
        fn touch_session(tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<LoginSession>;
        fn delete_session(tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Update;
        fn begin_interaction(interaction: Interaction, limits: PendingLimits) -> ();
        fn find_interaction(tenant: &TenantId, id: &TokenHash, now: Timestamp) -> Option<Interaction>;
        fn advance_interaction(
            tenant: &TenantId, id: &TokenHash, advance: Advance, limits: PendingLimits, now: Timestamp
        ) -> Update;
        fn deny_interaction(
            tenant: &TenantId, id: &TokenHash, subject: &Subject, client: &ClientId, resource: &ResourceIndicator,
            audit: AuditRow
        ) -> Update;
        fn find_consent(
            tenant: &TenantId, subject: &Subject, client: &ClientId, resource: &ResourceIndicator
        ) -> Option<Consent>;
    }
    AccountStore {
        fn insert_account(account: Account, audit: AuditRow) -> Insertion;
        fn find_account_by_name(tenant: &TenantId, name: &str) -> Option<Account>;
        fn find_account(tenant: &TenantId, subject: &Subject) -> Option<Account>;
        fn list_accounts(tenant: &TenantId) -> Vec<Account>;
        fn set_account_disabled(tenant: &TenantId, subject: &Subject, disabled: bool, audit: AuditRow) -> Update;
        fn rename_account(tenant: &TenantId, subject: &Subject, name: &str, audit: AuditRow) -> Renaming;
        fn delete_account(tenant: &TenantId, subject: &Subject, audit: AuditRow) -> Update;
        fn former_names(tenant: &TenantId) -> Vec<(String, Subject)>;
        fn change_password(tenant: &TenantId, subject: &Subject, change: PasswordChange, audit: AuditRow) -> Update;
        fn set_password(tenant: &TenantId, subject: &Subject, new: NewPassword, audit: AuditRow) -> Update;
        fn rehash_password(tenant: &TenantId, subject: &Subject, old_phc: &str, new_phc: String) -> Update;
        fn insert_setup_link(link: SetupLink, audit: AuditRow) -> ();
        fn find_setup_link(tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<SetupLink>;
        fn redeem_setup_link(tenant: &TenantId, hash: &TokenHash, new: NewPassword, audit: AuditRow) -> Update;
    }
    LoginStore {
        fn find_login(
            tenant: &TenantId, name: &str, hash: &LoginNameHash, places: [LoginPlace; 2], now: Timestamp
        ) -> LoginHistory;
        fn record_login_failure(
            tenant: &TenantId, hash: &LoginNameHash, subject: Option<&Subject>, now: Timestamp
        ) -> u32;
        fn record_login_success(
            tenant: &TenantId, subject: &Subject, hash: &LoginNameHash, places: [LoginPlace; 2], now: Timestamp
        ) -> ();
        fn forget_login_places(tenant: &TenantId, subject: &Subject, places: Vec<LoginPlace>) -> ();
    }
}

/// The upkeep is not what fails here, and the driver reads the audit trail through it; only refusals' rows may fail.
#[async_trait]
impl ClockStore for FaultyStore {
    async fn clock_note(&self) -> Result<Option<ClockNote>, StoreError> {
        self.inner.clock_note().await
    }
    async fn note_time(&self, seen: Timestamp) -> Result<(), StoreError> {
        self.inner.note_time(seen).await
    }
    async fn accept_time(&self, audit: AuditRow) -> Result<(), StoreError> {
        self.inner.accept_time(audit).await
    }
    async fn turn_back(&self, told: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.turn_back(told, now).await
    }
    async fn shorten_secrets(&self, latest: Timestamp) -> Result<u64, StoreError> {
        self.inner.shorten_secrets(latest).await
    }
}

#[async_trait]
impl AuditStore for FaultyStore {
    async fn append_audit(&self, audit: AuditRow) -> Result<(), StoreError> {
        if self.strikes().is_some() { Err(fault()) } else { self.inner.append_audit(audit).await }
    }
    async fn audit_after(&self, filter: &AuditFilter, after: u64, limit: u32) -> Result<AuditPage, StoreError> {
        self.inner.audit_after(filter, after, limit).await
    }
    async fn audit_before(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, StoreError> {
        self.inner.audit_before(filter, before, limit).await
    }
    async fn audit_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        self.inner.audit_since(since).await
    }
    async fn prune_audit(&self, keep: AuditRetention, audit: Option<AuditRow>) -> Result<Pruned, StoreError> {
        self.inner.prune_audit(keep, audit).await
    }
    async fn newest_audit(&self) -> Result<u64, StoreError> {
        self.inner.newest_audit().await
    }
}

#[async_trait]
impl ChangeLog for FaultyStore {
    async fn change_mark(&self) -> Result<u64, StoreError> {
        self.inner.change_mark().await
    }
    async fn changes_after(&self, after: ChangeSeq) -> Result<Changes, StoreError> {
        self.inner.changes_after(after).await
    }
    async fn newest_change(&self) -> Result<ChangeSeq, StoreError> {
        self.inner.newest_change().await
    }
}

#[async_trait]
impl Upkeep for FaultyStore {
    async fn sweep(&self, now: Timestamp, unused_client_after: Lifetime) -> Result<u64, StoreError> {
        self.inner.sweep(now, unused_client_after).await
    }
    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.inner.backup(to).await
    }
    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.inner.check().await
    }
}
