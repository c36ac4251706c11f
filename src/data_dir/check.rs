//! Checks whether a data directory may be used: only its user can change it, and others cannot read its secrets.

use std::path::{Path, PathBuf};

use super::{CERTIFICATES, COMMAND_SOCKET, KEYS, STORE, UP};
use crate::files::private::{Closed, PrivateFileError, check as check_file, check_owner, check_socket};

/// Who is about to use the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// A server, which must run as the owner of the folder, even if the process is root.
    Server,
    /// A command, which root may run in the folder of a server's user.
    Command,
}

/// The contents of a data directory that must be closed to others. The development certificates are checked where they
/// are used.
const CONTENT: [(&str, Closed); 5] = [
    (KEYS, Closed::ToReading),
    ("keys/token", Closed::ToReading),
    ("keys/session", Closed::ToReading),
    (UP, Closed::ToWriting),
    // Its mode is set to 0600 when it is opened; a symbolic link is refused here.
    (STORE, Closed::ToWriting),
];

/// What only exists once the folder has had a store.
const TRACES: [&str; 2] = [CERTIFICATES, UP];

/// Why a data directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Other users may change it or read secrets in it; all faults.
    #[error("{}", lines(.0))]
    Open(Vec<PrivateFileError>),
    /// There are keys and traces of a server, but no store.
    #[error(
        "{}: the store is gone, but the keys and other files of its server exist; restore a backup with mcpgate db \
         restore, or remove {} to start with an empty store",
        .0.join(STORE).display(),
        .0.join(KEYS).display()
    )]
    NoStore(PathBuf),
}

fn lines(errors: &[PrivateFileError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nmcpgate: ")
}

/// Checks a data directory if it exists; a link to it is followed.
///
/// # Errors
/// All faults, each with the command that fixes it.
pub fn check(data_dir: &Path, user: User) -> Result<(), DataFolderError> {
    // A path that cannot be resolved is absent, or will be refused when it is created or opened.
    let Ok(folder) = data_dir.canonicalize() else { return Ok(()) };
    let owner = match user {
        User::Server => check_owner(&folder).err(),
        User::Command => None,
    };
    let content = CONTENT.iter().map(|(name, closed)| check_file(&folder.join(name), *closed));
    let content = content.chain(std::iter::once_with(|| check_socket(&folder.join(COMMAND_SOCKET))));
    let found: Vec<_> =
        std::iter::once(check_file(&folder, Closed::ToWriting)).chain(content).filter_map(Result::err).collect();
    let foreign_too = |error: &PrivateFileError| owner.is_some() && matches!(error, PrivateFileError::Foreign { .. });
    let mut problems: Vec<_> = found.into_iter().filter(|error| !foreign_too(error)).collect();
    problems.extend(owner);
    if problems.is_empty() { Ok(()) } else { Err(DataFolderError::Open(problems)) }
}

/// Checks that a folder that was in use still has its store: a new one would start without accounts and revocations. A
/// folder with keys only is left by a first start that was killed.
///
/// # Errors
/// `NoStore`.
pub fn check_store(data_dir: &Path) -> Result<(), DataFolderError> {
    let there = |name: &str| data_dir.join(name).exists();
    let lost = !there(STORE) && there("keys/token") && TRACES.iter().any(|trace| there(trace));
    if lost { Err(DataFolderError::NoStore(data_dir.to_owned())) } else { Ok(()) }
}
