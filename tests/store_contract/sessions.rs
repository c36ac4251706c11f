//! Login sessions and pending authorizations: they end on time, and each step is taken once.

use std::sync::Arc;

use mcpgate::oauth::{Lifetime, TenantId, Timestamp};
use mcpgate::store::{
    Account, Advance, AuditEvent, ConsentKey, Ephemeral, EphemeralKey, EphemeralStep, LoginSession, SessionHash, Store,
    StoreError, Update,
};

use crate::world::*;

crate::on_every_store! {
    a_session_lives_while_it_is_used,
    a_use_of_a_session_is_written_once_a_minute_and_one_of_none_never,
    a_new_session_replaces_the_old,
    a_session_begins_only_by_the_password_that_the_account_has,
    an_interaction_is_found_until_it_ends,
    a_step_is_taken_once,
    consent_is_told_apart_by_all_it_is_about,
    consent_ends_with_its_grant_with_all_grants_and_with_a_denial,
    cr_09_nothing_is_found_or_moved_by_another_tenant,
}

async fn a_session_lives_while_it_is_used(store: Arc<dyn Store>) {
    settle(&store).await;
    let login = session("s", "alice", START);
    store.insert_session(login.clone(), None, Some(START), row(AuditEvent::LoginSucceeded, START)).await.unwrap();
    let mut now = START;
    let almost_idle = Lifetime::from_millis(HOUR.as_millis() - 1);
    while now.plus(almost_idle) < login.expires_at {
        now = now.plus(almost_idle);
        let touched = store.touch_session(&tenant(), &login.hash, now).await.unwrap().unwrap();
        let idle_until = now.plus(HOUR).min(login.expires_at);
        assert_eq!(touched, LoginSession { idle_until, ..login.clone() });
    }
    assert_eq!(store.touch_session(&tenant(), &login.hash, login.expires_at).await.unwrap(), None);
    store
        .insert_session(session("idle", "alice", START), None, Some(START), row(AuditEvent::LoginSucceeded, START))
        .await
        .unwrap();
    assert_eq!(store.touch_session(&tenant(), &hash("idle"), START.plus(HOUR)).await.unwrap(), None);
    let logged_out = || row(AuditEvent::LoggedOut, START);
    assert_eq!(store.delete_session(&hash("idle"), logged_out()).await.unwrap(), Update::Done);
    assert_eq!(store.delete_session(&hash("idle"), logged_out()).await.unwrap(), Update::NotFound);
    assert_eq!(store.touch_session(&tenant(), &hash("idle"), START).await.unwrap(), None);
}

async fn a_use_of_a_session_is_written_once_a_minute_and_one_of_none_never(store: Arc<dyn Store>) {
    settle(&store).await;
    let login = session("s", "alice", START);
    let short = LoginSession { hash: hash("short"), idle: MINUTE, idle_until: START.plus(MINUTE), ..login.clone() };
    for new in [&login, &short] {
        let logged_in = row(AuditEvent::LoginSucceeded, START);
        store.insert_session(new.clone(), None, Some(START), logged_in).await.unwrap();
    }
    store.put_ephemeral(interaction("page", START), PENDING).await.unwrap();
    let before = store.stats().operations;
    let touched = async |hash: SessionHash, after: u64| {
        let now = START.plus(Lifetime::from_millis(after));
        store.touch_session(&tenant(), &hash, now).await.unwrap()
    };
    for after in [0, 1, 30_000, 59_999] {
        assert_eq!(touched(login.hash, after).await.as_ref(), Some(&login), "{after}");
        assert_eq!(touched(hash("nothing"), after).await, None);
        // The key of a pending interaction: it exists, but is not a session.
        let page = *interaction("page", START).key.hash.as_bytes();
        assert_eq!(touched(SessionHash::from_stored(page), after).await, None);
    }
    assert_eq!(touched(short.hash, 5_999).await.as_ref(), Some(&short));
    assert_eq!(store.stats().operations, before, "the writer was not used");

    let later = START.plus(MINUTE).plus(HOUR);
    assert_eq!(touched(login.hash, 60_000).await.unwrap().idle_until, later);
    assert_eq!(touched(login.hash, 60_001).await.unwrap().idle_until, later);
    assert_eq!(
        touched(login.hash, 0).await.unwrap().idle_until,
        later,
        "a clock that is set back does not shorten the session"
    );
    // A session with an idle limit of a minute does not end while it is used.
    for after in [50_000, 100_000, 150_000] {
        let idle_until = START.plus(Lifetime::from_millis(after)).plus(MINUTE);
        assert_eq!(touched(short.hash, after).await.unwrap().idle_until, idle_until);
    }
    assert_eq!(touched(short.hash, 210_000).await, None);
}

