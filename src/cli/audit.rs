//! `mcpgate audit`: the trail of deeds and refusals.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::block_on;
use super::data::{DataArguments, Missing};
use super::failure::Failure;
use super::output::{moment, printable};
use crate::store::AuditRow;

/// How often a followed trail is looked at: half of the second in which an operator expects to see a deed.
const FOLLOW: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the last rows, oldest first
    Tail {
        /// How many
        #[arg(short = 'n', long = "lines", default_value_t = 20)]
        lines: u32,
        /// Go on with new rows as they come
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        data: DataArguments,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    let Command::Tail { lines, follow, data } = command;
    let data = data.open(Missing::Refuse)?;
    let print = async |rows: &[(u64, AuditRow)]| {
        if rows.is_empty() {
            return Ok(());
        }
        let accounts = data.administration.accounts().await?;
        let names: HashMap<_, _> = accounts.iter().map(|a| (a.subject.as_str(), a.name.as_str())).collect();
        rows.iter().try_for_each(|(number, row)| {
            let value = describe(*number, row, &names);
            data.output.line(&text(&value), &value)
        })
    };
    block_on(async {
        // Before the rows are read: what comes meanwhile is printed below, not lost.
        let mut last = data.store.newest_audit().await?;
        let rows = data.administration.audit_last(lines).await?;
        print(&rows).await?;
        if !follow {
            return Ok(());
        }
        last = rows.last().map_or(last, |(number, _)| *number);
        loop {
            tokio::time::sleep(FOLLOW).await;
            let rows = data.administration.audit_after(last, 1000).await?;
            print(&rows).await?;
            last = rows.last().map_or(last, |(number, _)| *number);
        }
    })
}

/// The members that say something, in the order of a sentence.
fn text(value: &Value) -> String {
    let member = |name: &str| value.get(name).and_then(Value::as_str).map(printable);
    let head = [member("at"), member("event")];
    let rest = ["user", "actor", "client_id", "target", "address", "reason", "request_id"];
    let rest = rest.into_iter().map(|name| member(name).map(|text| format!("{name}={text}")));
    head.into_iter().chain(rest).flatten().collect::<Vec<_>>().join("  ")
}

/// `names` are those of the accounts that there still are, by subject.
fn describe(number: u64, row: &AuditRow, names: &HashMap<&str, &str>) -> Value {
    let user = [&row.actor, &row.target].into_iter().flatten().find_map(|subject| names.get(subject.as_str()));
    json!({
        "number": number,
        "at": moment(row.at),
        "tenant": row.tenant.as_str(),
        "event": row.event.as_str(),
        "user": user,
        "actor": row.actor,
        "client_id": row.client.as_ref().map(|c| c.as_str()),
        "address": row.address.map(|a| a.to_string()),
        "target": row.target,
        "reason": row.reason,
        "request_id": row.request_id,
    })
}
