//! What the command line says of a configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What the command line adds to, or puts in place of, a file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--data`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--operator-listen`.
    pub operator_listen: Option<SocketAddr>,
    /// `--public-url`.
    pub public_url: Option<String>,
    /// `--workers`.
    pub workers: Option<usize>,
    /// `up UPSTREAM_URL`: one upstream at `/mcp`.
    pub upstream: Option<String>,
    /// `up`: defaults for one machine (development certificate, loopback) and no file needed.
    pub up: bool,
    /// For a command about data beside the server: faults of what only the server opens are passed over.
    pub data_only: bool,
}
