//! The file: its permissions, files that are refused on opening, several processes on it, copies of it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::future::join_all;
use mcpgate::oauth::Lifetime;
use mcpgate::store::{AuditEvent, EmbeddedStore, Rotation, ServerLock, StoreError};
use rusqlite::Connection;

use super::{open_store, opened, state};
use crate::wait;
use crate::world::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn refusal(file: &Path) -> StoreError {
    EmbeddedStore::open(file, None, START).expect_err("the file must be refused")
}

#[test]
fn st_07_file_and_folder_are_for_the_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = data.join("mcpgate.db");
    drop(open_store(&file));
    assert_eq!((mode(&data), mode(&file)), (0o700, 0o600));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = open_store(&file);
    wait(settle(&store));
    for beside in ["mcpgate.db", "mcpgate.db-wal", "mcpgate.db-shm"] {
        assert_eq!(mode(&data.join(beside)), 0o600, "{beside}");
    }
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is not a database, and long enough to be told apart from an empty file").unwrap();
    assert!(matches!(refusal(&text), StoreError::Corrupt(_)));
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let refused = refusal(&foreign).to_string();
    assert!(refused.contains("not one of mcpgate"), "{refused}");
    let tables: u32 = Connection::open(&foreign)
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
    assert!(matches!(refusal(folder.path()), StoreError::Unavailable(_)), "a folder is not a file");
}

/// Only the last connection ends the log, and it has to know that it is the last: several stores at once, so that the
/// threads of one do not run one after the other.
#[test]
fn a_store_that_was_closed_is_one_file() {
    let close_often = || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcpgate.db");
        for round in 0..50 {
            let (store, tenant) = (open_store(&file), tenant());
            // So many at once that every reader has the file open.
            let reads = join_all((0..16).map(|_| store.list_accounts(&tenant)));
            wait(reads).into_iter().for_each(|read| drop(read.unwrap()));
            drop(store);
            assert!(!file.with_file_name("mcpgate.db-wal").exists(), "{round}");
        }
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(close_often))));
}

#[test]
fn st_03_an_emptied_or_cut_off_file_is_refused_and_never_begun_anew() {
    let opened = opened();
    wait(settle(&opened.store));
    drop((opened.store, opened.other));
    let file = &opened.file;
    let whole = std::fs::read(file).unwrap();
    assert!(!file.with_file_name("mcpgate.db-wal").exists(), "all data is in the main file");
    for length in
        [0, 1, 99, 100, 512, 4095, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 512, whole.len() - 1]
    {
        std::fs::write(file, &whole[..length]).unwrap();
        let refused = refusal(file);
        assert!(matches!(refused, StoreError::Corrupt(_)), "{length}: {refused}");
        assert_eq!(std::fs::read(file).unwrap(), whole[..length], "{length}: the file is unchanged");
    }
    std::fs::remove_file(file).unwrap();
    std::fs::write(file.with_file_name("mcpgate.db-wal"), "the log of a lost store").unwrap();
    assert!(matches!(refusal(file), StoreError::Corrupt(_)));
    std::fs::remove_file(file.with_file_name("mcpgate.db-wal")).unwrap();
    std::fs::write(file, whole).unwrap();
    wait(async { assert_eq!(open_store(file).list_accounts(&tenant()).await.unwrap().len(), 2) });
}

#[test]
fn processes_that_make_the_store_at_once_share_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcpgate.db");
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| drop(open_store(&file)));
        }
    });
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["mcpgate.db"]);
}

#[test]
fn a_newer_or_changed_schema_is_refused() {
    let opened = opened();
    drop(opened.store);
    opened.other.execute_batch("INSERT INTO migration VALUES (99, 'later', x'00')").unwrap();
    let refused = refusal(&opened.file).to_string();
    assert!(refused.contains("newer program") && refused.contains("later"), "{refused}");
    opened.other.execute_batch("DELETE FROM migration WHERE number = 99; UPDATE migration SET sha256 = x'00'").unwrap();
    let refused = refusal(&opened.file);
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
}

#[test]
fn st_05_one_server_on_a_folder_and_the_command_line_beside_it() {
    let opened = opened();
    let folder = opened.file.parent().unwrap();
    let lock = ServerLock::acquire(folder).unwrap();
    let refused = ServerLock::acquire(folder).expect_err("a second server").to_string();
    assert!(refused.contains(&std::process::id().to_string()), "the error does not name the other process: {refused}");
    wait(async {
        settle(&opened.store).await;
        grant(&opened.store, "g", START).await;
        let (mark, newest) = (opened.store.change_mark().await.unwrap(), opened.store.newest_change().await.unwrap());
        let beside = open_store(&opened.file);
        beside.revoke_grant(grant_id("g"), row(AuditEvent::GrantRevoked, START)).await.unwrap();
        assert_ne!(opened.store.change_mark().await.unwrap(), mark);
        assert_eq!(changes(&opened.store, &newest).await.len(), 1);
        assert!(!is_live(&opened.store, "g token", START).await);
    });
    drop(lock);
    ServerLock::acquire(folder).expect("the first has gone");
}

