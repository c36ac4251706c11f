//! Which clients may no longer act for whom, because that was ended.

use rusqlite::{Connection, params};

use super::audit;
use super::parties::{of_parties, selected};
use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, opened};
use crate::oauth::{GrantId, TenantId, Timestamp};
use crate::store::{AuditRow, EndedActing, GrantFilter, Result};

const SELECT: &str = "SELECT e.tenant, a.subject, c.client_id, e.ended_at, e.seal FROM ended_acting e
    JOIN account a ON a.no = e.account_no JOIN client c ON c.no = e.client_no";

fn read(c: &mut Columns<'_>) -> Result<EndedActing> {
    let ended = EndedActing { tenant: c.tenant()?, subject: c.account()?, client: c.client()?, at: c.moment()? };
    opened(ended, c.number()?, "that a client may not act for somebody")
}

/// Returns whether it was ended that a client acts for an account. A damaged row counts.
pub(super) fn is_ended(db: &Connection, account_no: i64, client_no: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM ended_acting WHERE account_no = ?1 AND client_no = ?2";
    Ok(row::one(db, sql, params![account_no, client_no], |c| c.no())?.is_some())
}

/// Returns who acted for whom under those unrevoked grants that a condition selects.
fn standing(db: &Connection, which: &str, params: impl rusqlite::Params) -> Result<Vec<(i64, i64, EndedActing)>> {
    let sql = format!(
        "SELECT DISTINCT account_no, client_no, tenant,
             (SELECT subject FROM account WHERE no = account_no), (SELECT client_id FROM client WHERE no = client_no)
         FROM grants WHERE acting = 1 AND revoked_at IS NULL AND {which}"
    );
    row::all(db, &sql, params, |c| {
        let (account_no, client_no) = (c.no()?, c.no()?);
        let at = Timestamp::default();
        Ok((account_no, client_no, EndedActing { tenant: c.tenant()?, subject: c.account()?, client: c.client()?, at }))
    })
}

/// Records that clients may no longer act.
fn end(db: &Connection, standing: Vec<(i64, i64, EndedActing)>, at: Timestamp) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO ended_acting (account_no, client_no, tenant, ended_at, seal)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    standing.into_iter().try_for_each(|(account_no, client_no, ended)| {
        let ended = EndedActing { at, ..ended };
        execute_once(db, sql, params![account_no, client_no, ended.tenant, ended.at, ended.seal()])
    })
}

/// Keeps the client of a grant that is about to end from acting for its person again.
pub(crate) fn end_of(db: &Connection, tenant: &TenantId, id: GrantId, at: Timestamp) -> Result<()> {
    let found = standing(db, "tenant = ?1 AND id = ?2", params![tenant, id])?;
    end(db, found, at)
}

/// Keeps the clients of those grants from acting that are about to end with the access of one account.
pub(super) fn end_of_account(db: &Connection, of: &GrantFilter, at: Timestamp) -> Result<()> {
    if of.subject.is_none() {
        return Ok(());
    }
    let which = format!("tenant = ?1 AND {}", selected(of, "grants"));
    let found = standing(db, &which, params![of.tenant, of.subject, of.client, of.resource])?;
    end(db, found, at)
}

/// Keeps every client of a restored store from acting for the same people again: it may have been ended after the
/// backup was made.
pub(crate) fn end_every(db: &Connection, at: Timestamp) -> Result<()> {
    let found = standing(db, "1", [])?;
    end(db, found, at)
}

/// Lists what a filter selects, the newest first.
pub(crate) fn list(db: &Connection, of: &GrantFilter) -> Result<Vec<EndedActing>> {
    let parties = of_parties(of);
    let sql = format!("{SELECT} WHERE e.tenant = ?1 AND e.{parties} ORDER BY e.ended_at DESC, a.subject, c.client_id");
    row::all(db, &sql, params![of.tenant, of.subject, of.client], read)
}

/// Lifts what a filter selects, without reading it, so that a damaged row can be lifted too; returns how many.
pub(crate) fn resume(db: &Connection, of: &GrantFilter, row: &AuditRow) -> Result<u64> {
    let sql = format!("DELETE FROM ended_acting WHERE tenant = ?1 AND {}", of_parties(of));
    let lifted = execute(db, &sql, params![of.tenant, of.subject, of.client])?;
    if lifted > 0 {
        audit::append(db, row)?;
    }
    Ok(u64::try_from(lifted).unwrap_or(u64::MAX))
}

/// Reads every row, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT, "end of acting for somebody", |c| read(c).map(drop))
}
