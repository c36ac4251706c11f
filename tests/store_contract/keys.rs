//! API keys: tokens on a grant of their own.

use std::sync::Arc;

use mcpgate::oauth::{AddressRanges, Grant, KeyDetails, Lifetime, Subject, Timestamp};
use mcpgate::store::{
    AuditEvent, AuditFilter, Change, Issued, KEYS_PER_ACCOUNT, KeyAdded, NewKey, RotateKey, Store, StoreError, Update,
};

use crate::world::*;

crate::on_every_store! {
    a_key_is_a_token_that_says_where_it_may_be_used,
    a_key_needs_a_person_and_what_is_kept_of_it,
    a_key_without_an_end_stays,
    an_account_has_so_many_keys,
    a_new_secret_ends_the_old_one_at_once,
    a_new_secret_may_leave_the_old_one_for_a_while,
    only_an_active_key_of_the_account_gets_a_new_secret,
    what_ends_grants_ends_keys,
    a_key_made_or_renewed_by_a_clock_that_was_ahead_ends,
}

async fn insert(store: &Arc<dyn Store>, key: NewKey) -> Issued {
    match store.insert_key(key).await.unwrap() {
        KeyAdded::Added(issued) => *issued,
        refused @ (KeyAdded::NotFound | KeyAdded::TooMany) => panic!("{refused:?}"),
    }
}

/// A new secret for a key of alice.
fn renewal(of: &str, token: &str, previous_until: Option<Timestamp>, at: Timestamp) -> RotateKey {
    RotateKey {
        grant: grant_id(of),
        subject: Some(subject("alice")),
        access: new_token(token),
        hint: "wxyz".to_owned(),
        expires_at: at.plus(DAY),
        previous_until,
        audit: row(AuditEvent::KeyRotated, at),
    }
}

async fn found(store: &Arc<dyn Store>, name: &str) -> Grant {
    store.find_grant(&tenant(), grant_id(name)).await.unwrap().unwrap()
}

async fn a_key_is_a_token_that_says_where_it_may_be_used(store: Arc<dyn Store>) {
    settle(&store).await;
    store.add_member(&group("staff"), &subject("alice"), audit(AuditEvent::GroupMemberAdded)).await.unwrap();
    let addresses = AddressRanges::parse(["192.0.2.0/24", "2001:db8::7"]).unwrap();
    let details = KeyDetails { name: "nightly".to_owned(), hint: "abcd".to_owned(), addresses: addresses.clone() };
    let (new, before) = (key("k", START), store.newest_audit().await.unwrap());
    let new = NewKey { grant: Grant { key: Some(Box::new(details.clone())), ..new.grant }, ..new };
    let issued = insert(&store, new.clone()).await;
    assert_eq!((&issued.token.addresses, issued.token.expires_at), (&addresses, START.plus(HOUR)));
    assert!(issued.token.groups.contains(&group("staff")));
    let token = store.find_access_token(&tenant(), &hash("k"), START).await.unwrap().unwrap();
    assert_eq!(token, *issued.token);
    assert_eq!(store.live_access_tokens(0, 9, START).await.unwrap().0, [token]);
    let kept = found(&store, "k").await;
    assert_eq!((kept.key.as_deref(), kept.idle_until, kept.may_refresh), (Some(&details), START.plus(HOUR), false));
    assert_eq!(store.list_grants(&grants_of(Some(&subject("alice")), None), START).await.unwrap(), [kept]);
    let rows = store.audit_after(&AuditFilter::default(), before, 9).await.unwrap().rows;
    let [(_, row)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.event, row.subject.as_ref()), (AuditEvent::KeyCreated, Some(&subject("alice"))));
    assert_eq!((row.target.clone(), row.scopes.clone()), (Some(grant_id("k").to_string()), Some(scopes("read"))));
    // It ends as every token does.
    assert!(!is_live(&store, "k", START.plus(HOUR)).await);
    let before = store.newest_change().await.unwrap();
    store.revoke_grant(grant_id("k"), audit(AuditEvent::KeyRevoked)).await.unwrap();
    assert!(!is_live(&store, "k", START).await);
    assert_eq!(changes(&store, &before).await, [Change::GrantRevoked(tenant(), grant_id("k"))]);
}

