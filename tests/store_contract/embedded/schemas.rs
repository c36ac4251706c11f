//! Stores of every earlier schema: each is migrated with all its rows, also by a program that is killed meanwhile.
//!
//! `../schemas/NN.sql` holds the rows of every table of a store of schema NN: with the migrations up to NN they make
//! such a store, and their checksums reveal a changed migration. A file is written while its schema is the newest
//! (`MCPGATE_BLESS=1` writes it if it is missing) and never changed. Those up to 14 were made from the rows of 15,
//! without the columns and tables that the earlier schemas lack.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mcpgate::oauth::{
    AccessTokenRecord, AddressRanges, AuthMethod, Client, ClientDecision, ClientId, ClientLifetimes, ClientMetadata,
    ClientOrigin, ClientSecretHash, CodeRecord, DocumentAge, DocumentSource, Grant, KeyDetails, SeenClient, Subject,
    WorkloadIdentity,
};
use mcpgate::policy::Annotations;
use mcpgate::store::{
    AuditEvent, Consent, Ephemeral, KeyAdded, Listing, LoginPlace, LoginSession, MadeByTable, NewKey, RedeemCode,
    Renaming, Rotation, SecretRotation, SeenTool, SetupLink, Source, Store, TableMark, TableStep,
};
use rusqlite::Connection;

use super::disk::{FAULTS, failing_disk, put_fault};
use super::open_store;
use crate::catalogue;
use crate::grants::operators;
use crate::quotas;
use crate::wait;
use crate::world::*;

