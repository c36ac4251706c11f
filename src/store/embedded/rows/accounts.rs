//! Account rows and set-password links.

use rusqlite::{Connection, params};

use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, opened};
use super::words::{parse_disabled, status_word};
use super::{audit, grants, logins, names, sessions};
use crate::oauth::{AccountId, LoginName, Subject, TenantId, Timestamp};
use crate::store::{
    Account, AccountStatus, AuditRow, Change, GrantFilter, Insertion, LinkHash, NewPassword, PasswordChange, Renaming,
    Result, SetupLink, StoreError, Update, limits,
};

const COLUMNS: &str = "no, tenant, subject, kind, name, password, status, failed_logins, last_failed_at, created_at, password_set_at, seal FROM account";

const SELECT_LINK: &str = "SELECT l.hash, l.tenant, a.subject, l.made_at, l.expires_at, l.seal
    FROM setup_link l JOIN account a ON a.no = l.account_no";

fn is_disabled(status: AccountStatus) -> bool {
    match status {
        AccountStatus::Enabled => false,
        AccountStatus::Disabled => true,
    }
}

fn read(c: &mut Columns<'_>) -> Result<(i64, Account)> {
    let no = c.no()?;
    let account = Account {
        tenant: c.tenant()?,
        subject: c.subject()?,
        name: c.word(LoginName::parse)?,
        password: c.optional_text()?.map(str::to_owned),
        status: if c.word(parse_disabled)? { AccountStatus::Disabled } else { AccountStatus::Enabled },
        failed_logins: c.small()?,
        last_failed_at: c.optional_moment()?,
        created_at: c.moment()?,
        password_set_at: c.optional_moment()?,
    };
    Ok((no, opened(account, c.number()?, "an account")?))
}

pub(crate) fn find_by_name(db: &Connection, tenant: &TenantId, name: Option<&LoginName>) -> Result<Option<Account>> {
    let sql = format!("SELECT {COLUMNS} WHERE tenant = ?1 AND name = ?2");
    Ok(row::one(db, &sql, params![tenant, name.map_or("", LoginName::as_str)], read)?.map(|(_, account)| account))
}

pub(crate) fn find(db: &Connection, tenant: &TenantId, subject: &AccountId) -> Result<Option<(i64, Account)>> {
    row::one(db, &format!("SELECT {COLUMNS} WHERE tenant = ?1 AND subject = ?2"), params![tenant, subject], read)
}

/// Returns the row number of the account that a new row refers to.
pub(crate) fn number(db: &Connection, tenant: &TenantId, subject: &Subject) -> Result<i64> {
    let sql = "SELECT no FROM account WHERE tenant = ?1 AND subject = ?2 AND kind = ?3";
    row::one(db, sql, params![tenant, subject.id(), subject.kind()], |c| c.no())?
        .ok_or_else(|| StoreError::Conflict("the account is not in the store".to_owned()))
}

