//! The noted time, and the repair of records written under a wrong clock.

use std::sync::Arc;

use mcpgate::oauth::{Client, ClientOrigin, ClientSecretHash, DocumentAge, DocumentSource, Lifetime, Timestamp};
use mcpgate::store::{
    AuditEvent, Change, ClockNote, Ephemeral, EphemeralKey, EphemeralKind, EphemeralStep, Insertion, LoginPlace,
    Rotation, SecretRotation, SetupLink, Store,
};

use crate::world::*;

crate::on_every_store! {
    the_newest_moment_is_noted_and_who_accepted_it,
    what_was_made_by_a_clock_that_was_ahead_ends_or_counts_from_now,
    what_was_made_in_time_is_left_alone,
    times_that_a_clock_that_was_ahead_has_written_become_now,
    a_secret_that_has_ended_stays_ended,
    no_pending_authorization_outlives_a_clock_that_goes_back,
    no_used_assertion_is_forgotten_when_the_clock_goes_back,
    a_secret_that_was_replaced_by_a_clock_that_was_ahead_works_no_longer_than_others,
    a_session_that_was_used_while_the_clock_was_ahead_ends_as_if_used_now,
    no_client_makes_room_on_the_word_of_a_clock_that_is_ahead,
}

const AHEAD: Lifetime = Lifetime::from_secs(200 * 86_400);

async fn the_newest_moment_is_noted_and_who_accepted_it(store: Arc<dyn Store>) {
    assert_eq!(store.clock_note().await.unwrap(), None);
    settle(&store).await;
    let note = async || store.clock_note().await.unwrap().unwrap();
    assert_eq!(note().await, ClockNote { seen_at: START, accepted_at: None }, "the time of the newest audit row");
    let (later, last) = (START.plus(MINUTE), START.plus(HOUR));
    store.note_time(later).await.unwrap();
    assert_eq!(note().await, ClockNote { seen_at: later, accepted_at: None });
    let before = store.newest_audit().await.unwrap();
    store.accept_time(row(AuditEvent::ClockAccepted, START)).await.unwrap();
    assert_eq!(note().await, ClockNote { seen_at: START, accepted_at: Some(START) });
    assert_eq!(events(&store, before).await, [AuditEvent::ClockAccepted]);
    store.note_time(last).await.unwrap();
    assert_eq!(note().await, ClockNote { seen_at: last, accepted_at: Some(START) });
}

async fn everything(store: &Arc<dyn Store>, at: Timestamp) {
    grant(store, &format!("made {at:?}"), at).await;
    issue(store, code(&format!("unused {at:?}"), at)).await;
    let name = format!("session {at:?}");
    let begun = row(AuditEvent::LoginSucceeded, at);
    store.insert_session(session(&name, "alice", at), None, Some(START), begun).await.unwrap();
    let page = interaction(&format!("page {at:?}"), at);
    store.put_ephemeral(page, PENDING).await.unwrap();
    let link = link(at);
    store.insert_setup_link(link, row(AuditEvent::SetupLinkMade, at)).await.unwrap();
}

fn link(at: Timestamp) -> SetupLink {
    let hash = hash(&format!("link {at:?}"));
    SetupLink { hash, tenant: tenant(), subject: subject("bob"), made_at: Some(at), expires_at: at.plus(HOUR) }
}

async fn what_was_made_by_a_clock_that_was_ahead_ends_or_counts_from_now(store: Arc<dyn Store>) {
    settle(&store).await;
    let (later, now) = (START.plus(AHEAD), START.plus(MINUTE));
    grant(&store, "refreshed", START).await;
    let answer = store.rotate_refresh_token(rotate("refreshed", 0, "r1", START.plus(DAY))).await.unwrap();
    let (refreshed, _) = rotated(answer);
    everything(&store, later).await;
    let made = format!("made {later:?}");
    rotated(store.rotate_refresh_token(rotate(&made, 0, "r2 of made", now)).await.unwrap());
    let change = store.newest_change().await.unwrap();
    assert!(store.turn_back(now, now).await.unwrap() > 0);
    let found = async |name: &str| store.find_grant(&tenant(), grant_id(name)).await.unwrap().unwrap();
    let made = found(&made).await;
    assert_eq!((made.created_at, made.authenticated_at, made.consented_at), (now, now, now));
    assert!(!is_live(&store, "r2 of made", now).await, "its user consented while the clock was ahead");
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    assert_eq!(made.expires_at, now.plus(Lifetime::from_secs(90 * 86_400)));
    assert_eq!(made.idle_until, now.plus(Lifetime::from_secs(30 * 86_400)));
    let kept = found("refreshed").await;
    assert_eq!((kept.created_at, kept.expires_at), (refreshed.created_at, refreshed.expires_at));
    assert_eq!((kept.idle_until, kept.generation), (now.plus(Lifetime::from_secs(30 * 86_400)), 1));
    assert!(now.since(kept.rotated_at) > GRACE, "the grace does not begin again");
    assert!(!is_live(&store, &format!("made {later:?} token"), later).await && !is_live(&store, "r1", later).await);
    assert!(is_live(&store, "refreshed token", now).await);
    let told = changes(&store, &change).await;
    assert!(told.contains(&Change::AccessTokenRevoked(tenant(), hash("r1"))));
    assert!(store.find_code(&tenant(), &hash(&format!("unused {later:?}"))).await.unwrap().is_none());
    assert!(store.touch_session(&tenant(), &hash(&format!("session {later:?}")), later).await.unwrap().is_none());
    let page = interaction(&format!("page {later:?}"), later).key;
    assert!(store.find_ephemeral(&page, later).await.unwrap().is_none());
    assert!(store.find_setup_link(&tenant(), &link(later).hash, later).await.unwrap().is_none());
    // The grant can be refreshed as usual.
    let answer = store.rotate_refresh_token(rotate("refreshed", 1, "r2", now)).await.unwrap();
    assert!(matches!(answer, Rotation::Rotated(..)), "{answer:?}");
    assert_eq!(store.turn_back(now, now).await.unwrap(), 0, "once");
}

