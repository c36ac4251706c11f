//! The results of the atomic operations: closed enums, matched exhaustively, and the store's error.

use super::AuditRow;

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a store operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, is locked, full or read-only; nothing was changed, and a retry may work.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The request contradicts what is stored, or is not acceptable, such as a text that is too long; nothing was
    /// changed.
    #[error("the store refused a conflicting write: {0}")]
    Conflict(String),
    /// The end of access is in force in this process but not stored yet. It will be stored when possible; a restart
    /// before then loses it.
    #[error("in force, but not yet stored")]
    NotStored,
    /// The stored data is damaged.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// The result of ending all grants of a person or client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// How many active grants were ended.
    pub(super) grants: u64,
    /// Whether there was any grant, code, consent or session to end.
    pub(super) anything: bool,
}

impl Ended {
    /// Completes the audit row of the action; `None` if there was nothing to end.
    pub(super) fn row(self, audit: AuditRow) -> Option<AuditRow> {
        let counted = format!("{} grants", self.grants);
        self.anything.then_some(AuditRow { reason: Some(counted), ..audit })
    }
}

/// Whether an insertion happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// It was inserted.
    Inserted,
    /// The key is taken.
    Exists,
    /// The tenant's cap is reached.
    Full,
    /// A public client with the same metadata is registered already.
    Same,
}

/// Whether an account was renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renaming {
    /// It was renamed.
    Done,
    /// There is no such account.
    NotFound,
    /// Another account has the name, or had it before.
    Taken,
}

/// Whether an update found its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// The row was changed.
    Done,
    /// There is no such row (or, for compare-and-set, it is no longer as expected).
    NotFound,
}
