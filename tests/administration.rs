//! Operator commands, over the model store and a manual clock. A failure means that an operation does less, or
//! more, than it says.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "support/password.rs"]
mod password;
#[path = "support/records.rs"]
mod records;
#[path = "support/services.rs"]
mod services;
#[path = "administration/tables.rs"]
mod tables;

use std::sync::Arc;

use mcpgate::clock::{Clock as _, ManualClock};
use mcpgate::config::{Config, Overrides, UpstreamConfig};
use mcpgate::entropy::SeededEntropy;
use mcpgate::issuer::{
    Administration, AdministrationError, AuditQuery, ClientEdit, ClientQuery, FirstAccount, LifetimeEdit, NewClient,
    PasswordRefused, Services, SessionQuery,
};
use mcpgate::oauth::{
    AccountId, AuthMethod, Client, ClientId, ClientLifetimes, ClientOrigin, ClientSecretHash, Digest, GrantType,
    Lifetime, ResourceIndicator, Subject, TenantId, Timestamp,
};
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{Account, AccountStatus, AuditEvent, AuditRow, LinkSecret, Store, ToolChoice};
use password::PASSWORD;

struct World {
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
    services: Services,
    operator: Administration,
}

impl World {
    fn new() -> Self {
        Self::with(Overrides { up: true, data_dir: Some("/nowhere".into()), ..Overrides::default() })
    }

    fn with(overrides: Overrides) -> Self {
        let mut config = Config::load(None, &overrides).unwrap();
        config.login.argon2_memory_kib = 64;
        config.login.argon2_passes = 1;
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let services = services::services(Arc::clone(&store), Arc::<ManualClock>::clone(&clock), config);
        let operator = Administration::new(services.clone(), TenantId::default());
        Self { clock, store, services, operator }
    }

    fn of_tenant(&self, name: &str) -> Administration {
        // A seed for each tenant: two tenants with the same random bytes would hide a key that lacks the tenant.
        let entropy = Arc::new(SeededEntropy::new(name.bytes().map(u64::from).sum()));
        Administration::new(Services { entropy, ..self.services.clone() }, TenantId::parse(name).unwrap())
    }

    async fn link_works(&self, link: &str) -> bool {
        let (_, secret) = link.split_once("?link=").unwrap();
        let hash = LinkSecret::recognise(secret.as_bytes(), &self.services.keys.load()).unwrap();
        self.store.find_setup_link(&TenantId::default(), &hash, self.clock.now()).await.unwrap().is_some()
    }

    async fn events(&self) -> Vec<AuditEvent> {
        trail(&self.operator, 1000).await.into_iter().map(|row| row.event).collect()
    }
}

/// The newest rows of the audit trail, without a filter.
async fn trail(operator: &Administration, count: u32) -> Vec<AuditRow> {
    let filter = operator.audit_filter(&AuditQuery::default()).await.unwrap();
    operator.audit_last(&filter, count).await.unwrap().into_iter().map(|(_, row)| row).collect()
}

fn wiki(auth_method: AuthMethod) -> NewClient {
    NewClient {
        name: "Wiki".to_owned(),
        redirect_uris: vec!["https://app.example.com/callback".to_owned()],
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        auth_method,
        jwks: None,
        jwks_uri: None,
        may_act_for: Vec::new(),
        upstream: None,
        scopes: Vec::new(),
        lifetimes: ClientLifetimes::default(),
    }
}

#[tokio::test]
async fn li_11_the_first_account_has_no_default_password() {
    let world = World::new();
    let FirstAccount::Link(link) = world.operator.first_account(None).await.unwrap() else { panic!("expected a link") };
    let account = world.operator.account("admin").await.unwrap();
    assert!(account.password.is_none());
    assert!(link.starts_with("https://localhost:8443/setup?link=mcp_session_"));
    assert!(world.link_works(&link).await);
    world.clock.advance(Lifetime::from_secs(3601));
    assert!(!world.link_works(&link).await, "the link expires after an hour");
}

