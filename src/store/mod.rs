//! What outlives the process: clients, accounts, sessions, codes, grants, tokens, the audit trail and the change log.
//!
//! Methods are named by their effect and are atomic: single use is guaranteed by the store, not by its callers. An
//! action, its audit row and the row of the change log that informs other processes share a transaction. An action is
//! confined to the tenant of its audit row, or of its key. Secrets come in as hashes only. What is acknowledged is
//! durable; an error means that nothing was changed, except `StoreError::NotStored`: the end of access is in force
//! although it could not be written. Reuse gets the same answer whether the end of its grant is stored or only in
//! force.
//!
//! The effect of presenting a code or refresh token is decided in one place, by `decide` in `redemption.rs` and
//! `rotation.rs`, using the rules of `oauth`: a store loads rows, calls it inside its transaction, and writes the
//! effect.
//!
//! It knows neither HTTP nor the use cases; `embedded` and `memory` do not know each other.
//!
//! Start with `GrantStore`, then `migrations/` (the schema), `memory/` (the model) and `embedded/`.
//! `tests/store_contract` checks that all stores behave alike; `docs/storage-schema.md` describes the tables.

use std::path::Path;
use std::sync::Arc;

mod account_store;
mod audit_event;
mod audit_query;
mod audit_row;
mod audit_store;
mod catalogue_store;
mod change;
mod change_log;
mod client_change;
mod client_store;
mod client_token;
mod clock;
mod embedded;
mod ephemeral;
mod grant_store;
mod group_store;
mod issuance;
mod key_store;
mod limits;
mod listing;
pub mod memory;
mod migrate;
mod outcome;
mod quota_store;
mod record;
mod redemption;
mod reuse;
mod rotation;
mod service_account;
mod session_store;
mod table_store;
mod upkeep;

pub use account_store::{AccountStore, LoginStore};
pub use audit_event::{AuditClass, AuditEvent, AuditEventDescription, AuditField};
pub use audit_query::{AuditFilter, AuditPage, AuditRetention, Pruned};
pub use audit_row::AuditRow;
pub use audit_store::AuditStore;
pub use catalogue_store::{
    CatalogueStore, KeptListing, ListedNames, Listing, SeenTool, StoredCatalogue, ToolChoice, ToolRecord, ToolState,
    ToolsDone,
};
pub use change::{Change, ChangePosition, Changes, TellUnstored};
pub use change_log::ChangeLog;
pub use client_change::ClientChange;
pub use client_store::{ClientStore, SecretRotation};
pub use client_token::{EndedActing, IssueFor, IssueToClient};
pub use clock::{ClockNote, ClockStore};
#[cfg(test)]
pub(crate) use embedded::growth::world as test_world;
pub use embedded::{EmbeddedStore, RestoreError, ServerLock, restore};
pub use ephemeral::{
    Advance, Ephemeral, EphemeralHash, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralSecret, EphemeralStep,
    EphemeralStore, Source, TransactionCookie, TransactionSecret,
};
pub use grant_store::{GrantFilter, GrantStore};
pub use group_store::GroupStore;
pub use issuance::{Issued, NewAccessToken};
pub use key_store::{KEYS_PER_ACCOUNT, KeyAdded, KeyStore, NewKey, RotateKey};
pub use limits::{ACTIVITY_AT_ONCE, QUOTA_USES_AT_ONCE};
pub use outcome::{Insertion, Renaming, Result, StoreError, Update};
pub use quota_store::{Quota, QuotaStore};
pub use record::{
    Account, AccountStatus, Consent, ConsentKey, LinkHash, LinkSecret, LoginHistory, LoginPlace, LoginSession,
    NewPassword, PasswordChange, SessionHash, SessionSecret, SetupLink, SignIn, StoreStats,
};
pub use redemption::{CodeEffect, FoundCode, RedeemCode, Redemption};
pub use reuse::{Ending, Recorded, UseReport};
pub use rotation::{RefreshEffect, RotateRefresh, Rotation};
pub use session_store::SessionStore;
pub use table_store::{MadeByTable, TableMark, TableStep, TableStore};
pub use upkeep::Upkeep;

use crate::data_dir::STORE;
use crate::oauth::{TenantId, Timestamp};

/// Everything a store must do.
pub trait Store:
    ClientStore
    + GrantStore
    + KeyStore
    + SessionStore
    + EphemeralStore
    + AccountStore
    + GroupStore
    + LoginStore
    + AuditStore
    + ChangeLog
    + Upkeep
    + ClockStore
    + CatalogueStore
    + QuotaStore
    + TableStore
    + Send
    + Sync
    + 'static
{
}

/// Reads what is kept of an upstream in the store of a data directory, without changing anything there, whether or not
/// a server runs. `None` without a store, and with one that an older program made.
///
/// # Errors
/// `StoreError` when it cannot be read, is damaged or newer than this program.
pub fn stored_catalogue(data_dir: &Path, tenant: &TenantId, upstream: &str) -> Result<Option<StoredCatalogue>> {
    embedded::stored_catalogue(&data_dir.join(STORE), tenant, upstream)
}

/// Opens the embedded store of a data directory; `held` is the lock if a server opens it.
///
/// # Errors
/// `StoreError` when it cannot be opened, is damaged or newer than this program, or is older and a server runs on it.
pub fn open(data_dir: &Path, held: Option<&ServerLock>, now: Timestamp) -> Result<Arc<dyn Store>> {
    let file = data_dir.join(STORE);
    let named = |error| match error {
        StoreError::Corrupt(why) => StoreError::Corrupt(format!("{}: {why}", file.display())),
        StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::NotStored => error,
    };
    Ok(Arc::new(EmbeddedStore::open(&file, held, now).map_err(named)?))
}
