//! The networks from which an account has logged in.

use std::net::IpAddr;

use rusqlite::{Connection, params};

use super::super::StoreError;
use super::super::record::NETWORKS_PER_ACCOUNT;
use super::row::{self, execute};
use crate::oauth::{Subject, TenantId, Timestamp};

/// Remembers a login, and forgets the networks that were not used for longest.
pub(super) fn remember(
    db: &Connection,
    tenant: &TenantId,
    subject: &Subject,
    network: IpAddr,
    now: Timestamp,
) -> Result<(), StoreError> {
    let account = "SELECT no FROM account WHERE tenant = ?1 AND subject = ?2";
    let Some(account_no) = row::one(db, account, params![tenant, subject], |c| c.no())? else { return Ok(()) };
    execute(
        db,
        "INSERT OR REPLACE INTO login_network (account_no, network, tenant, last_login_at) VALUES (?1, ?2, ?3, ?4)",
        params![account_no, network.to_string(), tenant, now],
    )?;
    let newest = i64::try_from(NETWORKS_PER_ACCOUNT).unwrap_or(i64::MAX);
    let kept = "SELECT network FROM login_network WHERE account_no = ?1 ORDER BY last_login_at DESC LIMIT ?2";
    let sql = format!("DELETE FROM login_network WHERE account_no = ?1 AND network NOT IN ({kept})");
    execute(db, &sql, params![account_no, newest]).map(drop)
}

pub(super) fn find(
    db: &Connection,
    tenant: &TenantId,
    subject: &Subject,
    network: IpAddr,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT n.last_login_at FROM login_network n JOIN account a ON a.no = n.account_no
        WHERE a.tenant = ?1 AND a.subject = ?2 AND n.network = ?3";
    row::one(db, sql, params![tenant, subject, network.to_string()], |c| c.moment())
}

pub(super) fn forget(db: &Connection, tenant: &TenantId, subject: &Subject, network: IpAddr) -> Result<(), StoreError> {
    let sql = "DELETE FROM login_network WHERE network = ?3
        AND account_no = (SELECT no FROM account WHERE tenant = ?1 AND subject = ?2)";
    execute(db, sql, params![tenant, subject, network.to_string()]).map(drop)
}
