//! The names of the store's files, and operations on files by name.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::files::private;
use crate::store::{Result, StoreError};

pub(super) fn unavailable(what: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{what} {}: {error}", path.display()))
}

/// Makes a folder and its parents, accessible to the owner only. An existing one is left as it is.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    private::make_folder(folder).map_err(|e| unavailable("cannot create the folder", folder, &e))
}

pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Resolves links to the folder, because SQLite refuses paths with links.
pub(super) fn resolved(file: &Path) -> Result<PathBuf> {
    let folder = folder_of(file);
    let folder = folder.canonicalize().map_err(|e| unavailable("cannot find", folder, &e))?;
    Ok(folder.join(file.file_name().unwrap_or_default()))
}

/// Returns the path of a file with `ending` appended to its name.
pub(super) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Removes a file, if it exists.
pub(super) fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unavailable("cannot remove", file, &error)),
    }
}

/// Makes the names in a file's folder durable.
pub(super) fn flush_folder(file: &Path) -> Result<()> {
    let folder = folder_of(file);
    let flushed = File::open(folder).and_then(|folder| folder.sync_all());
    flushed.map_err(|e| unavailable("cannot flush the folder", folder, &e))
}
