//! Accounts and set-password links in memory.

use async_trait::async_trait;

use super::super::{
    Account, AccountStatus, AccountStore, AuditRow, Change, Insertion, LinkHash, MadeByTable, NewPassword,
    PasswordChange, Renaming, Result, SetupLink, StoreError, Update, limits,
};
use super::{MemoryStore, State};
use crate::oauth::{AccountId, LoginName, TenantId, Timestamp};

impl State {
    pub(super) fn account_mut(&mut self, tenant: &TenantId, subject: &AccountId) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|a| a.tenant == *tenant && a.subject.id() == subject)
    }

    /// Sets the password and ends everything that the old one has opened.
    pub(super) fn put_password(&mut self, subject: &AccountId, new: NewPassword, audit: AuditRow) -> Result<Update> {
        let at = new.at;
        let is_person = self.account(&audit.tenant, subject).is_some_and(|a| a.subject.is_person());
        if !is_person || self.replace_password(&audit.tenant, subject, new)? == Update::NotFound {
            return Ok(Update::NotFound);
        }
        self.end_access(&audit.tenant, subject, at);
        self.done(audit)
    }

    fn replace_password(&mut self, tenant: &TenantId, subject: &AccountId, new: NewPassword) -> Result<Update> {
        limits::password_hash(&new.phc)?;
        let Some(account) = self.account_mut(tenant, subject) else { return Ok(Update::NotFound) };
        account.password = Some(new.phc);
        account.password_set_at = Some(new.at);
        account.failed_logins = 0;
        self.forget_failures(tenant, &new.name);
        Ok(Update::Done)
    }

    /// Returns whether an account other than `subject` has a login name or had it before.
    pub(super) fn is_name_of_another(&self, tenant: &TenantId, name: &LoginName, subject: &AccountId) -> bool {
        let now = self.accounts.iter().map(|a| (&a.tenant, &a.name, a.subject.id()));
        let before = self.former_names.iter().map(|(t, n, s)| (t, n, s));
        now.chain(before).any(|(t, n, s)| t == tenant && n == name && s != subject)
    }

    /// Reserves a name for its owner.
    pub(super) fn reserve_name(&mut self, account: &Account) {
        self.former_names.push((account.tenant.clone(), account.name.clone(), account.subject.id().clone()));
    }

    pub(super) fn insert_account(&mut self, account: Account, audit: AuditRow) -> Result<Insertion> {
        limits::account(&account)?;
        let is_known = self.account(&account.tenant, account.subject.id()).is_some();
        if is_known || self.is_name_of_another(&account.tenant, &account.name, account.subject.id()) {
            return Ok(Insertion::Exists);
        }
        self.accounts.push(account);
        self.record(audit);
        Ok(Insertion::Inserted)
    }

    pub(super) fn set_account_disabled(
        &mut self,
        subject: &AccountId,
        disabled: bool,
        audit: AuditRow,
    ) -> Result<Update> {
        let Some(account) = self.account_mut(&audit.tenant, subject) else { return Ok(Update::NotFound) };
        account.status = if disabled { AccountStatus::Disabled } else { AccountStatus::Enabled };
        if disabled {
            self.end_access(&audit.tenant, subject, audit.at);
            self.announce(audit.at, Change::AccountDisabled(audit.tenant.clone(), subject.clone()));
        }
        self.done(audit)
    }

    pub(super) fn rename_account(
        &mut self,
        subject: &AccountId,
        name: &LoginName,
        audit: AuditRow,
    ) -> Result<Renaming> {
        let tenant = &audit.tenant.clone();
        let Some(account) = self.account(tenant, subject).cloned() else { return Ok(Renaming::NotFound) };
        if self.is_name_of_another(tenant, name, subject) {
            return Ok(Renaming::Taken);
        }
        self.reserve_name(&account);
        self.former_names.retain(|(t, n, _)| t != tenant || n != name);
        if let Some(account) = self.account_mut(tenant, subject) {
            account.name = name.clone();
        }
        self.announce(audit.at, Change::AccountRenamed(tenant.clone(), subject.clone()));
        self.record(audit);
        Ok(Renaming::Done)
    }

    pub(super) fn delete_account(&mut self, subject: &AccountId, audit: AuditRow) -> Result<Update> {
        let tenant = &audit.tenant.clone();
        let Some(account) = self.account(tenant, subject).cloned() else { return Ok(Update::NotFound) };
        self.end_access(tenant, subject, audit.at);
        self.reserve_name(&account);
        let other = |t: &TenantId, s: &AccountId| t != tenant || s != subject;
        self.accounts.retain(|a| other(&a.tenant, a.subject.id()));
        self.codes.retain(|c| other(&c.tenant, &c.subject));
        self.grants.retain(|g| other(&g.tenant, g.subject.id()));
        self.left_out.retain(|(key, _)| other(&key.tenant, &key.subject));
        self.ended_acting.retain(|ended| other(&ended.tenant, &ended.subject));
        self.members.retain(|(t, _, s)| other(t, s));
        self.unmark(tenant, &MadeByTable::Account(subject.clone()));
        self.places.retain(|(t, s, ..)| other(t, s));
        self.announce(audit.at, Change::AccountDisabled(audit.tenant.clone(), subject.clone()));
        self.done(audit)
    }
}

