//! Clients and accounts that tables of the configuration file describe.

use std::sync::Arc;

use mcpgate::clock::Clock as _;
use mcpgate::config::{Config, Overrides};
use mcpgate::issuer::{Administration, AdministrationError, Binding, ClientEdit, TableOptions, TablePlan};
use mcpgate::oauth::{AccountId, Digest, Lifetime, TenantId};
use mcpgate::store::{Account, AccountStatus, AuditEvent};

use crate::{PASSWORD, World, trail};

const SECRET: &str = "3f6c1a0d9b8e47d2a5f0c9e1b7d84a63";
const OTHER: &str = "0d9b8e47d2a5f0c9e1b7d84a633f6c1a";
const WIKI: &str = "[[client]]\nid = \"wiki\"\nredirect_uris = [\"https://wiki.example.com/cb\"]\n\
                    secret = \"${file:secret}\"\n";
const ROBOT: &str = "[[client]]\nid = \"robot\"\nsecret = \"${file:secret}\"\ngrants = [\"client_credentials\"]\n\
                     scopes = [\"mcp:read\"]\n";
const ADA: &str = "[[account]]\nid = \"ada-1\"\nname = \"ada\"\npassword = \"${file:password}\"\n";

/// A world whose configuration is a file with tables.
struct Files {
    world: World,
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { world: World::new(), folder: tempfile::tempdir().unwrap() };
        files.write("secret", SECRET);
        files.write("password", PASSWORD);
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), format!("{text}\n")).unwrap();
    }

    /// Puts a configuration with these tables in force; returns what its file may do.
    fn with(&self, tables: &str) -> Administration {
        self.write("gateway.toml", tables);
        let overrides = Overrides { up: true, data_dir: Some("/nowhere".into()), ..Overrides::default() };
        let mut config = Config::load(Some(&self.folder.path().join("gateway.toml")), &overrides).unwrap();
        config.login.argon2_memory_kib = 64;
        config.login.argon2_passes = 1;
        let config = Arc::new(config);
        self.world.services.config.store(Arc::clone(&config));
        Administration::of_file(self.world.services.clone(), config)
    }

    /// What commands may do.
    fn commands(&self) -> Administration {
        Administration::new(self.world.services.clone(), TenantId::default())
    }

    async fn plan(&self, tables: &str) -> Result<TablePlan, AdministrationError> {
        self.with(tables).plan_tables(TableOptions::default()).await
    }

    async fn follow(&self, tables: &str) {
        self.with(tables).follow_tables().await.unwrap();
    }

    /// The differences in a few words each: `change client wiki: redirect_uris secret`.
    async fn differences(&self, tables: &str) -> Vec<String> {
        said(&self.plan(tables).await.unwrap())
    }

    /// Everything that is wrong with the tables, with lines.
    async fn problems(&self, tables: &str) -> Vec<String> {
        let refused = self.plan(tables).await.err();
        let Some(AdministrationError::Tables(problems)) = refused else { return Vec::new() };
        problems.iter().map(|p| format!("{}: {}: {}", p.line.unwrap_or_default(), p.key, p.fault)).collect()
    }

    async fn account(&self, name: &str) -> Account {
        self.world.operator.account(name).await.unwrap()
    }
}

fn said(plan: &TablePlan) -> Vec<String> {
    let members = |d: &mcpgate::issuer::TableDifference| {
        let names: Vec<_> = d.changes.iter().map(|change| change.member.as_str()).collect();
        if names.is_empty() { String::new() } else { format!(": {}", names.join(" ")) }
    };
    let line = |d: &mcpgate::issuer::TableDifference| {
        format!("{} {} {}{}", d.action.as_str(), d.kind.as_str(), d.id, members(d))
    };
    plan.differences.iter().map(line).collect()
}

