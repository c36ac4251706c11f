//! What an operator changes of a client, and what ends by it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpgate::oauth::jose::JwkSet;
use mcpgate::oauth::{
    AuthMethod, Client, ClientId, ClientKeys, ClientLifetimes, ClientMetadata, ClientOrigin, CodeRecord, DocumentAge,
    DocumentSource, Lifetime, RegisteredRedirects, ResourceIndicator, TenantId,
};
use mcpgate::store::{
    AuditEvent, AuditRow, Change, ClientChange, Ephemeral, EphemeralKey, EphemeralKind, EphemeralStep, RedeemCode,
    Store,
};

use crate::world::*;

crate::on_every_store! {
    a_client_that_is_changed_keeps_its_sessions_and_what_is_pending_ends,
    a_change_ends_the_grants_that_it_no_longer_allows_and_no_others,
    a_change_of_a_client_that_is_not_as_it_was_seen_does_nothing,
    sessions_end_with_the_keys_they_were_opened_with_and_without_a_proof,
    the_lifetimes_of_a_client_are_kept,
}

fn edited() -> AuditRow {
    AuditRow { reason: Some("redirect_uris".to_owned()), ..row(AuditEvent::ClientEdited, START) }
}

/// Adds the client `app` of an operator, and accounts; returns the client.
async fn settle_with_operators(store: &Arc<dyn Store>) -> Client {
    let app = client("app", ClientOrigin::Manual);
    store.insert_client(app.clone(), 9, row(AuditEvent::ClientAdded, START)).await.unwrap();
    for name in ["alice", "bob"] {
        store.insert_account(account(name), row(AuditEvent::AccountAdded, START)).await.unwrap();
    }
    app
}

async fn found(store: &Arc<dyn Store>) -> Client {
    store.find_client(&tenant(), &client_id("app")).await.unwrap().unwrap()
}

fn with_redirect(client: &Client, uri: &str) -> Client {
    let redirect_uris = RegisteredRedirects::from_stored(vec![uri.to_owned()]);
    Client { metadata: ClientMetadata { redirect_uris, ..client.metadata.clone() }, ..client.clone() }
}

async fn a_client_that_is_changed_keeps_its_sessions_and_what_is_pending_ends(store: Arc<dyn Store>) {
    let before = settle_with_operators(&store).await;
    grant(&store, "g", START).await;
    issue(&store, code("pending", START)).await;
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    // CA-09: a used assertion stays used.
    let key = EphemeralKey { kind: EphemeralKind::ClientAssertion, ..interaction("assertion", START).key };
    let used = Ephemeral { key, step: EphemeralStep::Ended, browser: None, body: None, ..page.clone() };
    store.put_ephemeral(used.clone(), PENDING).await.unwrap();
    let second = interaction("second page", START);
    store.put_ephemeral(second.clone(), PENDING).await.unwrap();
    store.insert_code(code("c", START), second.key.hash, Some(consent(START)), edited()).await.unwrap();
    let before = Client { last_token_at: found(&store).await.last_token_at, ..before };
    let after = with_redirect(&before, "https://app.example/new");
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    let ended = store.change_client(ClientChange { before, after: after.clone() }, edited()).await.unwrap();
    assert_eq!((ended, found(&store).await), (Some(0), after));
    assert!(is_live(&store, "g token", START).await);
    assert_eq!(store.find_code(&tenant(), &hash("pending")).await.unwrap(), None);
    assert!(store.find_code(&tenant(), &hash("g")).await.unwrap().is_some(), "a replay of it is still recognised");
    assert_eq!(store.find_ephemeral(&page.key, START).await.unwrap(), None);
    assert_eq!(store.find_ephemeral(&used.key, START).await.unwrap(), Some(used));
    assert_eq!(store.find_consent(&consent_key()).await.unwrap(), None);
    assert_eq!(events(&store, audit).await, [AuditEvent::ClientEdited]);
    assert!(changes(&store, &change).await.is_empty());
}

async fn a_change_ends_the_grants_that_it_no_longer_allows_and_no_others(store: Arc<dyn Store>) {
    let free = settle_with_operators(&store).await;
    let other = ResourceIndicator::parse("https://gate.example/other").unwrap();
    for (name, resource, scope) in
        [("here", resource(), "read write"), ("there", other.clone(), "read"), ("narrow", resource(), "read")]
    {
        issue(&store, CodeRecord { resource, scopes: scopes(scope), ..code(name, START) }).await;
        let mut redeem = redeem(name, &format!("{name} token"), START);
        redeem.presented.resource = None;
        store.redeem_code(redeem).await.unwrap();
    }
    let live = async || {
        let mut live = Vec::new();
        for name in ["here", "there", "narrow"] {
            live.push(is_live(&store, &format!("{name} token"), START).await);
        }
        live
    };
    assert_eq!(live().await, [true, true, true]);
    let bound = Client { resource: Some(resource()), ..free.clone() };
    let change = store.newest_change().await.unwrap();
    let ended = store.change_client(ClientChange { before: free, after: bound.clone() }, edited()).await.unwrap();
    assert_eq!((ended, live().await), (Some(1), vec![true, false, true]));
    assert_eq!(changes(&store, &change).await, [Change::GrantRevoked(tenant(), grant_id("there"))]);
    assert_eq!(found(&store).await.resource, Some(resource()));
    let metadata = ClientMetadata { scope: Some(scopes("read")), ..bound.metadata.clone() };
    let limited = Client { metadata, ..bound.clone() };
    let ended = store.change_client(ClientChange { before: bound, after: limited.clone() }, edited()).await.unwrap();
    assert_eq!((ended, live().await), (Some(1), vec![false, false, true]));
    let free = Client { resource: None, ..limited.clone() };
    let ended = store.change_client(ClientChange { before: limited, after: free }, edited()).await.unwrap();
    assert_eq!((ended, live().await), (Some(0), vec![false, false, true]));
}

