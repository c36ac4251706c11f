//! Tests of the cost of statements: whatever strangers can cause must cost the same in a large store as in a small one,
//! and find its rows by an index.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use rusqlite::Connection;

use super::EmbeddedStore;
use super::cost::{Costs, taken};
use crate::oauth::{Client, ClientOrigin, CodeVerifier, DocumentAge, DocumentSource};
use crate::policy::{CountKey, QuotaUse};
use crate::store::{
    Advance, AuditEvent, Ephemeral, EphemeralLimits, EphemeralStep, LoginPlace, Quota, Result, Source, Store,
};

#[path = "../../../tests/support/records.rs"]
mod records;
#[allow(dead_code, reason = "the contract suite uses all of it")]
#[path = "../../../tests/store_contract/world.rs"]
pub(crate) mod world;

use world::*;

/// Host `host` of site `site`.
fn at(site: u32, host: u8) -> Source {
    let [_, _, a, b] = site.to_be_bytes();
    Source { site: [10, a, b, 0].into(), host: [10, a, b, host].into() }
}

fn page(name: &str, source: Source) -> Ephemeral {
    Ephemeral { source, step: EphemeralStep::LogIn, ..interaction(name, START) }
}

/// Adds a row to every table that grows with the actions of users or strangers.
async fn add(store: &Arc<dyn Store>, n: u32) {
    let name = format!("old{n}");
    let audit = |event| row(event, START);
    let registered = audit(AuditEvent::ClientRegistered);
    store.insert_client(client(&name, ClientOrigin::Registered), u64::MAX, registered.clone()).await.unwrap();
    for origin in [ClientOrigin::Registered, ClientOrigin::MetadataDocument] {
        let unused = client(&format!("unused{n}{origin:?}"), origin);
        store.insert_client(unused, u64::MAX, registered.clone()).await.unwrap();
    }
    store.insert_account(account(&name), audit(AuditEvent::AccountAdded)).await.unwrap();
    store.add_member(&group("staff"), &subject(&name), audit(AuditEvent::GroupMemberAdded)).await.unwrap();
    let login = session(&name, &name, START);
    store.insert_session(login, None, Some(START), audit(AuditEvent::LoginSucceeded)).await.unwrap();
    store
        .record_login_failure(sign_in(&name, [LoginPlace::Host([192, 0, 2, 0].into()); 2], START), Some(subject(&name)))
        .await
        .unwrap();
    store.insert_setup_link(setup_link(&name, &name, START), audit(AuditEvent::SetupLinkMade)).await.unwrap();
    store.put_ephemeral(page(&name, at(n, 1)), PENDING).await.unwrap();
    grant(store, &name, START).await;
    store.add_quota_uses(&quota(), &[used(&name)]).await.unwrap();
    let off = audit(AuditEvent::ClientDisabled);
    store.set_client_disabled(&client_id(&name), true, off).await.unwrap();
}

fn quota() -> Quota {
    Quota { tenant: tenant(), upstream: "files".to_owned(), limit: "searches".to_owned() }
}

fn used(name: &str) -> QuotaUse {
    QuotaUse { holder: CountKey::User(subject(name)), day: START.midnight(), used: 1 }
}

async fn grow(store: &Arc<dyn Store>, size: u32) {
    for first in (0..size).step_by(200) {
        join_all((first..size.min(first + 200)).map(|n| add(store, n))).await;
    }
}

/// A store with rows in every table, and the costs of operations on it.
struct Measured {
    store: Arc<dyn Store>,
    file: PathBuf,
    costs: BTreeMap<&'static str, Costs>,
    _folder: tempfile::TempDir,
}

impl Measured {
    async fn new(size: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::canonicalize(folder.path()).unwrap().join("mcpgate.db");
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&file, None, START).unwrap());
        settle(&store).await;
        grow(&store, size).await;
        taken(&file);
        Self { store, file, costs: BTreeMap::new(), _folder: folder }
    }

    async fn done<T: std::fmt::Debug>(&mut self, what: &'static str, operation: impl Future<Output = Result<T>>) {
        operation.await.unwrap();
        let costs = taken(&self.file);
        assert!(!costs.is_empty(), "{what}: nothing was noted");
        assert!(self.costs.insert(what, costs).is_none(), "{what}");
    }
}

/// Runs the listed operations in order.
macro_rules! operations {
    ($measured:ident, $($what:literal: $operation:expr;)*) => {
        $($measured.done($what, $operation).await;)*
    };
}

