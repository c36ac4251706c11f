//! `mcpgate certs`: the development CA, and who trusts it.

use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

use super::failure::Failure;
use super::output::Output;
use super::trust_stores::{self, TrustChange};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Overrides};
use crate::data_dir::CERTIFICATES;
use crate::files::private::shell;
use crate::files::{self, LARGEST_PEM};
use crate::server::dev_certs;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a development CA and a certificate for this machine if they are missing or expire soon
    Dev {
        /// The folder
        #[arg(long, default_value = "certs")]
        dir: PathBuf,
        /// A host name for the certificate in addition to localhost, 127.0.0.1 and ::1; may be repeated
        #[arg(long)]
        host: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make this machine's system store and your browsers trust the development CA
    Trust {
        /// The directory of the CA [default: certs in the data directory]
        #[arg(long)]
        dir: Option<PathBuf>,
        #[command(flatten)]
        data: FolderArguments,
    },
    /// Undo `certs trust`
    Untrust {
        /// The directory of the CA [default: certs in the data directory]
        #[arg(long, conflicts_with = "all")]
        dir: Option<PathBuf>,
        /// Remove every development CA that was ever trusted, whether or not it still exists
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        data: FolderArguments,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct FolderArguments {
    /// The data directory of `mcpgate up` [default: mcpgate in the user's data home]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Dev { dir, host, json } => dev(&dir, &host, Output::new(json)),
        Command::Trust { dir, data } => {
            let folder = folder(dir, &data)?;
            let (ca, digits) = known(&folder)?;
            let changed = change(Output::new(data.json), TrustChange::Add(&ca, &digits));
            Output::new(data.json).note(&others(&folder));
            changed
        }
        Command::Untrust { all: true, data, .. } => change(Output::new(data.json), TrustChange::Remove(None)),
        Command::Untrust { dir, data, .. } => {
            let (_, digits) = known(&folder(dir, &data)?)?;
            change(Output::new(data.json), TrustChange::Remove(Some(&digits)))
        }
    }
}

fn dev(dir: &Path, hosts: &[String], output: Output) -> Result<(), Failure> {
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let files = dev_certs::ensure(dir, &hosts, SystemClock.now()).map_err(Failure::other)?;
    let [ca, certificate, key] = [files.ca, files.certificate, files.key].map(|f| f.display().to_string());
    let bundle = files.bundle.map(|bundle| bundle.display().to_string());
    let mut text = format!("trust        {ca}\ncertificate  {certificate}\nkey          {key}");
    if let Some(bundle) = &bundle {
        text.push_str(&format!("\nbundle       {bundle}"));
    }
    output.one(&text, &json!({ "ca": ca, "certificate": certificate, "key": key, "bundle": bundle }))
}

fn folder(dir: Option<PathBuf>, data: &FolderArguments) -> Result<PathBuf, Failure> {
    if let Some(dir) = dir {
        return Ok(dir);
    }
    let overrides = Overrides { data_dir: data.data.clone(), up: true, data_only: true, ..Overrides::default() };
    let config = Config::load(None, &overrides).map_err(Failure::Configuration)?;
    Ok(config.data_dir.join(CERTIFICATES))
}

/// Returns the CA of a folder and the digits that identify it in the stores.
fn known(folder: &Path) -> Result<(PathBuf, String), Failure> {
    let ca = dev_certs::ca_file(folder);
    let fault = |why: &dyn std::fmt::Display| Failure::other(anyhow::anyhow!("{}: {why}", ca.display()));
    let pem = files::read(&ca, LARGEST_PEM).map_err(|error| {
        let remedy = "`mcpgate up` creates it; name its data directory with --data, or the directory of the CA with \
                      --dir";
        if error.is_absent() {
            fault(&format!("there is no development CA in this directory; {remedy}"))
        } else {
            fault(&error)
        }
    })?;
    let der = CertificateDer::from_pem_slice(&pem).map_err(|error| fault(&error))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &der);
    let digits = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Ok((ca.canonicalize().unwrap_or(ca), digits))
}

/// Changes every store, and prints the outcome for each.
fn change(output: Output, change: TrustChange<'_>) -> Result<(), Failure> {
    let home = std::env::home_dir();
    let mut failed = 0;
    let mut rows = Vec::new();
    for store in trust_stores::find(home.as_deref()) {
        let (result, reason) = match (store.change(change), change) {
            (Ok(true), TrustChange::Add(..)) => ("now trusts it", None),
            (Ok(false), TrustChange::Add(..)) => ("already trusted it", None),
            (Ok(true), TrustChange::Remove(_)) => ("removed", None),
            (Ok(false), TrustChange::Remove(_)) => ("did not have it", None),
            (Err(error), _) => {
                failed += 1;
                ("not changed", Some(error.to_string()))
            }
        };
        rows.push(json!({ "store": store.name(), "result": result, "reason": reason }));
    }
    output.list(&[("STORE", "store"), ("RESULT", "result"), ("REASON", "reason")], &rows)?;
    match failed {
        0 => Ok(()),
        1 => Err(Failure::other(anyhow::anyhow!("one store was not changed; the table gives the reason"))),
        many => Err(Failure::other(anyhow::anyhow!("{many} stores were not changed; the table gives the reasons"))),
    }
}

/// Returns what to set for programs that use none of the stores.
fn others(folder: &Path) -> String {
    let path = |name: &str| {
        let file = folder.join(name);
        shell(&file.canonicalize().unwrap_or(file))
    };
    format!(
        "\nRestart browsers: they read their stores at start. Some programs use other stores:\n  \
         Node.js  export NODE_EXTRA_CA_CERTS={}\n  \
         Python   export SSL_CERT_FILE={}  (the system's roots and this CA)\n  \
         Java     keytool -importcert -cacerts -alias mcpgate -file {}  (not done for you)\n\
         Applications in containers, or installed as Snap or Flatpak, may have stores of their own.",
        path("ca.pem"),
        path("bundle.pem"),
        path("ca.pem"),
    )
}
