//! Every method of a store, for wrappers that delegate each call.

pub(crate) use std::net::IpAddr;
pub(crate) use std::path::Path;

pub(crate) use mcpgate::oauth::{
    AccessTokenRecord, AccountId, Client, ClientDecision, ClientId, ClientMetadata, CodeHash, CodeRecord, DocumentAge,
    Exclusions, Grant, GrantId, GroupName, GroupSet, Lifetime, LoginName, TenantId, Timestamp, TokenHash,
};
pub(crate) use mcpgate::policy::{CountKey, QuotaUse};
pub(crate) use mcpgate::store::{
    Account, AccountStore, Advance, AuditFilter, AuditPage, AuditRetention, AuditRow, AuditStore, CatalogueStore,
    ChangeLog, ChangePosition, Changes, ClientChange, ClientStore, ClockNote, ClockStore, Consent, ConsentKey,
    EndedActing, Ephemeral, EphemeralHash, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralStore, GrantFilter,
    GrantStore, GroupStore, Insertion, IssueToClient, Issued, KeptListing, KeyAdded, KeyStore, LinkHash, Listing,
    LoginHistory, LoginPlace, LoginSession, LoginStore, NewKey, NewPassword, PasswordChange, Pruned, Quota, QuotaStore,
    Recorded, RedeemCode, Redemption, Renaming, RotateKey, RotateRefresh, Rotation, SecretRotation, SessionHash,
    SessionStore, SetupLink, SignIn, StoreError, StoreStats, StoredCatalogue, TableMark, TableStep, TableStore,
    ToolChoice, ToolsDone, Update, Upkeep, UseReport,
};

/// Passes the traits and their methods to a macro. `stats` goes to `figures`, because it cannot fail.
macro_rules! every_method {
    ($with:ident) => {
        $with! {
            ClientStore {
                fn insert_client(client: Client, cap: u64, audit: AuditRow) -> Insertion;
                fn register_client(client: Client, site: IpAddr, cap: u64, audit: AuditRow) -> Insertion;
                fn find_registered(tenant: &TenantId, metadata: &ClientMetadata, now: Timestamp) -> Option<Client>;
                fn find_client(tenant: &TenantId, id: &ClientId) -> Option<Client>;
                fn list_clients(tenant: &TenantId) -> Vec<Client>;
                fn operator_clients(tenant: &TenantId) -> Vec<Client>;
                fn put_document_client(client: Client, void_consents: bool, audit: Option<AuditRow>) -> ();
                fn note_document_age(tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Update;
                fn change_client(change: ClientChange, audit: AuditRow) -> Option<u64>;
                fn set_client_disabled(id: &ClientId, disabled: bool, audit: AuditRow) -> Update;
                fn delete_client(id: &ClientId, audit: AuditRow) -> Update;
                fn decide_client(id: &ClientId, decision: ClientDecision, audit: AuditRow) -> Update;
                fn rotate_client_secret(id: &ClientId, by: SecretRotation, audit: AuditRow) -> Update;
            }
            GrantStore {
                fn insert_code(code: CodeRecord, at: EphemeralHash, remember: Option<Consent>, audit: AuditRow) -> Update;
                fn find_code(tenant: &TenantId, hash: &CodeHash) -> Option<CodeRecord>;
                fn redeem_code(request: RedeemCode) -> Redemption;
                fn find_grant(tenant: &TenantId, id: GrantId) -> Option<Grant>;
                fn list_grants(of: &GrantFilter, now: Timestamp) -> Vec<Grant>;
                fn count_grants(tenant: &TenantId, now: Timestamp) -> Vec<(ClientId, u64)>;
                fn rotate_refresh_token(request: RotateRefresh) -> Rotation;
                fn record_uses(report: UseReport) -> Recorded;
                fn note_activity(uses: &[(TenantId, GrantId, Timestamp)]) -> ();
                fn insert_operator_token(grant: Grant, token: AccessTokenRecord, audit: AuditRow) -> ();
                fn issue_to_client(request: IssueToClient) -> Option<Issued>;
                fn find_access_token(tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<AccessTokenRecord>;
                fn find_access_tokens(
                    wanted: &[(TenantId, TokenHash)], now: Timestamp
                ) -> Vec<Option<AccessTokenRecord>>;
                fn find_void_tokens(wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Vec<bool>;
                fn live_access_tokens(after: u64, limit: u32, now: Timestamp) -> (Vec<AccessTokenRecord>, Option<u64>);
                fn revoke_grant(id: GrantId, audit: AuditRow) -> Update;
                fn revoke_access_token(hash: &TokenHash, audit: AuditRow) -> Update;
                fn revoke_grants(of: &GrantFilter, audit: AuditRow) -> u64;
                fn list_ended_acting(of: &GrantFilter) -> Vec<EndedActing>;
                fn resume_acting(of: &GrantFilter, audit: AuditRow) -> u64;
            }
            KeyStore {
                fn insert_key(key: NewKey) -> KeyAdded;
                fn rotate_key(by: RotateKey) -> Option<Issued>;
            }
            SessionStore {
                fn insert_session(
                    session: LoginSession, replaces: Option<SessionHash>, password_set_at: Option<Timestamp>, audit: AuditRow
                ) -> Update;
                fn touch_session(tenant: &TenantId, hash: &SessionHash, now: Timestamp) -> Option<LoginSession>;
                fn delete_session(hash: &SessionHash, audit: AuditRow) -> Update;
                fn deny_interaction(key: &EphemeralKey, denied: &ConsentKey, audit: AuditRow) -> Update;
                fn find_consent(key: &ConsentKey) -> Option<Consent>;
                fn find_left_out(key: &ConsentKey) -> Option<Exclusions>;
            }
            EphemeralStore {
                fn put_ephemeral(new: Ephemeral, limits: EphemeralLimits) -> Insertion;
                fn find_ephemeral(key: &EphemeralKey, now: Timestamp) -> Option<Ephemeral>;
                fn list_ephemerals(tenant: &TenantId, kind: EphemeralKind, now: Timestamp) -> Vec<Ephemeral>;
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
            GroupStore {
                fn add_member(group: &GroupName, subject: &AccountId, audit: AuditRow) -> Update;
                fn remove_member(group: &GroupName, subject: &AccountId, audit: AuditRow) -> Update;
                fn groups_of(tenant: &TenantId, subject: &AccountId) -> GroupSet;
                fn list_members(tenant: &TenantId) -> Vec<(GroupName, AccountId)>;
            }
            CatalogueStore {
                fn catalogue(tenant: &TenantId, upstream: &str) -> StoredCatalogue;
                fn keep_listing(upstream: &str, listing: Listing, audit: AuditRow) -> KeptListing;
                fn approve_tools(upstream: &str, which: ToolChoice, audit: AuditRow) -> ToolsDone;
                fn forget_tools(upstream: &str, which: ToolChoice, audit: AuditRow) -> ToolsDone;
            }
            QuotaStore {
                fn add_quota_uses(quota: &Quota, uses: &[QuotaUse]) -> Vec<u64>;
                fn quota_uses(
                    quota: &Quota, day: Timestamp, after: Option<CountKey>, limit: u32
                ) -> Vec<QuotaUse>;
            }
            TableStore {
                fn table_marks(tenant: &TenantId) -> Vec<TableMark>;
                fn apply_tables(steps: Vec<(TableStep, AuditRow)>) -> u64;
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
                    self.figures()
                }
            }
        }
    };
}
