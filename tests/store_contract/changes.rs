//! The audit trail and the change log: in order, complete, by tenant.

use std::sync::Arc;

use mcpgate::oauth::{Lifetime, TenantId};
use mcpgate::store::{AuditEvent, AuditFilter, AuditPage, AuditRow, Change, ChangePosition, Changes, Store};

use crate::world::*;

crate::on_every_store! {
    audit_rows_come_back_as_they_were_written,
    audit_is_read_in_pages_and_by_tenant,
    the_mark_moves_with_every_change_and_stands_still_otherwise,
    a_position_stays_good_when_its_changes_are_swept,
    a_gap_in_the_change_log_is_reported,
    many_changes_are_read_in_order,
}

async fn audit_rows_come_back_as_they_were_written(store: Arc<dyn Store>) {
    let full = AuditRow {
        target: Some("grant 7".to_owned()),
        reason: Some("invalid_grant".to_owned()),
        subject: Some(subject("alice")),
        resource: Some(resource()),
        scopes: Some(scopes("read write")),
        address: Some("2001:db8::1".parse().unwrap()),
        ..row(AuditEvent::TokenRefused, START)
    };
    let empty = AuditRow {
        actor: None,
        client: None,
        address: None,
        request_id: None,
        ..row(AuditEvent::LoginThrottled, START.plus(MINUTE))
    };
    assert_eq!(store.newest_audit().await.unwrap(), 0);
    for row in [full.clone(), empty.clone()] {
        store.append_audit(row).await.unwrap();
    }
    let page = store.audit_after(&AuditFilter::default(), 0, 10).await.unwrap();
    assert_eq!(page, AuditPage { rows: vec![(1, full), (2, empty)], next: None });
    assert_eq!(store.newest_audit().await.unwrap(), 2);
}

async fn audit_is_read_in_pages_and_by_tenant(store: Arc<dyn Store>) {
    let other = TenantId::parse("other").unwrap();
    for n in 0..10u64 {
        let tenant = if n % 2 == 0 { tenant() } else { other.clone() };
        let at = START.plus(Lifetime::from_secs(n));
        store.append_audit(AuditRow { tenant, ..row(AuditEvent::LoginFailed, at) }).await.unwrap();
    }
    let numbers = |tenant: Option<TenantId>, after, limit| {
        let store = Arc::clone(&store);
        async move {
            let filter = AuditFilter { tenant, ..AuditFilter::default() };
            let page = store.audit_after(&filter, after, limit).await.unwrap();
            page.rows.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
        }
    };
    assert_eq!(numbers(None, 0, 3).await, [1, 2, 3]);
    assert_eq!(numbers(None, 8, 100).await, [9, 10]);
    assert_eq!(numbers(Some(other), 2, 2).await, [4, 6]);
    assert_eq!(numbers(Some(tenant()), 10, 2).await, [0; 0]);
}

async fn the_mark_moves_with_every_change_and_stands_still_otherwise(store: Arc<dyn Store>) {
    settle(&store).await;
    let mark = store.change_mark().await.unwrap();
    store.find_client(&tenant(), &client_id("app")).await.unwrap();
    assert_eq!(store.change_mark().await.unwrap(), mark);
    grant(&store, "g", START).await;
    let issued = store.change_mark().await.unwrap();
    store.revoke_grant(grant_id("g"), row(AuditEvent::GrantRevoked, START)).await.unwrap();
    let revoked = store.change_mark().await.unwrap();
    assert!(mark != issued && issued != revoked && mark != revoked);
    assert_eq!(store.change_mark().await.unwrap(), revoked);
}

async fn is_incomplete(store: &Arc<dyn Store>, after: &ChangePosition) -> bool {
    matches!(store.changes_after(after).await.unwrap(), Changes::Incomplete)
}

async fn a_position_stays_good_when_its_changes_are_swept(store: Arc<dyn Store>) {
    settle(&store).await;
    let mut last = store.newest_change().await.unwrap();
    for (round, name) in ["a", "b", "c"].into_iter().enumerate() {
        let at = START.plus(Lifetime::from_secs(round as u64 * 3 * 86_400));
        grant(&store, name, at).await;
        store.revoke_grant(grant_id(name), row(AuditEvent::GrantRevoked, at)).await.unwrap();
        let newest = store.newest_change().await.unwrap();
        assert_eq!(changes(&store, &last).await, [Change::GrantRevoked(tenant(), grant_id(name))]);
        let later = at.plus(DAY);
        store.sweep(later, Lifetime::from_secs(365 * 86_400)).await.unwrap();
        assert!(is_incomplete(&store, &last).await, "the row was swept after a day");
        assert_eq!(changes(&store, &newest).await, []);
        last = store.newest_change().await.unwrap();
        assert_eq!(changes(&store, &last).await, [], "the position itself was not swept");
    }
}

async fn a_gap_in_the_change_log_is_reported(store: Arc<dyn Store>) {
    settle(&store).await;
    let mut positions = vec![store.newest_change().await.unwrap()];
    // The second is made while the clock is two days behind, so it is swept before the first.
    for (name, at) in [("a", START.plus(DAY).plus(DAY)), ("b", START), ("c", START.plus(DAY).plus(DAY))] {
        grant(&store, name, at).await;
        store.revoke_grant(grant_id(name), row(AuditEvent::GrantRevoked, at)).await.unwrap();
        positions.push(store.newest_change().await.unwrap());
    }
    let [before, after_a, after_b, after_c] = positions.as_slice() else { panic!("{positions:?}") };
    assert_eq!(changes(&store, before).await.len(), 3);
    store.sweep(START.plus(DAY), Lifetime::from_secs(365 * 86_400)).await.unwrap();
    assert!(is_incomplete(&store, before).await, "a gap after the first change");
    assert!(is_incomplete(&store, after_a).await, "a gap before the next change");
    assert_eq!(changes(&store, after_b).await.len(), 1);
    store.sweep(START.plus(Lifetime::from_secs(3 * 86_400)), Lifetime::from_secs(365 * 86_400)).await.unwrap();
    assert!(is_incomplete(&store, after_b).await, "the log is empty, but held a later change");
    assert_eq!(changes(&store, after_c).await, []);
}

async fn many_changes_are_read_in_order(store: Arc<dyn Store>) {
    settle(&store).await;
    let mut position = store.newest_change().await.unwrap();
    let people = ["alice", "bob", "bob"].map(subject);
    for subject in people.iter().cycle().take(1005) {
        let off = row(AuditEvent::AccountDisabled, START);
        store.set_account_disabled(subject, true, off).await.unwrap();
    }
    let (mut read, mut sizes) = (Vec::new(), Vec::new());
    while let Changes::Next(changes, next) = store.changes_after(&position).await.unwrap()
        && !changes.is_empty()
    {
        sizes.push(changes.len());
        read.extend(changes);
        position = next;
    }
    let told = people.iter().cycle().take(1005).map(|subject| Change::AccountDisabled(tenant(), subject.clone()));
    assert_eq!((read, sizes), (told.collect(), vec![1000, 5]));
}
