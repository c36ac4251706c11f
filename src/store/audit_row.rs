//! `AuditRow`: one line of the audit trail, written in the transaction of its action.

use super::AuditEvent;
use crate::oauth::{AccountId, ClientId, ResourceIndicator, ScopeSet, TenantId, Timestamp};

/// One row of the audit trail. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// Whose; what is done with the row is done to this tenant.
    pub tenant: TenantId,
    /// What.
    pub event: AuditEvent,
    /// Who did it: the subject of a person who is signed in, or `operator` for the command line. `None` when a client did
    /// it, the gateway itself, or nobody knows who.
    pub actor: Option<String>,
    /// The account that it is about.
    pub subject: Option<AccountId>,
    /// The client that it is about.
    pub client: Option<ClientId>,
    /// The resource that access was given to or refused at.
    pub resource: Option<ResourceIndicator>,
    /// The scopes that were given or refused.
    pub scopes: Option<ScopeSet>,
    /// From which address.
    pub address: Option<std::net::IpAddr>,
    /// The grant that it is about; at most 256 characters.
    pub target: Option<String>,
    /// Why it was refused, in registered words.
    pub reason: Option<String>,
    /// The request.
    pub request_id: Option<String>,
}

impl AuditRow {
    /// The actor of what operators do by the command line. No subject of a person is this word: they begin with `user_`.
    pub const OPERATOR: &str = "operator";

    /// Begins a row; what it is about is added by its maker.
    #[must_use]
    pub const fn new(at: Timestamp, tenant: TenantId, event: AuditEvent) -> Self {
        Self {
            at,
            tenant,
            event,
            actor: None,
            subject: None,
            client: None,
            resource: None,
            scopes: None,
            address: None,
            target: None,
            reason: None,
            request_id: None,
        }
    }

    /// Returns the row of a client that was removed because nobody used it.
    pub(super) fn unused_client(tenant: &TenantId, client: &ClientId, at: Timestamp) -> Self {
        let reason = Some("unused".to_owned());
        Self { client: Some(client.clone()), reason, ..Self::new(at, tenant.clone(), AuditEvent::ClientDeleted) }
    }
}
