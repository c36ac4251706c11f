//! A full disk, a disk that cannot flush, a disk that cannot be written: reported, survived, nothing lost. `faults.c`
//! is preloaded into a child process, which runs the test itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mcpgate::store::{
    AccountStatus, AuditEvent, AuditRow, Change, EmbeddedStore, Redemption, Rotation, ServerLock, Store, StoreError,
    Update, UseReport,
};

use super::open_store;
use crate::wait;
use crate::world::*;

pub(super) const FAULTS: &str = "MCPGATE_TEST_FAULTS";

/// A folder for the store and one for the active faults.
struct Disk {
    faults: PathBuf,
    file: PathBuf,
}

impl Disk {
    fn start(&self, fault: &str, budget: usize) {
        put_fault(&self.faults, fault, budget);
    }

    fn stop(&self, fault: &str) {
        std::fs::remove_file(self.faults.join(fault)).unwrap();
    }
}

/// Turns a fault on; see `faults.c`.
pub(super) fn put_fault(faults: &Path, fault: &str, budget: usize) {
    // Under another name first, so that this write does not count.
    let unnamed = faults.join("next");
    std::fs::write(&unnamed, format!("{budget:<12}")).unwrap();
    std::fs::rename(unnamed, faults.join(fault)).unwrap();
}

/// A folder with `faults.so`, to be preloaded into a process whose disk can be made to fail.
pub(super) fn failing_disk() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store_contract/embedded/faults.c");
    let shim = folder.path().join("faults.so");
    // The compiler that SQLite itself was built with.
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&shim, &source]).arg("-ldl").status();
    assert!(built.unwrap().success());
    folder
}

/// Runs the test named `name` in a child process whose disk can be made to fail.
fn on_a_failing_disk(name: &str, test: impl FnOnce(Disk)) {
    if let Some(faults) = std::env::var_os(FAULTS) {
        let faults = PathBuf::from(faults);
        return test(Disk { file: faults.with_file_name("data").join("mcpgate.db"), faults });
    }
    let folder = failing_disk();
    let (faults, shim) = (folder.path().join("faults"), folder.path().join("faults.so"));
    std::fs::create_dir(&faults).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("embedded::disk::{name}"), "--nocapture"])
        .env("LD_PRELOAD", &shim)
        .env(FAULTS, &faults)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "the child did not run the test: {text}");
}

fn is_told<T: std::fmt::Debug>(answer: &Result<T, StoreError>, word: &str) -> bool {
    matches!(answer, Err(StoreError::Unavailable(why)) if why.contains(word))
}

#[test]
fn st_01_a_full_disk_at_every_write_loses_nothing_and_heals_by_itself() {
    on_a_failing_disk("st_01_a_full_disk_at_every_write_loses_nothing_and_heals_by_itself", |disk| {
        let store = open_store(&disk.file);
        wait(async {
            settle(&store).await;
            grant(&store, "earlier", START).await;
            for budget in 0..200 {
                let name = format!("c{budget}");
                issue(&store, code(&name, START)).await;
                disk.start("enospc", budget);
                let answer = store.redeem_code(redeem(&name, &name, START)).await;
                disk.stop("enospc");
                assert!(is_live(&store, "earlier token", START).await);
                if let Ok(answer) = answer {
                    assert!(matches!(answer, Redemption::Redeemed(..)), "{answer:?}");
                    assert!(budget > 0, "the first write failed");
                    return;
                }
                assert!(is_told(&answer, "full"), "{answer:?}");
                assert!(!is_live(&store, &name, START).await);
                let again = store.redeem_code(redeem(&name, &name, START)).await.unwrap();
                assert!(matches!(again, Redemption::Redeemed(..)), "budget {budget}: {again:?}");
                assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
            }
            panic!("no redemption needs 200 writes");
        });
    });
}

#[test]
fn st_01_a_full_disk_while_opening_is_told() {
    on_a_failing_disk("st_01_a_full_disk_while_opening_is_told", |disk| {
        for budget in 0..500 {
            disk.start("enospc", budget);
            let opened = EmbeddedStore::open(&disk.file, None, START);
            disk.stop("enospc");
            match opened {
                Ok(_) => {
                    assert!(budget > 0);
                    return;
                }
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
            }
        }
        panic!("opening does not need 500 writes");
    });
}

/// A server's store, which keeps revocations that it could not write, and the changes that it announced.
fn open_of_server(disk: &Disk) -> (ServerLock, Arc<dyn Store>, Arc<Mutex<Vec<Change>>>) {
    let lock = ServerLock::acquire(disk.file.parent().unwrap()).unwrap();
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&disk.file, Some(&lock), START).unwrap());
    let told = Arc::<Mutex<Vec<Change>>>::default();
    let tell = Arc::clone(&told);
    store.tell_unstored(Box::new(move |change| tell.lock().unwrap().push(change.clone())));
    (lock, store, told)
}

