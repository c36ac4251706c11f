//! What a caller of `run` says besides the configuration, and what it is told once connections are accepted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::tls::dev_certs::DevelopmentFiles;
use crate::config::{Config, Overrides};

/// What is done once connections are accepted.
pub type OnReady = Box<dyn FnOnce(&Ready) + Send>;

/// How to run, besides the configuration.
#[derive(Default)]
pub struct RunOptions {
    /// `up`: make the first account when there is none.
    pub up: bool,
    /// The first account's password; without it a one-time link is made.
    pub admin_password: Option<Zeroizing<String>>,
    /// The file that a reload reads again.
    pub config_file: Option<PathBuf>,
    /// What the command line put over the file, for reloads.
    pub overrides: Overrides,
    /// Called once, when connections are accepted.
    pub on_ready: Option<OnReady>,
}

/// What can be told once connections are accepted.
#[derive(Debug)]
pub struct Ready {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Where the public listener is.
    pub public: SocketAddr,
    /// Where the operator listener is.
    pub operator: SocketAddr,
    /// The files of the development certificate, when it is one.
    pub development: Option<DevelopmentFiles>,
    /// Where the first account sets its password, when it was made just now.
    pub setup_link: Option<String>,
    /// Whether there was a password for the first account, and nothing to do with it.
    pub password_ignored: bool,
}

impl Ready {
    /// Says where connections are accepted: in the log, and to who asked to be told.
    pub(super) fn announce(&self, tell: Option<OnReady>) {
        tracing::info!(public = %self.public, operator = %self.operator, "accepting connections");
        if let Some(tell) = tell {
            tell(self);
        }
    }
}
