//! Accounts: names, passwords, counted failures, one-time links; and what an operator's change revokes.

use std::sync::Arc;

use mcpgate::oauth::{Lifetime, LoginName, Subject, TenantId, Timestamp};
use mcpgate::store::{
    Account, AccountStatus, AuditEvent, Change, Insertion, PasswordChange, Renaming, SetupLink, Store, StoreError,
    Update,
};

use crate::world::*;

crate::on_every_store! {
    an_account_is_found_by_name_and_subject,
    a_name_and_a_subject_are_taken_once_in_a_tenant,
    disabling_ends_sessions_and_grants_for_good,
    rt_14_a_new_password_ends_sessions_and_grants,
    rehashing_ends_nothing,
    a_link_sets_the_password_once,
    its_owner_changes_a_password_and_keeps_what_applications_have,
    its_owner_changes_a_password_and_what_is_not_fetched_yet_is_void,
    a_change_of_password_may_end_what_applications_have,
    a_name_is_given_to_one_person_only,
    what_is_deleted_ends_and_its_name_stays_taken,
    st_15_monstrous_texts_are_refused,
}

async fn an_account_is_found_by_name_and_subject(store: Arc<dyn Store>) {
    let without = Account { name: login_name("zoe@x"), password: None, password_set_at: None, ..account("zoe") };
    for account in [account("alice"), without.clone()] {
        let inserted = store.insert_account(account, row(AuditEvent::AccountAdded, START)).await.unwrap();
        assert_eq!(inserted, Insertion::Inserted);
    }
    assert_eq!(store.find_account_by_name(&tenant(), &login_name("ALICE")).await.unwrap(), Some(account("alice")));
    assert_eq!(store.find_account_by_name(&tenant(), &login_name("ZOE@X")).await.unwrap(), Some(without.clone()));
    assert_eq!(store.find_account(&tenant(), &subject("alice")).await.unwrap(), Some(account("alice")));
    assert_eq!(store.find_account_by_name(&tenant(), &login_name("nobody")).await.unwrap(), None);
    assert_eq!(store.list_accounts(&tenant()).await.unwrap(), [account("alice"), without]);
    let other = TenantId::parse("other").unwrap();
    assert_eq!(store.find_account_by_name(&other, &login_name("alice")).await.unwrap(), None);
    assert!(store.list_accounts(&other).await.unwrap().is_empty());
}

async fn a_name_and_a_subject_are_taken_once_in_a_tenant(store: Arc<dyn Store>) {
    let insert = |account| store.insert_account(account, row(AuditEvent::AccountAdded, START));
    assert_eq!(insert(account("alice")).await.unwrap(), Insertion::Inserted);
    assert_eq!(
        insert(Account { subject: Subject::Person(subject("two")), ..account("alice") }).await.unwrap(),
        Insertion::Exists
    );
    assert_eq!(insert(Account { name: login_name("two"), ..account("alice") }).await.unwrap(), Insertion::Exists);
    let elsewhere = Account { tenant: TenantId::parse("other").unwrap(), ..account("alice") };
    assert_eq!(insert(elsewhere).await.unwrap(), Insertion::Inserted);
    assert_eq!(events(&store, 0).await.len(), 2);
}

/// Alice, logged in twice, with a grant and a link; bob, logged in.
async fn busy_accounts(store: &Arc<dyn Store>) {
    settle(store).await;
    for (name, of) in [("s1", "alice"), ("s2", "alice"), ("s3", "bob")] {
        let audit = row(AuditEvent::LoginSucceeded, START);
        store.insert_session(session(name, of, START), None, Some(START), audit).await.unwrap();
    }
    grant(store, "g", START).await;
    store.insert_setup_link(link("l", START), row(AuditEvent::SetupLinkMade, START)).await.unwrap();
}

fn link(name: &str, at: Timestamp) -> SetupLink {
    setup_link(name, "alice", at)
}

async fn assert_ended(store: &Arc<dyn Store>) {
    for (name, lives) in [("s1", false), ("s2", false), ("s3", true)] {
        assert_eq!(store.touch_session(&tenant(), &hash(name), START).await.unwrap().is_some(), lives, "{name}");
    }
    assert!(!is_live(store, "g token", START).await);
    assert!(store.find_grant(&tenant(), grant_id("g")).await.unwrap().unwrap().revoked_at.is_some());
    assert_eq!(store.find_setup_link(&tenant(), &hash("l"), START).await.unwrap(), None);
}

