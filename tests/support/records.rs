//! Default records: one client, one account, one resource, and the records on the way to a token. A test sets the
//! fields that matter to it and takes the rest from here.
#![allow(dead_code, reason = "each test program uses a part of it")]

use mcpgate::config::{Config, Overrides};
use mcpgate::oauth::{
    AccessTokenRecord, AccountId, AddressRanges, AuthMethod, Brand, Client, ClientId, ClientLifetimes, ClientMetadata,
    ClientOrigin, CodeChallenge, CodeRecord, CodeVerifier, Digest, Exclusions, FirstUse, Grant, GrantId, GrantType,
    GroupName, GroupSet, KeyDetails, Lifetime, LoginName, LoginNameHash, PresentedCode, PresentedRefresh, RedirectUri,
    RegisteredRedirects, ResourceIndicator, ScopeSet, ScopeToken, SignInOrigin, Subject, TenantId, Timestamp,
    TokenHash, TokenKeys, ToolKind,
};
use mcpgate::store::{
    Account, AccountStatus, AuditEvent, AuditRow, Consent, ConsentKey, Ephemeral, EphemeralKey, EphemeralKind,
    EphemeralLimits, EphemeralStep, GrantFilter, LoginPlace, LoginSession, NewAccessToken, NewKey, NewPassword,
    RedeemCode, RotateRefresh, SetupLink, SignIn, Source,
};

/// The time at which every test begins.
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

pub(crate) fn subject(name: &str) -> AccountId {
    AccountId::parse(&format!("u-{name}")).unwrap()
}

pub(crate) fn resource() -> ResourceIndicator {
    ResourceIndicator::parse("https://gate.example/mcp").unwrap()
}

pub(crate) fn scopes(text: &str) -> ScopeSet {
    ScopeSet::parse(text).unwrap()
}

pub(crate) fn hash<Of>(name: &str) -> Digest<Of> {
    Digest::of(name.as_bytes())
}

/// A grant's id from the name of its code.
pub(crate) fn grant_id(name: &str) -> GrantId {
    let mut id = [0; 16];
    id.copy_from_slice(&hash::<()>(name).as_bytes()[..16]);
    GrantId(id)
}

pub(crate) fn metadata() -> ClientMetadata {
    ClientMetadata {
        client_name: Some("Example".to_owned()),
        redirect_uris: RegisteredRedirects::from_stored(vec!["https://app.example/cb".to_owned()]),
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        token_endpoint_auth_method: AuthMethod::None,
        keys: None,
        may_act_for: GroupSet::default(),
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
        lifetimes: ClientLifetimes::default(),
        disabled: false,
        created_at: START,
        last_token_at: None,
        last_used_at: None,
        document: None,
        decision: None,
    }
}

pub(crate) fn account(name: &str) -> Account {
    Account {
        tenant: tenant(),
        subject: Subject::Person(subject(name)),
        name: login_name(name),
        password: Some("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g".to_owned()),
        status: AccountStatus::Enabled,
        failed_logins: 0,
        last_failed_at: None,
        created_at: START,
        password_set_at: Some(START),
    }
}

/// A service account.
pub(crate) fn service(name: &str) -> Account {
    Account { subject: Subject::Service(subject(name)), password: None, password_set_at: None, ..account(name) }
}

pub(crate) fn login_name(name: &str) -> LoginName {
    LoginName::parse(name).unwrap()
}

pub(crate) fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

/// An attempt to sign in as `name`.
pub(crate) fn sign_in(name: &str, places: [LoginPlace; 2], now: Timestamp) -> SignIn {
    SignIn { tenant: tenant(), hash: name_hash(name), places, now }
}

