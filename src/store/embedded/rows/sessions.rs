//! Browser sessions and remembered consent.

use rusqlite::{Connection, params};

use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, opened};
use crate::oauth::{AccountId, Lifetime, TenantId, Timestamp};
use crate::store::{Consent, ConsentKey, LoginSession, Result, SessionHash};

const SELECT: &str = "SELECT s.hash, s.tenant, a.subject, s.authenticated_at, s.idle_until, s.idle, s.expires_at,
        s.failures_before, s.last_failure_at, s.seal,
        a.status = 'enabled'
    FROM login_session s JOIN account a ON a.no = s.account_no";

const SELECT_CONSENT: &str =
    "SELECT o.tenant, a.subject, c.client_id, o.resource, o.scopes, o.exclusions, o.client_fingerprint,
        o.given_at, o.expires_at, o.seal
    FROM consent o JOIN account a ON a.no = o.account_no JOIN client c ON c.no = o.client_no";

/// Reads a session and whether its account is enabled.
fn read(c: &mut Columns<'_>) -> Result<(LoginSession, bool)> {
    let session = LoginSession {
        hash: c.hash()?,
        tenant: c.tenant()?,
        subject: c.account()?,
        authenticated_at: c.moment()?,
        idle_until: c.moment()?,
        idle: Lifetime::from_millis(c.number()?),
        expires_at: c.moment()?,
        failed_before: match (c.optional_number()?, c.optional_moment()?) {
            (Some(count), Some(last)) => Some((u32::try_from(count).unwrap_or(u32::MAX), last)),
            _ => None,
        },
    };
    Ok((opened(session, c.number()?, "a login session")?, c.flag()?))
}

fn read_consent(c: &mut Columns<'_>) -> Result<Consent> {
    let consent = Consent {
        key: ConsentKey { tenant: c.tenant()?, subject: c.account()?, client: c.client()?, resource: c.resource()? },
        scopes: c.scopes()?,
        exclusions: c.exclusions()?,
        client_fingerprint: c.hash()?,
        given_at: c.moment()?,
        expires_at: c.moment()?,
    };
    opened(consent, c.number()?, "a consent")
}

/// Finds a session of an enabled account, ended or not.
pub(crate) fn find(db: &Connection, tenant: &TenantId, hash: &SessionHash) -> Result<Option<LoginSession>> {
    let found = row::one(db, &format!("{SELECT} WHERE s.tenant = ?1 AND s.hash = ?2"), params![tenant, hash], read)?;
    Ok(found.and_then(|(session, enabled)| enabled.then_some(session)))
}

/// Ends all sessions of a subject, or of the whole tenant; returns how many.
pub(super) fn end_all(db: &Connection, tenant: &TenantId, subject: Option<&AccountId>) -> Result<usize> {
    match subject {
        Some(subject) => execute(
            db,
            "DELETE FROM login_session
             WHERE account_no = (SELECT no FROM account WHERE tenant = ?1 AND subject = ?2)",
            params![tenant, subject],
        ),
        None => execute(db, "DELETE FROM login_session WHERE tenant = ?1", [tenant]),
    }
}

/// Adds a session of an account.
pub(crate) fn insert(db: &Connection, session: &LoginSession, account_no: i64) -> Result<()> {
    execute_once(
        db,
        "INSERT INTO login_session (hash, tenant, account_no, authenticated_at, idle_until, idle, expires_at,
             failures_before, last_failure_at, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            session.hash,
            session.tenant,
            account_no,
            session.authenticated_at,
            session.idle_until,
            session.idle,
            session.expires_at,
            session.failed_before.map(|(count, _)| count),
            session.failed_before.map(|(_, last)| last),
            session.seal()
        ],
    )
}

/// Ends a session; returns whether it existed.
pub(crate) fn end(db: &Connection, tenant: &TenantId, hash: &SessionHash) -> Result<bool> {
    Ok(execute(db, "DELETE FROM login_session WHERE tenant = ?1 AND hash = ?2", params![tenant, hash])? > 0)
}

/// Extends the idle end of a session that has not ended, if that is due.
pub(crate) fn touch(
    db: &Connection,
    tenant: &TenantId,
    hash: &SessionHash,
    now: Timestamp,
) -> Result<Option<LoginSession>> {
    let Some(session) = find(db, tenant, hash)?.filter(|s| s.is_live(now)) else { return Ok(None) };
    let Some(touched) = session.touched(now) else { return Ok(Some(session)) };
    let sql = "UPDATE login_session SET idle_until = ?2, seal = ?3 WHERE hash = ?1";
    execute_once(db, sql, params![hash, touched.idle_until, touched.seal()])?;
    Ok(Some(touched))
}

/// Treats sessions that a clock ahead of time recorded as used after `latest` as used at `now`; returns how many.
pub(super) fn move_uses_back(db: &Connection, latest: Timestamp, now: Timestamp) -> Result<usize> {
    let sessions = row::all(db, &format!("{SELECT} WHERE s.idle_until - s.idle > ?1"), [latest], read)?;
    for (session, _) in &sessions {
        let idle_until = now.plus(session.idle).min(session.expires_at);
        let moved = LoginSession { idle_until, ..session.clone() };
        let sql = "UPDATE login_session SET idle_until = ?2, seal = ?3 WHERE hash = ?1";
        execute_once(db, sql, params![session.hash, idle_until, moved.seal()])?;
    }
    Ok(sessions.len())
}

/// Stores a consent in place of an earlier one for the same key.
pub(super) fn put_consent(db: &Connection, consent: &Consent, client_no: i64, account_no: i64) -> Result<()> {
    execute_once(
        db,
        "INSERT OR REPLACE INTO consent (account_no, client_no, resource, tenant, scopes, exclusions, client_fingerprint,
             given_at, expires_at, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            account_no,
            client_no,
            consent.key.resource,
            consent.key.tenant,
            consent.scopes,
            consent.exclusions.to_stored(),
            consent.client_fingerprint,
            consent.given_at,
            consent.expires_at,
            consent.seal()
        ],
    )
}

/// Finds remembered consent.
pub(crate) fn find_consent(db: &Connection, key: &ConsentKey) -> Result<Option<Consent>> {
    let sql = format!(
        "{SELECT_CONSENT} WHERE a.tenant = ?1 AND a.subject = ?2 AND c.tenant = ?1 AND c.client_id = ?3
         AND o.resource = ?4"
    );
    row::one(db, &sql, params![key.tenant, key.subject, key.client, key.resource], read_consent)
}

/// Forgets a consent.
pub(crate) fn forget_consent(db: &Connection, key: &ConsentKey) -> Result<()> {
    let sql = "DELETE FROM consent WHERE account_no = (SELECT no FROM account WHERE tenant = ?1 AND subject = ?2)
        AND client_no = (SELECT no FROM client WHERE tenant = ?1 AND client_id = ?3) AND resource = ?4";
    execute(db, sql, params![key.tenant, key.subject, key.client, key.resource]).map(drop)
}

/// Reads every session and consent, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    let mut found = row::unreadable(db, SELECT, "login session", |c| read(c).map(drop))?;
    found.extend(row::unreadable(db, SELECT_CONSENT, "consent", |c| read_consent(c).map(drop))?);
    Ok(found)
}
