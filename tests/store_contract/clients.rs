//! Clients: registered once, found by tenant, changed by operators and by metadata documents.

use std::net::IpAddr;
use std::sync::Arc;

use mcpgate::oauth::{
    AuthMethod, Client, ClientId, ClientMetadata, ClientOrigin, ClientSecretHash, DocumentAge, DocumentSource, Grant,
    Lifetime, RegisteredRedirects, TenantId, Timestamp,
};
use mcpgate::store::{
    AuditEvent, Change, Consent, ConsentKey, Ephemeral, Insertion, SecretRotation, Store, StoreError, Update,
};

use crate::world::*;

crate::on_every_store! {
    a_client_is_found_as_it_was_added,
    an_id_is_taken_once_and_the_cap_holds,
    only_registrations_count_and_the_oldest_unused_one_makes_room,
    each_kind_of_client_that_comes_by_itself_has_its_own_cap,
    the_same_registration_of_a_public_client_is_the_same_client,
    a_client_that_registers_again_is_not_abandoned,
    rg_14_a_confidential_client_that_registers_anew_takes_the_place_of_one_never_used,
    one_that_was_used_or_changed_or_is_being_signed_in_to_keeps_its_place,
    clients_of_tenants_are_apart,
    a_document_replaces_what_the_client_says_of_itself,
    a_documents_age_is_kept_with_the_client,
    a_document_cannot_take_over_a_registered_client,
    two_secrets_are_kept_after_a_rotation_and_never_three,
    rt_15_a_deleted_client_takes_everything_along,
    st_15_monstrous_metadata_is_refused,
}

fn added() -> mcpgate::store::AuditRow {
    row(AuditEvent::ClientAdded, START)
}

async fn a_client_is_found_as_it_was_added(store: Arc<dyn Store>) {
    let full = Client {
        origin: ClientOrigin::Manual,
        secrets: vec![
            ClientSecretHash { hash: hash("new"), created_at: START, until: None },
            ClientSecretHash { hash: hash("old"), created_at: START.plus(HOUR), until: Some(START.plus(DAY)) },
        ],
        resource: Some(resource()),
        disabled: true,
        last_token_at: Some(START),
        last_used_at: Some(START.plus(HOUR)),
        ..client("full", ClientOrigin::Manual)
    };
    assert_eq!(store.insert_client(full.clone(), 10, added()).await.unwrap(), Insertion::Inserted);
    let plain = client("plain", ClientOrigin::Registered);
    store.insert_client(plain.clone(), 10, added()).await.unwrap();
    assert_eq!(store.find_client(&tenant(), &full.id).await.unwrap().as_ref(), Some(&full));
    assert_eq!(store.operator_clients(&tenant()).await.unwrap(), std::slice::from_ref(&full));
    assert_eq!(store.list_clients(&tenant()).await.unwrap(), [full, plain]);
    assert_eq!(events(&store, 0).await, [AuditEvent::ClientAdded; 2]);
}

async fn an_id_is_taken_once_and_the_cap_holds(store: Arc<dyn Store>) {
    let insert = |name: &str, cap| store.insert_client(client(name, ClientOrigin::Registered), cap, added());
    assert_eq!(insert("a", 2).await.unwrap(), Insertion::Inserted);
    assert_eq!(insert("a", 2).await.unwrap(), Insertion::Exists);
    assert_eq!(insert("b", 2).await.unwrap(), Insertion::Inserted);
    assert_eq!(insert("c", 2).await.unwrap(), Insertion::Full);
    assert_eq!(insert("c", 3).await.unwrap(), Insertion::Inserted);
    // Only real changes are recorded.
    assert_eq!(events(&store, 0).await.len(), 3);
}