async fn a_new_session_replaces_the_old(store: Arc<dyn Store>) {
    settle(&store).await;
    let logged_in = || row(AuditEvent::LoginSucceeded, START);
    store.insert_session(session("old", "alice", START), None, Some(START), logged_in()).await.unwrap();
    store.insert_session(session("new", "bob", START), Some(hash("old")), Some(START), logged_in()).await.unwrap();
    assert_eq!(store.touch_session(&tenant(), &hash("old"), START).await.unwrap(), None);
    assert_eq!(store.touch_session(&tenant(), &hash("new"), START).await.unwrap().unwrap().subject, subject("bob"));
}

async fn a_session_begins_only_by_the_password_that_the_account_has(store: Arc<dyn Store>) {
    settle(&store).await;
    let before = store.newest_audit().await.unwrap();
    let begin = async |name: &str, of: &str, password_set_at| {
        let login = session(name, of, START);
        store.insert_session(login, None, password_set_at, row(AuditEvent::LoginSucceeded, START)).await.unwrap()
    };
    assert_eq!(begin("x", "nobody", Some(START)).await, Update::NotFound);
    // The password that was compared has since been replaced or removed.
    assert_eq!(begin("late", "alice", Some(START.plus(MINUTE))).await, Update::NotFound);
    assert_eq!(begin("late", "alice", None).await, Update::NotFound);
    let off = row(AuditEvent::AccountDisabled, START);
    store.set_account_disabled(&subject("alice"), true, off).await.unwrap();
    assert_eq!(begin("late", "alice", Some(START)).await, Update::NotFound);
    assert_eq!(store.touch_session(&tenant(), &hash("late"), START).await.unwrap(), None);
    assert_eq!(begin("good", "bob", Some(START)).await, Update::Done);
    assert_eq!(events(&store, before).await, [AuditEvent::AccountDisabled, AuditEvent::LoginSucceeded]);
}

async fn an_interaction_is_found_until_it_ends(store: Arc<dyn Store>) {
    settle(&store).await;
    let account_page = Ephemeral { client: None, body: None, ..interaction("account", START) };
    for page in [interaction("page", START), account_page] {
        store.put_ephemeral(page.clone(), PENDING).await.unwrap();
        assert_eq!(store.find_ephemeral(&page.key, START).await.unwrap().as_ref(), Some(&page));
        assert_eq!(store.find_ephemeral(&page.key, page.expires_at).await.unwrap(), None);
        let end = Advance { from: page.step, to: EphemeralStep::Ended, session: None, body: None };
        let ended = store.advance_ephemeral(&page.key, end, PENDING, START).await;
        assert_eq!(ended.unwrap(), Update::Done);
        let found = store.find_ephemeral(&page.key, START).await.unwrap().unwrap();
        assert_eq!(found.step, EphemeralStep::Ended);
    }
    let unknown = Ephemeral { client: Some(client_id("unknown")), ..interaction("unknown", START) };
    assert!(matches!(store.put_ephemeral(unknown, PENDING).await, Err(StoreError::Conflict(_))));
    let monster = Ephemeral { body: Some("x".repeat(70_000)), ..interaction("monster", START) };
    assert!(matches!(store.put_ephemeral(monster, PENDING).await, Err(StoreError::Conflict(_))));
}

async fn a_step_is_taken_once(store: Arc<dyn Store>) {
    settle(&store).await;
    let page = Ephemeral { step: EphemeralStep::LogIn, ..interaction("page", START) };
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let advance = |from, to, session, at: Timestamp| {
        let by = Advance { from, to, session, body: None };
        let advanced = store.advance_ephemeral(&page.key, by, PENDING, at);
        async { advanced.await.unwrap() }
    };
    let (log_in, consent) = (EphemeralStep::LogIn, EphemeralStep::Consent);
    assert_eq!(advance(log_in, consent, Some(hash("s")), page.expires_at).await, Update::NotFound);
    assert_eq!(advance(log_in, consent, Some(hash("s")), START).await, Update::Done);
    assert_eq!(advance(log_in, consent, Some(hash("other")), START).await, Update::NotFound);
    let found = store.find_ephemeral(&page.key, START).await.unwrap().unwrap();
    assert_eq!((found.step, found.session), (consent, Some(hash("s"))));
    // A step without a session keeps the bound session.
    assert_eq!(advance(consent, log_in, None, START).await, Update::Done);
    let found = store.find_ephemeral(&page.key, START).await.unwrap().unwrap();
    assert_eq!((found.step, found.session), (log_in, Some(hash("s"))));
}

async fn consent_is_told_apart_by_all_it_is_about(store: Arc<dyn Store>) {
    settle(&store).await;
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let issued = row(AuditEvent::CodeIssued, START);
    store.insert_code(code("a", START), page.key.hash, Some(consent(START)), issued).await.unwrap();
    let elsewhere = mcpgate::oauth::ResourceIndicator::parse("https://gate.example/two").unwrap();
    assert!(store.find_consent(&consent_key()).await.unwrap().is_some());
    for another in [
        ConsentKey { subject: subject("bob"), ..consent_key() },
        ConsentKey { client: client_id("two"), ..consent_key() },
        ConsentKey { resource: elsewhere, ..consent_key() },
        ConsentKey { tenant: TenantId::parse("other").unwrap(), ..consent_key() },
    ] {
        assert_eq!(store.find_consent(&another).await.unwrap(), None, "{another:?}");
    }
}

