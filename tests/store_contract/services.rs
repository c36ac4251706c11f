//! Service accounts: they hold grants like users, but nobody can sign in with one.

use std::sync::Arc;

use mcpgate::oauth::{AccessTokenRecord, Grant, Subject};
use mcpgate::store::{
    Account, AuditEvent, Change, Insertion, LoginPlace, Renaming, SetupLink, Store, StoreError, Update,
};

use crate::grants::operators;
use crate::world::*;

crate::on_every_store! {
    a_service_is_kept_as_what_it_is,
    nobody_signs_in_as_a_service,
    the_grant_of_a_service_lives_and_ends_as_that_of_a_person,
}

/// Adds the service `robot` to the default records.
async fn settle_with_robot(store: &Arc<dyn Store>) {
    settle(store).await;
    let added = store.insert_account(service("robot"), audit(AuditEvent::AccountAdded)).await.unwrap();
    assert_eq!(added, Insertion::Inserted);
}

/// Stores a grant of the service, with its token.
async fn granted(store: &Arc<dyn Store>, name: &str) -> (Grant, AccessTokenRecord) {
    let (grant, token) = operators(name);
    let robot = Subject::Service(subject("robot"));
    let grant = Grant { subject: robot.clone(), ..grant };
    let token = AccessTokenRecord { subject: robot, user: "robot".into(), ..token };
    store.insert_operator_token(grant.clone(), token.clone(), audit(AuditEvent::OperatorTokenIssued)).await.unwrap();
    (grant, token)
}

async fn a_service_is_kept_as_what_it_is(store: Arc<dyn Store>) {
    settle_with_robot(&store).await;
    assert_eq!(store.find_account(&tenant(), &subject("robot")).await.unwrap(), Some(service("robot")));
    assert_eq!(store.find_account_by_name(&tenant(), &login_name("robot")).await.unwrap(), Some(service("robot")));
    let kinds: Vec<_> = store.list_accounts(&tenant()).await.unwrap().iter().map(|a| a.subject.kind()).collect();
    assert_eq!(kinds, ["person", "person", "service"]);
    // Ids and names are unique across all kinds of account.
    for taken in [account("robot"), Account { name: login_name("other"), ..account("robot") }, service("alice")] {
        let added = store.insert_account(taken, audit(AuditEvent::AccountAdded)).await.unwrap();
        assert_eq!(added, Insertion::Exists);
    }
    let renamed = store.rename_account(&subject("robot"), &login_name("rob"), audit(AuditEvent::AccountRenamed)).await;
    assert_eq!(renamed.unwrap(), Renaming::Done);
    let found = store.find_account(&tenant(), &subject("robot")).await.unwrap().unwrap();
    assert_eq!((found.subject, found.name.as_str()), (Subject::Service(subject("robot")), "rob"));
}

async fn nobody_signs_in_as_a_service(store: Arc<dyn Store>) {
    settle_with_robot(&store).await;
    let robot = subject("robot");
    let with_password = Account { subject: Subject::Service(subject("two")), ..account("two") };
    let refused = store.insert_account(with_password, audit(AuditEvent::AccountAdded)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");

    let set = audit(AuditEvent::PasswordSet);
    let updated = store.set_password(&robot, new_password("$phc", "robot", START), set).await.unwrap();
    assert_eq!(updated, Update::NotFound);
    let link = SetupLink {
        hash: hash("link"),
        tenant: tenant(),
        subject: robot.clone(),
        made_at: Some(START),
        expires_at: START.plus(HOUR),
    };
    let refused = store.insert_setup_link(link, audit(AuditEvent::SetupLinkMade)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");

    // A sign-in with the name behaves as for an unknown name.
    let places = [LoginPlace::Host([198, 51, 100, 7].into()), LoginPlace::Network([198, 51, 100, 0].into())];
    let history = store.find_login(sign_in("robot", places, START), Some(login_name("robot"))).await.unwrap();
    assert_eq!((history.account, history.failures), (None, 0));
    let begun = store.insert_session(session("s", "robot", START), None, None, audit(AuditEvent::LoginSucceeded)).await;
    assert_eq!(begun.unwrap(), Update::NotFound);

    // A code needs a person's consent.
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let code = mcpgate::oauth::CodeRecord { subject: robot, ..code("c", START) };
    let issued = store.insert_code(code, page.key.hash, None, audit(AuditEvent::CodeIssued)).await.unwrap();
    assert_eq!(issued, Update::NotFound);
    assert!(store.find_code(&tenant(), &hash("c")).await.unwrap().is_none());
}

async fn the_grant_of_a_service_lives_and_ends_as_that_of_a_person(store: Arc<dyn Store>) {
    settle_with_robot(&store).await;
    let (grant, token) = granted(&store, "one").await;
    granted(&store, "two").await;
    assert_eq!(store.find_grant(&tenant(), grant.id).await.unwrap().unwrap().subject, grant.subject);
    assert_eq!(store.find_access_token(&tenant(), &token.hash, START).await.unwrap(), Some(token.clone()));
    let (live, _) = store.live_access_tokens(0, 10, START).await.unwrap();
    assert!(live.len() == 2 && live.contains(&token), "{live:?}");
    let listed = store.list_grants(&grants_of(Some(&subject("robot")), None), START).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(store.list_grants(&grants_of(Some(&subject("alice")), None), START).await.unwrap().is_empty());

    let before = store.newest_change().await.unwrap();
    store.revoke_grant(grant.id, audit(AuditEvent::GrantRevoked)).await.unwrap();
    assert!(!is_live(&store, "one", START).await && is_live(&store, "two", START).await);
    let off = audit(AuditEvent::AccountDisabled);
    assert_eq!(store.set_account_disabled(&subject("robot"), true, off).await.unwrap(), Update::Done);
    assert!(!is_live(&store, "two", START).await);
    let off = Change::AccountDisabled(tenant(), subject("robot"));
    let wanted =
        [Change::GrantRevoked(tenant(), grant_id("one")), Change::GrantRevoked(tenant(), grant_id("two")), off];
    assert_eq!(changes(&store, &before).await, wanted);
}
