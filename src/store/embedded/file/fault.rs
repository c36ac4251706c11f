//! Maps SQLite's errors to `StoreError`: what happened, and whether a retry can help.

use rusqlite::{Error, ffi};

use crate::store::StoreError;

/// Prefix of errors from a full disk.
const NO_MORE: &str = "the disk accepts no more data";
const FULL: &str = "the disk is full";

/// Returns whether nothing was written because the disk is full.
pub(super) fn is_no_room(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(why) if why.starts_with(FULL) || why.starts_with(NO_MORE))
}

/// The error of an operation that has to wait until there is space.
pub(super) fn no_room() -> StoreError {
    StoreError::Unavailable(format!("{FULL}, and the remaining space is reserved for revocations"))
}

/// The error of an operation that was not tried because writing has just failed.
pub(super) fn failed_lately() -> StoreError {
    StoreError::Unavailable("writing failed a moment ago, and revocations are written first".to_owned())
}

/// The error of a command's operation while a running server cannot store the end of some access.
pub(super) fn held_by_server() -> StoreError {
    StoreError::Unavailable(
        "a running server holds revocations that are not stored yet and must be stored first, because they would \
         undo what is written now: free space on the disk, and repeat this once mcpgate_store_unstored_revocations \
         is 0"
            .to_owned(),
    )
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        // The extended code's low byte is the primary code.
        match error.sqlite_error().map(|e| e.extended_code & 0xff) {
            // SQLite reports a quota (EDQUOT) or RLIMIT_FSIZE (EFBIG), unlike ENOSPC, as a failed write.
            Some(ffi::SQLITE_IOERR) if is_code(&error, ffi::SQLITE_IOERR_WRITE) => {
                Self::Unavailable(format!("{NO_MORE}: {error}"))
            }
            Some(ffi::SQLITE_FULL) => Self::Unavailable(format!("{FULL}: {error}")),
            Some(ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => {
                Self::Unavailable(format!("another process holds the file locked: {error}"))
            }
            Some(ffi::SQLITE_READONLY) => Self::Unavailable(format!("the file or its folder is read-only: {error}")),
            Some(ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => Self::Corrupt(error.to_string()),
            Some(ffi::SQLITE_CONSTRAINT) => Self::Conflict(error.to_string()),
            Some(_) => Self::Unavailable(error.to_string()),
            // Not from SQLite but from reading a result: a value of another type than in the schema.
            None => Self::Corrupt(error.to_string()),
        }
    }
}

/// Returns whether making written data durable failed. The system may have dropped that data from its cache and report
/// success next time, so nothing written from then on is certain to be stored (ST-06).
pub(super) fn is_failed_sync(error: &Error) -> bool {
    is_code(error, ffi::SQLITE_IOERR_FSYNC) || is_code(error, ffi::SQLITE_IOERR_DIR_FSYNC)
}

fn is_code(error: &Error, code: i32) -> bool {
    error.sqlite_error().is_some_and(|e| e.extended_code == code)
}
