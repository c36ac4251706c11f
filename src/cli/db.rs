//! `mcpgate db`: the store as a whole.

use std::path::PathBuf;

use serde_json::json;

use super::data::{DataArguments, Missing};
use super::failure::Failure;
use super::runtime::block_on;
use crate::clock::{Clock as _, SystemClock};
use crate::data_dir::{self, KEYS, User};
use crate::store::{RestoreError, restore};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Write a consistent copy of the store, also while a server runs; keep the keys directory with it
    Backup {
        /// The new file
        file: PathBuf,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Replace the store of a stopped server with a backup; everybody must sign in again
    Restore {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        data: DataArguments,
    },
    /// Check the whole store
    Check {
        #[command(flatten)]
        data: DataArguments,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Backup { file, data } => {
            let data = data.open_folder()?;
            block_on(async { Ok(data.store.backup(&file).await?) })?;
            let keys = data.config.data_dir.join(KEYS);
            let text = format!("wrote {}; keep {} with it", file.display(), keys.display());
            data.output.one(&text, &json!({ "file": file.display().to_string(), "keys": keys.display().to_string() }))
        }
        Command::Restore { file, data } => {
            // It does not end access, so it is not urgent enough to guess the folder.
            let folder = data.load()?.data_dir;
            data.expect_store(&folder, Missing::Make)?;
            data_dir::check(&folder, User::Command).map_err(Failure::other)?;
            let kept = restore(&file, &folder, SystemClock.now()).map_err(|error| match error {
                RestoreError::Store(error) => error.into(),
                error @ RestoreError::NoBackup { .. } => Failure::other(error),
            })?;
            let kept = kept.map(|kept| kept.display().to_string());
            let before = kept.as_ref().map(|kept| format!("; the previous store was kept as {kept}"));
            let text = format!("restored {} to {}{}", file.display(), folder.display(), before.unwrap_or_default());
            data.output().one(&text, &json!({ "folder": folder.display().to_string(), "before": kept }))
        }
        Command::Check { data } => {
            let data = data.open_folder()?;
            let problems = block_on(async { Ok(data.store.check().await?) })?;
            let text = if problems.is_empty() { "the store is sound".to_owned() } else { problems.join("\n") };
            data.output.one(&text, &json!({ "sound": problems.is_empty(), "problems": problems }))?;
            if problems.is_empty() { Ok(()) } else { Err(Failure::Told(1)) }
        }
    }
}
