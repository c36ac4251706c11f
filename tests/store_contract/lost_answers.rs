//! Lost answers to a refresh: the mark of the first use, late retries, and the tokens that they void.

use std::sync::Arc;

use mcpgate::oauth::{FirstUse, Grant, Lifetime, RefreshRefusal, Timestamp};
use mcpgate::store::{AuditEvent, AuditFilter, Change, Rotation, Store, Update, UseReport};

use crate::world::*;

crate::on_every_store! {
    rt_02_a_mark_is_written_once_and_only_for_the_live_generation,
    rt_02_a_late_retry_gets_the_live_generation_while_nothing_of_it_was_used,
    rt_02_a_used_access_token_makes_a_late_retry_reuse,
    rt_02_what_nobody_reported_on_is_refused_and_the_family_stands,
    rt_02_a_void_token_ends_the_family_when_it_is_presented,
    rt_02_a_void_token_goes_with_its_family_and_at_its_end,
    rt_04_a_late_retry_begins_the_grace_again,
    a_late_retry_leaves_the_tokens_of_other_generations_alone,
    a_token_that_its_client_revoked_counts_as_used,
    a_report_of_many_is_about_each_of_them,
    a_disabled_client_gets_no_late_retry,
}

/// After the grace of the first tokens, and within the time for lost answers.
const LATE: Timestamp = START.plus(HOUR);

async fn mark(store: &Arc<dyn Store>) -> FirstUse {
    stored(store).await.first_use
}

async fn stored(store: &Arc<dyn Store>) -> Grant {
    store.find_grant(&tenant(), grant_id("g")).await.unwrap().unwrap()
}

/// A family that was refreshed once; its access token `lost` was never used.
async fn lost_answer(store: &Arc<dyn Store>) {
    settle(store).await;
    grant(store, "g", START).await;
    let mut request = rotate("g", 0, "lost", START);
    request.access.lifetime = DAY;
    rotated(store.rotate_refresh_token(request).await.unwrap());
    report_unused(store, "g", 1).await;
}

async fn retry_late(store: &Arc<dyn Store>, token: &str, at: Timestamp) -> Vec<mcpgate::oauth::TokenHash> {
    let answer = store.rotate_refresh_token(rotate("g", 0, token, at)).await.unwrap();
    let Rotation::RetriedLate(grant, record, void) = answer else { panic!("{answer:?}") };
    assert_eq!((grant.generation, grant.rotated_at, grant.retried_at), (1, START, Some(at)));
    assert_eq!(store.find_access_token(&tenant(), &hash(token), at).await.unwrap(), Some(*record));
    assert_eq!(stored(store).await, *grant);
    void
}

async fn is_void(store: &Arc<dyn Store>, token: &str, at: Timestamp) -> bool {
    store.find_void_tokens(&[(tenant(), hash(token))], at).await.unwrap() == [true]
}

async fn rt_02_a_mark_is_written_once_and_only_for_the_live_generation(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    // The first generation has no predecessor.
    present(&store, "g token", START).await;
    assert_eq!(mark(&store).await, FirstUse::Unknown);
    rotated(store.rotate_refresh_token(rotate("g", 0, "t1", START)).await.unwrap());
    let reports_use = async |token| {
        let found = store.find_access_token(&tenant(), &hash(token), START).await.unwrap().unwrap();
        found.reports_use
    };
    for token in ["unknown", "g token"] {
        present(&store, token, START).await;
    }
    report_unused(&store, "g", 0).await;
    report_unused(&store, "g", 2).await;
    assert_eq!(mark(&store).await, FirstUse::Unknown, "none of these is about the live generation");
    assert!(reports_use("t1").await && !reports_use("g token").await);
    report_unused(&store, "g", 1).await;
    assert_eq!(mark(&store).await, FirstUse::Unused);
    assert!(reports_use("t1").await);
    for _ in 0..2 {
        present(&store, "t1", START).await;
        report_unused(&store, "g", 1).await;
        assert_eq!(mark(&store).await, FirstUse::Used);
        assert!(!reports_use("t1").await, "the use is already recorded");
    }
    rotated(store.rotate_refresh_token(rotate("g", 1, "t2", START)).await.unwrap());
    present(&store, "t1", START).await;
    assert_eq!(mark(&store).await, FirstUse::Unknown, "a late report is not about the next generation");
}

