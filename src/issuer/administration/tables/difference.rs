//! How a client or account in the store differs from its table.

use crate::store::MadeByTable;

/// A kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// `[[account]]`, for people who sign in.
    Account,
    /// `[[client]]`, for applications.
    Client,
}

impl TableKind {
    /// Returns the kind of table that makes such a record.
    #[must_use]
    pub const fn of(made: &MadeByTable) -> Self {
        match made {
            MadeByTable::Account(_) => Self::Account,
            MadeByTable::Client(_) => Self::Client,
        }
    }

    /// Returns the name of the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Client => "client",
        }
    }
}

/// What is done to a client or account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableAction {
    /// It is added to the store.
    Add,
    /// It is taken over, and perhaps changed.
    Adopt,
    /// It is changed as the table says.
    Change,
    /// It is removed with its access.
    Remove,
}

impl TableAction {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Adopt => "adopt",
            Self::Change => "change",
            Self::Remove => "remove",
        }
    }
}

/// One member that is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableChange {
    /// The name of the member.
    pub member: String,
    /// Its value before and after, as JSON; `None` for a secret, of which nothing is shown.
    pub values: Option<(serde_json::Value, serde_json::Value)>,
}

impl TableChange {
    pub(super) fn shown(member: &str, before: serde_json::Value, after: serde_json::Value) -> Self {
        Self { member: member.to_owned(), values: Some((before, after)) }
    }

    pub(super) fn secret(member: &str) -> Self {
        Self { member: member.to_owned(), values: None }
    }
}

/// How one client or account differs from its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDifference {
    /// The kind of table.
    pub kind: TableKind,
    /// The id in the table.
    pub id: String,
    /// The line of the table; `None` if it is gone.
    pub line: Option<usize>,
    /// What is done to it.
    pub action: TableAction,
    /// What is changed, if it is there already.
    pub changes: Vec<TableChange>,
    /// The number of sessions of applications that end by it.
    pub ending: usize,
}