#[test]
fn what_was_acknowledged_is_there_after_opening_again() {
    let opened = opened();
    wait(async {
        settle(&opened.store).await;
        grant(&opened.store, "a", START).await;
        grant(&opened.store, "b", START).await;
        rotated(opened.store.rotate_refresh_token(rotate("a", 0, "t", START)).await.unwrap());
        opened.store.revoke_grant(grant_id("b"), row(AuditEvent::GrantRevoked, START)).await.unwrap();
        present(&opened.store, "t", START).await;
        drop(opened.store);
        let again = open_store(&opened.file);
        assert!(is_live(&again, "t", START).await && !is_live(&again, "b token", START).await);
        assert_eq!(again.find_grant(&tenant(), grant_id("a")).await.unwrap().unwrap().generation, 1);
        // RT-12: the old token is recognised by another process, too.
        let late = START.plus(DAY);
        let reused = again.rotate_refresh_token(rotate("a", 0, "x", late)).await.unwrap();
        assert!(matches!(reused, Rotation::Reused(_)), "{reused:?}");
    });
}

#[test]
fn a_backup_is_whole_private_and_never_overwrites() {
    let opened = opened();
    let copy = opened.file.with_file_name("backup.db");
    wait(async {
        settle(&opened.store).await;
        grant(&opened.store, "g", START).await;
        opened.store.backup(&copy).await.unwrap();
        rotated(opened.store.rotate_refresh_token(rotate("g", 0, "later", START)).await.unwrap());
        let again = opened.store.backup(&copy).await;
        assert!(matches!(again, Err(StoreError::Unavailable(_))), "{again:?}");
        let nowhere = opened.store.backup(Path::new("/nowhere/backup.db")).await;
        assert!(matches!(nowhere, Err(StoreError::Unavailable(_))), "{nowhere:?}");
        assert_eq!(mode(&copy), 0o600);
        assert!(!copy.with_file_name("backup.db-wal").exists(), "a backup is one file");
        assert_eq!(open_store(&copy).check().await.unwrap(), Vec::<String>::new());
    });
}

#[test]
fn the_schema_document_names_every_table_and_field() {
    let opened = opened();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/storage-schema.md");
    let document = std::fs::read_to_string(document).unwrap();
    let columns = "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'";
    let mut columns = opened.other.prepare(columns).unwrap();
    let columns = columns.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    let mut missing = Vec::new();
    for (table, column) in columns.map(Result::unwrap) {
        let section = document.split("\n## ").find(|section| section.lines().next() == Some(table.as_str()));
        let explained_once = ["no", "seal"].contains(&column.as_str());
        if !section.is_some_and(|text| explained_once || text.contains(&format!("`{column}`"))) {
            missing.push(format!("{table}.{column}"));
        }
    }
    assert!(missing.is_empty(), "docs/storage-schema.md does not describe {missing:?}");
    // The kinds of change are a closed list, too.
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/change.rs")).unwrap();
    let kinds: Vec<_> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> \"")?.1.strip_suffix("\","))
        .collect();
    assert!(kinds.contains(&"grant_revoked"), "{kinds:?}");
    for kind in kinds {
        assert!(document.contains(&format!("`{kind}`")), "docs/storage-schema.md does not name the change {kind}");
    }
}

#[test]
fn rt_17_a_family_takes_as_much_room_after_many_rotations_as_after_few() {
    let opened = opened();
    wait(async {
        settle(&opened.store).await;
        grant(&opened.store, "a", START).await;
        let mut sizes = Vec::new();
        for round in 0..3 {
            let mut now = START;
            for generation in round * 150..(round + 1) * 150 {
                now = START.plus(Lifetime::from_secs(5 * (u64::from(generation) + 1)));
                let token = format!("token {generation}");
                rotated(opened.store.rotate_refresh_token(rotate("a", generation, &token, now)).await.unwrap());
            }
            opened.store.sweep(now, Lifetime::from_secs(86_400)).await.unwrap();
            // Except rows that are kept by age: the audit trail and the changes of the last day.
            sizes.push(state(&opened.other).iter().filter(|row| !row.starts_with("change_log:")).count());
        }
        assert_eq!(sizes[1], sizes[0]);
        assert_eq!(sizes[2], sizes[0]);
        let reused = opened.store.rotate_refresh_token(rotate("a", 1, "late", START)).await.unwrap();
        assert!(matches!(reused, Rotation::Reused(_)), "{reused:?}");
    });
}
