//! How commands show the table of the configuration file that has made a client or account.

use serde_json::{Value, json};

use super::data::DataArguments;
use crate::config::Config;
use crate::issuer::ListedTable;

/// Describes a table; null for what no table has made.
pub(super) fn table(table: Option<&ListedTable>) -> Value {
    let Some(table) = table else { return Value::Null };
    json!({
        "id": table.id,
        "path": table.file.as_ref().map(|file| file.display().to_string()),
        "line": table.line,
        "gone": table.is_gone,
    })
}

/// Returns where a table is, for a column: `gateway.toml:12`, or that it is gone.
pub(super) fn place(table: Option<&ListedTable>) -> Option<String> {
    let table = table?;
    let file = table.file.as_ref().and_then(|file| file.file_name()).map(|name| name.to_string_lossy().into_owned());
    let file = file.unwrap_or_else(|| "a file".to_owned());
    Some(match (table.is_gone, table.line) {
        (Some(true), _) => format!("gone from {file}"),
        (_, Some(line)) => format!("{file}:{line}"),
        (_, None) => file,
    })
}

/// Says that the file will enable again what was disabled, if its table says so.
pub(super) fn note_enabled(data: &DataArguments, find: impl Fn(&Config) -> Option<String>) {
    let Some(place) = data.load_folder().ok().as_ref().and_then(find) else { return };
    data.output().note(&format!(
        "{place} has disabled = false, so the next start, reload or mcpgate apply enables it again: write true there."
    ));
}
