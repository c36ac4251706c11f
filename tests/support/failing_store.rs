//! The one store of the tests that fails: at a call that the test names, before the deed or after it, or in one of the
//! ways that a whole store can be ill. It counts its calls, too.
#![allow(dead_code, reason = "each of the test programs that share it uses a part of it")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mcpgate::oauth::{
    AccessTokenRecord, AccountId, Client, ClientId, ClientMetadata, CodeHash, CodeRecord, DocumentAge, Grant, GrantId,
    Lifetime, LoginName, TenantId, Timestamp, TokenHash,
};
use mcpgate::store::{
    Account, AccountStore, Advance, AuditFilter, AuditPage, AuditRetention, AuditRow, AuditStore, ChangeLog,
    ChangePosition, Changes, ClientStore, ClockNote, ClockStore, Consent, ConsentKey, Ephemeral, EphemeralHash,
    EphemeralKey, EphemeralLimits, EphemeralStore, GrantFilter, GrantStore, Insertion, LinkHash, LoginHistory,
    LoginPlace, LoginSession, LoginStore, NewPassword, PasswordChange, Pruned, Recorded, RedeemCode, Redemption,
    Renaming, RotateRefresh, Rotation, SecretRotation, SessionHash, SessionStore, SetupLink, SignIn, Store, StoreError,
    StoreStats, Update, Upkeep, UseReport,
};
use tokio::sync::watch;

/// When a fault at one call strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing is changed.
    Before,
    /// The change is made and its acknowledgement is lost.
    After,
}

/// How the whole store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// Every call fails.
    Down,
    /// Every call waits until the state changes; those that look for tokens after they have read.
    Held,
    /// The change log has a row that cannot be read.
    Damaged,
    /// The same, and the tokens that fill memory are not told until the state changes.
    DamagedAndSlow,
    /// These tokens are read, and not told until the state changes.
    Slow,
}

pub(crate) struct FailingStore {
    pub(crate) inner: Arc<dyn Store>,
    /// Calls until the fault, and its moment.
    fault: Mutex<Option<(usize, Moment)>>,
    /// Calls until another writer changes the store, and what it does: a test sets it to come between two calls.
    pub(crate) meanwhile: Mutex<Option<(usize, BoxFuture<'static, ()>)>>,
    state: watch::Sender<State>,
    calls: Mutex<HashMap<&'static str, usize>>,
}

/// What does not count for a fault at one call: the tests themselves and the upkeep ask it.
const UNCOUNTED: &[&str] = &[
    "audit_after",
    "audit_before",
    "audit_since",
    "newest_audit",
    "prune_audit",
    "change_mark",
    "changes_after",
    "newest_change",
    "clock_note",
    "note_time",
    "accept_time",
    "turn_back",
    "shorten_secrets",
    "sweep",
    "backup",
    "check",
];

impl FailingStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            fault: Mutex::default(),
            meanwhile: Mutex::default(),
            state: watch::Sender::new(State::Open),
            calls: Mutex::default(),
        }
    }

    /// The `n`-th call from now on (0 is the next) fails, once.
    pub(crate) fn fail_at(&self, n: usize, moment: Moment) {
        *self.fault.lock().unwrap() = Some((n, moment));
    }

    /// Takes the fault away; whether it has struck.
    pub(crate) fn mend(&self) -> bool {
        self.fault.lock().unwrap().take().is_none()
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// How often the method of this name was called.
    pub(crate) fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    async fn before(&self, name: &'static str) -> Result<Option<Moment>, StoreError> {
        *self.calls.lock().unwrap().entry(name).or_default() += 1;
        if UNCOUNTED.contains(&name) {
            return Ok(None);
        }
        let change = due(&mut self.meanwhile.lock().unwrap());
        if let Some(change) = change {
            change.await;
        }
        match due(&mut self.fault.lock().unwrap()) {
            Some(Moment::Before) => Err(fault()),
            struck => Ok(struck),
        }
    }

    async fn after(&self, name: &'static str) -> Result<(), StoreError> {
        let waits = |state: State| match state {
            State::Held => true,
            State::DamagedAndSlow | State::Slow => name == "live_access_tokens",
            State::Open | State::Down | State::Damaged => false,
        };
        let mut state = self.state.subscribe();
        match *state.wait_for(|s| !waits(*s)).await.unwrap() {
            State::Damaged | State::DamagedAndSlow if name == "changes_after" => {
                Err(StoreError::Corrupt("the test says so".to_owned()))
            }
            State::Open | State::Damaged | State::DamagedAndSlow | State::Slow => Ok(()),
            State::Down | State::Held => Err(fault()),
        }
    }
}

