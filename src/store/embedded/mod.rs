//! SQLite: one writer thread with group commit, readers beside it, one file.
//!
//! It keeps everything in `mcpgate.db` (WAL, every commit flushed before it is acknowledged) and decides nothing: the
//! rules of `oauth` are asked inside the transaction. Several processes may open the file at once: the command line
//! does, beside a running server. It knows `oauth` and its parent, never `postgres`. Start with `writer.rs`, then
//! `codes.rs`.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::StoreError;
use crate::oauth::Timestamp;

mod accounts;
mod audit;
mod backup_mark;
mod check;
mod clients;
mod clock;
mod codes;
mod connection;
#[cfg(test)]
mod cost;
mod creation;
mod disk;
mod fault;
mod figures;
mod grants;
#[cfg(test)]
mod growth;
mod header;
mod in_force;
mod interactions;
mod logins;
mod names;
mod operation;
mod readers;
#[cfg(test)]
mod rebuilding;
mod refresh;
mod registrations;
mod restore;
mod retention;
mod row;
mod seal;
mod sessions;
mod stores;
mod sweep;
mod tokens;
mod unstored;
mod uses;
mod words;
mod worker;
mod writer;

pub use connection::{FILE, ServerLock};
use operation::EndedBy;
use readers::Readers;
pub use restore::{RestoreError, restore};
use writer::Writer;

/// Reading threads: one is kept busy by the filling of the cache or a long list, the other answers meanwhile.
const READERS: usize = 2;

/// The embedded store.
#[derive(Debug)]
pub struct EmbeddedStore {
    file: PathBuf,
    writer: Writer,
    readers: Readers,
    /// One connection for `PRAGMA data_version`, whose answers compare only on the same connection.
    watcher: Readers,
}

impl EmbeddedStore {
    /// Opens or makes the database file (mode 0600), brings its schema up to date, and ends what a backup that was put
    /// back still holds open. `held` is the lock of the server that opens it; whoever has none changes the schema only
    /// while no server runs.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be opened, is locked, was written by a newer program, or by an older one and a
    /// server runs on it; `Corrupt` when it is damaged or not ours.
    pub fn open(file: &Path, held: Option<&ServerLock>, now: Timestamp) -> Result<Self, StoreError> {
        let file = &creation::prepare(file, held, now)?;
        let mut db = connection::open(file)?;
        connection::migrate(&mut db, file, held, now)?;
        let readers = (0..READERS).map(|_| connection::open(file)).collect::<Result<_, _>>()?;
        Ok(Self {
            file: file.to_owned(),
            writer: Writer::start(db, disk::Disk::new(file, held.is_some()))?,
            readers: Readers::start(readers)?,
            watcher: Readers::start(vec![connection::open(file)?])?,
        })
    }

    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.run(work).await
    }

    /// The same for what ends access: it has room on a full disk.
    async fn write_urgently<T, F>(&self, by: EndedBy, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.run_urgent(by, work).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        if self.writer.has_unstored() {
            return self.writer.read(work).await;
        }
        self.readers.run(work).await
    }

    /// Reads what is stored, whatever is in force beside.
    async fn read_stored<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.readers.run(work).await
    }
}
