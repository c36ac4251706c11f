//! The sweep removes expired records, and nothing else.

use std::sync::Arc;

use mcpgate::oauth::{ClientId, ClientOrigin, DocumentAge, DocumentSource, Lifetime, Timestamp};
use mcpgate::store::{AuditEvent, Redemption, Rotation, Store};

use crate::world::*;

crate::on_every_store! {
    what_lives_is_left_alone,
    what_has_ended_goes,
    st_18_a_used_code_is_kept_as_long_as_its_grant,
    st_17_many_rows_go_in_batches,
    rg_14_clients_nobody_used_are_forgotten,
}

const UNUSED_AFTER: Lifetime = DAY;

async fn sweep(store: &Arc<dyn Store>, at: Timestamp) -> u64 {
    store.sweep(at, UNUSED_AFTER).await.unwrap()
}

async fn everything(store: &Arc<dyn Store>) {
    settle(store).await;
    grant(store, "g", START).await;
    issue(store, code("unused", START)).await;
    let audit = || row(AuditEvent::LoginSucceeded, START);
    store.insert_session(session("s", "alice", START), None, Some(START), audit()).await.unwrap();
    let link = setup_link("l", "bob", START);
    store.insert_setup_link(link, audit()).await.unwrap();
    let page = interaction("remembering", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    store.insert_code(code("c", START), page.key.hash, Some(consent(START)), audit()).await.unwrap();
    store.put_ephemeral(interaction("waiting", START), PENDING).await.unwrap();
}

async fn what_lives_is_left_alone(store: Arc<dyn Store>) {
    everything(&store).await;
    assert_eq!(sweep(&store, START.plus(Lifetime::from_secs(59))).await, 0);
    assert!(is_live(&store, "g token", START).await);
    assert!(store.find_code(&tenant(), &hash("unused")).await.unwrap().is_some());
    assert!(store.touch_session(&tenant(), &hash("s"), START).await.unwrap().is_some());
    assert!(store.find_setup_link(&tenant(), &hash("l"), START).await.unwrap().is_some());
    assert!(store.find_ephemeral(&interaction("waiting", START).key, START).await.unwrap().is_some());
}

async fn what_has_ended_goes(store: Arc<dyn Store>) {
    everything(&store).await;
    // In turn: 2 unused codes; 4 interactions; token, session and link; consent; the grant; the client unused for long.
    for (at, gone) in [
        (START.plus(MINUTE), 2),
        (START.plus(Lifetime::from_secs(600)), 4),
        (START.plus(HOUR), 3),
        (START.plus(DAY), 1),
        (START.plus(Lifetime::from_secs(30 * 86_400)), 1),
        (START.plus(Lifetime::from_secs(90 * 86_400)), 1),
    ] {
        assert_eq!(sweep(&store, Timestamp::from_millis(at.as_millis() - 1)).await, 0, "before {at:?}");
        assert_eq!(sweep(&store, at).await, gone, "at {at:?}");
        assert_eq!(sweep(&store, at).await, 0, "again at {at:?}");
    }
    assert_eq!(store.find_grant(&tenant(), grant_id("g")).await.unwrap(), None);
    assert_eq!(store.find_code(&tenant(), &hash("g")).await.unwrap(), None);
    // Accounts and the audit trail stay.
    assert_eq!(store.list_accounts(&tenant()).await.unwrap().len(), 2);
    assert!(store.newest_audit().await.unwrap() > 5);
}

async fn st_18_a_used_code_is_kept_as_long_as_its_grant(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    let late = START.plus(Lifetime::from_secs(29 * 86_400));
    sweep(&store, late).await;
    let replay = store.redeem_code(redeem("g", "x", late)).await.unwrap();
    assert!(matches!(replay, Redemption::Replayed(Some(_))), "{replay:?}");
    // For a day a revoked family is still distinguished from an unknown one.
    sweep(&store, late.plus(HOUR)).await;
    let dead = store.rotate_refresh_token(rotate("g", 0, "x", late.plus(HOUR))).await.unwrap();
    assert!(matches!(dead, Rotation::Refused(_)), "{dead:?}");
    sweep(&store, late.plus(DAY)).await;
    let gone = store.rotate_refresh_token(rotate("g", 0, "x", late.plus(DAY))).await.unwrap();
    assert!(matches!(gone, Rotation::Unknown), "{gone:?}");
    assert!(matches!(store.redeem_code(redeem("g", "x", late.plus(DAY))).await.unwrap(), Redemption::Unknown));
}

async fn st_17_many_rows_go_in_batches(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    for n in 0..2500 {
        let page = interaction(&format!("left {n}"), START);
        store.put_ephemeral(mcpgate::store::Ephemeral { client: None, body: None, ..page }, PENDING).await.unwrap();
    }
    // The token, its consent interaction, and the unanswered ones.
    assert_eq!(sweep(&store, START.plus(HOUR)).await, 2502);
    assert!(store.live_access_tokens(0, 10_000, START).await.unwrap().0.is_empty());
    assert!(matches!(
        store.rotate_refresh_token(rotate("g", 0, "next", START.plus(HOUR))).await.unwrap(),
        Rotation::Rotated(..)
    ));
}

async fn rg_14_clients_nobody_used_are_forgotten(store: Arc<dyn Store>) {
    settle(&store).await;
    let added = || row(AuditEvent::ClientRegistered, START);
    for (name, origin) in [
        ("unused", ClientOrigin::Registered),
        ("manual", ClientOrigin::Manual),
        ("off", ClientOrigin::Registered),
        ("waiting", ClientOrigin::Registered),
    ] {
        store.insert_client(client(name, origin), 100, added()).await.unwrap();
    }
    let document = ClientId::parse("https://app.example/client.json").unwrap();
    let document = mcpgate::oauth::Client { id: document, ..client("x", ClientOrigin::MetadataDocument) };
    store.put_document_client(document.clone(), false, Some(added())).await.unwrap();
    let age = DocumentAge { fetched_at: START, fresh_until: START, source: DocumentSource::Imported };
    let imported = ClientId::parse("https://app.example/imported.json").unwrap();
    let imported = mcpgate::oauth::Client { id: imported, document: Some(age), ..document.clone() };
    store.put_document_client(imported.clone(), false, Some(added())).await.unwrap();
    store.set_client_disabled(&client_id("off"), true, row(AuditEvent::ClientDisabled, START)).await.unwrap();
    grant(&store, "g", START).await;
    let day = START.plus(UNUSED_AFTER);
    let waiting = mcpgate::store::Ephemeral { client: Some(client_id("waiting")), ..interaction("w", day) };
    store.put_ephemeral(waiting, PENDING).await.unwrap();
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    sweep(&store, day).await;
    let names: Vec<_> = store.list_clients(&tenant()).await.unwrap().into_iter().map(|c| c.id).collect();
    let kept = ["app", "manual", "off", "waiting"].map(client_id).into_iter().chain([imported.id]);
    assert_eq!(names, kept.collect::<Vec<_>>());
    let removed = rows(&store, audit).await;
    assert!(removed.iter().all(|r| r.event == AuditEvent::ClientDeleted && r.reason.as_deref() == Some("unused")));
    assert_eq!((removed.len(), changes(&store, &change).await.len()), (2, 2));
}
