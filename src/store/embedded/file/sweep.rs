//! The sweep: removes what has expired in batches, so that no request waits long for it (ST-17).

use rusqlite::{Connection, params};

use super::operation::Work;
use super::writer::Writer;
use crate::oauth::{Lifetime, Timestamp};
use crate::store::embedded::rows::row::{execute, storable};
use crate::store::embedded::rows::{clients, row};
use crate::store::record::{CHANGE_KEPT, CLIENT_KEPT_UNUSED, LOGIN_FAILURES_KEPT, QUOTA_DAY, REVOKED_GRANT_KEPT};
use crate::store::{AuditRow, Result};

/// Rows per batch: some milliseconds of the writer's time.
const BATCH: u32 = 1000;

const NOTHING: Lifetime = Lifetime::from_millis(0);

/// What is removed: the table, its key, a condition on the time ?1 that an index serves, and how long after that time.
/// The order keeps cascades small: tokens are removed before their grants.
const STEPS: [(&str, &str, &str, Lifetime); 12] = [
    ("access_token", "no", "expires_at <= ?1 ORDER BY expires_at", NOTHING),
    ("void_token", "hash", "expires_at <= ?1 ORDER BY expires_at", NOTHING),
    ("code", "no", "used_at IS NULL AND expires_at <= ?1 ORDER BY expires_at", NOTHING),
    // ST-18: a used code is removed with its grant and not before.
    ("grants", "no", "idle_until <= ?1 ORDER BY idle_until", NOTHING),
    ("grants", "no", "revoked_at <= ?1 ORDER BY revoked_at", REVOKED_GRANT_KEPT),
    ("ephemeral", "no", "expires_at <= ?1 ORDER BY expires_at", NOTHING),
    ("login_session", "hash", "min(idle_until, expires_at) <= ?1", NOTHING),
    ("setup_link", "hash", "expires_at <= ?1", NOTHING),
    ("consent", "account_no, client_no, resource", "expires_at <= ?1 ORDER BY expires_at", NOTHING),
    ("quota", "tenant, upstream, name, day, holder", "day <= ?1 ORDER BY day", QUOTA_DAY),
    ("change_log", "seq", "at <= ?1 ORDER BY at", CHANGE_KEPT),
    ("login_failure", "tenant, name", "last_failed_at <= ?1 ORDER BY last_failed_at", LOGIN_FAILURES_KEPT),
];

/// Returns the conditions for removing clients that no operator added, with the time ?1 of the last token or
/// registration: unused for long, and never used. Two statements, because one with OR would scan all clients.
const fn abandoned(unused_client_after: Lifetime) -> [(&'static str, Lifetime); 2] {
    [
        ("last_token_at <= ?1 AND registered_at <= ?1", CLIENT_KEPT_UNUSED),
        ("last_token_at IS NULL AND registered_at <= ?1", unused_client_after),
    ]
}

/// Removes everything that has expired by `now`; returns how many rows, not counting dependent ones.
pub(crate) async fn sweep(writer: &Writer, now: Timestamp, unused_client_after: Lifetime) -> Result<u64> {
    let mut gone = 0;
    for (table, key, condition, kept) in STEPS {
        let before = earlier(now, kept);
        let remove = move |db: &Connection| {
            let expired = format!("SELECT {key} FROM {table} WHERE {condition} LIMIT ?2");
            execute(db, &format!("DELETE FROM {table} WHERE ({key}) IN ({expired})"), params![before, BATCH])
        };
        gone += in_batches(writer, remove).await?;
    }
    for (is_abandoned, kept) in abandoned(unused_client_after) {
        let before = earlier(now, kept);
        gone += in_batches(writer, move |db| remove_abandoned(db, is_abandoned, before, now)).await?;
    }
    Ok(gone)
}

/// Removes clients that no operator added, that are abandoned and have no dependent rows; returns how many. One that an
/// operator has disabled is kept, because removing it would enable it again. So is one whose document an operator
/// imported.
fn remove_abandoned(db: &Connection, is_abandoned: &str, before: i64, now: Timestamp) -> Result<usize> {
    let sql = format!(
        "SELECT tenant, client_id FROM client c WHERE origin <> 'manual' AND status = 'enabled' AND {is_abandoned}
            AND document_source IS NOT 'imported'
            AND NOT EXISTS (SELECT 1 FROM grants WHERE client_no = c.no)
            AND NOT EXISTS (SELECT 1 FROM code WHERE client_no = c.no)
            AND NOT EXISTS (SELECT 1 FROM ephemeral WHERE client_no = c.no)
         LIMIT ?2"
    );
    let abandoned = row::all(db, &sql, params![before, BATCH], |c| Ok((c.tenant()?, c.client()?)))?;
    for (tenant, id) in &abandoned {
        clients::remove(db, id, &AuditRow::unused_client(tenant, id, now))?;
    }
    Ok(abandoned.len())
}

/// Returns the stored time `span` before `now`; negative if the clock is not that far yet.
fn earlier(now: Timestamp, span: Lifetime) -> i64 {
    storable(now.as_millis()).saturating_sub(storable(span.as_millis()))
}

/// Repeats `batch`, each time in a transaction shared with other operations, until a batch is not full.
async fn in_batches(writer: &Writer, batch: impl Work<usize> + Copy) -> Result<u64> {
    let mut gone = 0;
    loop {
        let removed = writer.run(batch).await?;
        gone += u64::try_from(removed).unwrap_or(u64::MAX);
        if u32::try_from(removed).is_ok_and(|removed| removed < BATCH) {
            return Ok(gone);
        }
    }
}
