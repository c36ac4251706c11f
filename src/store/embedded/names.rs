//! Login names: given once, and then nobody else's for good.

use rusqlite::{Connection, params};

use super::super::{Account, AuditRow, Change, Renaming, StoreError};
use super::row::{self, execute, execute_once};
use super::seal::Sealed as _;
use super::{accounts, audit};
use crate::oauth::{Subject, TenantId};

/// Returns whether somebody else than `subject` has a name, or had it once.
pub(super) fn is_of_another(
    db: &Connection,
    tenant: &TenantId,
    name: &str,
    subject: &Subject,
) -> Result<bool, StoreError> {
    let sql = "SELECT subject FROM account WHERE tenant = ?1 AND name = ?2 AND subject <> ?3
        UNION ALL SELECT subject FROM former_name WHERE tenant = ?1 AND name = ?2 AND subject <> ?3 LIMIT 1";
    Ok(row::one(db, sql, params![tenant, name, subject], |c| c.subject())?.is_some())
}

/// Keeps the name of an account for whoever has it.
pub(super) fn reserve(db: &Connection, account: &Account) -> Result<(), StoreError> {
    execute_once(
        db,
        "INSERT OR REPLACE INTO former_name (tenant, name, subject) VALUES (?1, ?2, ?3)",
        params![account.tenant, account.name, account.subject],
    )
}

/// Gives an account another name, if it is free for it.
pub(super) fn rename(
    db: &Connection,
    tenant: &TenantId,
    subject: &Subject,
    name: String,
    row: &AuditRow,
) -> Result<Renaming, StoreError> {
    let Some((no, account)) = accounts::find(db, tenant, subject)? else { return Ok(Renaming::NotFound) };
    if is_of_another(db, tenant, &name, subject)? {
        return Ok(Renaming::Taken);
    }
    reserve(db, &account)?;
    execute(db, "DELETE FROM former_name WHERE tenant = ?1 AND name = ?2", params![tenant, name])?;
    let account = Account { name, ..account };
    let sql = "UPDATE account SET name = ?2, seal = ?3 WHERE no = ?1";
    execute_once(db, sql, params![no, account.name, account.seal()])?;
    audit::announce(db, row.at, &Change::AccountRenamed(tenant.clone(), subject.clone()))?;
    audit::append(db, row)?;
    Ok(Renaming::Done)
}

/// Lists the names that accounts of a tenant had, with whose they were.
pub(super) fn former(db: &Connection, tenant: &TenantId) -> Result<Vec<(String, Subject)>, StoreError> {
    let sql = "SELECT name, subject FROM former_name WHERE tenant = ?1 ORDER BY name";
    row::all(db, sql, [tenant], |c| Ok((c.text()?.to_owned(), c.subject()?)))
}
