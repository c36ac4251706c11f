//! Account rows and set-password links.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::super::{
    Account, AccountStatus, AccountStore, AuditRow, Change, Insertion, NewPassword, PasswordChange, Renaming,
    SetupLink, StoreError, Update, limits,
};
use super::clients::{parse_disabled, status_word};
use super::operation::EndedBy;
use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, opened};
use super::{EmbeddedStore, audit, grants, logins, names, sessions};
use crate::oauth::{Subject, TenantId, Timestamp, TokenHash};

const COLUMNS: &str = "no, tenant, subject, name, password, status, failed_logins, last_failed_at, created_at, password_set_at, seal FROM account";

const SELECT_LINK: &str = "SELECT l.hash, l.tenant, a.subject, l.made_at, l.expires_at, l.seal
    FROM setup_link l JOIN account a ON a.no = l.account_no";

fn is_disabled(status: AccountStatus) -> bool {
    match status {
        AccountStatus::Enabled => false,
        AccountStatus::Disabled => true,
    }
}

fn read(c: &mut Columns<'_>) -> Result<(i64, Account), StoreError> {
    let no = c.no()?;
    let account = Account {
        tenant: c.tenant()?,
        subject: c.subject()?,
        name: c.text()?.to_owned(),
        password: c.optional_text()?.map(str::to_owned),
        status: if c.word(parse_disabled)? { AccountStatus::Disabled } else { AccountStatus::Enabled },
        failed_logins: c.small()?,
        last_failed_at: c.optional_moment()?,
        created_at: c.moment()?,
        password_set_at: c.optional_moment()?,
    };
    Ok((no, opened(account, c.number()?, "an account")?))
}

pub(super) fn find_by_name(db: &Connection, tenant: &TenantId, name: &str) -> Result<Option<Account>, StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE tenant = ?1 AND name = ?2");
    Ok(row::one(db, &sql, params![tenant, name], read)?.map(|(_, account)| account))
}

pub(super) fn find(
    db: &Connection,
    tenant: &TenantId,
    subject: &Subject,
) -> Result<Option<(i64, Account)>, StoreError> {
    row::one(db, &format!("SELECT {COLUMNS} WHERE tenant = ?1 AND subject = ?2"), params![tenant, subject], read)
}

/// Returns the number of the account that a new row is about.
pub(super) fn number(db: &Connection, tenant: &TenantId, subject: &Subject) -> Result<i64, StoreError> {
    let sql = "SELECT no FROM account WHERE tenant = ?1 AND subject = ?2";
    row::one(db, sql, params![tenant, subject], |c| c.no())?
        .ok_or_else(|| StoreError::Conflict("the account is not in the store".to_owned()))
}

fn save(db: &Connection, no: i64, account: &Account) -> Result<(), StoreError> {
    execute_once(
        db,
        "UPDATE account SET password = ?2, status = ?3, failed_logins = ?4, last_failed_at = ?5, password_set_at = ?6, seal = ?7
         WHERE no = ?1",
        params![
            no,
            account.password,
            status_word(is_disabled(account.status)),
            account.failed_logins,
            account.last_failed_at,
            account.password_set_at,
            account.seal()
        ],
    )
}

/// Ends what a person's password gave rise to: sessions, set-password links, grants and codes (RT-14).
fn end_access(db: &Connection, no: i64, account: &Account, at: Timestamp) -> Result<(), StoreError> {
    execute(db, "DELETE FROM setup_link WHERE account_no = ?1", [no])?;
    grants::end_all(db, &account.tenant, Some(&account.subject), None, at)?;
    Ok(())
}

fn put_password(
    db: &Connection,
    tenant: &TenantId,
    subject: &Subject,
    new: NewPassword,
    row: &AuditRow,
) -> Result<Update, StoreError> {
    let Some((no, account)) = find(db, tenant, subject)? else { return Ok(Update::NotFound) };
    let at = new.at;
    let account = replace_password(db, no, account, new)?;
    end_access(db, no, &account, at)?;
    audit::append(db, row)?;
    Ok(Update::Done)
}

fn replace_password(db: &Connection, no: i64, account: Account, new: NewPassword) -> Result<Account, StoreError> {
    let account = Account { password: Some(new.phc), password_set_at: Some(new.at), failed_logins: 0, ..account };
    save(db, no, &account)?;
    logins::forget_failures(db, &account.tenant, &new.name)?;
    Ok(account)
}

