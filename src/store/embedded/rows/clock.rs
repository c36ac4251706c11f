//! What is noted of the time, and what has to be done when it turns out that the clock was wrong.

use rusqlite::Connection;

use super::row::{self, execute, execute_once};
use super::{audit, clients, grants, sessions, tokens};
use crate::oauth::Timestamp;
use crate::store::clock::{AHEAD, put_back};
use crate::store::{AuditRow, Change, ClockNote, Result};

/// What was made later than ?1 and need not be kept.
const MADE_AFTER: [&str; 5] = [
    "DELETE FROM code WHERE used_at IS NULL AND issued_at > ?1",
    "DELETE FROM ephemeral WHERE created_at > ?1",
    "DELETE FROM login_session WHERE authenticated_at > ?1",
    "DELETE FROM consent WHERE given_at > ?1",
    "DELETE FROM setup_link WHERE made_at > ?1",
];

/// Times that say nothing about who may do what, but for how long something is remembered or believed: what is later than
/// ?1 becomes ?2.
const MOVED_BACK: [&str; 5] = [
    "UPDATE account SET last_failed_at = ?2 WHERE last_failed_at > ?1",
    "UPDATE client SET last_used_at = ?2 WHERE last_used_at > ?1",
    "UPDATE client SET registered_at = ?2 WHERE registered_at > ?1",
    "UPDATE login_network SET last_login_at = ?2 WHERE last_login_at > ?1",
    "UPDATE login_failure SET last_failed_at = ?2 WHERE last_failed_at > ?1",
];

/// Does what has to be done when the clock turns out to have been ahead; how many rows that changed.
pub(crate) fn turn_back(db: &Connection, told: Timestamp, now: Timestamp) -> Result<u64> {
    let latest = now.plus(AHEAD);
    let mut changed = clients::remove_ended_secrets(db, told)?;
    let sql = "SELECT tenant, hash FROM access_token WHERE issued_at > ?1";
    for (tenant, hash) in row::all(db, sql, [latest], |c| Ok((c.tenant()?, c.hash()?)))? {
        tokens::remove(db, &tenant, &hash)?;
        audit::announce(db, now, &Change::AccessTokenRevoked(tenant, hash))?;
        changed += 1;
    }
    if told > latest {
        // Nobody can tell any more which of them were too old to go on with.
        changed += execute(db, "DELETE FROM ephemeral", [])?;
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
        grants::put(db, &found, &put_back(found.grant.clone(), latest, now))?;
        changed += 1;
    }
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Reads what is noted; in a store that has no note yet, the time of its newest audit row.
pub(crate) fn note(db: &Connection) -> Result<Option<ClockNote>> {
    let sql = "SELECT seen_at, accepted_at FROM clock UNION ALL
        SELECT * FROM (SELECT at, NULL FROM audit ORDER BY no DESC LIMIT 1) LIMIT 1";
    row::one(db, sql, [], |c| Ok(ClockNote { seen_at: c.moment()?, accepted_at: c.optional_moment()? }))
}

/// Notes the time.
pub(crate) fn note_seen(db: &Connection, seen: Timestamp) -> Result<()> {
    let sql = "INSERT INTO clock (one, seen_at) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET seen_at = ?1";
    execute_once(db, sql, [seen])
}

/// Notes the time as one that an operator has accepted.
pub(crate) fn accept(db: &Connection, row: &AuditRow) -> Result<()> {
    let sql = "INSERT INTO clock (one, seen_at, accepted_at) VALUES (1, ?1, ?1)
        ON CONFLICT (one) DO UPDATE SET seen_at = ?1, accepted_at = ?1";
    execute_once(db, sql, [row.at])?;
    audit::append(db, row)
}
