//! What outlives the process: clients, accounts, sessions, codes, grants, tokens, the audit trail and the change log.
//!
//! Methods are named by their effect and are atomic: single use is the store's promise, not its caller's care. A deed
//! and its audit row share a transaction, and so does the row of the change log that tells other processes. Secrets come
//! in as hashes only. What is acknowledged is durable; an error means that nothing was changed, but for
//! `StoreError::NotStored`: what ends access is in force although the disk did not take it. What is used a second time is
//! refused alike whether the end of its grant is stored or in force.
//!
//! It decides nothing by itself: the rules are `judge` and `judge_refresh` of `oauth`, asked inside the transaction. It
//! knows `oauth` and `config`, never HTTP or the use cases; `embedded` and its later twin never know each other.
//!
//! Start with `GrantStore`, then `memory/` (the model), then `embedded/`. `tests/store_contract` holds every store to
//! the same promises; `docs/storage-schema.md` describes the tables.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

mod account_store;
mod audit_event;
mod audit_query;
mod audit_row;
mod change;
mod clock;
pub mod embedded;
mod issuance;
mod limits;
pub mod memory;
mod migrate;
mod outcome;
mod pending;
mod record;

pub use account_store::{AccountStore, LoginStore};
pub use audit_event::{AuditClass, AuditEvent, AuditEventDescription, AuditField};
pub use audit_query::{AuditFilter, AuditPage, AuditRetention, Pruned};
pub use audit_row::AuditRow;
pub use change::{Change, ChangeSeq, Changes, TellUnstored};
pub use clock::{ClockNote, ClockStore};
pub use issuance::{NewAccessToken, RedeemCode, RotateRefresh, UseReport};
pub use outcome::{Insertion, Recorded, Redemption, Renaming, Rotation, StoreError, Update};
pub use pending::{PendingLimits, Source};
pub use record::{
    Account, AccountStatus, Advance, Consent, Interaction, InteractionStep, LoginHistory, LoginPlace, LoginSession,
    NewPassword, PasswordChange, SetupLink, StoreStats,
};

use crate::oauth::{
    AccessTokenRecord, Client, ClientId, ClientMetadata, ClientSecretHash, CodeRecord, DocumentAge, Grant, GrantId,
    Lifetime, ResourceIndicator, Subject, TenantId, Timestamp, TokenHash,
};

/// How many changes `changes_after` returns at most: enough to catch up quickly, too few to hold a reader up.
const CHANGES_AT_ONCE: usize = 1000;

/// Clients.
#[async_trait]
pub trait ClientStore {
    /// Adds a client unless its id is taken, or it is a registration and another client has registered the same
    /// (`ClientMetadata::registration_hash`). When the tenant has `cap` clients of a kind that needs no operator
    /// (registered, or described by a document), the new one replaces the unused one that registered the longest ago, if
    /// that was not a moment ago. The audit row is written when it was added.
    async fn insert_client(&self, client: Client, cap: u64, audit: AuditRow) -> Result<Insertion, StoreError>;
    /// Finds the public client that has registered the same metadata, and notes the time, so that the sweep does not
    /// remove it as abandoned; `None` when there is none, or these are the metadata of a client with a secret.
    async fn find_registered(
        &self,
        tenant: &TenantId,
        metadata: &ClientMetadata,
        now: Timestamp,
    ) -> Result<Option<Client>, StoreError>;
    /// Finds one.
    async fn find_client(&self, tenant: &TenantId, id: &ClientId) -> Result<Option<Client>, StoreError>;
    /// Lists all of a tenant, oldest first.
    async fn list_clients(&self, tenant: &TenantId) -> Result<Vec<Client>, StoreError>;
    /// Lists those of a tenant that an operator added, oldest first.
    async fn operator_clients(&self, tenant: &TenantId) -> Result<Vec<Client>, StoreError>;
    /// Stores a client known by its metadata document, new or changed; of a known one only the metadata change.
    /// `void_consents` drops remembered consent. The audit row is written, if there is one. `StoreError::Conflict` when the
    /// id belongs to another kind of client.
    async fn put_document_client(
        &self,
        client: Client,
        void_consents: bool,
        audit: Option<AuditRow>,
    ) -> Result<(), StoreError>;
    /// Remembers that a client's document was fetched and says what it said before.
    async fn note_document_age(&self, tenant: &TenantId, id: &ClientId, age: DocumentAge)
    -> Result<Update, StoreError>;
    /// Switches a client off or on; off emits `Change::ClientDisabled`, and its tokens are refused while it is off.
    async fn set_client_disabled(
        &self,
        tenant: &TenantId,
        id: &ClientId,
        disabled: bool,
        audit: AuditRow,
    ) -> Result<Update, StoreError>;
    /// Removes a client with its grants, codes, tokens, consents and interactions; emits `Change::ClientDeleted`.
    async fn delete_client(&self, tenant: &TenantId, id: &ClientId, audit: AuditRow) -> Result<Update, StoreError>;
    /// Puts a new secret first; the others are honoured until `previous_until`, or their own end if that is earlier.
    async fn rotate_client_secret(
        &self,
        tenant: &TenantId,
        id: &ClientId,
        new: ClientSecretHash,
        previous_until: Timestamp,
        audit: AuditRow,
    ) -> Result<Update, StoreError>;
}