fn change_password(
    db: &Connection,
    tenant: &TenantId,
    subject: &Subject,
    change: PasswordChange,
    row: &AuditRow,
) -> Result<Update, StoreError> {
    let is_as_compared = |a: &Account| a.password.as_deref() == Some(change.old_phc.as_str()) && !is_disabled(a.status);
    let Some((no, account)) = find(db, tenant, subject)?.filter(|(_, account)| is_as_compared(account)) else {
        return Ok(Update::NotFound);
    };
    let at = change.new.at;
    let account = replace_password(db, no, account, change.new)?;
    if change.end_grants {
        end_access(db, no, &account, at)?;
    } else {
        execute(db, "DELETE FROM setup_link WHERE account_no = ?1", [no])?;
        sessions::end_all(db, tenant, Some(subject))?;
        // What another browser may still fetch a token with that its owner has not seen yet.
        execute(db, "DELETE FROM code WHERE account_no = ?1 AND used_at IS NULL", [no])?;
    }
    audit::append(db, row)?;
    Ok(Update::Done)
}

/// Removes an account; what hangs on it goes with it.
fn delete(db: &Connection, tenant: &TenantId, subject: &Subject, row: &AuditRow) -> Result<Update, StoreError> {
    let Some((no, account)) = find(db, tenant, subject)? else { return Ok(Update::NotFound) };
    // First, so that each grant that stood is announced.
    end_access(db, no, &account, row.at)?;
    names::reserve(db, &account)?;
    execute_once(db, "DELETE FROM account WHERE no = ?1", [no])?;
    audit::announce(db, row.at, &Change::AccountDisabled(tenant.clone(), subject.clone()))?;
    audit::append(db, row)?;
    Ok(Update::Done)
}

fn insert(db: &Connection, account: &Account) -> Result<Insertion, StoreError> {
    let known = "SELECT no FROM account WHERE tenant = ?1 AND subject = ?2";
    let is_known = row::one(db, known, params![account.tenant, account.subject], |c| c.no())?.is_some();
    if is_known || names::is_of_another(db, &account.tenant, &account.name, &account.subject)? {
        return Ok(Insertion::Exists);
    }
    execute_once(
        db,
        "INSERT INTO account (tenant, subject, name, password, status, failed_logins, created_at, password_set_at, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            account.tenant,
            account.subject,
            account.name,
            account.password,
            status_word(is_disabled(account.status)),
            account.failed_logins,
            account.created_at,
            account.password_set_at,
            account.seal()
        ],
    )?;
    Ok(Insertion::Inserted)
}

fn read_link(c: &mut Columns<'_>) -> Result<SetupLink, StoreError> {
    let link = SetupLink {
        hash: c.hash()?,
        tenant: c.tenant()?,
        subject: c.subject()?,
        made_at: c.optional_moment()?,
        expires_at: c.moment()?,
    };
    opened(link, c.number()?, "a set-password link")
}

