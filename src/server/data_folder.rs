//! Whether a data folder may be used: nobody else can change it, and what is secret in it is closed to others.

use std::path::Path;

use crate::files::private::{Closed, PrivateFileError, check as check_file, check_owner};
use crate::store;

/// Who is about to use the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// A server. It runs as the owner of the folder, also when that is not root but the process is.
    Server,
    /// A command. Root may run it in the folder of a server's user.
    Command,
}

/// What is in a data folder and must be closed to others. The development certificates are looked at where they are used.
const CONTENT: [(&str, Closed); 5] = [
    ("keys", Closed::ToReading),
    ("keys/token", Closed::ToReading),
    ("keys/session", Closed::ToReading),
    ("up.toml", Closed::ToWriting),
    // Its mode is set to 0600 when it is opened; a link in its place is refused here.
    (store::FILE, Closed::ToWriting),
];

/// All that is wrong with a data folder.
#[derive(Debug)]
pub struct DataFolderError(Vec<PrivateFileError>);

impl std::fmt::Display for DataFolderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\nmcpgate: "))
    }
}

impl std::error::Error for DataFolderError {}

/// Looks a data folder over, unless it is absent; a link to it is followed.
///
/// # Errors
/// Everything that is wrong, each with the command that mends it.
pub fn check(data_dir: &Path, user: User) -> Result<(), DataFolderError> {
    // What cannot be resolved is absent, or will be refused with its reason when it is made or opened.
    let Ok(folder) = data_dir.canonicalize() else { return Ok(()) };
    let owner = match user {
        User::Server => check_owner(&folder).err(),
        User::Command => None,
    };
    let content = CONTENT.iter().map(|(name, closed)| check_file(&folder.join(name), *closed));
    let found: Vec<_> =
        std::iter::once(check_file(&folder, Closed::ToWriting)).chain(content).filter_map(Result::err).collect();
    let foreign_too = |error: &PrivateFileError| owner.is_some() && matches!(error, PrivateFileError::Foreign { .. });
    let mut problems: Vec<_> = found.into_iter().filter(|error| !foreign_too(error)).collect();
    problems.extend(owner);
    if problems.is_empty() { Ok(()) } else { Err(DataFolderError(problems)) }
}
