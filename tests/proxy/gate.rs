//! `Gate`: a store whose methods can be made to fail or to hang, and that counts its calls.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use mcpgate::oauth::{
    AccessTokenRecord, Client, ClientId, ClientMetadata, ClientSecretHash, CodeRecord, DocumentAge, Grant, GrantId,
    Lifetime, LoginNameHash, ResourceIndicator, Subject, TenantId, Timestamp, TokenHash,
};
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{
    Account, AccountStore, Advance, AuditFilter, AuditPage, AuditRetention, AuditRow, AuditStore, ChangeLog, ChangeSeq,
    Changes, ClientStore, ClockNote, ClockStore, Consent, GrantStore, Insertion, Interaction, LoginHistory, LoginPlace,
    LoginSession, LoginStore, NewPassword, PasswordChange, PendingLimits, Pruned, Recorded, RedeemCode, Redemption,
    Renaming, RotateRefresh, Rotation, SessionStore, SetupLink, StoreError, StoreStats, Update, Upkeep, UseReport,
};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// Every call fails.
    Down,
    /// Every call waits until the state changes; those that look for tokens after they have read.
    Held,
    /// The change log has a row that cannot be read.
    Damaged,
    /// The same, and the tokens are not told until the state changes.
    DamagedAndSlow,
}

pub(crate) struct Gate {
    pub(crate) inner: MemoryStore,
    state: watch::Sender<State>,
    calls: Mutex<HashMap<&'static str, usize>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { inner: MemoryStore::new(), state: watch::Sender::new(State::Open), calls: Mutex::default() }
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    pub(crate) fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    async fn pass(&self, name: &'static str) -> Result<(), StoreError> {
        *self.calls.lock().unwrap().entry(name).or_default() += 1;
        let waits =
            |state: State| state == State::Held || (state == State::DamagedAndSlow && name == "live_access_tokens");
        let mut state = self.state.subscribe();
        match *state.wait_for(|s| !waits(*s)).await.unwrap() {
            State::Damaged | State::DamagedAndSlow if name == "changes_after" => {
                Err(StoreError::Corrupt("the test says so".to_owned()))
            }
            State::Open | State::Damaged | State::DamagedAndSlow => Ok(()),
            State::Down | State::Held => Err(StoreError::Unavailable("the test says so".to_owned())),
        }
    }
}

macro_rules! delegate {
    ($trait:ident { $(fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)* } $($rest:tt)*) => {
        #[async_trait]
        impl $trait for Gate {
            $(async fn $name(&self, $($arg: $ty),*) -> Result<$ret, StoreError> {
                let answer = self.inner.$name($($arg),*).await;
                self.pass(stringify!($name)).await?;
                answer
            })*
            $($rest)*
        }
    };
}

