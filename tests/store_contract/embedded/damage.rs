//! Edited rows and flipped bytes: they cause an error or a refusal, never a different answer.

use std::path::Path;
use std::sync::Arc;

use mcpgate::oauth::{Client, CodeRefusal};
use mcpgate::store::{Account, AuditEvent, EmbeddedStore, Redemption, RotateRefresh, Rotation, Store, StoreError};

use super::opened;
use crate::quotas;
use crate::wait;
use crate::world::*;

#[test]
fn an_edited_code_is_never_honoured() {
    for edit in [
        "challenge = NULL",
        "challenge_method = 'plain'",
        "challenge = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'",
        "redirect_uri = 'https://evil.example/cb'",
        "scopes = 'read write admin'",
        "expires_at = expires_at + 3600000",
        "failures = 1",
    ] {
        let opened = opened();
        wait(async {
            settle(&opened.store).await;
            issue(&opened.store, code("c", START)).await;
            opened.other.execute_batch(&format!("UPDATE code SET {edit}")).unwrap();
            let mut request = redeem("c", "t", START);
            request.presented.redirect_uri = None;
            let before = opened.store.newest_audit().await.unwrap();
            let refused = opened.store.redeem_code(request).await.unwrap();
            assert!(matches!(refused, Redemption::Refused(CodeRefusal::Damaged)), "{edit}: {refused:?}");
            assert!(!is_live(&opened.store, "t", START).await);
            assert_eq!(opened.store.newest_audit().await.unwrap(), before, "{edit}: the caller records it");
            assert!(!opened.store.check().await.unwrap().is_empty(), "{edit}");
        });
    }
}

#[test]
fn an_edited_grant_or_token_is_an_error_and_the_others_go_on() {
    let opened = opened();
    wait(async {
        settle(&opened.store).await;
        for name in ["a", "b", "c"] {
            grant(&opened.store, name, START).await;
        }
        assert_eq!(opened.store.check().await.unwrap(), Vec::<String>::new());
        opened.other.execute_batch("UPDATE grants SET generation = 7 WHERE no = 1").unwrap();
        opened.other.execute_batch("UPDATE access_token SET expires_at = expires_at + 1 WHERE no = 2").unwrap();
        let edited = opened.store.rotate_refresh_token(rotate("a", 7, "x", START)).await;
        assert!(matches!(edited, Err(StoreError::Corrupt(_))), "{edited:?}");
        let edited = opened.store.find_access_token(&tenant(), &hash("b token"), START).await;
        assert!(matches!(edited, Err(StoreError::Corrupt(_))), "{edited:?}");
        let (live, _) = opened.store.live_access_tokens(0, 10, START).await.unwrap();
        let live: Vec<_> = live.into_iter().map(|token| token.hash).collect();
        assert_eq!(live, [hash("a token"), hash("c token")]);
        let problems = opened.store.check().await.unwrap();
        assert!(problems.iter().any(|p| p.contains("a grant does not match")), "{problems:?}");
        assert!(problems.iter().any(|p| p.contains("an access token does not match")), "{problems:?}");
    });
}

#[test]
fn an_edited_count_of_uses_begins_anew_and_the_others_go_on() {
    let opened = opened();
    wait(async {
        let (of, alice, bob) = (quotas::quota("a"), quotas::uses("alice", START, 5), quotas::uses("bob", START, 5));
        opened.store.add_quota_uses(&of, &[alice.clone(), bob.clone()]).await.unwrap();
        opened.other.execute_batch("UPDATE quota SET used = 1 WHERE holder = 'user alice'").unwrap();
        let problems = opened.store.check().await.unwrap();
        assert_eq!(problems, ["count of uses: the store is damaged: a count of uses does not match its seal"]);
        let found = opened.store.quota_uses(&of, START.midnight(), None, 9).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&bob));
        assert_eq!(opened.store.add_quota_uses(&of, &[alice, bob]).await.unwrap(), [5, 10]);
        assert_eq!(opened.store.check().await.unwrap(), Vec::<String>::new());
    });
}

