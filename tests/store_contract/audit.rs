//! The audit trail: filters, retention, and the calls that write no row.

use std::sync::Arc;

use mcpgate::oauth::{AccountId, Lifetime, TenantId, Timestamp};
use mcpgate::store::{AuditEvent, AuditFilter, AuditPage, AuditRetention, AuditRow, Pruned, Store};

use crate::world::*;

crate::on_every_store! {
    rows_are_found_by_what_they_are_about,
    the_newest_rows_are_read_backwards,
    rows_since_a_moment_are_found_although_a_clock_was_set_back,
    old_rows_go_and_the_newest_stays,
    rows_beyond_the_bound_go_the_oldest_first,
    what_comes_by_the_thousand_does_not_push_out_what_people_did,
    pruning_is_told_once_it_has_removed_anything,
    there_is_no_row_where_nothing_was_revoked,
}

const EVERYTHING: AuditRetention = AuditRetention { since: None, max_bytes: u64::MAX };

async fn append(store: &Arc<dyn Store>, event: AuditEvent, at: Timestamp) {
    store.append_audit(AuditRow::new(at, tenant(), event)).await.unwrap();
}

/// Prunes until nothing is left to prune; returns the number of removed rows.
async fn prune(store: &Arc<dyn Store>, keep: AuditRetention) -> u64 {
    let mut gone = 0;
    loop {
        let Pruned { rows, more } = store.prune_audit(keep, None).await.unwrap();
        gone += rows;
        if !more {
            return gone;
        }
    }
}

async fn numbers(store: &Arc<dyn Store>, filter: &AuditFilter) -> Vec<u64> {
    let page = store.audit_after(filter, 0, 1000).await.unwrap();
    page.rows.into_iter().map(|(number, _)| number).collect()
}

async fn rows_are_found_by_what_they_are_about(store: Arc<dyn Store>) {
    let (alice, other) = (subject("alice"), TenantId::parse("other").unwrap());
    let at = |seconds| START.plus(Lifetime::from_secs(seconds));
    let blank = |event, seconds| AuditRow::new(at(seconds), tenant(), event);
    for row in [
        AuditRow { subject: Some(alice.clone()), ..blank(AuditEvent::LoginFailed, 1) },
        AuditRow { actor: Some("u-alice".to_owned()), ..blank(AuditEvent::LoggedOut, 2) },
        AuditRow { target: Some("u-alice".to_owned()), ..blank(AuditEvent::AccountAdded, 3) },
        AuditRow {
            subject: Some(subject("bob")),
            client: Some(client_id("app")),
            ..blank(AuditEvent::ConsentGiven, 4)
        },
        AuditRow { tenant: other.clone(), subject: Some(alice.clone()), ..blank(AuditEvent::LoginFailed, 5) },
        blank(AuditEvent::PageRefused, 6),
    ] {
        store.append_audit(row).await.unwrap();
    }
    let all = AuditFilter::default;
    for (filter, expected) in [
        (all(), vec![1, 2, 3, 4, 5, 6]),
        (AuditFilter { tenant: Some(tenant()), ..all() }, vec![1, 2, 3, 4, 6]),
        (AuditFilter { subject: Some(alice.clone()), ..all() }, vec![1, 2, 3, 5]),
        (AuditFilter { subject: Some(alice), tenant: Some(other), ..all() }, vec![5]),
        (AuditFilter { subject: AccountId::parse("u-nobody"), ..all() }, vec![]),
        (AuditFilter { client: Some(client_id("app")), ..all() }, vec![4]),
        (AuditFilter { events: vec![AuditEvent::LoginFailed, AuditEvent::PageRefused], ..all() }, vec![1, 5, 6]),
        (AuditFilter { since: Some(at(4)), ..all() }, vec![4, 5, 6]),
        (AuditFilter { until: Some(at(4)), ..all() }, vec![1, 2, 3]),
        (AuditFilter { since: Some(at(2)), until: Some(at(3)), ..all() }, vec![2]),
    ] {
        assert_eq!(numbers(&store, &filter).await, expected, "{filter:?}");
    }
}