async fn what_was_made_in_time_is_left_alone(store: Arc<dyn Store>) {
    settle(&store).await;
    everything(&store, START.plus(MINUTE)).await;
    assert_eq!(store.turn_back(START, START).await.unwrap(), 0);
    assert!(is_live(&store, &format!("made {:?} token", START.plus(MINUTE)), START).await);
}

async fn times_that_a_clock_that_was_ahead_has_written_become_now(store: Arc<dyn Store>) {
    settle(&store).await;
    let later = START.plus(AHEAD);
    let alice = subject("alice");
    let places = [LoginPlace::Host([192, 0, 2, 1].into()), LoginPlace::Network([192, 0, 2, 0].into())];
    grant(&store, "g", later).await;
    store.note_activity(&[(tenant(), grant_id("g"), later)]).await.unwrap();
    let new = ClientSecretHash { hash: hash("secret"), created_at: later, until: None };
    let rotated = SecretRotation { new, previous_until: later };
    store.rotate_client_secret(&client_id("app"), rotated, row(AuditEvent::ClientSecretRotated, later)).await.unwrap();
    store.record_login_success(sign_in("alice", places, later), alice.clone()).await.unwrap();
    store.record_login_failure(sign_in("alice", places, later), Some(alice.clone())).await.unwrap();
    let document =
        Some(DocumentAge { fetched_at: later, fresh_until: later.plus(DAY), source: DocumentSource::Imported });
    let known = Client { document, ..client("https://app.example/client", ClientOrigin::MetadataDocument) };
    store.put_document_client(known.clone(), false, Some(row(AuditEvent::ClientAdded, later))).await.unwrap();
    store.turn_back(START, START).await.unwrap();
    let found = async |id| store.find_client(&tenant(), &id).await.unwrap().unwrap();
    let client = found(client_id("app")).await;
    assert_eq!((client.last_token_at, client.last_used_at), (Some(START), Some(START)));
    assert_eq!(client.secrets.first().map(|secret| secret.created_at), Some(START));
    let used = store.find_grant(&tenant(), grant_id("g")).await.unwrap().unwrap();
    assert_eq!(used.last_used_at, Some(START));
    assert_eq!(
        found(known.id).await.document,
        Some(DocumentAge { fetched_at: START, fresh_until: START, source: DocumentSource::Imported })
    );
    let history = store.find_login(sign_in("alice", places, START), Some(login_name("alice"))).await.unwrap();
    assert_eq!((history.last_logins, history.failures), ([Some(START); 2], 1));
    let forgotten =
        store.find_login(sign_in("alice", places, START.plus(DAY)), Some(login_name("alice"))).await.unwrap();
    assert_eq!(forgotten.failures, 0, "a day after the clock was corrected");
    let account = store.find_account(&tenant(), &alice).await.unwrap().unwrap();
    assert_eq!((account.last_failed_at, account.failed_logins), (Some(START), 1));
}

async fn a_secret_that_has_ended_stays_ended(store: Arc<dyn Store>) {
    settle(&store).await;
    let app = client_id("app");
    for (name, until) in [("first", START), ("second", START.plus(HOUR))] {
        let audit = row(AuditEvent::ClientSecretRotated, START);
        let new = ClientSecretHash { hash: hash(name), created_at: START, until: None };
        store.rotate_client_secret(&app, SecretRotation { new, previous_until: until }, audit).await.unwrap();
    }
    let secrets = async || store.find_client(&tenant(), &app).await.unwrap().unwrap().secrets.len();
    assert_eq!(secrets().await, 2);
    assert_eq!(store.turn_back(START.plus(MINUTE), START).await.unwrap(), 0);
    assert_eq!(store.turn_back(START.plus(HOUR), START).await.unwrap(), 1);
    assert_eq!(secrets().await, 1);
}

