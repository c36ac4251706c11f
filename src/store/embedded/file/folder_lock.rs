//! The lock on the folder of a store, held while something is in force but not stored: SQLite's own lock is lost for a
//! moment whenever a commit fails.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

/// How often the server tries to lock the folder, and below the pause in between: a command holds it only for
/// microseconds.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(1);

/// The lock on the folder of a store (flock(2), which needs no room on the disk).
pub(super) struct FolderLock(File);

impl FolderLock {
    /// Takes the lock; `None` if a command is just checking it, or the file system cannot lock folders.
    pub(super) fn take(folder: &Path) -> Option<Self> {
        let file =
            File::open(folder).inspect_err(|error| tracing::debug!(%error, "the folder cannot be locked")).ok()?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Some(Self(file)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => {
                    tracing::debug!(%error, "the folder cannot be locked");
                    return None;
                }
            }
        }
        None
    }

    /// Returns whether a server holds the lock.
    pub(super) fn is_taken(folder: &Path) -> bool {
        File::open(folder).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // flock(2): closing the file is not enough while a child process that is just being started still has it open.
        let _let_go = self.0.unlock();
    }
}