async fn rt_02_a_late_retry_gets_the_live_generation_while_nothing_of_it_was_used(store: Arc<dyn Store>) {
    lost_answer(&store).await;
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    // The answer is lost twice more; each retry voids the tokens of the lost answer.
    assert_eq!(retry_late(&store, "second", LATE).await, [hash("lost")]);
    report_unused(&store, "g", 1).await;
    let later = LATE.plus(MINUTE);
    assert_eq!(retry_late(&store, "third", later).await, [hash("second")]);
    for token in ["lost", "second"] {
        assert!(!is_live(&store, token, later).await && is_void(&store, token, later).await, "{token}");
    }
    assert!(is_live(&store, "third", later).await && !is_void(&store, "third", later).await);
    assert!(!is_void(&store, "never issued", later).await);
    let expected = ["lost", "second"].map(|token| Change::AccessTokenRevoked(tenant(), hash(token)));
    let told = changes(&store, &change).await;
    assert_eq!(told, expected);
    let rows = store.audit_after(&AuditFilter::default(), audit, 10).await.unwrap().rows;
    assert_eq!(rows.len(), 2);
    for (_, row) in rows {
        assert_eq!((row.event, row.reason.as_deref()), (AuditEvent::TokenRefreshed, Some("lost_answer")));
    }
    // The time counts from the rotation, not from the retries.
    report_unused(&store, "g", 1).await;
    let over = START.plus(DAY).plus(Lifetime::from_millis(1));
    let reused = store.rotate_refresh_token(rotate("g", 0, "x", over)).await.unwrap();
    assert!(matches!(reused, Rotation::Reused(_)), "{reused:?}");
}

async fn rt_02_a_used_access_token_makes_a_late_retry_reuse(store: Arc<dyn Store>) {
    lost_answer(&store).await;
    retry_late(&store, "second", LATE).await;
    report_unused(&store, "g", 1).await;
    assert_eq!(present(&store, "second", LATE).await, []);
    let reused = store.rotate_refresh_token(rotate("g", 0, "x", LATE.plus(MINUTE))).await.unwrap();
    assert!(matches!(reused, Rotation::Reused(id) if id == grant_id("g")), "{reused:?}");
    assert!(!is_live(&store, "second", LATE).await && !is_void(&store, "lost", LATE).await);
}

async fn rt_02_what_nobody_reported_on_is_refused_and_the_family_stands(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    rotated(store.rotate_refresh_token(rotate("g", 0, "t1", START)).await.unwrap());
    let before = stored(&store).await;
    let doubted = store.rotate_refresh_token(rotate("g", 0, "x", LATE)).await.unwrap();
    assert!(matches!(doubted, Rotation::Refused(RefreshRefusal::InDoubt)), "{doubted:?}");
    assert_eq!(stored(&store).await, before);
    // The holder of the successor can continue.
    rotated(store.rotate_refresh_token(rotate("g", 1, "t2", LATE)).await.unwrap());
    // A late retry returns the same successor, and needs a report of its own.
    report_unused(&store, "g", 2).await;
    let answer = store.rotate_refresh_token(rotate("g", 1, "t3", LATE.plus(HOUR))).await.unwrap();
    assert!(matches!(answer, Rotation::RetriedLate(..)), "{answer:?}");
    let doubted = store.rotate_refresh_token(rotate("g", 1, "x", LATE.plus(HOUR).plus(MINUTE))).await.unwrap();
    assert!(matches!(doubted, Rotation::Refused(RefreshRefusal::InDoubt)), "{doubted:?}");
}

async fn rt_02_a_void_token_ends_the_family_when_it_is_presented(store: Arc<dyn Store>) {
    lost_answer(&store).await;
    retry_late(&store, "second", LATE).await;
    // The client that retried has rotated again; another party still holds the token of the lost answer.
    rotated(store.rotate_refresh_token(rotate("g", 1, "t2", LATE.plus(MINUTE))).await.unwrap());
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    assert_eq!(present(&store, "lost", LATE.plus(MINUTE)).await, [grant_id("g")]);
    assert_eq!(present(&store, "lost", LATE.plus(MINUTE)).await, [], "once");
    assert!(stored(&store).await.revoked_at.is_some() && !is_live(&store, "t2", LATE).await);
    let rows = store.audit_after(&AuditFilter::default(), audit, 10).await.unwrap().rows;
    let [(_, row)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.event, row.reason.as_deref()), (AuditEvent::RefreshReused, Some("void_access_token")));
    assert_eq!((row.subject.clone(), row.client.clone()), (Some(subject("alice")), Some(client_id("app"))));
    let told = changes(&store, &change).await;
    assert_eq!(told[0], Change::GrantRevoked(tenant(), grant_id("g")));
}

