//! A store restored from a backup: how it is recognised, and what is ended in it.
//!
//! Whatever was used or revoked after the backup was made would become valid again: used codes and links, ended
//! sessions, used refresh tokens, revoked access. These cannot be distinguished from the rest, so everything is ended.

use rusqlite::Connection;

use crate::oauth::Timestamp;
use crate::store::embedded::rows::row::execute;
use crate::store::embedded::rows::{acting, audit, grants, row};
use crate::store::{AuditEvent, AuditRow, Result};

/// `PRAGMA user_version` of a copy that was never served from; 0 in every other file.
const BACKUP: u32 = 1;

/// Secrets that would become valid again, permissions that may have been revoked, and the hashes of valid tokens. Used
/// codes stay, so that a replay is detected.
const ENDED: [&str; 7] = [
    "DELETE FROM access_token",
    "DELETE FROM void_token",
    "DELETE FROM code WHERE used_at IS NULL",
    "DELETE FROM consent",
    "DELETE FROM ephemeral",
    "DELETE FROM login_session",
    "DELETE FROM setup_link",
];

/// Marks a file as a backup.
pub(super) fn mark(copy: &Connection) -> Result<()> {
    Ok(copy.pragma_update(None, "user_version", BACKUP)?)
}

/// Returns whether a store is a copy that was never served from.
pub(super) fn is_marked(db: &Connection) -> Result<bool> {
    Ok(row::number(db, "PRAGMA user_version")? == u64::from(BACKUP))
}

/// Ends all access in the backup, and removes its mark, in the transaction that opens the store.
pub(super) fn begin_anew(db: &Connection, now: Timestamp) -> Result<()> {
    acting::end_every(db, now)?;
    // Kept as revoked, so that a token of a later generation proves that the store was restored (RT-16).
    let grants = grants::end_every(db, now)?;
    for ended in ENDED {
        execute(db, ended, [])?;
    }
    for tenant in row::all(db, "SELECT DISTINCT tenant FROM account", [], |c| c.tenant())? {
        let reason = Some(format!("{grants} grants ended"));
        let row = AuditRow { reason, ..AuditRow::new(now, tenant, AuditEvent::StoreRestored) };
        audit::append(db, &row)?;
    }
    tracing::warn!(grants, "the store is a restored backup: its sessions, links, grants and tokens have ended");
    Ok(db.pragma_update(None, "user_version", 0)?)
}
