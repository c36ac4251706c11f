//! `mcpgate serve` and `mcpgate check`: serves with a configuration file, or only checks it.

use std::path::PathBuf;

use serde_json::json;

use super::config_file::ConfigFile;
use super::failure::{Failure, lines, values};
use super::known_tools;
use super::output::Output;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Overrides, Problem};
use crate::data_dir::STORE;
use crate::server::{self, RunOptions};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration [default: that of MCPGATE_CONFIG, or /etc/mcpgate/gateway.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    /// The configuration [default: that of MCPGATE_CONFIG, or /etc/mcpgate/gateway.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check it as an addition to the defaults of `mcpgate up`
    #[arg(long)]
    up: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Serves until told to stop.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = ConfigFile::require(arguments.config.as_deref())?;
    let config = Config::load(Some(&file), &Overrides::default()).map_err(Failure::Configuration)?;
    let options = RunOptions { config_file: Some(file), ..RunOptions::default() };
    Ok(server::run(config, options)?)
}

/// Prints every problem of the configuration.
pub(super) fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let output = Output::new(arguments.json);
    let overrides = Overrides { up: arguments.up, ..Overrides::default() };
    let file = ConfigFile::require(arguments.config.as_deref())?;
    match Config::load(Some(&file), &overrides) {
        Ok(config) => {
            let mut warnings = config.warnings();
            // The members in a store are not known here: opening it would change one of an earlier schema.
            if !config.data_dir.join(STORE).exists() {
                warnings.extend(config.warnings_of_groups());
            }
            warnings.extend(known_tools::warnings(&config));
            match server::look_over(&config, SystemClock.now()) {
                Ok(doubts) => warnings.extend(doubts),
                Err(error) => {
                    let [key, remedy] =
                        ["listen.certificate", "mcpgate serve would not start with it"].map(str::to_owned);
                    let fault = error.to_string();
                    return report(output, &[Problem { file: config.file, line: None, key, fault, remedy }]);
                }
            }
            let warned: String = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            let text = format!("{warned}{}: no problems", file.display());
            output.one(&text, &json!({ "problems": [], "warnings": warnings }))
        }
        Err(problems) => report(output, &problems),
    }
}

fn report(output: Output, problems: &[Problem]) -> Result<(), Failure> {
    output.one(lines(problems).trim_end(), &json!({ "problems": values(problems), "warnings": [] }))?;
    Err(Failure::Told(78))
}
