//! Connections to the file: their settings, and updating the schema.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::backup_mark;
use super::paths::{beside, folder_of, resolved};
use super::server_lock::ServerLock;
use crate::oauth::Timestamp;
use crate::store::embedded::rows::row;
use crate::store::migrate::{self, Applied, MIGRATIONS, Migration};
use crate::store::{Result, StoreError};

/// The application id `mcpg`, which distinguishes our files from other SQLite files.
pub(super) const APPLICATION_ID: i64 = 0x6d63_7067;

/// How long to wait for another process's write. Commands' transactions take milliseconds; a request that waited longer
/// is better answered with 503.
const BUSY: Duration = Duration::from_secs(2);

/// Opens a file read-only, whoever owns it.
pub(super) fn open_backup(file: &Path) -> Result<Connection> {
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// Reads one consistent state of a store, beside a server or without one; nothing is written, also no file beside it.
/// `None` if there is no file, or if this program would change it before using it.
pub(crate) fn read_as_it_is<T>(file: &Path, read: impl FnOnce(&Connection) -> Result<T>) -> Result<Option<T>> {
    if !file.exists() {
        return Ok(None);
    }
    let file = resolved(file)?;
    // With a write-ahead log, somebody has the store open, or was killed. Without one, SQLite would make one and leave
    // it behind, unless it is told that nothing changes.
    let is_open = beside(&file, "-wal").exists();
    let name: String = file.as_os_str().as_bytes().iter().map(in_a_uri).collect();
    let uri = format!("file:{name}?immutable={}", u8::from(!is_open));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(BUSY)?;
    if !is_up_to_date(&connection)? {
        return Ok(None);
    }
    let state = connection.unchecked_transaction()?;
    read(&state).map(Some)
}

/// Returns a byte of a path as SQLite's URIs have it (<https://www.sqlite.org/uri.html>).
fn in_a_uri(byte: &u8) -> String {
    let is_plain = byte.is_ascii_alphanumeric() || b"/-._~".contains(byte);
    if is_plain { char::from(*byte).to_string() } else { format!("%{byte:02X}") }
}

/// Opens one connection.
pub(crate) fn open(file: &Path) -> Result<Connection> {
    // Without CREATE, because the file was created before with the right mode. Each connection is used by one thread at
    // a time, so SQLite's own mutexes are not needed.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(resolved(file)?, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(128);
    // Without this SQLite replans a query for each set of values if a partial index might be used, which doubled the
    // cost of a refresh.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let settings: [(&str, &str); 9] = [
        ("journal_mode", "WAL"),
        // Each commit is on the disk before it is acknowledged.
        ("synchronous", "FULL"),
        ("foreign_keys", "ON"),
        // The schema must not call functions with side effects, whoever edited it.
        ("trusted_schema", "OFF"),
        // Detects damaged pages when they are read.
        ("cell_size_check", "ON"),
        // 16 MB between checkpoints; below, the log file is truncated to 64 MB after a peak.
        ("wal_autocheckpoint", "4000"),
        ("journal_size_limit", "67108864"),
        // At most 16 MB of pages: the changes of a full group of operations must fit, or they are written twice.
        ("cache_size", "-16384"),
        // Savepoints spill to memory, never into files.
        ("temp_store", "MEMORY"),
    ];
    for (name, value) in settings {
        connection.pragma_update(None, name, value)?;
    }
    Ok(connection)
}

fn applied(connection: &Connection) -> Result<Vec<Applied>> {
    row::all(connection, "SELECT number, name, sha256 FROM migration ORDER BY number", [], |c| {
        Ok(Applied { number: c.number()?, name: c.text()?.to_owned(), checksum: c.bytes()?.to_vec() })
    })
}

/// Refuses a file that is not ours, updates the schema, and ends all access in a restored backup. A server passes its
/// lock; all others take the lock while the file is changed, so that no server opens it meanwhile.
pub(crate) fn migrate(
    connection: &mut Connection,
    file: &Path,
    held: Option<&ServerLock>,
    now: Timestamp,
) -> Result<()> {
    // Another process may hold the write lock for as long as the disk is full.
    if is_up_to_date(connection)? {
        return Ok(());
    }
    let _lock = apply(connection, MIGRATIONS, file, held)?;
    // A separate transaction with foreign keys enforced; until it commits, the mark stays.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if backup_mark::is_marked(&transaction)? {
        backup_mark::begin_anew(&transaction, now)?;
    }
    Ok(transaction.commit()?)
}

