//! The daily warnings about clients of the operator: of secrets that nobody has replaced for long, and of clients that
//! are bound to a resource that is not there.

use std::time::Duration;

use super::Issuer;
use crate::oauth::ResourceIndicator;
use crate::store::StoreError;

const EVERY: Duration = Duration::from_secs(24 * 3600);

/// The most clients that one warning names.
const NAMED: usize = 20;

/// Warns about clients, if there are some.
fn warn(found: Result<Vec<String>, StoreError>, what: &'static str) {
    match found {
        Ok(clients) if clients.is_empty() => {}
        Ok(clients) => {
            let named = clients.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(" ");
            tracing::warn!(count = clients.len(), clients = named, "{what}");
        }
        Err(error) => tracing::warn!(%error, "the clients could not be read"),
    }
}

impl Issuer {
    /// Warns at the start and once a day until the process ends.
    pub async fn warn_of_old_secrets_forever(&self) {
        loop {
            warn(
                self.clients_with_old_secrets().await,
                "clients have secrets older than tokens.secret_age_warning; replace them with mcpgate client \
                 rotate-secret",
            );
            warn(
                self.clients_without_resource().await,
                "clients are bound to a resource that no upstream has, and get no token; bind them to another with \
                 mcpgate client edit --upstream, or disable them",
            );
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Returns the ids of the enabled clients that an operator added and that are bound to a resource which no upstream
    /// has (any more).
    ///
    /// # Errors
    /// `StoreError` when the store fails.
    pub async fn clients_without_resource(&self) -> Result<Vec<String>, StoreError> {
        let config = self.services.config.load();
        let mut clients = self.services.store.operator_clients(&self.tenant).await?;
        let is_there = |resource: &ResourceIndicator| {
            config.upstreams.iter().any(|up| up.tenant == self.tenant && up.resource == *resource)
        };
        clients.retain(|client| !client.disabled && client.resource.as_ref().is_some_and(|bound| !is_there(bound)));
        Ok(clients.into_iter().map(|client| client.id.as_str().to_owned()).collect())
    }

    /// Returns the ids of the enabled clients that an operator added and whose secret is older than the configuration
    /// wants. Nobody can give a client that registered itself a new secret.
    ///
    /// # Errors
    /// `StoreError` when the store fails.
    pub async fn clients_with_old_secrets(&self) -> Result<Vec<String>, StoreError> {
        let (limit, now) = (self.services.config.load().tokens.secret_age_warning, self.services.clock.now());
        let mut clients = self.services.store.operator_clients(&self.tenant).await?;
        clients.retain(|client| {
            !client.disabled && client.current_secret().is_some_and(|secret| secret.is_older_than(limit, now))
        });
        Ok(clients.into_iter().map(|client| client.id.as_str().to_owned()).collect())
    }
}
