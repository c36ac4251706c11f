//! Groups: who is a member, and that tokens are read with the groups of their account.

use std::sync::Arc;

use mcpgate::oauth::{GroupSet, TenantId};
use mcpgate::store::{AuditEvent, AuditRow, Change, Redemption, Rotation, Store, Update};

use crate::world::*;

crate::on_every_store! {
    a_member_is_added_once_and_removed_once,
    a_token_has_the_groups_that_its_account_has_now,
    who_is_deleted_is_no_member_and_who_is_renamed_stays_one,
    groups_of_another_tenant_are_others,
}

async fn add(store: &Arc<dyn Store>, name: &str, of: &str) -> Update {
    store.add_member(&group(name), &subject(of), audit(AuditEvent::GroupMemberAdded)).await.unwrap()
}

async fn remove(store: &Arc<dyn Store>, name: &str, of: &str) -> Update {
    store.remove_member(&group(name), &subject(of), audit(AuditEvent::GroupMemberRemoved)).await.unwrap()
}

fn groups(names: &[&str]) -> GroupSet {
    names.iter().map(|name| group(name)).collect()
}

async fn a_member_is_added_once_and_removed_once(store: Arc<dyn Store>) {
    settle(&store).await;
    let (rows, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    assert_eq!(add(&store, "staff", "nobody").await, Update::NotFound);
    assert_eq!(remove(&store, "staff", "alice").await, Update::NotFound);
    for _ in 0..2 {
        assert_eq!(add(&store, "staff", "alice").await, Update::Done);
    }
    assert_eq!(add(&store, "admins", "alice").await, Update::Done);
    assert_eq!(add(&store, "staff", "bob").await, Update::Done);
    assert_eq!(store.groups_of(&tenant(), &subject("alice")).await.unwrap(), groups(&["admins", "staff"]));
    assert_eq!(store.groups_of(&tenant(), &subject("nobody")).await.unwrap(), groups(&[]));
    let listed = [("admins", "alice"), ("staff", "alice"), ("staff", "bob")];
    let listed: Vec<_> = listed.iter().map(|(name, of)| (group(name), subject(of))).collect();
    assert_eq!(store.list_members(&tenant()).await.unwrap(), listed);
    assert_eq!(remove(&store, "staff", "alice").await, Update::Done);
    assert_eq!(remove(&store, "staff", "alice").await, Update::NotFound);
    assert_eq!(store.groups_of(&tenant(), &subject("alice")).await.unwrap(), groups(&["admins"]));
    let (added, removed) = (AuditEvent::GroupMemberAdded, AuditEvent::GroupMemberRemoved);
    assert_eq!(events(&store, rows).await, [added, added, added, removed]);
    let changed = |of| Change::AccountGroupsChanged(tenant(), subject(of));
    assert_eq!(changes(&store, &change).await, [changed("alice"), changed("alice"), changed("bob"), changed("alice")]);
}

async fn a_token_has_the_groups_that_its_account_has_now(store: Arc<dyn Store>) {
    settle(&store).await;
    add(&store, "staff", "alice").await;
    add(&store, "on-call", "alice").await;
    add(&store, "admins", "bob").await;
    issue(&store, code("c", START)).await;
    let Redemption::Redeemed(_, issued) = store.redeem_code(redeem("c", "first", START)).await.unwrap() else {
        panic!("the code is redeemed")
    };
    let both = groups(&["on-call", "staff"]);
    assert_eq!(issued.groups, both);
    let found = || async { store.find_access_token(&tenant(), &hash("first"), START).await.unwrap().unwrap() };
    assert_eq!(found().await, *issued);
    let (live, _) = store.live_access_tokens(0, 10, START).await.unwrap();
    assert_eq!(live.iter().map(|token| &token.groups).collect::<Vec<_>>(), [&both]);
    remove(&store, "staff", "alice").await;
    assert_eq!(found().await.groups, groups(&["on-call"]));
    let rotated = store.rotate_refresh_token(rotate("c", 0, "second", START)).await.unwrap();
    let Rotation::Rotated(_, issued) = rotated else { panic!("{rotated:?}") };
    assert_eq!(issued.groups, groups(&["on-call"]));
    let retried = store.rotate_refresh_token(rotate("c", 0, "third", START)).await.unwrap();
    let Rotation::Retried(_, issued) = retried else { panic!("{retried:?}") };
    assert_eq!(issued.groups, groups(&["on-call"]));
}

async fn who_is_deleted_is_no_member_and_who_is_renamed_stays_one(store: Arc<dyn Store>) {
    settle(&store).await;
    add(&store, "staff", "alice").await;
    add(&store, "staff", "bob").await;
    store.rename_account(&subject("bob"), &login_name("robert"), audit(AuditEvent::AccountRenamed)).await.unwrap();
    store.delete_account(&subject("alice"), audit(AuditEvent::AccountDeleted)).await.unwrap();
    assert_eq!(store.list_members(&tenant()).await.unwrap(), [(group("staff"), subject("bob"))]);
    assert_eq!(store.groups_of(&tenant(), &subject("alice")).await.unwrap(), groups(&[]));
}

async fn groups_of_another_tenant_are_others(store: Arc<dyn Store>) {
    settle(&store).await;
    add(&store, "staff", "alice").await;
    let elsewhere = TenantId::parse("other").unwrap();
    let row = |event| AuditRow { tenant: elsewhere.clone(), ..audit(event) };
    let (staff, alice) = (group("staff"), subject("alice"));
    let added = store.add_member(&staff, &alice, row(AuditEvent::GroupMemberAdded)).await.unwrap();
    let removed = store.remove_member(&staff, &alice, row(AuditEvent::GroupMemberRemoved)).await.unwrap();
    assert_eq!((added, removed), (Update::NotFound, Update::NotFound));
    assert_eq!(store.list_members(&elsewhere).await.unwrap(), []);
    assert_eq!(store.groups_of(&tenant(), &alice).await.unwrap(), groups(&["staff"]));
}