async fn sessions_end_with_the_keys_they_were_opened_with_and_without_a_proof(store: Arc<dyn Store>) {
    let first = settle_with_operators(&store).await;
    let set = |n: u8| {
        let x = URL_SAFE_NO_PAD.encode([n; 32]);
        let text = serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).to_string();
        Arc::new(ClientKeys::Set(JwkSet::parse(text.as_bytes()).unwrap()))
    };
    let with = |method: AuthMethod, keys: Option<Arc<ClientKeys>>| {
        let metadata = ClientMetadata { token_endpoint_auth_method: method, keys, ..first.metadata.clone() };
        Client { metadata, ..first.clone() }
    };
    let mut before = first.clone();
    let mut change = async |after: Client, ends: u64| {
        before.last_token_at = found(&store).await.last_token_at;
        let change = ClientChange { before: before.clone(), after: after.clone() };
        assert_eq!(store.change_client(change, edited()).await.unwrap(), Some(ends));
        before = after;
    };
    change(with(AuthMethod::PrivateKeyJwt, Some(set(1))), 0).await;
    issue(&store, code("signed", START)).await;
    store.redeem_code(RedeemCode { by_assertion: true, ..redeem("signed", "signed token", START) }).await.unwrap();
    issue(&store, code("pending", START)).await;
    change(with(AuthMethod::PrivateKeyJwt, Some(set(2))), 1).await;
    assert!(!is_live(&store, "signed token", START).await);
    assert_eq!(store.find_code(&tenant(), &hash("pending")).await.unwrap(), None);
    change(with(AuthMethod::ClientSecretBasic, None), 0).await;
    grant(&store, "secret", START).await;
    change(with(AuthMethod::None, None), 1).await;
    assert!(!is_live(&store, "secret token", START).await);
}

async fn a_change_of_a_client_that_is_not_as_it_was_seen_does_nothing(store: Arc<dyn Store>) {
    let seen = settle_with_operators(&store).await;
    let (first, second) =
        (with_redirect(&seen, "https://app.example/1"), with_redirect(&seen, "https://app.example/2"));
    let change = |after: &Client| ClientChange { before: seen.clone(), after: after.clone() };
    assert_eq!(store.change_client(change(&first), edited()).await.unwrap(), Some(0));
    let audit = store.newest_audit().await.unwrap();
    assert_eq!(store.change_client(change(&second), edited()).await.unwrap(), None);
    let other = AuditRow { tenant: TenantId::parse("other").unwrap(), ..edited() };
    let again = ClientChange { before: first.clone(), after: second };
    assert_eq!(store.change_client(again, other).await.unwrap(), None, "another tenant's");
    assert_eq!(found(&store).await, first);
    assert!(events(&store, audit).await.is_empty());
}

async fn the_lifetimes_of_a_client_are_kept(store: Arc<dyn Store>) {
    let before = settle_with_operators(&store).await;
    let (hours, days) = (Some(Lifetime::from_secs(4 * 3600)), Some(Lifetime::from_secs(7 * 86_400)));
    let lifetimes = ClientLifetimes { access: hours, refresh_idle: days, refresh_absolute: None };
    let after = Client { lifetimes, ..before.clone() };
    let ended =
        store.change_client(ClientChange { before: before.clone(), after: after.clone() }, edited()).await.unwrap();
    assert_eq!((ended, found(&store).await), (Some(0), after.clone()));
    let again = ClientChange { before, after: after.clone() };
    assert_eq!(store.change_client(again, edited()).await.unwrap(), None, "they are part of what was seen");
    store.set_client_disabled(&after.id, true, row(AuditEvent::ClientDisabled, START)).await.unwrap();
    assert_eq!(found(&store).await.lifetimes, lifetimes);
    let id = ClientId::parse("https://app.example/client.json").unwrap();
    let document = Some(DocumentAge { fetched_at: START, fresh_until: START, source: DocumentSource::Fetched });
    let described =
        Client { id: id.clone(), document, lifetimes, ..client("described", ClientOrigin::MetadataDocument) };
    store.put_document_client(described.clone(), false, None).await.unwrap();
    let anew = Client { lifetimes: ClientLifetimes::default(), ..described };
    store.put_document_client(anew, false, None).await.unwrap();
    let kept = store.find_client(&tenant(), &id).await.unwrap().unwrap();
    assert_eq!(kept.lifetimes, lifetimes, "a new document does not change what an operator decided");
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}