async fn only_registrations_count_and_the_oldest_unused_one_makes_room(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "used", START).await;
    let insert = |name: &str, origin, minutes: u64| {
        let at = START.plus(Lifetime::from_secs(minutes * 60));
        store.insert_client(Client { created_at: at, ..client(name, origin) }, 3, row(AuditEvent::ClientAdded, at))
    };
    for name in ["one", "two", "three"] {
        assert_eq!(insert(name, ClientOrigin::Manual, 0).await.unwrap(), Insertion::Inserted);
    }
    let registered = ClientOrigin::Registered;
    assert_eq!(insert("old", registered, 0).await.unwrap(), Insertion::Inserted);
    assert_eq!(insert("new", registered, 5).await.unwrap(), Insertion::Inserted);
    assert_eq!(insert("more", registered, 9).await.unwrap(), Insertion::Full, "a client in use is not evicted");
    assert_eq!(insert("more", registered, 10).await.unwrap(), Insertion::Inserted);
    assert_eq!(insert("again", registered, 11).await.unwrap(), Insertion::Full);
    let left: Vec<_> = store.list_clients(&tenant()).await.unwrap().into_iter().map(|c| c.id).collect();
    assert_eq!(left, ["app", "one", "two", "three", "new", "more"].map(client_id), "the client in use stays");
}

async fn each_kind_of_client_that_comes_by_itself_has_its_own_cap(store: Arc<dyn Store>) {
    let insert = |name: &str, origin| store.insert_client(client(name, origin), 2, added());
    for (origin, names) in
        [(ClientOrigin::Registered, ["r1", "r2", "r3"]), (ClientOrigin::MetadataDocument, ["d1", "d2", "d3"])]
    {
        let [first, second, third] = names;
        assert_eq!(insert(first, origin).await.unwrap(), Insertion::Inserted);
        assert_eq!(insert(second, origin).await.unwrap(), Insertion::Inserted);
        assert_eq!(insert(third, origin).await.unwrap(), Insertion::Full);
    }
    let late = START.plus(HOUR);
    let described = Client { created_at: late, ..client("d3", ClientOrigin::MetadataDocument) };
    let added = row(AuditEvent::ClientAdded, late);
    assert_eq!(store.insert_client(described, 2, added).await.unwrap(), Insertion::Inserted);
    let left: Vec<_> = store.list_clients(&tenant()).await.unwrap().into_iter().map(|c| c.id).collect();
    assert_eq!(left, ["r1", "r2", "d2", "d3"].map(client_id));
}

async fn the_same_registration_of_a_public_client_is_the_same_client(store: Arc<dyn Store>) {
    let on_port = |name: &str, port: u16| {
        let redirect_uris = RegisteredRedirects::from_stored(vec![format!("http://127.0.0.1:{port}/cb")]);
        let metadata = ClientMetadata { redirect_uris, ..client("tool", ClientOrigin::Registered).metadata };
        Client { metadata, ..client(name, ClientOrigin::Registered) }
    };
    let first = on_port("a", 4000);
    let insert = |client: Client| store.insert_client(client, 1, added());
    let find = |metadata: ClientMetadata| {
        let store = Arc::clone(&store);
        async move { store.find_registered(&tenant(), &metadata, START).await.unwrap() }
    };
    assert_eq!(find(first.metadata.clone()).await, None);
    assert_eq!(insert(first.clone()).await.unwrap(), Insertion::Inserted);
    let second = on_port("b", 5000);
    assert_eq!(find(second.metadata.clone()).await, Some(first.clone()), "the port is not compared");
    assert_eq!(insert(second.clone()).await.unwrap(), Insertion::Same, "the limit does not matter for a known client");
    assert_eq!(events(&store, 0).await.len(), 1);

    let other = Client { tenant: TenantId::parse("other").unwrap(), ..second.clone() };
    assert_eq!(insert(other).await.unwrap(), Insertion::Inserted, "another tenant's");
    let manual = Client { origin: ClientOrigin::Manual, ..on_port("c", 4000) };
    assert_eq!(insert(manual).await.unwrap(), Insertion::Inserted, "the limit does not apply to operators");
    let with_secret =
        ClientMetadata { token_endpoint_auth_method: AuthMethod::ClientSecretPost, ..second.metadata.clone() };
    for name in ["d", "e"] {
        let client = Client { metadata: with_secret.clone(), ..second.clone() };
        let client = Client { id: client_id(name), ..client };
        assert_eq!(store.insert_client(client, 9, added()).await.unwrap(), Insertion::Inserted, "{name}");
    }
    assert_eq!(find(with_secret).await, None, "a client with a secret is never shared");
    store.delete_client(&first.id, added()).await.unwrap();
    assert_eq!(find(second.metadata).await, None);
}

