//! One client, one account, one resource, and the shortest way to a code, a grant and a token.

use std::sync::Arc;

use mcpgate::oauth::{
    AccessTokenRecord, AuthMethod, Client, ClientId, ClientMetadata, ClientOrigin, CodeChallenge, CodeRecord,
    CodeVerifier, Grant, GrantId, GrantType, Lifetime, LoginNameHash, PresentedCode, PresentedRefresh, RedirectUri,
    RegisteredRedirects, ResourceIndicator, ScopeSet, Subject, TenantId, Timestamp, TokenHash,
};
use mcpgate::store::{
    Account, AccountStatus, Advance, AuditEvent, AuditFilter, AuditRow, Change, ChangeSeq, Changes, Consent,
    Interaction, InteractionStep, LoginSession, NewAccessToken, NewPassword, PendingLimits, RedeemCode, Redemption,
    RotateRefresh, Rotation, Source, Store, Update, UseReport,
};

/// The moment at which every case begins.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const MINUTE: Lifetime = Lifetime::from_secs(60);
pub(crate) const HOUR: Lifetime = Lifetime::from_secs(3600);
pub(crate) const DAY: Lifetime = Lifetime::from_secs(86_400);
pub(crate) const GRACE: Lifetime = Lifetime::from_secs(30);

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

pub(crate) fn tenant() -> TenantId {
    TenantId::default()
}

pub(crate) fn client_id(name: &str) -> ClientId {
    ClientId::parse(&format!("mcp_client_{name}")).unwrap()
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::parse(&format!("u-{name}")).unwrap()
}

pub(crate) fn resource() -> ResourceIndicator {
    ResourceIndicator::parse("https://gate.example/mcp").unwrap()
}

pub(crate) fn scopes(text: &str) -> ScopeSet {
    ScopeSet::parse(text).unwrap()
}

pub(crate) fn hash(name: &str) -> TokenHash {
    TokenHash::of(name.as_bytes())
}

/// A grant's id from the name of its code.
pub(crate) fn grant_id(name: &str) -> GrantId {
    let mut id = [0; 16];
    id.copy_from_slice(&hash(name).0[..16]);
    GrantId(id)
}

pub(crate) fn metadata() -> ClientMetadata {
    ClientMetadata {
        client_name: Some("Example".to_owned()),
        redirect_uris: RegisteredRedirects::from_stored(vec!["https://app.example/cb".to_owned()]),
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        token_endpoint_auth_method: AuthMethod::None,
        scope: None,
        application_type: None,
        client_uri: None,
        logo_uri: None,
        tos_uri: None,
        policy_uri: None,
        software_id: None,
        software_version: None,
    }
}

pub(crate) fn client(name: &str, origin: ClientOrigin) -> Client {
    Client {
        tenant: tenant(),
        id: client_id(name),
        origin,
        metadata: ClientMetadata { client_name: Some(name.to_owned()), ..metadata() },
        secrets: Vec::new(),
        resource: None,
        disabled: false,
        created_at: START,
        last_used_at: None,
        document: None,
    }
}

pub(crate) fn account(name: &str) -> Account {
    Account {
        tenant: tenant(),
        subject: subject(name),
        name: name.to_owned(),
        password: Some("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g".to_owned()),
        status: AccountStatus::Enabled,
        failed_logins: 0,
        last_failed_at: None,
        created_at: START,
        password_set_at: Some(START),
    }
}

/// The hash of a login name.
pub(crate) fn name_hash(name: &str) -> LoginNameHash {
    LoginNameHash(hash(name).0)
}

pub(crate) fn new_password(phc: &str, name: &str, at: Timestamp) -> NewPassword {
    NewPassword { phc: phc.to_owned(), name: name_hash(name), at }
}

pub(crate) fn row(event: AuditEvent, at: Timestamp) -> AuditRow {
    AuditRow {
        actor: Some("u-alice".to_owned()),
        client: Some(client_id("app")),
        address: Some("192.0.2.7".parse().unwrap()),
        request_id: Some("r-1".to_owned()),
        ..AuditRow::new(at, tenant(), event)
    }
}

/// More room than any case needs that is not about it.
pub(crate) const PENDING: PendingLimits =
    PendingLimits { of_host: 10_000, of_site: 10_000, of_session: 10_000, in_all: 10_000 };

/// A consent page waiting for an answer.
pub(crate) fn interaction(name: &str, at: Timestamp) -> Interaction {
    Interaction {
        id: hash(&format!("interaction {name}")),
        cookie: hash(&format!("cookie {name}")),
        tenant: tenant(),
        client: Some(client_id("app")),
        request: Some(r#"{"state":"s"}"#.to_owned()),
        step: InteractionStep::Consent,
        session: None,
        source: Source::UNKNOWN,
        created_at: at,
        expires_at: at.plus(Lifetime::from_secs(600)),
    }
}

pub(crate) fn session(name: &str, of: &str, at: Timestamp) -> LoginSession {
    LoginSession {
        hash: hash(name),
        tenant: tenant(),
        subject: subject(of),
        authenticated_at: at,
        idle_until: at.plus(HOUR),
        idle: HOUR,
        expires_at: at.plus(DAY),
        failed_before: None,
    }
}

pub(crate) fn consent(at: Timestamp) -> Consent {
    Consent {
        tenant: tenant(),
        subject: subject("alice"),
        client: client_id("app"),
        resource: resource(),
        scopes: scopes("read"),
        client_fingerprint: hash("fingerprint"),
        given_at: at,
        expires_at: at.plus(DAY),
    }
}

pub(crate) fn code(name: &str, at: Timestamp) -> CodeRecord {
    let challenge = CodeChallenge::parse(Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), Some("S256")).unwrap();
    CodeRecord {
        hash: hash(name),
        tenant: tenant(),
        grant: grant_id(name),
        client: client_id("app"),
        subject: subject("alice"),
        redirect: RedirectUri::from_stored("https://app.example/cb".to_owned()),
        redirect_was_sent: true,
        challenge: Some(challenge),
        resource: resource(),
        scopes: scopes("read write"),
        authenticated_at: at,
        issued_at: at,
        expires_at: at.plus(MINUTE),
        used_at: None,
        failures: 0,
    }
}

