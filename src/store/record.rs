//! What is stored, as plain types; secrets only as hashes.

use crate::oauth::{
    AccessTokenRecord, ClientId, GrantId, Lifetime, PresentedCode, PresentedRefresh, ResourceIndicator, ScopeSet,
    Subject, TenantId, Timestamp, TokenHash,
};

/// A person who can log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub tenant: TenantId,
    /// Stable id, never reused.
    pub subject: Subject,
    /// Login name, lower case.
    pub name: String,
    /// argon2id PHC string; `None` until set.
    pub password: Option<String>,
    /// Whether it may log in.
    pub status: AccountStatus,
    /// Failed logins since the last success.
    pub failed_logins: u32,
    /// When it was added.
    pub created_at: Timestamp,
    /// When the password was last set.
    pub password_set_at: Option<Timestamp>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("subject", &self.subject)
            .field("name", &self.name)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Whether an account may log in and its tokens are honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// It may.
    Enabled,
    /// An operator switched it off.
    Disabled,
}

/// A one-time link to set a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupLink {
    /// SHA-256 of the secret in the link.
    pub hash: TokenHash,
    /// Whose.
    pub tenant: TenantId,
    /// For which account.
    pub subject: Subject,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A browser in which somebody is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSession {
    /// SHA-256 of the cookie.
    pub hash: TokenHash,
    /// Whose.
    pub tenant: TenantId,
    /// Who.
    pub subject: Subject,
    /// When the password was last given.
    pub authenticated_at: Timestamp,
    /// Ends when unused until then.
    pub idle_until: Timestamp,
    /// How long it may stay unused.
    pub idle: Lifetime,
    /// Ends then in any case.
    pub expires_at: Timestamp,
}

/// Where a pending authorization stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InteractionStep {
    /// Somebody must log in.
    LogIn,
    /// The logged-in user must decide.
    Consent,
    /// A code was issued or the request denied.
    Ended,
}

/// A pending authorization: all of it lives here; the browser holds only its id and the transaction cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// SHA-256 of the id in the page's URL.
    pub id: TokenHash,
    /// SHA-256 of the transaction cookie.
    pub cookie: TokenHash,
    /// Whose.
    pub tenant: TenantId,
    /// The client as it stood when the request was validated; `None` when somebody only opens the account page.
    pub client: Option<ClientId>,
    /// `ValidatedRequest::to_stored`; `None` for the account page.
    pub request: Option<String>,
    /// Where it stands.
    pub step: InteractionStep,
    /// The login session it is bound to, from `Consent` on.
    pub session: Option<TokenHash>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends (10 minutes).
    pub expires_at: Timestamp,
}

/// Consent that was remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Whose.
    pub tenant: TenantId,
    /// By whom.
    pub subject: Subject,
    /// For which client.
    pub client: ClientId,
    /// At which resource.
    pub resource: ResourceIndicator,
    /// For which scopes.
    pub scopes: ScopeSet,
    /// SHA-256 over the client's redirect URIs and name at that time: another set or name asks again.
    pub client_fingerprint: TokenHash,
    /// When.
    pub given_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A new access token inside `RedeemCode` and `RotateRefresh`.
#[derive(Debug, Clone)]
pub struct NewAccessToken {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// How long it lives at most (never beyond the grant).
    pub lifetime: Lifetime,
    /// Its scopes; `None`: all of the grant.
    pub scopes: Option<ScopeSet>,
}

/// The one store call of the code grant.
#[derive(Debug, Clone)]
pub struct RedeemCode {
    /// Whose.
    pub tenant: TenantId,
    /// SHA-256 of the code.
    pub code: TokenHash,
    /// What came with it.
    pub presented: PresentedCode,
    /// The token to store on success.
    pub access: NewAccessToken,
    /// Whether the grant may refresh.
    pub may_refresh: bool,
    /// The grant's absolute life.
    pub grant_lifetime: Lifetime,
    /// The grant's idle life.
    pub idle: Lifetime,
    /// Now.
    pub now: Timestamp,
    /// The audit row of success; on replay the store writes `AuditEvent::CodeReplayed` with the same context, on a
    /// wrong verifier `AuditEvent::CodeRefused`.
    pub audit: AuditRow,
}

/// The one store call of the refresh grant.
#[derive(Debug, Clone)]
pub struct RotateRefresh {
    /// Whose.
    pub tenant: TenantId,
    /// The family.
    pub grant: GrantId,
    /// What came with it.
    pub presented: PresentedRefresh,
    /// The token to store on success.
    pub access: NewAccessToken,
    /// The idle life that success renews.
    pub idle: Lifetime,
    /// Now.
    pub now: Timestamp,
    /// The audit row of success; on reuse the store writes `AuditEvent::RefreshReused` with the same context.
    pub audit: AuditRow,
}

/// What happened; a closed set, with stable names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name says it")]
pub enum AuditEvent {
    AccountAdded,
    AccountDisabled,
    AccountEnabled,
    AuthorizationDenied,
    AuthorizationRefused,
    ClientAdded,
    ClientDeleted,
    ClientDisabled,
    ClientDocumentChanged,
    ClientEnabled,
    ClientRegistered,
    ClientRegistrationRefused,
    ClientSecretRotated,
    CodeIssued,
    CodeRedeemed,
    CodeRefused,
    CodeReplayed,
    ConsentGiven,
    GrantRevoked,
    LoginFailed,
    LoginSucceeded,
    LoginThrottled,
    LoggedOut,
    OperatorTokenIssued,
    PasswordSet,
    RefreshAhead,
    RefreshRefused,
    RefreshReused,
    SetupLinkMade,
    TokenRefreshed,
    TokenRefused,
    TokenRevoked,
}

/// One row of the audit trail. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub event: AuditEvent,
    /// Who did it: a subject, `operator` for the command line, or none.
    pub actor: Option<String>,
    /// The client concerned.
    pub client: Option<ClientId>,
    /// From which address.
    pub address: Option<std::net::IpAddr>,
    /// The object concerned: a grant, subject or client, in words without secrets; at most 256 characters.
    pub target: Option<String>,
    /// Why it was refused, in registered words.
    pub reason: Option<String>,
    /// The request.
    pub request_id: Option<String>,
}

#[expect(dead_code, reason = "contract stage")]
fn keep(_: AccessTokenRecord) {}

/// Figures of the store for the metrics; all since start.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreStats {
    /// Transactions committed.
    pub commits: u64,
    /// Operations in them.
    pub operations: u64,
    /// Microseconds spent committing, in all.
    pub commit_micros: u64,
    /// Commits by duration: at most 1 ms, 5 ms, 25 ms, 100 ms, 500 ms, longer.
    pub commit_buckets: [u64; 6],
    /// Operations that failed.
    pub failures: u64,
}