async fn a_client_that_registers_again_is_not_abandoned(store: Arc<dyn Store>) {
    let app = client("tool", ClientOrigin::Registered);
    store.insert_client(app.clone(), 1, added()).await.unwrap();
    let later = START.plus(HOUR);
    assert!(store.find_registered(&tenant(), &app.metadata, later).await.unwrap().is_some());
    let is_there = || async { store.find_client(&tenant(), &app.id).await.unwrap().is_some() };
    store.sweep(START.plus(DAY), DAY).await.unwrap();
    assert!(is_there().await);
    store.sweep(later.plus(DAY), DAY).await.unwrap();
    assert!(!is_there().await);
}

async fn clients_of_tenants_are_apart(store: Arc<dyn Store>) {
    let other = TenantId::parse("other").unwrap();
    let theirs = Client { tenant: other.clone(), ..client("a", ClientOrigin::Manual) };
    store.insert_client(client("a", ClientOrigin::Registered), 1, added()).await.unwrap();
    assert_eq!(store.insert_client(theirs.clone(), 1, added()).await.unwrap(), Insertion::Inserted);
    assert_eq!(store.find_client(&other, &theirs.id).await.unwrap(), Some(theirs.clone()));
    assert_eq!(store.list_clients(&other).await.unwrap(), std::slice::from_ref(&theirs));
    store.delete_client(&theirs.id, row_of(&other, AuditEvent::ClientDeleted)).await.unwrap();
    assert!(store.find_client(&tenant(), &theirs.id).await.unwrap().is_some());
}

async fn a_document_replaces_what_the_client_says_of_itself(store: Arc<dyn Store>) {
    settle(&store).await;
    let id = ClientId::parse("https://app.example/client.json").unwrap();
    let first = Client { id: id.clone(), ..client("x", ClientOrigin::MetadataDocument) };
    store.put_document_client(first.clone(), false, Some(added())).await.unwrap();
    assert_eq!(store.find_client(&tenant(), &id).await.unwrap(), Some(first.clone()));
    store.set_client_disabled(&id, true, row(AuditEvent::ClientDisabled, START)).await.unwrap();
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let of_document = Consent { key: ConsentKey { client: id.clone(), ..consent_key() }, ..consent(START) };
    store.insert_code(code("c", START), page.key.hash, Some(of_document.clone()), added()).await.unwrap();
    let find = || async { store.find_consent(&of_document.key).await.unwrap() };

    let redirects = RegisteredRedirects::from_stored(vec!["https://app.example/new".to_owned()]);
    let changed = ClientMetadata { redirect_uris: redirects, ..metadata() };
    let later = Client { metadata: changed, created_at: START.plus(DAY), ..first.clone() };
    store.put_document_client(later.clone(), false, Some(added())).await.unwrap();
    assert_eq!(find().await, Some(of_document.clone()));
    store.put_document_client(later.clone(), true, Some(added())).await.unwrap();
    assert_eq!(find().await, None);
    // The operator's settings stay, and so does the date of creation.
    let expected = Client { disabled: true, created_at: START, ..later };
    assert_eq!(store.find_client(&tenant(), &id).await.unwrap(), Some(expected));
}

async fn a_documents_age_is_kept_with_the_client(store: Arc<dyn Store>) {
    let age = |hours: u64| {
        let fetched_at = START.plus(Lifetime::from_secs(hours * 3600));
        // The source of the document is stored, too, and changes with it.
        let sources = [DocumentSource::Shipped, DocumentSource::Imported, DocumentSource::Fetched];
        let source = sources[usize::try_from(hours).unwrap() % 3];
        DocumentAge { fetched_at, fresh_until: fetched_at.plus(HOUR), source }
    };
    let id = ClientId::parse("https://app.example/client.json").unwrap();
    let first = Client { id: id.clone(), document: Some(age(0)), ..client("x", ClientOrigin::MetadataDocument) };
    assert_eq!(store.note_document_age(&tenant(), &id, age(1)).await.unwrap(), Update::NotFound);
    store.put_document_client(first.clone(), false, Some(added())).await.unwrap();
    assert_eq!(store.find_client(&tenant(), &id).await.unwrap(), Some(first.clone()));
    for hours in [1, 2] {
        let aged = Client { document: Some(age(hours)), ..first.clone() };
        if hours == 1 {
            assert_eq!(store.note_document_age(&tenant(), &id, age(hours)).await.unwrap(), Update::Done);
        } else {
            store.put_document_client(aged.clone(), false, Some(added())).await.unwrap();
        }
        assert_eq!(store.find_client(&tenant(), &id).await.unwrap(), Some(aged));
    }
}