async fn disabling_ends_sessions_and_grants_for_good(store: Arc<dyn Store>) {
    busy_accounts(&store).await;
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    let off = row(AuditEvent::AccountDisabled, START);
    assert_eq!(store.set_account_disabled(&subject("alice"), true, off).await.unwrap(), Update::Done);
    assert_ended(&store).await;
    let found = store.find_account(&tenant(), &subject("alice")).await.unwrap().unwrap();
    assert_eq!(found.status, AccountStatus::Disabled);
    assert_eq!(events(&store, audit).await, [AuditEvent::AccountDisabled]);
    let changes = changes(&store, &change).await;
    assert!(changes.contains(&Change::AccountDisabled(tenant(), subject("alice"))), "{changes:?}");
    let on = row(AuditEvent::AccountEnabled, START);
    store.set_account_disabled(&subject("alice"), false, on).await.unwrap();
    assert_ended(&store).await;
    let unknown = row(AuditEvent::AccountDisabled, START);
    assert_eq!(store.set_account_disabled(&subject("x"), true, unknown).await.unwrap(), Update::NotFound);
}

async fn rt_14_a_new_password_ends_sessions_and_grants(store: Arc<dyn Store>) {
    busy_accounts(&store).await;
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    let later = START.plus(MINUTE);
    let set = row(AuditEvent::PasswordSet, later);
    let update = store.set_password(&subject("alice"), new_password("$new", "alice", later), set).await.unwrap();
    assert_eq!(update, Update::Done);
    assert_ended(&store).await;
    let found = store.find_account(&tenant(), &subject("alice")).await.unwrap().unwrap();
    assert_eq!((found.password.as_deref(), found.password_set_at), (Some("$new"), Some(later)));
    assert_eq!(events(&store, audit).await, [AuditEvent::PasswordSet]);
    let changes = changes(&store, &change).await;
    assert_eq!(changes, [Change::GrantRevoked(tenant(), grant_id("g"))]);
    let unknown = row(AuditEvent::PasswordSet, later);
    let update = store.set_password(&subject("x"), new_password("$new", "alice", later), unknown).await.unwrap();
    assert_eq!(update, Update::NotFound);
}

async fn rehashing_ends_nothing(store: Arc<dyn Store>) {
    busy_accounts(&store).await;
    let old = account("alice").password.unwrap();
    let rehash = |old: &str, new: &str| {
        let (store, old, new) = (Arc::clone(&store), old.to_owned(), new.to_owned());
        async move { store.rehash_password(&tenant(), &subject("alice"), &old, new).await.unwrap() }
    };
    assert_eq!(rehash(&old, "$stronger").await, Update::Done);
    // The password has changed meanwhile: the rehash of the old one must not undo that.
    assert_eq!(rehash(&old, "$late").await, Update::NotFound);
    let found = store.find_account(&tenant(), &subject("alice")).await.unwrap().unwrap();
    assert_eq!((found.password.as_deref(), found.password_set_at), (Some("$stronger"), Some(START)));
    assert!(store.touch_session(&tenant(), &hash("s1"), START).await.unwrap().is_some());
    assert!(is_live(&store, "g token", START).await);
}

async fn a_link_sets_the_password_once(store: Arc<dyn Store>) {
    busy_accounts(&store).await;
    let made = || row(AuditEvent::SetupLinkMade, START);
    store.insert_setup_link(link("newer", START), made()).await.unwrap();
    assert_eq!(store.find_setup_link(&tenant(), &hash("l"), START).await.unwrap(), None);
    assert_eq!(store.find_setup_link(&tenant(), &hash("newer"), START).await.unwrap(), Some(link("newer", START)));
    assert_eq!(store.find_setup_link(&tenant(), &hash("newer"), START.plus(HOUR)).await.unwrap(), None);
    let redeem = |name: &str, at: Timestamp| {
        let (store, hash) = (Arc::clone(&store), hash(name));
        async move {
            let set = row(AuditEvent::PasswordSet, at);
            store.redeem_setup_link(&hash, new_password("$chosen", "alice", at), set).await.unwrap()
        }
    };
    let before = store.newest_audit().await.unwrap();
    assert_eq!(redeem("l", START).await, Update::NotFound);
    assert_eq!(redeem("newer", START.plus(HOUR)).await, Update::NotFound);
    assert_eq!(redeem("newer", START.plus(Lifetime::from_secs(1))).await, Update::Done);
    assert_eq!(redeem("newer", START.plus(Lifetime::from_secs(1))).await, Update::NotFound);
    let found = store.find_account(&tenant(), &subject("alice")).await.unwrap().unwrap();
    assert_eq!(found.password.as_deref(), Some("$chosen"));
    assert_ended(&store).await;
    assert_eq!(events(&store, before).await, [AuditEvent::PasswordSet]);
    let unknown = SetupLink { subject: subject("x"), ..link("y", START) };
    assert!(matches!(store.insert_setup_link(unknown, made()).await, Err(StoreError::Conflict(_))));
}

