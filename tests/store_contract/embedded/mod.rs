//! Faults that only a file has: failing writes, locks, a full or broken disk, kills, flipped bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcpgate::store::{EmbeddedStore, Store};
use rusqlite::Connection;

mod damage;
mod disk;
mod failing_writes;
mod file;
mod kill;
mod load;
mod restore;
mod schemas;

/// A store in its own folder, and a second connection to its file.
struct Opened {
    store: Arc<dyn Store>,
    file: PathBuf,
    other: Connection,
    _folder: tempfile::TempDir,
}

fn open_store(file: &Path) -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::open(file, None, crate::world::START).unwrap())
}

fn opened() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcpgate.db");
    let store = open_store(&file);
    let other = Connection::open(&file).unwrap();
    Opened { store, file, other, _folder: folder }
}

/// Every row of every table that a refused request must not change (all except audit).
fn state(db: &Connection) -> Vec<String> {
    let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'audit'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut rows = Vec::new();
    for table in tables {
        let mut all = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let width = all.column_count();
        let mut found = all.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let columns: Vec<_> = (0..width).map(|i| format!("{:?}", row.get_ref(i).unwrap())).collect();
            rows.push(format!("{table}: {}", columns.join(", ")));
        }
    }
    rows
}