fn find_link(
    db: &Connection,
    tenant: &TenantId,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<Option<SetupLink>, StoreError> {
    let sql = format!("{SELECT_LINK} WHERE l.tenant = ?1 AND l.hash = ?2 AND l.expires_at > ?3");
    row::one(db, &sql, params![tenant, hash, now], read_link)
}

/// Reads every account and link, to see whether it can be read.
pub(super) fn check(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut found = super::check::unreadable(db, &format!("SELECT {COLUMNS}"), "account", |c| read(c).map(drop))?;
    found.extend(super::check::unreadable(db, SELECT_LINK, "set-password link", |c| read_link(c).map(drop))?);
    Ok(found)
}

#[async_trait]
impl AccountStore for EmbeddedStore {
    async fn insert_account(&self, account: Account, audit: AuditRow) -> Result<Insertion, StoreError> {
        limits::account(&account)?;
        self.write(move |db| {
            let insertion = insert(db, &account)?;
            if insertion == Insertion::Inserted {
                audit::append(db, &audit)?;
            }
            Ok(insertion)
        })
        .await
    }

    async fn find_account_by_name(&self, tenant: &TenantId, name: &str) -> Result<Option<Account>, StoreError> {
        let (tenant, name) = (tenant.clone(), name.to_lowercase());
        self.read(move |db| find_by_name(db, &tenant, &name)).await
    }

    async fn find_account(&self, tenant: &TenantId, subject: &Subject) -> Result<Option<Account>, StoreError> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.read(move |db| Ok(find(db, &tenant, &subject)?.map(|(_, account)| account))).await
    }

    async fn list_accounts(&self, tenant: &TenantId) -> Result<Vec<Account>, StoreError> {
        let tenant = tenant.clone();
        self.read(move |db| {
            let sql = format!("SELECT {COLUMNS} WHERE tenant = ?1 ORDER BY no");
            row::all(db, &sql, [&tenant], |c| Ok(read(c)?.1))
        })
        .await
    }

    async fn set_account_disabled(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        disabled: bool,
        audit: AuditRow,
    ) -> Result<Update, StoreError> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        let by = EndedBy::of(&audit);
        let work = move |db: &Connection| {
            let Some((no, account)) = find(db, &tenant, &subject)? else { return Ok(Update::NotFound) };
            let status = if disabled { AccountStatus::Disabled } else { AccountStatus::Enabled };
            let account = Account { status, ..account };
            save(db, no, &account)?;
            if disabled {
                end_access(db, no, &account, audit.at)?;
                audit::announce(db, audit.at, &Change::AccountDisabled(tenant.clone(), subject.clone()))?;
            }
            audit::append(db, &audit)?;
            Ok(Update::Done)
        };
        if disabled { self.write_urgently(by, work).await } else { self.write(work).await }
    }

    async fn rename_account(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        name: &str,
        audit: AuditRow,
    ) -> Result<Renaming, StoreError> {
        limits::login_name(name)?;
        let (tenant, subject, name) = (tenant.clone(), subject.clone(), name.to_owned());
        self.write(move |db| names::rename(db, &tenant, &subject, name, &audit)).await
    }

    async fn delete_account(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        audit: AuditRow,
    ) -> Result<Update, StoreError> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.write_urgently(EndedBy::of(&audit), move |db| delete(db, &tenant, &subject, &audit)).await
    }

    async fn former_names(&self, tenant: &TenantId) -> Result<Vec<(String, Subject)>, StoreError> {
        let tenant = tenant.clone();
        self.read(move |db| names::former(db, &tenant)).await
    }

    async fn change_password(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        change: PasswordChange,
        audit: AuditRow,
    ) -> Result<Update, StoreError> {
        limits::password_hash(&change.new.phc)?;
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.write(move |db| change_password(db, &tenant, &subject, change, &audit)).await
    }

    async fn set_password(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        new: NewPassword,
        audit: AuditRow,
    ) -> Result<Update, StoreError> {
        limits::password_hash(&new.phc)?;
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.write(move |db| put_password(db, &tenant, &subject, new, &audit)).await
    }

    async fn rehash_password(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        old_phc: &str,
        new_phc: String,
    ) -> Result<Update, StoreError> {
        limits::password_hash(&new_phc)?;
        let (tenant, subject, old_phc) = (tenant.clone(), subject.clone(), old_phc.to_owned());
        self.write(move |db| {
            let unchanged = find(db, &tenant, &subject)?.filter(|(_, a)| a.password.as_ref() == Some(&old_phc));
            let Some((no, account)) = unchanged else { return Ok(Update::NotFound) };
            save(db, no, &Account { password: Some(new_phc), ..account })?;
            Ok(Update::Done)
        })
        .await
    }

    async fn insert_setup_link(&self, link: SetupLink, audit: AuditRow) -> Result<(), StoreError> {
        self.write(move |db| {
            let account_no = number(db, &link.tenant, &link.subject)?;
            execute(db, "DELETE FROM setup_link WHERE account_no = ?1", [account_no])?;
            execute_once(
                db,
                "INSERT INTO setup_link (hash, tenant, account_no, made_at, expires_at, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![link.hash, link.tenant, account_no, link.made_at, link.expires_at, link.seal()],
            )?;
            audit::append(db, &audit)
        })
        .await
    }

    async fn find_setup_link(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SetupLink>, StoreError> {
        let (tenant, hash) = (tenant.clone(), *hash);
        self.read(move |db| find_link(db, &tenant, &hash, now)).await
    }

    async fn redeem_setup_link(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        new: NewPassword,
        audit: AuditRow,
    ) -> Result<Update, StoreError> {
        limits::password_hash(&new.phc)?;
        let (tenant, hash) = (tenant.clone(), *hash);
        self.write(move |db| match find_link(db, &tenant, &hash, new.at)? {
            // Setting the password removes every link of the account, this one too.
            Some(link) => put_password(db, &link.tenant, &link.subject, new, &audit),
            None => Ok(Update::NotFound),
        })
        .await
    }
}