async fn its_owner_changes_a_password_and_what_is_not_fetched_yet_is_void(store: Arc<dyn Store>) {
    busy_accounts(&store).await;
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let issued = row(AuditEvent::CodeIssued, START);
    assert_eq!(store.insert_code(code("c", START), page.key.hash, None, issued).await.unwrap(), Update::Done);
    assert_eq!(change(&store, "alice", &account("alice").password.unwrap(), false).await, Update::Done);
    assert_eq!(store.find_code(&tenant(), &hash("c")).await.unwrap(), None);
    assert!(is_live(&store, "g token", START).await, "the tokens of applications stay live");
}

async fn change(store: &Arc<dyn Store>, of: &str, old: &str, end_grants: bool) -> Update {
    let old_phc = old.to_owned().into();
    let change = PasswordChange { old_phc, new: new_password("$own", of, START), end_grants };
    store.change_password(&subject(of), change, row(AuditEvent::PasswordChanged, START)).await.unwrap()
}

async fn its_owner_changes_a_password_and_keeps_what_applications_have(store: Arc<dyn Store>) {
    busy_accounts(&store).await;
    let old = account("alice").password.unwrap();
    let before = store.newest_audit().await.unwrap();
    assert_eq!(
        change(&store, "alice", "$another", false).await,
        Update::NotFound,
        "it is not the password that was compared"
    );
    assert_eq!(change(&store, "x", &old, false).await, Update::NotFound);
    assert_eq!(change(&store, "alice", &old, false).await, Update::Done);
    assert_eq!(change(&store, "alice", &old, false).await, Update::NotFound, "the second of two concurrent changes");
    for (name, lives) in [("s1", false), ("s2", false), ("s3", true)] {
        assert_eq!(store.touch_session(&tenant(), &hash(name), START).await.unwrap().is_some(), lives, "{name}");
    }
    assert_eq!(store.find_setup_link(&tenant(), &hash("l"), START).await.unwrap(), None);
    assert!(is_live(&store, "g token", START).await);
    let found = store.find_account(&tenant(), &subject("alice")).await.unwrap().unwrap();
    assert_eq!((found.password.as_deref(), found.password_set_at), (Some("$own"), Some(START)));
    assert_eq!(events(&store, before).await, [AuditEvent::PasswordChanged]);
    store.set_account_disabled(&subject("alice"), true, row(AuditEvent::AccountDisabled, START)).await.unwrap();
    assert_eq!(change(&store, "alice", "$own", false).await, Update::NotFound, "the account is disabled");
}

async fn a_change_of_password_may_end_what_applications_have(store: Arc<dyn Store>) {
    busy_accounts(&store).await;
    assert_eq!(change(&store, "alice", &account("alice").password.unwrap(), true).await, Update::Done);
    assert_ended(&store).await;
}

async fn rename(store: &Arc<dyn Store>, of: &str, name: &str) -> Renaming {
    store.rename_account(&subject(of), &login_name(name), row(AuditEvent::AccountRenamed, START)).await.unwrap()
}

