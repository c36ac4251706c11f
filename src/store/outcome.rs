//! What the atomic operations answer: closed enums, matched exhaustively, and the store's one error.

use super::AuditRow;

/// What a store answers.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store could not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is locked, full or read-only; nothing was changed; later it may work.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It contradicts what is stored, or is nothing that a store takes, as a text that is too long; nothing was changed.
    #[error("the store refused a conflicting write: {0}")]
    Conflict(String),
    /// What should end access is in force in this process, is not stored yet, and is stored when that can be done; a restart
    /// before then forgets it.
    #[error("in force, but not yet stored")]
    NotStored,
    /// What was read is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// The result of ending all grants of a person or client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// Grants that stood.
    pub(super) grants: u64,
    /// Whether any grant, code, consent or session was there to end.
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
    /// It did.
    Inserted,
    /// The key is taken.
    Exists,
    /// The tenant's cap is reached.
    Full,
    /// A public client with the same metadata is registered already.
    Same,
}

/// Whether an account has another login name now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renaming {
    /// It has.
    Done,
    /// There is no such account.
    NotFound,
    /// Another account has the name, or had it once.
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
