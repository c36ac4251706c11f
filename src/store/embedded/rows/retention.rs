//! The size of the audit trail, and the removal of its rows: in steps of a thousand, each in a transaction shared with
//! other writes. SQLite reuses the freed pages.

use rusqlite::{Connection, Params, params};

use super::row::{self, Columns, execute, execute_once, storable};
use crate::oauth::Timestamp;
use crate::store::audit_query::{PRUNED_AT_ONCE, ROW_BYTES};
use crate::store::{AuditEvent, AuditRetention, AuditRow, Pruned, Result, StoreError};

/// Adds a row to the sums.
pub(super) fn count(db: &Connection, row: &AuditRow) -> Result<()> {
    let bytes = storable(row.size());
    let routine = if row.is_routine() { bytes } else { 0 };
    let sql = "UPDATE audit_size SET bytes = bytes + ?1, routine_bytes = routine_bytes + ?2 WHERE only_row = 1";
    execute_once(db, sql, [bytes, routine])
}

/// Returns SQL for the size of a row, equal to `AuditRow::size`.
fn size_of_row() -> String {
    let texts = [
        "tenant",
        "event",
        "actor",
        "subject",
        "client_id",
        "resource",
        "scopes",
        "address",
        "target",
        "reason",
        "request_id",
    ];
    let texts = texts.map(|column| format!("coalesce(octet_length({column}), 0)")).join(" + ");
    format!(
        "CASE WHEN no <= (SELECT counted_after FROM audit_size WHERE only_row = 1) THEN 200 ELSE {ROW_BYTES} + {texts} END"
    )
}

/// Returns SQL for whether the sums count a row as routine, one of those that come by the thousand.
fn is_routine() -> String {
    let names = AuditEvent::ALL.iter().filter(|event| event.is_routine()).map(|event| format!("'{}'", event.as_str()));
    let names = names.collect::<Vec<_>>().join(", ");
    format!("(event IN ({names}) AND no > (SELECT counted_after FROM audit_size WHERE only_row = 1))")
}

/// The sums: bytes in total, bytes of routine rows, and the position up to which no routine rows are left.
struct Sums {
    bytes: u64,
    routine_bytes: u64,
    routine_gone: u64,
}

fn sums(db: &Connection) -> Result<Sums> {
    let sql = "SELECT bytes, routine_bytes, routine_gone FROM audit_size WHERE only_row = 1";
    let found = row::one(db, sql, [], |c| {
        Ok(Sums { bytes: c.number()?, routine_bytes: c.number()?, routine_gone: c.number()? })
    });
    found?.ok_or_else(|| StoreError::Corrupt("the size of the audit trail is missing".to_owned()))
}

/// Does one step of pruning.
pub(super) fn step(db: &Connection, keep: &AuditRetention) -> Result<Pruned> {
    if let Some(since) = keep.since {
        let rows = remove_older(db, since)?;
        if rows > 0 {
            return Ok(Pruned { rows, more: true });
        }
    }
    let sums = sums(db)?;
    let surplus = sums.bytes.saturating_sub(keep.max_bytes);
    if surplus == 0 {
        return Ok(Pruned { rows: 0, more: false });
    }
    let routine_surplus = sums.routine_bytes.saturating_sub(keep.max_bytes / 2);
    if routine_surplus > 0
        && let Some(rows) = remove_routine(db, sums.routine_gone, surplus.min(routine_surplus))?
    {
        return Ok(Pruned { rows, more: true });
    }
    let rows = remove_oldest(db, surplus)?;
    Ok(Pruned { rows, more: rows > 0 })
}

/// Which rows of a range are removed.
enum Which {
    All,
    From(Timestamp),
    Routine,
}

/// Removes one step of rows from before `since`, oldest first; returns how many.
fn remove_older(db: &Connection, since: Timestamp) -> Result<u64> {
    let last = "SELECT max(no) FROM (SELECT no FROM audit ORDER BY no LIMIT ?1)";
    match row::one(db, last, [PRUNED_AT_ONCE], |c| c.optional_number())?.flatten() {
        Some(last) => remove(db, 0, last, &Which::From(since)),
        None => Ok(0),
    }
}

