//! Grants and access tokens: lookup, lists, cache fill, and the reach of revocation.

use std::sync::Arc;

use mcpgate::oauth::{
    AccessTokenRecord, Client, ClientMetadata, ClientOrigin, CodeRecord, Grant, Lifetime, ResourceIndicator, Subject,
    TenantId, Timestamp,
};
use mcpgate::store::{ACTIVITY_AT_ONCE, AuditEvent, Change, GrantFilter, Redemption, Store, StoreError, Update};

use crate::world::*;

crate::on_every_store! {
    a_revoked_grant_takes_its_tokens_along,
    a_revoked_token_leaves_its_grant,
    revoking_by_user_and_client_reaches_just_those,
    revoking_by_resource_reaches_just_that_one_and_no_browser,
    tokens_are_found_only_while_everybody_is_enabled,
    live_tokens_come_in_pages_in_order,
    grants_are_listed_newest_first_while_they_stand,
    active_grants_are_counted_by_client,
    a_token_says_how_its_client_became_known,
    an_operators_token_lives_without_code_and_refresh,
    several_tokens_are_found_at_once_in_the_order_asked,
    a_grant_needs_client_and_account,
    the_last_use_of_a_grant_only_moves_forward,
    the_last_use_of_a_client_is_that_of_its_grants_and_outlives_them,
    last_uses_are_noted_for_a_bounded_number_of_grants_at_once,
}

async fn a_revoked_grant_takes_its_tokens_along(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "a", START).await;
    grant(&store, "b", START).await;
    rotated(store.rotate_refresh_token(rotate("a", 0, "a two", START)).await.unwrap());
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    let revoke = || store.revoke_grant(grant_id("a"), row(AuditEvent::GrantRevoked, START));
    assert_eq!(revoke().await.unwrap(), Update::Done);
    assert_eq!(revoke().await.unwrap(), Update::NotFound);
    assert!(!is_live(&store, "a token", START).await && !is_live(&store, "a two", START).await);
    assert!(is_live(&store, "b token", START).await);
    assert_eq!(events(&store, audit).await, [AuditEvent::GrantRevoked]);
    assert_eq!(changes(&store, &change).await, [Change::GrantRevoked(tenant(), grant_id("a"))]);
    let other = TenantId::parse("other").unwrap();
    let foreign = store.revoke_grant(grant_id("b"), row_of(&other, AuditEvent::GrantRevoked)).await.unwrap();
    assert_eq!((foreign, is_live(&store, "b token", START).await), (Update::NotFound, true));
}

async fn a_revoked_token_leaves_its_grant(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "a", START).await;
    let change = store.newest_change().await.unwrap();
    let other = TenantId::parse("other").unwrap();
    for (whose, expected) in [(other, Update::NotFound), (tenant(), Update::Done), (tenant(), Update::NotFound)] {
        let audit = row_of(&whose, AuditEvent::TokenRevoked);
        assert_eq!(store.revoke_access_token(&hash("a token"), audit).await.unwrap(), expected);
    }
    assert!(!is_live(&store, "a token", START).await);
    assert_eq!(changes(&store, &change).await, [Change::AccessTokenRevoked(tenant(), hash("a token"))]);
    rotated(store.rotate_refresh_token(rotate("a", 0, "a two", START)).await.unwrap());
    assert!(is_live(&store, "a two", START).await);
}

/// Grants of alice and bob at `app` and `two`, named after both.
async fn four_grants(store: &Arc<dyn Store>) {
    settle(store).await;
    let second = client("two", ClientOrigin::Registered);
    store.insert_client(second, 100, row(AuditEvent::ClientRegistered, START)).await.unwrap();
    for (user, app) in [("alice", "app"), ("alice", "two"), ("bob", "app"), ("bob", "two")] {
        let name = format!("{user} {app}");
        issue(store, CodeRecord { client: client_id(app), subject: subject(user), ..code(&name, START) }).await;
        let mut request = redeem(&name, &format!("{name} token"), START);
        request.presented.client = client_id(app);
        store.redeem_code(request).await.unwrap();
    }
}

async fn living(store: &Arc<dyn Store>) -> Vec<&'static str> {
    let mut living = Vec::new();
    for name in ["alice app", "alice two", "bob app", "bob two"] {
        if is_live(store, &format!("{name} token"), START).await {
            living.push(name);
        }
    }
    living
}

async fn signed_in(store: &Arc<dyn Store>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in ["s1", "s2", "s3"] {
        if store.touch_session(&tenant(), &hash(name), START).await.unwrap().is_some() {
            names.push(name);
        }
    }
    names
}

