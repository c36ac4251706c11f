//! The gateway's own files and folders: closed to other users, with the same owner as their folder, and written
//! atomically.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::bounded::{self, ReadError};

/// Maximum size in bytes; keys and notes are short.
const LARGEST: u64 = 64 << 10;

/// What other users must be prevented from doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// They must not change it.
    ToWriting,
    /// They must neither read nor change it.
    ToReading,
}

/// Why one of the gateway's own files or folders is not used; says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// Other users may read or change it.
    #[error("{}: other users may {may} it; run: chmod {mode} {}", path.display(), shell(path))]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// What they may do.
        may: &'static str,
        /// The mode that fixes it, for chmod(1).
        mode: &'static str,
    },
    /// It belongs to another user.
    #[error(
        "{}: it belongs to user {owner}, but mcpgate runs as user {us}; run it as that user (sudo -u '#{owner}'), or \
         run: chown -R {us} {}",
        path.display(),
        shell(path)
    )]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user of this process.
        us: u32,
    },
    /// There is a symbolic link in place of our socket.
    #[error("{}: it is a symbolic link, not a socket; remove it, because a running server creates its socket itself: \
             rm {}",
            .0.display(), shell(.0))]
    LinkForSocket(PathBuf),
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why it could not be read.
        source: ReadError,
    },
}

impl PrivateFileError {
    /// Returns whether there is no such file.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.is_absent())
    }
}

/// Quotes a path for a shell if necessary.
#[must_use]
pub fn shell(path: &Path) -> String {
    let path = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,=@%".contains(c);
    if path.chars().all(plain) { path.into_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// Makes a folder, and its parents, with mode 0700. An existing one is left as it is.
///
/// # Errors
/// Those of the file system.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let made = !folder.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if made { take_owner(&open_folder(folder, OFlags::NOFOLLOW)?, folder) } else { Ok(()) }
}

/// Writes a file with `mode`, replacing an earlier one atomically.
///
/// # Errors
/// Those of the file system.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let temporary = write_beside(path, mode, content)?;
    std::fs::rename(&temporary, path)?;
    sync_folder(path)
}

/// Writes a file with mode 0600 unless it exists; returns whether it was written.
///
/// # Errors
/// Those of the file system.
pub fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let temporary = write_beside(path, 0o600, content)?;
    // A hard link never replaces a file: of two processes that start at once, one creates the file and both read it.
    let linked = std::fs::hard_link(&temporary, path);
    std::fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => sync_folder(path).map(|()| true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// Opens a file for reading and writing, and creates it with mode 0600 if it is absent. Symbolic links are not
/// followed: with one, the folder's owner could choose the file that root opens.
///
/// # Errors
/// Those of the file system.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.read(true).write(true).mode(0o600).custom_flags(i32::try_from(flags.bits()).map_err(io::Error::other)?);
    match options.clone().create_new(true).open(path) {
        Ok(file) => take_owner(&file, path).map(|()| file),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let file = options.open(path)?;
            let kind = file.metadata()?.file_type();
            let plain = kind.is_file().then_some(file);
            plain.ok_or_else(|| io::Error::other(ReadError::NotAFile(bounded::name_of(kind))))
        }
        Err(error) => Err(error),
    }
}

/// Reads a file that others cannot read and that belongs to the user of this process; root may read anybody's.
///
/// # Errors
/// `PrivateFileError`.
pub fn read(path: &Path) -> Result<String, PrivateFileError> {
    let unreadable = |source| PrivateFileError::Unreadable { path: path.to_owned(), source };
    // Not through a link, so that the file that is read is the one checked, in the folder that was checked.
    let (file, metadata) = bounded::open(path, OFlags::NOFOLLOW).map_err(unreadable)?;
    judge(path, &metadata, Closed::ToReading)?;
    is_ours(path, &metadata)?;
    let content = bounded::content(file, &metadata, LARGEST).map_err(unreadable)?;
    String::from_utf8(content).map_err(|_| unreadable(ReadError::NotText))
}

/// Reads a note that the gateway has written into one of its folders. Symbolic links are not followed: with one, the
/// folder's owner could choose the file that root reads.
///
/// # Errors
/// `ReadError`.
pub fn read_note(path: &Path) -> Result<String, ReadError> {
    let (file, metadata) = bounded::open(path, OFlags::NOFOLLOW)?;
    String::from_utf8(bounded::content(file, &metadata, LARGEST)?).map_err(|_| ReadError::NotText)
}

/// Gives a file in one of the gateway's folders to the owner of that folder, as [`take_owner`] does.
///
/// # Errors
/// Those of the file system, also if it is a symbolic link.
pub fn give_to_owner(path: &Path) -> io::Result<()> {
    let (file, _) = bounded::open(path, OFlags::NOFOLLOW).map_err(io::Error::other)?;
    take_owner(&file, path)
}

/// Checks a file or folder, if it exists: that it is not a symbolic link, and is closed to others as required.
///
/// # Errors
/// `PrivateFileError`.
pub fn check(path: &Path, closed: Closed) -> Result<(), PrivateFileError> {
    let unreadable = |source| PrivateFileError::Unreadable { path: path.to_owned(), source };
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|error| unreadable(error.into()))?,
    };
    if metadata.is_symlink() {
        return Err(unreadable(ReadError::NotAFile(bounded::name_of(metadata.file_type()))));
    }
    judge(path, &metadata, closed)?;
    is_ours(path, &metadata)
}