#[tokio::test]
async fn what_tables_describe_is_made_once_and_its_audit_rows_name_the_file() {
    let files = Files::new();
    let tables = format!("{WIKI}{ROBOT}{ADA}");
    let added = ["add client wiki", "add client robot", "add account ada-1"];
    assert_eq!(files.differences(&tables).await, added);
    assert!(files.world.operator.accounts().await.unwrap().is_empty(), "a plan changes nothing");
    files.follow(&tables).await;
    let wiki = files.world.operator.client("wiki").await.unwrap();
    assert_eq!(wiki.secrets.first().unwrap().hash, Digest::of(SECRET.as_bytes()));
    let ada = files.account("ada").await;
    assert_eq!(ada.subject.as_str(), "ada-1");
    assert!(ada.password.as_deref().unwrap().starts_with("$argon2id$"));
    assert_eq!(files.account("robot").await.subject.kind(), "service", "nobody else gets the name");
    assert!(files.differences(&tables).await.is_empty());
    files.follow(&tables).await;
    let rows = trail(&files.world.operator, 1000).await;
    let events: Vec<_> = rows.iter().map(|row| row.event).collect();
    assert_eq!(events, [AuditEvent::ClientAdded, AuditEvent::ClientAdded, AuditEvent::AccountAdded]);
    let file = format!("file:{}", files.folder.path().join("gateway.toml").display());
    let file: String = file.chars().take(256).collect();
    assert!(rows.iter().all(|row| row.actor.as_deref() == Some(file.as_str())), "{rows:?}");
}

#[tokio::test]
async fn a_changed_table_changes_what_it_made_and_the_secret_of_another_file_replaces_the_former() {
    let files = Files::new();
    files.follow(&format!("{WIKI}{ADA}")).await;
    let changed =
        WIKI.replace("/cb", "/callback") + "name = \"The wiki\"\naccess_lifetime = \"5m\"\nscopes = [\"mcp:read\"]\n";
    files.write("secret", OTHER);
    let tables = format!("{changed}{}disabled = true\n", ADA.replace("name = \"ada\"", "name = \"lovelace\""));
    let expected = [
        "change client wiki: client_name redirect_uris scope lifetimes secret".to_owned(),
        "change account ada-1: name disabled".to_owned(),
    ];
    assert_eq!(files.differences(&tables).await, expected);
    let plan = files.plan(&tables).await.unwrap();
    assert!(!format!("{:?}", plan.differences).contains(OTHER), "no secret is shown");
    files.follow(&tables).await;
    let wiki = files.world.operator.client("wiki").await.unwrap();
    let overlap = files.world.clock.now().plus(Lifetime::from_secs(86_400));
    let secrets: Vec<_> = wiki.secrets.iter().map(|secret| (secret.hash, secret.until)).collect();
    assert_eq!(secrets, [(Digest::of(OTHER.as_bytes()), None), (Digest::of(SECRET.as_bytes()), Some(overlap))]);
    let uris: Vec<_> = wiki.metadata.redirect_uris.as_slice().iter().map(|uri| uri.as_str()).collect();
    assert_eq!(uris, ["https://wiki.example.com/callback"]);
    let account = files.account("lovelace").await;
    assert_eq!((account.subject.as_str(), account.status), ("ada-1", AccountStatus::Disabled));
    assert!(files.differences(&tables).await.is_empty());
    // Without a secret it is public, and no former secret is honoured.
    let public = changed.replace("secret = \"${file:secret}\"\n", "");
    assert_eq!(
        files.differences(&format!("{public}{ADA}")).await.first().unwrap(),
        "change client wiki: token_endpoint_auth_method secret"
    );
    files.follow(&public).await;
    assert!(files.world.operator.client("wiki").await.unwrap().secrets.is_empty());
}