/// `size` is the number of pending sign-ins; as many have ended.
async fn clients_and_sign_ins(m: &mut Measured, size: u32) {
    let (store, of, app, audit) =
        (Arc::clone(&m.store), tenant(), client_id("app"), row(AuditEvent::CodeIssued, START));
    let described = client("described", ClientOrigin::MetadataDocument);
    let age = DocumentAge { fetched_at: START, fresh_until: START.plus(HOUR), source: DocumentSource::Fetched };
    let full = EphemeralLimits { in_all: u64::from(size) * 2 + 1, ..PENDING };
    let of_host = EphemeralLimits { of_host: 1, ..PENDING };
    let of_site = EphemeralLimits { of_site: 1, ..PENDING };
    let bind = Advance { from: EphemeralStep::LogIn, to: EphemeralStep::Consent, session: Some(hash("s")), body: None };
    let id = page("d", Source::UNKNOWN).key;
    let new = |name: &str, origin| Client { created_at: START.plus(HOUR), ..client(name, origin) };
    let (registered, later) =
        (new("registered", ClientOrigin::Registered), row(AuditEvent::ClientRegistered, START.plus(HOUR)));
    let (room, none) = (u64::MAX, 1);
    operations! { m,
        "register": store.insert_client(registered.clone(), room, later.clone());
        "register the same": store.find_registered(&of, &registered.metadata, START.plus(HOUR));
        "register the same at once": store.insert_client(new("registered", ClientOrigin::Registered), room, later.clone());
        "register the same after a while": store.find_registered(&of, &registered.metadata, START.plus(DAY));
        "register when all is full": store.insert_client(new("more", ClientOrigin::Registered), none, later.clone());
        "a document when all is full":
            store.insert_client(new("described2", ClientOrigin::MetadataDocument), none, later.clone());
        "find a client": store.find_client(&of, &app);
        "find no client": store.find_client(&of, &client_id("none"));
        "find the clients of operators": store.operator_clients(&of);
        "first sight of a document": store.put_document_client(described.clone(), false, Some(audit.clone()));
        "a document that changed": store.put_document_client(described.clone(), true, Some(audit.clone()));
        "a document that is as it was": store.note_document_age(&of, &described.id, age);
        "begin to sign in": store.put_ephemeral(page("a", at(60_000, 1)), PENDING);
        "begin at a full host": store.put_ephemeral(page("b", at(60_000, 1)), of_host);
        "begin at a full site": store.put_ephemeral(page("c", at(60_000, 2)), of_site);
        "begin when all is full": store.put_ephemeral(page("d", at(60_001, 2)), full);
        "find a sign-in": store.find_ephemeral(&id, START);
        "find no sign-in": store.find_ephemeral(&page("nothing", Source::UNKNOWN).key, START);
        "go on to consent": store.advance_ephemeral(&id, bind, PENDING, START);
        "deny": store.deny_interaction(&id, &consent_key(), audit.clone());
        "find a consent": store.find_consent(&consent_key());
    }
}

async fn people(m: &mut Measured) {
    let (store, of, alice, audit) =
        (Arc::clone(&m.store), tenant(), subject("alice"), row(AuditEvent::CodeIssued, START));
    let network = [192, 0, 2, 0].into();
    let (nothing, places) = (hash("nothing"), [LoginPlace::Host(network), LoginPlace::Network(network)]);
    operations! { m,
        "find an account": store.find_account_by_name(&of, &login_name("alice"));
        "find no account": store.find_account_by_name(&of, &login_name("nobody"));
        "find an account by subject": store.find_account(&of, &alice);
        "one's groups": store.groups_of(&of, &subject("old6"));
        "what is known of a name": store.find_login(sign_in("alice", places, START), Some(login_name("alice")));
        "what is known of no name": store.find_login(sign_in("nobody", places, START), Some(login_name("nobody")));
        "a wrong password": store.record_login_failure(sign_in("alice", places, START), Some(alice.clone()));
        "a wrong name": store.record_login_failure(sign_in("nobody", places, START), None);
        "a right password": store.record_login_success(sign_in("alice", places, START), alice.clone());
        "forget a place": store.forget_login_places(&of, &alice, places.to_vec());
        "log in": store.insert_session(session("s", "alice", START), None, Some(START), audit.clone());
        "log in again": store.insert_session(session("s2", "alice", START), Some(hash("s")), Some(START), audit.clone());
        "use a session": store.touch_session(&of, &hash("s2"), START);
        "use a session after a while": store.touch_session(&of, &hash("s2"), START.plus(MINUTE));
        "use no session": store.touch_session(&of, &nothing, START);
        "list one's grants": store.list_grants(&grants_of(Some(&subject("old6")), None), START);
        "sign out everywhere": store.revoke_grants(&grants_of(Some(&subject("old6")), None), audit.clone());
        "end an application's access": store.revoke_grants(&grants_of(Some(&alice), Some(&client_id("old6"))), audit.clone());
        "log out": store.delete_session(&hash("s2"), audit.clone());
        "find a link": store.find_setup_link(&of, &setup_link("old1", "old1", START).hash, START);
        "find no link": store.find_setup_link(&of, &hash("nothing"), START);
        "use a link": store.redeem_setup_link(&setup_link("old1", "old1", START).hash, new_password("$phc", "old1", START), audit.clone());
    }
}

