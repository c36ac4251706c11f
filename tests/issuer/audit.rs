//! The audit trail: the contents of its rows, when they are written, and the page that documents them.

use std::fmt::Write as _;
use std::path::Path;

use mcpgate::issuer::LoginOutcome;
use mcpgate::oauth::{AccountId, Client, GrantId, ScopeSet};
use mcpgate::store::{AuditClass, AuditEvent, AuditField, AuditRow};

use super::config::SALES;
use super::driver::*;

#[path = "../support/golden.rs"]
mod golden;

const FIELDS: [AuditField; 6] = [
    AuditField::Actor,
    AuditField::Subject,
    AuditField::Client,
    AuditField::Resource,
    AuditField::Scopes,
    AuditField::Target,
];

fn name(field: AuditField) -> &'static str {
    match field {
        AuditField::Actor => "actor",
        AuditField::Subject => "subject",
        AuditField::Client => "client_id",
        AuditField::Resource => "resource",
        AuditField::Scopes => "scopes",
        AuditField::Target => "target",
    }
}

fn holds(row: &AuditRow, field: AuditField) -> bool {
    match field {
        AuditField::Actor => row.actor.is_some(),
        AuditField::Subject => row.subject.is_some(),
        AuditField::Client => row.client.is_some(),
        AuditField::Resource => row.resource.is_some(),
        AuditField::Scopes => row.scopes.is_some(),
        AuditField::Target => row.target.is_some(),
    }
}

/// Compares a row with the declaration of its event. `World::audit` checks every row that a test reads.
pub(crate) fn check(row: &AuditRow) {
    let declared = row.event.description();
    let reason = row.reason.as_deref();
    if reason.is_some_and(|reason| reason.starts_with("counted: ")) {
        assert_ne!(declared.class, AuditClass::Deed, "{row:?}");
        return;
    }
    for field in FIELDS {
        let (always, sometimes) = (declared.always.contains(&field), declared.sometimes.contains(&field));
        assert!(holds(row, field) || !always, "no {}: {row:?}", name(field));
        assert!(!holds(row, field) || always || sometimes, "{} is not declared: {row:?}", name(field));
    }
    let known = |reason: &str| declared.reasons.contains(&reason) || declared.other_reason.is_some();
    assert!(reason.is_none_or(known), "undeclared reason: {row:?}");
}

fn names(fields: &[AuditField]) -> String {
    fields.iter().map(|field| format!("`{}`", name(*field))).collect::<Vec<_>>().join(", ")
}

/// Returns the expected text of `docs/events.md`.
fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for event in AuditEvent::ALL {
        let declared = event.description();
        let about: Vec<_> = declared.about.iter().map(|line| line.trim()).collect();
        let sometimes = names(declared.sometimes);
        let mut reasons: Vec<_> = declared.reasons.iter().map(|reason| format!("`{reason}`")).collect();
        reasons.extend(declared.other_reason.map(str::to_owned));
        let (class, always) = (declared.class.as_str(), names(declared.always));
        writeln!(page, "\n### `{}`\n\n{}\n", event.as_str(), about.join(" ")).unwrap();
        writeln!(page, "- kind: {class}").unwrap();
        for (what, text) in [("always", always), ("sometimes", sometimes), ("reason", reasons.join(", "))] {
            if !text.is_empty() {
                writeln!(page, "- {what}: {text}").unwrap();
            }
        }
    }
    page
}

const INTRODUCTION: &str = "# Events of the audit trail