async fn a_document_cannot_take_over_a_registered_client(store: Arc<dyn Store>) {
    settle(&store).await;
    let takeover = client("app", ClientOrigin::MetadataDocument);
    let refused = store.put_document_client(takeover, true, Some(added())).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
}

async fn two_secrets_are_kept_after_a_rotation_and_never_three(store: Arc<dyn Store>) {
    let with_secret = Client {
        secrets: vec![ClientSecretHash { hash: hash("one"), created_at: START, until: None }],
        ..client("app", ClientOrigin::Manual)
    };
    store.insert_client(with_secret, 10, added()).await.unwrap();
    let rotate = |name: &str, at: Timestamp| {
        let new = ClientSecretHash { hash: hash(name), created_at: START, until: None };
        let (store, audit) = (Arc::clone(&store), row(AuditEvent::ClientSecretRotated, at));
        async move {
            store
                .rotate_client_secret(&client_id("app"), SecretRotation { new, previous_until: at.plus(DAY) }, audit)
                .await
                .unwrap()
        }
    };
    let secrets = || async {
        let found = store.find_client(&tenant(), &client_id("app")).await.unwrap().unwrap();
        found.secrets.into_iter().map(|s| (s.hash, s.until)).collect::<Vec<_>>()
    };
    assert_eq!(rotate("two", START).await, Update::Done);
    assert_eq!(secrets().await, [(hash("two"), None), (hash("one"), Some(START.plus(DAY)))]);
    // A second rotation ends the overlap of the first: two secrets are valid, never three.
    let second = START.plus(HOUR);
    rotate("three", second).await;
    assert_eq!(secrets().await, [(hash("three"), None), (hash("two"), Some(second.plus(DAY)))]);
    rotate("four", second.plus(DAY)).await;
    assert_eq!(secrets().await, [(hash("four"), None), (hash("three"), Some(second.plus(DAY).plus(DAY)))]);
    let new = ClientSecretHash { hash: hash("x"), created_at: START, until: None };
    let unknown = store
        .rotate_client_secret(&client_id("nobody"), SecretRotation { new, previous_until: START }, added())
        .await
        .unwrap();
    assert_eq!(unknown, Update::NotFound);
}

async fn rt_15_a_deleted_client_takes_everything_along(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    issue(&store, code("pending", START)).await;
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let second = interaction("second page", START);
    store.put_ephemeral(second.clone(), PENDING).await.unwrap();
    store.insert_code(code("c", START), second.key.hash, Some(consent(START)), added()).await.unwrap();
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    let app = client_id("app");
    let delete = || store.delete_client(&app, row(AuditEvent::ClientDeleted, START));
    assert_eq!(delete().await.unwrap(), Update::Done);
    assert_eq!(delete().await.unwrap(), Update::NotFound);
    assert!(!is_live(&store, "g token", START).await);
    assert_eq!(store.find_grant(&tenant(), grant_id("g")).await.unwrap(), None);
    assert_eq!(store.find_code(&tenant(), &hash("pending")).await.unwrap(), None);
    assert_eq!(store.find_ephemeral(&page.key, START).await.unwrap(), None);
    let remembered = store.find_consent(&consent_key()).await.unwrap();
    assert_eq!(remembered, None);
    assert_eq!(events(&store, audit).await, [AuditEvent::ClientDeleted]);
    assert_eq!(changes(&store, &change).await, [Change::ClientDeleted(tenant(), client_id("app"))]);
}

async fn st_15_monstrous_metadata_is_refused(store: Arc<dyn Store>) {
    let long = ClientMetadata { software_id: Some("x".repeat(70_000)), ..metadata() };
    let monster = Client { metadata: long, ..client("monster", ClientOrigin::Registered) };
    let refused = store.insert_client(monster, 10, added()).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    // Quotes, NUL and everything else arrive as they were sent: values are never part of a statement.
    let odd = ClientMetadata { software_id: Some("'; DROP TABLE client; --\"\\\0🦀".to_owned()), ..metadata() };
    let odd = Client { metadata: odd, ..client("odd", ClientOrigin::Registered) };
    store.insert_client(odd.clone(), 10, added()).await.unwrap();
    assert_eq!(store.find_client(&tenant(), &odd.id).await.unwrap(), Some(odd));
}