fn until_stored(store: &Arc<dyn Store>) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.stats().unstored > 0 {
        assert!(Instant::now() < deadline, "the revocations are never stored");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_not_stored<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::NotStored))
}

/// Removes a member while nothing can be written.
async fn leaves_the_staff(store: &Arc<dyn Store>, of: &str) {
    let left = store.remove_member(&group("staff"), &subject(of), row(AuditEvent::GroupMemberRemoved, START)).await;
    assert!(is_not_stored(&left), "{left:?}");
    assert!(store.groups_of(&tenant(), &subject(of)).await.unwrap().is_empty());
}

#[test]
fn rv_05_what_ends_access_is_in_force_while_nothing_can_be_written_and_is_stored_later() {
    on_a_failing_disk("rv_05_what_ends_access_is_in_force_while_nothing_can_be_written_and_is_stored_later", |disk| {
        let (lock, store, told) = open_of_server(&disk);
        wait(async {
            settle(&store).await;
            for name in ["one", "two", "three"] {
                grant(&store, name, START).await;
            }
            issue(&store, code("code", START)).await;
            store.add_member(&group("staff"), &subject("bob"), audit(AuditEvent::GroupMemberAdded)).await.unwrap();
            let before = store.newest_change().await.unwrap();
            disk.start("enospc", 0);
            let revoked = || row(AuditEvent::GrantRevoked, START);
            let answer = store.revoke_grant(grant_id("one"), revoked()).await;
            assert!(is_not_stored(&answer), "{answer:?}");
            assert_eq!(*told.lock().unwrap(), [Change::GrantRevoked(tenant(), grant_id("one"))]);
            assert!(!is_live(&store, "one token", START).await && is_live(&store, "two token", START).await);
            let page = store.live_access_tokens(0, 100, START).await.unwrap().0;
            assert!(page.iter().all(|token| token.grant != grant_id("one")) && page.len() == 2);
            // A second call is not stored either: a restart would still lose the revocation.
            assert!(is_not_stored(&store.revoke_grant(grant_id("one"), revoked()).await));
            assert!(is_not_stored(&store.revoke_access_token(&hash("two token"), revoked()).await));
            assert!(!is_live(&store, "two token", START).await);
            let off = row(AuditEvent::AccountDisabled, START);
            let answer = store.set_account_disabled(&subject("alice"), true, off).await;
            assert!(is_not_stored(&answer), "{answer:?}");
            let account = store.find_account(&tenant(), &subject("alice")).await.unwrap().unwrap();
            assert_eq!(account.status, AccountStatus::Disabled);
            assert!(store.find_code(&tenant(), &hash("code")).await.unwrap().is_none());
            leaves_the_staff(&store, "bob").await;
            assert!(store.append_audit(revoked()).await.is_err(), "all other writes fail");
            assert_eq!(store.stats().unstored, 4);
            assert_eq!(changes(&store, &before).await, [], "the change log holds stored changes only");

            // Other readers of the file see the stored state, and do not wait.
            let began = Instant::now();
            let beside = open_store(&disk.file);
            assert!(is_live(&beside, "one token", START).await);
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
            // Other writers are refused: the revocations that are stored later are older than their writes.
            // The server retries every second; writers are refused between its attempts, too.
            let until = Instant::now() + Duration::from_millis(2500);
            while Instant::now() < until {
                let refused = beside.append_audit(revoked()).await;
                assert!(is_told(&refused, "a running server holds revocations that are not stored yet"), "{refused:?}");
            }
            disk.stop("enospc");
            until_stored(&store);
            let kinds = changes(&store, &before).await;
            assert_eq!(kinds, *told.lock().unwrap(), "the change log matches the announced changes");
            drop(beside);
            assert_eq!(store.revoke_grant(grant_id("one"), revoked()).await.unwrap(), Update::NotFound);
            let refreshed = store.rotate_refresh_token(rotate("three", 0, "t", START)).await.unwrap();
            assert!(matches!(refreshed, Rotation::Refused(_)), "{refreshed:?}");
            drop((store, lock));
            let again = open_store(&disk.file);
            assert!(!is_live(&again, "one token", START).await && !is_live(&again, "two token", START).await);
            let account = again.find_account(&tenant(), &subject("alice")).await.unwrap().unwrap();
            assert_eq!(account.status, AccountStatus::Disabled);
            assert_eq!(again.check().await.unwrap(), Vec::<String>::new());
            let rows = events(&again, 0).await;
            let [revoked, off] = [AuditEvent::GrantRevoked, AuditEvent::AccountDisabled];
            assert!(rows.ends_with(&[revoked, revoked, off, AuditEvent::GroupMemberRemoved]));
        });
    });
}

