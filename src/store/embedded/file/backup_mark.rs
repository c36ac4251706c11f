//! A store that was put back from a backup: how it is recognised, and what it ends.
//!
//! Whatever was spent or revoked after the backup was made would come alive again with it: used codes and links, ended
//! sessions, spent refresh tokens, revoked access. Nothing of it can be told apart, so all of it ends.

use rusqlite::Connection;

use crate::oauth::Timestamp;
use crate::store::embedded::rows::row::execute;
use crate::store::embedded::rows::{audit, grants, row};
use crate::store::{AuditEvent, AuditRow, Result};

/// `PRAGMA user_version` of a copy that nobody has served from yet; 0 in every other file.
const BACKUP: u32 = 1;

/// Secrets that would be good once more, permissions that may have been taken back, and the hashes of live tokens. Used
/// codes stay: they tell a replay.
const ENDED: [&str; 7] = [
    "DELETE FROM access_token",
    "DELETE FROM void_token",
    "DELETE FROM code WHERE used_at IS NULL",
    "DELETE FROM consent",
    "DELETE FROM ephemeral",
    "DELETE FROM login_session",
    "DELETE FROM setup_link",
];

/// Marks a copy as one.
pub(super) fn mark(copy: &Connection) -> Result<()> {
    Ok(copy.pragma_update(None, "user_version", BACKUP)?)
}

/// Returns whether a store is a copy that nobody has served from yet.
pub(super) fn is_marked(db: &Connection) -> Result<bool> {
    Ok(row::number(db, "PRAGMA user_version")? == u64::from(BACKUP))
}

/// Ends what the backup still holds open, and takes its mark away; in the transaction that opens the store.
pub(super) fn begin_anew(db: &Connection, now: Timestamp) -> Result<()> {
    // Kept as revoked: a token of a later generation then proves that the store was set back (RT-16).
    let grants = grants::end_every(db, now)?;
    for ended in ENDED {
        execute(db, ended, [])?;
    }
    for tenant in row::all(db, "SELECT DISTINCT tenant FROM account", [], |c| c.tenant())? {
        let reason = Some(format!("{grants} grants ended"));
        let row = AuditRow { reason, ..AuditRow::new(now, tenant, AuditEvent::StoreRestored) };
        audit::append(db, &row)?;
    }
    tracing::warn!(grants, "the store is a backup put back: sessions, links, grants and tokens of it have ended");
    Ok(db.pragma_update(None, "user_version", 0)?)
}
