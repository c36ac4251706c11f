//! Login names: once given to an account, a name is never given to another.

use rusqlite::{Connection, params};

use super::row::{self, execute, execute_once};
use crate::oauth::{AccountId, LoginName, TenantId};
use crate::store::{Account, Result};

/// Returns whether an account other than `subject` has a name or had it before.
pub(super) fn is_of_another(db: &Connection, tenant: &TenantId, name: &LoginName, subject: &AccountId) -> Result<bool> {
    let sql = "SELECT subject FROM account WHERE tenant = ?1 AND name = ?2 AND subject <> ?3
        UNION ALL SELECT subject FROM former_name WHERE tenant = ?1 AND name = ?2 AND subject <> ?3 LIMIT 1";
    Ok(row::one(db, sql, params![tenant, name, subject], |c| c.account())?.is_some())
}

/// Reserves the name of an account for its owner.
pub(super) fn reserve(db: &Connection, account: &Account) -> Result<()> {
    execute_once(
        db,
        "INSERT OR REPLACE INTO former_name (tenant, name, subject) VALUES (?1, ?2, ?3)",
        params![account.tenant, account.name, account.subject.id()],
    )
}

/// Releases the reservation of a name that its former owner takes again.
pub(super) fn release(db: &Connection, tenant: &TenantId, name: &LoginName) -> Result<()> {
    execute(db, "DELETE FROM former_name WHERE tenant = ?1 AND name = ?2", params![tenant, name]).map(drop)
}

/// Lists the former names of a tenant's accounts, each with its account.
pub(crate) fn former(db: &Connection, tenant: &TenantId) -> Result<Vec<(LoginName, AccountId)>> {
    let sql = "SELECT name, subject FROM former_name WHERE tenant = ?1 ORDER BY name";
    row::all(db, sql, [tenant], |c| Ok((c.word(LoginName::parse)?, c.account()?)))
}