async fn a_key_needs_a_person_and_what_is_kept_of_it(store: Arc<dyn Store>) {
    settle(&store).await;
    store.insert_account(service("robot"), audit(AuditEvent::AccountAdded)).await.unwrap();
    let of = |subject, client: &str| {
        let new = key("k", START);
        NewKey { grant: Grant { subject, client: client_id(client), ..new.grant.clone() }, ..new }
    };
    let person = |name: &str| Subject::Person(subject(name));
    let robot = Subject::Service(subject("robot"));
    for refused in
        [of(robot, "app"), of(person("robot"), "app"), of(person("nobody"), "app"), of(person("alice"), "no")]
    {
        assert!(matches!(store.insert_key(refused.clone()).await.unwrap(), KeyAdded::NotFound), "{refused:?}");
    }
    store.set_account_disabled(&subject("alice"), true, audit(AuditEvent::AccountDisabled)).await.unwrap();
    assert!(matches!(store.insert_key(key("k", START)).await.unwrap(), KeyAdded::NotFound));
    let bob = of(person("bob"), "app");
    let long = KeyDetails { name: "n".repeat(401), ..KeyDetails::clone(bob.grant.key.as_ref().unwrap()) };
    for bad in [None, Some(Box::new(long))] {
        let bad = NewKey { grant: Grant { key: bad, ..bob.grant.clone() }, ..bob.clone() };
        assert!(matches!(store.insert_key(bad).await, Err(StoreError::Conflict(_))));
    }
    insert(&store, bob).await;
}

async fn a_key_without_an_end_stays(store: Arc<dyn Store>) {
    settle(&store).await;
    let new = key("k", START);
    insert(&store, NewKey { grant: Grant { expires_at: Timestamp::NEVER, ..new.grant.clone() }, ..new }).await;
    let later = START.plus(Lifetime::from_secs(200 * 365 * 86_400));
    store.sweep(later, HOUR).await.unwrap();
    let token = store.find_access_token(&tenant(), &hash("k"), later).await.unwrap().unwrap();
    assert_eq!((token.expires_at, found(&store, "k").await.end()), (Timestamp::NEVER, None));
}

async fn an_account_has_so_many_keys(store: Arc<dyn Store>) {
    settle(&store).await;
    for n in 0..KEYS_PER_ACCOUNT {
        insert(&store, key(&format!("k{n}"), START)).await;
    }
    assert!(matches!(store.insert_key(key("more", START)).await.unwrap(), KeyAdded::TooMany));
    let of_bob = key("b", START);
    let bob = Subject::Person(subject("bob"));
    insert(&store, NewKey { grant: Grant { subject: bob, ..of_bob.grant.clone() }, ..of_bob }).await;
    // Those that have ended make room.
    store.revoke_grant(grant_id("k0"), audit(AuditEvent::KeyRevoked)).await.unwrap();
    insert(&store, key("more", START)).await;
    insert(&store, key("later", START.plus(HOUR))).await;
}

async fn a_new_secret_ends_the_old_one_at_once(store: Arc<dyn Store>) {
    settle(&store).await;
    insert(&store, key("k", START)).await;
    store.note_activity(&[(tenant(), grant_id("k"), START)]).await.unwrap();
    let (later, before) = (START.plus(MINUTE), store.newest_change().await.unwrap());
    let issued = store.rotate_key(renewal("k", "k2", None, later)).await.unwrap().unwrap();
    assert_eq!((issued.token.grant, issued.token.expires_at), (grant_id("k"), later.plus(DAY)));
    assert!(!is_live(&store, "k", later).await && is_live(&store, "k2", later.plus(HOUR)).await);
    assert_eq!(changes(&store, &before).await, [Change::AccessTokenRevoked(tenant(), hash("k"))]);
    let kept = found(&store, "k").await;
    let details = kept.key.as_ref().unwrap();
    assert_eq!((details.name.as_str(), details.hint.as_str()), ("k", "wxyz"));
    assert_eq!((kept.created_at, kept.rotated_at, kept.last_used_at), (START, later, Some(START)));
    assert_eq!((kept.expires_at, kept.idle_until), (later.plus(DAY), later.plus(DAY)));
}

