//! A full disk, a disk that cannot flush, a disk that cannot be written: told, survived, nothing lost. `faults.c`
//! is preloaded into a child process, which runs the test itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mcpgate::store::embedded::EmbeddedStore;
use mcpgate::store::{AuditEvent, Redemption, Store, StoreError};

use super::open_store;
use crate::wait;
use crate::world::*;

const FAULTS: &str = "MCPGATE_TEST_FAULTS";

/// A folder for the store and one for the faults that are on.
struct Disk {
    faults: PathBuf,
    file: PathBuf,
}

impl Disk {
    fn start(&self, fault: &str, budget: usize) {
        // Under another name first: what is written by the process itself must not be counted.
        let unnamed = self.faults.join("next");
        std::fs::write(&unnamed, format!("{budget:<12}")).unwrap();
        std::fs::rename(unnamed, self.faults.join(fault)).unwrap();
    }

    fn stop(&self, fault: &str) {
        std::fs::remove_file(self.faults.join(fault)).unwrap();
    }
}

/// Runs the test named `name` in a child process whose disk can be made to fail.
fn on_a_failing_disk(name: &str, test: impl FnOnce(Disk)) {
    if let Some(faults) = std::env::var_os(FAULTS) {
        let faults = PathBuf::from(faults);
        return test(Disk { file: faults.with_file_name("data").join("mcpgate.db"), faults });
    }
    let folder = tempfile::tempdir().unwrap();
    let (faults, shim) = (folder.path().join("faults"), folder.path().join("faults.so"));
    std::fs::create_dir(&faults).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store_contract/embedded/faults.c");
    // The compiler that SQLite itself was built with.
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&shim, &source]).arg("-ldl").status();
    assert!(built.unwrap().success());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("embedded::disk::{name}"), "--nocapture"])
        .env("LD_PRELOAD", &shim)
        .env(FAULTS, &faults)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "the child ran the test: {text}");
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
            // The flush would succeed now, but the data that it lost would not come back.
            for _ in 0..3 {
                let refused = store.append_audit(row(AuditEvent::LoginFailed, START)).await;
                assert!(is_told(&refused, "until a restart"), "{refused:?}");
            }
            assert!(is_live(&store, "g token", START).await, "reading goes on");
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