/// Counts a call; what was to come at it.
fn due<T>(planned: &mut Option<(usize, T)>) -> Option<T> {
    match planned {
        Some((0, _)) => planned.take().map(|(_, what)| what),
        Some((n, _)) => {
            *n -= 1;
            None
        }
        None => None,
    }
}

fn fault() -> StoreError {
    StoreError::Unavailable("the test says so".to_owned())
}

impl Store for FailingStore {}

macro_rules! failing {
    ($($trait:ident { $(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)* $(+ $rest:item)? })*) => {
        $(#[async_trait]
        impl $trait for FailingStore {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, StoreError> {
                let struck = self.before(stringify!($name)).await?;
                let answer = self.inner.$name($($arg),*).await;
                self.after(stringify!($name)).await?;
                if struck.is_some() { Err(fault()) } else { answer }
            })*
            $($rest)?
        })*
    };
}

failing! {
    ClientStore {
        fn insert_client(client: Client, cap: u64, audit: AuditRow) -> Insertion;
        fn find_registered(tenant: &TenantId, metadata: &ClientMetadata, now: Timestamp) -> Option<Client>;
        fn find_client(tenant: &TenantId, id: &ClientId) -> Option<Client>;
        fn list_clients(tenant: &TenantId) -> Vec<Client>;
        fn operator_clients(tenant: &TenantId) -> Vec<Client>;
        fn put_document_client(client: Client, void_consents: bool, audit: Option<AuditRow>) -> ();
        fn note_document_age(tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Update;
        fn set_client_disabled(id: &ClientId, disabled: bool, audit: AuditRow) -> Update;
        fn delete_client(id: &ClientId, audit: AuditRow) -> Update;
        fn rotate_client_secret(id: &ClientId, by: SecretRotation, audit: AuditRow) -> Update;
    }
    GrantStore {
        fn insert_code(code: CodeRecord, at: EphemeralHash, remember: Option<Consent>, audit: AuditRow) -> Update;
        fn find_code(tenant: &TenantId, hash: &CodeHash) -> Option<CodeRecord>;
        fn redeem_code(request: RedeemCode) -> Redemption;
        fn find_grant(tenant: &TenantId, id: GrantId) -> Option<Grant>;
        fn list_grants(of: &GrantFilter, now: Timestamp) -> Vec<Grant>;
        fn rotate_refresh_token(request: RotateRefresh) -> Rotation;
        fn record_uses(report: UseReport) -> Recorded;
        fn insert_operator_token(grant: Grant, token: AccessTokenRecord, audit: AuditRow) -> ();
        fn find_access_token(tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<AccessTokenRecord>;
        fn find_access_tokens(
            wanted: &[(TenantId, TokenHash)], now: Timestamp
        ) -> Vec<Option<AccessTokenRecord>>;
        fn find_void_tokens(wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Vec<bool>;
        fn live_access_tokens(after: u64, limit: u32, now: Timestamp) -> (Vec<AccessTokenRecord>, Option<u64>);
        fn revoke_grant(id: GrantId, audit: AuditRow) -> Update;
        fn revoke_access_token(hash: &TokenHash, audit: AuditRow) -> Update;
        fn revoke_grants(of: &GrantFilter, audit: AuditRow) -> u64;
    }
    SessionStore {
        fn insert_session(
            session: LoginSession, replaces: Option<SessionHash>, password_set_at: Option<Timestamp>, audit: AuditRow
        ) -> Update;
        fn touch_session(tenant: &TenantId, hash: &SessionHash, now: Timestamp) -> Option<LoginSession>;
        fn delete_session(hash: &SessionHash, audit: AuditRow) -> Update;
        fn deny_interaction(key: &EphemeralKey, denied: &ConsentKey, audit: AuditRow) -> Update;
        fn find_consent(key: &ConsentKey) -> Option<Consent>;
    }
    EphemeralStore {
        fn put_ephemeral(new: Ephemeral, limits: EphemeralLimits) -> Insertion;
        fn find_ephemeral(key: &EphemeralKey, now: Timestamp) -> Option<Ephemeral>;
        fn advance_ephemeral(
            key: &EphemeralKey, advance: Advance, limits: EphemeralLimits, now: Timestamp
        ) -> Update;
    }
    AccountStore {
        fn insert_account(account: Account, audit: AuditRow) -> Insertion;
        fn find_account_by_name(tenant: &TenantId, name: &LoginName) -> Option<Account>;
        fn find_account(tenant: &TenantId, subject: &AccountId) -> Option<Account>;
        fn list_accounts(tenant: &TenantId) -> Vec<Account>;
        fn set_account_disabled(subject: &AccountId, disabled: bool, audit: AuditRow) -> Update;
        fn rename_account(subject: &AccountId, name: &LoginName, audit: AuditRow) -> Renaming;
        fn delete_account(subject: &AccountId, audit: AuditRow) -> Update;
        fn former_names(tenant: &TenantId) -> Vec<(LoginName, AccountId)>;
        fn change_password(subject: &AccountId, change: PasswordChange, audit: AuditRow) -> Update;
        fn set_password(subject: &AccountId, new: NewPassword, audit: AuditRow) -> Update;
        fn rehash_password(tenant: &TenantId, subject: &AccountId, old: &str, new: String) -> Update;
        fn insert_setup_link(link: SetupLink, audit: AuditRow) -> ();
        fn find_setup_link(tenant: &TenantId, hash: &LinkHash, now: Timestamp) -> Option<SetupLink>;
        fn redeem_setup_link(hash: &LinkHash, new: NewPassword, audit: AuditRow) -> Update;
    }
    LoginStore {
        fn find_login(attempt: SignIn, name: Option<LoginName>) -> LoginHistory;
        fn record_login_failure(attempt: SignIn, subject: Option<AccountId>) -> u32;
        fn record_login_success(attempt: SignIn, subject: AccountId) -> ();
        fn forget_login_places(tenant: &TenantId, subject: &AccountId, places: Vec<LoginPlace>) -> ();
    }
    AuditStore {
        fn append_audit(audit: AuditRow) -> ();
        fn audit_after(filter: &AuditFilter, after: u64, limit: u32) -> AuditPage;
        fn audit_before(filter: &AuditFilter, before: Option<u64>, limit: u32) -> AuditPage;
        fn audit_since(since: Timestamp) -> u64;
        fn newest_audit() -> u64;
        fn prune_audit(keep: AuditRetention, audit: Option<AuditRow>) -> Pruned;
    }
    ChangeLog {
        fn change_mark() -> u64;
        fn changes_after(after: &ChangePosition) -> Changes;
        fn newest_change() -> ChangePosition;
    }
    ClockStore {
        fn clock_note() -> Option<ClockNote>;
        fn note_time(seen: Timestamp) -> ();
        fn accept_time(audit: AuditRow) -> ();
        fn turn_back(told: Timestamp, now: Timestamp) -> u64;
        fn shorten_secrets(latest: Timestamp) -> u64;
    }
    Upkeep {
        fn sweep(now: Timestamp, unused_client_after: Lifetime) -> u64;
        fn backup(to: &Path) -> ();
        fn check() -> Vec<String>;
        + fn stats(&self) -> StoreStats {
            self.inner.stats()
        }
    }
}
