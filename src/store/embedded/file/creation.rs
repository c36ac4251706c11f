//! Creates a new store under another name first, so that an empty or truncated file with the final name is always a
//! damaged store, and never one that was being created.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::connection;
use super::header::Header;
use super::paths::{beside, flush_folder, folder_of, make_folder, remove, resolved, unavailable};
use super::server_lock::ServerLock;
use crate::files::private;
use crate::oauth::Timestamp;
use crate::store::{Result, StoreError};

/// How many stores were created in this process, so that each has its own temporary name.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Creates the file and its folder if they are absent, both accessible to the owner only (ST-07), and checks an
/// existing file. Returns its path without symbolic links.
pub(crate) fn prepare(file: &Path, held: Option<&ServerLock>, now: Timestamp) -> Result<PathBuf> {
    make_folder(folder_of(file))?;
    let file = resolved(file)?;
    match fs::symlink_metadata(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(&file, held, now)?,
        Err(error) => return Err(unavailable("cannot look at", &file, &error)),
        Ok(_) => {}
    }
    look_at(&file)?;
    Ok(file)
}

/// Creates an empty store. If two processes do so at once, the first one's is kept.
fn make(file: &Path, held: Option<&ServerLock>, now: Timestamp) -> Result<()> {
    let log = beside(file, "-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(StoreError::Corrupt(format!("the file is gone, but {} exists", log.display())));
    }
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let part = beside(file, &format!(".{}-{number}", std::process::id()));
    let parts = ["", "-journal", "-wal", "-shm"].map(|ending| beside(&part, ending));
    // Left behind by a killed process with the same id.
    parts.iter().try_for_each(|part| remove(part))?;
    let made = fill(&part, held, now).and_then(|()| match fs::hard_link(&part, file) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(|e| unavailable("cannot make", file, &e)),
    });
    let removed = parts.iter().try_for_each(|part| remove(part));
    made.and(removed)?;
    flush_folder(file)
}

fn fill(part: &Path, held: Option<&ServerLock>, now: Timestamp) -> Result<()> {
    drop(private::open_or_create(part).map_err(|e| unavailable("cannot make", part, &e))?);
    let mut db = connection::open(part)?;
    connection::migrate(&mut db, part, held, now)?;
    // A single file, fully written to disk.
    Ok(db.pragma_update(None, "journal_mode", "DELETE")?)
}

/// Sets the mode of the file and checks that it is not empty; SQLite detects missing pages.
fn look_at(file: &Path) -> Result<()> {
    let opened = private::open_or_create(file).map_err(|e| unavailable("cannot open", file, &e))?;
    let metadata = opened.metadata().map_err(|e| unavailable("cannot look at", file, &e))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(file = %file.display(), "other users could read the store; its mode is now 0600");
        let forced = opened.set_permissions(fs::Permissions::from_mode(0o600));
        forced.map_err(|e| unavailable("other users can read the store, and it belongs to another user:", file, &e))?;
    }
    let length = metadata.len();
    // With a write-ahead log, SQLite completes the last page from there.
    let has_log = fs::metadata(beside(file, "-wal")).is_ok_and(|log| log.len() > 0);
    let Header { page_size, .. } = Header::read(&opened).map_err(|e| unavailable("cannot read", file, &e))?;
    if page_size == 0 || (!has_log && !length.is_multiple_of(page_size)) {
        return Err(StoreError::Corrupt(format!("the file is empty or truncated: it has {length} bytes")));
    }
    Ok(())
}
