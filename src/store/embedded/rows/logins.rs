//! The places that accounts have signed in from, and failed logins by name.

use rusqlite::{Connection, params};

use super::row::{self, execute, execute_once};
use crate::oauth::{AccountId, LoginNameHash, TenantId, Timestamp};
use crate::store::record::{LOGIN_FAILURES_KEPT, PLACES_PER_ACCOUNT};
use crate::store::{Account, LoginHistory, LoginPlace, Result, SignIn};

/// Reads the history by which an attempt to sign in is judged; includes the account's if one has the name.
pub(crate) fn history(db: &Connection, attempt: &SignIn, account: Option<Account>) -> Result<LoginHistory> {
    let subject = account.as_ref().map_or("", |a| a.subject.as_str());
    let [first, second] = attempt.places.map(|place| last_login(db, &attempt.tenant, subject, place));
    let last_logins = [first?, second?];
    Ok(LoginHistory { failures: failures(db, attempt)?, last_logins, account })
}

/// Returns how many attempts for a name have failed in a row.
fn failures(db: &Connection, attempt: &SignIn) -> Result<u32> {
    let sql = "SELECT failures, last_failed_at FROM login_failure WHERE tenant = ?1 AND name = ?2";
    let found = row::one(db, sql, params![attempt.tenant, attempt.hash], |c| Ok((c.small()?, c.moment()?)))?;
    Ok(found.filter(|(_, last)| attempt.now < last.plus(LOGIN_FAILURES_KEPT)).map_or(0, |(failures, _)| failures))
}

/// Resets the count of failures of a name.
pub(super) fn forget_failures(db: &Connection, tenant: &TenantId, name: &LoginNameHash) -> Result<()> {
    execute(db, "DELETE FROM login_failure WHERE tenant = ?1 AND name = ?2", params![tenant, name]).map(drop)
}

/// Stores a sign-in from a place, and removes the least recently used places of its kind that are too many.
fn remember(db: &Connection, account_no: i64, tenant: &TenantId, place: LoginPlace, now: Timestamp) -> Result<()> {
    execute(
        db,
        "INSERT OR REPLACE INTO login_network (account_no, network, tenant, last_login_at) VALUES (?1, ?2, ?3, ?4)",
        params![account_no, place.to_stored(), tenant, now],
    )?;
    let is_host = matches!(place, LoginPlace::Host(_));
    let newest = i64::try_from(PLACES_PER_ACCOUNT).unwrap_or(i64::MAX);
    execute(
        db,
        "DELETE FROM login_network WHERE account_no = ?1 AND (instr(network, '/') > 0) = ?2 AND network NOT IN
            (SELECT network FROM login_network WHERE account_no = ?1 AND (instr(network, '/') > 0) = ?2
                ORDER BY last_login_at DESC LIMIT ?3)",
        params![account_no, is_host, newest],
    )
    .map(drop)
}

/// Finds when an account last signed in from a place.
fn last_login(db: &Connection, tenant: &TenantId, subject: &str, place: LoginPlace) -> Result<Option<Timestamp>> {
    let sql = "SELECT n.last_login_at FROM login_network n JOIN account a ON a.no = n.account_no
        WHERE a.tenant = ?1 AND a.subject = ?2 AND n.network = ?3";
    row::one(db, sql, params![tenant, subject, place.to_stored()], |c| c.moment())
}

/// Counts a failed attempt for a name; returns how many have failed in a row.
pub(crate) fn record_failure(db: &Connection, attempt: &SignIn, subject: Option<&AccountId>) -> Result<u32> {
    let failures = failures(db, attempt)?.saturating_add(1);
    let SignIn { tenant, hash, now, .. } = attempt;
    execute_once(
        db,
        "INSERT OR REPLACE INTO login_failure (tenant, name, failures, last_failed_at) VALUES (?1, ?2, ?3, ?4)",
        params![tenant, hash, failures, now],
    )?;
    // Without an account of that name, the same statement runs and changes no row. The seal covers neither count.
    execute(
        db,
        "UPDATE account SET failed_logins = min(failed_logins + 1, 4294967295), last_failed_at = ?3
         WHERE tenant = ?1 AND subject = ?2",
        params![tenant, subject.map_or("", AccountId::as_str), now],
    )?;
    Ok(failures)
}

/// Resets the count of failures, and stores the place that an account has signed in from.
pub(crate) fn record_success(db: &Connection, attempt: &SignIn, subject: &AccountId) -> Result<()> {
    let SignIn { tenant, hash, places, now } = attempt;
    forget_failures(db, tenant, hash)?;
    let account = "SELECT no FROM account WHERE tenant = ?1 AND subject = ?2";
    let Some(no) = row::one(db, account, params![tenant, subject], |c| c.no())? else { return Ok(()) };
    execute(db, "UPDATE account SET failed_logins = 0 WHERE no = ?1 AND failed_logins <> 0", [no])?;
    places.iter().try_for_each(|place| remember(db, no, tenant, *place, *now))
}

/// Removes places that an account has signed in from.
pub(crate) fn forget_places(
    db: &Connection,
    tenant: &TenantId,
    subject: &AccountId,
    places: &[LoginPlace],
) -> Result<()> {
    let sql = "DELETE FROM login_network WHERE network = ?3
        AND account_no = (SELECT no FROM account WHERE tenant = ?1 AND subject = ?2)";
    places.iter().try_for_each(|place| execute(db, sql, params![tenant, subject, place.to_stored()]).map(drop))
}