/// Applies all outstanding steps or none; returns the lock that was taken for it.
pub(super) fn apply(
    connection: &mut Connection,
    known: &[Migration],
    file: &Path,
    held: Option<&ServerLock>,
) -> Result<Option<ServerLock>> {
    // SQLite, "ALTER TABLE" 7: a table is rebuilt by creating another and dropping the old one, which with foreign keys
    // enforced would delete all referring rows. Within a transaction this setting is ignored.
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    let applied = apply_all(connection, known, file, held);
    connection.pragma_update(None, "foreign_keys", "ON")?;
    applied
}

fn apply_all(
    connection: &mut Connection,
    known: &[Migration],
    file: &Path,
    held: Option<&ServerLock>,
) -> Result<Option<ServerLock>> {
    // Immediate, because two processes that start at once must not both migrate.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables = row::number(&transaction, "SELECT count(*) FROM sqlite_schema")?;
    let id: i64 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if tables > 0 && id != APPLICATION_ID {
        return Err(StoreError::Corrupt("the file is a SQLite database, but not one of mcpgate".to_owned()));
    }
    if tables == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute_batch(
            "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL) STRICT",
        )?;
    }
    let outstanding = migrate::outstanding(known, &applied(&transaction)?)?;
    // A running server of an older version would find tables that it does not know.
    let lock = match held {
        None if tables > 0 && (!outstanding.is_empty() || backup_mark::is_marked(&transaction)?) => {
            Some(lock_for_change(file)?)
        }
        Some(_) | None => None,
    };
    for migration in outstanding {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migration (number, name, sha256) VALUES (?1, ?2, ?3)",
            params![migration.number, migration.name, migration.checksum()],
        )?;
    }
    if !outstanding.is_empty()
        && let Some(dangling) = dangling(&transaction)?.first()
    {
        return Err(StoreError::Corrupt(format!("after the change of its schema, which was rolled back, {dangling}")));
    }
    transaction.commit()?;
    Ok(lock)
}

/// Returns the broken references between rows, one line each.
pub(super) fn dangling(connection: &Connection) -> Result<Vec<String>> {
    row::all(connection, "PRAGMA foreign_key_check", [], |c| {
        Ok(format!("a row of `{}` references a missing row", c.text()?))
    })
}

/// Returns whether a file is ours and up to date; does not take the write lock.
fn is_up_to_date(connection: &Connection) -> Result<bool> {
    let state = connection.unchecked_transaction()?;
    let id: i64 = state.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(id == APPLICATION_ID
        && row::number(&state, "SELECT count(*) FROM sqlite_schema")? > 0
        && migrate::outstanding(MIGRATIONS, &applied(&state)?)?.is_empty()
        && !backup_mark::is_marked(&state)?)
}

/// Returns why this program cannot use a store, if a newer program made it.
pub(super) fn newer_schema(connection: &Connection) -> Result<Option<String>> {
    match migrate::outstanding(MIGRATIONS, &applied(connection)?) {
        Err(StoreError::Unavailable(newer)) => Ok(Some(newer)),
        judged => judged.map(|_| None),
    }
}

fn lock_for_change(file: &Path) -> Result<ServerLock> {
    ServerLock::acquire(folder_of(file)).map_err(|held| {
        let why = "this program must migrate the store first, which it cannot do beside a running server";
        StoreError::Unavailable(format!("{why}: stop the server first ({held})"))
    })
}

/// Returns what is wrong with the schema's history, if anything.
pub(super) fn check_migrations(connection: &Connection) -> Result<Option<String>> {
    let outstanding = migrate::outstanding(MIGRATIONS, &applied(connection)?);
    Ok(match outstanding {
        Ok([]) => None,
        Ok(missing) => Some(format!("{} migrations are not applied", missing.len())),
        Err(error) => Some(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_plan_serves_whatever_values_are_bound() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcpgate.db");
        let file = crate::store::embedded::file::creation::prepare(&file, None, Timestamp::default()).unwrap();
        let db = open(&file).unwrap();
        // A join past a table with a partial index.
        let sql = "SELECT g.no FROM grants g JOIN client c ON c.no = g.client_no WHERE g.tenant = ?1 AND g.id = ?2";
        let mut find = db.prepare(sql).unwrap();
        for n in 0..10u8 {
            assert!(!find.exists(params!["default", [n; 16]]).unwrap());
            find.clear_bindings();
        }
        assert_eq!(find.get_status(StatementStatus::RePrepare), 0);
    }
}
