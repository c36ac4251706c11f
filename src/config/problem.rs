//! `Problem`: where a fault is, what is wrong, what to write instead; and the `Report` that collects all of them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, if the fault is in one.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The key, with its tables: `upstream[1].url`.
    pub key: String,
    /// What is wrong; never echoes a secret.
    pub fault: String,
    /// What to write instead.
    pub remedy: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}: {}; {}", self.key, self.fault, self.remedy)
    }
}

/// A value with the place where it was written; no line for a default or a command line option.
#[derive(Debug, Clone)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) line: Option<usize>,
    /// The lines of a list's entries.
    pub(super) entries: Vec<usize>,
}

impl<T> Setting<T> {
    /// Makes a setting that is in no file.
    pub(super) fn unwritten(value: T, key: &str) -> Self {
        Self { value, key: key.to_owned(), line: None, entries: Vec::new() }
    }
}

/// All problems found so far. Values are never echoed, since they may come from a secret.
#[derive(Debug)]
pub(super) struct Report {
    file: Option<PathBuf>,
    line_starts: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
    /// The offsets of values that are already reported.
    set_aside: RefCell<BTreeSet<usize>>,
    /// The keys whose values are references.
    references: RefCell<BTreeSet<String>>,
}

impl Report {
    /// Starts a report on a file and its text; both are absent when there is only a command line.
    pub(super) fn new(file: Option<&Path>, text: &str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at.saturating_add(1)));
        Self {
            file: file.map(Path::to_owned),
            line_starts: line_starts.collect(),
            problems: RefCell::default(),
            set_aside: RefCell::default(),
            references: RefCell::default(),
        }
    }

    /// Marks the value at `offset` as reported, so that it is not checked further.
    pub(super) fn set_aside(&self, offset: usize) {
        self.set_aside.borrow_mut().insert(offset);
    }

    /// Returns whether a value, or a part of it, is reported already.
    pub(super) fn is_set_aside(&self, value: &Spanned<DeValue<'_>>) -> bool {
        // The entries of a table are checked one by one.
        !value.get_ref().is_table() && self.set_aside.borrow().range(value.span()).next().is_some()
    }

    /// Notes that the value of a key is one reference and nothing else.
    pub(super) fn note_reference(&self, key: &str) {
        self.references.borrow_mut().insert(key.to_owned());
    }

    /// Returns whether the value of a key is one reference, so that it is not written in the file itself.
    pub(super) fn is_reference(&self, key: &str) -> bool {
        self.references.borrow().contains(key)
    }

    /// Returns whether there is a problem with this key.
    pub(super) fn names(&self, key: &str) -> bool {
        self.problems.borrow().iter().any(|problem| problem.key == key)
    }

    /// Returns whether there is a problem with a key of this table.
    pub(super) fn names_part_of(&self, table: &str) -> bool {
        let part = |key: &str| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        self.problems.borrow().iter().any(|problem| part(&problem.key))
    }

    /// Returns the line number of a byte offset, from 1.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Adds a problem with a setting.
    pub(super) fn wrong<T>(&self, setting: &Setting<T>, fault: impl Into<String>, remedy: impl Into<String>) {
        self.add(setting.line, &setting.key, fault, remedy);
    }

    /// Adds a problem with one entry of a list.
    pub(super) fn wrong_entry<T>(
        &self,
        list: &Setting<Vec<T>>,
        index: usize,
        fault: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let line = list.entries.get(index).copied().or(list.line);
        self.add(line, &format!("{}[{index}]", list.key), fault, remedy);
    }

    /// Adds a problem with a key.
    pub(super) fn add(&self, line: Option<usize>, key: &str, fault: impl Into<String>, remedy: impl Into<String>) {
        self.problems.borrow_mut().push(Problem {
            file: self.file.clone(),
            line,
            key: key.to_owned(),
            fault: fault.into(),
            remedy: remedy.into(),
        });
    }

    /// Returns the problems in the order of the file.
    pub(super) fn finish(self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        // What several tables share is checked for each of them.
        for problem in self.problems.into_inner() {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        problems.sort_by_key(|p| p.line.unwrap_or(usize::MAX));
        problems
    }
}
