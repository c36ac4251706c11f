//! Records the cost of statements in steps of SQLite's virtual machine, for tests.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use rusqlite::{Connection, Statement, StatementStatus};

/// The steps of each statement.
pub(super) type Costs = BTreeMap<String, i64>;

/// The costs recorded for each watched file.
static WATCHED: Mutex<BTreeMap<String, Costs>> = Mutex::new(BTreeMap::new());

/// Adds the cost of a statement that was just run.
pub(super) fn note(db: &Connection, sql: &str, statement: &Statement<'_>) {
    let steps = i64::from(statement.reset_status(StatementStatus::VmStep));
    let mut watched = WATCHED.lock().unwrap();
    if let Some(costs) = db.path().and_then(|file| watched.get_mut(file)) {
        *costs.entry(sql.to_owned()).or_default() += steps;
    }
}

/// Takes the costs since the last call, and continues recording.
pub(super) fn taken(file: &Path) -> Costs {
    let file = file.to_string_lossy().into_owned();
    WATCHED.lock().unwrap().insert(file, Costs::new()).unwrap_or_default()
}