async fn revoking_by_user_and_client_reaches_just_those(store: Arc<dyn Store>) {
    four_grants(&store).await;
    let (alice, app) = (subject("alice"), client_id("app"));
    let revoked = || row(AuditEvent::GrantRevoked, START);
    let other = TenantId::parse("other").unwrap();
    for (name, of) in [("s1", "alice"), ("s2", "alice"), ("s3", "bob")] {
        let logged_in = row(AuditEvent::LoginSucceeded, START);
        store.insert_session(session(name, of, START), None, Some(START), logged_in).await.unwrap();
    }
    let theirs = GrantFilter { tenant: other.clone(), ..grants_of(None, None) };
    assert_eq!(store.revoke_grants(&theirs, row_of(&other, AuditEvent::GrantRevoked)).await.unwrap(), 0);
    assert_eq!(store.revoke_grants(&grants_of(Some(&alice), Some(&app)), revoked()).await.unwrap(), 1);
    assert_eq!(living(&store).await, ["alice two", "bob app", "bob two"]);
    let change = store.newest_change().await.unwrap();
    assert_eq!(store.revoke_grants(&grants_of(None, Some(&app)), revoked()).await.unwrap(), 1);
    assert_eq!(signed_in(&store).await, ["s1", "s2", "s3"], "revoking an application ends no browser session");
    assert_eq!(changes(&store, &change).await, [Change::GrantRevoked(tenant(), grant_id("bob app"))]);
    assert_eq!(store.revoke_grants(&grants_of(Some(&alice), None), revoked()).await.unwrap(), 1);
    assert_eq!(living(&store).await, ["bob two"]);
    assert_eq!(signed_in(&store).await, ["s3"], "RT-14: the user's browser sessions end as well");
    assert_eq!(store.revoke_grants(&grants_of(None, None), revoked()).await.unwrap(), 1);
    assert!(living(&store).await.is_empty() && signed_in(&store).await.is_empty());
}

async fn revoking_by_resource_reaches_just_that_one_and_no_browser(store: Arc<dyn Store>) {
    settle(&store).await;
    store
        .insert_session(session("s1", "alice", START), None, Some(START), audit(AuditEvent::LoginSucceeded))
        .await
        .unwrap();
    let other = ResourceIndicator::parse("https://gw.example/other").unwrap();
    for (name, resource, of) in [("a", &resource(), "alice"), ("b", &other, "alice"), ("c", &other, "bob")] {
        let subject = subject(of);
        issue(&store, CodeRecord { resource: resource.clone(), subject, ..code(name, START) }).await;
        let mut request = redeem(name, &format!("{name} token"), START);
        request.presented.resource = None;
        store.redeem_code(request).await.unwrap();
    }
    issue(&store, CodeRecord { resource: other.clone(), ..code("unused", START) }).await;
    issue(&store, code("kept", START)).await;
    let at = |resource: &ResourceIndicator| GrantFilter { resource: Some(resource.clone()), ..grants_of(None, None) };
    let of_bob = GrantFilter { subject: Some(subject("bob")), ..at(&other) };
    let ids = |grants: Vec<Grant>| grants.into_iter().map(|grant| grant.id).collect::<Vec<_>>();
    assert_eq!(ids(store.list_grants(&at(&other), START).await.unwrap()), [grant_id("c"), grant_id("b")]);
    assert_eq!(ids(store.list_grants(&of_bob, START).await.unwrap()), [grant_id("c")]);
    assert_eq!(store.revoke_grants(&of_bob, audit(AuditEvent::GrantRevoked)).await.unwrap(), 1);
    assert_eq!(store.revoke_grants(&at(&other), audit(AuditEvent::GrantRevoked)).await.unwrap(), 1);
    assert!(is_live(&store, "a token", START).await && !is_live(&store, "b token", START).await);
    assert_eq!(store.find_code(&tenant(), &hash("unused")).await.unwrap(), None);
    assert!(store.find_code(&tenant(), &hash("kept")).await.unwrap().is_some());
    assert_eq!(signed_in(&store).await, ["s1"]);
}

