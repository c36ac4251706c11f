//! Restored backups, and stores of an older program: what is revoked, what is kept, and that no server runs meanwhile.

use std::path::Path;

use mcpgate::oauth::RefreshRefusal;
use mcpgate::store::{
    AuditEvent, EmbeddedStore, LoginSession, Redemption, RestoreError, Rotation, ServerLock, SetupLink, StoreError,
    restore,
};
use rusqlite::Connection;

use super::{open_store, opened, schemas};
use crate::wait;
use crate::world::*;

fn is_refused(rotation: &Rotation, verdict: RefreshRefusal) -> bool {
    matches!(rotation, Rotation::Refused(said) if *said == verdict)
}

/// One of two families rotates after the backup; the restored store ends families, code, link, session and consent.
#[test]
fn rt_16_a_backup_that_is_put_back_ends_what_it_holds_open() {
    let opened = opened();
    let copy = opened.file.with_file_name("backup.db");
    let later = START.plus(MINUTE);
    wait(async {
        let store = &opened.store;
        settle(store).await;
        grant(store, "stays", START).await;
        grant(store, "goes on", START).await;
        issue(store, code("code", START)).await;
        let login: LoginSession = session("s", "alice", START);
        store.insert_session(login.clone(), None, Some(START), row(AuditEvent::LoginSucceeded, START)).await.unwrap();
        let link = SetupLink {
            hash: hash("l"),
            tenant: tenant(),
            subject: subject("bob"),
            made_at: None,
            expires_at: START.plus(DAY),
        };
        store.insert_setup_link(link.clone(), row(AuditEvent::SetupLinkMade, START)).await.unwrap();
        store.put_ephemeral(interaction("waiting", START), PENDING).await.unwrap();
        store.backup(&copy).await.unwrap();
        rotated(store.rotate_refresh_token(rotate("goes on", 0, "t1", START)).await.unwrap());

        let restored = open_store(&copy);
        let rotation = restored.rotate_refresh_token(rotate("stays", 0, "x", later)).await.unwrap();
        assert!(is_refused(&rotation, RefreshRefusal::Dead), "{rotation:?}");
        let rotation = restored.rotate_refresh_token(rotate("goes on", 0, "x", later)).await.unwrap();
        assert!(is_refused(&rotation, RefreshRefusal::Dead), "{rotation:?}");
        let rotation = restored.rotate_refresh_token(rotate("goes on", 1, "x", later)).await.unwrap();
        assert!(is_refused(&rotation, RefreshRefusal::Ahead), "{rotation:?}");
        assert!(!is_live(&restored, "stays token", START).await);
        assert!(matches!(restored.redeem_code(redeem("code", "x", START)).await.unwrap(), Redemption::Unknown));
        assert_eq!(restored.touch_session(&tenant(), &login.hash, START).await.unwrap(), None);
        assert_eq!(restored.find_setup_link(&tenant(), &link.hash, START).await.unwrap(), None);
        let waiting = restored.find_ephemeral(&interaction("waiting", START).key, START).await;
        assert_eq!(waiting.unwrap(), None);
        let trail = rows(&restored, 0).await;
        let told: Vec<_> = trail.iter().filter(|row| row.event == AuditEvent::StoreRestored).collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].reason.as_deref(), Some("2 grants ended"));
        assert_eq!(restored.check().await.unwrap(), Vec::<String>::new());

        // New grants stay valid, also after the next start.
        grant(&restored, "new", START).await;
        drop(restored);
        let again = open_store(&copy);
        assert!(is_live(&again, "new token", START).await);
        // The store that was backed up is unchanged.
        assert!(is_live(store, "t1", START).await);
    });
}

#[test]
fn rt_16_a_grant_of_a_backup_that_cannot_be_read_does_not_stand() {
    let opened = opened();
    let copy = opened.file.with_file_name("backup.db");
    wait(async {
        settle(&opened.store).await;
        grant(&opened.store, "damaged", START).await;
        opened.store.backup(&copy).await.unwrap();
        Connection::open(&copy).unwrap().execute("UPDATE grants SET scopes = 'all'", []).unwrap();
        let restored = open_store(&copy);
        assert!(!is_live(&restored, "damaged token", START).await);
        assert_eq!(restored.find_grant(&tenant(), grant_id("damaged")).await.unwrap(), None);
    });
}

