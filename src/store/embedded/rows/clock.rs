//! The recorded time, and the corrections for when the clock turns out to have been wrong.

use rusqlite::Connection;

use super::row::{self, execute, execute_once};
use super::{audit, clients, grants, sessions, tokens};
use crate::oauth::Timestamp;
use crate::store::clock::{AHEAD, put_back};
use crate::store::{AuditRow, Change, ClockNote, Result};

/// Statements that remove dispensable rows created after ?1.
const MADE_AFTER: [&str; 6] = [
    "DELETE FROM code WHERE used_at IS NULL AND issued_at > ?1",
    "DELETE FROM ephemeral WHERE created_at > ?1 AND kind <> 'client_assertion'",
    "DELETE FROM login_session WHERE authenticated_at > ?1",
    "DELETE FROM consent WHERE given_at > ?1",
    "DELETE FROM setup_link WHERE made_at > ?1",
    "DELETE FROM quota WHERE day > ?1",
];

/// Statements that replace times later than ?1 by ?2, where a time decides only how long something is kept or trusted,
/// not who may do what.
const MOVED_BACK: [&str; 8] = [
    "UPDATE account SET last_failed_at = ?2 WHERE last_failed_at > ?1",
    "UPDATE client SET last_token_at = ?2 WHERE last_token_at > ?1",
    "UPDATE client SET last_used_at = ?2 WHERE last_used_at > ?1",
    "UPDATE client_secret SET created_at = ?2 WHERE created_at > ?1",
    "UPDATE client SET registered_at = ?2 WHERE registered_at > ?1",
    "UPDATE grants SET last_used_at = ?2 WHERE last_used_at > ?1",
    "UPDATE login_network SET last_login_at = ?2 WHERE last_login_at > ?1",
    "UPDATE login_failure SET last_failed_at = ?2 WHERE last_failed_at > ?1",
];

/// Corrects the rows for a clock that turned out to have been ahead; returns how many rows changed.
pub(crate) fn turn_back(db: &Connection, told: Timestamp, now: Timestamp) -> Result<u64> {
    let latest = now.plus(AHEAD);
    let mut changed = clients::remove_ended_secrets(db, told)?;
    // The seals of tokens cover when their user consented, which changes with the grant.
    let sql = "SELECT t.tenant, t.hash FROM access_token t JOIN grants g ON g.no = t.grant_no
        WHERE max(t.issued_at, g.consented_at) > ?1";
    for (tenant, hash) in row::all(db, sql, [latest], |c| Ok((c.tenant()?, c.hash()?)))? {
        tokens::remove(db, &tenant, &hash)?;
        audit::announce(db, now, &Change::AccessTokenRevoked(tenant, hash))?;
        changed += 1;
    }
    if told > latest {
        // It can no longer be told which of them had expired. A used assertion is kept: it may become valid again.
        changed += execute(db, "DELETE FROM ephemeral WHERE kind <> 'client_assertion'", [])?;
    }
    for sql in MADE_AFTER {
        changed += execute(db, sql, [latest])?;
    }
    for sql in MOVED_BACK {
        changed += execute(db, sql, [latest, now])?;
    }
    changed += sessions::move_uses_back(db, latest, now)?;
    changed += clients::move_documents_back(db, latest, now)?;
    let sql = "SELECT tenant, id FROM grants WHERE max(created_at, rotated_at) > ?1 AND revoked_at IS NULL";
    for (tenant, id) in row::all(db, sql, [latest], |c| Ok((c.tenant()?, c.grant()?)))? {
        let Some(found) = grants::find(db, &tenant, id)? else { continue };
        if found.grant.key.is_some() {
            grants::end(db, &tenant, id, now)?;
        } else {
            grants::put(db, &found, &put_back(found.grant.clone(), latest, now))?;
        }
        changed += 1;
    }
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Reads the recorded time; in a store without one, the time of the newest audit row.
pub(crate) fn note(db: &Connection) -> Result<Option<ClockNote>> {
    let sql = "SELECT seen_at, accepted_at FROM clock UNION ALL
        SELECT * FROM (SELECT at, NULL FROM audit ORDER BY no DESC LIMIT 1) LIMIT 1";
    row::one(db, sql, [], |c| Ok(ClockNote { seen_at: c.moment()?, accepted_at: c.optional_moment()? }))
}

/// Records the time that was last seen.
pub(crate) fn note_seen(db: &Connection, seen: Timestamp) -> Result<()> {
    let sql = "INSERT INTO clock (one, seen_at) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET seen_at = ?1";
    execute_once(db, sql, [seen])
}

/// Records the time as accepted by an operator.
pub(crate) fn accept(db: &Connection, row: &AuditRow) -> Result<()> {
    let sql = "INSERT INTO clock (one, seen_at, accepted_at) VALUES (1, ?1, ?1)
        ON CONFLICT (one) DO UPDATE SET seen_at = ?1, accepted_at = ?1";
    execute_once(db, sql, [row.at])?;
    audit::append(db, row)
}
