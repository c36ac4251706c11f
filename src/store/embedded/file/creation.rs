//! A new store: made whole under another name first, so that a file of its name that is empty or cut off is always a store
//! that was damaged, and never one that was about to be made.

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

/// How many were made in this process, so that each has a name of its own meanwhile.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Makes the file and its folder if they are absent, both for the owner alone (ST-07), and looks at the file if it is
/// there. Returns its path without links.
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

/// Makes an empty store. Of two processes that do so at once the first one's stays.
fn make(file: &Path, held: Option<&ServerLock>, now: Timestamp) -> Result<()> {
    let log = beside(file, "-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(StoreError::Corrupt(format!("the file is gone, but {} is there", log.display())));
    }
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let part = beside(file, &format!(".{}-{number}", std::process::id()));
    let parts = ["", "-journal", "-wal", "-shm"].map(|ending| beside(&part, ending));
    // Left behind by a process of this number that was killed.
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
    // One file, all of it on the disk.
    Ok(db.pragma_update(None, "journal_mode", "DELETE")?)
}

/// Sees to the mode of the file, and that there is something in it; whether all pages are there SQLite finds out.
fn look_at(file: &Path) -> Result<()> {
    let opened = private::open_or_create(file).map_err(|e| unavailable("cannot open", file, &e))?;
    let metadata = opened.metadata().map_err(|e| unavailable("cannot look at", file, &e))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(file = %file.display(), "others could read the store; its mode is set to 0600");
        let forced = opened.set_permissions(fs::Permissions::from_mode(0o600));
        forced.map_err(|e| unavailable("others can read the store and it belongs to another user:", file, &e))?;
    }
    let length = metadata.len();
    // With a log beside it, SQLite completes the last page from there.
    let has_log = fs::metadata(beside(file, "-wal")).is_ok_and(|log| log.len() > 0);
    let Header { page_size, .. } = Header::read(&opened).map_err(|e| unavailable("cannot read", file, &e))?;
    if page_size == 0 || (!has_log && !length.is_multiple_of(page_size)) {
        return Err(StoreError::Corrupt(format!("the file is empty or cut off: it has {length} bytes")));
    }
    Ok(())
}
