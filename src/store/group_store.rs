//! The part of a store for the groups that accounts are members of.

use async_trait::async_trait;

use super::{AuditRow, Result, Update};
use crate::oauth::{AccountId, GroupName, GroupSet, TenantId};

/// Groups of accounts. A group exists as long as it has a member, and a deleted account is no member of any. Tokens are
/// read with the groups of their account ([`crate::oauth::AccessTokenRecord`]).
#[async_trait]
pub trait GroupStore {
    /// Makes an account a member of a group, and emits `Change::AccountGroupsChanged`. `Update::Done` without audit row
    /// and change if it is one already; `Update::NotFound` if there is no such account.
    async fn add_member(&self, group: &GroupName, subject: &AccountId, audit: AuditRow) -> Result<Update>;
    /// Ends the membership of an account, and emits `Change::AccountGroupsChanged`. `Update::NotFound` if it is not a
    /// member. It ends even if nothing can be written, as other access does.
    async fn remove_member(&self, group: &GroupName, subject: &AccountId, audit: AuditRow) -> Result<Update>;
    /// Returns the groups of an account.
    async fn groups_of(&self, tenant: &TenantId, subject: &AccountId) -> Result<GroupSet>;
    /// Lists the members of all groups of a tenant, by group and login name.
    async fn list_members(&self, tenant: &TenantId) -> Result<Vec<(GroupName, AccountId)>>;
}
