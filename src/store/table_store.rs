//! The part of a store for clients and accounts that tables of the configuration file describe.

use async_trait::async_trait;

use super::{Account, AuditRow, ClientChange, NewPassword, Result, SecretRotation, StoreError, Update};
use crate::oauth::{AccountId, Client, ClientId, LoginName, TenantId};

/// A client or account of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MadeByTable {
    /// An account, by its subject.
    Account(AccountId),
    /// A client, by its id.
    Client(ClientId),
}

/// The mark of what a table has made or taken over. It goes with the client or account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableMark {
    /// The id in the table.
    pub id: String,
    /// What it has made.
    pub made: MadeByTable,
}

/// One step on the way to what the tables describe.
#[derive(Debug, Clone)]
pub enum TableStep {
    /// Adds a client, under its own id, and marks it. One that acts for itself gets its account at once, so that nobody
    /// else gets the name.
    AddClient {
        /// The client to be added.
        client: Box<Client>,
        /// The account as which it acts for itself.
        service: Option<Box<Account>>,
    },
    /// Changes a client, as `ClientStore::change_client` does.
    ChangeClient {
        /// The change to be made.
        change: Box<ClientChange>,
        /// The account as which it acts for itself from now on.
        service: Option<Box<Account>>,
    },
    /// Replaces the secret of a client; `None` removes all its secrets.
    ReplaceSecret {
        /// The client that gets another secret.
        id: ClientId,
        /// The new secret, if it gets one.
        by: Option<SecretRotation>,
    },
    /// Disables or enables a client.
    DisableClient {
        /// The client that is meant.
        id: ClientId,
        /// Whether it is to be disabled.
        disabled: bool,
    },
    /// Removes a client. The name of its service account stays taken.
    DeleteClient {
        /// The client to be removed.
        id: ClientId,
    },
    /// Adds an account, and marks it.
    AddAccount {
        /// The id in the table.
        table: String,
        /// The account to be added.
        account: Box<Account>,
    },
    /// Renames an account.
    RenameAccount {
        /// The account to be renamed.
        subject: AccountId,
        /// The login name that it gets.
        name: LoginName,
    },
    /// Sets the password of an account, as `AccountStore::set_password` does.
    SetPassword {
        /// The account that gets another password.
        subject: AccountId,
        /// The password that it gets.
        new: NewPassword,
    },
    /// Disables or enables an account.
    DisableAccount {
        /// The account that is meant.
        subject: AccountId,
        /// Whether it is to be disabled.
        disabled: bool,
    },
    /// Removes an account.
    DeleteAccount {
        /// The account to be removed.
        subject: AccountId,
    },
    /// Marks what the table has not made; an earlier mark of the same record goes.
    Adopt(TableMark),
}

/// Marks what tables have made, and makes it.
#[async_trait]
pub trait TableStore {
    /// Lists the marks of a tenant: accounts first, each kind by the ids in the tables.
    async fn table_marks(&self, tenant: &TenantId) -> Result<Vec<TableMark>>;
    /// Performs the steps in order, each with its audit row, which names the tenant: all of them, or none if one of
    /// them finds something else than it expects (`StoreError::Conflict`). Returns how many grants ended by changes of
    /// clients.
    async fn apply_tables(&self, steps: Vec<(TableStep, AuditRow)>) -> Result<u64>;
}

/// Returns an error unless a step has found what it expects.
pub(super) fn expect(update: Update, what: &str) -> Result<()> {
    match update {
        Update::Done => Ok(()),
        Update::NotFound => Err(unexpected(what)),
    }
}

/// The error of a step that finds something else than it expects.
pub(super) fn unexpected(what: &str) -> StoreError {
    StoreError::Conflict(format!("{what} was changed meanwhile"))
}