fn save(db: &Connection, no: i64, account: &Account) -> Result<()> {
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

/// Ends everything that a person's password has opened: sessions, set-password links, grants and codes (RT-14).
fn end_access(db: &Connection, no: i64, account: &Account, at: Timestamp) -> Result<()> {
    execute(db, "DELETE FROM setup_link WHERE account_no = ?1", [no])?;
    grants::end_all(db, &GrantFilter::of_account(&account.tenant, account.subject.id()), at).map(drop)
}

pub(crate) fn put_password(db: &Connection, subject: &AccountId, new: NewPassword, row: &AuditRow) -> Result<Update> {
    let person = find(db, &row.tenant, subject)?.filter(|(_, account)| account.subject.is_person());
    let Some((no, account)) = person else { return Ok(Update::NotFound) };
    let at = new.at;
    let account = replace_password(db, no, account, new)?;
    end_access(db, no, &account, at)?;
    audit::done(db, row)
}

fn replace_password(db: &Connection, no: i64, account: Account, new: NewPassword) -> Result<Account> {
    limits::password_hash(&new.phc)?;
    let account = Account { password: Some(new.phc), password_set_at: Some(new.at), failed_logins: 0, ..account };
    save(db, no, &account)?;
    logins::forget_failures(db, &account.tenant, &new.name)?;
    Ok(account)
}

pub(crate) fn change_password(
    db: &Connection,
    subject: &AccountId,
    change: PasswordChange,
    row: &AuditRow,
) -> Result<Update> {
    let is_as_compared = |a: &Account| a.password.as_deref() == Some(change.old_phc.as_str()) && !is_disabled(a.status);
    let Some((no, account)) = find(db, &row.tenant, subject)?.filter(|(_, account)| is_as_compared(account)) else {
        return Ok(Update::NotFound);
    };
    let at = change.new.at;
    let account = replace_password(db, no, account, change.new)?;
    if change.end_grants {
        end_access(db, no, &account, at)?;
    } else {
        execute(db, "DELETE FROM setup_link WHERE account_no = ?1", [no])?;
        sessions::end_all(db, &row.tenant, Some(subject))?;
        // Another browser could still redeem these for a token of which the owner knows nothing yet.
        execute(db, "DELETE FROM code WHERE account_no = ?1 AND used_at IS NULL", [no])?;
    }
    audit::done(db, row)
}

/// Removes an account together with its dependent rows.
pub(crate) fn delete(db: &Connection, subject: &AccountId, row: &AuditRow) -> Result<Update> {
    let Some((no, account)) = find(db, &row.tenant, subject)? else { return Ok(Update::NotFound) };
    // Done first, so that the end of each active grant is announced.
    end_access(db, no, &account, row.at)?;
    names::reserve(db, &account)?;
    execute_once(db, "DELETE FROM account WHERE no = ?1", [no])?;
    audit::announce(db, row.at, &Change::AccountDisabled(row.tenant.clone(), subject.clone()))?;
    audit::done(db, row)
}

pub(crate) fn insert(db: &Connection, account: &Account, row: &AuditRow) -> Result<Insertion> {
    if !add(db, account)? {
        return Ok(Insertion::Exists);
    }
    audit::append(db, row)?;
    Ok(Insertion::Inserted)
}

/// Returns the row number of a person's account; `None` if it is disabled, gone, or no person's.
pub(super) fn enabled_person(db: &Connection, tenant: &TenantId, person: &Subject) -> Result<Option<i64>> {
    let found = find(db, tenant, person.id())?;
    let is_theirs = |account: &Account| account.subject == *person && account.subject.is_person();
    Ok(found.filter(|(_, account)| is_theirs(account) && !is_disabled(account.status)).map(|(no, _)| no))
}

/// Returns the row number of a service account, which is added if need be; `None` if it is disabled.
pub(super) fn enabled_service(db: &Connection, service: &Account) -> Result<Option<i64>> {
    if let Some((no, found)) = find(db, &service.tenant, service.subject.id())? {
        return Ok(Some(no).filter(|_| found.subject == service.subject && !is_disabled(found.status)));
    }
    if add(db, service)? {
        return Ok(Some(db.last_insert_rowid()));
    }
    Err(StoreError::Conflict("the name of the service account is taken".to_owned()))
}

/// Adds an account; returns whether its id and name were free.
fn add(db: &Connection, account: &Account) -> Result<bool> {
    limits::account(account)?;
    let known = "SELECT no FROM account WHERE tenant = ?1 AND subject = ?2";
    let is_known = row::one(db, known, params![account.tenant, account.subject.id()], |c| c.no())?.is_some();
    if is_known || names::is_of_another(db, &account.tenant, &account.name, account.subject.id())? {
        return Ok(false);
    }
    execute_once(
        db,
        "INSERT INTO account (tenant, subject, kind, name, password, status, failed_logins, created_at, password_set_at, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            account.tenant,
            account.subject.id(),
            account.subject.kind(),
            account.name,
            account.password,
            status_word(is_disabled(account.status)),
            account.failed_logins,
            account.created_at,
            account.password_set_at,
            account.seal()
        ],
    )?;
    Ok(true)
}

