//! `CommitMark`: whether anything was committed, read without SQLite, a lock or a thread of its own.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::paths::{beside, unavailable};
use crate::store::Result;
use crate::sync::lock;

/// Size of the two copies of the header of the WAL index (<https://www.sqlite.org/walformat.html> 2.1). A commit writes
/// them last, after the log itself is on the disk.
const HEADERS: usize = 96;

/// Reads the WAL index, a file that every process with an open store maps into memory. The read does not wait for the
/// disk.
#[derive(Debug)]
pub(crate) struct CommitMark {
    path: PathBuf,
    /// Never closed: closing it would release all locks of this process on the file, which are SQLite's (fcntl(2);
    /// <https://www.sqlite.org/howtocorrupt.html> 2.2).
    file: Mutex<Option<ManuallyDrop<File>>>,
}

impl CommitMark {
    /// Returns the mark of the store in `file`.
    pub(crate) fn of(file: &Path) -> Self {
        Self { path: beside(file, "-shm"), file: Mutex::default() }
    }

    /// Returns a number that changes with every commit of any process. A connection must be open.
    pub(crate) fn read(&self) -> Result<u64> {
        let mut opened = lock(&self.file);
        let file = match opened.take() {
            Some(file) => file,
            None => ManuallyDrop::new(File::open(&self.path).map_err(|e| unavailable("cannot open", &self.path, &e))?),
        };
        let mut headers = [0; HEADERS];
        let read = opened.insert(file).read_exact_at(&mut headers, 0);
        read.map_err(|e| unavailable("cannot read", &self.path, &e))?;
        // The counter of commits, and a checksum in case recovery after a crash has reset the counter.
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = headers;
        let changes = u32::from_ne_bytes([a, b, c, d]);
        Ok(u64::from(changes) << 32 | u64::from(crc32fast::hash(&headers)))
    }
}
