//! What tables have made, in lists and for commands: the file wins, so what it describes is changed there.

use std::collections::HashMap;
use std::path::PathBuf;

use super::super::{Administration, AdministrationError};
use super::difference::TableKind;
use crate::config::{DeclaredAccount, DeclaredClient, RecordTable};
use crate::oauth::{AccountId, TenantId};
use crate::store::{MadeByTable, TableMark};

/// What to do instead of changing what a table describes.
pub(in crate::issuer::administration) const CHANGE_THERE: &str = "change it there, and run mcpgate apply";
/// What to do instead of enabling it.
pub(in crate::issuer::administration) const ENABLE_THERE: &str = "remove disabled there, and run mcpgate apply";
/// What to do instead of deleting it.
pub(in crate::issuer::administration) const REMOVE_THERE: &str =
    "write removed = true there, and run mcpgate apply; to end its access now, disable it";

/// The table that has made a client or account, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTable {
    /// The id in the table.
    pub id: String,
    /// The file, if that is known.
    pub file: Option<PathBuf>,
    /// The line; `None` if the table is gone.
    pub line: Option<usize>,
    /// Whether the table is gone; `None` if no configuration file is known.
    pub is_gone: Option<bool>,
}

impl Administration {
    /// Returns the table that describes a client.
    #[must_use]
    pub fn table_of_client(&self, id: &str) -> Option<&RecordTable<DeclaredClient>> {
        let is_ours = self.tenant == TenantId::default();
        self.config.clients.iter().find(|table| is_ours && table.id == id && !table.is_removal())
    }

    /// Returns the table that describes an account.
    ///
    /// # Errors
    /// `Store`.
    pub async fn table_of_account(
        &self,
        subject: &AccountId,
    ) -> Result<Option<&RecordTable<DeclaredAccount>>, AdministrationError> {
        if self.tenant != TenantId::default() || self.config.accounts.is_empty() {
            return Ok(None);
        }
        let made = MadeByTable::Account(subject.clone());
        let marks = self.services.store.table_marks(&self.tenant).await?;
        let Some(mark) = marks.into_iter().find(|mark| mark.made == made) else { return Ok(None) };
        Ok(self.config.accounts.iter().find(|table| table.id == mark.id && !table.is_removal()))
    }

    /// Refuses what would change a client that a table describes.
    pub(in crate::issuer::administration) fn expect_not_in_file(
        &self,
        id: &str,
        remedy: &'static str,
    ) -> Result<(), AdministrationError> {
        self.table_of_client(id).map_or(Ok(()), |table| Err(self.in_file(TableKind::Client, table, remedy)))
    }

    /// Refuses what would change an account that a table describes.
    pub(in crate::issuer::administration) async fn expect_account_not_in_file(
        &self,
        subject: &AccountId,
        remedy: &'static str,
    ) -> Result<(), AdministrationError> {
        let table = self.table_of_account(subject).await?;
        table.map_or(Ok(()), |table| Err(self.in_file(TableKind::Account, table, remedy)))
    }

    /// Returns the refusal of a command about what a table describes.
    pub(in crate::issuer::administration) fn in_file<T>(
        &self,
        kind: TableKind,
        table: &RecordTable<T>,
        remedy: &'static str,
    ) -> AdministrationError {
        let what = format!("the {} {:?}", kind.as_str(), table.id);
        AdministrationError::InFile { what, place: table.place(self.config.file.as_deref()), remedy }
    }

    /// Returns the tables that have made something, as lists show them.
    ///
    /// # Errors
    /// `Store`.
    pub async fn listed_tables(&self) -> Result<HashMap<MadeByTable, ListedTable>, AdministrationError> {
        let marks = self.services.store.table_marks(&self.tenant).await?;
        Ok(marks.into_iter().map(|mark| (mark.made.clone(), self.listed_table(mark))).collect())
    }

    fn listed_table(&self, mark: TableMark) -> ListedTable {
        let line = match &mark.made {
            MadeByTable::Account(_) => self.config.accounts.iter().find(|t| t.id == mark.id).map(|table| table.line),
            MadeByTable::Client(_) => self.config.clients.iter().find(|t| t.id == mark.id).map(|table| table.line),
        };
        let file = self.config.file.clone();
        ListedTable { id: mark.id, line: line.flatten(), is_gone: file.is_some().then_some(line.is_none()), file }
    }
}
