//! Files and folders that only their owner may open; a file appears whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a folder, and those above it, with mode 0700.
///
/// # Errors
/// Those of the file system.
pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file with `mode`, taking the place of an earlier one.
///
/// # Errors
/// Those of the file system.
pub(crate) fn replace(path: &Path, mode: u32, content: &[u8]) -> Result<(), Error> {
    let temporary = write_beside(path, mode, content)?;
    std::fs::rename(&temporary, path)?;
    sync_folder(path)
}

/// Writes a file with mode 0600 unless there is one; returns whether it was written.
///
/// # Errors
/// Those of the file system.
pub(super) fn create(path: &Path, content: &[u8]) -> Result<bool, Error> {
    let temporary = write_beside(path, 0o600, content)?;
    // A link never replaces: of two processes that start at once, one makes the file and both read it.
    let linked = std::fs::hard_link(&temporary, path);
    std::fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => sync_folder(path).map(|()| true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// Reads a file that nobody but its owner may open.
///
/// # Errors
/// Those of the file system; `PermissionDenied` when group or others may open it.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(Error::new(ErrorKind::PermissionDenied, "others may open this file; set its mode to 0600"));
    }
    std::io::read_to_string(&mut file)
}

fn write_beside(path: &Path, mode: u32, content: &[u8]) -> Result<std::path::PathBuf, Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    // One that a killed process with our number left behind.
    match std::fs::remove_file(&temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(temporary)
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
}
