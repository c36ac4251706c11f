//! Tests that a migration may rebuild any table without losing rows that refer to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{check, connection};
use crate::store::StoreError;
use crate::store::migrate::{MIGRATIONS, Migration};

/// Returns a store with rows in every table: the one kept for the newest schema.
fn filled(folder: &Path) -> (PathBuf, Connection) {
    let file = folder.join("mcpgate.db");
    Connection::open(&file).unwrap();
    let mut db = connection::open(&file).unwrap();
    connection::apply(&mut db, MIGRATIONS, &file, None).unwrap();
    let rows = format!("tests/store_contract/schemas/{:02}.sql", MIGRATIONS.len());
    let rows = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(rows)).unwrap();
    db.pragma_update(None, "foreign_keys", "OFF").unwrap();
    db.execute_batch(&rows).unwrap();
    db.pragma_update(None, "foreign_keys", "ON").unwrap();
    (file, db)
}

fn texts(db: &Connection, sql: &str) -> Vec<String> {
    let mut query = db.prepare(sql).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn tables(db: &Connection) -> Vec<String> {
    texts(db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
}

/// Returns the number of rows of each table, and the last number of the change log.
fn counts(db: &Connection) -> BTreeMap<String, u32> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get(0)).unwrap();
    let mut counts: BTreeMap<_, _> =
        tables(db).into_iter().map(|table| (table.clone(), number(&format!("SELECT count(*) FROM {table}")))).collect();
    counts.insert("last change".to_owned(), number("SELECT seq FROM sqlite_sequence WHERE name = 'change_log'"));
    counts
}

/// Returns a migration that rebuilds one table unchanged.
fn rebuilt(db: &Connection, table: &str) -> String {
    let made: String = db
        .query_row("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1", [table], |row| row.get(0))
        .unwrap();
    let made = made.replacen(&format!("TABLE {table} "), "TABLE rebuilt ", 1);
    assert!(made.contains("TABLE rebuilt "), "{made}");
    // A trigger may name tables other than its own, so all triggers are dropped and recreated.
    let triggers = texts(db, "SELECT name FROM sqlite_schema WHERE type = 'trigger'");
    let dropped: Vec<_> = triggers.iter().map(|name| format!("DROP TRIGGER {name};\n")).collect();
    let mut after = texts(
        db,
        &format!("SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = '{table}' AND sql IS NOT NULL"),
    );
    after.extend(texts(db, "SELECT sql FROM sqlite_schema WHERE type = 'trigger'"));
    // The current number of a table with `AUTOINCREMENT`.
    let counted = format!(
        "UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = '{table}') WHERE name = 'rebuilt'"
    );
    let counted = if made.contains("AUTOINCREMENT") { counted } else { String::new() };
    format!(
        "{}{made};\nINSERT INTO rebuilt SELECT * FROM {table};\n{counted};\nDROP TABLE {table};\n\
         ALTER TABLE rebuilt RENAME TO {table};\n{};",
        dropped.concat(),
        after.join(";\n")
    )
}

fn with_one_more(sql: String) -> Vec<Migration> {
    let number = u32::try_from(MIGRATIONS.len()).unwrap() + 1;
    let known = MIGRATIONS.iter().map(|m| Migration { number: m.number, name: m.name, sql: m.sql });
    known.chain([Migration { number, name: "rebuild", sql: sql.leak() }]).collect()
}

#[test]
fn a_migration_may_rebuild_every_table_and_no_row_of_another_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, mut db) = filled(folder.path());
    // After this row is swept, its number must still not be assigned again.
    db.execute("DELETE FROM change_log WHERE seq = (SELECT max(seq) FROM change_log)", []).unwrap();
    let expected = counts(&db);
    assert!(expected.values().all(|count| *count > 0), "{expected:?}");
    let sql: Vec<_> = tables(&db).iter().filter(|t| *t != "migration").map(|t| rebuilt(&db, t)).collect();
    let history = u32::try_from(MIGRATIONS.len()).unwrap();
    for (n, sql) in sql.into_iter().enumerate() {
        connection::apply(&mut db, &with_one_more(sql.clone()), &file, None).unwrap_or_else(|e| panic!("{e}: {sql}"));
        db.execute("DELETE FROM migration WHERE number > ?1", [history]).unwrap();
        assert_eq!(counts(&db), expected, "{n}: {sql}");
        assert_eq!(check::check(&db).unwrap(), Vec::<String>::new(), "{sql}");
    }
    let enforced: bool = db.pragma_query_value(None, "foreign_keys", |row| row.get(0)).unwrap();
    assert!(enforced, "references are in force again");
}

#[test]
fn a_migration_that_leaves_a_row_without_what_it_points_to_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (file, mut db) = filled(folder.path());
    let expected = counts(&db);
    let wrong = with_one_more("CREATE TABLE extra (a); DELETE FROM grants".to_owned());
    let refused = connection::apply(&mut db, &wrong, &file, None).unwrap_err();
    assert!(matches!(&refused, StoreError::Corrupt(why) if why.contains("references a missing row")), "{refused}");
    assert_eq!(counts(&db), expected);
    let enforced: bool = db.pragma_query_value(None, "foreign_keys", |row| row.get(0)).unwrap();
    assert!(enforced, "references are in force again");
}
