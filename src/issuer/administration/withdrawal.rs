//! The actions that end access, as a value: a command sends it to the running server, or carries it out itself if none
//! runs.

use serde::{Deserialize, Serialize};

use super::{Administration, AdministrationError, SessionQuery};

/// An action that ends access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Withdrawal {
    /// Revokes one grant.
    Session {
        /// The id of the grant.
        id: String,
    },
    /// Revokes the selected grants.
    Sessions(SessionQuery),
    /// Revokes one API key.
    Key {
        /// The id of its grant.
        id: String,
    },
    /// Switches an account off.
    DisableUser {
        /// The login name or subject.
        name: String,
    },
    /// Deletes an account.
    DeleteUser {
        /// The login name or subject.
        name: String,
    },
    /// Ends the membership of an account in a group.
    LeaveGroup {
        /// The name of the group.
        group: String,
        /// The login name or subject.
        user: String,
    },
    /// Switches a client off.
    DisableClient {
        /// The client id.
        id: String,
    },
    /// Removes a client.
    DeleteClient {
        /// The client id.
        id: String,
    },
}

/// What a completed action reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Withdrawn {
    /// The number of grants that were revoked.
    Sessions(u64),
    /// The account that was deleted.
    User {
        /// Its former login name.
        name: String,
        /// Its stable subject.
        subject: String,
    },
    /// The requested state is in force.
    Done,
}

impl Administration {
    /// Carries out an action that ends access.
    ///
    /// # Errors
    /// Those of the action; `Store(NotStored)` also if it was done earlier and is not stored yet.
    pub async fn withdraw(&self, operation: &Withdrawal) -> Result<Withdrawn, AdministrationError> {
        let withdrawn = match operation {
            Withdrawal::Session { id } => self.revoke_grant(id).await.map(|()| Withdrawn::Sessions(1)),
            Withdrawal::Sessions(which) => self.revoke_grants(which).await.map(Withdrawn::Sessions),
            Withdrawal::Key { id } => self.revoke_key(id).await.map(|()| Withdrawn::Done),
            Withdrawal::DisableUser { name } => self.set_account_disabled(name, true).await.map(|()| Withdrawn::Done),
            Withdrawal::DeleteUser { name } => {
                let account = self.delete_account(name).await;
                account.map(|a| Withdrawn::User { name: a.name.to_string(), subject: a.subject.as_str().to_owned() })
            }
            Withdrawal::LeaveGroup { group, user } => self.remove_member(group, user).await.map(|()| Withdrawn::Done),
            Withdrawal::DisableClient { id } => self.set_client_disabled(id, true).await.map(|()| Withdrawn::Done),
            Withdrawal::DeleteClient { id } => self.delete_client(id).await.map(|()| Withdrawn::Done),
        }?;
        // If there was nothing to do, the reason may be a change that is in force but not stored yet.
        if self.services.store.stats().unstored > 0 {
            return Err(crate::store::StoreError::NotStored.into());
        }
        Ok(withdrawn)
    }
}
