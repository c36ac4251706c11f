//! SQLite: one writer thread with group commit, readers beside it, one file.
//!
//! It keeps everything in `mcpgate.db` (WAL, every commit is flushed before it is acknowledged) and decides nothing:
//! the rules of `oauth` are applied inside the transaction. Several processes may open the file at once, such as a
//! command while a server is running. Start with `rows/codes.rs`, then `file/writer.rs`.
//!
//! `stores` implements the traits on `rows` (the tables) and `file` (connections, transactions and the file as a
//! whole); `rows` knows neither.

use std::path::{Path, PathBuf};

use super::{Result, StoredCatalogue};
use crate::oauth::{TenantId, Timestamp};

#[cfg(test)]
mod cost;
mod file;
#[cfg(test)]
pub(crate) mod growth;
mod rows;
mod stores;

use file::commit_mark::CommitMark;
use file::disk::Disk;
use file::operation::{EndedBy, RepeatableWork, Work};
use file::readers::Readers;
pub use file::restore::{RestoreError, restore};
pub use file::server_lock::ServerLock;
use file::writer::Writer;
use file::{connection, creation};

/// The number of reading threads: one may be busy filling the cache or with a long list, while the other serves
/// requests.
const READERS: usize = 2;

/// The embedded store, over one database file.
#[derive(Debug)]
pub struct EmbeddedStore {
    file: PathBuf,
    readers: Readers,
    // After the readers, so that its connection is the last to close, which moves what is in the write-ahead log to the
    // file.
    writer: Writer,
    mark: CommitMark,
}

/// Reads what is kept of an upstream from a file that stays as it is; `None` if there is none, or if this program would
/// change it before using it.
///
/// # Errors
/// `StoreError` when it cannot be read, or is damaged.
pub(super) fn stored_catalogue(file: &Path, tenant: &TenantId, upstream: &str) -> Result<Option<StoredCatalogue>> {
    connection::read_as_it_is(file, |state| rows::catalogue::of(state, tenant, upstream))
}

impl EmbeddedStore {
    /// Opens or creates the database file (mode 0600), updates its schema, and ends all access in a restored backup.
    /// `held` is the lock if a server opens it; without one the schema is only changed while no server runs.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be opened, is locked, was written by a newer program, or by an older one and
    /// a server runs on it; `Corrupt` when it is damaged or not ours.
    pub fn open(file: &Path, held: Option<&ServerLock>, now: Timestamp) -> Result<Self> {
        let file = &creation::prepare(file, held, now)?;
        let mut db = connection::open(file)?;
        connection::migrate(&mut db, file, held, now)?;
        let readers = (0..READERS).map(|_| connection::open(file)).collect::<Result<_, _>>()?;
        Ok(Self {
            file: file.to_owned(),
            readers: Readers::start(readers)?,
            writer: Writer::start(db, Disk::new(file, held.is_some()))?,
            mark: CommitMark::of(file),
        })
    }

    async fn write<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        self.writer.run(work).await
    }

    /// Like `write`, for operations that end access, which have reserved space on a full disk.
    async fn write_urgently<T: Send + 'static>(&self, by: EndedBy, work: impl RepeatableWork<T>) -> Result<T> {
        self.writer.run_urgent(by, work).await
    }

    async fn read<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        if self.writer.has_unstored() {
            return self.writer.read(work).await;
        }
        self.readers.run(work).await
    }

    /// Reads what is stored, without changes that are only in force.
    async fn read_stored<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        self.readers.run(work).await
    }
}