#[async_trait]
impl AccountStore for MemoryStore {
    async fn insert_account(&self, account: Account, audit: AuditRow) -> Result<Insertion> {
        self.write().insert_account(account, audit)
    }

    async fn find_account_by_name(&self, tenant: &TenantId, name: &LoginName) -> Result<Option<Account>> {
        Ok(self.read().accounts.iter().find(|a| a.tenant == *tenant && a.name == *name).cloned())
    }

    async fn find_account(&self, tenant: &TenantId, subject: &AccountId) -> Result<Option<Account>> {
        Ok(self.read().account(tenant, subject).cloned())
    }

    async fn list_accounts(&self, tenant: &TenantId) -> Result<Vec<Account>> {
        Ok(self.read().accounts.iter().filter(|a| a.tenant == *tenant).cloned().collect())
    }

    async fn set_account_disabled(&self, subject: &AccountId, disabled: bool, audit: AuditRow) -> Result<Update> {
        self.write().set_account_disabled(subject, disabled, audit)
    }

    async fn rename_account(&self, subject: &AccountId, name: &LoginName, audit: AuditRow) -> Result<Renaming> {
        self.write().rename_account(subject, name, audit)
    }

    async fn delete_account(&self, subject: &AccountId, audit: AuditRow) -> Result<Update> {
        self.write().delete_account(subject, audit)
    }

    async fn former_names(&self, tenant: &TenantId) -> Result<Vec<(LoginName, AccountId)>> {
        let state = self.read();
        let mut names: Vec<_> = state.former_names.iter().filter(|(t, ..)| t == tenant).collect();
        names.sort_by(|one, other| one.1.cmp(&other.1));
        Ok(names.into_iter().map(|(_, name, subject)| (name.clone(), subject.clone())).collect())
    }

    async fn change_password(&self, subject: &AccountId, change: PasswordChange, audit: AuditRow) -> Result<Update> {
        let (mut state, tenant) = (self.write(), &audit.tenant);
        let is_as_compared =
            |a: &&Account| a.password.as_deref() == Some(change.old_phc.as_str()) && a.status == AccountStatus::Enabled;
        if state.account(tenant, subject).filter(is_as_compared).is_none() {
            return Ok(Update::NotFound);
        }
        let at = change.new.at;
        state.replace_password(tenant, subject, change.new)?;
        if change.end_grants {
            state.end_access(tenant, subject, at);
        } else {
            state.links.retain(|l| l.tenant != *tenant || l.subject != *subject);
            state.sessions.retain(|s| s.tenant != *tenant || s.subject != *subject);
            state.codes.retain(|c| c.tenant != *tenant || c.subject != *subject || c.used_at.is_some());
        }
        state.done(audit)
    }

    async fn set_password(&self, subject: &AccountId, new: NewPassword, audit: AuditRow) -> Result<Update> {
        self.write().put_password(subject, new, audit)
    }

    async fn rehash_password(&self, tenant: &TenantId, subject: &AccountId, old: &str, new: String) -> Result<Update> {
        limits::password_hash(&new)?;
        let mut state = self.write();
        let unchanged = state.account_mut(tenant, subject).filter(|a| a.password.as_deref() == Some(old));
        let Some(account) = unchanged else { return Ok(Update::NotFound) };
        account.password = Some(new);
        Ok(Update::Done)
    }

    async fn insert_setup_link(&self, link: SetupLink, audit: AuditRow) -> Result<()> {
        let mut state = self.write();
        if state.account(&link.tenant, &link.subject).is_none_or(|a| !a.subject.is_person()) {
            return Err(StoreError::Conflict("the account is not in the store".to_owned()));
        }
        state.links.retain(|l| l.tenant != link.tenant || l.subject != link.subject);
        state.links.push(link);
        state.record(audit);
        Ok(())
    }

    async fn find_setup_link(&self, tenant: &TenantId, hash: &LinkHash, now: Timestamp) -> Result<Option<SetupLink>> {
        Ok(self.read().link(tenant, hash, now))
    }

    async fn redeem_setup_link(&self, hash: &LinkHash, new: NewPassword, audit: AuditRow) -> Result<Update> {
        let mut state = self.write();
        let Some(link) = state.link(&audit.tenant, hash, new.at) else { return Ok(Update::NotFound) };
        state.put_password(&link.subject, new, audit)
    }
}
