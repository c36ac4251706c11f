//! What operators may do; the command line calls it.
//!
//! Each action is one store call that writes its audit row with actor `operator`. A running server learns of changes
//! from the change log; what ends access also reaches it at once by a socket. Nothing here authenticates the operator:
//! anyone who may open the data directory is one. Start with `Administration`; accounts, clients and grants have a file
//! each.

mod accepted_time;
mod accounts;
mod audit_trail;
mod client_edit;
mod client_list;
mod clients;
mod documents;
mod error;
mod grants;
mod groups;
mod keys;
mod tables;
mod tools;
mod withdrawal;

pub use accepted_time::AcceptedTime;
pub use accounts::{FirstAccount, NewAccount};
pub use audit_trail::AuditQuery;
pub use client_edit::{Binding, ClientEdit, LifetimeEdit, PlannedEdit};
pub use client_list::{ClientOrder, ClientPage, ClientQuery, ListedClient, ListedStanding, WantedClient};
pub use clients::NewClient;
pub use error::AdministrationError;
pub use grants::{OperatorToken, SessionQuery};
pub use tables::{ListedTable, TableAction, TableChange, TableDifference, TableKind, TableOptions, TablePlan};
pub use withdrawal::{Withdrawal, Withdrawn};

use std::sync::Arc;

use super::Services;
use crate::config::{Config, UpstreamConfig};
use crate::oauth::{AccountId, ClientId, ScopeSet, ScopeToken, TenantId};
use crate::store::{AuditEvent, AuditRow, Update};

/// An operator's actions in one tenant.
pub struct Administration {
    services: Services,
    /// The configuration as it was when this value was made, whatever is reloaded meanwhile.
    config: Arc<Config>,
    tenant: TenantId,
    /// The actor of the audit rows.
    actor: String,
}

impl Administration {
    /// Makes the value for an operator's actions in `tenant`.
    #[must_use]
    pub fn new(services: Services, tenant: TenantId) -> Self {
        let config = services.config.load_full();
        Self { services, config, tenant, actor: AuditRow::OPERATOR.to_owned() }
    }

    /// Makes the value for what tables of a configuration file ask for, whether it is in force already or not. The
    /// audit rows name the file.
    #[must_use]
    pub fn of_file(services: Services, config: Arc<Config>) -> Self {
        let file = config.file.as_ref().map(|file| file.display().to_string());
        let actor = format!("{}{}", AuditRow::FILE, file.unwrap_or_default());
        Self { services, config, tenant: TenantId::default(), actor }
    }

    /// Starts the audit row of an action.
    fn audit(&self, event: AuditEvent) -> AuditRow {
        let actor = Some(self.actor.clone());
        AuditRow { actor, ..AuditRow::new(self.services.clock.now(), self.tenant.clone(), event) }
    }

    /// Starts the audit row of an action on an account.
    fn audit_of(&self, event: AuditEvent, subject: &AccountId) -> AuditRow {
        AuditRow { subject: Some(subject.clone()), ..self.audit(event) }
    }

    /// Starts the audit row of an action on a client.
    fn audit_about(&self, event: AuditEvent, client: &ClientId) -> AuditRow {
        AuditRow { client: Some(client.clone()), ..self.audit(event) }
    }

    /// Finds the upstream that a token is to be for, as `upstream` does. It need not be named if all have one resource.
    fn audience(&self, name: Option<&str>) -> Result<&UpstreamConfig, AdministrationError> {
        let mut all = self.config.upstreams.iter().filter(|upstream| upstream.tenant == self.tenant);
        match (name, all.next()) {
            (None, Some(first)) if all.all(|other| other.resource == first.resource) => Ok(first),
            (name, _) => self.upstream(name),
        }
    }

    /// Finds an upstream of the tenant by its name or its resource URL. It need not be named if it is the only one.
    fn upstream(&self, name: Option<&str>) -> Result<&UpstreamConfig, AdministrationError> {
        let all: Vec<_> = self.config.upstreams.iter().filter(|upstream| upstream.tenant == self.tenant).collect();
        let known = || match all.as_slice() {
            [] => "none".to_owned(),
            some => some.iter().map(|upstream| upstream.name.as_str()).collect::<Vec<_>>().join(", "),
        };
        match (name, all.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(AdministrationError::WhichUpstream(known())),
            (Some(name), _) => {
                let found = all.iter().find(|upstream| upstream.name == name || upstream.resource.as_str() == name);
                let missing = || AdministrationError::NoSuchUpstream { asked: name.to_owned(), known: known() };
                found.copied().ok_or_else(missing)
            }
        }
    }
}

/// Returns the requested scopes if all are among `known`; each argument may be a list separated by blanks or commas.
fn scopes_among(known: &ScopeSet, asked: &[String]) -> Result<ScopeSet, AdministrationError> {
    let names = asked.iter().flat_map(|list| list.split([' ', ','])).filter(|name| !name.is_empty());
    let find = |name: &str| {
        let scope = ScopeToken::parse(name).ok().filter(|scope| known.contains(scope.as_str()));
        scope.ok_or_else(|| AdministrationError::NoSuchScope { asked: name.to_owned(), known: known.clone() })
    };
    names.map(find).collect()
}

fn done(update: Update, otherwise: impl Fn() -> AdministrationError) -> Result<(), AdministrationError> {
    match update {
        Update::Done => Ok(()),
        Update::NotFound => Err(otherwise()),
    }
}
