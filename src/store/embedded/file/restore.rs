//! Replaces a store by a backup; the store is kept under another name.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::check;
use super::connection;
use super::header::Header;
use super::paths::{beside, flush_folder, remove, unavailable};
use super::server_lock::ServerLock;
use crate::data_dir::STORE;
use crate::files::private::give_to_owner;
use crate::files::{ReadError, name_of};
use crate::oauth::Timestamp;
use crate::store::{Result, StoreError};

/// Why a backup was not restored. The store is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is not a complete backup of one of our stores.
    #[error("cannot restore {}: {why}; the store was not changed", file.display())]
    NoBackup {
        /// The file that was to be restored.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A server runs on the folder, or a file cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Installs a copy of the backup `from` in a data directory that no server is using, and keeps an existing store;
/// returns the name under which it is kept, if there was one.
///
/// # Errors
/// `RestoreError`. Nothing is replaced then.
pub fn restore(from: &Path, data_dir: &Path, now: Timestamp) -> Result<Option<PathBuf>, RestoreError> {
    let no_backup = |why| RestoreError::NoBackup { file: from.to_owned(), why };
    look_at(from).map_err(no_backup)?;
    let lock = ServerLock::acquire(data_dir)?;
    let (file, copy) = (data_dir.join(STORE), data_dir.join("mcpgate-restoring.db"));
    // Left over from an earlier restore that was killed.
    remove(&copy)?;
    remove(&check::unfinished(&copy))?;
    let placed = make_ready(from, &copy, &lock, now).map_err(|error| match error {
        StoreError::Corrupt(why) => no_backup(format!("it is damaged ({why}); use another backup")),
        StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::NotStored => error.into(),
    });
    let placed = placed.and_then(|newer| newer.map_or(Ok(()), |newer| Err(no_backup(newer))));
    let placed = placed.and_then(|()| Ok(put_in_place(&copy, &file, now)?));
    if placed.is_err() {
        remove(&copy)?;
    }
    placed
}

/// Renames the copy to `file`, and keeps an existing store; returns the name under which it is kept.
fn put_in_place(copy: &Path, file: &Path, now: Timestamp) -> Result<Option<PathBuf>> {
    let kept = if file.exists() { Some(keep(file, now)?) } else { None };
    fs::rename(copy, file).map_err(|e| unavailable("cannot put the backup in place as", file, &e))?;
    flush_folder(file)?;
    Ok(kept)
}

/// Gives the store a second name, under which it is kept when another store replaces it.
fn keep(file: &Path, now: Timestamp) -> Result<PathBuf> {
    // Even if this is killed, there is always a complete store under the name: the old one or the new one.
    match fold_log(file) {
        Ok(()) => {}
        Err(StoreError::Corrupt(why)) => tracing::warn!(why, "the replaced store is damaged"),
        Err(error) => return Err(error),
    }
    let mut seconds = now.as_secs();
    // If restored twice within a second, use the next free name.
    let kept = loop {
        let kept = file.with_file_name(format!("mcpgate-replaced-{seconds}.db"));
        match fs::hard_link(file, &kept) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => seconds = seconds.saturating_add(1),
            linked => {
                break linked.map(|()| kept).map_err(|e| unavailable("cannot keep the previous store", file, &e))?;
            }
        }
    };
    // The write-ahead log of a damaged store belongs to it, and must not be used with the new store.
    let log = beside(file, "-wal");
    if log.exists() {
        fs::rename(&log, beside(&kept, "-wal")).map_err(|e| unavailable("cannot move", &log, &e))?;
    }
    remove(&beside(file, "-shm"))?;
    Ok(kept)
}

/// Checks whether a file can be a backup; the error says what is wrong with it, and what to do.
fn look_at(from: &Path) -> Result<(), String> {
    const ANOTHER: &str = "name a file that mcpgate db backup has written";
    let found = fs::metadata(from).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err(format!("{}; {ANOTHER}", ReadError::NotAFile(name_of(found.file_type()))));
    }
    let file = fs::File::open(from).map_err(|error| error.to_string())?;
    let header = Header::read(&file).map_err(|error| error.to_string())?;
    let (length, said) = (found.len(), header.page_size.saturating_mul(header.pages));
    if length == 0 {
        Err(format!("it is empty; {ANOTHER}"))
    } else if !header.is_database {
        Err(format!("it is not a store; {ANOTHER}"))
    } else if !header.is_ours {
        Err(format!("it is a SQLite database, but not one of mcpgate; {ANOTHER}"))
    } else if length < said {
        Err(format!("it is truncated ({length} of {said} bytes exist); copy it again, or use another backup"))
    } else {
        Ok(())
    }
}

/// Makes a copy of a backup that a server can use, and checks it; returns the reason if this program is too old for it.
fn make_ready(from: &Path, copy: &Path, lock: &ServerLock, now: Timestamp) -> Result<Option<String>> {
    check::backup(&connection::open_backup(from)?, copy)?;
    let mut db = connection::open(copy)?;
    if let Some(newer) = connection::newer_schema(&db)? {
        return Ok(Some(newer));
    }
    connection::migrate(&mut db, copy, Some(lock), now)?;
    let problems = check::check(&db)?;
    if !problems.is_empty() {
        return Err(StoreError::Corrupt(problems.join("; ")));
    }
    // A single file again, so that renaming it moves everything.
    db.pragma_update(None, "journal_mode", "DELETE")?;
    // If root has created it, the server's user could not open it.
    give_to_owner(copy).map_err(|e| unavailable("cannot change the owner of", copy, &e))?;
    Ok(None)
}

/// Merges the write-ahead log into the store, which is then a single file.
fn fold_log(file: &Path) -> Result<()> {
    Ok(connection::open(file)?.pragma_update(None, "journal_mode", "DELETE")?)
}
