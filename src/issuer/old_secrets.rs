//! The daily warning of client secrets that nobody has replaced for long.

use std::time::Duration;

use super::Issuer;
use crate::store::StoreError;

const EVERY: Duration = Duration::from_secs(24 * 3600);

/// The most clients that one warning names.
const NAMED: usize = 20;

impl Issuer {
    /// Warns at the start and once a day until the process ends.
    pub async fn warn_of_old_secrets_forever(&self) {
        loop {
            match self.clients_with_old_secrets().await {
                Ok(clients) if clients.is_empty() => {}
                Ok(clients) => {
                    let named = clients.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(" ");
                    tracing::warn!(
                        count = clients.len(),
                        clients = named,
                        "clients have secrets older than tokens.secret_age_warning; replace them with mcpgate client \
                         rotate-secret"
                    );
                }
                Err(error) => tracing::warn!(%error, "the ages of client secrets could not be read"),
            }
            tokio::time::sleep(EVERY).await;
        }
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
