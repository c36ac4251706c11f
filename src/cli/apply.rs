//! `mcpgate apply`: makes the store as the clients and accounts of the configuration file say.

use serde_json::{Value, json};

use super::confirm::{confirm, sessions};
use super::data::{Data, DataArguments, Missing};
use super::failure::Failure;
use super::output::printable;
use super::runtime::block_on;
use crate::issuer::{TableChange, TableDifference, TableKind, TableOptions, TablePlan};
use crate::store::TableMark;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only show the difference
    #[arg(long)]
    dry_run: bool,
    /// Remove the clients and accounts whose tables are gone
    #[arg(long)]
    remove: bool,
    /// Set the password of this account as its table has it, which ends its sessions; may be repeated
    #[arg(long, value_name = "ID")]
    reset_password: Vec<String>,
    /// Do not ask, even if sessions end
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let missing = if arguments.dry_run { Missing::Refuse } else { Missing::Make };
    let data = arguments.data.open_for_tables(missing)?;
    let options = TableOptions { remove: arguments.remove, reset_passwords: &arguments.reset_password };
    let plan = block_on(async { Ok(data.administration.plan_tables(options).await?) })?;
    let (differences, gone, ending) = (plan.differences.clone(), plan.gone.clone(), plan.ending());
    let text = shown(&data, &plan);
    if arguments.dry_run {
        return report(&data, &text, (&differences, &gone), None);
    }
    if ending > 0 {
        data.output.note(&text);
        confirm(&format!("this ends {}", sessions(ending)), arguments.yes)?;
    }
    block_on(async { Ok(Box::pin(data.administration.apply_tables(plan)).await?) })?;
    report(&data, &text, (&differences, &gone), Some(ending))
}

/// Prints the differences; `ended` is how many sessions have ended by them, if they were applied.
fn report(
    data: &Data,
    text: &str,
    (differences, gone): (&[TableDifference], &[TableMark]),
    ended: Option<usize>,
) -> Result<(), Failure> {
    let differences: Vec<_> = differences.iter().map(value).collect();
    let gone = gone.iter().map(|mark| json!({ "kind": TableKind::of(&mark.made).as_str(), "id": mark.id }));
    let value = json!({
        "applied": ended.is_some(),
        "differences": differences,
        "gone": gone.collect::<Vec<_>>(),
        "sessions_ended": ended,
    });
    data.output.one(text, &value)
}

fn shown(data: &Data, plan: &TablePlan) -> String {
    let file = data.config.file.as_ref().and_then(|file| file.file_name());
    let file = file.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut lines = Vec::new();
    for difference in &plan.differences {
        let place = difference.line.map(|line| format!(" ({file}:{line})")).unwrap_or_default();
        let ending = match difference.ending {
            0 => String::new(),
            some => format!(", ends {}", sessions(some)),
        };
        let (action, kind) = (difference.action.as_str(), difference.kind.as_str());
        lines.push(format!("{action} {kind} {}{place}{ending}", printable(&difference.id)));
        lines.extend(difference.changes.iter().map(change));
    }
    for mark in &plan.gone {
        let kind = TableKind::of(&mark.made).as_str();
        lines.push(format!("keep {kind} {}: its table is gone; --remove removes it", printable(&mark.id)));
    }
    if plan.differences.is_empty() {
        lines.push("the store is as the file says".to_owned());
    }
    lines.join("\n")
}

fn change(change: &TableChange) -> String {
    let member = printable(&change.member);
    match &change.values {
        Some((before, after)) => printable(&format!("    {member}: {before} -> {after}")),
        None => format!("    {member}: changed"),
    }
}

fn value(difference: &TableDifference) -> Value {
    let member = |change: &TableChange| match &change.values {
        Some((before, after)) => json!({ "member": change.member, "before": before, "after": after }),
        None => json!({ "member": change.member, "changed": true }),
    };
    json!({
        "kind": difference.kind.as_str(),
        "id": difference.id,
        "line": difference.line,
        "action": difference.action.as_str(),
        "changes": difference.changes.iter().map(member).collect::<Vec<_>>(),
        "sessions_ending": difference.ending,
    })
}