/// Tables with their columns.
type Tables = Vec<(String, Vec<String>)>;
/// The rows of each table, as SQL literals.
type Rows = BTreeMap<String, BTreeSet<String>>;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The migrations, in order.
fn migrations() -> Vec<String> {
    let files = std::fs::read_dir(folder("src/store/migrations")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

fn rows_of(schema: usize) -> PathBuf {
    folder("tests/store_contract/schemas").join(format!("{schema:02}.sql"))
}

/// Makes a store as a program of that schema would leave it.
pub(super) fn left_by(schema: usize, file: &Path) {
    let db = Connection::open(file).unwrap();
    // The rows are ordered by table, not by reference.
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF").unwrap();
    db.execute_batch(
        "PRAGMA application_id = 0x6d637067;
         CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL) STRICT",
    )
    .unwrap();
    for migration in migrations().iter().take(schema) {
        db.execute_batch(migration).unwrap();
    }
    db.execute_batch(&std::fs::read_to_string(rows_of(schema)).unwrap()).unwrap();
}

/// Every table with its columns, in order of creation.
fn tables(db: &Connection) -> Tables {
    let texts = |sql: &str| -> Vec<String> {
        let mut query = db.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let names = texts("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid");
    let columns = |name: &String| texts(&format!("SELECT name FROM pragma_table_info('{name}') ORDER BY cid"));
    names.into_iter().map(|name| (name.clone(), columns(&name))).collect()
}

/// The rows of a table, each as SQL literals in the order of `columns`.
fn literals(db: &Connection, table: &str, columns: &[String]) -> Vec<String> {
    let quoted: Vec<_> = columns.iter().map(|column| format!("quote({column})")).collect();
    let mut rows = db.prepare(&format!("SELECT {} FROM {table}", quoted.join(" || ', ' || "))).unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn all_rows(db: &Connection, of: &[(String, Vec<String>)]) -> Rows {
    of.iter().map(|(table, columns)| (table.clone(), literals(db, table, columns).into_iter().collect())).collect()
}

fn dump(db: &Connection) -> String {
    let mut out = String::new();
    for (table, columns) in tables(db) {
        let (names, rows) = (columns.join(", "), literals(db, &table, &columns).join("),\n    ("));
        // Migrations and triggers have already made some rows.
        out.push_str(&format!("INSERT OR REPLACE INTO {table} ({names}) VALUES\n    ({rows});\n"));
    }
    out
}

/// At least one row in every table, and one of each kind where rows differ.
async fn fill(store: &Arc<dyn Store>) {
    settle(store).await;
    fill_clients(store).await;
    fill_grants(store).await;
    fill_accounts(store).await;
    fill_catalogue(store).await;
    fill_marks(store).await;
    store.add_quota_uses(&quotas::quota("a"), &[quotas::uses("alice", START, 7)]).await.unwrap();
    store.note_time(START).await.unwrap();
}

/// Tools that are pinned, changed and gone, and one that has become milder.
async fn fill_catalogue(store: &Arc<dyn Store>) {
    for (tools, says) in
        [(["add", "sub"], Annotations::UNKNOWN), (["add", "new"], Annotations::of(Some(true), None, None))]
    {
        let milder = SeenTool { annotations: says, ..catalogue::tool("milder", "Reads.") };
        let listing = Listing {
            tools: tools.map(|name| catalogue::tool(name, tools[1])).into_iter().chain([milder]).collect(),
            names: Some(catalogue::names()),
            is_whole: true,
            alarms: Some(9),
        };
        store.keep_listing("files", listing, audit(AuditEvent::ToolChanged)).await.unwrap();
    }
}

/// Marks of a client and an account.
async fn fill_marks(store: &Arc<dyn Store>) {
    let made = [MadeByTable::Client(client_id("manual")), MadeByTable::Account(subject("alice"))];
    let adopt = |made| TableStep::Adopt(TableMark { id: "of-the-file".to_owned(), made });
    let steps = made.map(|made| (adopt(made), audit(AuditEvent::ClientAdopted)));
    store.apply_tables(steps.into()).await.unwrap();
}

async fn fill_clients(store: &Arc<dyn Store>) {
    let secret = |name: &str| ClientSecretHash { hash: hash(name), created_at: START, until: None };
    let metadata = ClientMetadata { token_endpoint_auth_method: AuthMethod::ClientSecretBasic, ..metadata() };
    let lifetimes = ClientLifetimes { access: Some(HOUR), refresh_idle: Some(DAY), refresh_absolute: None };
    let manual = Client { metadata, lifetimes, secrets: vec![secret("old")], ..client("manual", ClientOrigin::Manual) };
    store.insert_client(manual.clone(), 100, audit(AuditEvent::ClientAdded)).await.unwrap();
    let replacing = SecretRotation { new: secret("new"), previous_until: START.plus(DAY) };
    let kept = audit(AuditEvent::ClientSecretRotated);
    store.rotate_client_secret(&manual.id, replacing, kept).await.unwrap();
    for (host, source) in [("fetched", DocumentSource::Fetched), ("shipped", DocumentSource::Shipped)] {
        let id = ClientId::parse(&format!("https://{host}.example/client.json")).unwrap();
        let document = Some(DocumentAge { fetched_at: START, fresh_until: START.plus(HOUR), source });
        let described = Client { id, document, ..client(host, ClientOrigin::MetadataDocument) };
        let decision = ClientDecision { approved: host == "fetched", seen: SeenClient::of(&described.metadata) };
        store.put_document_client(described.clone(), false, None).await.unwrap();
        store.decide_client(&described.id, decision, audit(AuditEvent::ClientApproved)).await.unwrap();
    }
}

/// Grants, with the records before and after them.
async fn fill_grants(store: &Arc<dyn Store>) {
    grant(store, "g", START).await;
    store.note_activity(&[(tenant(), grant_id("g"), START)]).await.unwrap();
    grant(store, "ended", START).await;
    store.revoke_grant(grant_id("ended"), audit(AuditEvent::GrantRevoked)).await.unwrap();
    // A lost answer: a void token, a mark, a later generation.
    grant(store, "lost", START).await;
    let mut request = rotate("lost", 0, "lost answer", START);
    request.access.lifetime = DAY;
    rotated(store.rotate_refresh_token(request).await.unwrap());
    report_unused(store, "lost", 1).await;
    let again = store.rotate_refresh_token(rotate("lost", 0, "again", START.plus(HOUR))).await.unwrap();
    assert!(matches!(again, Rotation::RetriedLate(..)), "{again:?}");
    let (new, addresses) = (key("k", START), AddressRanges::parse(["192.0.2.0/24"]).unwrap());
    let details = KeyDetails { addresses, ..KeyDetails::clone(new.grant.key.as_ref().unwrap()) };
    let grant = Grant { key: Some(Box::new(details)), ..new.grant.clone() };
    assert!(matches!(store.insert_key(NewKey { grant, ..new }).await.unwrap(), KeyAdded::Added(_)));
    let acted = store.issue_to_client(crate::acting::for_alice("acted", START)).await.unwrap().unwrap();
    store.revoke_grant(acted.grant.id, audit(AuditEvent::GrantRevoked)).await.unwrap();
    let page = interaction("consented", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    store
        .insert_code(code("c", START), page.key.hash, Some(consent(START)), audit(AuditEvent::CodeIssued))
        .await
        .unwrap();
    let page = interaction("consented in part", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let in_part = CodeRecord { exclusions: exclusions(), ..code("in part", START) };
    let remembered = Consent { exclusions: exclusions(), ..consent(START) };
    store.insert_code(in_part, page.key.hash, Some(remembered), audit(AuditEvent::CodeIssued)).await.unwrap();
    let signed = RedeemCode { by_assertion: true, ..redeem("in part", "in part token", START) };
    store.redeem_code(signed).await.unwrap();
    store.put_ephemeral(interaction("waiting", START), PENDING).await.unwrap();
    let source = Source { host: [198, 51, 100, 7].into(), site: [198, 51, 100, 0].into() };
    store.put_ephemeral(Ephemeral { source, ..interaction("from somewhere", START) }, PENDING).await.unwrap();
}

/// Sessions, links, login history, and a service account.
async fn fill_accounts(store: &Arc<dyn Store>) {
    let failed_before = Some((2, START));
    for s in [session("s", "alice", START), LoginSession { failed_before, ..session("s2", "alice", START) }] {
        store.insert_session(s, None, Some(START), audit(AuditEvent::LoginSucceeded)).await.unwrap();
    }
    for (of, made_at) in [("alice", None), ("bob", Some(START))] {
        let link =
            SetupLink { hash: hash(of), tenant: tenant(), subject: subject(of), made_at, expires_at: START.plus(HOUR) };
        store.insert_setup_link(link, audit(AuditEvent::SetupLinkMade)).await.unwrap();
    }
    let places = [LoginPlace::Host([198, 51, 100, 7].into()), LoginPlace::Network([198, 51, 100, 0].into())];
    store.record_login_success(sign_in("alice", places, START), subject("alice")).await.unwrap();
    store.record_login_failure(sign_in("bob", places, START), Some(subject("bob"))).await.unwrap();
    store.record_login_failure(sign_in("nobody", places, START), None).await.unwrap();
    store.add_member(&group("staff"), &subject("alice"), audit(AuditEvent::GroupMemberAdded)).await.unwrap();
    let renamed = store.rename_account(&subject("bob"), &login_name("robert"), audit(AuditEvent::AccountRenamed)).await;
    assert!(matches!(renamed.unwrap(), Renaming::Done), "bob is renamed");
    store.insert_account(service("robot"), audit(AuditEvent::AccountAdded)).await.unwrap();
    let (of_robot, token) = operators("robot token");
    let workload = WorkloadIdentity::new("https://issuer.example", "job 1").map(Box::new);
    let robot = Subject::Service(subject("robot"));
    let (of_robot, token) =
        (Grant { subject: robot.clone(), workload, ..of_robot }, AccessTokenRecord { subject: robot, ..token });
    store.insert_operator_token(of_robot, token, audit(AuditEvent::OperatorTokenIssued)).await.unwrap();
}

#[test]
fn the_newest_schema_is_kept_with_rows_in_every_table() {
    let (dir, newest) = (tempfile::tempdir().unwrap(), migrations().len());
    let file = dir.path().join("mcpgate.db");
    if std::env::var_os("MCPGATE_BLESS").is_some() && !rows_of(newest).exists() {
        let store = open_store(&file);
        wait(fill(&store));
        std::fs::write(rows_of(newest), dump(&Connection::open(&file).unwrap())).unwrap();
        drop(store);
        std::fs::remove_file(&file).unwrap();
    }
    for schema in 1..=newest {
        assert!(
            rows_of(schema).exists(),
            "{} is missing: run this test with MCPGATE_BLESS=1",
            rows_of(schema).display()
        );
    }
    left_by(newest, &file);
    let db = Connection::open(&file).unwrap();
    for (table, columns) in tables(&db) {
        assert!(!literals(&db, &table, &columns).is_empty(), "fill() puts no row into {table}");
    }
    drop(open_store(&file));
}

/// The current name and columns of a table; `None` if its rows are derived from another table.
fn now((table, columns): (String, Vec<String>)) -> Option<(String, Vec<String>)> {
    let renamed = |name: String| match name.as_str() {
        "id" => "key".to_owned(),
        "cookie" => "browser".to_owned(),
        "request" => "body".to_owned(),
        _ => name,
    };
    let issued = |name: String| if name == "last_used_at" { "last_token_at".to_owned() } else { name };
    match table.as_str() {
        "client" if !columns.iter().any(|name| name == "last_token_at") => {
            Some((table, columns.into_iter().map(issued).collect()))
        }
        "interaction" => Some(("ephemeral".to_owned(), columns.into_iter().map(renamed).collect())),
        "interaction_place" | "interaction_weight" => None,
        _ => Some((table, columns)),
    }
}

fn assert_whole(file: &Path, tables: &[(String, Vec<String>)], rows: &Rows, what: &str) {
    let store = open_store(file);
    wait(async {
        // Structure (`integrity_check`), references (`foreign_key_check`), history, and the seal of every row.
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new(), "{what}");
        assert!(is_live(&store, "g token", START).await, "{what}");
        assert!(!is_live(&store, "ended token", START).await, "{what}");
    });
    // A migration that changes values or removes a column needs a special case here.
    assert_eq!(&all_rows(&Connection::open(file).unwrap(), tables), rows, "{what}");
}

/// The tables and rows of a store before a newer program opens it, without its migration history, as expected
/// afterwards.
fn before(file: &Path) -> (Tables, Rows) {
    let db = Connection::open(file).unwrap();
    let mut tables = tables(&db);
    tables.retain(|(name, _)| name != "migration");
    let rows = all_rows(&db, &tables);
    assert!(rows.values().all(|rows| !rows.is_empty()), "every table has rows");
    let rows = rows.into_iter().filter_map(|(table, rows)| Some((now((table, Vec::new()))?.0, rows))).collect();
    (tables.into_iter().filter_map(now).collect(), rows)
}

#[test]
fn stores_of_every_earlier_schema_are_brought_up_to_date_with_all_their_rows() {
    for schema in 1..=migrations().len() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcpgate.db");
        left_by(schema, &file);
        let (tables, rows) = before(&file);
        let bytes = std::fs::read(&file).unwrap();
        let kept =
            mcpgate::store::stored_catalogue(folder.path(), &mcpgate::oauth::TenantId::default(), "files").unwrap();
        assert_eq!(kept.is_some(), schema == migrations().len(), "schema {schema}");
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names == ["mcpgate.db"] && std::fs::read(&file).unwrap() == bytes, "only read: {names:?}");
        assert_whole(&file, &tables, &rows, &format!("schema {schema}"));
    }
}

#[test]
fn last_uses_of_clients_and_ages_of_secrets_are_taken_from_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcpgate.db");
    left_by(25, &file);
    let later = START.plus(HOUR);
    let db = Connection::open(&file).unwrap();
    let sql = "UPDATE audit SET at = ?1, client_id = 'mcp_client_manual' WHERE event = 'client.secret_rotated'";
    assert_eq!(db.execute(sql, [i64::try_from(later.as_millis()).unwrap()]).unwrap(), 1);
    drop(db);
    let store = open_store(&file);
    let found = |name: &str| wait(store.find_client(&tenant(), &client_id(name))).unwrap().unwrap();
    assert_eq!(found("app").last_used_at, Some(START));
    let manual = found("manual");
    assert_eq!(manual.last_used_at, None);
    let ages: Vec<_> = manual.secrets.iter().map(|secret| (secret.hash, secret.created_at)).collect();
    assert_eq!(ages, [(hash("new"), later), (hash("old"), START)]);
}

const OLD: &str = "MCPGATE_TEST_OLD_STORE";

/// The process is killed at a write to the file; the next one finds a complete store, old or new.
#[test]
fn st_02_a_program_that_is_killed_while_it_changes_the_schema_loses_nothing() {
    if let Some(file) = std::env::var_os(OLD) {
        return drop(open_store(Path::new(&file)));
    }
    let shim = failing_disk();
    std::thread::scope(|threads| {
        for schema in 1..migrations().len() {
            let shim = shim.path().join("faults.so");
            threads.spawn(move || {
                // Different writes for each schema; closer together at the start, where locks and log are created.
                let mut budget = 0;
                while is_killed(schema, budget, &shim) {
                    budget = 2 * budget + 1 + schema % 3;
                    assert!(budget < 5000, "opening does not need so many writes");
                }
                assert!(budget > 0, "the first write was not killed");
            });
        }
    });
}

/// Lets a process open a store of that schema and kills it after `budget` writes; returns whether it was killed.
fn is_killed(schema: usize, budget: usize, shim: &Path) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcpgate.db");
    left_by(schema, &file);
    let (tables, rows) = before(&file);
    let killed = is_killed_while_opening(&file, budget, shim);
    assert_whole(&file, &tables, &rows, &format!("schema {schema}, killed after {budget} writes"));
    killed
}

