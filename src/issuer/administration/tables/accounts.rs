//! How accounts differ from their tables.

use serde_json::json;

use super::super::AdministrationError;
use super::difference::{TableAction, TableChange, TableKind};
use super::plan::{PlannedStep, Planner};
use crate::config::{DeclaredAccount, FirstPassword, RecordTable, Wish};
use crate::issuer::login::password;
use crate::oauth::{AccountId, LoginName, LoginNameHash, Subject};
use crate::store::{
    Account, AccountStatus, AuditEvent, AuditRow, GrantFilter, MadeByTable, NewPassword, TableMark, TableStep,
};

const ACCOUNT: TableKind = TableKind::Account;

impl Planner<'_> {
    /// Plans what a table asks for.
    pub(super) async fn account(&mut self, table: &RecordTable<DeclaredAccount>) -> Result<(), AdministrationError> {
        let administration = self.administration;
        let (store, tenant) = (&administration.services.store, &administration.tenant);
        let made = match self.made_by(ACCOUNT, &table.id) {
            Some(MadeByTable::Account(subject)) => Some(subject.clone()),
            Some(MadeByTable::Client(_)) | None => None,
        };
        let wanted = match (&table.wish, &made) {
            (Wish::Present(wanted), _) => wanted,
            (Wish::Removed, Some(subject)) => return self.remove_account(&table.id, table.line, subject).await,
            (Wish::Removed, None) => return Ok(()),
            (Wish::Unreadable, _) => {
                self.unreadable(ACCOUNT, table);
                return Ok(());
            }
        };
        let named = store.find_account_by_name(tenant, &wanted.name).await?;
        let stored = match &made {
            Some(subject) => store.find_account(tenant, subject).await?,
            None => None,
        };
        match (stored, named) {
            (Some(stored), Some(other)) if stored.subject != other.subject => {
                self.wrong(ACCOUNT, table, "another account has this login name", "write another name");
                Ok(())
            }
            (Some(stored), _) => self.change_account(table, wanted, (stored, TableAction::Change)).await,
            (None, Some(other)) => self.adopt(table, wanted, other).await,
            (None, None) => self.add_account(table, wanted).await,
        }
    }

    /// Plans to take over the account with the login name of a table.
    async fn adopt(
        &mut self,
        table: &RecordTable<DeclaredAccount>,
        wanted: &DeclaredAccount,
        other: Account,
    ) -> Result<(), AdministrationError> {
        if !other.subject.is_person() {
            self.wrong(ACCOUNT, table, "a client acts under this login name", "write another name");
            return Ok(());
        }
        if !table.adopt {
            let remedy = "write adopt = true to take it over, or another name";
            let fault = "there is an account with this login name that the table has not made";
            self.wrong(ACCOUNT, table, fault, remedy);
            return Ok(());
        }
        let row = self.administration.audit_of(AuditEvent::AccountAdopted, other.subject.id());
        let made = MadeByTable::Account(other.subject.id().clone());
        self.step(TableStep::Adopt(TableMark { id: table.id.clone(), made }), row);
        self.change_account(table, wanted, (other, TableAction::Adopt)).await
    }

    async fn add_account(
        &mut self,
        table: &RecordTable<DeclaredAccount>,
        wanted: &DeclaredAccount,
    ) -> Result<(), AdministrationError> {
        let administration = self.administration;
        let Some(subject) = AccountId::parse(&table.id) else { return Ok(()) };
        if administration.services.store.find_account(&administration.tenant, &subject).await?.is_some() {
            self.wrong(ACCOUNT, table, "another account has this id as its subject", "write another id");
            return Ok(());
        }
        if self.is_former_name_of_another(&wanted.name, &table.id) {
            let fault = "this was the login name of another account, and is never given again";
            self.wrong(ACCOUNT, table, fault, "write another name");
            return Ok(());
        }
        if !self.judge_password(table, wanted).await? {
            return Ok(());
        }
        let now = administration.services.clock.now();
        let account = Account {
            tenant: administration.tenant.clone(),
            subject: Subject::Person(subject),
            name: wanted.name.clone(),
            password: None,
            status: if wanted.disabled == Some(true) { AccountStatus::Disabled } else { AccountStatus::Enabled },
            failed_logins: 0,
            last_failed_at: None,
            created_at: now,
            password_set_at: wanted.password.as_ref().map(|_| now),
        };
        let row = administration.audit_of(AuditEvent::AccountAdded, account.subject.id());
        let step = TableStep::AddAccount { table: table.id.clone(), account: Box::new(account) };
        self.plan.steps.push(PlannedStep { step, row, password: wanted.password.clone() });
        self.differ(table, ACCOUNT, TableAction::Add, (Vec::new(), 0));
        Ok(())
    }

    async fn change_account(
        &mut self,
        table: &RecordTable<DeclaredAccount>,
        wanted: &DeclaredAccount,
        (stored, action): (Account, TableAction),
    ) -> Result<(), AdministrationError> {
        let administration = self.administration;
        let subject = stored.subject.id().clone();
        let mut changes = Vec::new();
        if stored.name != wanted.name && !self.rename(table, &stored, &wanted.name, &mut changes) {
            return Ok(());
        }
        let is_reset = self.options.reset_passwords.contains(&table.id);
        if is_reset && !self.reset_password(table, wanted, &subject).await? {
            return Ok(());
        }
        if is_reset {
            changes.push(TableChange::secret("password"));
        }
        let is_disabled = stored.status == AccountStatus::Disabled;
        let disabled = wanted.disabled.filter(|disabled| *disabled != is_disabled);
        if let Some(disabled) = disabled {
            changes.push(TableChange::shown("disabled", is_disabled.into(), disabled.into()));
            let event = if disabled { AuditEvent::AccountDisabled } else { AuditEvent::AccountEnabled };
            let row = administration.audit_of(event, &subject);
            self.step(TableStep::DisableAccount { subject: subject.clone(), disabled }, row);
        }
        let ending = if is_reset || disabled == Some(true) { self.sessions_of(&subject).await? } else { 0 };
        if action != TableAction::Change || !changes.is_empty() {
            self.differ(table, ACCOUNT, action, (changes, ending));
        }
        Ok(())
    }

    /// Plans another login name; returns whether the account can have it.
    fn rename(
        &mut self,
        table: &RecordTable<DeclaredAccount>,
        stored: &Account,
        name: &LoginName,
        changes: &mut Vec<TableChange>,
    ) -> bool {
        if self.is_former_name_of_another(name, stored.subject.as_str()) {
            let fault = "this was the login name of another account, and is never given again";
            self.wrong(ACCOUNT, table, fault, "write another name");
            return false;
        }
        changes.push(TableChange::shown("name", json!(stored.name.as_str()), json!(name.as_str())));
        let reason = Some(format!("{} to {name}", stored.name));
        let subject = stored.subject.id().clone();
        let row = AuditRow { reason, ..self.administration.audit_of(AuditEvent::AccountRenamed, &subject) };
        self.step(TableStep::RenameAccount { subject, name: name.clone() }, row);
        true
    }

    /// Plans the password of the table; returns whether it has one that is acceptable.
    async fn reset_password(
        &mut self,
        table: &RecordTable<DeclaredAccount>,
        wanted: &DeclaredAccount,
        subject: &AccountId,
    ) -> Result<bool, AdministrationError> {
        if wanted.password.is_none() {
            self.wrong(ACCOUNT, table, "it has no password that could be set", "write password");
            return Ok(false);
        }
        if !self.judge_password(table, wanted).await? {
            return Ok(false);
        }
        let administration = self.administration;
        let keys = administration.services.keys.load();
        let name = LoginNameHash::of(&administration.tenant, wanted.name.as_str(), &keys);
        let row = administration.audit_of(AuditEvent::PasswordSet, subject);
        let new = NewPassword { phc: String::new(), name, at: row.at };
        let step = TableStep::SetPassword { subject: subject.clone(), new };
        self.plan.steps.push(PlannedStep { step, row, password: wanted.password.clone() });
        Ok(true)
    }

    /// Returns whether the password of a table may be set; notes what is wrong with it. A hash cannot be judged.
    async fn judge_password(
        &mut self,
        table: &RecordTable<DeclaredAccount>,
        wanted: &DeclaredAccount,
    ) -> Result<bool, AdministrationError> {
        let Some(FirstPassword::Text(text)) = &wanted.password else { return Ok(true) };
        let (text, policy) = (text.clone(), self.administration.config.login.clone());
        let name = wanted.name.clone();
        let judged = password::off_thread(move || Ok(password::acceptable(&text, name.as_str(), &policy))).await?;
        if let Err(refused) = judged {
            let fault = AdministrationError::Password(refused).to_string();
            self.wrong(ACCOUNT, table, fault, "put another password into the file");
        }
        Ok(judged.is_ok())
    }

    /// Returns how many sessions of applications an account has.
    async fn sessions_of(&self, subject: &AccountId) -> Result<usize, AdministrationError> {
        let administration = self.administration;
        let theirs = GrantFilter::of_account(&administration.tenant, subject);
        Ok(administration.services.store.list_grants(&theirs, administration.services.clock.now()).await?.len())
    }

    /// Plans the end of an account.
    pub(super) async fn remove_account(
        &mut self,
        id: &str,
        line: Option<usize>,
        subject: &AccountId,
    ) -> Result<(), AdministrationError> {
        let administration = self.administration;
        let stored = administration.services.store.find_account(&administration.tenant, subject).await?;
        let ending = self.sessions_of(subject).await?;
        let reason = stored.map(|account| account.name.to_string());
        let row = AuditRow { reason, ..administration.audit_of(AuditEvent::AccountDeleted, subject) };
        self.step(TableStep::DeleteAccount { subject: subject.clone() }, row);
        self.removed(ACCOUNT, (id, line), ending);
        Ok(())
    }
}
