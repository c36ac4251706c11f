//! Grant rows.

use rusqlite::{Connection, ToSql, params};

use super::parties::selected;
use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, opened};
use super::{acting, audit, clients, key_columns, sessions, sign_in_columns};
use crate::oauth::{ClientId, Exclusions, FirstUse, Grant, GrantId, TenantId, Timestamp};
use crate::store::outcome::Ended;
use crate::store::{Change, Ending, GrantFilter, Result, StoreError, limits};

const SELECT: &str = "SELECT g.no, g.client_no, c.status = 'enabled' AND a.status = 'enabled',
        g.id, g.tenant, c.client_id, a.subject, a.kind, g.resource, g.scopes, g.exclusions, g.authenticated_at, g.consented_at,
        g.created_at, g.expires_at, g.idle_until, g.may_refresh, g.by_assertion, g.acting, g.generation, g.rotated_at, g.first_use, g.retried_at, g.revoked_at,
        g.last_used_at, g.signed_in_address, g.signed_in_agent, g.key_name, g.key_hint, g.key_addresses, g.workload, g.seal
    FROM grants g JOIN client c ON c.no = g.client_no JOIN account a ON a.no = g.account_no";

/// A grant and its row number.
pub(crate) struct GrantRow {
    pub(crate) no: i64,
    pub(crate) client_no: i64,
    /// Whether client and account are both enabled.
    pub(crate) enabled: bool,
    pub(crate) grant: Grant,
}

fn read(c: &mut Columns<'_>) -> Result<GrantRow> {
    let (no, client_no, enabled) = (c.no()?, c.no()?, c.flag()?);
    let grant = Grant {
        id: c.grant()?,
        tenant: c.tenant()?,
        client: c.client()?,
        subject: c.subject()?,
        resource: c.resource()?,
        scopes: c.scopes()?,
        exclusions: c.exclusions()?,
        authenticated_at: c.moment()?,
        consented_at: c.moment()?,
        created_at: c.moment()?,
        expires_at: c.moment()?,
        idle_until: c.moment()?,
        may_refresh: c.flag()?,
        by_assertion: c.flag()?,
        acting: c.flag()?,
        generation: c.small()?,
        rotated_at: c.moment()?,
        first_use: match c.optional_number()? {
            None => FirstUse::Unknown,
            Some(0) => FirstUse::Unused,
            Some(_) => FirstUse::Used,
        },
        retried_at: c.optional_moment()?,
        revoked_at: c.optional_moment()?,
        last_used_at: c.optional_moment()?,
        signed_in_from: sign_in_columns::read(c)?,
        key: key_columns::details(c)?,
        workload: key_columns::workload(c)?,
    };
    Ok(GrantRow { no, client_no, enabled, grant: opened(grant, c.number()?, "a grant")? })
}

/// Returns a first-use mark as its column holds it.
const fn stored_mark(first_use: FirstUse) -> Option<u8> {
    match first_use {
        FirstUse::Unknown => None,
        FirstUse::Unused => Some(0),
        FirstUse::Used => Some(1),
    }
}

pub(crate) fn find(db: &Connection, tenant: &TenantId, id: GrantId) -> Result<Option<GrantRow>> {
    row::one(db, &format!("{SELECT} WHERE g.tenant = ?1 AND g.id = ?2"), params![tenant, id], read)
}

/// Lists the active grants that match a filter, newest first.
pub(crate) fn list(db: &Connection, of: &GrantFilter, now: Timestamp) -> Result<Vec<Grant>> {
    let which = selected(of, "g");
    let sql = format!(
        "{SELECT} WHERE g.tenant = ?1 AND g.revoked_at IS NULL AND g.expires_at > ?5 AND g.idle_until > ?5
         AND {which} ORDER BY g.no DESC"
    );
    row::all(db, &sql, params![of.tenant, of.subject, of.client, of.resource, now], |c| Ok(read(c)?.grant))
}

/// Counts the active grants of a tenant by client.
pub(crate) fn count(db: &Connection, tenant: &TenantId, now: Timestamp) -> Result<Vec<(ClientId, u64)>> {
    let sql = "SELECT c.client_id, count(*) FROM grants g JOIN client c ON c.no = g.client_no
        WHERE g.tenant = ?1 AND g.revoked_at IS NULL AND g.expires_at > ?2 AND g.idle_until > ?2 GROUP BY g.client_no";
    row::all(db, sql, params![tenant, now], |c| Ok((c.client()?, c.number()?)))
}