async fn a_new_secret_may_leave_the_old_one_for_a_while(store: Arc<dyn Store>) {
    settle(&store).await;
    insert(&store, key("k", START)).await;
    let (grace, before) = (START.plus(MINUTE).plus(MINUTE), store.newest_change().await.unwrap());
    store.rotate_key(renewal("k", "k2", Some(grace), START.plus(MINUTE))).await.unwrap().unwrap();
    let old = store.find_access_token(&tenant(), &hash("k"), START.plus(MINUTE)).await.unwrap().unwrap();
    assert_eq!(old.expires_at, grace);
    assert!(!is_live(&store, "k", grace).await && is_live(&store, "k2", grace).await);
    // What has it in memory must learn of its new end.
    assert_eq!(changes(&store, &before).await, [Change::AccountGroupsChanged(tenant(), subject("alice"))]);
    // Never more than two are valid, and none lives longer than before.
    let beyond = Some(START.plus(DAY));
    store.rotate_key(renewal("k", "k3", beyond, START.plus(MINUTE))).await.unwrap().unwrap();
    assert!(!is_live(&store, "k", START.plus(MINUTE)).await && is_live(&store, "k2", START.plus(MINUTE)).await);
    store.revoke_grant(grant_id("k"), audit(AuditEvent::KeyRevoked)).await.unwrap();
    assert!(!is_live(&store, "k2", START.plus(MINUTE)).await && !is_live(&store, "k3", START.plus(MINUTE)).await);
}

async fn only_an_active_key_of_the_account_gets_a_new_secret(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    for name in ["k", "revoked"] {
        insert(&store, key(name, START)).await;
    }
    store.revoke_grant(grant_id("revoked"), audit(AuditEvent::KeyRevoked)).await.unwrap();
    let of_bob = RotateKey { subject: Some(subject("bob")), ..renewal("k", "new", None, START) };
    let late = renewal("k", "new", None, START.plus(HOUR));
    for refused in
        [renewal("g", "new", None, START), renewal("revoked", "new", None, START), renewal("?", "new", None, START)]
            .into_iter()
            .chain([of_bob, late])
    {
        assert!(store.rotate_key(refused.clone()).await.unwrap().is_none(), "{refused:?}");
    }
    assert!(!is_live(&store, "new", START).await && is_live(&store, "k", START).await);
    assert!(is_live(&store, "g token", START).await);
    let of_any = RotateKey { subject: None, ..renewal("k", "new", None, START) };
    assert!(store.rotate_key(of_any).await.unwrap().is_some());
    store.set_client_disabled(&client_id("app"), true, audit(AuditEvent::ClientDisabled)).await.unwrap();
    assert!(store.rotate_key(renewal("k", "newer", None, START)).await.unwrap().is_none());
}

async fn what_ends_grants_ends_keys(store: Arc<dyn Store>) {
    settle(&store).await;
    let alice = subject("alice");
    insert(&store, key("a", START)).await;
    assert_eq!(store.revoke_grants(&grants_of(Some(&alice), None), audit(AuditEvent::GrantRevoked)).await.unwrap(), 1);
    insert(&store, key("b", START)).await;
    store.set_password(&alice, new_password("$phc", "alice", START), audit(AuditEvent::PasswordSet)).await.unwrap();
    insert(&store, key("c", START)).await;
    let off = audit(AuditEvent::AccountDisabled);
    assert_eq!(store.set_account_disabled(&alice, true, off).await.unwrap(), Update::Done);
    let on = audit(AuditEvent::AccountEnabled);
    assert_eq!(store.set_account_disabled(&alice, false, on).await.unwrap(), Update::Done);
    for name in ["a", "b", "c"] {
        assert!(!is_live(&store, name, START).await, "{name}");
    }
}

async fn a_key_made_or_renewed_by_a_clock_that_was_ahead_ends(store: Arc<dyn Store>) {
    settle(&store).await;
    let later = START.plus(DAY);
    insert(&store, key("early", later)).await;
    let long = key("renewed", START);
    let lives = Grant { expires_at: Timestamp::NEVER, ..long.grant.clone() };
    insert(&store, NewKey { grant: lives, ..long }).await;
    store.rotate_key(renewal("renewed", "new", Some(later.plus(DAY)), later)).await.unwrap().unwrap();
    insert(&store, key("k", START)).await;
    store.turn_back(later, START.plus(MINUTE)).await.unwrap();
    let now = START.plus(MINUTE);
    let alive = store.list_grants(&grants_of(Some(&subject("alice")), None), now).await.unwrap();
    assert_eq!(alive.iter().map(|grant| grant.id).collect::<Vec<_>>(), [grant_id("k")]);
    for name in ["early", "renewed", "new"] {
        assert!(!is_live(&store, name, now).await, "{name}");
    }
    assert!(is_live(&store, "k", now).await);
}
