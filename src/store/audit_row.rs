//! `AuditRow`: one line of the audit trail, written in the transaction of its deed.

use crate::oauth::{ClientId, Grant, GrantId, TenantId, Timestamp};

/// Declares each event once, with the name it is stored and printed under.
macro_rules! events {
    ($($event:ident = $name:literal,)*) => {
        /// What happened; a closed set, with stable names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each name says it")]
        pub enum AuditEvent {
            $($event,)*
        }

        impl AuditEvent {
            /// Returns the stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$event => $name,)*
                }
            }

            /// Reads a stable name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$event),)*
                    _ => None,
                }
            }
        }
    };
}

events! {
    AccountAdded = "account.added",
    AccountDisabled = "account.disabled",
    AccountEnabled = "account.enabled",
    AuthorizationDenied = "authorization.denied",
    AuthorizationRefused = "authorization.refused",
    ClientAdded = "client.added",
    ClientDeleted = "client.deleted",
    ClientDisabled = "client.disabled",
    ClientDocumentChanged = "client.document_changed",
    ClientEnabled = "client.enabled",
    ClientCapReached = "reg.cap",
    ClientRegistered = "client.registered",
    ClientRegistrationRefused = "client.registration_refused",
    ClientSecretRotated = "client.secret_rotated",
    ClockAccepted = "clock.accepted",
    CodeIssued = "code.issued",
    CodeRedeemed = "code.redeemed",
    CodeRefused = "code.refused",
    CodeReplayed = "code.replayed",
    ConsentGiven = "consent.given",
    GrantRevoked = "grant.revoked",
    LoginFailed = "login.failed",
    LoginSucceeded = "login.succeeded",
    LoginThrottled = "login.throttled",
    LoggedOut = "session.logged_out",
    OperatorTokenIssued = "token.issued_by_operator",
    PageRefused = "page.refused",
    PasswordRefused = "account.password_refused",
    PasswordSet = "account.password_set",
    RefreshRefused = "refresh.refused",
    RefreshReused = "refresh.reused",
    SignedOutEverywhere = "session.signed_out_everywhere",
    SetupLinkMade = "account.setup_link_made",
    StoreInvariant = "store.invariant",
    StoreRestored = "store.restored",
    StoreRollback = "store.rollback",
    TokenRefreshed = "token.refreshed",
    TokenRefused = "token.refused",
    TokenRevoked = "token.revoked",
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

impl AuditRow {
    /// Returns the row of another outcome of the same request.
    pub(super) fn instead(&self, event: AuditEvent, grant: Option<GrantId>, reason: &'static str) -> Self {
        let target = grant.map(|g| g.to_string()).or_else(|| self.target.clone());
        Self { event, target, reason: Some(reason.to_owned()), ..self.clone() }
    }

    /// Returns the row of a family that ends because an access token was presented that came with a lost answer.
    pub(super) fn void_token(grant: &Grant, at: Timestamp) -> Self {
        Self {
            at,
            tenant: grant.tenant.clone(),
            event: AuditEvent::RefreshReused,
            actor: Some(grant.subject.as_str().to_owned()),
            client: Some(grant.client.clone()),
            address: None,
            target: Some(grant.id.to_string()),
            reason: Some("void_access_token".to_owned()),
            request_id: None,
        }
    }

    /// Returns the row of a client that the sweep removed.
    pub(super) fn unused_client(tenant: &TenantId, client: &ClientId, at: Timestamp) -> Self {
        Self {
            at,
            tenant: tenant.clone(),
            event: AuditEvent::ClientDeleted,
            actor: None,
            client: Some(client.clone()),
            address: None,
            target: Some(client.as_str().to_owned()),
            reason: Some("unused".to_owned()),
            request_id: None,
        }
    }
}