async fn the_newest_rows_are_read_backwards(store: Arc<dyn Store>) {
    for n in 0..5 {
        append(&store, AuditEvent::LoginFailed, START.plus(Lifetime::from_secs(n))).await;
        append(&store, AuditEvent::LoggedOut, START.plus(Lifetime::from_secs(n))).await;
    }
    let filter = AuditFilter { events: vec![AuditEvent::LoggedOut], ..AuditFilter::default() };
    let before = |position, limit| {
        let (store, filter) = (Arc::clone(&store), filter.clone());
        async move {
            let AuditPage { rows, next } = store.audit_before(&filter, position, limit).await.unwrap();
            (rows.into_iter().map(|(number, _)| number).collect::<Vec<_>>(), next)
        }
    };
    assert_eq!(before(None, 2).await, (vec![10, 8], Some(8)));
    assert_eq!(before(Some(8), 2).await, (vec![6, 4], Some(4)));
    assert_eq!(before(Some(4), 2).await, (vec![2], None));
    assert_eq!(before(Some(2), 2).await, (vec![], None));
}

async fn rows_since_a_moment_are_found_although_a_clock_was_set_back(store: Arc<dyn Store>) {
    assert_eq!(store.audit_since(START).await.unwrap(), 0);
    let at = |seconds| START.plus(Lifetime::from_secs(seconds));
    for seconds in [10, 20, 30, 15, 40] {
        append(&store, AuditEvent::LoginFailed, at(seconds)).await;
    }
    for (since, expected) in [(0, 5), (20, 3), (40, 1), (41, 0)] {
        let position = store.audit_since(at(since)).await.unwrap();
        let filter = AuditFilter { since: Some(at(since)), ..AuditFilter::default() };
        let page = store.audit_after(&filter, position, 1000).await.unwrap();
        assert_eq!(page.rows.len(), expected, "since {since}");
    }
}

async fn old_rows_go_and_the_newest_stays(store: Arc<dyn Store>) {
    for n in 0..10 {
        append(&store, AuditEvent::LoginFailed, START.plus(Lifetime::from_secs(n))).await;
    }
    let since = |seconds| AuditRetention { since: Some(START.plus(Lifetime::from_secs(seconds))), ..EVERYTHING };
    assert_eq!(prune(&store, since(0)).await, 0);
    assert_eq!(prune(&store, since(3)).await, 3);
    assert_eq!(numbers(&store, &AuditFilter::default()).await, (4..=10).collect::<Vec<_>>());
    assert_eq!(
        prune(&store, AuditRetention { since: None, ..since(8) }).await,
        0,
        "without an age, rows are kept for ever"
    );
    assert_eq!(prune(&store, since(1000)).await, 6);
    // Numbers are never reused, so the newest row stays.
    append(&store, AuditEvent::LoginFailed, START.plus(HOUR)).await;
    assert_eq!(numbers(&store, &AuditFilter::default()).await, [10, 11]);
    assert_eq!(store.newest_audit().await.unwrap(), 11);
}

async fn rows_beyond_the_bound_go_the_oldest_first(store: Arc<dyn Store>) {
    for _ in 0..100 {
        append(&store, AuditEvent::LoggedOut, START).await;
    }
    let bound = |max_bytes| AuditRetention { since: None, max_bytes };
    assert_eq!(prune(&store, bound(100 * 100)).await, 0);
    let gone = prune(&store, bound(3000)).await;
    let left = numbers(&store, &AuditFilter::default()).await;
    assert_eq!(left, (gone + 1..=100).collect::<Vec<_>>());
    assert!((30..60).contains(&left.len()), "a row is about 66 bytes long: {}", left.len());
    assert_eq!(prune(&store, bound(3000)).await, 0);
    assert_eq!(prune(&store, bound(0)).await, u64::try_from(left.len()).unwrap() - 1);
}

