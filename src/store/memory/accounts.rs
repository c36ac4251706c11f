//! Accounts and set-password links in memory.

use async_trait::async_trait;

use super::super::{
    Account, AccountStatus, AccountStore, AuditRow, Change, Insertion, NewPassword, SetupLink, StoreError, Update,
    limits,
};
use super::{MemoryStore, State};
use crate::oauth::{Subject, TenantId, Timestamp, TokenHash};

impl State {
    pub(super) fn account_mut(&mut self, tenant: &TenantId, subject: &Subject) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|a| a.tenant == *tenant && a.subject == *subject)
    }

    /// Sets the password and ends what the old one gave rise to.
    fn put_password(&mut self, tenant: &TenantId, subject: &Subject, new: NewPassword) -> Update {
        let Some(account) = self.account_mut(tenant, subject) else { return Update::NotFound };
        account.password = Some(new.phc);
        account.password_set_at = Some(new.at);
        account.failed_logins = 0;
        self.forget_failures(tenant, &new.name);
        self.end_access(tenant, subject, new.at);
        Update::Done
    }
}

#[async_trait]
impl AccountStore for MemoryStore {
    async fn insert_account(&self, account: Account, audit: AuditRow) -> Result<Insertion, StoreError> {
        limits::account(&account)?;
        let mut state = self.write();
        let taken =
            |a: &Account| a.tenant == account.tenant && (a.name == account.name || a.subject == account.subject);
        if state.accounts.iter().any(taken) {
            return Ok(Insertion::Exists);
        }
        state.accounts.push(account);
        state.record(audit);
        Ok(Insertion::Inserted)
    }

    async fn find_account_by_name(&self, tenant: &TenantId, name: &str) -> Result<Option<Account>, StoreError> {
        let name = name.to_lowercase();
        Ok(self.read().accounts.iter().find(|a| a.tenant == *tenant && a.name == name).cloned())
    }

    async fn find_account(&self, tenant: &TenantId, subject: &Subject) -> Result<Option<Account>, StoreError> {
        Ok(self.read().account(tenant, subject).cloned())
    }

    async fn list_accounts(&self, tenant: &TenantId) -> Result<Vec<Account>, StoreError> {
        Ok(self.read().accounts.iter().filter(|a| a.tenant == *tenant).cloned().collect())
    }

    async fn set_account_disabled(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        disabled: bool,
        audit: AuditRow,
    ) -> Result<Update, StoreError> {
        let mut state = self.write();
        let Some(account) = state.account_mut(tenant, subject) else { return Ok(Update::NotFound) };
        account.status = if disabled { AccountStatus::Disabled } else { AccountStatus::Enabled };
        if disabled {
            state.end_access(tenant, subject, audit.at);
            state.announce(audit.at, Change::AccountDisabled(tenant.clone(), subject.clone()));
        }
        state.record(audit);
        Ok(Update::Done)
    }

    async fn set_password(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        new: NewPassword,
        audit: AuditRow,
    ) -> Result<Update, StoreError> {
        limits::password_hash(&new.phc)?;
        let mut state = self.write();
        let update = state.put_password(tenant, subject, new);
        if update == Update::Done {
            state.record(audit);
        }
        Ok(update)
    }

    async fn rehash_password(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        old_phc: &str,
        new_phc: String,
    ) -> Result<Update, StoreError> {
        limits::password_hash(&new_phc)?;
        let mut state = self.write();
        let unchanged = state.account_mut(tenant, subject).filter(|a| a.password.as_deref() == Some(old_phc));
        let Some(account) = unchanged else { return Ok(Update::NotFound) };
        account.password = Some(new_phc);
        Ok(Update::Done)
    }

    async fn insert_setup_link(&self, link: SetupLink, audit: AuditRow) -> Result<(), StoreError> {
        let mut state = self.write();
        if state.account(&link.tenant, &link.subject).is_none() {
            return Err(StoreError::Conflict("the account is not in the store".to_owned()));
        }
        state.links.retain(|l| l.tenant != link.tenant || l.subject != link.subject);
        state.links.push(link);
        state.record(audit);
        Ok(())
    }

    async fn find_setup_link(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SetupLink>, StoreError> {
        Ok(self.read().link(tenant, hash, now))
    }

    async fn redeem_setup_link(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        new: NewPassword,
        audit: AuditRow,
    ) -> Result<Update, StoreError> {
        limits::password_hash(&new.phc)?;
        let mut state = self.write();
        let Some(link) = state.link(tenant, hash, new.at) else { return Ok(Update::NotFound) };
        let update = state.put_password(&link.tenant, &link.subject, new);
        if update == Update::Done {
            state.record(audit);
        }
        Ok(update)
    }
}
