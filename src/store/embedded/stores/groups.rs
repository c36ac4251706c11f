//! `GroupStore`: which groups accounts are members of.

use crate::oauth::{AccountId, GroupName, GroupSet, TenantId};
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::groups;
use crate::store::{AuditRow, Result, Update};

implement! { GroupStore:
    write add_member(group: &GroupName, subject: &AccountId, audit: AuditRow) -> Update
        = |db| groups::add(db, &group, &subject, &audit);
    write_urgently(audit) remove_member(group: &GroupName, subject: &AccountId, audit: AuditRow) -> Update
        = |db| groups::remove(db, &group, &subject, &audit);
    read groups_of(tenant: &TenantId, subject: &AccountId) -> GroupSet = |db| groups::of(db, &tenant, &subject);
    read list_members(tenant: &TenantId) -> Vec<(GroupName, AccountId)> = |db| groups::list(db, &tenant);
}
