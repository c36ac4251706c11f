//! The configuration file that a command uses: from `--config`, or the environment, or the machine's own.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::config::{FILE_VARIABLE, Problem, SYSTEM_FILE, file_of_environment, file_of_system};

/// Where the name of a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// An option on the command line.
    Option,
    /// The environment variable `MCPGATE_CONFIG`.
    Variable,
    /// Neither: it is at the default place for the machine's own server.
    Place,
}

/// A configuration file, and where its name comes from.
#[derive(Debug, Clone)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    pub(super) named_by: NamedBy,
}

impl ConfigFile {
    /// Returns the file named by the option or the environment.
    pub(super) fn named(option: Option<&Path>) -> Result<Option<Self>, Failure> {
        if let Some(path) = option {
            return Ok(Some(Self { path: path.to_owned(), named_by: NamedBy::Option }));
        }
        let Some(path) = file_of_environment() else { return Ok(None) };
        if let Err(error) = std::fs::metadata(&path) {
            let fault = format!("{}: {error}", path.display());
            let remedy = "name a configuration file, or unset the variable".to_owned();
            let problem = Problem { file: None, line: None, key: FILE_VARIABLE.to_owned(), fault, remedy };
            return Err(Failure::Configuration(vec![problem]));
        }
        Ok(Some(Self { path, named_by: NamedBy::Variable }))
    }

    /// Returns the file named by the option or the environment, or the machine's own, if there is one.
    pub(super) fn find(option: Option<&Path>) -> Result<Option<Self>, Failure> {
        let of_system = || file_of_system().map(|path| Self { path, named_by: NamedBy::Place });
        Ok(Self::named(option)?.or_else(of_system))
    }

    /// Like `find`, for a command that needs a file.
    pub(super) fn require(option: Option<&Path>) -> Result<PathBuf, Failure> {
        let missing = || {
            let text = format!("name the configuration with --config or {FILE_VARIABLE}; there is no {SYSTEM_FILE}");
            Failure::Usage(text)
        };
        Ok(Self::find(option)?.ok_or_else(missing)?.path)
    }
}
