//! Parses gateway.toml into a tree of values with resolved references; reports every fault with its line.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Report;
use super::secret_source;

/// Placeholders of example files that somebody forgot to replace (CF-09).
const PLACEHOLDERS: [&str; 9] = [
    "changeme",
    "change_me",
    "change-me",
    "replaceme",
    "replace_me",
    "replace-me",
    "your-token",
    "your_token",
    "your-secret",
];

/// State shared by all values of a document while their references are resolved.
struct Resolution<'a> {
    base: &'a Path,
    report: &'a Report,
    files: Vec<PathBuf>,
}

/// Parses the text and resolves its references; `None` when the syntax is broken, since further checks would be
/// guesswork. Also returns the files that the references name.
pub(super) fn parse<'t>(text: &'t str, base: &Path, report: &Report) -> (Option<DeTable<'t>>, Vec<PathBuf>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map(|span| report.line_of(span.start));
        report.add(line, "syntax", error.message(), "see https://toml.io for the syntax of TOML");
    }
    let mut root = root.into_inner();
    let mut resolution = Resolution { base, report, files: Vec::new() };
    resolution.table(&mut root, "");
    (errors.is_empty().then_some(root), resolution.files)
}

impl Resolution<'_> {
    fn table(&mut self, table: &mut DeTable<'_>, prefix: &str) {
        for (name, value) in table.iter_mut() {
            let key =
                if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
            self.value(value, &key);
        }
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, key: &str) {
        let report = self.report;
        let offset = value.span().start;
        match value.get_mut() {
            DeValue::Array(entries) => {
                for (index, entry) in entries.iter_mut().enumerate() {
                    self.value(entry, &format!("{key}[{index}]"));
                }
            }
            DeValue::Table(table) => self.table(table, key),
            DeValue::String(text) => {
                if text.starts_with("${") && text.ends_with('}') {
                    report.note_reference(key);
                }
                match secret_source::expand(text, self.base, &mut self.files, secret_source::environment) {
                    Ok(None) => {}
                    Ok(Some(expanded)) => *text = expanded.into(),
                    Err(why) => {
                        report.add(Some(report.line_of(offset)), key, why.to_string(), why.remedy());
                        report.set_aside(offset);
                    }
                }
                let folded = text.to_ascii_lowercase();
                if PLACEHOLDERS.iter().any(|p| folded.contains(p)) {
                    report.add(Some(report.line_of(offset)), key, "this is a placeholder", "write the real value");
                    report.set_aside(offset);
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }
}