async fn consent_ends_with_its_grant_with_all_grants_and_with_a_denial(store: Arc<dyn Store>) {
    settle(&store).await;
    let remembered = || async { store.find_consent(&consent_key()).await.unwrap().is_some() };
    for ended_by in ["revoke_grant", "revoke_grants", "deny"] {
        let page = interaction(ended_by, START);
        store.put_ephemeral(page.clone(), PENDING).await.unwrap();
        let issued = row(AuditEvent::CodeIssued, START);
        store.insert_code(code(ended_by, START), page.key.hash, Some(consent(START)), issued).await.unwrap();
        store.redeem_code(redeem(ended_by, &format!("{ended_by} token"), START)).await.unwrap();
        assert!(remembered().await);
        let audit = row(AuditEvent::GrantRevoked, START);
        match ended_by {
            "revoke_grant" => {
                store.revoke_grant(grant_id(ended_by), audit).await.unwrap();
            }
            "revoke_grants" => {
                store.revoke_grants(&grants_of(Some(&subject("alice")), Some(&client_id("app"))), audit).await.unwrap();
            }
            _ => {
                let page = interaction("denied", START);
                store.put_ephemeral(page.clone(), PENDING).await.unwrap();
                let denied = consent_key();
                let deny = || store.deny_interaction(&page.key, &denied, audit.clone());
                assert_eq!(deny().await.unwrap(), Update::Done);
                assert_eq!(deny().await.unwrap(), Update::NotFound);
            }
        }
        assert!(!remembered().await, "{ended_by}");
    }
}

/// The hash of a secret is of no use in another tenant.
async fn cr_09_nothing_is_found_or_moved_by_another_tenant(store: Arc<dyn Store>) {
    settle(&store).await;
    let other = TenantId::parse("other").unwrap();
    let logged_in = || row(AuditEvent::LoginSucceeded, START);
    let login = session("s", "alice", START);
    store.insert_session(login.clone(), None, Some(START), logged_in()).await.unwrap();
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let link = setup_link("l", "bob", START);
    store.insert_setup_link(link.clone(), row(AuditEvent::SetupLinkMade, START)).await.unwrap();
    let (_, token) = grant(&store, "c", START).await;
    let before = store.newest_audit().await.unwrap();

    let audit = || row(AuditEvent::LoggedOut, START);
    let (ended, consent) = (EphemeralStep::Ended, EphemeralStep::Consent);
    assert_eq!(store.touch_session(&other, &login.hash, START).await.unwrap(), None);
    assert_eq!(
        store.delete_session(&login.hash, row_of(&other, AuditEvent::LoggedOut)).await.unwrap(),
        Update::NotFound
    );
    let elsewhere = EphemeralKey { tenant: other.clone(), ..page.key.clone() };
    assert_eq!(store.find_ephemeral(&elsewhere, START).await.unwrap(), None);
    let end = Advance { from: consent, to: ended, session: None, body: None };
    let advanced = store.advance_ephemeral(&elsewhere, end, PENDING, START).await;
    assert_eq!(advanced.unwrap(), Update::NotFound);
    let denied = store.deny_interaction(&elsewhere, &consent_key(), audit()).await;
    assert_eq!(denied.unwrap(), Update::NotFound);
    assert_eq!(store.find_setup_link(&other, &link.hash, START).await.unwrap(), None);
    let (chosen, theirs) = (new_password("$chosen", "bob", START), row_of(&other, AuditEvent::PasswordSet));
    assert_eq!(store.redeem_setup_link(&link.hash, chosen, theirs).await.unwrap(), Update::NotFound);
    assert_eq!(store.find_access_token(&other, &token.hash, START).await.unwrap(), None);
    // An account with the same name, and a session that claims to replace the first tenant's.
    store.insert_account(Account { tenant: other.clone(), ..account("alice") }, audit()).await.unwrap();
    let theirs = LoginSession { tenant: other.clone(), ..session("theirs", "alice", START) };
    store.insert_session(theirs, Some(login.hash), Some(START), logged_in()).await.unwrap();

    assert_eq!(events(&store, before).await, [AuditEvent::LoggedOut, AuditEvent::LoginSucceeded]);
    assert!(store.touch_session(&tenant(), &login.hash, START).await.unwrap().is_some());
    assert_eq!(store.find_ephemeral(&page.key, START).await.unwrap(), Some(page));
    assert_eq!(store.find_setup_link(&tenant(), &link.hash, START).await.unwrap(), Some(link));
    assert_eq!(store.find_access_token(&tenant(), &token.hash, START).await.unwrap(), Some(token));
}
