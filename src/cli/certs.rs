//! `mcpgate certs`: certificates for trying things.

use std::path::PathBuf;

use super::failure::Failure;
use super::output::Output;
use crate::clock::{Clock, SystemClock};
use crate::server::dev_certs;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a development CA and a certificate for this machine, where they are missing or end soon
    Dev {
        /// The folder
        #[arg(long, default_value = "certs")]
        dir: PathBuf,
        /// A host name for the certificate besides localhost, 127.0.0.1 and ::1; repeat for more
        #[arg(long)]
        host: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    let Command::Dev { dir, host, json } = command;
    let hosts: Vec<&str> = host.iter().map(String::as_str).collect();
    let files = dev_certs::ensure(&dir, &hosts, SystemClock.now()).map_err(Failure::other)?;
    let [ca, certificate, key] = [files.ca, files.certificate, files.key].map(|f| f.display().to_string());
    let text = format!("trust        {ca}\ncertificate  {certificate}\nkey          {key}");
    Output::new(json).one(&text, &serde_json::json!({ "ca": ca, "certificate": certificate, "key": key }))
}
