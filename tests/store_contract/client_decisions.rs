//! What an operator decides about a client, and who waits for that.

use std::sync::Arc;

use mcpgate::oauth::{Client, ClientDecision, ClientMetadata, ClientOrigin, SeenClient};
use mcpgate::store::{
    AuditEvent, AuditRow, Ephemeral, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralStep, Store, Update,
};

use crate::world::*;

crate::on_every_store! {
    a_decision_is_kept_for_what_the_operator_saw,
    nobody_decides_about_a_client_that_an_operator_added_or_that_has_changed,
    requests_are_listed_by_kind_until_they_expire_and_go_with_their_client,
    no_request_of_a_client_for_itself_pushes_out_that_of_a_person,
}

const LIMITS: EphemeralLimits = EphemeralLimits { of_host: 2, of_site: 4, of_session: 2, in_all: 6 };

async fn settle(store: &Arc<dyn Store>, origin: ClientOrigin) -> Client {
    let app = client("app", origin);
    store.insert_client(app.clone(), 9, row(AuditEvent::ClientRegistered, START)).await.unwrap();
    app
}

async fn found(store: &Arc<dyn Store>) -> Client {
    store.find_client(&tenant(), &client_id("app")).await.unwrap().unwrap()
}

fn decided() -> AuditRow {
    row(AuditEvent::ClientApproved, START)
}

async fn a_decision_is_kept_for_what_the_operator_saw(store: Arc<dyn Store>) {
    let app = settle(&store, ClientOrigin::Registered).await;
    let audit = store.newest_audit().await.unwrap();
    for approved in [true, false] {
        let decision = ClientDecision { approved, seen: SeenClient::of(&app.metadata) };
        assert_eq!(store.decide_client(&app.id, decision, decided()).await.unwrap(), Update::Done);
        assert_eq!(found(&store).await, Client { decision: Some(Box::new(decision)), ..app.clone() });
        assert_eq!(store.list_clients(&tenant()).await.unwrap(), [found(&store).await]);
    }
    assert_eq!(events(&store, audit).await, [AuditEvent::ClientApproved; 2]);
    store.set_client_disabled(&app.id, true, row(AuditEvent::ClientDisabled, START)).await.unwrap();
    assert!(found(&store).await.decision.is_some_and(|decision| !decision.approved));
}

async fn nobody_decides_about_a_client_that_an_operator_added_or_that_has_changed(store: Arc<dyn Store>) {
    let app = settle(&store, ClientOrigin::Manual).await;
    let document = Client { metadata: ClientMetadata { client_name: None, ..app.metadata.clone() }, ..document() };
    store.put_document_client(document.clone(), false, None).await.unwrap();
    let (decision, audit) = (seen(&app), store.newest_audit().await.unwrap());
    assert_eq!(store.decide_client(&app.id, decision, decided()).await.unwrap(), Update::NotFound);
    assert_eq!(store.decide_client(&client_id("nobody"), decision, decided()).await.unwrap(), Update::NotFound);
    // The document was fetched anew between `show` and `approve`.
    assert_eq!(store.decide_client(&document.id, decision, decided()).await.unwrap(), Update::NotFound);
    let foreign = AuditRow { tenant: mcpgate::oauth::TenantId::parse("other").unwrap(), ..decided() };
    assert_eq!(store.decide_client(&document.id, seen(&document), foreign).await.unwrap(), Update::NotFound);
    assert!(store.newest_audit().await.unwrap() == audit && found(&store).await.decision.is_none());
    assert_eq!(store.decide_client(&document.id, seen(&document), decided()).await.unwrap(), Update::Done);
    // A decision stays when the document is fetched with other content: by it, it is seen what was approved.
    let other = Client { metadata: app.metadata, decision: None, ..document.clone() };
    store.put_document_client(other, true, None).await.unwrap();
    let kept = store.find_client(&tenant(), &document.id).await.unwrap().unwrap();
    assert_eq!(kept.decision, Some(Box::new(seen(&document))));
}

fn document() -> Client {
    let id = mcpgate::oauth::ClientId::parse("https://app.example/client.json").unwrap();
    Client { id, ..client("described", ClientOrigin::MetadataDocument) }
}

fn seen(client: &Client) -> ClientDecision {
    ClientDecision { approved: true, seen: SeenClient::of(&client.metadata) }
}

fn request(name: &str, person: bool) -> Ephemeral {
    let page = interaction(name, START);
    Ephemeral {
        key: EphemeralKey { kind: EphemeralKind::ClientRequest, ..page.key },
        step: EphemeralStep::Consent,
        session: person.then(|| hash("session")),
        ..page
    }
}

async fn names(store: &Arc<dyn Store>, kind: EphemeralKind) -> Vec<EphemeralKey> {
    let listed = store.list_ephemerals(&tenant(), kind, START).await.unwrap();
    listed.into_iter().map(|one| one.key).collect()
}

async fn requests_are_listed_by_kind_until_they_expire_and_go_with_their_client(store: Arc<dyn Store>) {
    let app = settle(&store, ClientOrigin::Registered).await;
    let gone = Ephemeral { expires_at: START, ..request("gone", true) };
    let (first, second) = (request("first", true), request("second", false));
    for one in [gone, first.clone(), interaction("page", START), second.clone()] {
        store.put_ephemeral(one, LIMITS).await.unwrap();
    }
    let listed = store.list_ephemerals(&tenant(), EphemeralKind::ClientRequest, START).await.unwrap();
    assert_eq!(listed, [first, second]);
    assert_eq!(names(&store, EphemeralKind::Interaction).await, [interaction("page", START).key]);
    let other = mcpgate::oauth::TenantId::parse("other").unwrap();
    assert!(store.list_ephemerals(&other, EphemeralKind::ClientRequest, START).await.unwrap().is_empty());
    store.delete_client(&app.id, row(AuditEvent::ClientDeleted, START)).await.unwrap();
    assert!(names(&store, EphemeralKind::ClientRequest).await.is_empty());
}

async fn no_request_of_a_client_for_itself_pushes_out_that_of_a_person(store: Arc<dyn Store>) {
    settle(&store, ClientOrigin::Registered).await;
    let person = request("person", true);
    store.put_ephemeral(person.clone(), LIMITS).await.unwrap();
    for n in 0..20 {
        store.put_ephemeral(request(&format!("itself {n}"), false), LIMITS).await.unwrap();
    }
    let left = names(&store, EphemeralKind::ClientRequest).await;
    assert_eq!(left.len(), 3, "one of a person, two of the only host");
    assert!(left.contains(&person.key));
}