/// Removes the oldest routine rows, all of which come after `gone`: `surplus` bytes of them, but at most one step.
/// `None` when none is left.
fn remove_routine(db: &Connection, gone: u64, surplus: u64) -> Result<Option<u64>> {
    let sql = format!(
        "SELECT no, CASE WHEN {} THEN {} ELSE 0 END FROM audit
         WHERE no > ?1 AND no < (SELECT max(no) FROM audit) ORDER BY no LIMIT ?2",
        is_routine(),
        size_of_row()
    );
    let Some(last) = last_of(db, &sql, params![storable(gone), PRUNED_AT_ONCE], surplus)? else { return Ok(None) };
    let rows = remove(db, gone, last, &Which::Routine)?;
    execute(db, "UPDATE audit_size SET routine_gone = ?1 WHERE only_row = 1", [storable(last)])?;
    Ok(Some(rows))
}

/// Removes the oldest rows: `surplus` bytes of them, but at most one step.
fn remove_oldest(db: &Connection, surplus: u64) -> Result<u64> {
    let sql = format!("SELECT no, {} FROM audit ORDER BY no LIMIT ?1", size_of_row());
    match last_of(db, &sql, [PRUNED_AT_ONCE], surplus)? {
        Some(last) => remove(db, 0, last, &Which::All),
        None => Ok(0),
    }
}

/// Returns the number of the row at which the rows of a query add up to `surplus` bytes, or of the last row if they
/// never do; `None` when there are none.
fn last_of(db: &Connection, sql: &str, params: impl Params, surplus: u64) -> Result<Option<u64>> {
    let (mut freed, mut last) = (0_u64, None);
    row::each(db, sql, params, |c| {
        last = Some(c.number()?);
        freed = freed.saturating_add(c.number()?);
        Ok(freed < surplus)
    })?;
    Ok(last)
}

/// Removes rows after `after` up to `last`, but never the newest of the trail, whose number would be assigned again.
fn remove(db: &Connection, after: u64, last: u64, which: &Which) -> Result<u64> {
    let (condition, since) = match which {
        Which::All => ("?3 IS NULL".to_owned(), None),
        Which::From(since) => ("at < ?3".to_owned(), Some(since)),
        Which::Routine => (format!("?3 IS NULL AND {}", is_routine()), None),
    };
    let which = format!("no > ?1 AND no <= ?2 AND no < (SELECT max(no) FROM audit) AND {condition}");
    let span = params![storable(after), storable(last), since];
    let (bytes, routine_bytes) = row::one(db, &sum_of(&which), span, read_sums)?.unwrap_or_default();
    let rows = execute(db, &format!("DELETE FROM audit WHERE {which}"), span)?;
    let sql = "UPDATE audit_size SET bytes = max(bytes - ?1, 0), routine_bytes = max(routine_bytes - ?2, 0)
        WHERE only_row = 1";
    execute_once(db, sql, [storable(bytes), storable(routine_bytes)])?;
    Ok(u64::try_from(rows).unwrap_or(u64::MAX))
}

/// Returns the query that adds up the bytes of all rows and of the routine ones.
fn sum_of(which: &str) -> String {
    format!(
        "SELECT coalesce(sum({size}), 0), coalesce(sum({size}) FILTER (WHERE {routine}), 0) FROM audit WHERE {which}",
        size = size_of_row(),
        routine = is_routine()
    )
}

fn read_sums(c: &mut Columns<'_>) -> Result<(u64, u64)> {
    Ok((c.number()?, c.number()?))
}

/// Adds up the trail and compares the result with the stored sums.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    let counted = row::one(db, &sum_of("true"), [], read_sums)?.unwrap_or_default();
    let Sums { bytes, routine_bytes, routine_gone } = sums(db)?;
    let mut problems = Vec::new();
    if counted != (bytes, routine_bytes) {
        problems
            .push(format!("the audit trail has {counted:?} bytes but is recorded with {:?}", (bytes, routine_bytes)));
    }
    let sql = format!("SELECT count(*) FROM audit WHERE no <= ?1 AND {}", is_routine());
    let left = row::one(db, &sql, [storable(routine_gone)], |c| c.number())?.unwrap_or_default();
    if left > 0 {
        problems.push(format!("{left} rows of the audit trail are recorded as removed"));
    }
    Ok(problems)
}