Generated from the declarations in `src/store/audit_event.rs`; a test compares the two
(`MCPGATE_BLESS=1 cargo test --test issuer the_page_of_events` rewrites this file), and other tests compare the rows that
they read with the declarations. [operations.md](operations.md#logs-and-the-audit-trail) describes how to read the trail
and how long it is kept.

## Fields

`mcpgate audit tail --json` prints an object for each row, with all of these members; one without a value is `null`.

| member | meaning |
| --- | --- |
| `number` | increases from row to row, and is never reused |
| `at` | the time, in UTC |
| `tenant` | the tenant |
| `event` | one of the names below |
| `user` | the login name of the account in `subject`, or else in `actor`, as long as that account exists |
| `actor` | who did it: the subject of a signed-in user, `operator` for the command line, or `file:` and its path for tables of the configuration file; `null` for what a client or the gateway itself did, or if it is unknown |
| `subject` | the affected account: the one that a token was issued for, or whose password was wrong |
| `client_id` | the affected client |
| `resource` | the resource to which access was granted or refused; in rows about one upstream (`operation.refused`, `tool.…`), the URL that clients call there |
| `scopes` | the scopes that were granted or refused |
| `address` | the address of the sender; in a row that begins with `counted:`, their site (IPv4 /24, IPv6 /48) |
| `target` | the affected grant |
| `reason` | the reason of a refusal, or further detail |
| `request_id` | the request id, as in the log |

Texts are truncated to 256 characters, unless an event says otherwise. No row has a password, a code, a token or a secret,
nor a login name as typed.

## Kinds

- **deed**: something was changed. The row is written in the same transaction as the change, so there is never one
  without the other. Strangers can cause `client.registered`, `client.added` and `client.deleted` as often as the limits
  on registrations allow ([operations.md](operations.md#logs-and-the-audit-trail) has the numbers).
- **routine**: a token was refreshed, as every client does by itself many times a day. At most 60 refreshes a minute for
  one user get a row.
- **open**: events that anybody can cause, signed in or not; nearly all are refusals. In a minute, one event gets at most
  20 rows from one address (IPv6: a /64) and 60 from one site (IPv4 /24, IPv6 /48); all open events together get some 6.5
  rows a second. `operation.refused`, which needs a token, is limited for itself: a minute has rows for at most 20
  different refusals to one account and 300 to all, and for one of each of 100 further accounts.

Further ones are counted. Within two minutes, or when the process ends, a row of the same event with the reason
`counted: N more, of a minute or two` gives their number; its `address` is their site, its `subject` their user.

## Events
";

#[test]
fn the_page_of_events_is_what_the_declarations_say() {
    golden::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md"), &page());
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if !path.ends_with("audit_event.rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_event_and_every_reason_that_is_declared_can_occur() {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let is_there = |word: &str| texts.iter().any(|text| text.contains(word));
    for event in AuditEvent::ALL {
        let variant = format!("AuditEvent::{event:?}");
        assert!(is_there(&variant), "nothing writes {variant}");
        for reason in event.description().reasons {
            assert!(is_there(&format!("\"{reason}\"")), "{}: nothing writes the reason {reason}", event.as_str());
        }
    }
}

async fn signed_in() -> (World, Client, Tokens) {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[("scope", "sales:read sales:write")], "ada").await;
    (world, client, tokens)
}

/// The subject that `World::account` gives.
fn ada() -> AccountId {
    AccountId::parse("subject-ada").unwrap()
}

impl World {
    async fn only(&self, event: AuditEvent) -> AuditRow {
        let mut rows = self.audit().await;
        rows.retain(|row| row.event == event);
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.pop().unwrap()
    }
}

/// The subject, client, resource, scopes and target (the grant) of a row.
fn told(row: &AuditRow) -> (Option<&str>, Option<&str>, Option<&str>, Option<String>, Option<&str>) {
    (
        row.subject.as_ref().map(|subject| subject.as_str()),
        row.client.as_ref().map(|client| client.as_str()),
        row.resource.as_ref().map(|resource| resource.as_str()),
        row.scopes.as_ref().map(ScopeSet::to_string),
        row.target.as_deref(),
    )
}

#[tokio::test]
async fn rows_say_for_whom_where_and_with_which_scopes_a_token_was_issued() {
    let (world, client, tokens) = signed_in().await;
    let (user, grant) = (ada(), tokens.grant.to_string());
    let expected = |scopes: &str| {
        (Some(user.as_str()), Some(client.id.as_str()), Some(SALES), Some(scopes.to_owned()), Some(grant.as_str()))
    };
    for event in [AuditEvent::ConsentGiven, AuditEvent::CodeRedeemed] {
        assert_eq!(told(&world.only(event).await), expected("sales:read sales:write"));
    }
    let consent = world.only(AuditEvent::ConsentGiven).await;
    assert_eq!((consent.actor.as_deref(), consent.address.is_some()), (Some(user.as_str()), true));
    assert_eq!(world.only(AuditEvent::CodeRedeemed).await.actor, None, "the client acts without a user");
    world.refresh_with(&client.id, &tokens.refresh, &[("scope", "sales:read")]).await.unwrap();
    assert_eq!(told(&world.only(AuditEvent::TokenRefreshed).await), expected("sales:read"));
}

#[tokio::test]
async fn rows_of_refusals_say_whose_token_it_was() {
    let (world, client, tokens) = signed_in().await;
    let user = ada();
    let stranger = world.public_client(CALLBACK).await;
    let refreshed = world.refresh(&client.id, &tokens.refresh).await.unwrap();
    assert_eq!(refused(world.refresh(&stranger.id, &refreshed.refresh).await), "invalid_grant");
    let row = world.only(AuditEvent::RefreshRefused).await;
    let grant = tokens.grant.to_string();
    assert_eq!(
        told(&row),
        (Some(user.as_str()), Some(stranger.id.as_str()), None, None, Some(grant.as_str())),
        "the row names the client that presented the token"
    );
    assert!(world.is_live(&refreshed.access).await, "the client received this token");
    world.pass(31);
    assert_eq!(refused(world.refresh(&client.id, &tokens.refresh).await), "invalid_grant");
    let row = world.only(AuditEvent::RefreshReused).await;
    let expected = (Some(user.as_str()), Some(client.id.as_str()), Some(SALES), None, Some(grant.as_str()));
    assert_eq!(told(&row), expected);
}

/// Returns the number of single rows of an event, and the sum of its counting rows.
async fn rows_and_counts(world: &World, event: AuditEvent) -> (usize, u64) {
    world.issuer.record_last_refusals().await;
    let mut rows = world.audit().await;
    rows.retain(|row| row.event == event);
    let count = |row: &AuditRow| {
        let counted = row.reason.as_deref()?.strip_prefix("counted: ")?;
        counted.split(' ').next()?.parse::<u64>().ok()
    };
    let counts: Vec<_> = rows.iter().filter_map(count).collect();
    (rows.len() - counts.len(), counts.iter().sum())
}

#[tokio::test]
async fn what_the_store_refuses_goes_through_the_limiter_too() {
    let world = World::with(|config| config.rates.token_per_second = 1000).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let stranger = world.public_client(CALLBACK).await;
    let code = world.code(&client.id, &[], "ada").await;
    for _ in 0..100 {
        assert_eq!(refused(world.redeem(&stranger.id, &code).await), "invalid_grant");
    }
    assert_eq!(rows_and_counts(&world, AuditEvent::CodeRefused).await, (20, 80));
    // The replay that ends the grant changes the store (class `deed`); later replays change nothing.
    let tokens = world.redeem(&client.id, &code).await.unwrap();
    for _ in 0..101 {
        assert_eq!(refused(world.redeem(&client.id, &code).await), "invalid_grant");
    }
    assert_eq!(rows_and_counts(&world, AuditEvent::CodeReplayed).await, (1, 0));
    assert_eq!(rows_and_counts(&world, AuditEvent::CodeRefused).await, (40, 160));
    for _ in 0..100 {
        assert_eq!(refused(world.refresh(&client.id, &tokens.refresh).await), "invalid_grant");
    }
    assert_eq!(rows_and_counts(&world, AuditEvent::RefreshRefused).await, (20, 80));
}

#[tokio::test]
async fn wrong_passwords_go_through_the_limiter_whether_the_name_exists_or_not() {
    let world = World::with(|config| config.rates.login_free_failures = 100).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    for name in ["ada", "nobody"] {
        for _ in 0..15 {
            let outcome = world.request(&caller(1)).log_in(&browser, name, "wrong").await.unwrap();
            assert!(matches!(outcome, LoginOutcome::Refused), "{outcome:?}");
        }
    }
    assert_eq!(rows_and_counts(&world, AuditEvent::LoginFailed).await, (20, 10));
    let rows = world.audit().await;
    let of_ada = rows.iter().filter(|row| row.event == AuditEvent::LoginFailed && row.subject.is_some());
    assert_eq!(of_ada.count(), 15);
}

#[tokio::test]
async fn one_clients_refreshes_do_not_fill_the_trail() {
    let world = World::with(|config| config.rates.token_per_second = 1000).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let mut tokens = world.sign_in(&client.id, &[], "ada").await;
    for _ in 0..100 {
        tokens = world.refresh(&client.id, &tokens.refresh).await.unwrap();
    }
    assert_eq!(rows_and_counts(&world, AuditEvent::TokenRefreshed).await, (60, 40));
    let counted = world.audit().await.pop().unwrap();
    assert_eq!(counted.subject, Some(ada()), "the counting row names the subject");
}

#[tokio::test]
async fn there_is_no_row_where_nothing_was_revoked() {
    let (world, client, tokens) = signed_in().await;
    let revoke = |token: String| {
        let pairs = [("token", token), ("client_id", client.id.as_str().to_owned())];
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let form = form(&pairs);
        let world = &world;
        async move { world.request(&caller(1)).revoke(None, &form).await }
    };
    for token in [&tokens.access, &tokens.access, &tokens.refresh, &tokens.refresh, &tokens.access] {
        revoke(token.clone()).await.unwrap();
    }
    let rows: Vec<_> = world.audit().await.into_iter().filter(|row| row.event == AuditEvent::TokenRevoked).collect();
    let told = rows.iter().map(|row| (row.reason.as_deref(), row.target.as_deref().and_then(GrantId::parse)));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(Some("access_token"), Some(tokens.grant)), (Some("refresh_token"), Some(tokens.grant))]);
}
