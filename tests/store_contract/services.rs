//! Service accounts: they hold grants like users, but nobody can sign in with one.

use std::sync::Arc;

use mcpgate::oauth::{
    AccessTokenRecord, AccountId, ClientOrigin, Grant, Lifetime, Subject, Timestamp, WorkloadIdentity,
};
use mcpgate::store::{
    Account, AuditEvent, AuditFilter, AuditRow, Change, Insertion, IssueFor, IssueToClient, Issued, LoginPlace,
    NewAccessToken, Renaming, SetupLink, Store, StoreError, Update,
};

use crate::grants::operators;
use crate::world::*;

crate::on_every_store! {
    a_service_is_kept_as_what_it_is,
    nobody_signs_in_as_a_service,
    the_grant_of_a_service_lives_and_ends_as_that_of_a_person,
    a_client_gets_its_tokens_on_one_grant,
    a_grant_of_a_client_is_prolonged_before_its_tokens_would_be_cut_short,
    a_client_that_is_disabled_or_gone_gets_no_token_and_its_account_goes_with_it,
    a_client_keeps_only_its_newest_tokens,
    each_workload_has_a_grant_of_its_own,
    several_requests_of_a_new_client_make_one_account_and_one_grant,
}

/// Adds the service `robot` to the default records.
async fn settle_with_robot(store: &Arc<dyn Store>) {
    settle(store).await;
    let added = store.insert_account(service("robot"), audit(AuditEvent::AccountAdded)).await.unwrap();
    assert_eq!(added, Insertion::Inserted);
}

/// Stores a grant of the service, with its token.
async fn granted(store: &Arc<dyn Store>, name: &str) -> (Grant, AccessTokenRecord) {
    let (grant, token) = operators(name);
    let robot = Subject::Service(subject("robot"));
    let grant = Grant { subject: robot.clone(), ..grant };
    let token = AccessTokenRecord { subject: robot, user: "robot".into(), ..token };
    store.insert_operator_token(grant.clone(), token.clone(), audit(AuditEvent::OperatorTokenIssued)).await.unwrap();
    (grant, token)
}

async fn a_service_is_kept_as_what_it_is(store: Arc<dyn Store>) {
    settle_with_robot(&store).await;
    assert_eq!(store.find_account(&tenant(), &subject("robot")).await.unwrap(), Some(service("robot")));
    assert_eq!(store.find_account_by_name(&tenant(), &login_name("robot")).await.unwrap(), Some(service("robot")));
    let kinds: Vec<_> = store.list_accounts(&tenant()).await.unwrap().iter().map(|a| a.subject.kind()).collect();
    assert_eq!(kinds, ["person", "person", "service"]);
    // Ids and names are unique across all kinds of account.
    for taken in [account("robot"), Account { name: login_name("other"), ..account("robot") }, service("alice")] {
        let added = store.insert_account(taken, audit(AuditEvent::AccountAdded)).await.unwrap();
        assert_eq!(added, Insertion::Exists);
    }
    let renamed = store.rename_account(&subject("robot"), &login_name("rob"), audit(AuditEvent::AccountRenamed)).await;
    assert_eq!(renamed.unwrap(), Renaming::Done);
    let found = store.find_account(&tenant(), &subject("robot")).await.unwrap().unwrap();
    assert_eq!((found.subject, found.name.as_str()), (Subject::Service(subject("robot")), "rob"));
}