/// Like `check`, for a socket.
///
/// # Errors
/// `PrivateFileError`.
pub fn check_socket(path: &Path) -> Result<(), PrivateFileError> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return Err(PrivateFileError::LinkForSocket(path.to_owned()));
    }
    check(path, Closed::ToReading)
}

/// Checks that a folder belongs to the user of this process, root included.
///
/// # Errors
/// `Foreign`, or `Unreadable`.
pub fn check_owner(folder: &Path) -> Result<(), PrivateFileError> {
    let metadata = std::fs::metadata(folder);
    let metadata = metadata.map_err(|e| PrivateFileError::Unreadable { path: folder.to_owned(), source: e.into() })?;
    belongs_to(folder, &metadata, geteuid().as_raw())
}

/// Gives a file or folder that root has just created to the owner of its folder: a command run by root must not leave
/// files that the server's user cannot open.
///
/// # Errors
/// Those of the file system.
pub fn take_owner(made: &File, path: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let folder = open_folder(folder_of(path), OFlags::empty())?.metadata()?;
    if folder.uid() == 0 { Ok(()) } else { fchown(made, Some(folder.uid()), Some(folder.gid())) }
}

fn judge(path: &Path, metadata: &Metadata, closed: Closed) -> Result<(), PrivateFileError> {
    let (forbidden, may, mode) = match closed {
        Closed::ToWriting => (0o022, "change", "go-w"),
        Closed::ToReading if metadata.is_dir() => (0o077, "open", "0700"),
        Closed::ToReading => (0o077, "open", "0600"),
    };
    let open = metadata.mode() & forbidden != 0;
    if open { Err(PrivateFileError::Open { path: path.to_owned(), may, mode }) } else { Ok(()) }
}

/// Checks that a file belongs to the user of this process; root may use anybody's files.
fn is_ours(path: &Path, metadata: &Metadata) -> Result<(), PrivateFileError> {
    let us = geteuid();
    if us.is_root() { Ok(()) } else { belongs_to(path, metadata, us.as_raw()) }
}

fn belongs_to(path: &Path, metadata: &Metadata, us: u32) -> Result<(), PrivateFileError> {
    let owner = metadata.uid();
    if owner == us { Ok(()) } else { Err(PrivateFileError::Foreign { path: path.to_owned(), owner, us }) }
}

fn write_beside(path: &Path, mode: u32, content: &[u8]) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    // One left behind by a killed process with the same id.
    match std::fs::remove_file(&temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written = take_owner(&file, path).and_then(|()| file.write_all(content)).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Leave nothing behind, especially on a full disk.
        let _gone = std::fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(temporary)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    open_folder(folder_of(path), OFlags::empty())?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn open_folder(folder: &Path, more: OFlags) -> io::Result<File> {
    let flags = i32::try_from((OFlags::DIRECTORY | more).bits()).map_err(io::Error::other)?;
    OpenOptions::new().read(true).custom_flags(flags).open(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_may_open_is_refused_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("it's secret");
        std::fs::write(&file, "x").unwrap();
        for (path, closed, mode, wished) in [
            (&*file, Closed::ToReading, 0o640, Some("chmod 0600 ")),
            (&file, Closed::ToReading, 0o601, Some("chmod 0600 ")),
            (&file, Closed::ToReading, 0o600, None),
            (&file, Closed::ToWriting, 0o664, Some("chmod go-w ")),
            (&file, Closed::ToWriting, 0o644, None),
            (dir.path(), Closed::ToReading, 0o755, Some("chmod 0700 ")),
            (dir.path(), Closed::ToWriting, 0o777, Some("chmod go-w ")),
            (dir.path(), Closed::ToWriting, 0o755, None),
        ] {
            chmod(path, mode);
            let said = check(path, closed).err().map(|error| error.to_string());
            assert_eq!(said.is_some(), wished.is_some(), "{mode:o}: {said:?}");
            for part in wished.into_iter().chain(wished.map(|_| dir.path().to_str().unwrap())) {
                assert!(said.as_ref().unwrap().contains(part), "{mode:o}: {said:?}");
            }
        }
        chmod(&file, 0o640);
        let said = read(&file).unwrap_err().to_string();
        assert!(said.ends_with(r"it'\''s secret'"), "{said}");
        assert!(check(&dir.path().join("none"), Closed::ToReading).is_ok());
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "content").unwrap();
        chmod(&file, 0o600);
        symlink(&file, &link).unwrap();
        for said in [read(&link).unwrap_err(), check(&link, Closed::ToWriting).unwrap_err()] {
            assert!(said.to_string().ends_with("it is a symbolic link, not a plain file"), "{said}");
        }
        assert!(open_or_create(&link).is_err() && give_to_owner(&link).is_err() && read_note(&link).is_err());
        assert_eq!(read_note(&file).unwrap(), "content");
        assert_eq!(read(&file).unwrap(), "content");
        assert!(open_or_create(&file).is_ok());
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_its_folder() {
        if !geteuid().is_root() {
            println!("skipped: only root can give files away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(65_534), Some(65_533)).unwrap();
        let at = |name: &str| dir.path().join(name);
        make_folder(&at("folder")).unwrap();
        create(&at("folder/created"), b"x").unwrap();
        replace(&at("replaced"), 0o600, b"x").unwrap();
        drop(open_or_create(&at("opened")).unwrap());
        for made in ["folder", "folder/created", "replaced", "opened"] {
            let metadata = std::fs::metadata(at(made)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (65_534, 65_533), "{made}");
        }
        assert!(check_owner(dir.path()).unwrap_err().to_string().contains("belongs to user 65534"));
    }
}