delegate! { ClientStore {
    fn insert_client(client: Client, cap: u64, audit: AuditRow) -> Insertion;
    fn find_registered(tenant: &TenantId, metadata: &ClientMetadata, now: Timestamp) -> Option<Client>;
    fn find_client(tenant: &TenantId, id: &ClientId) -> Option<Client>;
    fn list_clients(tenant: &TenantId) -> Vec<Client>;
    fn operator_clients(tenant: &TenantId) -> Vec<Client>;
    fn put_document_client(client: Client, void_consents: bool, audit: Option<AuditRow>) -> ();
    fn note_document_age(tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Update;
        fn set_client_disabled(tenant: &TenantId, id: &ClientId, disabled: bool, audit: AuditRow) -> Update;
    fn delete_client(tenant: &TenantId, id: &ClientId, audit: AuditRow) -> Update;
    fn rotate_client_secret(tenant: &TenantId, id: &ClientId, new: ClientSecretHash, until: Timestamp, audit: AuditRow) -> Update;
} }

delegate! { GrantStore {
    fn insert_code(code: CodeRecord, interaction: TokenHash, remember: Option<Consent>, audit: AuditRow) -> Update;
    fn find_code(tenant: &TenantId, hash: &TokenHash) -> Option<CodeRecord>;
    fn redeem_code(request: RedeemCode) -> Redemption;
    fn find_grant(tenant: &TenantId, id: GrantId) -> Option<Grant>;
    fn list_grants(tenant: &TenantId, subject: Option<&Subject>, client: Option<&ClientId>, now: Timestamp) -> Vec<Grant>;
    fn rotate_refresh_token(request: RotateRefresh) -> Rotation;
    fn record_uses(report: UseReport) -> Recorded;
    fn insert_operator_token(grant: Grant, token: AccessTokenRecord, audit: AuditRow) -> ();
    fn find_access_token(tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<AccessTokenRecord>;
    fn find_access_tokens(wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Vec<Option<AccessTokenRecord>>;
    fn find_void_tokens(wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Vec<bool>;
    fn live_access_tokens(after: u64, limit: u32, now: Timestamp) -> (Vec<AccessTokenRecord>, Option<u64>);
    fn revoke_grant(tenant: &TenantId, id: GrantId, audit: AuditRow) -> Update;
    fn revoke_access_token(tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Update;
    fn revoke_grants(tenant: &TenantId, subject: Option<&Subject>, client: Option<&ClientId>, audit: AuditRow) -> u64;
} }

delegate! { SessionStore {
    fn insert_session(session: LoginSession, replaces: Option<TokenHash>, password_set_at: Option<Timestamp>, audit: AuditRow) -> Update;
    fn touch_session(tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<LoginSession>;
    fn delete_session(tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Update;
    fn begin_interaction(interaction: Interaction, limits: PendingLimits) -> ();
    fn find_interaction(tenant: &TenantId, id: &TokenHash, now: Timestamp) -> Option<Interaction>;
    fn advance_interaction(
            tenant: &TenantId, id: &TokenHash, advance: Advance, limits: PendingLimits, now: Timestamp
        ) -> Update;
    fn deny_interaction(tenant: &TenantId, id: &TokenHash, subject: &Subject, client: &ClientId, resource: &ResourceIndicator, audit: AuditRow) -> Update;
    fn find_consent(tenant: &TenantId, subject: &Subject, client: &ClientId, resource: &ResourceIndicator) -> Option<Consent>;
} }

delegate! { AccountStore {
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
    fn rehash_password(tenant: &TenantId, subject: &Subject, old: &str, new: String) -> Update;
    fn insert_setup_link(link: SetupLink, audit: AuditRow) -> ();
    fn find_setup_link(tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<SetupLink>;
    fn redeem_setup_link(tenant: &TenantId, hash: &TokenHash, new: NewPassword, audit: AuditRow) -> Update;
} }

delegate! { LoginStore {
    fn find_login(tenant: &TenantId, name: &str, hash: &LoginNameHash, places: [LoginPlace; 2], now: Timestamp) -> LoginHistory;
    fn record_login_failure(tenant: &TenantId, hash: &LoginNameHash, subject: Option<&Subject>, now: Timestamp) -> u32;
    fn record_login_success(tenant: &TenantId, subject: &Subject, hash: &LoginNameHash, places: [LoginPlace; 2], now: Timestamp) -> ();
    fn forget_login_places(tenant: &TenantId, subject: &Subject, places: Vec<LoginPlace>) -> ();
} }

delegate! { AuditStore {
    fn append_audit(audit: AuditRow) -> ();
    fn audit_after(filter: &AuditFilter, after: u64, limit: u32) -> AuditPage;
    fn audit_before(filter: &AuditFilter, before: Option<u64>, limit: u32) -> AuditPage;
    fn audit_since(since: Timestamp) -> u64;
    fn newest_audit() -> u64;
    fn prune_audit(keep: AuditRetention, audit: Option<AuditRow>) -> Pruned;
} }

delegate! { ChangeLog {
    fn change_mark() -> u64;
    fn changes_after(after: ChangeSeq) -> Changes;
    fn newest_change() -> ChangeSeq;
} }

delegate! { Upkeep {
    fn sweep(now: Timestamp, unused_client_after: Lifetime) -> u64;
    fn backup(to: &Path) -> ();
    fn check() -> Vec<String>;
} fn stats(&self) -> StoreStats { self.inner.stats() } }

delegate! { ClockStore {
    fn clock_note() -> Option<ClockNote>;
    fn note_time(seen: Timestamp) -> ();
    fn accept_time(audit: AuditRow) -> ();
    fn turn_back(told: Timestamp, now: Timestamp) -> u64;
    fn shorten_secrets(latest: Timestamp) -> u64;
} }
