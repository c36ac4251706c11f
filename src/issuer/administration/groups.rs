//! Groups: adding, removing and listing their members in the store.

use std::collections::BTreeMap;

use super::{Administration, AdministrationError, done};
use crate::oauth::{GroupName, LoginName};
use crate::store::{Account, AuditEvent, AuditRow};

impl Administration {
    /// Makes accounts members of a group; those that are members already stay so. If one of the names is unknown, none
    /// is added.
    ///
    /// # Errors
    /// `BadGroup`, `NoSuchAccount`, `Store`.
    pub async fn add_members(&self, group: &str, names: &[String]) -> Result<Vec<Account>, AdministrationError> {
        let group = group_name(group)?;
        let mut accounts = Vec::new();
        for name in names {
            accounts.push(self.account(name).await?);
        }
        for account in &accounts {
            let row = self.audit_of_member(AuditEvent::GroupMemberAdded, &group, account);
            let added = self.services.store.add_member(&group, account.subject.id(), row).await?;
            done(added, || AdministrationError::NoSuchAccount(account.name.to_string()))?;
        }
        Ok(accounts)
    }

    /// Ends the membership of an account in the store; one in the configuration file stays.
    ///
    /// # Errors
    /// `BadGroup`, `NoSuchAccount`, `NotAMember`, `Store`.
    pub async fn remove_member(&self, group: &str, name: &str) -> Result<(), AdministrationError> {
        let (group, account) = (group_name(group)?, self.account(name).await?);
        let row = self.audit_of_member(AuditEvent::GroupMemberRemoved, &group, &account);
        let removed = self.services.store.remove_member(&group, account.subject.id(), row).await?;
        done(removed, || AdministrationError::NotAMember { name: account.name.to_string(), group: group.to_string() })
    }

    /// Lists the groups in the store with the login names of their members.
    ///
    /// # Errors
    /// `Store`.
    pub async fn groups(&self) -> Result<BTreeMap<GroupName, Vec<LoginName>>, AdministrationError> {
        let accounts = self.accounts().await?;
        let names: BTreeMap<_, _> = accounts.iter().map(|account| (account.subject.id(), &account.name)).collect();
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for (group, subject) in self.services.store.list_members(&self.tenant).await? {
            groups.entry(group).or_default().extend(names.get(&subject).copied().cloned());
        }
        Ok(groups)
    }

    fn audit_of_member(&self, event: AuditEvent, group: &GroupName, account: &Account) -> AuditRow {
        AuditRow { reason: Some(group.to_string()), ..self.audit_of(event, account.subject.id()) }
    }
}

/// Reads the name of a group.
pub(super) fn group_name(name: &str) -> Result<GroupName, AdministrationError> {
    GroupName::parse(name).ok_or_else(|| AdministrationError::BadGroup(name.to_owned()))
}
