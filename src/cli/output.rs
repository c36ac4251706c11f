//! The only writer of standard output: text for people or JSON for programs.

use std::io::Write;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::failure::Failure;
use crate::oauth::{Timestamp, is_shown};

/// How a command prints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    /// Makes an output that prints text.
    pub(super) fn text() -> Self {
        Self { json: false }
    }

    /// Makes an output that prints JSON if `json` is set.
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Returns whether it prints JSON.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Prints one result: `text`, or `value`.
    pub(super) fn one(self, text: &str, value: &Value) -> Result<(), Failure> {
        if self.json { self.raw(format!("{value:#}\n").as_bytes()) } else { self.raw(format!("{text}\n").as_bytes()) }
    }

    /// Prints the members of an object, one per line, or the object as JSON.
    pub(super) fn members(self, value: &Value) -> Result<(), Failure> {
        let rows = value.as_object().into_iter().flatten().filter(|(_, member)| !member.is_null());
        let rows: Vec<_> = rows.map(|(name, member)| vec![name.clone(), cell(Some(member))]).collect();
        self.one(aligned(&rows).trim_end(), value)
    }

    /// Prints a note on standard error, since standard output may be captured.
    pub(super) fn note(self, text: &str) {
        if !self.json {
            // If standard error is closed, nobody wants the note.
            let _gone = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Prints a list: the members named by `columns` (header and member) in aligned columns, or the whole as JSON.
    pub(super) fn list(self, columns: &[(&str, &str)], values: &[Value]) -> Result<(), Failure> {
        if self.json {
            return self.raw(format!("{:#}\n", json!(values)).as_bytes());
        }
        let header = columns.iter().map(|(header, _)| (*header).to_owned()).collect();
        let row = |value: &Value| columns.iter().map(|(_, member)| cell(value.get(*member))).collect();
        let rows: Vec<Vec<String>> = std::iter::once(header).chain(values.iter().map(row)).collect();
        self.raw(aligned(&rows).as_bytes())
    }

    /// Prints one line of a stream: `text`, or `value` in one line.
    pub(super) fn line(self, text: &str, value: &Value) -> Result<(), Failure> {
        if self.json { self.raw(format!("{value}\n").as_bytes()) } else { self.raw(format!("{text}\n").as_bytes()) }
    }

    /// Prints bytes as they are.
    pub(super) fn raw(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }
}

/// Formats a moment as in RFC 3339, in UTC, to the second.
pub(super) fn moment(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment.and_then(|m| m.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{seconds} s"))
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(Value::Array(entries)) => entries.iter().map(|e| cell(Some(e))).collect::<Vec<_>>().join(" "),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_))) => other.to_string(),
    }
}

/// Makes text from strangers safe to print: it must neither control the operator's terminal nor look like something
/// else on it.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_shown(c) { c } else { '\u{fffd}' }).collect()
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_hold_no_controls() {
        let rows = [vec!["NAME".to_owned(), "X".to_owned()], vec![cell(Some(&json!("a\u{1b}[2Jé"))), "1".to_owned()]];
        assert_eq!(aligned(&rows), "NAME    X\na\u{fffd}[2Jé  1\n");
        assert_eq!(cell(Some(&json!(["a", "b"]))), "a b");
        assert_eq!(cell(None), "-");
        assert_eq!(printable("moc.live\u{202e}"), "moc.live\u{fffd}");
    }

    #[test]
    fn moments_are_rfc_3339() {
        assert_eq!(moment(Timestamp::from_secs(1_800_000_000)), "2027-01-15T08:00:00Z");
    }
}