async fn tokens_are_found_only_while_everybody_is_enabled(store: Arc<dyn Store>) {
    four_grants(&store).await;
    let app = client_id("app");
    let change = store.newest_change().await.unwrap();
    store.set_client_disabled(&app, true, row(AuditEvent::ClientDisabled, START)).await.unwrap();
    assert_eq!(living(&store).await, ["alice two", "bob two"]);
    assert_eq!(changes(&store, &change).await, [Change::ClientDisabled(tenant(), app.clone())]);
    assert_eq!(store.live_access_tokens(0, 100, START).await.unwrap().0.len(), 2);
    store.set_client_disabled(&app, false, row(AuditEvent::ClientEnabled, START)).await.unwrap();
    assert_eq!(living(&store).await.len(), 4);
    let off = row(AuditEvent::AccountDisabled, START);
    store.set_account_disabled(&subject("bob"), true, off).await.unwrap();
    assert_eq!(living(&store).await, ["alice app", "alice two"]);
    store.delete_client(&app, row(AuditEvent::ClientDeleted, START)).await.unwrap();
    assert_eq!(living(&store).await, ["alice two"]);
    assert_eq!(store.find_grant(&tenant(), grant_id("alice app")).await.unwrap(), None);
    assert_eq!(store.find_code(&tenant(), &hash("alice app")).await.unwrap(), None);
}

async fn live_tokens_come_in_pages_in_order(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    for generation in 0..9 {
        rotated(store.rotate_refresh_token(rotate("g", generation, &format!("t{generation}"), START)).await.unwrap());
    }
    store.revoke_access_token(&hash("t3"), row(AuditEvent::TokenRevoked, START)).await.unwrap();
    let mut names = vec!["g token".to_owned()];
    names.extend((0..9).filter(|n| *n != 3).map(|n| format!("t{n}")));
    let expected: Vec<_> = names.iter().map(|name| hash(name)).collect();
    for limit in [1, 2, 4, 9, 10] {
        let (mut read, mut after) = (Vec::new(), 0);
        loop {
            let (page, next) = store.live_access_tokens(after, limit, START).await.unwrap();
            assert!(page.len() <= usize::try_from(limit).unwrap());
            read.extend(page.into_iter().map(|token| token.hash));
            let Some(next) = next else { break };
            assert!(next > after);
            after = next;
        }
        assert_eq!(read, expected, "in pages of {limit}");
    }
    assert!(store.live_access_tokens(0, 100, START.plus(HOUR)).await.unwrap().0.is_empty());
}

async fn grants_are_listed_newest_first_while_they_stand(store: Arc<dyn Store>) {
    four_grants(&store).await;
    let list = |subject: Option<&'static str>, client: Option<&'static str>, at: Timestamp| {
        let store = Arc::clone(&store);
        async move {
            let (subject, client) = (subject.map(crate::world::subject), client.map(client_id));
            let found = store.list_grants(&grants_of(subject.as_ref(), client.as_ref()), at).await.unwrap();
            found.into_iter().map(|g| format!("{} {}", g.subject.as_str(), g.client.as_str())).collect::<Vec<_>>()
        }
    };
    let all = ["u-bob mcp_client_two", "u-bob mcp_client_app", "u-alice mcp_client_two", "u-alice mcp_client_app"];
    assert_eq!(list(None, None, START).await, all);
    assert_eq!(list(Some("alice"), None, START).await, all[2..]);
    assert_eq!(list(None, Some("two"), START).await, [all[0], all[2]]);
    assert_eq!(list(Some("bob"), Some("app"), START).await, [all[1]]);
    assert!(list(Some("nobody"), None, START).await.is_empty());
    store.revoke_grant(grant_id("bob app"), row(AuditEvent::GrantRevoked, START)).await.unwrap();
    assert!(list(Some("bob"), Some("app"), START).await.is_empty());
    assert!(list(None, None, START.plus(Lifetime::from_secs(30 * 86_400))).await.is_empty());
    let theirs = GrantFilter { tenant: TenantId::parse("other").unwrap(), ..grants_of(None, None) };
    assert!(store.list_grants(&theirs, START).await.unwrap().is_empty());
}

pub(crate) fn operators(name: &str) -> (Grant, AccessTokenRecord) {
    let grant = grant_of(name, START);
    let token = token_of(&grant, hash(name));
    (grant, token)
}

async fn active_grants_are_counted_by_client(store: Arc<dyn Store>) {
    settle(&store).await;
    let count = async |at| store.count_grants(&tenant(), at).await.unwrap();
    assert_eq!(count(START).await, []);
    for name in ["a", "b", "ended"] {
        grant(&store, name, START).await;
    }
    store.revoke_grant(grant_id("ended"), row(AuditEvent::GrantRevoked, START)).await.unwrap();
    assert_eq!(count(START).await, [(client_id("app"), 2)]);
    let idle = store.list_grants(&grants_of(None, None), START).await.unwrap().first().unwrap().idle_until;
    assert_eq!(count(idle).await, [], "what has ended by itself");
    let others = store.count_grants(&TenantId::parse("other").unwrap(), START).await.unwrap();
    assert!(others.is_empty());
}

