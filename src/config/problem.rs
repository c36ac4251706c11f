//! `Problem`: where, what is wrong, what to write instead.

use std::path::PathBuf;

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, if the fault is in one.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The key, with its tables: `upstream[1].url`.
    pub key: String,
    /// What is wrong; never echoes a secret.
    pub fault: String,
    /// What to write instead.
    pub remedy: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}: {}; {}", self.key, self.fault, self.remedy)
    }
}