/// The hash of a login name.
pub(crate) fn name_hash(name: &str) -> LoginNameHash {
    LoginNameHash::of(&tenant(), name, &keys())
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

/// A row of the moment at which every case begins.
pub(crate) fn audit(event: AuditEvent) -> AuditRow {
    row(event, START)
}

/// A row of another tenant.
pub(crate) fn row_of(tenant: &TenantId, event: AuditEvent) -> AuditRow {
    AuditRow { tenant: tenant.clone(), ..row(event, START) }
}

/// Limits that only tests of the limits reach.
pub(crate) const PENDING: EphemeralLimits =
    EphemeralLimits { of_host: 10_000, of_site: 10_000, of_session: 10_000, in_all: 10_000 };

/// A consent page waiting for an answer.
pub(crate) fn interaction(name: &str, at: Timestamp) -> Ephemeral {
    Ephemeral {
        key: EphemeralKey {
            tenant: tenant(),
            kind: EphemeralKind::Interaction,
            hash: hash(&format!("interaction {name}")),
        },
        browser: Some(hash(&format!("cookie {name}"))),
        client: Some(client_id("app")),
        body: Some(r#"{"state":"s"}"#.to_owned()),
        step: EphemeralStep::Consent,
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

/// What alice consents to, to `app`.
pub(crate) fn consent_key() -> ConsentKey {
    ConsentKey { tenant: tenant(), subject: subject("alice"), client: client_id("app"), resource: resource() }
}

pub(crate) fn consent(at: Timestamp) -> Consent {
    Consent {
        key: consent_key(),
        scopes: scopes("read"),
        exclusions: Exclusions::default(),
        client_fingerprint: hash("fingerprint"),
        given_at: at,
        expires_at: at.plus(DAY),
    }
}

/// A tool and a group of tools that a user left unticked.
pub(crate) fn exclusions() -> Exclusions {
    let group = (ScopeToken::parse("read").unwrap(), ToolKind::Reading);
    Exclusions::new([group].into(), ["delete_note".into()].into()).unwrap()
}

/// Where alice signs in from.
pub(crate) fn signed_in_from() -> SignInOrigin {
    SignInOrigin::new([203, 0, 113, 7].into(), Some("Browser/1.0"))
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
        exclusions: Exclusions::default(),
        authenticated_at: at,
        consented_at: at,
        signed_in_from: Some(Box::new(signed_in_from())),
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
        access: new_token(token),
        may_refresh: true,
        by_assertion: false,
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
            by_assertion: false,
            generation,
            grace: GRACE,
            lost_answer: DAY,
            clock_in_doubt: false,
        },
        access: new_token(token),
        idle: Lifetime::from_secs(30 * 86_400),
        now: at,
        audit: row(AuditEvent::TokenRefreshed, at),
        record_success: true,
    }
}

/// The keys of a new deployment.
pub(crate) fn keys() -> TokenKeys {
    TokenKeys::new(vec![(1, [7; 32])], Brand::parse("mcp").unwrap()).unwrap()
}

/// A configuration from the text of a gateway.toml; its data directory is deleted when this returns.
pub(crate) fn config(text: &str, overrides: Overrides) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let overrides = Overrides { data_dir: Some(folder.path().to_owned()), ..overrides };
    Config::load(Some(&file), &overrides).unwrap()
}

pub(crate) fn setup_link(name: &str, of: &str, at: Timestamp) -> SetupLink {
    SetupLink { hash: hash(name), tenant: tenant(), subject: subject(of), made_at: Some(at), expires_at: at.plus(HOUR) }
}

/// A token for an hour with all scopes of its grant.
pub(crate) fn new_token(name: &str) -> NewAccessToken {
    NewAccessToken {
        hash: hash(name),
        lifetime: HOUR,
        scopes: None,
        included: ScopeSet::default(),
        user: "alice".into(),
        client_origin: ClientOrigin::Registered,
        client_limit: None,
    }
}

/// All grants of an account, of a client, or of both.
pub(crate) fn grants_of(subject: Option<&AccountId>, client: Option<&ClientId>) -> GrantFilter {
    GrantFilter { subject: subject.cloned(), client: client.cloned(), ..GrantFilter::of_tenant(&tenant()) }
}

/// A grant that an operator gave, for an hour.
pub(crate) fn grant_of(name: &str, at: Timestamp) -> Grant {
    Grant {
        id: grant_id(name),
        tenant: tenant(),
        client: client_id("app"),
        subject: Subject::Person(subject("alice")),
        resource: resource(),
        scopes: scopes("read"),
        exclusions: Exclusions::default(),
        authenticated_at: at,
        consented_at: at,
        created_at: at,
        expires_at: at.plus(HOUR),
        idle_until: at,
        may_refresh: false,
        generation: 0,
        rotated_at: at,
        first_use: FirstUse::Unknown,
        by_assertion: false,
        acting: false,
        retried_at: None,
        revoked_at: None,
        last_used_at: None,
        signed_in_from: None,
        key: None,
        workload: None,
    }
}

/// An API key that an hour ends, and may be used from everywhere.
pub(crate) fn key(name: &str, at: Timestamp) -> NewKey {
    let details = KeyDetails { name: name.to_owned(), hint: "abcd".to_owned(), addresses: AddressRanges::default() };
    NewKey {
        grant: Grant { key: Some(Box::new(details)), ..grant_of(name, at) },
        access: new_token(name),
        audit: row(AuditEvent::KeyCreated, at),
    }
}

/// A token of a grant, with the expiry of the grant.
pub(crate) fn token_of(grant: &Grant, hash: TokenHash) -> AccessTokenRecord {
    AccessTokenRecord {
        hash,
        tenant: grant.tenant.clone(),
        grant: grant.id,
        client: grant.client.clone(),
        client_origin: ClientOrigin::Registered,
        client_limit: None,
        subject: grant.subject.clone(),
        user: "alice".into(),
        groups: GroupSet::default(),
        resource: grant.resource.clone(),
        scopes: grant.scopes.clone(),
        exclusions: grant.exclusions.clone(),
        consented_at: grant.consented_at,
        acting: grant.acting,
        addresses: grant.key.as_ref().map(|key| key.addresses.clone()).unwrap_or_default(),
        generation: grant.generation,
        reports_use: false,
        issued_at: grant.created_at,
        expires_at: grant.expires_at,
    }
}