pub(crate) fn redeem(code: &str, token: &str, at: Timestamp) -> RedeemCode {
    RedeemCode {
        tenant: tenant(),
        code: hash(code),
        presented: PresentedCode {
            client: client_id("app"),
            verifier: CodeVerifier::parse(VERIFIER),
            redirect_uri: Some("https://app.example/cb".to_owned()),
            resource: Some(resource()),
        },
        access: NewAccessToken { hash: hash(token), lifetime: HOUR, scopes: None, user: "alice".into() },
        may_refresh: true,
        grant_lifetime: Lifetime::from_secs(90 * 86_400),
        idle: Lifetime::from_secs(30 * 86_400),
        now: at,
        audit: row(AuditEvent::CodeRedeemed, at),
    }
}

pub(crate) fn rotate(family: &str, generation: u32, token: &str, at: Timestamp) -> RotateRefresh {
    RotateRefresh {
        tenant: tenant(),
        grant: grant_id(family),
        presented: PresentedRefresh {
            client: client_id("app"),
            generation,
            grace: GRACE,
            lost_answer: DAY,
            clock_in_doubt: false,
        },
        access: NewAccessToken { hash: hash(token), lifetime: HOUR, scopes: None, user: "alice".into() },
        idle: Lifetime::from_secs(30 * 86_400),
        now: at,
        audit: row(AuditEvent::TokenRefreshed, at),
        record_success: true,
    }
}

/// Adds the client `app` and the accounts `alice` and `bob`.
pub(crate) async fn settle(store: &Arc<dyn Store>) {
    store
        .insert_client(client("app", ClientOrigin::Registered), 100, row(AuditEvent::ClientRegistered, START))
        .await
        .unwrap();
    for name in ["alice", "bob"] {
        store.insert_account(account(name), row(AuditEvent::AccountAdded, START)).await.unwrap();
    }
}

/// Moves a pending authorization on, with more room than it needs.
pub(crate) async fn advance(
    store: &Arc<dyn Store>,
    id: &TokenHash,
    from: InteractionStep,
    to: InteractionStep,
    session: Option<TokenHash>,
    at: Timestamp,
) -> Update {
    store.advance_interaction(&tenant(), id, Advance { from, to, session }, PENDING, at).await.unwrap()
}

/// Issues a code by way of a consent page.
pub(crate) async fn issue(store: &Arc<dyn Store>, record: CodeRecord) {
    let page = interaction(&record.grant.to_string(), record.issued_at);
    store.begin_interaction(page.clone(), PENDING).await.unwrap();
    let audit = row(AuditEvent::CodeIssued, record.issued_at);
    assert_eq!(store.insert_code(record, page.id, None, audit).await.unwrap(), Update::Done);
}

/// Issues and redeems a code; the grant and its first token.
pub(crate) async fn grant(store: &Arc<dyn Store>, name: &str, at: Timestamp) -> (Grant, AccessTokenRecord) {
    issue(store, code(name, at)).await;
    let answer = store.redeem_code(redeem(name, &format!("{name} token"), at)).await.unwrap();
    let Redemption::Redeemed(grant, token) = answer else { panic!("{answer:?}") };
    (*grant, *token)
}

/// Reports that an access token was presented; the families that ended with it.
pub(crate) async fn present(store: &Arc<dyn Store>, token: &str, at: Timestamp) -> Vec<GrantId> {
    let report = UseReport { presented: vec![(tenant(), hash(token))], issued: Vec::new(), now: at };
    store.record_uses(report).await.unwrap().ended.into_iter().map(|(_, grant)| grant).collect()
}

/// Reports that of a generation nothing was presented since it was issued.
pub(crate) async fn report_unused(store: &Arc<dyn Store>, family: &str, generation: u32) {
    let issued = vec![(tenant(), grant_id(family), generation)];
    store.record_uses(UseReport { issued, ..UseReport::default() }).await.unwrap();
}

pub(crate) fn rotated(rotation: Rotation) -> (Grant, AccessTokenRecord) {
    let Rotation::Rotated(grant, token) = rotation else { panic!("{rotation:?}") };
    (*grant, *token)
}

pub(crate) async fn is_live(store: &Arc<dyn Store>, token: &str, at: Timestamp) -> bool {
    store.find_access_token(&tenant(), &hash(token), at).await.unwrap().is_some()
}

/// The change log after `after`, which must hold all of it.
pub(crate) async fn changes(store: &Arc<dyn Store>, after: ChangeSeq) -> Vec<(ChangeSeq, Change)> {
    match store.changes_after(after).await.unwrap() {
        Changes::Next(changes) => changes,
        Changes::Incomplete => panic!("changes after {after} are missing"),
    }
}

/// The audit trail after `after`, by event.
pub(crate) async fn events(store: &Arc<dyn Store>, after: u64) -> Vec<AuditEvent> {
    rows(store, after).await.into_iter().map(|row| row.event).collect()
}

/// The audit trail after `after`.
pub(crate) async fn rows(store: &Arc<dyn Store>, after: u64) -> Vec<AuditRow> {
    let page = store.audit_after(&AuditFilter::default(), after, 1000).await.unwrap();
    page.rows.into_iter().map(|(_, row)| row).collect()
}
