//! Members of groups in memory.

use async_trait::async_trait;

use super::super::{AuditRow, Change, GroupStore, Result, Update};
use super::{MemoryStore, State, prune};
use crate::oauth::{AccountId, GroupName, GroupSet, TenantId};

impl State {
    /// Returns the groups of an account.
    pub(super) fn groups_of(&self, tenant: &TenantId, subject: &AccountId) -> GroupSet {
        let theirs = self.members.iter().filter(|(t, _, s)| t == tenant && s == subject);
        theirs.map(|(_, group, _)| group.clone()).collect()
    }

    fn groups_changed(&mut self, subject: &AccountId, audit: AuditRow) -> Result<Update> {
        self.announce(audit.at, Change::AccountGroupsChanged(audit.tenant.clone(), subject.clone()));
        self.done(audit)
    }
}

#[async_trait]
impl GroupStore for MemoryStore {
    async fn add_member(&self, group: &GroupName, subject: &AccountId, audit: AuditRow) -> Result<Update> {
        let mut state = self.write();
        if state.account(&audit.tenant, subject).is_none() {
            return Ok(Update::NotFound);
        }
        if state.groups_of(&audit.tenant, subject).contains(group) {
            return Ok(Update::Done);
        }
        state.members.push((audit.tenant.clone(), group.clone(), subject.clone()));
        state.groups_changed(subject, audit)
    }

    async fn remove_member(&self, group: &GroupName, subject: &AccountId, audit: AuditRow) -> Result<Update> {
        let mut state = self.write();
        let other = |(t, g, s): &(TenantId, GroupName, AccountId)| *t != audit.tenant || g != group || s != subject;
        if prune(&mut state.members, other) == 0 {
            return Ok(Update::NotFound);
        }
        state.groups_changed(subject, audit)
    }

    async fn groups_of(&self, tenant: &TenantId, subject: &AccountId) -> Result<GroupSet> {
        Ok(self.read().groups_of(tenant, subject))
    }

    async fn list_members(&self, tenant: &TenantId) -> Result<Vec<(GroupName, AccountId)>> {
        let state = self.read();
        let name_of = |subject| state.account(tenant, subject).map(|account| &account.name);
        let mut members: Vec<_> = state.members.iter().filter(|(t, ..)| t == tenant).collect();
        members.sort_by_key(|(_, group, subject)| (group, name_of(subject)));
        Ok(members.into_iter().map(|(_, group, subject)| (group.clone(), subject.clone())).collect())
    }
}
