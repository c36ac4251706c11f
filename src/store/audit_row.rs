//! `AuditRow`: one line of the audit trail, written in the transaction of its action.

use super::AuditEvent;
use crate::oauth::{AccountId, ClientId, ResourceIndicator, ScopeSet, TenantId, Timestamp};

/// One row of the audit trail. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// When it happened.
    pub at: Timestamp,
    /// The tenant that it belongs to, and that the operation with this row is about.
    pub tenant: TenantId,
    /// The event that happened.
    pub event: AuditEvent,
    /// Who did it: the subject of a person who is signed in, `operator` for the command line, or the configuration
    /// file (`file:`). `None` when a client
    /// or the gateway itself did it, or nobody knows who.
    pub actor: Option<String>,
    /// The account that it is about.
    pub subject: Option<AccountId>,
    /// The client that it is about.
    pub client: Option<ClientId>,
    /// The resource that access was given to or refused at; of what is about one upstream alone, the URL that clients
    /// call there.
    pub resource: Option<ResourceIndicator>,
    /// The scopes that were given or refused.
    pub scopes: Option<ScopeSet>,
    /// From which address.
    pub address: Option<std::net::IpAddr>,
    /// The grant that it is about; at most 256 characters.
    pub target: Option<String>,
    /// Why it was refused: one of the event's reasons.
    pub reason: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
}

impl AuditRow {
    /// The actor of commands. No person's subject equals this word: those begin with `user_`.
    pub const OPERATOR: &str = "operator";
    /// What the actor of tables of a configuration file begins with; its path follows.
    pub const FILE: &str = "file:";

    /// Starts a row; the caller adds what it is about.
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

    /// Makes it one that stands for events without rows of their own.
    #[must_use]
    pub fn counting(self, events: u64) -> Self {
        Self { reason: Some(format!("counted: {events} more, of a minute or two")), ..self }
    }

    /// Returns the row for an unused client whose place another one took, which the same program registered.
    pub(super) fn succeeded_client(tenant: &TenantId, client: &ClientId, by: &ClientId, at: Timestamp) -> Self {
        let reason = Some(format!("unused and registered again as {}", by.as_str()));
        Self { reason, ..Self::unused_client(tenant, client, at) }
    }

    /// Returns the row for a client that was removed because it was unused.
    pub(super) fn unused_client(tenant: &TenantId, client: &ClientId, at: Timestamp) -> Self {
        let reason = Some("unused".to_owned());
        Self { client: Some(client.clone()), reason, ..Self::new(at, tenant.clone(), AuditEvent::ClientDeleted) }
    }
}