#[test]
fn rv_05_what_is_used_a_second_time_ends_its_grant_while_nothing_can_be_written() {
    on_a_failing_disk("rv_05_what_is_used_a_second_time_ends_its_grant_while_nothing_can_be_written", |disk| {
        let (lock, store, told) = open_of_server(&disk);
        let (late, names) = (START.plus(HOUR), ["code", "refresh", "void"]);
        wait(async {
            settle(&store).await;
            for name in names.into_iter().chain(["other"]) {
                grant(&store, name, START).await;
            }
            for generation in 0..2 {
                rotated(store.rotate_refresh_token(rotate("refresh", generation, "t", late)).await.unwrap());
            }
            let mut lost = rotate("void", 0, "lost", START);
            lost.access.lifetime = DAY;
            rotated(store.rotate_refresh_token(lost).await.unwrap());
            report_unused(&store, "void", 1).await;
            let retried = store.rotate_refresh_token(rotate("void", 0, "second", late)).await.unwrap();
            assert!(matches!(retried, Rotation::RetriedLate(..)), "{retried:?}");
            issue(&store, code("unused", START)).await;
            let (before, rows_before) = (store.newest_change().await.unwrap(), store.newest_audit().await.unwrap());
            let report = UseReport { presented: vec![(tenant(), hash("lost"))], issued: Vec::new(), now: late };

            disk.start("enospc", 0);
            let replay = || store.redeem_code(redeem("code", "x", late));
            let answer = replay().await;
            assert!(matches!(answer, Ok(Redemption::Replayed(Some(id))) if id == grant_id("code")), "{answer:?}");
            let reuse = || store.rotate_refresh_token(rotate("refresh", 0, "x", late));
            let answer = reuse().await;
            assert!(matches!(answer, Ok(Rotation::Reused(id)) if id == grant_id("refresh")), "{answer:?}");
            let recorded = store.record_uses(report.clone()).await.unwrap();
            assert_eq!(recorded.ended, [(tenant(), grant_id("void"))]);
            assert!(matches!(recorded.unwritten, Some(StoreError::Unavailable(_))), "the caller must report it again");
            assert_eq!(*told.lock().unwrap(), names.map(|name| Change::GrantRevoked(tenant(), grant_id(name))));
            for (token, stands) in [("code token", false), ("t", false), ("second", false), ("other token", true)] {
                assert_eq!(is_live(&store, token, START).await, stands, "{token}");
            }
            // Repeated calls, and calls that end nothing, fail like every write.
            assert!(replay().await.is_err() && reuse().await.is_err() && store.record_uses(report).await.is_err());
            assert!(store.redeem_code(redeem("unused", "x", START)).await.is_err());
            assert!(store.rotate_refresh_token(rotate("other", 0, "x", START)).await.is_err());
            assert_eq!((store.stats().unstored, told.lock().unwrap().len()), (3, 3));

            disk.stop("enospc");
            until_stored(&store);
            let kinds = changes(&store, &before).await;
            assert_eq!(kinds, *told.lock().unwrap(), "the change log matches the announced changes");
            let rows = events(&store, rows_before).await;
            assert_eq!(rows, [AuditEvent::CodeReplayed, AuditEvent::RefreshReused, AuditEvent::RefreshReused]);
            drop((store, lock));
            let again = open_store(&disk.file);
            for name in names {
                let grant = again.find_grant(&tenant(), grant_id(name)).await.unwrap().unwrap();
                assert!(grant.revoked_at.is_some(), "{name}");
            }
            let redeemed = again.redeem_code(redeem("unused", "x", START)).await.unwrap();
            assert!(matches!(redeemed, Redemption::Redeemed(..)), "{redeemed:?}");
        });
    });
}

#[test]
fn rv_05_a_write_that_follows_comes_after_what_is_in_force() {
    on_a_failing_disk("rv_05_a_write_that_follows_comes_after_what_is_in_force", |disk| {
        let (_lock, store, _) = open_of_server(&disk);
        wait(async {
            settle(&store).await;
            for family in ["one", "two", "three"] {
                grant(&store, family, START).await;
                disk.start("enospc", 0);
                let revoked = row(AuditEvent::GrantRevoked, START);
                assert!(is_not_stored(&store.revoke_grant(grant_id(family), revoked).await));
                disk.stop("enospc");
                let refreshed = loop {
                    assert!(!is_live(&store, &format!("{family} token"), START).await);
                    match store.rotate_refresh_token(rotate(family, 0, "t", START)).await {
                        Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
                        Ok(refreshed) => break refreshed,
                    }
                };
                assert!(matches!(refreshed, Rotation::Refused(_)), "{refreshed:?}");
            }
        });
    });
}

