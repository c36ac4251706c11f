//! `AccountStore`: accounts and set-password links.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::oauth::{AccountId, LoginName, TenantId, Timestamp};
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{accounts, audit, names};
use crate::store::{
    Account, AccountStore, AuditRow, Insertion, LinkHash, NewPassword, PasswordChange, Renaming, Result, SetupLink,
    Update, limits,
};

#[async_trait]
impl AccountStore for EmbeddedStore {
    async fn insert_account(&self, account: Account, audit: AuditRow) -> Result<Insertion> {
        limits::account(&account)?;
        self.write(move |db| {
            let insertion = accounts::insert(db, &account)?;
            if insertion == Insertion::Inserted {
                audit::append(db, &audit)?;
            }
            Ok(insertion)
        })
        .await
    }

    async fn find_account_by_name(&self, tenant: &TenantId, name: &LoginName) -> Result<Option<Account>> {
        let (tenant, name) = (tenant.clone(), name.clone());
        self.read(move |db| accounts::find_by_name(db, &tenant, Some(&name))).await
    }

    async fn find_account(&self, tenant: &TenantId, subject: &AccountId) -> Result<Option<Account>> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.read(move |db| Ok(accounts::find(db, &tenant, &subject)?.map(|(_, account)| account))).await
    }

    async fn list_accounts(&self, tenant: &TenantId) -> Result<Vec<Account>> {
        let tenant = tenant.clone();
        self.read(move |db| accounts::list(db, &tenant)).await
    }

    async fn set_account_disabled(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        disabled: bool,
        audit: AuditRow,
    ) -> Result<Update> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        let by = EndedBy::of(&audit);
        let work = move |db: &Connection| accounts::set_disabled(db, &tenant, &subject, disabled, &audit);
        if disabled { self.write_urgently(by, work).await } else { self.write(work).await }
    }

    async fn rename_account(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        name: &LoginName,
        audit: AuditRow,
    ) -> Result<Renaming> {
        let (tenant, subject, name) = (tenant.clone(), subject.clone(), name.clone());
        self.write(move |db| accounts::rename(db, &tenant, &subject, name, &audit)).await
    }

    async fn delete_account(&self, tenant: &TenantId, subject: &AccountId, audit: AuditRow) -> Result<Update> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.write_urgently(EndedBy::of(&audit), move |db| accounts::delete(db, &tenant, &subject, &audit)).await
    }

    async fn former_names(&self, tenant: &TenantId) -> Result<Vec<(LoginName, AccountId)>> {
        let tenant = tenant.clone();
        self.read(move |db| names::former(db, &tenant)).await
    }

    async fn change_password(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        change: PasswordChange,
        audit: AuditRow,
    ) -> Result<Update> {
        limits::password_hash(&change.new.phc)?;
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.write(move |db| accounts::change_password(db, &tenant, &subject, change, &audit)).await
    }

    async fn set_password(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        new: NewPassword,
        audit: AuditRow,
    ) -> Result<Update> {
        limits::password_hash(&new.phc)?;
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.write(move |db| accounts::put_password(db, &tenant, &subject, new, &audit)).await
    }

    async fn rehash_password(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        old_phc: &str,
        new_phc: String,
    ) -> Result<Update> {
        limits::password_hash(&new_phc)?;
        let (tenant, subject, old_phc) = (tenant.clone(), subject.clone(), old_phc.to_owned());
        self.write(move |db| accounts::rehash(db, &tenant, &subject, &old_phc, new_phc)).await
    }

    async fn insert_setup_link(&self, link: SetupLink, audit: AuditRow) -> Result<()> {
        self.write(move |db| accounts::put_link(db, &link, &audit)).await
    }

    async fn find_setup_link(&self, tenant: &TenantId, hash: &LinkHash, now: Timestamp) -> Result<Option<SetupLink>> {
        let (tenant, hash) = (tenant.clone(), *hash);
        self.read(move |db| accounts::find_link(db, &tenant, &hash, now)).await
    }

    async fn redeem_setup_link(
        &self,
        tenant: &TenantId,
        hash: &LinkHash,
        new: NewPassword,
        audit: AuditRow,
    ) -> Result<Update> {
        limits::password_hash(&new.phc)?;
        let (tenant, hash) = (tenant.clone(), *hash);
        self.write(move |db| match accounts::find_link(db, &tenant, &hash, new.at)? {
            // Setting the password removes every link of the account, this one too.
            Some(link) => accounts::put_password(db, &link.tenant, &link.subject, new, &audit),
            None => Ok(Update::NotFound),
        })
        .await
    }
}