async fn codes_and_tokens(m: &mut Measured) {
    let (store, of, audit) = (Arc::clone(&m.store), tenant(), row(AuditEvent::CodeIssued, START));
    let mut wrong = redeem("code", "t", START);
    wrong.presented.verifier = CodeVerifier::parse(&"x".repeat(43));
    let late = START.plus(HOUR);
    operations! { m,
        "ask for a code": async { issue(&store, code("code", START)).await; Ok(()) };
        "find a code": store.find_code(&of, &hash("code"));
        "a wrong verifier": store.redeem_code(wrong.clone());
        "redeem": store.redeem_code(redeem("code", "token", START));
        "a wrong verifier for a used code": store.redeem_code(wrong);
        "no code": store.redeem_code(redeem("none", "t", START));
        "find a grant": store.find_grant(&of, grant_id("code"));
        "find no grant": store.find_grant(&of, grant_id("none"));
        "find a token": store.find_access_token(&of, &hash("token"), START);
        "find a token of a member": store.find_access_token(&of, &hash("old5 token"), START);
        "find no token": store.find_access_token(&of, &hash("nothing"), START);
        "refresh": store.rotate_refresh_token(rotate("code", 0, "t1", START));
        "retry": store.rotate_refresh_token(rotate("code", 0, "t2", START));
        "reuse": store.rotate_refresh_token(rotate("code", 0, "t3", late));
        "refresh what has ended": store.rotate_refresh_token(rotate("code", 1, "t4", late));
        "no family": store.rotate_refresh_token(rotate("none", 1, "t5", late));
        "replay": store.redeem_code(redeem("old2", "t6", START));
        "replay again": store.redeem_code(redeem("old2", "t7", START));
        "revoke": store.revoke_grant(grant_id("old3"), audit.clone());
        "revoke a token": store.revoke_access_token(&hash("old4 token"), audit.clone());
        "count a use": store.add_quota_uses(&quota(), &[used("old5")]);
        "count a first use": store.add_quota_uses(&quota(), &[used("nobody")]);
        "read some counts": store.quota_uses(&quota(), START.midnight(), None, 10);
        "a refusal": store.append_audit(audit.clone());
        "read the newest row": store.newest_audit();
        "read the newest change": store.newest_change();
        "read no change": async { store.changes_after(&store.newest_change().await?).await };
        "sweep nothing": store.sweep(START, DAY);
    }
}

/// Returns the cost of each operation in a store with `size` rows of everything.
async fn costs(size: u32) -> BTreeMap<&'static str, Costs> {
    let mut measured = Measured::new(size).await;
    clients_and_sign_ins(&mut measured, size).await;
    people(&mut measured).await;
    codes_and_tokens(&mut measured).await;
    assert_eq!(measured.store.check().await.unwrap(), Vec::<String>::new());
    measured.costs
}

#[test]
fn a_list_of_clients_takes_as_many_statements_however_many_there_are() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut measured = Measured::new(5).await;
        let store = Arc::clone(&measured.store);
        measured.done("list", store.list_clients(&tenant())).await;
        measured.done("count", store.count_grants(&tenant(), START)).await;
        let statements = |what: &str| measured.costs.get(what).map(|costs| costs.keys().cloned().collect::<Vec<_>>());
        let listed = statements("list").unwrap();
        // A statement with the number of a client as its parameter would run for each.
        assert!(listed.len() == 2 && listed.iter().all(|sql| !sql.contains("no = ?")), "{listed:?}");
        assert_eq!(statements("count").unwrap().len(), 1);
    });
}

/// Returns the steps of a query plan in which SQLite scans a whole table.
fn scans(db: &Connection, sql: &str) -> Vec<String> {
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut steps = plan.raw_query();
    let mut scans = Vec::new();
    while let Some(step) = steps.next().unwrap() {
        let step: String = step.get(3).unwrap();
        // Scanning the results of an inner query does not count.
        if step.starts_with("SCAN")
            && !["SCAN CONSTANT ROW", "SCAN (subquery", "SCAN oldest"].iter().any(|s| step.starts_with(s))
        {
            scans.push(step);
        }
    }
    scans
}

#[test]
fn what_strangers_can_cause_costs_as_much_in_a_large_store_as_in_a_small_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (small, large) = runtime.block_on(async { (costs(60).await, costs(400).await) });
    let db = Connection::open_in_memory().unwrap();
    for migration in crate::store::migrate::MIGRATIONS {
        db.execute_batch(migration.sql).unwrap();
    }
    let mut wrong = Vec::new();
    for (operation, costs) in &large {
        for (sql, steps) in costs {
            let before = small.get(operation).and_then(|small| small.get(sql)).copied().unwrap_or_default();
            if *steps > before + before / 4 + 50 {
                wrong.push(format!("{operation}: {before} steps grew to {steps}: {sql}"));
            }
            let changes = ["SELECT", "INSERT", "UPDATE", "DELETE"].iter().any(|verb| sql.starts_with(verb));
            for scan in if changes { scans(&db, sql) } else { Vec::new() } {
                wrong.push(format!("{operation}: {scan}: {sql}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
