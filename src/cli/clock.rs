//! `mcpgate clock`: what to do when the machine's clock was wrong.

use serde_json::json;

use super::data::{DataArguments, Missing};
use super::failure::Failure;
use super::output::moment;
use super::runtime::block_on;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Accept the machine's current time after its clock jumped; what expired by a later time stays expired
    Accept {
        #[command(flatten)]
        data: DataArguments,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Accept { data } => {
            let data = data.open(Missing::Refuse)?;
            let accepted = block_on(async { Ok(data.administration.accept_time().await?) })?;
            let (now, seen) = (moment(accepted.now), accepted.seen.map(moment));
            let before =
                seen.as_ref().map_or_else(String::new, |seen| format!("; the latest time known before is {seen}"));
            let text = format!("accepted {now} as the time{before}; a running server believes it within a minute");
            data.output.one(&text, &json!({ "accepted_at": now, "seen_at": seen }))
        }
    }
}