/// Selects the unrevoked grants of an account (?1) and a client (?2) for a resource (?3).
fn of_both() -> String {
    format!("{SELECT} WHERE g.revoked_at IS NULL AND g.account_no = ?1 AND g.client_no = ?2 AND g.resource = ?3")
}

/// Lists the unrevoked grants of an account and a client for a resource, by the numbers of their rows.
pub(super) fn standing(db: &Connection, of: &[&dyn ToSql]) -> Result<Vec<GrantRow>> {
    row::all(db, &of_both(), of, read)
}

/// Lists like `standing`, without those that cannot be read: a client must not stay without a token because of one.
pub(super) fn readable(db: &Connection, of: &[&dyn ToSql]) -> Result<Vec<GrantRow>> {
    let found = row::all(db, &of_both(), of, |c| match read(c) {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::Corrupt(_)) => Ok(None),
        Err(error) => Err(error),
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// Replaces what an unrevoked grant that was found leaves out.
pub(super) fn put_exclusions(db: &Connection, found: &GrantRow, exclusions: &Exclusions) -> Result<()> {
    let grant = Grant { exclusions: exclusions.clone(), ..found.grant.clone() };
    let sql = "UPDATE grants SET exclusions = ?2, seal = ?3 WHERE no = ?1 AND revoked_at IS NULL";
    execute_once(db, sql, params![found.no, exclusions.to_stored(), grant.seal()])
}

/// Reads every grant, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT, "grant", |c| read(c).map(drop))
}

/// Adds a grant; returns its row number.
pub(crate) fn insert(db: &Connection, grant: &Grant, client_no: i64, account_no: i64) -> Result<i64> {
    execute_once(
        db,
        "INSERT INTO grants (tenant, id, client_no, account_no, resource, scopes, exclusions, authenticated_at, consented_at,
             created_at, expires_at, idle_until, may_refresh, generation, rotated_at, first_use, retried_at, revoked_at,
             key_name, key_hint, key_addresses, seal, by_assertion, acting, signed_in_address, signed_in_agent, workload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
             ?24, ?25, ?26, ?27)",
        params![
            grant.tenant,
            grant.id,
            client_no,
            account_no,
            grant.resource,
            grant.scopes,
            grant.exclusions.to_stored(),
            grant.authenticated_at,
            grant.consented_at,
            grant.created_at,
            grant.expires_at,
            grant.idle_until,
            grant.may_refresh,
            grant.generation,
            grant.rotated_at,
            stored_mark(grant.first_use),
            grant.retried_at,
            grant.revoked_at,
            grant.key.as_ref().map(|key| &key.name),
            grant.key.as_ref().map(|key| &key.hint),
            grant.key.as_ref().and_then(|key| key.addresses.to_stored()),
            grant.seal(),
            grant.by_assertion,
            grant.acting,
            sign_in_columns::address(grant.signed_in_from.as_deref()),
            sign_in_columns::user_agent(grant.signed_in_from.as_deref()),
            grant.workload.as_ref().map(ToString::to_string)
        ],
    )?;
    Ok(db.last_insert_rowid())
}

/// Records when grants that are not revoked, and their clients, were last used, unless a later use is recorded.
pub(crate) fn note_uses(db: &Connection, uses: &[(TenantId, GrantId, Timestamp)]) -> Result<()> {
    limits::activity(uses.len())?;
    let sql = "UPDATE grants SET last_used_at = max(?3, ifnull(last_used_at, 0))
        WHERE tenant = ?1 AND id = ?2 AND revoked_at IS NULL RETURNING client_no";
    for (tenant, id, at) in uses {
        let client = row::one(db, sql, params![tenant, id, at], |c| c.no())?;
        client.map_or(Ok(()), |no| clients::used(db, no, *at))?;
    }
    Ok(())
}

/// Replaces the unrevoked grant that was found. It was read in this transaction, in which there is no other writer; the
/// condition is a second safeguard.
pub(super) fn put(db: &Connection, found: &GrantRow, grant: &Grant) -> Result<()> {
    execute_once(
        db,
        "UPDATE grants SET authenticated_at = ?3, created_at = ?4, expires_at = ?5, idle_until = ?6, generation = ?7,
             rotated_at = ?8, first_use = ?9, retried_at = ?10, revoked_at = ?11, seal = ?12, consented_at = ?13,
             key_hint = ?14
         WHERE no = ?1 AND generation = ?2 AND revoked_at IS NULL",
        params![
            found.no,
            found.grant.generation,
            grant.authenticated_at,
            grant.created_at,
            grant.expires_at,
            grant.idle_until,
            grant.generation,
            grant.rotated_at,
            stored_mark(grant.first_use),
            grant.retried_at,
            grant.revoked_at,
            grant.seal(),
            grant.consented_at,
            grant.key.as_ref().map(|key| &key.hint)
        ],
    )
}