async fn what_comes_by_the_thousand_does_not_push_out_what_people_did(store: Arc<dyn Store>) {
    let bound = AuditRetention { since: None, max_bytes: 4000 };
    append(&store, AuditEvent::ConsentGiven, START).await;
    for n in 0..300 {
        append(&store, AuditEvent::LoginFailed, START).await;
        if n % 60 == 0 {
            append(&store, AuditEvent::GrantRevoked, START).await;
            prune(&store, bound).await;
        }
    }
    prune(&store, bound).await;
    let deeds =
        AuditFilter { events: vec![AuditEvent::ConsentGiven, AuditEvent::GrantRevoked], ..AuditFilter::default() };
    assert_eq!(numbers(&store, &deeds).await.len(), 6, "every row of class `deed` is kept");
    let refusals = AuditFilter { events: vec![AuditEvent::LoginFailed], ..AuditFilter::default() };
    let kept = numbers(&store, &refusals).await;
    assert!((55..65).contains(&kept.len()), "{}", kept.len());
    assert!(kept.windows(2).all(|pair| pair[1] - pair[0] <= 2), "the newest are kept: {kept:?}");
    // The class `deed` is not guaranteed half of the bound either: its oldest rows beyond the bound are pruned.
    for _ in 0..100 {
        append(&store, AuditEvent::ConsentGiven, START).await;
    }
    prune(&store, bound).await;
    assert_eq!(numbers(&store, &AuditFilter { events: vec![AuditEvent::GrantRevoked], ..deeds }).await, [0; 0]);
}

async fn pruning_is_told_once_it_has_removed_anything(store: Arc<dyn Store>) {
    for _ in 0..10 {
        append(&store, AuditEvent::LoginFailed, START).await;
    }
    let told = || Some(AuditRow::new(START, tenant(), AuditEvent::AuditPruned));
    assert_eq!(store.prune_audit(EVERYTHING, told()).await.unwrap(), Pruned { rows: 0, more: false });
    assert_eq!(store.newest_audit().await.unwrap(), 10);
    let keep = AuditRetention { since: Some(START.plus(HOUR)), ..EVERYTHING };
    assert_eq!(store.prune_audit(keep, told()).await.unwrap().rows, 9);
    assert_eq!(events(&store, 10).await, [AuditEvent::AuditPruned]);
}

async fn there_is_no_row_where_nothing_was_revoked(store: Arc<dyn Store>) {
    settle(&store).await;
    let (alice, app) = (subject("alice"), client_id("app"));
    let revoked = || row(AuditEvent::GrantRevoked, START);
    let before = store.newest_audit().await.unwrap();
    assert_eq!(store.revoke_grants(&grants_of(Some(&alice), None), revoked()).await.unwrap(), 0);
    assert_eq!(store.revoke_grants(&grants_of(None, Some(&app)), revoked()).await.unwrap(), 0);
    assert_eq!(store.revoke_grants(&grants_of(Some(&alice), Some(&app)), revoked()).await.unwrap(), 0);
    assert_eq!(store.newest_audit().await.unwrap(), before);
    // Revoking a session or a code writes a row.
    let login = session("s", "alice", START);
    store.insert_session(login, None, Some(START), row(AuditEvent::LoginSucceeded, START)).await.unwrap();
    assert_eq!(store.revoke_grants(&grants_of(Some(&alice), None), revoked()).await.unwrap(), 0);
    let told = rows(&store, before + 1).await;
    assert_eq!(told.iter().map(|row| row.reason.as_deref()).collect::<Vec<_>>(), [Some("0 grants")]);
    grant(&store, "a", START).await;
    grant(&store, "b", START).await;
    assert_eq!(store.revoke_grants(&grants_of(Some(&alice), None), revoked()).await.unwrap(), 2);
    assert_eq!(rows(&store, 0).await.pop().unwrap().reason.as_deref(), Some("2 grants"));
    let after = store.newest_audit().await.unwrap();
    assert_eq!(store.revoke_grants(&grants_of(Some(&alice), None), revoked()).await.unwrap(), 0);
    assert_eq!(store.newest_audit().await.unwrap(), after);
}