async fn a_token_says_how_its_client_became_known(store: Arc<dyn Store>) {
    settle(&store).await;
    let kinds = [ClientOrigin::Manual, ClientOrigin::Registered, ClientOrigin::MetadataDocument];
    for (name, origin) in ["m", "r", "d"].into_iter().zip(kinds) {
        let (client, limit) = (client(name, origin), Some(scopes("a b")));
        let metadata = ClientMetadata { scope: limit.clone(), ..client.metadata.clone() };
        let client = Client { metadata, ..client };
        store.insert_client(client, 100, row(AuditEvent::ClientAdded, START)).await.unwrap();
        let (grant, token) = operators(name);
        let grant = Grant { client: client_id(name), ..grant };
        // What a client registers itself is no limit.
        let client_limit = limit.filter(|_| origin == ClientOrigin::Manual);
        let token = AccessTokenRecord { client: client_id(name), client_origin: origin, client_limit, ..token };
        let issued = row(AuditEvent::OperatorTokenIssued, START);
        store.insert_operator_token(grant, token.clone(), issued).await.unwrap();
        assert_eq!(store.find_access_token(&tenant(), &hash(name), START).await.unwrap(), Some(token));
    }
    let (live, _) = store.live_access_tokens(0, 10, START).await.unwrap();
    assert_eq!(live.iter().map(|token| token.client_origin).collect::<Vec<_>>(), kinds);
    issue(&store, code("c", START)).await;
    let redeemed = store.redeem_code(redeem("c", "first", START)).await.unwrap();
    let Redemption::Redeemed(_, issued) = redeemed else { panic!("{redeemed:?}") };
    assert_eq!(issued.client_origin, ClientOrigin::Registered);
    assert_eq!(store.find_access_token(&tenant(), &hash("first"), START).await.unwrap(), Some(*issued));
}

async fn an_operators_token_lives_without_code_and_refresh(store: Arc<dyn Store>) {
    settle(&store).await;
    let (grant, token) = operators("ops");
    let before = store.newest_audit().await.unwrap();
    let issued = row(AuditEvent::OperatorTokenIssued, START);
    store.insert_operator_token(grant.clone(), token.clone(), issued).await.unwrap();
    assert_eq!(store.find_access_token(&tenant(), &hash("ops"), START).await.unwrap(), Some(token));
    assert_eq!(store.list_grants(&grants_of(None, None), START).await.unwrap().len(), 1);
    assert_eq!(events(&store, before).await, [AuditEvent::OperatorTokenIssued]);
    // Whatever its idle expiry: the sweep must not remove it before it expires.
    store.sweep(START.plus(MINUTE), DAY).await.unwrap();
    assert!(is_live(&store, "ops", START.plus(MINUTE)).await);
    let revoked = row(AuditEvent::GrantRevoked, START);
    assert_eq!(store.revoke_grant(grant.id, revoked).await.unwrap(), Update::Done);
    assert!(!is_live(&store, "ops", START).await);
}

async fn several_tokens_are_found_at_once_in_the_order_asked(store: Arc<dyn Store>) {
    settle(&store).await;
    for name in ["one", "two"] {
        let (grant, token) = operators(name);
        let issued = row(AuditEvent::OperatorTokenIssued, START);
        store.insert_operator_token(grant, token, issued).await.unwrap();
    }
    let wanted = ["two", "unknown", "one", "two"].map(|name| (tenant(), hash(name)));
    let names = async |at| {
        let found = store.find_access_tokens(&wanted, at).await.unwrap();
        found.into_iter().map(|token| token.map(|token| token.hash)).collect::<Vec<_>>()
    };
    let (one, two) = (Some(hash("one")), Some(hash("two")));
    assert_eq!(names(START).await, [two, None, one, two]);
    assert_eq!(store.find_access_tokens(&[], START).await.unwrap(), []);
    store.revoke_grant(grant_id("two"), row(AuditEvent::GrantRevoked, START)).await.unwrap();
    assert_eq!(names(START).await, [None, None, one, None]);
    assert_eq!(names(START.plus(DAY)).await, [None; 4]);
    let foreign = [(TenantId::parse("other").unwrap(), hash("one"))];
    assert_eq!(store.find_access_tokens(&foreign, START).await.unwrap(), [None]);
}