#[test]
fn rv_05_what_was_not_stored_is_forgotten_by_a_restart_and_more_than_there_is_room_for_is_refused() {
    let name = "rv_05_what_was_not_stored_is_forgotten_by_a_restart_and_more_than_there_is_room_for_is_refused";
    on_a_failing_disk(name, |disk| {
        let (lock, store, _) = open_of_server(&disk);
        wait(async {
            settle(&store).await;
            for name in ["g1", "g2"] {
                grant(&store, name, START).await;
            }
            let revoke = async |store: &Arc<dyn Store>, name: &str| {
                store.revoke_grant(grant_id(name), row(AuditEvent::GrantRevoked, START)).await
            };
            let operator =
                AuditRow { actor: Some(AuditRow::OPERATOR.to_owned()), ..row(AuditEvent::AccountDisabled, START) };
            let fill = async |row: &AuditRow, places: usize| {
                for n in 0..places {
                    let answer = store.set_account_disabled(&subject("bob"), true, row.clone()).await;
                    assert!(is_not_stored(&answer), "{n}: {answer:?}");
                }
                let answer = store.set_account_disabled(&subject("bob"), true, row.clone()).await;
                assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
            };
            disk.start("enospc", 0);
            assert!(is_not_stored(&revoke(&store, "g1").await));
            // Limits: 64 per account, 768 for all accounts; the rest is for operators.
            fill(&row(AuditEvent::AccountDisabled, START), 63).await;
            for n in 1..12 {
                let of = Some(subject(&format!("account{n}")));
                fill(&AuditRow { subject: of, ..row(AuditEvent::AccountDisabled, START) }, 64).await;
            }
            let of = Some(subject("account12"));
            fill(&AuditRow { subject: of, ..row(AuditEvent::AccountDisabled, START) }, 0).await;
            fill(&operator, 1024 - 768).await;
            let last = revoke(&store, "g2").await;
            assert!(matches!(last, Err(StoreError::Unavailable(_))), "{last:?}");
            assert!(is_live(&store, "g2 token", START).await && !is_live(&store, "g1 token", START).await);
            // A command keeps nothing, because it exits at once.
            let beside = open_store(&disk.file);
            let refused = revoke(&beside, "g2").await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
            drop((beside, store, lock));
            disk.stop("enospc");
            assert!(is_live(&open_store(&disk.file), "g1 token", START).await);

            // If there is space again when the process exits, it stores the revocation.
            let (lock, store, _) = open_of_server(&disk);
            disk.start("enospc", 0);
            assert!(is_not_stored(&revoke(&store, "g1").await));
            disk.stop("enospc");
            drop((store, lock));
            assert!(!is_live(&open_store(&disk.file), "g1 token", START).await);
        });
    });
}

#[test]
fn st_06_after_a_failed_flush_nothing_is_written_until_a_restart() {
    on_a_failing_disk("st_06_after_a_failed_flush_nothing_is_written_until_a_restart", |disk| {
        let store = open_store(&disk.file);
        wait(async {
            settle(&store).await;
            grant(&store, "g", START).await;
            disk.start("eio", 0);
            let failed = store.rotate_refresh_token(rotate("g", 0, "t", START)).await;
            assert!(failed.is_err(), "{failed:?}");
            disk.stop("eio");
            // The flush would succeed now, but the lost data would not come back.
            for _ in 0..3 {
                let refused = store.append_audit(row(AuditEvent::LoginFailed, START)).await;
                assert!(is_told(&refused, "until a restart"), "{refused:?}");
            }
            assert!(is_live(&store, "g token", START).await, "reads still work");
            drop(store);
            let again: Arc<dyn Store> = open_store(&disk.file);
            assert_eq!(again.check().await.unwrap(), Vec::<String>::new());
            assert!(is_live(&again, "g token", START).await);
            again.append_audit(row(AuditEvent::LoginFailed, START)).await.unwrap();
        });
    });
}

#[test]
fn st_07_a_read_only_disk_is_told() {
    on_a_failing_disk("st_07_a_read_only_disk_is_told", |disk| {
        drop(open_store(&disk.file));
        disk.start("erofs", 0);
        let refused = EmbeddedStore::open(&disk.file, None, START).map(drop);
        assert!(is_told(&refused, "ead-only"), "{refused:?}");
        disk.stop("erofs");
        drop(open_store(&disk.file));
    });
}