#[tokio::test]
async fn li_08_a_link_to_a_new_password_works_for_ten_minutes() {
    let world = World::new();
    world.operator.add_account("ada", Some(PASSWORD)).await.unwrap();
    let link = world.operator.password_link("ada").await.unwrap();
    world.clock.advance(Lifetime::from_secs(599));
    assert!(world.link_works(&link).await);
    world.clock.advance(Lifetime::from_secs(1));
    assert!(!world.link_works(&link).await);
    let first = world.operator.add_account("grace", None).await.unwrap().link.unwrap();
    world.clock.advance(Lifetime::from_secs(3599));
    assert!(world.link_works(&first).await, "a link for a first password is valid for an hour");
}

#[tokio::test]
async fn li_11_a_new_start_makes_a_new_link_until_there_is_a_password() {
    let world = World::new();
    let FirstAccount::Link(first) = world.operator.first_account(None).await.unwrap() else { panic!("a link") };
    let FirstAccount::Link(second) = world.operator.first_account(None).await.unwrap() else { panic!("a link") };
    assert!(!world.link_works(&first).await && world.link_works(&second).await);
    world.operator.set_password("admin", PASSWORD).await.unwrap();
    assert!(matches!(world.operator.first_account(None).await.unwrap(), FirstAccount::Ready));
    assert_eq!(world.operator.accounts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_password_file_sets_the_first_password_and_never_a_second() {
    let world = World::new();
    assert!(matches!(world.operator.first_account(Some(PASSWORD)).await.unwrap(), FirstAccount::PasswordSet));
    let before = world.operator.account("admin").await.unwrap();
    assert!(matches!(world.operator.first_account(Some("another-kettle-77")).await.unwrap(), FirstAccount::Ready));
    assert_eq!(world.operator.account("admin").await.unwrap(), before);
    assert_eq!(world.events().await, [AuditEvent::AccountAdded]);
}

#[tokio::test]
async fn a_renamed_operator_is_not_given_a_second_admin() {
    let world = World::new();
    world.operator.add_account("grace", Some(PASSWORD)).await.unwrap();
    assert!(matches!(world.operator.first_account(None).await.unwrap(), FirstAccount::Ready));
    assert!(world.operator.account("admin").await.is_err());
}

#[tokio::test]
async fn a_service_account_is_nobodys_first_account_and_is_managed_by_its_client_alone() {
    let world = World::new();
    let id = AccountId::parse("service_1").unwrap();
    let robot = Account { subject: Subject::Service(id), ..records::service("robot") };
    let row = AuditRow::new(world.clock.now(), TenantId::default(), AuditEvent::AccountAdded);
    world.store.insert_account(robot, row).await.unwrap();
    assert!(matches!(world.operator.first_account(None).await.unwrap(), FirstAccount::Link(_)));
    let operator = &world.operator;
    for refused in [
        operator.set_password("robot", PASSWORD).await.err(),
        operator.password_link("robot").await.err(),
        operator.set_account_disabled("robot", true).await.err(),
        operator.rename_account("robot", "ada").await.err(),
        operator.delete_account("robot").await.err(),
        operator.issue_token("robot", Some("mcp"), &[], None).await.err(),
    ] {
        assert!(matches!(refused, Some(AdministrationError::NotAPerson(_))), "{refused:?}");
    }
    assert_eq!(operator.account("service_1").await.unwrap().status, AccountStatus::Enabled);
}

#[tokio::test]
async fn a_name_once_given_is_never_somebody_elses() {
    let world = World::new();
    let operator = &world.operator;
    operator.add_account("ada", Some(PASSWORD)).await.unwrap();
    operator.add_account("bob", Some(PASSWORD)).await.unwrap();
    assert!(matches!(operator.rename_account("ada", "BOB").await, Err(AdministrationError::NameTaken(_))));
    assert!(matches!(operator.rename_account("ada", "a b").await, Err(AdministrationError::BadName(_))));
    assert_eq!(operator.rename_account("Ada", "Grace").await.unwrap().name.as_str(), "grace");
    operator.rename_account("grace", "grace").await.unwrap();
    assert!(matches!(operator.add_account("ada", None).await, Err(AdministrationError::NameOnceGiven(_))));
    operator.delete_account("grace").await.unwrap();
    for name in ["ada", "grace"] {
        assert!(matches!(operator.add_account(name, None).await, Err(AdministrationError::NameOnceGiven(_))), "{name}");
    }
    operator.delete_account("bob").await.unwrap();
    assert!(operator.accounts().await.unwrap().is_empty());
    let rows = trail(operator, 1000).await;
    let found: Vec<_> = rows.iter().skip(2).map(|row| (row.event, row.reason.as_deref().unwrap_or_default())).collect();
    let expected = [
        (AuditEvent::AccountRenamed, "ada to grace"),
        (AuditEvent::AccountDeleted, "grace"),
        (AuditEvent::AccountDeleted, "bob"),
    ];
    assert_eq!(found, expected);
    // Rows are found by every name the account has had.
    for name in ["ada", "grace"] {
        let query = AuditQuery { user: Some(name.to_owned()), ..AuditQuery::default() };
        let filter = operator.audit_filter(&query).await.unwrap();
        assert_eq!(operator.audit_last(&filter, 10).await.unwrap().len(), 3, "{name}");
    }
}

#[tokio::test]
async fn nobody_is_made_admin_in_the_place_of_one_who_was_deleted() {
    let world = World::new();
    world.operator.first_account(Some(PASSWORD)).await.unwrap();
    world.operator.delete_account("admin").await.unwrap();
    assert!(matches!(world.operator.first_account(None).await.unwrap(), FirstAccount::Ready));
    assert!(world.operator.accounts().await.unwrap().is_empty());
}

#[tokio::test]
async fn li_07_the_name_of_the_account_is_no_password() {
    let world = World::new();
    let refused = world.operator.add_account("grace.hopper", Some("grace.hopper1")).await;
    assert!(matches!(refused, Err(AdministrationError::Password(PasswordRefused::TooCommon))));
    assert!(world.operator.accounts().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_rotated_secret_is_honoured_for_a_day() {
    let world = World::new();
    let added = world.operator.add_client(&wiki(AuthMethod::ClientSecretBasic)).await.unwrap();
    let (id, old) = (added.client.id.as_str().to_owned(), added.secret.unwrap().hash());
    let new = world.operator.rotate_client_secret(&id).await.unwrap().0.hash();
    let secrets = world.operator.client(&id).await.unwrap().secrets;
    let honoured = |hash: Digest<ClientSecretHash>, at: Timestamp| {
        secrets.iter().any(|secret| secret.hash == hash && secret.until.is_none_or(|until| at < until))
    };
    let now = world.clock.now();
    let (last, after) = (now.plus(Lifetime::from_secs(86_399)), now.plus(Lifetime::from_secs(86_400)));
    assert!(honoured(new, now) && honoured(old, now) && honoured(old, last));
    assert!(!honoured(old, after) && honoured(new, after));
}

#[tokio::test]
async fn old_secrets_are_marked_until_they_are_replaced() {
    let world = World::new();
    let id = world.operator.add_client(&wiki(AuthMethod::ClientSecretBasic)).await.unwrap().client.id;
    world.operator.add_client(&wiki(AuthMethod::None)).await.unwrap();
    let query = ClientQuery { old_secret: true, ..ClientQuery::default() };
    let old = async || world.operator.list_clients(&query).await.unwrap().clients;
    world.clock.advance(Lifetime::from_secs(90 * 86_400));
    assert!(old().await.is_empty());
    world.clock.advance(Lifetime::from_secs(1));
    let listed = old().await;
    assert_eq!(listed.iter().map(|listed| &listed.client.id).collect::<Vec<_>>(), [&id]);
    assert_eq!(listed.first().unwrap().secret_age, Some(Lifetime::from_secs(90 * 86_400 + 1)));
    let (_, until) = world.operator.rotate_client_secret(id.as_str()).await.unwrap();
    assert!(old().await.is_empty());
    let shown = world.operator.listed_client(id.as_str()).await.unwrap();
    assert_eq!((shown.secret_age, shown.has_old_secret), (Some(Lifetime::from_secs(0)), false));
    assert_eq!(shown.previous_secret.map(|(_, end)| end), Some(until));
    world.clock.advance(Lifetime::from_secs(86_400));
    assert_eq!(world.operator.listed_client(id.as_str()).await.unwrap().previous_secret, None, "it has ended");
}

#[tokio::test]
async fn a_token_lives_and_dies_with_its_grant() {
    let world = World::new();
    world.operator.add_account("ada", Some(PASSWORD)).await.unwrap();
    let issued = world.operator.issue_token("ADA", Some("mcp"), &[], Some(Lifetime::from_secs(600))).await.unwrap();
    let found = || async {
        world.store.find_access_token(&TenantId::default(), &issued.record.hash, world.clock.now()).await.unwrap()
    };
    assert_eq!(found().await.as_ref(), Some(&issued.record));
    let grants = world.operator.grants(&SessionQuery::of_user("ada")).await.unwrap();
    assert!(grants.iter().all(|grant| !grant.may_refresh && grant.expires_at == issued.record.expires_at));
    world.operator.revoke_grant(&issued.record.grant.to_string()).await.unwrap();
    assert_eq!(found().await, None);
}

#[tokio::test]
async fn a_client_gets_no_lifetime_beyond_the_bound_whoever_added_it() {
    let world = World::new();
    let hours = |number: u64| Some(Lifetime::from_secs(number * 3600));
    let lifetimes = ClientLifetimes { access: hours(1), refresh_idle: hours(24), refresh_absolute: None };
    let added = world.operator.add_client(&NewClient { lifetimes, ..wiki(AuthMethod::None) }).await.unwrap().client;
    assert_eq!(world.operator.client(added.id.as_str()).await.unwrap().lifetimes, lifetimes);
    let too_long = ClientLifetimes { access: hours(2), ..lifetimes };
    let refused = world.operator.add_client(&NewClient { lifetimes: too_long, ..wiki(AuthMethod::None) }).await;
    assert!(refused.unwrap_err().to_string().contains("from 1m to 1h"), "the bound is named");
    let id = ClientId::parse("mcp_client_theirs").unwrap();
    let registered = Client { id, origin: ClientOrigin::Registered, lifetimes: ClientLifetimes::default(), ..added };
    let row = AuditRow::new(world.clock.now(), TenantId::default(), AuditEvent::ClientRegistered);
    world.store.insert_client(registered.clone(), 9, row).await.unwrap();
    let change = |access| ClientEdit {
        lifetimes: LifetimeEdit { access: Some(access), ..LifetimeEdit::default() },
        ..ClientEdit::default()
    };
    let id = registered.id.as_str();
    let plan = world.operator.plan_edit(id, &change(hours(2))).await;
    assert!(matches!(plan, Err(AdministrationError::Lifetimes(_))), "{plan:?}");
    for (access, of_all) in [(Some(Lifetime::from_secs(600)), false), (None, true)] {
        let plan = world.operator.plan_edit(id, &change(access)).await.unwrap();
        let (client, _) = world.operator.edit_client(plan).await.unwrap();
        assert_eq!((client.lifetimes.access, client.lifetimes == ClientLifetimes::default()), (access, of_all));
    }
    let rows = trail(&world.operator, 1).await;
    assert_eq!((rows[0].event, rows[0].reason.as_deref()), (AuditEvent::ClientEdited, Some("lifetimes")));
}

#[tokio::test]
async fn ad_04_tenants_do_not_meet() {
    let world = World::new();
    let other = world.of_tenant("acme");
    world.operator.add_account("ada", Some(PASSWORD)).await.unwrap();
    other.add_account("ada", Some(PASSWORD)).await.unwrap();
    let client = world.operator.add_client(&wiki(AuthMethod::None)).await.unwrap().client;
    assert!(matches!(other.client(client.id.as_str()).await, Err(AdministrationError::NoSuchClient(_))));
    assert!(other.clients().await.unwrap().is_empty());
    let issued = world.operator.issue_token("ada", Some("mcp"), &[], None).await.unwrap();
    let grant = issued.record.grant.to_string();
    assert!(matches!(other.revoke_grant(&grant).await, Err(AdministrationError::NoSuchGrant(_))));
    assert_eq!(other.revoke_grants(&SessionQuery::of_user("ada")).await.unwrap(), 0);
    assert!(matches!(
        other.issue_token("ada", Some("mcp"), &[], None).await,
        Err(AdministrationError::NoSuchUpstream { .. })
    ));
    let rows = trail(&other, 1000).await;
    let expected = [AuditEvent::AccountAdded];
    assert_eq!(rows.iter().map(|row| row.event).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_last_rows_are_found_behind_those_of_others() {
    let world = World::new();
    world.operator.add_account("ada", Some(PASSWORD)).await.unwrap();
    let other = world.of_tenant("acme");
    for name in 0..50 {
        other.add_account(&format!("user{name}"), None).await.unwrap();
    }
    let rows = trail(&world.operator, 5).await;
    assert_eq!(rows.iter().map(|row| row.event).collect::<Vec<_>>(), [AuditEvent::AccountAdded]);
    assert_eq!(trail(&other, 5).await.len(), 5);
}

#[tokio::test]
async fn each_deed_leaves_one_row_of_the_operator() {
    let world = World::new();
    world.operator.add_account("ada", Some(PASSWORD)).await.unwrap();
    world.operator.set_account_disabled("ada", true).await.unwrap();
    world.operator.set_account_disabled("ada", false).await.unwrap();
    let client = world.operator.add_client(&wiki(AuthMethod::None)).await.unwrap().client;
    world.operator.set_client_disabled(client.id.as_str(), true).await.unwrap();
    world.operator.delete_client(client.id.as_str()).await.unwrap();
    let rows = trail(&world.operator, 1000).await;
    assert!(rows.iter().all(|row| row.actor.as_deref() == Some("operator")));
    let expected = [
        AuditEvent::AccountAdded,
        AuditEvent::AccountDisabled,
        AuditEvent::AccountEnabled,
        AuditEvent::ClientAdded,
        AuditEvent::ClientDisabled,
        AuditEvent::ClientDeleted,
    ];
    assert_eq!(world.events().await, expected);
}

#[tokio::test]
async fn upstreams_with_one_resource_need_not_be_told_apart_for_a_token() {
    let world = World::new();
    world.operator.add_account("ada", Some(PASSWORD)).await.unwrap();
    let mut config = Config::clone(&world.services.config.load());
    let first = config.upstreams.first().unwrap().clone();
    let other = ResourceIndicator::parse("https://gw.example/rest").unwrap();
    for (resource, is_issued) in [(first.resource.clone(), true), (other, false)] {
        let second = UpstreamConfig { name: "rest".into(), path: "/rest".into(), resource, ..first.clone() };
        config.upstreams = vec![first.clone(), second];
        world.services.config.store(Arc::new(config.clone()));
        let operator = Administration::new(world.services.clone(), TenantId::default());
        assert_eq!(operator.issue_token("ada", None, &[], None).await.is_ok(), is_issued);
        let forgotten = operator.forget_tools(None, ToolChoice::All).await;
        assert!(matches!(forgotten, Err(AdministrationError::WhichUpstream(_))), "tools are of one of them");
    }
}
