//! A failed write rolls back its whole operation, and only that; a lock that is held too long is reported in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpgate::oauth::FirstUse;
use mcpgate::store::{AuditEvent, Redemption, Rotation, StoreError, Update, UseReport};

use super::{Opened, opened, state};
use crate::wait;
use crate::world::*;

/// Makes every write of a kind to a table fail, as a broken disk or a bug would.
fn fail(opened: &Opened, write: &str) {
    let (operation, table) = write.split_once(' ').unwrap();
    let trigger = format!("CREATE TRIGGER fault BEFORE {operation} ON {table} BEGIN SELECT RAISE(ABORT, 'fault'); END");
    opened.other.execute_batch(&trigger).unwrap();
}

fn mend(opened: &Opened) {
    opened.other.execute_batch("DROP TRIGGER fault").unwrap();
}

#[test]
fn cr_11_a_failure_at_any_write_of_the_redemption_leaves_the_code_usable() {
    for write in ["INSERT grants", "UPDATE code", "INSERT access_token", "UPDATE client", "INSERT audit"] {
        let opened = opened();
        wait(async {
            let store = &opened.store;
            settle(store).await;
            issue(store, code("c", START)).await;
            let (before, audit) = (state(&opened.other), store.newest_audit().await.unwrap());
            fail(&opened, write);
            let failed = store.redeem_code(redeem("c", "t", START)).await;
            assert!(failed.is_err(), "{write}: {failed:?}");
            mend(&opened);
            assert_eq!(state(&opened.other), before, "{write}");
            assert_eq!(store.newest_audit().await.unwrap(), audit, "{write}");
            let redeemed = store.redeem_code(redeem("c", "t", START)).await.unwrap();
            assert!(matches!(redeemed, Redemption::Redeemed(..)), "{write}: {redeemed:?}");
        });
    }
}

#[test]
fn cr_11_a_failure_at_any_write_of_a_replay_leaves_it_recognisable() {
    for write in ["UPDATE grants", "DELETE access_token", "INSERT change_log", "INSERT audit"] {
        let opened = opened();
        wait(async {
            let store = &opened.store;
            settle(store).await;
            grant(store, "c", START).await;
            let before = state(&opened.other);
            fail(&opened, write);
            assert!(store.redeem_code(redeem("c", "t", START)).await.is_err(), "{write}");
            mend(&opened);
            assert_eq!(state(&opened.other), before, "{write}");
            let replayed = store.redeem_code(redeem("c", "t", START)).await.unwrap();
            assert!(matches!(replayed, Redemption::Replayed(Some(_))), "{write}: {replayed:?}");
            assert!(!is_live(store, "c token", START).await);
        });
    }
}

#[test]
fn rt_11_a_failure_at_any_write_of_the_rotation_leaves_the_old_token_usable() {
    for write in ["UPDATE grants", "INSERT access_token", "UPDATE client", "INSERT audit"] {
        let opened = opened();
        wait(async {
            let store = &opened.store;
            settle(store).await;
            grant(store, "g", START).await;
            let later = START.plus(HOUR);
            let before = state(&opened.other);
            fail(&opened, write);
            assert!(store.rotate_refresh_token(rotate("g", 0, "t", later)).await.is_err(), "{write}");
            mend(&opened);
            assert_eq!(state(&opened.other), before, "{write}");
            let (live, _) = rotated(store.rotate_refresh_token(rotate("g", 0, "t", later)).await.unwrap());
            assert_eq!(live.generation, 1, "one live leaf");
        });
    }
}

#[test]
fn rt_11_a_failure_at_any_write_of_a_reuse_leaves_it_recognisable() {
    for write in ["UPDATE grants", "DELETE access_token", "INSERT change_log", "INSERT audit"] {
        let opened = opened();
        wait(async {
            let store = &opened.store;
            settle(store).await;
            grant(store, "g", START).await;
            rotated(store.rotate_refresh_token(rotate("g", 0, "t", START)).await.unwrap());
            present(store, "t", START).await;
            let later = START.plus(HOUR);
            let before = state(&opened.other);
            fail(&opened, write);
            assert!(store.rotate_refresh_token(rotate("g", 0, "x", later)).await.is_err(), "{write}");
            mend(&opened);
            assert_eq!(state(&opened.other), before, "{write}");
            let reused = store.rotate_refresh_token(rotate("g", 0, "x", later)).await.unwrap();
            assert!(matches!(reused, Rotation::Reused(_)), "{write}: {reused:?}");
        });
    }
}

