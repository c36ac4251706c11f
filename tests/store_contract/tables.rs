//! What tables of the configuration file make, and its marks.

use std::sync::Arc;

use mcpgate::oauth::{Client, ClientMetadata, ClientOrigin, ClientSecretHash, GrantType, Subject, TenantId};
use mcpgate::store::{
    Account, AuditEvent, AuditRow, Change, ClientChange, Insertion, MadeByTable, SecretRotation, Store, StoreError,
    TableMark, TableStep, Update,
};

use crate::world::*;

crate::on_every_store! {
    what_a_table_makes_is_marked_until_it_is_gone,
    a_step_that_finds_something_else_undoes_all_of_them,
    steps_do_what_commands_do,
    a_table_takes_over_what_another_made,
    a_client_that_acts_for_itself_keeps_its_name_for_ever,
}

fn mark_of_client(id: &str, name: &str) -> TableMark {
    TableMark { id: id.to_owned(), made: MadeByTable::Client(client_id(name)) }
}

fn mark_of_account(id: &str, name: &str) -> TableMark {
    TableMark { id: id.to_owned(), made: MadeByTable::Account(subject(name)) }
}

/// A client that acts for itself, and its account.
fn robot() -> (Client, Account) {
    let plain = client("robot", ClientOrigin::Manual);
    let metadata = ClientMetadata { grant_types: vec![GrantType::ClientCredentials], ..plain.metadata.clone() };
    let robot = Client { metadata, ..plain };
    let account = Account::of_client(&robot, START).unwrap();
    (robot, account)
}

fn add_client(client: Client, service: Option<Account>) -> (TableStep, AuditRow) {
    let step = TableStep::AddClient { client: Box::new(client), service: service.map(Box::new) };
    (step, audit(AuditEvent::ClientAdded))
}

fn add_account(table: &str, name: &str) -> (TableStep, AuditRow) {
    let step = TableStep::AddAccount { table: table.to_owned(), account: Box::new(account(name)) };
    (step, audit(AuditEvent::AccountAdded))
}

async fn apply(store: &Arc<dyn Store>, steps: Vec<(TableStep, AuditRow)>) -> u64 {
    store.apply_tables(steps).await.unwrap()
}

async fn marks(store: &Arc<dyn Store>) -> Vec<TableMark> {
    store.table_marks(&tenant()).await.unwrap()
}

