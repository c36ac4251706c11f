//! `ServerLock`: no two servers on one data directory.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::paths::{make_folder, unavailable};
use crate::files::private;
use crate::store::{Result, StoreError};

/// Held by the only server of a data directory for as long as it runs. Commands need it only to change the schema or to
/// restore a backup: otherwise SQLite lets them write concurrently, and the server learns of it from the change log.
#[derive(Debug)]
pub struct ServerLock {
    /// Locked as long as it is open; the system releases it even after a kill.
    file: File,
}

impl Drop for ServerLock {
    fn drop(&mut self) {
        // flock(2): closing the file is not enough while a child process that is just being started still has it open.
        // If this fails, closing it is all that can be done.
        let _let_go = self.file.unlock();
    }
}

impl ServerLock {
    /// Takes the lock of a data directory, which is created if it is absent.
    ///
    /// # Errors
    /// `Unavailable` when another server runs on the folder (ST-05), or it cannot be written.
    pub fn acquire(data_dir: &Path) -> Result<Self> {
        make_folder(data_dir)?;
        let path = data_dir.join("server.lock");
        let mut file = private::open_or_create(&path).map_err(|e| unavailable("cannot open", &path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The error is reported even without the server's process id.
                let _unknown = file.take(32).read_to_string(&mut holder);
                return Err(StoreError::Unavailable(format!(
                    "another mcpgate (process {}) uses {}; stop it, or choose another directory with --data",
                    holder.trim(),
                    data_dir.display()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(unavailable("cannot lock", &path, &e)),
        }
        let noted =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        noted.map_err(|e| unavailable("cannot write", &path, &e))?;
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn st_05_a_lock_that_is_given_back_is_free_although_a_child_still_has_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let lock = ServerLock::acquire(folder.path()).unwrap();
        // As a child has it between fork and exec.
        let _of_child = lock.file.try_clone().unwrap();
        assert!(matches!(ServerLock::acquire(folder.path()), Err(StoreError::Unavailable(_))));
        drop(lock);
        ServerLock::acquire(folder.path()).unwrap();
    }
}
