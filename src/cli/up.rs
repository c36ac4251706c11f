//! `mcpgate up`: the gateway on one machine, with everything that it needs created on the first run.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::config_file::ConfigFile;
use super::failure::Failure;
use super::output::Output;
use super::{address, password, remember, welcome};
use crate::config::{Config, Overrides};
use crate::issuer::AdministrationError;
use crate::server::{self, Ready, RunError, RunOptions};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The MCP server to protect, such as http://127.0.0.1:8000/mcp [default: a built-in demo]
    #[arg(value_name = "UPSTREAM_URL")]
    upstream: Option<String>,
    /// Directory of the store, keys and certificates [default: mcpgate in the user's data home]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address of the public listener [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
    listen: Option<SocketAddr>,
    /// Address of the listener for health and metrics [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
    operator_listen: Option<SocketAddr>,
    /// The https origin that clients use, or http://localhost with a port for clients that cannot be made to trust the
    /// development CA [default: https://localhost and the port of --listen]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Worker threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = workers)]
    workers: Option<usize>,
    /// Read the password of the first account from a file, instead of printing a link to set it
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// Add a configuration file to the defaults [default: that of MCPGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Serves until told to stop.
pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut overrides = Overrides {
        data_dir: arguments.data,
        listen: arguments.listen,
        operator_listen: arguments.operator_listen,
        public_url: arguments.public_url,
        workers: arguments.workers,
        upstream: arguments.upstream,
        by_annotation: false,
        up: true,
        data_only: false,
        with_secrets: true,
    };
    // Not the machine's own file: a trial must not interfere with the server that is configured there.
    let file = ConfigFile::named(arguments.config.as_deref())?.map(|file| file.path);
    let config = Config::load(file.as_deref(), &overrides).map_err(Failure::Configuration)?;
    overrides.by_annotation = remember::was_by_annotation(&config.data_dir, overrides.upstream.as_deref());
    let (upstream, config_file) = (overrides.upstream.clone(), file.clone());
    let password_file = arguments.admin_password_file.clone();
    let ready = move |ready: &Ready| {
        let noted = remember::note(&ready.config, upstream.as_deref(), file.as_deref());
        if let Err(failure) = noted {
            tracing::warn!(
                ?failure,
                "the settings of this start could not be saved for commands that name this directory"
            );
        }
        // A closed standard output is no reason to stop serving.
        let _closed = Output::text().raw(welcome::text(ready).as_bytes());
        if let Some(file) = password_file.filter(|_| ready.password_ignored) {
            let text = "not used, because there are accounts already; set a password with mcpgate user set-password";
            Output::text().note(&format!("mcpgate: --admin-password-file: {}: {text}", file.display()));
        }
    };
    let options = RunOptions {
        up: true,
        admin_password: arguments.admin_password_file.as_deref().map(password::from_file).transpose()?,
        config_file,
        overrides,
        on_ready: Some(Box::new(ready)),
    };
    server::run(config, options).map_err(|error| match (error, arguments.admin_password_file) {
        (RunError::FirstAccount(error @ AdministrationError::Password(_)), Some(file)) => {
            Failure::other(anyhow::anyhow!("--admin-password-file: {}: {error}", file.display()))
        }
        (error, _) => error.into(),
    })
}

fn workers(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=1024).contains(n)).ok_or_else(|| "write a number from 1 to 1024".to_owned())
}
