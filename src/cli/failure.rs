//! How a command can fail, what is said of it, and the exit code: 0 done, 1 failed, 64 not understood, 78 bad
//! configuration (the last two as in BSD's sysexits).

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use super::output::Output;
use crate::config::Problem;
use crate::issuer::AdministrationError;
use crate::server::RunError;
use crate::store::StoreError;

const USAGE: u8 = 64;
const CONFIGURATION: u8 = 78;

/// Why a command was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// The configuration has problems.
    Configuration(Vec<Problem>),
    /// The gateway did not start.
    NotStarted(RunError),
    /// Something else, with its cause.
    Other(anyhow::Error),
    /// Nobody reads the output any more: not worth a word.
    BrokenPipe,
    /// It is said already.
    Told(u8),
}

impl Failure {
    pub(super) fn other(error: impl Into<anyhow::Error>) -> Self {
        Self::Other(error.into())
    }

    /// Says what is to be said on standard error, and returns the exit code.
    pub(super) fn report(self) -> ExitCode {
        let (text, code) = match self {
            Self::Usage(text) => (format!("mcpgate: {text}\n"), USAGE),
            Self::Configuration(problems) => (lines(&problems), CONFIGURATION),
            Self::NotStarted(error) => (format!("mcpgate: {error}\n"), error.exit_code()),
            // Our errors have their causes in their words: the chain would say them twice.
            Self::Other(error) => (format!("mcpgate: {error}\n"), 1),
            Self::BrokenPipe => (String::new(), 0),
            Self::Told(code) => (String::new(), code),
        };
        // When standard error is gone too, the code is all that can be said.
        let _gone = std::io::stderr().write_all(text.as_bytes());
        ExitCode::from(code)
    }
}

/// Prints what clap says: help and version are no failures.
pub(super) fn refused(refusal: &clap::Error) -> Result<(), Failure> {
    if !refusal.use_stderr() {
        return Output::text().raw(refusal.render().to_string().as_bytes());
    }
    let _gone = write!(std::io::stderr(), "{}", refusal.render());
    Err(Failure::Told(USAGE))
}

/// One problem a line.
pub(super) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::BrokenPipe } else { Self::other(error) }
    }
}

impl From<AdministrationError> for Failure {
    fn from(error: AdministrationError) -> Self {
        if let AdministrationError::Store(error) = error { error.into() } else { Self::other(error) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let text = match error {
            // Whoever stands before the machine needs the reason alone: a name that is taken, a server that runs.
            StoreError::Unavailable(reason) => reason,
            StoreError::Conflict(_) => error.to_string(),
            StoreError::Corrupt(_) => format!("{error}; put a backup in its place with mcpgate db restore"),
        };
        Self::other(anyhow::anyhow!(text))
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Configuration(problems) => Self::Configuration(problems),
            RunError::Store(error) | RunError::FirstAccount(AdministrationError::Store(error)) => error.into(),
            error @ (RunError::Certificate(_)
            | RunError::Roots(_)
            | RunError::DataFolder(_)
            | RunError::Keys(_)
            | RunError::DevelopmentCertificates(_)
            | RunError::Listen { .. }
            | RunError::FirstAccount(_)
            | RunError::Failed(_)
            | RunError::System(_)) => Self::NotStarted(error),
        }
    }
}