#[test]
fn rt_11_a_failure_at_any_write_of_a_late_retry_leaves_it_possible() {
    for write in [
        "DELETE access_token",
        "INSERT void_token",
        "INSERT change_log",
        "UPDATE grants",
        "INSERT access_token",
        "INSERT audit",
    ] {
        let opened = opened();
        wait(async {
            let store = &opened.store;
            settle(store).await;
            grant(store, "g", START).await;
            rotated(store.rotate_refresh_token(rotate("g", 0, "lost", START)).await.unwrap());
            report_unused(store, "g", 1).await;
            let later = START.plus(MINUTE);
            let before = state(&opened.other);
            fail(&opened, write);
            assert!(store.rotate_refresh_token(rotate("g", 0, "t", later)).await.is_err(), "{write}");
            mend(&opened);
            assert_eq!(state(&opened.other), before, "{write}");
            let retried = store.rotate_refresh_token(rotate("g", 0, "t", later)).await.unwrap();
            assert!(matches!(retried, Rotation::RetriedLate(..)), "{write}: {retried:?}");
        });
    }
}

#[test]
fn a_damaged_grant_keeps_nobody_elses_mark_from_being_written_and_no_token_from_being_revoked() {
    let opened = opened();
    wait(async {
        let store = &opened.store;
        settle(store).await;
        for name in ["broken", "whole"] {
            grant(store, name, START).await;
            rotated(store.rotate_refresh_token(rotate(name, 0, &format!("{name} t1"), START)).await.unwrap());
        }
        opened.other.execute("UPDATE grants SET seal = seal + 1 WHERE no = 1", []).unwrap();
        let presented = ["broken t1", "whole t1"].map(|token| (tenant(), hash(token))).to_vec();
        let issued = ["broken", "whole"].map(|name| (tenant(), grant_id(name), 1)).to_vec();
        store.record_uses(UseReport { presented, issued, now: START }).await.unwrap();
        let whole = store.find_grant(&tenant(), grant_id("whole")).await.unwrap().unwrap();
        assert_eq!(whole.first_use, FirstUse::Used);
        let audit = row(AuditEvent::TokenRevoked, START);
        let revoked = store.revoke_access_token(&hash("broken t1"), audit).await;
        assert_eq!(revoked.unwrap(), Update::Done);
    });
}

#[test]
fn a_deed_without_its_audit_row_does_not_happen() {
    let opened = opened();
    wait(async {
        let store = &opened.store;
        settle(store).await;
        grant(store, "g", START).await;
        issue(store, code("c", START)).await;
        let page = interaction("page", START);
        store.put_ephemeral(page.clone(), PENDING).await.unwrap();
        let (before, row) = (state(&opened.other), || row(AuditEvent::GrantRevoked, START));
        fail(&opened, "INSERT audit");
        let (alice, app) = (subject("alice"), client_id("app"));
        assert!(store.insert_code(code("d", START), page.key.hash, Some(consent(START)), row()).await.is_err());
        assert!(store.revoke_grant(grant_id("g"), row()).await.is_err());
        assert!(store.revoke_access_token(&hash("g token"), row()).await.is_err());
        assert!(store.revoke_grants(&grants_of(Some(&alice), None), row()).await.is_err());
        assert!(store.set_client_disabled(&app, true, row()).await.is_err());
        assert!(store.delete_client(&app, row()).await.is_err());
        assert!(store.set_account_disabled(&alice, true, row()).await.is_err());
        assert!(store.set_password(&alice, new_password("$new", "alice", START), row()).await.is_err());
        assert!(store.insert_session(session("s", "alice", START), None, Some(START), row()).await.is_err());
        mend(&opened);
        assert_eq!(state(&opened.other), before);
    });
}

#[test]
fn one_failing_operation_does_not_harm_those_beside_it() {
    let opened = opened();
    opened
        .other
        .execute_batch(
            "CREATE TRIGGER fault BEFORE INSERT ON audit WHEN NEW.target = 'odd'
             BEGIN SELECT RAISE(ABORT, 'fault'); END",
        )
        .unwrap();
    wait(async {
        let operations = (0..200u64).map(|n| {
            let store = Arc::clone(&opened.store);
            let mut row = row(AuditEvent::LoginFailed, START);
            row.target = Some(if n % 2 == 1 { "odd" } else { "even" }.to_owned());
            async move { store.append_audit(row).await }
        });
        let answers = futures_util::future::join_all(operations).await;
        for (n, answer) in answers.iter().enumerate() {
            assert_eq!(answer.is_ok(), n % 2 == 0, "{n}: {answer:?}");
        }
        assert_eq!(opened.store.newest_audit().await.unwrap(), 100);
        let stats = opened.store.stats();
        assert!(stats.commits < 200, "they did not share transactions: {stats:?}");
        assert_eq!(stats.failures, 100);
    });
}

#[test]
fn a_lock_held_too_long_is_told_in_time_and_reading_goes_on() {
    let opened = opened();
    wait(async {
        let store = &opened.store;
        settle(store).await;
        grant(store, "g", START).await;
        opened.other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let began = Instant::now();
        let refused = store.rotate_refresh_token(rotate("g", 0, "t", START)).await;
        assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("locked")), "{refused:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(is_live(store, "g token", START).await);
        opened.other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(store.sweep(START, DAY).await.unwrap(), 0);
        assert!(store.stats().failing, "a sweep without work does not show that writes succeed");
        rotated(store.rotate_refresh_token(rotate("g", 0, "t", START)).await.unwrap());
        assert!(!store.stats().failing);
    });
}
