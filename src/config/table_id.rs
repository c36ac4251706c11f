//! The ids in tables of clients and accounts.

use std::collections::BTreeMap;

use super::check::Check;
use super::declared::{RecordTable, Wish};
use super::problem::Setting;
use crate::oauth::Brand;

/// What one kind of ids may be.
pub(super) struct IdRules<'a> {
    /// What ids that the gateway gives begin with.
    pub(super) brand: &'a Brand,
    /// Words that are none of these ids, and what such ids begin with.
    pub(super) kept: (&'a [&'a str], &'a [&'a str]),
}

/// The ids seen so far, in lower case, each with its line.
pub(super) type SeenIds = BTreeMap<String, Option<usize>>;

impl IdRules<'_> {
    /// Checks an id; `is_taken_over` if it may be one that the gateway gave.
    pub(super) fn judge(&self, check: &Check<'_>, id: &Setting<String>, is_taken_over: bool) -> bool {
        let text = id.value.as_str();
        let folded = text.to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
        let (words, beginnings) = self.kept;
        let ours = format!("{}_", self.brand.as_str());
        let problem = if folded.starts_with("https://") {
            Some(("this is the id of a metadata document".to_owned(), "write an id of your own"))
        } else if !(1..=64).contains(&text.len()) || !text.bytes().all(allowed) {
            Some(("this cannot be an id".to_owned(), "write 1 to 64 of a-z, A-Z, 0-9 and .-_"))
        } else if folded.starts_with(&ours) && !is_taken_over {
            let remedy = "write an id of your own; adopt = true takes over a client that has this id";
            Some((format!("the gateway gives the ids that begin with {ours}"), remedy))
        } else if words.contains(&folded.as_str()) || beginnings.iter().any(|begin| folded.starts_with(begin)) {
            Some(("the gateway uses this id itself".to_owned(), "write an id of your own"))
        } else {
            None
        };
        let is_good = problem.is_none();
        if let Some((fault, remedy)) = problem {
            check.report.wrong(id, fault, remedy);
        }
        is_good
    }
}

/// Reports an id that is there already, in upper or lower case.
pub(super) fn expect_new(check: &Check<'_>, id: &Setting<String>, seen: &mut SeenIds) {
    if let Some(line) = seen.insert(id.value.to_ascii_lowercase(), id.line).flatten() {
        check.report.wrong(id, format!("line {line} has this id too"), "write another one");
    }
}

/// Makes a table of what was read from it.
pub(super) fn declared<T>(
    id: &Setting<String>,
    (adopt, removed): (&Setting<bool>, &Setting<bool>),
    wanted: impl FnOnce() -> Option<T>,
) -> RecordTable<T> {
    let wish = if removed.value { Wish::Removed } else { wanted().map_or(Wish::Unreadable, Wish::Present) };
    RecordTable { id: id.value.clone(), line: id.line, adopt: adopt.value, wish }
}
