//! What tables of the configuration file have made, in memory.

use async_trait::async_trait;

use super::super::table_store::{expect, unexpected};
use super::super::{
    Account, AuditRow, Insertion, MadeByTable, Renaming, Result, TableMark, TableStep, TableStore, limits,
};
use super::{MemoryStore, State, prune};
use crate::oauth::TenantId;

impl State {
    /// Marks a client or account, in place of an earlier mark of it or of the table.
    fn put_mark(&mut self, tenant: &TenantId, mark: TableMark) -> Result<()> {
        let is_there = match &mark.made {
            MadeByTable::Client(id) => self.client(tenant, id).is_some(),
            MadeByTable::Account(subject) => self.account(tenant, subject).is_some_and(|a| a.subject.is_person()),
        };
        if !is_there {
            return Err(unexpected("what a table is to take over"));
        }
        self.unmark(tenant, &mark.made);
        let is_of_table =
            |m: &TableMark| m.id == mark.id && std::mem::discriminant(&m.made) == std::mem::discriminant(&mark.made);
        self.marks.retain(|(t, m)| t != tenant || !is_of_table(m));
        self.marks.push((tenant.clone(), mark));
        Ok(())
    }

    /// Removes the mark of a client or account; returns whether there was one.
    pub(super) fn unmark(&mut self, tenant: &TenantId, made: &MadeByTable) -> bool {
        prune(&mut self.marks, |(t, mark)| t != tenant || mark.made != *made) > 0
    }

    /// Adds the account of a client that acts for itself, if it is missing.
    fn reserve(&mut self, service: Option<Box<Account>>) -> Result<()> {
        let Some(service) = service else { return Ok(()) };
        if self.account(&service.tenant, service.subject.id()).is_some() {
            return Ok(());
        }
        limits::account(&service)?;
        if self.is_name_of_another(&service.tenant, &service.name, service.subject.id()) {
            return Err(unexpected("the name of a service account"));
        }
        self.accounts.push(*service);
        Ok(())
    }

    /// Performs a step; returns how many grants ended by a change of a client.
    fn perform(&mut self, step: TableStep, audit: AuditRow) -> Result<u64> {
        let tenant = audit.tenant.clone();
        match step {
            TableStep::AddClient { client, service } => {
                let id = client.id.clone();
                if self.insert_client(*client, u64::MAX, audit)? != Insertion::Inserted {
                    return Err(unexpected("a client"));
                }
                self.reserve(service)?;
                self.put_mark(&tenant, TableMark { id: id.as_str().to_owned(), made: MadeByTable::Client(id) })?;
            }
            TableStep::ChangeClient { change, service } => {
                let ended = self.change_client(&change, &audit)?;
                self.reserve(service)?;
                return ended.ok_or_else(|| unexpected("a client"));
            }
            TableStep::ReplaceSecret { id, by } => expect(self.replace_secret(&id, by, audit)?, "a client")?,
            TableStep::DisableClient { id, disabled } => {
                expect(self.set_client_disabled(&id, disabled, audit)?, "a client")?;
            }
            TableStep::DeleteClient { id } => expect(self.delete_client(&id, audit)?, "a client")?,
            TableStep::AddAccount { table, account } => {
                let made = MadeByTable::Account(account.subject.id().clone());
                if self.insert_account(*account, audit)? != Insertion::Inserted {
                    return Err(unexpected("an account"));
                }
                self.put_mark(&tenant, TableMark { id: table, made })?;
            }
            TableStep::RenameAccount { subject, name } => {
                if self.rename_account(&subject, &name, audit)? != Renaming::Done {
                    return Err(unexpected("an account"));
                }
            }
            TableStep::SetPassword { subject, new } => expect(self.put_password(&subject, new, audit)?, "an account")?,
            TableStep::DisableAccount { subject, disabled } => {
                expect(self.set_account_disabled(&subject, disabled, audit)?, "an account")?;
            }
            TableStep::DeleteAccount { subject } => expect(self.delete_account(&subject, audit)?, "an account")?,
            TableStep::Adopt(mark) => {
                self.put_mark(&tenant, mark)?;
                self.record(audit);
            }
        }
        Ok(0)
    }
}

#[async_trait]
impl TableStore for MemoryStore {
    async fn table_marks(&self, tenant: &TenantId) -> Result<Vec<TableMark>> {
        let state = self.read();
        let mut marks: Vec<_> = state.marks.iter().filter(|(t, _)| t == tenant).map(|(_, mark)| mark.clone()).collect();
        let order = |mark: &TableMark| (matches!(mark.made, MadeByTable::Client(_)), mark.id.clone());
        marks.sort_by_key(order);
        Ok(marks)
    }

    async fn apply_tables(&self, steps: Vec<(TableStep, AuditRow)>) -> Result<u64> {
        let mut state = self.write();
        let mut changed = state.clone();
        let mut ended = 0;
        for (step, audit) in steps {
            ended += changed.perform(step, audit)?;
        }
        *state = changed;
        Ok(ended)
    }
}