pub(crate) const SITE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 0));

/// A client with a secret, registered at a time.
pub(crate) fn confidential(name: &str, at: Timestamp) -> Client {
    let metadata = ClientMetadata { token_endpoint_auth_method: AuthMethod::ClientSecretPost, ..metadata() };
    let secrets = vec![ClientSecretHash { hash: hash(name), created_at: at, until: None }];
    Client { metadata, secrets, created_at: at, ..client(name, ClientOrigin::Registered) }
}

pub(crate) async fn register(store: &Arc<dyn Store>, client: Client, site: IpAddr, cap: u64) -> Insertion {
    let at = client.created_at;
    store.register_client(client, site, cap, row(AuditEvent::ClientRegistered, at)).await.unwrap()
}

async fn ids(store: &Arc<dyn Store>) -> Vec<String> {
    store.list_clients(&tenant()).await.unwrap().iter().map(|c| c.id.as_str().replace("mcp_client_", "")).collect()
}

async fn rg_14_a_confidential_client_that_registers_anew_takes_the_place_of_one_never_used(store: Arc<dyn Store>) {
    let later = START.plus(HOUR).plus(MINUTE);
    store.note_time(later).await.unwrap();
    register(&store, confidential("old", START), SITE, 9).await;
    register(&store, confidential("younger", START.plus(MINUTE)), SITE, 9).await;
    register(&store, confidential("elsewhere", START), IpAddr::from([198, 51, 100, 0]), 9).await;
    let named = confidential("named", START);
    let metadata = ClientMetadata { client_name: Some("Other".to_owned()), ..named.metadata.clone() };
    register(&store, Client { metadata, ..named }, SITE, 9).await;
    assert_eq!(ids(&store).await, ["old", "younger", "elsewhere", "named"]);
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    // The cap holds, and there is room because one makes it.
    assert_eq!(register(&store, confidential("new", later), SITE, 4).await, Insertion::Inserted);
    assert_eq!(ids(&store).await, ["younger", "elsewhere", "named", "new"]);
    assert_eq!(events(&store, audit).await, [AuditEvent::ClientDeleted, AuditEvent::ClientRegistered]);
    assert_eq!(changes(&store, &change).await, [Change::ClientDeleted(tenant(), client_id("old"))]);
    let of_new = store.find_client(&tenant(), &client_id("new")).await.unwrap().unwrap();
    assert_eq!(of_new.secrets[0].hash, hash("new"), "nothing secret is reused");
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

async fn one_that_was_used_or_changed_or_is_being_signed_in_to_keeps_its_place(store: Arc<dyn Store>) {
    let later = START.plus(HOUR).plus(MINUTE);
    store.note_time(later).await.unwrap();
    for name in ["used", "pending", "disabled", "renewed", "idle"] {
        register(&store, confidential(name, START), SITE, 9).await;
    }
    store.insert_account(account("alice"), row(AuditEvent::AccountAdded, START)).await.unwrap();
    let of = |name: &str| Grant { client: client_id(name), ..grant_of(name, START) };
    let token = token_of(&of("used"), hash("t"));
    store.insert_operator_token(of("used"), token, audit(AuditEvent::OperatorTokenIssued)).await.unwrap();
    let page =
        Ephemeral { client: Some(client_id("pending")), expires_at: later.plus(MINUTE), ..interaction("p", later) };
    store.put_ephemeral(page, PENDING).await.unwrap();
    for disabled in [true, false] {
        store.set_client_disabled(&client_id("disabled"), disabled, audit(AuditEvent::ClientDisabled)).await.unwrap();
    }
    let new = ClientSecretHash { hash: hash("second"), created_at: START, until: None };
    let by = SecretRotation { new, previous_until: START };
    store.rotate_client_secret(&client_id("renewed"), by, audit(AuditEvent::ClientSecretRotated)).await.unwrap();
    register(&store, confidential("new", later), SITE, 9).await;
    assert_eq!(ids(&store).await, ["used", "pending", "disabled", "renewed", "new"]);
}
