//! Checks and copies the whole file: slow work, each on its own thread and connection.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::operation::Work;
use super::{backup_mark, connection, paths};
use crate::files::private::take_owner;
use crate::store::embedded::rows::{
    accounts, acting, catalogue, clients, codes, ephemeral, grants, groups, left_out, quotas, retention, row, sessions,
    table_marks, tokens,
};
use crate::store::{Result, StoreError};

/// Queries that count violations of invariants, each with its message.
const INVARIANTS: [(&str, &str); 12] = [
    (
        "SELECT count(*) FROM access_token t LEFT JOIN grants g ON g.no = t.grant_no WHERE g.no IS NULL",
        "access tokens have no grant",
    ),
    (
        "SELECT count(*) FROM access_token t JOIN grants g ON g.no = t.grant_no WHERE g.revoked_at IS NOT NULL",
        "access tokens live on revoked grants",
    ),
    (
        "SELECT count(*) FROM access_token t JOIN grants g ON g.no = t.grant_no WHERE t.tenant <> g.tenant",
        "access tokens belong to another tenant than their grant",
    ),
    (
        "SELECT count(*) FROM grants g JOIN client c ON c.no = g.client_no JOIN account a ON a.no = g.account_no
            WHERE g.tenant <> c.tenant OR g.tenant <> a.tenant",
        "grants belong to another tenant than their client or account",
    ),
    ("SELECT count(*) FROM access_token t JOIN void_token v ON v.hash = t.hash", "void access tokens are live"),
    (
        "SELECT count(*) FROM account a JOIN former_name f ON f.tenant = a.tenant AND f.name = a.name
            WHERE f.subject <> a.subject",
        "accounts have a former login name of another account",
    ),
    (
        "SELECT count(*) FROM group_member m JOIN account a ON a.no = m.account_no WHERE m.tenant <> a.tenant",
        "members of groups belong to another tenant than their account",
    ),
    (
        "SELECT count(*) FROM ended_acting e JOIN account a ON a.no = e.account_no JOIN client c ON c.no = e.client_no
            WHERE e.tenant <> a.tenant OR e.tenant <> c.tenant",
        "ends of acting for somebody belong to another tenant than their account or client",
    ),
    (
        "SELECT count(*) FROM table_mark m LEFT JOIN client c ON c.no = m.client_no
            LEFT JOIN account a ON a.no = m.account_no WHERE m.tenant <> coalesce(c.tenant, a.tenant)",
        "marks of tables belong to another tenant than their client or account",
    ),
    ("SELECT count(*) FROM grants WHERE idle_until > expires_at", "grants idle beyond their end"),
    ("SELECT count(*) FROM code WHERE used_at IS NOT NULL AND grant_no IS NULL", "used codes have no grant"),
    ("SELECT count(*) FROM code WHERE challenge IS NULL", "codes have no PKCE challenge"),
];

/// Runs `work` on a thread with its own connection.
pub(crate) async fn on_own_thread<T: Send + 'static>(file: &Path, work: impl Work<T>) -> Result<T> {
    let (caller, answer) = oneshot::channel();
    let file = file.to_owned();
    let run = move || {
        let outcome = connection::open(&file).and_then(|db| work(&db));
        if caller.send(outcome).is_err() {
            tracing::debug!("the caller left before its work on the store was finished");
        }
    };
    let spawned = std::thread::Builder::new().name("store-upkeep".to_owned()).spawn(run);
    spawned.map_err(|e| StoreError::Unavailable(format!("cannot start a thread: {e}")))?;
    answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the thread has stopped".to_owned())))
}

/// Checks the file's structure, references, schema history, every row's seal, and the invariants.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    let mut problems = row::all(db, "PRAGMA integrity_check(20)", [], |c| Ok(c.text()?.to_owned()))?;
    problems.retain(|line| line != "ok");
    problems.extend(connection::dangling(db)?);
    problems.extend(connection::check_migrations(db)?);
    for table in [
        clients::check,
        accounts::check,
        acting::check,
        groups::check,
        sessions::check,
        left_out::check,
        ephemeral::check,
        grants::check,
        codes::check,
        tokens::check,
        tokens::check_void,
        retention::check,
        catalogue::check,
        quotas::check,
        table_marks::check,
    ] {
        problems.extend(table(db)?);
    }
    for (sql, what) in INVARIANTS {
        match row::number(db, sql)? {
            0 => {}
            count => problems.push(format!("{count} {what}")),
        }
    }
    Ok(problems)
}

/// Copies the store into a new file of mode 0600, in one consistent state while others read and write. The file gets
/// its final name when it is complete and marked as a copy.
pub(crate) fn backup(db: &Connection, to: &Path) -> Result<()> {
    let part = unfinished(to);
    // `create_new`: a backup never overwrites a file, and two processes that write the same backup conflict here.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    let made = made.map_err(|error| cannot_make(&part, &error))?;
    // A copy beside the store belongs to the store's user; elsewhere it belongs to the user who made it.
    let source = db.path().map(Path::new).and_then(Path::parent);
    let folder = part.canonicalize().ok().and_then(|part| part.parent().map(Path::to_owned));
    if source.is_some() && source == folder.as_deref() {
        take_owner(&made, &part).map_err(|error| cannot_make(&part, &error))?;
    }
    let copied = match to.try_exists() {
        Ok(false) => copy(db, &part).and_then(|()| fs::rename(&part, to).map_err(|error| cannot_make(to, &error))),
        Ok(true) => Err(cannot_make(to, &ErrorKind::AlreadyExists.into())),
        Err(error) => Err(cannot_make(to, &error)),
    };
    if copied.is_err()
        && let Err(error) = fs::remove_file(&part)
    {
        tracing::warn!(%error, file = %part.display(), "an unfinished backup could not be removed");
    }
    copied
}

/// Returns the name of a backup while it is written.
pub(super) fn unfinished(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn cannot_make(file: &Path, error: &std::io::Error) -> StoreError {
    let taken = error.kind() == ErrorKind::AlreadyExists;
    let why = if taken { "a file with this name already exists".to_owned() } else { error.to_string() };
    StoreError::Unavailable(format!("cannot create {}: {why}", file.display()))
}

fn copy(db: &Connection, to: &Path) -> Result<()> {
    // Without following links: the folder's owner could otherwise choose the file that root writes.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut target = Connection::open_with_flags(paths::resolved(to)?, flags)?;
    // All pages in one step, because otherwise each concurrent write would restart the copy.
    if Backup::new(db, &mut target)?.step(-1)? != StepResult::Done {
        return Err(StoreError::Unavailable("the store was locked during the copy".to_owned()));
    }
    backup_mark::mark(&target)?;
    // A copy is a single file, without a write-ahead log.
    Ok(target.pragma_update(None, "journal_mode", "DELETE")?)
}