async fn a_name_is_given_to_one_person_only(store: Arc<dyn Store>) {
    busy_accounts(&store).await;
    let before = store.newest_audit().await.unwrap();
    assert_eq!(rename(&store, "x", "carol").await, Renaming::NotFound);
    assert_eq!(rename(&store, "alice", "bob").await, Renaming::Taken);
    let change = store.newest_change().await.unwrap();
    assert_eq!(rename(&store, "alice", "carol").await, Renaming::Done);
    let said = changes(&store, &change).await;
    assert_eq!(
        said,
        [Change::AccountRenamed(tenant(), subject("alice"))],
        "the change log tells running servers, which log the name"
    );
    assert_eq!(store.find_account_by_name(&tenant(), &login_name("alice")).await.unwrap(), None);
    let renamed = Account { name: login_name("carol"), ..account("alice") };
    assert_eq!(store.find_account_by_name(&tenant(), &login_name("CAROL")).await.unwrap(), Some(renamed));
    assert!(store.touch_session(&tenant(), &hash("s1"), START).await.unwrap().is_some(), "renaming ends no session");
    assert!(is_live(&store, "g token", START).await);
    assert_eq!(store.former_names(&tenant()).await.unwrap(), [(login_name("alice"), subject("alice"))]);
    // Nobody else can take the old name, by renaming or adding an account; in another tenant it is free.
    let insert = |account| store.insert_account(account, row(AuditEvent::AccountAdded, START));
    assert_eq!(rename(&store, "bob", "alice").await, Renaming::Taken);
    let second = Account { subject: Subject::Person(subject("second")), ..account("alice") };
    assert_eq!(insert(second.clone()).await.unwrap(), Insertion::Exists);
    let elsewhere = TenantId::parse("other").unwrap();
    assert_eq!(insert(Account { tenant: elsewhere.clone(), ..second }).await.unwrap(), Insertion::Inserted);
    assert!(store.former_names(&elsewhere).await.unwrap().is_empty());
    // The account can take its old name back; then its other name is reserved for it.
    assert_eq!(rename(&store, "alice", "alice").await, Renaming::Done);
    assert_eq!(store.former_names(&tenant()).await.unwrap(), [(login_name("carol"), subject("alice"))]);
    assert_eq!(rename(&store, "bob", "carol").await, Renaming::Taken);
    let wished = [AuditEvent::AccountRenamed, AuditEvent::AccountAdded, AuditEvent::AccountRenamed];
    assert_eq!(events(&store, before).await, wished);
}

async fn what_is_deleted_ends_and_its_name_stays_taken(store: Arc<dyn Store>) {
    busy_accounts(&store).await;
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    let delete = |of: &str| {
        let (store, of) = (Arc::clone(&store), subject(of));
        async move { store.delete_account(&of, row(AuditEvent::AccountDeleted, START)).await.unwrap() }
    };
    assert_eq!(delete("x").await, Update::NotFound);
    assert_eq!(delete("alice").await, Update::Done);
    assert_eq!(delete("alice").await, Update::NotFound);
    for (name, lives) in [("s1", false), ("s2", false), ("s3", true)] {
        assert_eq!(store.touch_session(&tenant(), &hash(name), START).await.unwrap().is_some(), lives, "{name}");
    }
    assert!(!is_live(&store, "g token", START).await);
    assert_eq!(store.find_grant(&tenant(), grant_id("g")).await.unwrap(), None);
    assert_eq!(store.find_setup_link(&tenant(), &hash("l"), START).await.unwrap(), None);
    assert_eq!(store.find_account(&tenant(), &subject("alice")).await.unwrap(), None);
    assert_eq!(store.find_account_by_name(&tenant(), &login_name("alice")).await.unwrap(), None);
    assert_eq!(events(&store, audit).await, [AuditEvent::AccountDeleted]);
    let changes = changes(&store, &change).await;
    let wished = [Change::GrantRevoked(tenant(), grant_id("g")), Change::AccountDisabled(tenant(), subject("alice"))];
    assert_eq!(changes, wished);
    assert_eq!(store.former_names(&tenant()).await.unwrap(), [(login_name("alice"), subject("alice"))]);
    let second = Account { subject: Subject::Person(subject("second")), ..account("alice") };
    let inserted = store.insert_account(second, row(AuditEvent::AccountAdded, START)).await.unwrap();
    assert_eq!(inserted, Insertion::Exists);
    assert_eq!(rename(&store, "bob", "alice").await, Renaming::Taken);
}

async fn st_15_monstrous_texts_are_refused(store: Arc<dyn Store>) {
    for text in ["x".repeat(70_000), "nul\0".to_owned()] {
        assert_eq!(LoginName::parse(&text), None);
        let monster = Account { password: Some(text), ..account("m") };
        let refused = store.insert_account(monster, row(AuditEvent::AccountAdded, START)).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    let odd = Account { password: Some("o'brien\"; drop--".to_owned()), ..account("o") };
    store.insert_account(odd.clone(), row(AuditEvent::AccountAdded, START)).await.unwrap();
    assert_eq!(store.find_account_by_name(&tenant(), &odd.name).await.unwrap(), Some(odd));
    // A refusal is recorded even if its texts are too long; they are truncated.
    let mut long = row(AuditEvent::LoginFailed, START);
    long.target = Some("ü".repeat(70_000));
    store.append_audit(long).await.unwrap();
    let newest = store.newest_audit().await.unwrap();
    let read = rows(&store, newest - 1).await;
    assert_eq!(read[0].target.as_ref().unwrap().chars().count(), 256);
}