async fn what_a_table_makes_is_marked_until_it_is_gone(store: Arc<dyn Store>) {
    assert!(marks(&store).await.is_empty());
    let audit_before = store.newest_audit().await.unwrap();
    let steps = vec![
        add_client(client("z", ClientOrigin::Manual), None),
        add_client(client("a", ClientOrigin::Manual), None),
        add_account("staff-1", "alice"),
    ];
    assert_eq!(apply(&store, steps).await, 0);
    let of_client = |name: &str| mark_of_client(client_id(name).as_str(), name);
    assert_eq!(marks(&store).await, [mark_of_account("staff-1", "alice"), of_client("a"), of_client("z")]);
    assert_eq!(
        events(&store, audit_before).await,
        [AuditEvent::ClientAdded, AuditEvent::ClientAdded, AuditEvent::AccountAdded]
    );
    assert!(store.table_marks(&TenantId::parse("other").unwrap()).await.unwrap().is_empty(), "another tenant's");
    assert_eq!(store.find_account(&tenant(), &subject("alice")).await.unwrap(), Some(account("alice")));
    let gone = store.delete_client(&client_id("a"), audit(AuditEvent::ClientDeleted)).await.unwrap();
    assert_eq!(gone, Update::Done);
    apply(&store, vec![(TableStep::DeleteAccount { subject: subject("alice") }, audit(AuditEvent::AccountDeleted))])
        .await;
    assert_eq!(marks(&store).await, [of_client("z")]);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

async fn a_step_that_finds_something_else_undoes_all_of_them(store: Arc<dyn Store>) {
    settle(&store).await;
    let (before, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    let seen = client("app", ClientOrigin::Registered);
    let other = Client { resource: Some(resource()), ..seen.clone() };
    let unseen = ClientChange { before: other.clone(), after: seen };
    for wrong in [
        add_client(client("app", ClientOrigin::Manual), None),
        add_account("x", "alice"),
        (TableStep::ChangeClient { change: Box::new(unseen), service: None }, audit(AuditEvent::ClientEdited)),
        (TableStep::DisableClient { id: client_id("nobody"), disabled: true }, audit(AuditEvent::ClientDisabled)),
        (TableStep::ReplaceSecret { id: client_id("nobody"), by: None }, audit(AuditEvent::ClientSecretRotated)),
        (TableStep::DeleteClient { id: client_id("nobody") }, audit(AuditEvent::ClientDeleted)),
        (
            TableStep::RenameAccount { subject: subject("alice"), name: login_name("bob") },
            audit(AuditEvent::AccountRenamed),
        ),
        (
            TableStep::SetPassword { subject: subject("nobody"), new: new_password("$x", "nobody", START) },
            audit(AuditEvent::PasswordSet),
        ),
        (TableStep::DisableAccount { subject: subject("nobody"), disabled: false }, audit(AuditEvent::AccountEnabled)),
        (TableStep::DeleteAccount { subject: subject("nobody") }, audit(AuditEvent::AccountDeleted)),
        (TableStep::Adopt(mark_of_account("x", "nobody")), audit(AuditEvent::AccountAdopted)),
        (TableStep::Adopt(mark_of_client("x", "nobody")), audit(AuditEvent::ClientAdopted)),
        // Its name is that of a person.
        add_client(
            client("robot", ClientOrigin::Manual),
            Some(Account { name: login_name("bob"), ..service("robot") }),
        ),
    ] {
        let said = format!("{wrong:?}");
        let steps = vec![add_account("carol", "carol"), wrong];
        let outcome = store.apply_tables(steps).await;
        assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{said}: {outcome:?}");
    }
    assert_eq!(store.find_account(&tenant(), &subject("carol")).await.unwrap(), None);
    assert!(marks(&store).await.is_empty() && events(&store, before).await.is_empty());
    assert!(changes(&store, &change).await.is_empty());
}

async fn steps_do_what_commands_do(store: Arc<dyn Store>) {
    settle(&store).await;
    let secret = |name: &str| ClientSecretHash { hash: hash(name), created_at: START, until: None };
    let with_secret = Client { secrets: vec![secret("old")], ..client("own", ClientOrigin::Manual) };
    apply(&store, vec![add_client(with_secret.clone(), None)]).await;
    let own = async || store.find_client(&tenant(), &client_id("own")).await.unwrap().unwrap();
    let replace = |by| (TableStep::ReplaceSecret { id: client_id("own"), by }, audit(AuditEvent::ClientSecretRotated));
    let by = SecretRotation { new: secret("new"), previous_until: START.plus(HOUR) };
    apply(&store, vec![replace(Some(by))]).await;
    let replaced = ClientSecretHash { until: Some(START.plus(HOUR)), ..secret("old") };
    assert_eq!(own().await.secrets, [secret("new"), replaced]);
    apply(&store, vec![replace(None)]).await;
    assert!(own().await.secrets.is_empty());
    // A client that loses a grant by a change says so.
    grant(&store, "g", START).await;
    let seen = store.find_client(&tenant(), &client_id("app")).await.unwrap().unwrap();
    let elsewhere = mcpgate::oauth::ResourceIndicator::parse("https://gate.example/other").unwrap();
    let after = Client { resource: Some(elsewhere), ..seen.clone() };
    let change = TableStep::ChangeClient { change: Box::new(ClientChange { before: seen, after }), service: None };
    assert_eq!(apply(&store, vec![(change, audit(AuditEvent::ClientEdited))]).await, 1);
    assert!(!is_live(&store, "g token", START).await);
    let told = store.newest_change().await.unwrap();
    let steps = vec![
        (
            TableStep::RenameAccount { subject: subject("alice"), name: login_name("ada") },
            audit(AuditEvent::AccountRenamed),
        ),
        (
            TableStep::SetPassword { subject: subject("alice"), new: new_password("$new", "ada", START) },
            audit(AuditEvent::PasswordSet),
        ),
        (TableStep::DisableAccount { subject: subject("alice"), disabled: true }, audit(AuditEvent::AccountDisabled)),
        (TableStep::DisableClient { id: client_id("own"), disabled: true }, audit(AuditEvent::ClientDisabled)),
    ];
    apply(&store, steps).await;
    let ada = store.find_account_by_name(&tenant(), &login_name("ada")).await.unwrap().unwrap();
    assert_eq!((ada.subject.as_str(), ada.password.as_deref()), ("u-alice", Some("$new")));
    assert!(own().await.disabled);
    let changes = changes(&store, &told).await;
    for expected in [
        Change::AccountRenamed(tenant(), subject("alice")),
        Change::AccountDisabled(tenant(), subject("alice")),
        Change::ClientDisabled(tenant(), client_id("own")),
    ] {
        assert!(changes.contains(&expected), "{expected:?}: {changes:?}");
    }
}

async fn a_table_takes_over_what_another_made(store: Arc<dyn Store>) {
    settle(&store).await;
    apply(&store, vec![add_account("first", "carol")]).await;
    let adopt = |mark| (TableStep::Adopt(mark), audit(AuditEvent::AccountAdopted));
    apply(&store, vec![adopt(mark_of_account("second", "carol")), adopt(mark_of_account("a", "alice"))]).await;
    assert_eq!(marks(&store).await, [mark_of_account("a", "alice"), mark_of_account("second", "carol")]);
    // A table makes one account only.
    apply(&store, vec![adopt(mark_of_account("a", "bob"))]).await;
    assert_eq!(marks(&store).await, [mark_of_account("a", "bob"), mark_of_account("second", "carol")]);
    let of_service = store.insert_account(service("robot"), audit(AuditEvent::AccountAdded)).await.unwrap();
    assert_eq!(of_service, Insertion::Inserted);
    let outcome = store.apply_tables(vec![adopt(mark_of_account("r", "robot"))]).await;
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "no account of a person: {outcome:?}");
}

async fn a_client_that_acts_for_itself_keeps_its_name_for_ever(store: Arc<dyn Store>) {
    let (client, account) = robot();
    apply(&store, vec![add_client(client.clone(), Some(account.clone()))]).await;
    let found = store.find_account(&tenant(), account.subject.id()).await.unwrap();
    assert_eq!(found, Some(account.clone()), "from the beginning");
    let person = |name: &str| Account { name: account.name.clone(), ..self::account(name) };
    let added = store.insert_account(person("eve"), audit(AuditEvent::AccountAdded)).await.unwrap();
    assert_eq!(added, Insertion::Exists);
    apply(&store, vec![(TableStep::DeleteClient { id: client.id.clone() }, audit(AuditEvent::ClientDeleted))]).await;
    assert_eq!(store.find_account(&tenant(), account.subject.id()).await.unwrap(), None);
    let added = store.insert_account(person("eve"), audit(AuditEvent::AccountAdded)).await.unwrap();
    assert_eq!(added, Insertion::Exists, "the name stays taken");
    apply(&store, vec![add_client(client, Some(account.clone()))]).await;
    assert_eq!(account.subject, Subject::Service(account.subject.id().clone()));
    assert_eq!(store.find_account(&tenant(), account.subject.id()).await.unwrap(), Some(account), "it gets it again");
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}