fn put_revoked(db: &Connection, found: &GrantRow, at: Timestamp) -> Result<()> {
    put(db, found, &Grant { revoked_at: Some(at), ..found.grant.clone() })
}

/// Revokes a grant that was just read as unrevoked: removes its tokens and announces the change.
fn end_found(db: &Connection, found: GrantRow, at: Timestamp) -> Result<()> {
    put_revoked(db, &found, at)?;
    execute(db, "DELETE FROM access_token WHERE grant_no = ?1", [found.no])?;
    execute(db, "DELETE FROM void_token WHERE grant_no = ?1", [found.no])?;
    // Revoked access must be asked for again: remembered consent would silently restore it.
    execute(
        db,
        "DELETE FROM consent WHERE (account_no, client_no, resource) =
             (SELECT account_no, client_no, resource FROM grants WHERE no = ?1)",
        [found.no],
    )?;
    audit::announce(db, at, &Change::GrantRevoked(found.grant.tenant, found.grant.id))
}

/// Revokes a grant whose code or token was used a second time.
pub(crate) fn end_by(db: &Connection, ending: &Ending) -> Result<()> {
    end(db, &ending.audit.tenant, ending.grant, ending.audit.at)?;
    audit::append(db, &ending.audit)
}

/// Revokes a grant; returns whether it was unrevoked.
pub(crate) fn end(db: &Connection, tenant: &TenantId, id: GrantId, at: Timestamp) -> Result<bool> {
    match find(db, tenant, id)?.filter(|found| found.grant.revoked_at.is_none()) {
        Some(found) => end_found(db, found, at).map(|()| true),
        None => Ok(false),
    }
}

/// Revokes all grants of a filter, and removes the codes and consents that would become grants; signs browsers out if
/// the filter says so.
pub(crate) fn end_all(db: &Connection, of: &GrantFilter, at: Timestamp) -> Result<Ended> {
    let params = params![of.tenant, of.subject, of.client, of.resource];
    let codes = selected(of, "code");
    let mut others =
        execute(db, &format!("DELETE FROM code WHERE tenant = ?1 AND used_at IS NULL AND {codes}"), params)?;
    let consents = selected(of, "consent");
    others += execute(db, &format!("DELETE FROM consent WHERE tenant = ?1 AND {consents}"), params)?;
    if of.ends_browser_sessions() {
        others += sessions::end_all(db, &of.tenant, of.subject.as_ref())?;
    }
    acting::end_of_account(db, of, at)?;
    let grants = end_those(db, of, at, |_| true)?;
    Ok(Ended { grants, anything: grants > 0 || others > 0 })
}

/// Revokes those grants of a filter that are to end; returns how many.
pub(super) fn end_those(
    db: &Connection,
    of: &GrantFilter,
    at: Timestamp,
    ends: impl Fn(&Grant) -> bool,
) -> Result<u64> {
    let sql = format!("{SELECT} WHERE g.tenant = ?1 AND g.revoked_at IS NULL AND {}", selected(of, "g"));
    let mut standing = row::all(db, &sql, params![of.tenant, of.subject, of.client, of.resource], read)?;
    standing.retain(|found| ends(&found.grant));
    let count = u64::try_from(standing.len()).unwrap_or(u64::MAX);
    standing.into_iter().try_for_each(|found| end_found(db, found, at))?;
    Ok(count)
}

/// Ends every grant of a store restored from a backup; returns how many. No process reads such a store yet, so nothing
/// is announced. An unreadable grant is removed, since it would otherwise stay active.
pub(crate) fn end_every(db: &Connection, at: Timestamp) -> Result<u64> {
    let (mut last, mut count) = (0, 0_u64);
    loop {
        let sql = "SELECT no FROM grants WHERE no > ?1 AND revoked_at IS NULL ORDER BY no LIMIT 1000";
        let numbers = row::all(db, sql, [last], |c| c.no())?;
        let Some(newest) = numbers.last().copied() else { return Ok(count) };
        for no in numbers {
            match row::one(db, &format!("{SELECT} WHERE g.no = ?1"), [no], read) {
                Ok(Some(found)) => put_revoked(db, &found, at)?,
                Ok(None) | Err(StoreError::Corrupt(_)) => execute_once(db, "DELETE FROM grants WHERE no = ?1", [no])?,
                Err(error @ (StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::NotStored)) => {
                    return Err(error);
                }
            }
            count = count.saturating_add(1);
        }
        last = newest;
    }
}
