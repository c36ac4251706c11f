//! The first bytes of a SQLite file (SQLite file format 1.3, <https://www.sqlite.org/fileformat.html>).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::connection::APPLICATION_ID;

/// Length of the header in bytes. SQLite would take a shorter file for an empty store.
const LENGTH: usize = 100;

/// The content of a file's header.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Header {
    /// Whether the header is complete and SQLite's.
    pub(super) is_database: bool,
    /// Whether mcpgate has made the file.
    pub(super) is_ours: bool,
    /// Page size in bytes; 0 without a header.
    pub(super) page_size: u64,
    /// How many pages the file has.
    pub(super) pages: u64,
}

impl Header {
    /// Reads the header; all fields are empty for a file that is too short.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; LENGTH];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Self::default()),
            read => read?,
        }
        let number = |range: std::ops::Range<usize>| {
            bytes.get(range).unwrap_or_default().iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let page_size = match number(16..18) {
            1 => 65_536,
            size => size,
        };
        Ok(Self {
            is_database: bytes.starts_with(b"SQLite format 3\0"),
            is_ours: i64::try_from(number(68..72)) == Ok(APPLICATION_ID),
            page_size,
            pages: number(28..32),
        })
    }
}
