//! The lock on the folder of a store, held while something is in force that is not stored: SQLite's own lock is lost for a
//! moment whenever a commit fails.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

/// How often the server tries to lock the folder, and how long it pauses between: a command looks for microseconds only.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(1);

/// The lock on the folder of a store (flock(2), which needs no room on the disk).
pub(super) struct FolderLock(File);

impl FolderLock {
    /// Takes it; `None` if somebody looks at it just now, or the file system does not lock folders.
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

    /// Returns whether a server holds it.
    pub(super) fn is_taken(folder: &Path) -> bool {
        File::open(folder).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // flock(2): to close the file is not enough while a child that is just being started still has it open as well.
        let _let_go = self.0.unlock();
    }
}
