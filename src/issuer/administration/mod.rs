//! What operators may do: used by the command line now and the dashboard later.
//!
//! Each deed is one store call that writes its audit row with actor `operator`. What a running server must learn of, it
//! learns from the change log. Nothing here asks who the operator is: whoever may open the data directory, or has
//! signed in to the dashboard, is one. Start with `Administration`; accounts, clients and grants have a file each.

mod accounts;
mod clients;
mod clock;
mod grants;

pub use accounts::{FirstAccount, NewAccount};
pub use clients::NewClient;
pub use clock::AcceptedTime;
pub use grants::OperatorToken;

use std::sync::Arc;

use super::PasswordRefused;
use super::password::HashError;
use crate::clock::Clock;
use crate::config::{Config, UpstreamConfig};
use crate::entropy::Entropy;
use crate::oauth::{ClientId, OAuthError, ScopeSet, ScopeToken, TenantId, TokenKeys};
use crate::store::{AuditEvent, AuditRow, Store, StoreError, Update};

/// The actor of the audit rows of operators.
const OPERATOR: &str = "operator";

/// The deeds of an operator in one tenant.
pub struct Administration {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keys: Arc<TokenKeys>,
    config: Arc<Config>,
    tenant: TenantId,
}

/// Why a deed was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdministrationError {
    /// No account has this name.
    #[error("there is no account of this name")]
    NoSuchAccount,
    /// No client has this id.
    #[error("there is no client of this id")]
    NoSuchClient,
    /// No grant that stands has this id.
    #[error("there is no session of this id")]
    NoSuchGrant,
    /// No upstream of this tenant has this name.
    #[error("the configuration has no upstream of this name for this tenant")]
    NoSuchUpstream,
    /// The name of an account cannot be this.
    #[error("a login name is 1 to 128 of a-z, 0-9 and .-_@+")]
    BadName,
    /// The name of an account is taken.
    #[error("there is an account of this name already")]
    NameTaken,
    /// The password is not acceptable.
    #[error("{}", refusal(*.0))]
    Password(PasswordRefused),
    /// A scope is not among the upstream's, or those of any upstream.
    #[error("there is no scope {asked} here, only: {known}")]
    NoSuchScope {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: ScopeSet,
    },
    /// The account is switched off.
    #[error("this account is disabled")]
    AccountDisabled,
    /// The client of operators' tokens is switched off.
    #[error(
        "the client {0}, which all tokens issued here belong to, is disabled; switch it on with mcpgate client enable"
    )]
    ClientDisabled(String),
    /// The lifetime is out of range.
    #[error("an operator's token lives from 1 minute to 24 hours")]
    BadLifetime,
    /// What is said of a client breaks a rule of RFC 7591 or of redirect URIs.
    #[error("{}", .0.description())]
    BadClient(OAuthError),
    /// A public client has no secret.
    #[error("this client has no secret")]
    NoSecret,
    /// The tenant has as many clients as it may have.
    #[error("this tenant has as many clients as registration.max_clients allows")]
    TooManyClients,
    /// The password could not be hashed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<HashError> for AdministrationError {
    fn from(error: HashError) -> Self {
        Self::Hash(error.to_string())
    }
}

fn refusal(why: PasswordRefused) -> String {
    match why {
        PasswordRefused::TooShort(least) => format!("a password has at least {least} characters"),
        PasswordRefused::TooLong => "a password has at most 1024 bytes".to_owned(),
        PasswordRefused::TooCommon => {
            "this password is soon guessed: it is made of common words or names, a date, a pattern, or the account's own name"
                .to_owned()
        }
    }
}

impl Administration {
    /// Makes the deeds of an operator in `tenant`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        keys: Arc<TokenKeys>,
        config: Arc<Config>,
        tenant: TenantId,
    ) -> Self {
        Self { store, clock, entropy, keys, config, tenant }
    }

    /// Reads the audit trail after row `after`, oldest first, at most `limit` rows.
    ///
    /// # Errors
    /// `Store`.
    pub async fn audit_after(&self, after: u64, limit: u32) -> Result<Vec<(u64, AuditRow)>, AdministrationError> {
        Ok(self.store.audit_after(Some(&self.tenant), after, limit).await?)
    }

    /// Reads the last `count` rows of the audit trail, oldest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn audit_last(&self, count: u32) -> Result<Vec<(u64, AuditRow)>, AdministrationError> {
        let mut span = u64::from(count);
        loop {
            // Rows of other tenants lie between: look further back until there are enough or no more.
            let after = self.store.newest_audit().await?.saturating_sub(span);
            let mut rows = self.all_after(after).await?;
            if after == 0 || rows.len() >= usize::try_from(count).unwrap_or(usize::MAX) {
                let surplus = rows.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
                rows.drain(..surplus);
                return Ok(rows);
            }
            span = span.saturating_mul(4);
        }
    }

    async fn all_after(&self, mut after: u64) -> Result<Vec<(u64, AuditRow)>, AdministrationError> {
        let mut rows = Vec::new();
        loop {
            let page = self.audit_after(after, 1000).await?;
            let Some((last, _)) = page.last() else { return Ok(rows) };
            after = *last;
            rows.extend(page);
        }
    }

    fn audit(&self, event: AuditEvent, client: Option<&ClientId>, target: &str) -> AuditRow {
        AuditRow {
            at: self.clock.now(),
            tenant: self.tenant.clone(),
            event,
            actor: Some(OPERATOR.to_owned()),
            client: client.cloned(),
            address: None,
            target: Some(target.chars().take(256).collect()),
            reason: None,
            request_id: None,
        }
    }

    fn upstream(&self, name: &str) -> Result<&UpstreamConfig, AdministrationError> {
        let mut upstreams = self.config.upstreams.iter();
        upstreams.find(|u| u.name == name && u.tenant == self.tenant).ok_or(AdministrationError::NoSuchUpstream)
    }
}

/// Finds the scopes that are asked for, in lists with blanks or commas too, among those that there are.
fn scopes_among(known: &ScopeSet, asked: &[String]) -> Result<ScopeSet, AdministrationError> {
    let names = asked.iter().flat_map(|list| list.split([' ', ','])).filter(|name| !name.is_empty());
    let find = |name: &str| {
        let scope = ScopeToken::parse(name).ok().filter(|scope| known.contains(scope.as_str()));
        scope.ok_or_else(|| AdministrationError::NoSuchScope { asked: name.to_owned(), known: known.clone() })
    };
    names.map(find).collect()
}

fn done(update: Update, otherwise: AdministrationError) -> Result<(), AdministrationError> {
    match update {
        Update::Done => Ok(()),
        Update::NotFound => Err(otherwise),
    }
}