fn read_link(c: &mut Columns<'_>) -> Result<SetupLink> {
    let link = SetupLink {
        hash: c.hash()?,
        tenant: c.tenant()?,
        subject: c.account()?,
        made_at: c.optional_moment()?,
        expires_at: c.moment()?,
    };
    opened(link, c.number()?, "a set-password link")
}

pub(crate) fn find_link(
    db: &Connection,
    tenant: &TenantId,
    hash: &LinkHash,
    now: Timestamp,
) -> Result<Option<SetupLink>> {
    let sql = format!("{SELECT_LINK} WHERE l.tenant = ?1 AND l.hash = ?2 AND l.expires_at > ?3");
    row::one(db, &sql, params![tenant, hash, now], read_link)
}

/// Lists the accounts of a tenant, oldest first.
pub(crate) fn list(db: &Connection, tenant: &TenantId) -> Result<Vec<Account>> {
    row::all(db, &format!("SELECT {COLUMNS} WHERE tenant = ?1 ORDER BY no"), [tenant], |c| Ok(read(c)?.1))
}

/// Disables or enables an account; disabling ends its sessions, grants and codes.
pub(crate) fn set_disabled(db: &Connection, subject: &AccountId, disabled: bool, row: &AuditRow) -> Result<Update> {
    let Some((no, account)) = find(db, &row.tenant, subject)? else { return Ok(Update::NotFound) };
    let status = if disabled { AccountStatus::Disabled } else { AccountStatus::Enabled };
    if !disabled && account.status == status {
        return Ok(Update::Done);
    }
    let account = Account { status, ..account };
    save(db, no, &account)?;
    if disabled {
        end_access(db, no, &account, row.at)?;
        audit::announce(db, row.at, &Change::AccountDisabled(row.tenant.clone(), subject.clone()))?;
    }
    audit::done(db, row)
}

/// Renames an account, if the name is free for it.
pub(crate) fn rename(db: &Connection, subject: &AccountId, name: LoginName, row: &AuditRow) -> Result<Renaming> {
    let Some((no, account)) = find(db, &row.tenant, subject)? else { return Ok(Renaming::NotFound) };
    if names::is_of_another(db, &row.tenant, &name, subject)? {
        return Ok(Renaming::Taken);
    }
    names::reserve(db, &account)?;
    names::release(db, &row.tenant, &name)?;
    let account = Account { name, ..account };
    let sql = "UPDATE account SET name = ?2, seal = ?3 WHERE no = ?1";
    execute_once(db, sql, params![no, account.name, account.seal()])?;
    audit::announce(db, row.at, &Change::AccountRenamed(row.tenant.clone(), subject.clone()))?;
    audit::append(db, row)?;
    Ok(Renaming::Done)
}

/// Replaces a password hash by a new hash of the same password, if it is still the one that was read.
pub(crate) fn rehash(
    db: &Connection,
    tenant: &TenantId,
    subject: &AccountId,
    old: &str,
    new: String,
) -> Result<Update> {
    limits::password_hash(&new)?;
    let unchanged = find(db, tenant, subject)?.filter(|(_, a)| a.password.as_deref() == Some(old));
    let Some((no, account)) = unchanged else { return Ok(Update::NotFound) };
    save(db, no, &Account { password: Some(new), ..account })?;
    Ok(Update::Done)
}

/// Stores a link and removes the earlier ones of its account.
pub(crate) fn put_link(db: &Connection, link: &SetupLink, row: &AuditRow) -> Result<()> {
    let account_no = number(db, &link.tenant, &Subject::Person(link.subject.clone()))?;
    execute(db, "DELETE FROM setup_link WHERE account_no = ?1", [account_no])?;
    execute_once(
        db,
        "INSERT INTO setup_link (hash, tenant, account_no, made_at, expires_at, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![link.hash, link.tenant, account_no, link.made_at, link.expires_at, link.seal()],
    )?;
    audit::append(db, row)
}

/// Reads every account and link, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    let mut found = row::unreadable(db, &format!("SELECT {COLUMNS}"), "account", |c| read(c).map(drop))?;
    found.extend(row::unreadable(db, SELECT_LINK, "set-password link", |c| read_link(c).map(drop))?);
    Ok(found)
}