async fn a_grant_needs_client_and_account(store: Arc<dyn Store>) {
    settle(&store).await;
    let (grant, token) = operators("ops");
    for wrong in [
        Grant { client: client_id("unknown"), ..grant.clone() },
        Grant { subject: Subject::Person(subject("unknown")), ..grant.clone() },
        Grant { subject: Subject::Service(subject("alice")), ..grant.clone() },
        Grant { tenant: TenantId::parse("other").unwrap(), ..grant },
    ] {
        let before = store.newest_audit().await.unwrap();
        let issued = row(AuditEvent::OperatorTokenIssued, START);
        let refused = store.insert_operator_token(wrong, token.clone(), issued).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        assert!(!is_live(&store, "ops", START).await);
        assert!(events(&store, before).await.is_empty());
    }
}

async fn last_use(store: &Arc<dyn Store>, name: &str) -> Option<Timestamp> {
    store.find_grant(&tenant(), grant_id(name)).await.unwrap().unwrap().last_used_at
}

async fn the_last_use_of_a_grant_only_moves_forward(store: Arc<dyn Store>) {
    settle(&store).await;
    for name in ["a", "b", "ended"] {
        assert_eq!(grant(&store, name, START).await.0.last_used_at, None);
    }
    let revoked = row(AuditEvent::GrantRevoked, START);
    store.revoke_grant(grant_id("ended"), revoked).await.unwrap();
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    let later = START.plus(MINUTE);
    let of = |name: &str, at: Timestamp| (tenant(), grant_id(name), at);
    let other = TenantId::parse("other").unwrap();
    let uses = vec![of("unknown", later), of("a", later), of("ended", later), (other, grant_id("b"), later)];
    store.note_activity(&uses).await.unwrap();
    assert_eq!((last_use(&store, "a").await, last_use(&store, "b").await), (Some(later), None));
    assert_eq!(last_use(&store, "ended").await, None);
    store.note_activity(&[of("a", START), of("b", START)]).await.unwrap();
    assert_eq!((last_use(&store, "a").await, last_use(&store, "b").await), (Some(later), Some(START)));
    let last = START.plus(HOUR);
    store.note_activity(&[of("a", last), of("a", later)]).await.unwrap();
    let (refreshed, _) = rotated(store.rotate_refresh_token(rotate("a", 0, "a two", last)).await.unwrap());
    assert_eq!(
        (refreshed.last_used_at, last_use(&store, "a").await),
        (Some(last), Some(last)),
        "a refresh does not count as a use"
    );
    let listed = store.list_grants(&grants_of(None, None), START).await.unwrap();
    assert_eq!(listed.iter().map(|grant| grant.last_used_at).collect::<Vec<_>>(), [Some(START), Some(last)]);
    assert_eq!(events(&store, audit).await, [AuditEvent::TokenRefreshed]);
    assert!(changes(&store, &change).await.is_empty());
}

async fn the_last_use_of_a_client_is_that_of_its_grants_and_outlives_them(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "a", START).await;
    grant(&store, "b", START).await;
    let used = async || store.find_client(&tenant(), &client_id("app")).await.unwrap().unwrap().last_used_at;
    let note = async |name: &str, at| store.note_activity(&[(tenant(), grant_id(name), at)]).await.unwrap();
    assert_eq!(used().await, None, "a token that was issued and not used");
    let later = START.plus(HOUR);
    note("a", later).await;
    note("b", START).await;
    assert_eq!(used().await, Some(later));
    // A client's row is large: it is written once a minute at most.
    note("b", later.plus(Lifetime::from_secs(59))).await;
    assert_eq!(used().await, Some(later));
    note("b", later.plus(MINUTE)).await;
    assert_eq!(used().await, Some(later.plus(MINUTE)));
    for name in ["a", "b"] {
        store.revoke_grant(grant_id(name), row(AuditEvent::GrantRevoked, later)).await.unwrap();
        note(name, later.plus(HOUR)).await;
    }
    assert_eq!(used().await, Some(later.plus(MINUTE)));
}

async fn last_uses_are_noted_for_a_bounded_number_of_grants_at_once(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "first", START).await;
    grant(&store, "last", START).await;
    let names = (2..ACTIVITY_AT_ONCE).map(|n| format!("unknown {n}"));
    let names = std::iter::once("first".to_owned()).chain(names).chain(["last".to_owned()]);
    let mut uses: Vec<_> = names.map(|name| (tenant(), grant_id(&name), START)).collect();
    store.note_activity(&uses).await.unwrap();
    assert_eq!((last_use(&store, "first").await, last_use(&store, "last").await), (Some(START), Some(START)));
    uses.iter_mut().for_each(|(.., at)| *at = START.plus(MINUTE));
    uses.push((tenant(), grant_id("one more"), START));
    let refused = store.note_activity(&uses).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    assert_eq!(last_use(&store, "first").await, Some(START), "all or none");
}
