//! Configuration values from the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Values from the command line that extend or replace those of a file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The value of `--data`.
    pub data_dir: Option<PathBuf>,
    /// The value of `--listen`.
    pub listen: Option<SocketAddr>,
    /// The value of `--operator-listen`.
    pub operator_listen: Option<SocketAddr>,
    /// The value of `--public-url`.
    pub public_url: Option<String>,
    /// The value of `--workers`.
    pub workers: Option<usize>,
    /// The argument of `up UPSTREAM_URL`: one upstream at `/mcp`.
    pub upstream: Option<String>,
    /// Whether that upstream has scopes by what its tools say of themselves, since one of them says that it only reads;
    /// otherwise it has one scope.
    pub by_annotation: bool,
    /// Whether this is `up`: defaults for one machine (development certificate, loopback), and no file needed.
    pub up: bool,
    /// Whether the command only works on data: faults in what only the server opens are ignored.
    pub data_only: bool,
    /// Whether such a command needs the secrets of the clients and accounts in the file.
    pub with_secrets: bool,
}
