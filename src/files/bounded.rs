//! Reads an operator's file within bounds: only a regular file and only up to a number of bytes, so that a named pipe,
//! a device or a huge file is refused at once instead of being waited for or read into memory.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Why a file was not read. Never contains its content.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not a regular file.
    #[error("it is {0}, not a plain file")]
    NotAFile(&'static str),
    /// It has more bytes than allowed.
    #[error("it is larger than {} KiB", .0 / 1024)]
    TooLarge(u64),
    /// It is not valid UTF-8.
    #[error("it is not UTF-8 in UTF-8")]
    NotText,
    /// The system returned an error.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl ReadError {
    /// Returns whether there is no such file.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a regular file of at most `most` bytes; symbolic links are followed.
///
/// # Errors
/// `ReadError`.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    read_with_mode(path, most).map(|(content, _)| content)
}

/// Like `read`, for text in UTF-8.
///
/// # Errors
/// `ReadError`.
pub fn read_text(path: &Path, most: u64) -> Result<String, ReadError> {
    String::from_utf8(read(path, most)?).map_err(|_| ReadError::NotText)
}

/// Like `read`, and also returns the permission bits of the file that was read.
///
/// # Errors
/// `ReadError`.
pub fn read_with_mode(path: &Path, most: u64) -> Result<(Vec<u8>, u32), ReadError> {
    let (file, metadata) = open(path, OFlags::empty())?;
    Ok((content(file, &metadata, most)?, metadata.permissions().mode() & 0o7777))
}

/// Opens a regular file for reading; `more` are further flags of open(2).
pub(super) fn open(path: &Path, more: OFlags) -> Result<(File, Metadata), ReadError> {
    // Checked before opening, because opening a device can have effects (a watchdog starts, a tape rewinds).
    let before =
        if more.contains(OFlags::NOFOLLOW) { std::fs::symlink_metadata(path) } else { std::fs::metadata(path) };
    is_regular(before?.file_type())?;
    // If a pipe has replaced it meanwhile, opening must not wait for a writer.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | more;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    is_regular(metadata.file_type())?;
    Ok((file, metadata))
}

/// Reads at most `most` bytes of an open file.
pub(super) fn content(file: File, metadata: &Metadata, most: u64) -> Result<Vec<u8>, ReadError> {
    if metadata.len() > most {
        return Err(ReadError::TooLarge(most));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    // Reads one byte more than allowed, because the file may grow meanwhile, and some (in /proc) report a size of zero.
    file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    let read = u64::try_from(content.len()).unwrap_or(u64::MAX);
    if read > most { Err(ReadError::TooLarge(most)) } else { Ok(content) }
}

fn is_regular(kind: FileType) -> Result<(), ReadError> {
    if kind.is_file() { Ok(()) } else { Err(ReadError::NotAFile(name_of(kind))) }
}

/// Returns the name of a file type other than a regular file.
#[must_use]
pub fn name_of(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_symlink() => "a symbolic link",
        _ => "a device",
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_is_no_plain_file_or_too_large_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("exact"), [b'x'; 1024]).unwrap();
        std::fs::write(at("larger"), [b'x'; 1025]).unwrap();
        File::create(at("huge")).unwrap().set_len(1 << 40).unwrap();
        std::fs::write(at("binary"), [0xff]).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("link")).unwrap();
        let began = Instant::now();
        for (path, wished) in [
            (dir.path().to_owned(), "it is a folder, not a plain file"),
            (at("pipe"), "it is a named pipe, not a plain file"),
            (at("socket"), "it is a socket, not a plain file"),
            ("/dev/zero".into(), "it is a device, not a plain file"),
            (at("link"), "it is a device, not a plain file"),
            (at("larger"), "it is larger than 1 KiB"),
            (at("huge"), "it is larger than 1 KiB"),
            (at("binary"), "it is not UTF-8 in UTF-8"),
        ] {
            assert_eq!(read_text(&path, 1024).unwrap_err().to_string(), wished, "{}", path.display());
        }
        assert!(read_text(&at("none"), 1024).unwrap_err().is_absent());
        assert_eq!(read(&at("exact"), 1024).unwrap().len(), 1024);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