async fn no_pending_authorization_outlives_a_clock_that_goes_back(store: Arc<dyn Store>) {
    settle(&store).await;
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let is_there = async || store.find_ephemeral(&page.key, START).await.unwrap().is_some();
    assert_eq!(store.turn_back(START.plus(MINUTE), START).await.unwrap(), 0);
    assert!(is_there().await);
    assert_eq!(store.turn_back(START.plus(HOUR), START).await.unwrap(), 1);
    assert!(!is_there().await);
}

/// By the earlier clock it may be valid again, and would be used a second time.
async fn no_used_assertion_is_forgotten_when_the_clock_goes_back(store: Arc<dyn Store>) {
    settle(&store).await;
    for (name, at) in [("in time", START), ("ahead", START.plus(AHEAD))] {
        let page = interaction(name, at);
        let key = EphemeralKey { kind: EphemeralKind::ClientAssertion, ..page.key };
        let used = Ephemeral { key, step: EphemeralStep::Ended, ..page };
        assert_eq!(store.put_ephemeral(used.clone(), PENDING).await.unwrap(), Insertion::Inserted);
        assert_eq!(store.turn_back(at.plus(HOUR), START).await.unwrap(), 0);
        assert_eq!(store.put_ephemeral(used, PENDING).await.unwrap(), Insertion::Exists, "{name}");
    }
}

async fn a_secret_that_was_replaced_by_a_clock_that_was_ahead_works_no_longer_than_others(store: Arc<dyn Store>) {
    settle(&store).await;
    let app = client_id("app");
    let ends = async || {
        let client = store.find_client(&tenant(), &app).await.unwrap().unwrap();
        client.secrets.into_iter().map(|secret| (secret.hash, secret.until)).collect::<Vec<_>>()
    };
    let replace = async |name: &str, until| {
        let audit = row(AuditEvent::ClientSecretRotated, START);
        let new = ClientSecretHash { hash: hash(name), created_at: START, until: None };
        store.rotate_client_secret(&app, SecretRotation { new, previous_until: until }, audit).await.unwrap();
    };
    replace("first", START).await;
    let (latest, in_time) = (START.plus(DAY), START.plus(DAY).plus(MINUTE));
    replace("second", in_time).await;
    assert_eq!(
        store.shorten_secrets(latest).await.unwrap(),
        0,
        "a small correction does not mean that the clock was ahead"
    );
    assert_eq!(ends().await, [(hash("second"), None), (hash("first"), Some(in_time))]);
    replace("third", START.plus(AHEAD)).await;
    assert_eq!(store.shorten_secrets(latest).await.unwrap(), 1);
    assert_eq!(ends().await, [(hash("third"), None), (hash("second"), Some(latest))]);
    assert_eq!(store.shorten_secrets(latest).await.unwrap(), 0, "once");
    assert!(store.check().await.unwrap().is_empty());
}

async fn a_session_that_was_used_while_the_clock_was_ahead_ends_as_if_used_now(store: Arc<dyn Store>) {
    settle(&store).await;
    let begun = row(AuditEvent::LoginSucceeded, START);
    store.insert_session(session("s", "alice", START), None, Some(START), begun).await.unwrap();
    let touch = async |at| store.touch_session(&tenant(), &hash("s"), at).await.unwrap().map(|s| s.idle_until);
    let ahead = START.plus(Lifetime::from_secs(30 * 60));
    assert_eq!(touch(ahead).await, Some(ahead.plus(HOUR)));
    assert_eq!(store.turn_back(ahead, ahead).await.unwrap(), 0, "the session was used in time");
    let now = START.plus(MINUTE);
    assert_eq!(store.turn_back(now, now).await.unwrap(), 1);
    assert_eq!(store.turn_back(now, now).await.unwrap(), 0, "once");
    assert_eq!(touch(now.plus(HOUR)).await, None, "the session has ended");
    assert!(store.check().await.unwrap().is_empty());
}

async fn no_client_makes_room_on_the_word_of_a_clock_that_is_ahead(store: Arc<dyn Store>) {
    let register = async |name: &str, at| {
        let row = row(AuditEvent::ClientRegistered, at);
        store.insert_client(client(name, ClientOrigin::Registered), 1, row).await.unwrap()
    };
    assert_eq!(register("first", START).await, Insertion::Inserted);
    store.note_time(START).await.unwrap();
    assert_eq!(register("second", START.plus(AHEAD)).await, Insertion::Full);
    store.note_time(START.plus(HOUR)).await.unwrap();
    assert_eq!(register("second", START.plus(HOUR)).await, Insertion::Inserted, "unused for an hour");
}
