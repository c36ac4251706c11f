//! How a command can fail, its message, and the exit code: 0 done, 1 failed, 64 not understood, 75 in force but not yet
//! stored, 78 bad configuration (the last three as in BSD's sysexits).

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::Problem;
use crate::issuer::AdministrationError;
use crate::server::RunError;
use crate::store::StoreError;

pub(super) const USAGE: u8 = 64;
const CONFIGURATION: u8 = 78;
/// The value of EX_TEMPFAIL: to be checked again later.
const NOT_STORED: u8 = 75;
const NOT_STORED_WORDS: &str = "in force at once, but not yet stored: the running server cannot write. It stores \
                                this as soon as it can; a restart before then loses it. Free space on its disk, and \
                                repeat this command if the server stops before mcpgate_store_unstored_revocations is \
                                0";

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line is not valid.
    Usage(String),
    /// The configuration has problems.
    Configuration(Vec<Problem>),
    /// The gateway did not start.
    NotStarted(RunError),
    /// The action is in force, but the running server could not store it yet.
    NotStored,
    /// Any other error, with its cause.
    Other(anyhow::Error),
    /// The reader of the output has gone, which needs no message.
    BrokenPipe,
    /// The message was already printed; the exit code.
    Told(u8),
}

impl Failure {
    pub(super) fn other(error: impl Into<anyhow::Error>) -> Self {
        Self::Other(error.into())
    }

    /// Returns the message; empty when it was already printed.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Usage(text) => text.clone(),
            Self::Configuration(problems) => lines(problems).trim_end().to_owned(),
            Self::NotStarted(error) => error.to_string(),
            Self::NotStored => NOT_STORED_WORDS.to_owned(),
            Self::Other(error) => error.to_string(),
            Self::BrokenPipe | Self::Told(_) => String::new(),
        }
    }

    /// Prints the message on standard error, as text or as one line of JSON, and returns the exit code.
    pub(super) fn report(self, json: bool) -> ExitCode {
        let (text, problems, code) = match self {
            Self::Usage(text) => (text, Vec::new(), USAGE),
            Self::Configuration(found) => {
                (lines(&found).trim_end().replace('\n', "\nmcpgate: "), values(&found), CONFIGURATION)
            }
            Self::NotStarted(error) => (error.to_string(), Vec::new(), error.exit_code()),
            Self::NotStored => (NOT_STORED_WORDS.to_owned(), Vec::new(), NOT_STORED),
            // Our own errors include their causes in the message, so the chain would repeat them.
            Self::Other(error) => (error.to_string(), Vec::new(), 1),
            Self::BrokenPipe => return ExitCode::SUCCESS,
            Self::Told(code) => return ExitCode::from(code),
        };
        let said = if json && code == NOT_STORED {
            let value = json!({ "error": text, "exit_status": code, "in_force": true, "stored": false });
            format!("{value}\n")
        } else if json && problems.is_empty() {
            format!("{}\n", json!({ "error": text.replace("\nmcpgate: ", "\n"), "exit_status": code }))
        } else if json {
            let error = "the configuration has problems";
            format!("{}\n", json!({ "error": error, "exit_status": code, "problems": problems }))
        } else {
            format!("mcpgate: {text}\n")
        };
        // If standard error is closed too, the exit code is all that remains.
        let _gone = std::io::stderr().write_all(said.as_bytes());
        ExitCode::from(code)
    }
}

/// Formats problems as text, one per line.
pub(super) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// Formats problems as JSON.
pub(super) fn values(problems: &[Problem]) -> Vec<Value> {
    let value = |problem: &Problem| {
        json!({
            "file": problem.file.as_ref().map(|f| f.display().to_string()),
            "line": problem.line,
            "key": problem.key,
            "fault": problem.fault,
            "remedy": problem.remedy,
        })
    };
    problems.iter().map(value).collect()
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::BrokenPipe } else { Self::other(error) }
    }
}

impl From<AdministrationError> for Failure {
    fn from(error: AdministrationError) -> Self {
        if let AdministrationError::Tables(problems) = error {
            return Self::Configuration(problems);
        }
        if let AdministrationError::Store(error) = error { error.into() } else { Self::other(error) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let text = match error {
            // On the command line only the reason matters: a name that is taken, a running server.
            StoreError::Unavailable(reason) => reason,
            StoreError::Conflict(_) | StoreError::NotStored => error.to_string(),
            StoreError::Corrupt(_) => format!("{error}; restore a backup with mcpgate db restore"),
        };
        Self::other(anyhow::anyhow!(text))
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Configuration(problems) => Self::Configuration(problems),
            RunError::Store(error) => error.into(),
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