#[tokio::test]
async fn a_password_is_set_when_the_account_is_made_and_again_only_when_asked() {
    let files = Files::new();
    files.follow(ADA).await;
    let first = files.account("ada").await.password;
    files.commands().set_password("ada", "another-kettle-on-the-hob").await.unwrap();
    let own = files.account("ada").await.password;
    assert_ne!(own, first);
    files.write("password", "glazed-teapot-41-and-more");
    files.follow(ADA).await;
    assert_eq!(files.account("ada").await.password, own, "not by a start or a reload");
    let reset = ["ada-1".to_owned()];
    let options = TableOptions { reset_passwords: &reset, ..TableOptions::default() };
    let file = files.with(ADA);
    let plan = file.plan_tables(options).await.unwrap();
    assert_eq!(said(&plan), ["change account ada-1: password"]);
    file.apply_tables(plan).await.unwrap();
    assert_ne!(files.account("ada").await.password, own);
    let events = files.world.events().await;
    assert_eq!(events, [AuditEvent::AccountAdded, AuditEvent::PasswordSet, AuditEvent::PasswordSet]);
    let unknown = ["ada".to_owned()];
    let options = TableOptions { reset_passwords: &unknown, ..TableOptions::default() };
    let refused = file.plan_tables(options).await.err();
    assert!(matches!(refused, Some(AdministrationError::NoSuchTable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_hash_is_kept_as_it_is_and_a_weak_password_is_told_with_its_line() {
    let files = Files::new();
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$bG9uZyBlbm91Z2ggdG8gYmUgYSBoYXNoIG9mIGl0";
    files.follow(&format!("[[account]]\nid = \"bob\"\npassword = \"{hash}\"\n")).await;
    assert_eq!(files.account("bob").await.password.as_deref(), Some(hash));
    files.write("password", "ada1234567890");
    let problems = files.problems(&format!("[[account]]\nid = \"bob\"\n{ADA}")).await;
    let expected = "4: [[account]] ada-1: this password is too easy to guess";
    assert!(problems.len() == 1 && problems.iter().all(|p| p.starts_with(expected)), "{problems:?}");
}

#[tokio::test]
async fn a_table_takes_over_nothing_unless_it_says_so() {
    let files = Files::new();
    let operator = &files.world.operator;
    operator.add_account("ada", Some(PASSWORD)).await.unwrap();
    operator.add_account("bob", None).await.unwrap();
    operator.rename_account("bob", "robert").await.unwrap();
    let by_hand = operator.add_client(&crate::wiki(mcpgate::oauth::AuthMethod::None)).await.unwrap().client;
    let id = by_hand.id.as_str();
    operator.issue_token("ada", Some("mcp"), &[], None).await.unwrap();
    let taken = format!("[[client]]\nid = \"{id}\"\nadopt = true\nredirect_uris = [\"https://wiki.example.com/cb\"]\n");
    let problems = files
        .problems(&format!(
            "{ADA}[[account]]\nid = \"bob\"\n{}{}[[client]]\nid = \"robert\"\nsecret = \"${{file:secret}}\"\n\
             grants = [\"client_credentials\"]\nscopes = [\"mcp:read\"]\n",
            taken.replace(id, "mcp_client_operator"),
            taken.replace(id, "mcp_client_nobody"),
        ))
        .await;
    for (line, said) in [
        ("2: [[account]] ada-1: ", "there is an account with this login name that the table has not made"),
        ("6: [[account]] bob: ", "this was the login name of another account"),
        ("8: [[client]] mcp_client_operator: ", "belongs to the gateway"),
        ("12: [[client]] mcp_client_nobody: ", "has no client with this one to take over"),
        ("16: [[client]] robert: ", "is or was the login name of an account"),
    ] {
        assert!(problems.iter().any(|p| p.starts_with(line) && p.contains(said)), "{line}{said}: {problems:?}");
    }
    assert_eq!(problems.len(), 5, "{problems:?}");
    let before = files.account("ada").await;
    let adopting = format!("{taken}{ADA}adopt = true\n");
    let differences = files.differences(&adopting).await;
    let of_client = format!("adopt client {id}: client_name redirect_uris");
    assert_eq!(differences, [of_client.as_str(), "adopt account ada-1"]);
    files.follow(&adopting).await;
    assert_eq!(files.account("ada").await, before, "it keeps its subject and its password");
    assert!(files.differences(&adopting).await.is_empty());
    let events = files.world.events().await;
    assert!(events.contains(&AuditEvent::ClientAdopted) && events.contains(&AuditEvent::AccountAdopted));
    // A second table cannot make the same account its own.
    let problems = files.problems(&format!("{taken}[[account]]\nid = \"other\"\nname = \"ada\"\n")).await;
    assert!(problems.iter().any(|p| p.contains("[[account]] other: there is an account")), "{problems:?}");
}

#[tokio::test]
async fn a_table_that_is_gone_keeps_what_it_made_until_somebody_says_so() {
    let files = Files::new();
    files.follow(&format!("{WIKI}{ROBOT}{ADA}")).await;
    let plan = files.plan("").await.unwrap();
    let gone: Vec<_> = plan.gone.iter().map(|mark| mark.id.as_str()).collect();
    assert_eq!((gone, said(&plan).len()), (vec!["ada-1", "robot", "wiki"], 0));
    files.follow("").await;
    files.account("ada").await;
    let listed = files.commands().listed_client("wiki").await.unwrap().table.unwrap();
    assert_eq!((listed.id.as_str(), listed.line, listed.is_gone), ("wiki", None, Some(true)));
    let removed = "[[client]]\nid = \"wiki\"\nremoved = true\n";
    assert_eq!(files.differences(removed).await, ["remove client wiki"]);
    files.follow(removed).await;
    assert!(files.world.operator.client("wiki").await.is_err());
    assert!(files.differences(removed).await.is_empty(), "the table may stay");
    let file = files.with(removed);
    let plan = file.plan_tables(TableOptions { remove: true, ..TableOptions::default() }).await.unwrap();
    assert_eq!(said(&plan), ["remove account ada-1", "remove client robot"]);
    file.apply_tables(plan).await.unwrap();
    assert!(files.world.operator.accounts().await.unwrap().is_empty());
    // The names are taken for ever, and the same tables get them again.
    assert!(matches!(files.commands().add_account("robot", None).await, Err(AdministrationError::NameOnceGiven(_))));
    files.follow(&format!("{ROBOT}{ADA}")).await;
    assert_eq!(files.account("ada").await.subject.as_str(), "ada-1");
    // A table never removes what it has not made.
    let id = files.commands().add_account("carol", None).await.unwrap().account.subject;
    files.follow(&format!("{ROBOT}{ADA}[[account]]\nid = \"carol\"\nremoved = true\n")).await;
    assert_eq!(files.account("carol").await.subject, id);
}

#[tokio::test]
async fn commands_leave_to_the_file_what_it_describes_and_can_always_end_access() {
    let files = Files::new();
    let tables = format!("{WIKI}{ADA}disabled = false\n[[account]]\nid = \"bob\"\ndisabled = true\n");
    files.follow(&tables).await;
    let commands = files.commands();
    let edit = ClientEdit { binding: Some(Binding::Any), ..ClientEdit::default() };
    for (refused, line) in [
        (commands.plan_edit("wiki", &edit).await.err(), 2),
        (commands.rotate_client_secret("wiki").await.err(), 2),
        (commands.delete_client("wiki").await.err(), 2),
        (commands.rename_account("ada", "grace").await.err(), 6),
        (commands.delete_account("ada").await.err(), 6),
        (commands.set_account_disabled("bob", false).await.err(), 11),
    ] {
        let told = refused.unwrap().to_string();
        assert!(told.contains(&format!("gateway.toml:{line}: ")) && told.contains("mcpgate apply"), "{told}");
    }
    commands.set_client_disabled("wiki", true).await.unwrap();
    commands.set_account_disabled("ada", true).await.unwrap();
    // Of the client the table does not say whether it is disabled.
    assert_eq!(files.differences(&tables).await, ["change account ada-1: disabled"]);
    commands.set_client_disabled("wiki", false).await.unwrap();
    commands.set_password("ada", "another-kettle-on-the-hob").await.unwrap();
    // What no table describes any more is a command's to change.
    files.with("");
    files.commands().rename_account("ada", "grace").await.unwrap();
    files.commands().delete_client("wiki").await.unwrap();
    let other = Administration::new(files.world.services.clone(), TenantId::parse("acme").unwrap());
    assert!(other.listed_tables().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_plan_that_commands_have_overtaken_does_nothing() {
    let files = Files::new();
    let file = files.with(&format!("{WIKI}{ADA}"));
    let plan = file.plan_tables(TableOptions::default()).await.unwrap();
    files.commands().add_account("ada", None).await.unwrap();
    let outcome = file.apply_tables(plan).await;
    assert!(matches!(outcome, Err(AdministrationError::TablesHaveChanged(_))), "{outcome:?}");
    assert!(files.world.operator.client("wiki").await.is_err(), "nothing was applied");
    let subject = AccountId::parse("ada-1").unwrap();
    assert_eq!(files.world.store.find_account(&TenantId::default(), &subject).await.unwrap(), None);
}
