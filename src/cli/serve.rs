//! `mcpgate serve` and `mcpgate check`: a configuration file in force, or only looked at.

use std::path::PathBuf;

use serde_json::json;

use super::failure::{Failure, lines};
use super::output::Output;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Overrides, Problem};
use crate::server::{self, RunOptions};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Judge it as an addition to the defaults of `mcpgate up`
    #[arg(long)]
    up: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Serves until told to stop.
pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::load(Some(&arguments.config), &Overrides::default()).map_err(Failure::Configuration)?;
    let options = RunOptions { config_file: Some(arguments.config), ..RunOptions::default() };
    Ok(server::run(config, options)?)
}

/// Prints every problem.
pub(super) fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let output = Output::new(arguments.json);
    let overrides = Overrides { up: arguments.up, ..Overrides::default() };
    match Config::load(Some(&arguments.config), &overrides) {
        Ok(config) => {
            let mut warnings: Vec<String> = config.warnings().into_iter().map(str::to_owned).collect();
            match server::look_over(&config, SystemClock.now()) {
                Ok(doubts) => warnings.extend(doubts),
                Err(error) => {
                    let [key, remedy] =
                        ["listen.certificate", "mcpgate serve does not start with it"].map(str::to_owned);
                    let fault = error.to_string();
                    return report(output, &[Problem { file: config.file, line: None, key, fault, remedy }]);
                }
            }
            let warned: String = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            let text = format!("{warned}{}: no problems", arguments.config.display());
            output.one(&text, &json!({ "problems": [], "warnings": warnings }))
        }
        Err(problems) => report(output, &problems),
    }
}

fn report(output: Output, problems: &[Problem]) -> Result<(), Failure> {
    let values: Vec<_> = problems
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file.as_ref().map(|f| f.display().to_string()),
                "line": problem.line,
                "key": problem.key,
                "fault": problem.fault,
                "remedy": problem.remedy,
            })
        })
        .collect();
    output.one(lines(problems).trim_end(), &json!({ "problems": values, "warnings": [] }))?;
    Err(Failure::Told(78))
}
