//! Why the gateway did not start, in words that say what to do.

use std::io::ErrorKind;
use std::net::SocketAddr;

use super::tls::certificate::CertificateError;
use super::tls::dev_certs::DevCertsError;
use crate::config::Problem;
use crate::data_dir::DataFolderError;
use crate::data_dir::keys::KeysError;
use crate::issuer::AdministrationError;
use crate::store::StoreError;

/// Why the gateway did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has problems.
    #[error("{}", lines(.0))]
    Configuration(Vec<Problem>),
    /// The configured certificate cannot be used.
    #[error("listen.tls: {0}")]
    Certificate(#[from] CertificateError),
    /// An upstream's or the outbound CA file, or the system's roots, cannot be read.
    #[error("{0}")]
    Roots(String),
    /// Other users may change the data directory or read secrets in it.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The keys cannot be made or read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The development certificates cannot be made or read.
    #[error(transparent)]
    DevelopmentCertificates(#[from] DevCertsError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gateway cannot listen on an address.
    #[error("{key}: cannot listen on {address}: {}; change it with {}", reason(.source), either(.option, .key))]
    Listen {
        /// The configuration key of the address.
        key: &'static str,
        /// The command line option for it.
        option: &'static str,
        /// The address that was tried.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The first account, or those that the file describes, could not be made.
    #[error("the accounts: {0}")]
    FirstAccount(AdministrationError),
    /// An essential part failed while the gateway was serving.
    #[error("stopped serving: {0}")]
    Failed(String),
    /// The system refused threads, signals or randomness.
    #[error("the system refused: {0}")]
    System(String),
}

impl From<AdministrationError> for RunError {
    /// A failure of the store is not a problem of the account, and stays one of the store; what is wrong with the
    /// clients and accounts of the file is one of the configuration.
    fn from(error: AdministrationError) -> Self {
        if let AdministrationError::Tables(problems) = error {
            return Self::Configuration(problems);
        }
        if let AdministrationError::Store(error) = error { Self::Store(error) } else { Self::FirstAccount(error) }
    }
}

impl RunError {
    /// The system refused something that the process needs.
    pub(super) fn system(error: impl std::fmt::Display) -> Self {
        Self::System(error.to_string())
    }

    /// Returns the exit code: 78 (EX_CONFIG) when the configuration must be changed, else 1.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::Certificate(_) | Self::Roots(_) => 78,
            Self::DataFolder(_)
            | Self::Keys(_)
            | Self::DevelopmentCertificates(_)
            | Self::Store(_)
            | Self::Listen { .. }
            | Self::FirstAccount(_)
            | Self::Failed(_)
            | Self::System(_) => 1,
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn either(option: &str, key: &str) -> String {
    if option == key { option.to_owned() } else { format!("{option} or {key}") }
}

fn reason(error: &std::io::Error) -> String {
    const KNOWN: [(ErrorKind, &str); 3] = [
        (ErrorKind::AddrInUse, "another program listens on it"),
        (ErrorKind::AddrNotAvailable, "this machine does not have that address"),
        (ErrorKind::PermissionDenied, "ports below 1024 need a privilege that this user lacks"),
    ];
    let known = KNOWN.iter().find(|(kind, _)| *kind == error.kind());
    known.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

#[cfg(test)]
mod tests {
    use super::RunError;

    #[test]
    fn an_address_in_use_names_the_key_to_change() {
        let error = RunError::Listen {
            key: "listen.address",
            option: "--listen",
            address: "127.0.0.1:8443".parse().unwrap(),
            source: std::io::ErrorKind::AddrInUse.into(),
        };
        assert_eq!(
            error.to_string(),
            "listen.address: cannot listen on 127.0.0.1:8443: another program listens on it; change it with --listen \
             or listen.address"
        );
        assert_eq!(error.exit_code(), 1);
        assert_eq!(RunError::Configuration(Vec::new()).exit_code(), 78);
    }
}
