//! Options of `run` besides the configuration, and what it reports once connections are accepted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::tls::dev_certs::DevelopmentFiles;
use crate::config::{Config, Overrides};

/// Called once, when connections are accepted.
pub type OnReady = Box<dyn FnOnce(&Ready) + Send>;

/// How to run, besides the configuration.
#[derive(Default)]
pub struct RunOptions {
    /// Whether to make the first account when there is none, as `up` does.
    pub up: bool,
    /// The first account's password; without it a one-time link is made.
    pub admin_password: Option<Zeroizing<String>>,
    /// The configuration file, for reloads.
    pub config_file: Option<PathBuf>,
    /// Command line values that override the file, for reloads.
    pub overrides: Overrides,
    /// Called once, when connections are accepted.
    pub on_ready: Option<OnReady>,
}

/// What is known once connections are accepted.
#[derive(Debug)]
pub struct Ready {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The address of the public listener.
    pub public: SocketAddr,
    /// The address of the operator listener.
    pub operator: SocketAddr,
    /// The files of the development certificate, when it is one.
    pub development: Option<DevelopmentFiles>,
    /// The URL for setting the first account's password, if the account was just made.
    pub setup_link: Option<String>,
    /// Whether a password for the first account was given but not needed.
    pub password_ignored: bool,
}

impl Ready {
    /// Reports where connections are accepted, in the log and to `tell`.
    pub(super) fn announce(&self, tell: Option<OnReady>) {
        tracing::info!(public = %self.public, operator = %self.operator, "accepting connections");
        if let Some(tell) = tell {
            tell(self);
        }
    }
}