/// Every answer of the store that decides about access; `None` where it refuses or fails.
async fn answers(store: &Arc<dyn Store>) -> Vec<Option<String>> {
    fn told<T: std::fmt::Debug>(answer: Result<Option<T>, StoreError>) -> Option<String> {
        answer.ok().flatten().map(|found| format!("{found:?}"))
    }
    let mut told_of = Vec::new();
    for n in 0..FAMILIES {
        let name = format!("g{n}");
        told_of.push(told(store.find_access_token(&tenant(), &hash(&format!("{name} token")), START).await));
        told_of.push(told(store.find_grant(&tenant(), grant_id(&name)).await));
        told_of.push(told(store.find_code(&tenant(), &hash(&name)).await.map(|c| c.filter(|c| c.challenge.is_some()))));
    }
    let client = store.find_client(&tenant(), &client_id("app")).await;
    told_of.push(told(client.map(|c| c.map(|c| Client { last_token_at: None, last_used_at: None, ..c }))));
    let account = store.find_account_by_name(&tenant(), &login_name("alice")).await.ok().flatten();
    told_of.push(account.map(|a| {
        let Account { subject, name, password, status, created_at, password_set_at, .. } = a;
        format!("{subject:?} {name} {password:?} {status:?} {created_at:?} {password_set_at:?}")
    }));
    told_of
}

const FAMILIES: usize = 12;

/// Flips one byte of the file and makes every query. A changed answer is a failure.
fn ask_damaged(intact: &[u8], position: usize, file: &Path, expected: &[Option<String>]) -> bool {
    let mut bytes = intact.to_vec();
    bytes[position] ^= 0xff;
    for beside in ["-wal", "-shm"] {
        let beside = file.with_file_name(format!("damaged.db{beside}"));
        if beside.exists() {
            std::fs::remove_file(beside).unwrap();
        }
    }
    std::fs::write(file, bytes).unwrap();
    let Ok(store) = EmbeddedStore::open(file, None, START) else { return true };
    let store: Arc<dyn Store> = Arc::new(store);
    wait(async {
        let answers = answers(&store).await;
        for (answer, expected) in answers.iter().zip(expected) {
            assert!(answer.is_none() || answer == expected, "byte {position}: {answer:?} instead of {expected:?}");
        }
        if let Ok((tokens, _)) = store.live_access_tokens(0, 1000, START).await {
            for token in tokens {
                let told = Some(format!("{token:?}"));
                assert!(expected.contains(&told), "byte {position}: {told:?}");
            }
        }
        // A revoked family must not come back, whichever byte is flipped.
        let request = RotateRefresh { grant: grant_id("revoked"), ..rotate("revoked", 0, "x", START) };
        let revived = store.rotate_refresh_token(request).await;
        assert!(!matches!(revived, Ok(Rotation::Rotated(..) | Rotation::Retried(..))), "byte {position}: {revived:?}");
        answers != expected
    })
}

#[test]
fn st_03_a_flipped_byte_never_changes_an_answer() {
    let opened = opened();
    let expected = wait(async {
        let store = &opened.store;
        settle(store).await;
        for n in 0..FAMILIES {
            grant(store, &format!("g{n}"), START).await;
        }
        grant(store, "revoked", START).await;
        let revoked = row(AuditEvent::GrantRevoked, START);
        store.revoke_grant(grant_id("revoked"), revoked).await.unwrap();
        answers(store).await
    });
    assert!(expected.iter().all(Option::is_some));
    drop(opened.store);
    opened.other.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let intact = std::fs::read(&opened.file).unwrap();
    drop(opened.other);
    let damaged = opened.file.with_file_name("damaged.db");
    // Rows fill a page from its end, the page header is at its beginning: sample both in each page.
    let mut noticed = 0;
    let mut state = 0x9e37_79b9_u32;
    let mut sampled = 0;
    for page in 0..intact.len() / 4096 {
        for sample in 0..10 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = (state >> 8) as usize;
            let within = if sample < 2 { random % 64 } else { 4096 - 1 - random % 1500 };
            sampled += 1;
            noticed += usize::from(ask_damaged(&intact, page * 4096 + within, &damaged, &expected));
        }
    }
    assert!(noticed > sampled / 20, "too few samples hit used bytes: {noticed} of {sampled}");
}
