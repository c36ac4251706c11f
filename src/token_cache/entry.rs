//! `Principal`: what a hit hands out. Interned: all tokens of one (tenant, client, subject, resource, scopes) share it.

use crate::oauth::{ClientId, ResourceIndicator, ScopeSet, Subject, TenantId};

/// Who is calling, for what, with which rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Whose.
    pub tenant: TenantId,
    /// Through which client.
    pub client: ClientId,
    /// On behalf of whom.
    pub subject: Subject,
    /// The one audience.
    pub resource: ResourceIndicator,
    /// With which scopes.
    pub scopes: ScopeSet,
}