async fn nobody_signs_in_as_a_service(store: Arc<dyn Store>) {
    settle_with_robot(&store).await;
    let robot = subject("robot");
    let with_password = Account { subject: Subject::Service(subject("two")), ..account("two") };
    let refused = store.insert_account(with_password, audit(AuditEvent::AccountAdded)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");

    let set = audit(AuditEvent::PasswordSet);
    let updated = store.set_password(&robot, new_password("$phc", "robot", START), set).await.unwrap();
    assert_eq!(updated, Update::NotFound);
    let link = SetupLink {
        hash: hash("link"),
        tenant: tenant(),
        subject: robot.clone(),
        made_at: Some(START),
        expires_at: START.plus(HOUR),
    };
    let refused = store.insert_setup_link(link, audit(AuditEvent::SetupLinkMade)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");

    // A sign-in with the name behaves as for an unknown name.
    let places = [LoginPlace::Host([198, 51, 100, 7].into()), LoginPlace::Network([198, 51, 100, 0].into())];
    let history = store.find_login(sign_in("robot", places, START), Some(login_name("robot"))).await.unwrap();
    assert_eq!((history.account, history.failures), (None, 0));
    let begun = store.insert_session(session("s", "robot", START), None, None, audit(AuditEvent::LoginSucceeded)).await;
    assert_eq!(begun.unwrap(), Update::NotFound);

    // A code needs a person's consent.
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let code = mcpgate::oauth::CodeRecord { subject: robot, ..code("c", START) };
    let issued = store.insert_code(code, page.key.hash, None, audit(AuditEvent::CodeIssued)).await.unwrap();
    assert_eq!(issued, Update::NotFound);
    assert!(store.find_code(&tenant(), &hash("c")).await.unwrap().is_none());
}

async fn the_grant_of_a_service_lives_and_ends_as_that_of_a_person(store: Arc<dyn Store>) {
    settle_with_robot(&store).await;
    let (grant, token) = granted(&store, "one").await;
    granted(&store, "two").await;
    assert_eq!(store.find_grant(&tenant(), grant.id).await.unwrap().unwrap().subject, grant.subject);
    assert_eq!(store.find_access_token(&tenant(), &token.hash, START).await.unwrap(), Some(token.clone()));
    let (live, _) = store.live_access_tokens(0, 10, START).await.unwrap();
    assert!(live.len() == 2 && live.contains(&token), "{live:?}");
    let listed = store.list_grants(&grants_of(Some(&subject("robot")), None), START).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(store.list_grants(&grants_of(Some(&subject("alice")), None), START).await.unwrap().is_empty());

    let before = store.newest_change().await.unwrap();
    store.revoke_grant(grant.id, audit(AuditEvent::GrantRevoked)).await.unwrap();
    assert!(!is_live(&store, "one", START).await && is_live(&store, "two", START).await);
    let off = audit(AuditEvent::AccountDisabled);
    assert_eq!(store.set_account_disabled(&subject("robot"), true, off).await.unwrap(), Update::Done);
    assert!(!is_live(&store, "two", START).await);
    let off = Change::AccountDisabled(tenant(), subject("robot"));
    let wanted =
        [Change::GrantRevoked(tenant(), grant_id("one")), Change::GrantRevoked(tenant(), grant_id("two")), off];
    assert_eq!(changes(&store, &before).await, wanted);
}

/// The service account of a client, which has the client's id.
fn service_of(client: &str) -> Account {
    let id = AccountId::parse(client_id(client).as_str()).unwrap();
    Account { subject: Subject::Service(id), ..service(client) }
}

/// A token for the client `app` itself.
fn to_client(name: &str, granted: &str, now: Timestamp) -> IssueToClient {
    let (grant, _) = operators(name);
    let service = Account { created_at: now, ..service_of("app") };
    let end = now.plus(DAY);
    let granted = scopes(granted);
    IssueToClient {
        grant: Grant {
            subject: service.subject.clone(),
            scopes: granted,
            created_at: now,
            expires_at: end,
            idle_until: end,
            ..grant
        },
        subject: IssueFor::Service(service),
        access: NewAccessToken { user: "app".into(), ..new_token(name) },
        now,
        record_success: false,
        audit: row(AuditEvent::ClientTokenIssued, now),
    }
}

async fn issued(store: &Arc<dyn Store>, request: IssueToClient) -> Issued {
    store.issue_to_client(request).await.unwrap().unwrap()
}

async fn a_client_gets_its_tokens_on_one_grant(store: Arc<dyn Store>) {
    settle(&store).await;
    let before = store.newest_audit().await.unwrap();
    let first = issued(&store, to_client("one", "a b", START)).await;
    let app = service_of("app");
    assert_eq!(store.find_account(&tenant(), app.subject.id()).await.unwrap().as_ref(), Some(&app));
    assert_eq!((first.grant.id, first.grant.may_refresh, first.token.generation), (grant_id("one"), false, 0));
    assert_eq!((&first.token.subject, &*first.token.user), (&app.subject, "app"));
    assert_eq!(store.find_access_token(&tenant(), &hash("one"), START).await.unwrap().as_ref(), Some(&*first.token));
    // A token with fewer scopes is on the same grant; a row was wanted for neither, and the first has one.
    let narrow = to_client("two", "a b", START);
    let access = NewAccessToken { scopes: Some(scopes("a")), ..narrow.access.clone() };
    let narrow = issued(&store, IssueToClient { access, ..narrow }).await;
    assert_eq!((narrow.grant.id, &narrow.token.scopes), (grant_id("one"), &scopes("a")));
    let again = issued(&store, IssueToClient { record_success: true, ..to_client("three", "a b", START) }).await;
    assert_eq!(again.grant.id, grant_id("one"));
    let rows = store.audit_after(&AuditFilter::default(), before, 10).await.unwrap().rows;
    let rows: Vec<AuditRow> = rows.into_iter().map(|(_, row)| row).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in &rows {
        assert_eq!((row.event, row.subject.as_ref()), (AuditEvent::ClientTokenIssued, Some(app.subject.id())));
        assert_eq!((row.target.clone(), row.scopes.clone()), (Some(grant_id("one").to_string()), Some(scopes("a b"))));
    }
    // Other scopes are another grant, so that no earlier token gains or loses any.
    let other = issued(&store, to_client("four", "a", START)).await;
    assert_eq!(other.grant.id, grant_id("four"));
    let token = store.find_access_token(&tenant(), &hash("one"), START).await.unwrap().unwrap();
    assert_eq!(token.scopes, scopes("a b"));
    // A revoked grant is used no more.
    store.revoke_grant(grant_id("one"), row(AuditEvent::GrantRevoked, START)).await.unwrap();
    assert_eq!(issued(&store, to_client("five", "a b", START)).await.grant.id, grant_id("five"));
    assert!(!is_live(&store, "one", START).await && is_live(&store, "five", START).await);
    assert!(store.check().await.unwrap().is_empty());
}

async fn a_grant_of_a_client_is_prolonged_before_its_tokens_would_be_cut_short(store: Arc<dyn Store>) {
    settle(&store).await;
    let first = issued(&store, to_client("one", "a", START)).await;
    assert_eq!(first.grant.expires_at, START.plus(DAY));
    let soon = START.plus(HOUR);
    assert_eq!(issued(&store, to_client("two", "a", soon)).await.grant.expires_at, START.plus(DAY));
    let later = START.plus(Lifetime::from_secs(13 * 3600));
    let prolonged = issued(&store, to_client("three", "a", later)).await;
    assert_eq!((prolonged.grant.id, prolonged.grant.expires_at), (grant_id("one"), later.plus(DAY)));
    let kept = store.find_grant(&tenant(), grant_id("one")).await.unwrap().unwrap();
    assert_eq!((kept.expires_at, kept.idle_until), (later.plus(DAY), later.plus(DAY)));
    assert!(is_live(&store, "three", later).await);
    // Unused for longer than its life, it is over, and the next token has a new one.
    let after = later.plus(DAY).plus(HOUR);
    assert_eq!(issued(&store, to_client("four", "a", after)).await.grant.id, grant_id("four"));
}

async fn a_client_that_is_disabled_or_gone_gets_no_token_and_its_account_goes_with_it(store: Arc<dyn Store>) {
    settle(&store).await;
    store.insert_client(client("robot", ClientOrigin::Manual), 9, audit(AuditEvent::ClientAdded)).await.unwrap();
    let of_robot = |name: &str| {
        let request = to_client(name, "a", START);
        let service = service_of("robot");
        let grant = Grant { client: client_id("robot"), subject: service.subject.clone(), ..request.grant };
        IssueToClient { subject: IssueFor::Service(service), grant, ..request }
    };
    issued(&store, of_robot("one")).await;
    let off = audit(AuditEvent::ClientDisabled);
    store.set_client_disabled(&client_id("robot"), true, off).await.unwrap();
    assert!(store.issue_to_client(of_robot("two")).await.unwrap().is_none());
    let on = audit(AuditEvent::ClientEnabled);
    store.set_client_disabled(&client_id("robot"), false, on).await.unwrap();
    issued(&store, of_robot("three")).await;
    let unknown = of_robot("four");
    let unknown = IssueToClient { grant: Grant { client: client_id("unknown"), ..unknown.grant.clone() }, ..unknown };
    assert!(store.issue_to_client(unknown).await.unwrap().is_none());
    // An id or a name that a person has is never a service's.
    let of_person = |service: Account| {
        let request = of_robot("five");
        let grant = Grant { subject: service.subject.clone(), ..request.grant.clone() };
        IssueToClient { subject: IssueFor::Service(service), grant, ..request }
    };
    let id_taken = Account { name: login_name("other"), ..service("alice") };
    assert!(store.issue_to_client(of_person(id_taken)).await.unwrap().is_none());
    let name_taken = Account { name: login_name("alice"), ..service("other") };
    let refused = store.issue_to_client(of_person(name_taken)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");

    store.delete_client(&client_id("robot"), audit(AuditEvent::ClientDeleted)).await.unwrap();
    assert!(store.find_account(&tenant(), service_of("robot").subject.id()).await.unwrap().is_none());
    assert!(!is_live(&store, "three", START).await);
    assert!(store.find_account(&tenant(), &subject("alice")).await.unwrap().is_some());
}

async fn a_client_keeps_only_its_newest_tokens(store: Arc<dyn Store>) {
    settle(&store).await;
    let before = store.newest_change().await.unwrap();
    let names: Vec<_> = (0..1026).map(|n| format!("t{n}")).collect();
    issued(&store, to_client(&names[0], "a", START)).await;
    for some in names[1..].chunks(128) {
        let all = some.iter().map(|name| store.issue_to_client(to_client(name, "a", START)));
        for outcome in futures_util::future::join_all(all).await {
            assert!(outcome.unwrap().is_some());
        }
    }
    let (live, _) = store.live_access_tokens(0, 2000, START).await.unwrap();
    assert_eq!(live.len(), 1024);
    assert!(!is_live(&store, "t0", START).await && is_live(&store, "t1025", START).await);
    let gone = changes(&store, &before).await;
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert_eq!(gone[0], Change::AccessTokenRevoked(tenant(), hash("t0")));
}

async fn several_requests_of_a_new_client_make_one_account_and_one_grant(store: Arc<dyn Store>) {
    settle(&store).await;
    let names: Vec<_> = (0..16).map(|n| format!("t{n}")).collect();
    let all = names.iter().map(|name| store.issue_to_client(to_client(name, "a", START)));
    let all = futures_util::future::join_all(all).await;
    let grants: Vec<_> = all.into_iter().map(|outcome| outcome.unwrap().unwrap().grant.id).collect();
    assert!(grants.iter().all(|id| *id == grants[0]), "{grants:?}");
    assert_eq!(store.list_accounts(&tenant()).await.unwrap().iter().filter(|a| !a.subject.is_person()).count(), 1);
    assert_eq!(store.list_grants(&grants_of(None, Some(&client_id("app"))), START).await.unwrap().len(), 1);
}

async fn each_workload_has_a_grant_of_its_own(store: Arc<dyn Store>) {
    settle(&store).await;
    let of = |name: &str, issuer: &str, subject: &str| {
        let request = to_client(name, "a", START);
        let workload = WorkloadIdentity::new(issuer, subject).map(Box::new);
        IssueToClient { grant: Grant { workload, ..request.grant.clone() }, ..request }
    };
    let (one, other) = ("https://one.example", "https://other.example");
    for (name, issuer, subject, grant) in [
        ("a", one, "job 1", "a"),
        ("b", one, "job 1", "a"),
        ("c", one, "job 2", "c"),
        ("d", other, "job 1", "d"),
        ("e", other, "job 1", "d"),
    ] {
        assert_eq!(issued(&store, of(name, issuer, subject)).await.grant.id, grant_id(grant), "{name}");
    }
    assert_eq!(issued(&store, to_client("f", "a", START)).await.grant.id, grant_id("f"), "that of no workload");
    let kept = store.find_grant(&tenant(), grant_id("c")).await.unwrap().unwrap();
    assert_eq!(kept.workload.map(|workload| workload.to_string()), Some(format!("{one} job 2")));
}