fn is_killed_while_opening(file: &Path, budget: usize, shim: &Path) -> bool {
    let folder = file.parent().unwrap();
    put_fault(folder, "kill", budget);
    let name = "embedded::schemas::st_02_a_program_that_is_killed_while_it_changes_the_schema_loses_nothing";
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env("LD_PRELOAD", shim)
        .env(FAULTS, folder)
        .env(OLD, file)
        .output()
        .unwrap();
    assert!(ended.status.success() || ended.status.signal() == Some(9), "{ended:?}");
    !ended.status.success()
}

/// First the schema changes, then everything open in the backup ends: a kill in between must not leave it open.
#[test]
fn rt_16_a_backup_of_an_earlier_schema_ends_what_it_holds_open_whenever_the_program_is_killed() {
    let shim = failing_disk();
    for budget in (0..5000).step_by(11) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcpgate.db");
        left_by(1, &file);
        Connection::open(&file).unwrap().pragma_update(None, "user_version", 1).unwrap();
        let killed = is_killed_while_opening(&file, budget, &shim.path().join("faults.so"));
        let store = open_store(&file);
        wait(async {
            assert_eq!(store.check().await.unwrap(), Vec::<String>::new(), "{budget}");
            let found = store.find_grant(&tenant(), grant_id("g")).await.unwrap().unwrap();
            assert!(found.revoked_at.is_some() && !is_live(&store, "g token", START).await, "{budget}");
        });
        if !killed {
            return;
        }
    }
    panic!("opening does not need so many writes");
}
