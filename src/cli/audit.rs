//! `mcpgate audit`: the trail of actions and refusals.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::data::{Data, DataArguments, Missing};
use super::failure::Failure;
use super::output::{moment, printable};
use super::runtime::block_on;
use super::when;
use crate::clock::{Clock as _, SystemClock};
use crate::issuer::AuditQuery;
use crate::oauth::Timestamp;
use crate::store::{AuditEvent, AuditFilter, AuditRetention, AuditRow};

/// How often a followed trail is read: an operator expects to see an action within a second.
const FOLLOW: Duration = Duration::from_millis(500);

/// How many rows are printed by default.
const LINES: u32 = 20;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print rows, the oldest first
    Tail(Tail),
    /// Remove the rows beyond the limits of the configuration
    Prune {
        /// Remove rows older than this instead of audit.keep: an age (90d), a date, or a time (2026-11-28T18:05:00Z)
        #[arg(long, value_name = "WHEN", value_parser = when::parse)]
        before: Option<Timestamp>,
        #[command(flatten)]
        data: DataArguments,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Tail {
    /// How many of the newest rows to print [default: 20; with --since or --until: all]
    #[arg(short = 'n', long = "lines")]
    lines: Option<u32>,
    /// Keep printing new rows as they are written
    #[arg(short, long)]
    follow: bool,
    /// Rows about this user, or by them
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Rows about this client
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Rows of this event, or of a group of events (login); may be repeated
    #[arg(long, value_name = "EVENT", value_parser = events)]
    event: Vec<Vec<AuditEvent>>,
    /// Rows since this time: an age (2h), a date, or a time (2026-11-28T18:05:00Z)
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// Rows before this time
    #[arg(long, value_name = "WHEN", value_parser = when::parse, conflicts_with = "follow")]
    until: Option<Timestamp>,
    #[command(flatten)]
    data: DataArguments,
}

/// Parses the name of an event, or of a group of events: the part before the full stop.
fn events(name: &str) -> Result<Vec<AuditEvent>, String> {
    let is_meant = |event: &&AuditEvent| {
        event.as_str() == name || event.as_str().split_once('.').is_some_and(|(group, _)| group == name)
    };
    let found: Vec<_> = AuditEvent::ALL.iter().filter(is_meant).copied().collect();
    if found.is_empty() {
        let names: Vec<_> = AuditEvent::ALL.iter().map(|event| event.as_str()).collect();
        return Err(format!("there is no event {name:?}; there are {}", names.join(", ")));
    }
    Ok(found)
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Tail(arguments) => tail(&arguments),
        Command::Prune { before, data } => prune(before, &data),
    }
}

fn tail(arguments: &Tail) -> Result<(), Failure> {
    let data = arguments.data.open_folder()?;
    let query = AuditQuery {
        user: arguments.user.clone(),
        client: arguments.client.clone(),
        events: arguments.event.concat(),
        since: arguments.since,
        until: arguments.until,
    };
    let is_bounded = arguments.since.is_some() || arguments.until.is_some();
    let lines = arguments.lines.or_else(|| (!is_bounded).then_some(LINES));
    block_on(async {
        let filter = data.administration.audit_filter(&query).await?;
        // Taken before the rows are read, so that rows added meanwhile are printed below.
        let newest = data.store.newest_audit().await?;
        let mut last = match lines {
            Some(lines) => {
                let rows = data.administration.audit_last(&filter, lines).await?;
                print(&data, &rows).await?;
                rows.last().map_or(newest, |(number, _)| newest.max(*number))
            }
            None => {
                let first = match arguments.since {
                    Some(since) => data.administration.audit_since(since).await?,
                    None => 0,
                };
                print_after(&data, &filter, first).await?.max(newest)
            }
        };
        if !arguments.follow {
            return Ok(());
        }
        loop {
            tokio::time::sleep(FOLLOW).await;
            last = print_after(&data, &filter, last).await?;
        }
    })
}

/// Prints the matching rows after a position; returns the position from which new ones follow.
async fn print_after(data: &Data, filter: &AuditFilter, mut after: u64) -> Result<u64, Failure> {
    loop {
        let page = data.administration.audit_after(filter, after).await?;
        print(data, &page.rows).await?;
        after = page.rows.last().map_or(after, |(number, _)| *number);
        match page.next {
            Some(next) => after = next,
            None => return Ok(after),
        }
    }
}

async fn print(data: &Data, rows: &[(u64, AuditRow)]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let accounts = data.administration.accounts().await?;
    let former = data.administration.former_names().await?;
    let former = former.iter().map(|(name, subject)| (subject.as_str(), name.as_str()));
    // The current name last, so that it takes precedence over former ones.
    let names: HashMap<_, _> = former.chain(accounts.iter().map(|a| (a.subject.as_str(), a.name.as_str()))).collect();
    rows.iter().try_for_each(|(number, row)| {
        let value = describe(*number, row, &names);
        data.output.line(&text(&value), &value)
    })
}

fn prune(before: Option<Timestamp>, data: &DataArguments) -> Result<(), Failure> {
    let data = data.open(Missing::Refuse)?;
    let (now, policy) = (SystemClock.now(), &data.config.audit);
    if before.is_some_and(|before| before > now) {
        return Err(Failure::Usage("--before: this time is in the future, so every row would be removed".to_owned()));
    }
    let since =
        before.unwrap_or_else(|| Timestamp::from_millis(now.as_millis().saturating_sub(policy.keep.as_millis())));
    let keep = AuditRetention { since: Some(since), max_bytes: policy.max_bytes };
    let what = format!("rows from before {}, and beyond {} bytes", moment(since), policy.max_bytes);
    let gone = block_on(async { Ok(data.administration.prune_audit(keep, &what).await?) })?;
    data.output.one(&format!("removed {gone} rows"), &json!({ "removed": gone }))
}

/// Returns the non-empty members, in the order of a sentence.
fn text(value: &Value) -> String {
    let member = |name: &str| match value.get(name)? {
        Value::String(text) => Some(printable(text)),
        Value::Array(entries) => {
            let words: Vec<_> = entries.iter().filter_map(Value::as_str).map(printable).collect();
            Some(format!("\"{}\"", words.join(" ")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    let head = [member("at"), member("event")];
    let rest =
        ["user", "actor", "subject", "client_id", "resource", "scopes", "target", "address", "reason", "request_id"];
    let rest = rest.into_iter().map(|name| member(name).map(|text| format!("{name}={text}")));
    head.into_iter().chain(rest).flatten().collect::<Vec<_>>().join("  ")
}

/// Describes a row. `names` are the login names of accounts by subject, including deleted ones.
fn describe(number: u64, row: &AuditRow, names: &HashMap<&str, &str>) -> Value {
    let subject = row.subject.as_ref().map(|subject| subject.as_str());
    // Rows of earlier versions name the account elsewhere.
    let user = [subject, row.actor.as_deref(), row.target.as_deref()].into_iter().flatten();
    let user = user.filter_map(|subject| names.get(subject)).next();
    json!({
        "number": number,
        "at": moment(row.at),
        "tenant": row.tenant.as_str(),
        "event": row.event.as_str(),
        "user": user,
        "actor": row.actor,
        "subject": subject,
        "client_id": row.client.as_ref().map(|c| c.as_str()),
        "resource": row.resource.as_ref().map(|r| r.as_str()),
        "scopes": row.scopes.as_ref().map(|scopes| scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>()),
        "address": row.address.map(|a| a.to_string()),
        "target": row.target,
        "reason": row.reason,
        "request_id": row.request_id,
    })
}