/// Each error says what is wrong with the file, and what to do.
fn refuse_what_is_no_backup(folder: &Path, backup: &Path) {
    let at = |name: &str| folder.join(name);
    Connection::open(at("foreign.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    std::fs::write(at("garbage.db"), "no backup ".repeat(1000)).unwrap();
    std::fs::write(at("empty.db"), "").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let whole = std::fs::read(backup).unwrap();
    std::fs::write(at("short.db"), &whole[..40]).unwrap();
    std::fs::write(at("half.db"), &whole[..whole.len() / 2]).unwrap();
    let mut flipped = whole.clone();
    flipped[4096..].fill(0x5a);
    std::fs::write(at("flipped.db"), flipped).unwrap();
    std::fs::write(at("newer.db"), &whole).unwrap();
    let newer = "INSERT INTO migration VALUES (1000, 'of_tomorrow', x'00')";
    let known = "SELECT count(*) FROM migration";
    let db = Connection::open(at("newer.db")).unwrap();
    let known: u32 = db.query_row(known, [], |row| row.get(0)).unwrap();
    db.execute(&newer.replace("1000", &(known + 1).to_string()), []).unwrap();
    drop(db);
    let another = "; name a file that mcpgate db backup has written; the store was not changed";
    for (file, why, what_to_do) in [
        (at("nothing.db"), "No such file", "the store was not changed"),
        (folder.to_owned(), "it is a folder, not a plain file", another),
        (at("pipe"), "it is a named pipe, not a plain file", another),
        (at("empty.db"), "it is empty", another),
        (at("short.db"), "it is not a store", another),
        (at("garbage.db"), "it is not a store", another),
        (at("foreign.db"), "not one of mcpgate", another),
        (at("half.db"), "it is truncated (", "copy it again, or use another backup"),
        (at("flipped.db"), "it is damaged (", "use another backup"),
        (at("newer.db"), "created by a newer program", "start the newer program, or restore a backup from before"),
    ] {
        let refused = restore(&file, folder, START).unwrap_err();
        assert!(matches!(&refused, RestoreError::NoBackup { file: named, .. } if *named == file), "{refused}");
        let said = refused.to_string();
        assert!(said.contains(why) && said.contains(what_to_do), "{said}");
        assert!(!said.contains("store is damaged") && !folder.join("mcpgate-restoring.db").exists(), "{said}");
    }
}

#[test]
fn rt_16_a_restore_keeps_what_was_there_and_refuses_beside_a_server() {
    let opened = opened();
    let folder = opened.file.parent().unwrap();
    let backup = folder.join("backup.db");
    wait(async {
        settle(&opened.store).await;
        grant(&opened.store, "before", START).await;
        opened.store.backup(&backup).await.unwrap();
        grant(&opened.store, "after", START).await;
    });
    let lock = ServerLock::acquire(folder).unwrap();
    let refused = restore(&backup, folder, START).unwrap_err();
    assert!(matches!(refused, RestoreError::Store(StoreError::Unavailable(_))), "{refused}");
    drop(lock);
    refuse_what_is_no_backup(folder, &backup);
    wait(async { assert!(is_live(&opened.store, "after token", START).await, "the store was not replaced") });

    // As after a kill, the write-ahead log still exists.
    let super::Opened { store, file, other, _folder } = opened;
    let log = std::fs::read(file.with_file_name("mcpgate.db-wal")).unwrap();
    drop((store, other));
    std::fs::write(file.with_file_name("mcpgate.db-wal"), log).unwrap();
    let kept = restore(&backup, file.parent().unwrap(), START).unwrap().expect("there was a store");
    assert!(!kept.with_extension("db-wal").exists(), "the log was not merged into the old store before the move");
    wait(async {
        let restored = open_store(&file);
        assert_eq!(restored.find_grant(&tenant(), grant_id("after")).await.unwrap(), None);
        assert!(restored.find_grant(&tenant(), grant_id("before")).await.unwrap().unwrap().revoked_at.is_some());
        assert_eq!(restored.check().await.unwrap(), Vec::<String>::new());
        assert!(open_store(&kept).find_grant(&tenant(), grant_id("after")).await.unwrap().is_some());
    });
    let again = restore(&backup, file.parent().unwrap(), START).unwrap().expect("there was a store");
    assert!(again != kept && kept.exists() && again.exists(), "a second restore in the same second keeps both");
    let left: Vec<_> = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("restoring")), "{left:?}");
}

#[test]
fn rt_16_a_restore_replaces_a_damaged_store_and_leaves_it_no_log() {
    let opened = opened();
    let backup = opened.file.with_file_name("backup.db");
    wait(async {
        settle(&opened.store).await;
        opened.store.backup(&backup).await.unwrap();
    });
    let super::Opened { store, file, other, _folder } = opened;
    drop((store, other));
    std::fs::write(&file, [7; 8192]).unwrap();
    std::fs::write(file.with_file_name("mcpgate.db-wal"), "a log").unwrap();
    let kept = restore(&backup, file.parent().unwrap(), START).unwrap().expect("there was a store");
    assert_eq!(std::fs::read(&kept).unwrap(), [7; 8192]);
    assert!(!file.with_extension("db-wal").exists(), "the log belongs to the old store");
    wait(async { assert_eq!(open_store(&file).check().await.unwrap(), Vec::<String>::new()) });
}

#[test]
fn st_05_the_schema_is_not_changed_under_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcpgate.db");
    schemas::left_by(1, &file);
    let lock = ServerLock::acquire(folder.path()).unwrap();
    let refused = EmbeddedStore::open(&file, None, START).unwrap_err().to_string();
    assert!(refused.contains("stop the server first"), "{refused}");
    let applied = || -> u32 {
        let db = Connection::open(&file).unwrap();
        db.query_row("SELECT count(*) FROM migration", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(applied(), 1);
    drop(EmbeddedStore::open(&file, Some(&lock), START).expect("the server itself may"));
    assert!(applied() > 1);
    drop(EmbeddedStore::open(&file, None, START).expect("nothing is outstanding any more"));
}