/// Codes, grants, tokens.
#[async_trait]
pub trait GrantStore {
    /// Adds a code, moves its interaction to the end and remembers the consent. `Update::NotFound` when the interaction
    /// is not at `consent` any more (a double click makes one code), the login session it is bound to has ended or is
    /// another user's, or client or account is switched off.
    async fn insert_code(
        &self,
        code: CodeRecord,
        interaction: TokenHash,
        remember: Option<Consent>,
        audit: AuditRow,
    ) -> Result<Update, StoreError>;
    /// Reads a code without using it (for the policy that is asked before redemption).
    async fn find_code(&self, tenant: &TenantId, hash: &TokenHash) -> Result<Option<CodeRecord>, StoreError>;
    /// Judges and redeems a code in one transaction. An audit row is written when it is redeemed, and when a replay ends its
    /// grant; whoever asked records every other refusal. A code whose client or account is switched off is refused as dead.
    /// A replay ends the grant also where nothing can be written: then that is in force, stored later, and answered alike.
    async fn redeem_code(&self, request: RedeemCode) -> Result<Redemption, StoreError>;
    /// Reads a grant.
    async fn find_grant(&self, tenant: &TenantId, id: GrantId) -> Result<Option<Grant>, StoreError>;
    /// Lists grants that stand and are not past their idle end, newest first, of a subject and/or client.
    async fn list_grants(
        &self,
        tenant: &TenantId,
        subject: Option<&Subject>,
        client: Option<&ClientId>,
        now: Timestamp,
    ) -> Result<Vec<Grant>, StoreError>;
    /// Judges and rotates a refresh token in one transaction. An audit row is written when reuse ends its grant and, if the
    /// request has one, for a success; whoever asked records every other refusal. A family whose client or account is
    /// switched off is refused as dead. Reuse ends the family also where nothing can be written, as a replay does.
    async fn rotate_refresh_token(&self, request: RotateRefresh) -> Result<Rotation, StoreError>;
    /// Marks as used the live generations of which a token was presented, and as unused those that were issued and not
    /// presented. Ends the families of void tokens that were presented, each with an audit row; returns which. They
    /// end also where nothing can be written. A row that is damaged is left out.
    async fn record_uses(&self, report: UseReport) -> Result<Recorded, StoreError>;
    /// Stores a grant and an access token that an operator issued, without code or refresh. `StoreError::Conflict` when
    /// client or account are not in the store.
    async fn insert_operator_token(
        &self,
        grant: Grant,
        token: AccessTokenRecord,
        audit: AuditRow,
    ) -> Result<(), StoreError>;
    /// Finds an access token whose grant stands, whose client and account are enabled. For the cache only.
    async fn find_access_token(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<AccessTokenRecord>, StoreError>;
    /// Finds several access tokens, as `find_access_token` finds one, from one state of the store: the answers in the
    /// order of `wanted`.
    async fn find_access_tokens(
        &self,
        wanted: &[(TenantId, TokenHash)],
        now: Timestamp,
    ) -> Result<Vec<Option<AccessTokenRecord>>, StoreError>;
    /// Returns, for each of `wanted`, whether it is an access token that came with a lost answer and has not expired. For
    /// the cache only.
    async fn find_void_tokens(&self, wanted: &[(TenantId, TokenHash)], now: Timestamp)
    -> Result<Vec<bool>, StoreError>;
    /// Reads all live access tokens after `after` (row order), at most `limit`, for filling the cache at start:
    /// the records and the position to go on from; `None` at the end.
    async fn live_access_tokens(
        &self,
        after: u64,
        limit: u32,
        now: Timestamp,
    ) -> Result<(Vec<AccessTokenRecord>, Option<u64>), StoreError>;
    /// Revokes a grant with all its tokens and the consent remembered for its client and resource, so that the next
    /// request asks again; emits `Change::GrantRevoked`.
    async fn revoke_grant(&self, tenant: &TenantId, id: GrantId, audit: AuditRow) -> Result<Update, StoreError>;
    /// Revokes one access token; emits `Change::AccessTokenRevoked`.
    async fn revoke_access_token(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        audit: AuditRow,
    ) -> Result<Update, StoreError>;
    /// Revokes all grants of a subject and/or client with their remembered consents; returns how many. Emits a change
    /// for each. Codes not yet redeemed are taken back, too, and without a client in particular the browser sessions end.
    async fn revoke_grants(
        &self,
        tenant: &TenantId,
        subject: Option<&Subject>,
        client: Option<&ClientId>,
        audit: AuditRow,
    ) -> Result<u64, StoreError>;
}

/// Browser sessions, pending authorizations, remembered consent.
#[async_trait]
pub trait SessionStore {
    /// Adds a login session; the one of the same tenant that it replaces ends. `Update::NotFound`, and nothing is done, when
    /// the account is gone or switched off, or its password is not the one that was set at `password_set_at`: what was
    /// compared may have been replaced meanwhile, and a session must not outlive its password.
    async fn insert_session(
        &self,
        session: LoginSession,
        replaces: Option<TokenHash>,
        password_set_at: Option<Timestamp>,
        audit: AuditRow,
    ) -> Result<Update, StoreError>;
    /// Finds a session that has not ended and whose account is enabled. Moves its idle end where that moves by a minute, or
    /// by a tenth of the idle time if that is less; otherwise, and for a hash of no such session, only reads: anybody can
    /// ask this as often as they open a page.
    async fn touch_session(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<LoginSession>, StoreError>;
    /// Ends a session.
    async fn delete_session(&self, tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Result<Update, StoreError>;
    /// Starts a pending authorization. Where `limits` leave no room for it, others go: of its host; else of the host that
    /// holds the most at its site; else of the host that holds the most at the site that holds the most. Of a host the
    /// oldest that has ended goes first, then the oldest.
    async fn begin_interaction(&self, interaction: Interaction, limits: PendingLimits) -> Result<(), StoreError>;
    /// Finds one that has not expired, ended or not.
    async fn find_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<Interaction>, StoreError>;
    /// Moves one to its next step (compare and set), binding it to a login session. One that comes to wait for the consent
    /// of a session's user takes its room from that session; others of the session go where `limits` leave none.
    async fn advance_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        advance: Advance,
        limits: PendingLimits,
        now: Timestamp,
    ) -> Result<Update, StoreError>;
    /// Ends one at `consent` because its user denied it, and forgets what the same user consented to before.
    async fn deny_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        subject: &Subject,
        client: &ClientId,
        resource: &ResourceIndicator,
        audit: AuditRow,
    ) -> Result<Update, StoreError>;
    /// Finds remembered consent.
    async fn find_consent(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        client: &ClientId,
        resource: &ResourceIndicator,
    ) -> Result<Option<Consent>, StoreError>;
}

/// Audit, changes, upkeep.
#[async_trait]
pub trait AuditStore {
    /// Appends a row for something that changed nothing else (a refusal).
    async fn append_audit(&self, audit: AuditRow) -> Result<(), StoreError>;
    /// Reads rows after the position `after` (0: from the first on), oldest first, at most `limit`.
    async fn audit_after(&self, filter: &AuditFilter, after: u64, limit: u32) -> Result<AuditPage, StoreError>;
    /// Reads rows before the position `before` (`None`: from the last on), newest first, at most `limit`.
    async fn audit_before(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, StoreError>;
    /// Returns a position before which no row is from `since` or later, found from the newest row backwards.
    async fn audit_since(&self, since: Timestamp) -> Result<u64, StoreError>;
    /// Reads the position of the newest audit row (0 when none).
    async fn newest_audit(&self) -> Result<u64, StoreError>;
    /// Removes rows that the trail may not keep, in one step that holds the store for some milliseconds; the newest row
    /// always stays. `audit` is written when the step removes anything.
    async fn prune_audit(&self, keep: AuditRetention, audit: Option<AuditRow>) -> Result<Pruned, StoreError>;
    /// A cheap mark that moves whenever anything may have changed, by whichever process (`PRAGMA data_version`).
    async fn change_mark(&self) -> Result<u64, StoreError>;
    /// Reads the change log after `after`, from one state of the store, and whether it holds all that came after.
    async fn changes_after(&self, after: ChangeSeq) -> Result<Changes, StoreError>;
    /// Has `tell` called with every change that is in force and not stored (`StoreError::NotStored`), before whoever asked
    /// for it is answered. A store that never answers so has nothing to tell.
    fn tell_unstored(&self, tell: TellUnstored) {
        drop(tell);
    }
    /// Reads the newest number of the change log; it never goes back, even when the rows have been swept.
    async fn newest_change(&self) -> Result<ChangeSeq, StoreError>;
    /// Removes what has ended, in batches; returns how many rows went, not counting what hung on them. Used codes stay as
    /// long as their grant, revoked grants and changes for a day; clients that came by themselves go when never used
    /// for `unused_client_after` or unused for 90 days.
    async fn sweep(&self, now: Timestamp, unused_client_after: Lifetime) -> Result<u64, StoreError>;
    /// Writes a consistent copy of the store into a new file (mode 0600), marked so that whoever opens it to serve from it
    /// ends what it holds open; never overwrites one.
    async fn backup(&self, to: &Path) -> Result<(), StoreError>;
    /// Returns figures for the metrics.
    fn stats(&self) -> StoreStats;
    /// Checks the whole store, every row included; the problems found.
    async fn check(&self) -> Result<Vec<String>, StoreError>;
}

/// Everything a store must do.
pub trait Store:
    ClientStore + GrantStore + SessionStore + AccountStore + AuditStore + ClockStore + LoginStore + Send + Sync + 'static
{
}

impl<T> Store for T where
    T: ClientStore
        + GrantStore
        + SessionStore
        + AccountStore
        + AuditStore
        + ClockStore
        + LoginStore
        + Send
        + Sync
        + 'static
{
}

/// The name of the embedded store's file in the data folder.
pub const FILE: &str = "mcpgate.db";

/// Opens the store that the configuration names; `held` is the lock of the server that opens it.
///
/// # Errors
/// `StoreError` when it cannot be opened, is damaged or newer than this program; or older, and a server runs on it.
pub fn open(
    data_dir: &Path,
    held: Option<&embedded::ServerLock>,
    now: Timestamp,
) -> Result<Arc<dyn Store>, StoreError> {
    let file = data_dir.join(FILE);
    let named = |error| match error {
        StoreError::Corrupt(why) => StoreError::Corrupt(format!("{}: {why}", file.display())),
        StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::NotStored => error,
    };
    Ok(Arc::new(embedded::EmbeddedStore::open(&file, held, now).map_err(named)?))
}
