//! The account as which a client acts for itself.

use super::{Account, AccountStatus};
use crate::oauth::{Client, GrantType, LoginName, Subject, TenantId, Timestamp};

impl Account {
    /// Makes the account of a service.
    #[must_use]
    pub const fn of_service(tenant: TenantId, subject: Subject, name: LoginName, now: Timestamp) -> Self {
        Self {
            tenant,
            subject,
            name,
            password: None,
            status: AccountStatus::Enabled,
            failed_logins: 0,
            last_failed_at: None,
            created_at: now,
            password_set_at: None,
        }
    }

    /// Makes the account that a client needs to act for itself; `None` if it does not.
    #[must_use]
    pub fn of_client(client: &Client, now: Timestamp) -> Option<Self> {
        let acts = client.metadata.grant_types.contains(&GrantType::ClientCredentials);
        let (subject, name) = client.service_account().filter(|_| acts)?;
        Some(Self::of_service(client.tenant.clone(), subject, name, now))
    }
}
