//! The clients that belong to the program: tokens that an operator issued, API keys, and tokens of workloads are
//! theirs, because no application asked for them.

use super::Services;
use crate::oauth::{
    AuthMethod, Client, ClientId, ClientLifetimes, ClientMetadata, ClientOrigin, GroupSet, RegisteredRedirects,
    TenantId, TokenKeys,
};
use crate::store::{AuditRow, StoreError};

/// A client that belongs to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BuiltIn {
    /// Of tokens that an operator issued.
    Operator,
    /// Of API keys.
    Keys,
    /// Of workloads, which have no client id.
    Workloads,
}

impl BuiltIn {
    /// Returns the client's id.
    pub(super) fn id(self, keys: &TokenKeys) -> ClientId {
        let name = match self {
            Self::Operator => "operator",
            Self::Keys => "keys",
            Self::Workloads => "workloads",
        };
        ClientId::built_in(name, keys.brand())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Operator => "Tokens issued by an operator",
            Self::Keys => "API keys",
            Self::Workloads => "Workloads",
        }
    }

    /// Returns the client's id, and adds the client if it is missing, with the audit row `added`; `None` if an operator
    /// has disabled it. Nobody can authorize as this client: it has no grant type, and its redirect URI is in a domain
    /// that never resolves (RFC 2606 2).
    pub(super) async fn ensure(
        self,
        services: &Services,
        tenant: &TenantId,
        added: AuditRow,
    ) -> Result<Option<ClientId>, StoreError> {
        let id = self.id(&services.keys.load());
        match services.store.find_client(tenant, &id).await? {
            Some(known) if known.disabled => return Ok(None),
            Some(_) => {}
            None => {
                let row = AuditRow { client: Some(id.clone()), ..added };
                // Another process may have inserted it first, which does no harm.
                services.store.insert_client(self.client(tenant, &id, services), u64::MAX, row).await?;
            }
        }
        Ok(Some(id))
    }

    fn client(self, tenant: &TenantId, id: &ClientId, services: &Services) -> Client {
        Client {
            tenant: tenant.clone(),
            id: id.clone(),
            origin: ClientOrigin::Manual,
            metadata: ClientMetadata {
                client_name: Some(self.name().to_owned()),
                redirect_uris: RegisteredRedirects::from_stored(vec!["https://operator.invalid/".to_owned()]),
                grant_types: Vec::new(),
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
            },
            secrets: Vec::new(),
            resource: None,
            lifetimes: ClientLifetimes::default(),
            disabled: false,
            created_at: services.clock.now(),
            last_token_at: None,
            last_used_at: None,
            document: None,
            decision: None,
        }
    }
}