async fn rt_02_a_void_token_goes_with_its_family_and_at_its_end(store: Arc<dyn Store>) {
    lost_answer(&store).await;
    retry_late(&store, "second", LATE).await;
    let end = START.plus(DAY);
    assert!(!is_void(&store, "lost", end).await, "an expired token is not void");
    assert_eq!(present(&store, "lost", end).await, []);
    store.sweep(end, DAY).await.unwrap();
    assert!(!is_void(&store, "lost", LATE).await);
    report_unused(&store, "g", 1).await;
    retry_late(&store, "third", LATE.plus(HOUR)).await;
    store.revoke_grant(grant_id("g"), row(AuditEvent::GrantRevoked, LATE)).await.unwrap();
    assert!(!is_void(&store, "second", LATE).await);
}

async fn rt_04_a_late_retry_begins_the_grace_again(store: Arc<dyn Store>) {
    lost_answer(&store).await;
    retry_late(&store, "first process", LATE).await;
    present(&store, "first process", LATE).await;
    let grace = LATE.plus(GRACE);
    for token in ["second process", "third process"] {
        let retried = store.rotate_refresh_token(rotate("g", 0, token, grace)).await.unwrap();
        assert!(matches!(retried, Rotation::Retried(..)), "{retried:?}");
    }
    for token in ["first process", "second process", "third process"] {
        assert!(is_live(&store, token, grace).await, "{token}");
    }
    let over = grace.plus(Lifetime::from_millis(1));
    let reused = store.rotate_refresh_token(rotate("g", 0, "x", over)).await.unwrap();
    assert!(matches!(reused, Rotation::Reused(_)), "{reused:?}");
}

async fn a_late_retry_leaves_the_tokens_of_other_generations_alone(store: Arc<dyn Store>) {
    settle(&store).await;
    let (_, own) = grant(&store, "g", START).await;
    grant(&store, "other", START).await;
    rotated(store.rotate_refresh_token(rotate("other", 0, "of another", START)).await.unwrap());
    rotated(store.rotate_refresh_token(rotate("g", 0, "lost", START)).await.unwrap());
    report_unused(&store, "g", 1).await;
    let late = START.plus(MINUTE);
    assert_eq!(retry_late(&store, "second", late).await, [hash("lost")]);
    // The client that retries holds its earlier token itself, and another of its processes may be using it.
    assert!(store.find_access_token(&tenant(), &own.hash, late).await.unwrap().is_some());
    assert!(is_live(&store, "of another", late).await);
}

async fn a_token_that_its_client_revoked_counts_as_used(store: Arc<dyn Store>) {
    lost_answer(&store).await;
    let revoked = store.revoke_access_token(&hash("lost"), row(AuditEvent::TokenRevoked, START)).await;
    assert_eq!(revoked.unwrap(), Update::Done);
    let reused = store.rotate_refresh_token(rotate("g", 0, "x", LATE)).await.unwrap();
    assert!(matches!(reused, Rotation::Reused(_)), "{reused:?}");
}

async fn a_report_of_many_is_about_each_of_them(store: Arc<dyn Store>) {
    settle(&store).await;
    let names: Vec<_> = (0..20).map(|n| format!("family {n}")).collect();
    let mut report = UseReport { now: START, ..UseReport::default() };
    for (n, name) in names.iter().enumerate() {
        grant(&store, name, START).await;
        rotated(store.rotate_refresh_token(rotate(name, 0, &format!("{name} t1"), START)).await.unwrap());
        report.issued.push((tenant(), grant_id(name), 1));
        if n % 2 == 0 {
            report.presented.push((tenant(), hash(&format!("{name} t1"))));
        }
    }
    store.record_uses(report).await.unwrap();
    for (n, name) in names.iter().enumerate() {
        let found = store.find_grant(&tenant(), grant_id(name)).await.unwrap().unwrap();
        let expected = if n % 2 == 0 { FirstUse::Used } else { FirstUse::Unused };
        assert_eq!(found.first_use, expected, "{name}");
    }
}

async fn a_disabled_client_gets_no_late_retry(store: Arc<dyn Store>) {
    lost_answer(&store).await;
    let app = client_id("app");
    store.set_client_disabled(&app, true, row(AuditEvent::ClientDisabled, START)).await.unwrap();
    let refused = store.rotate_refresh_token(rotate("g", 0, "x", LATE)).await.unwrap();
    assert!(matches!(refused, Rotation::Refused(RefreshRefusal::Dead)), "{refused:?}");
}
