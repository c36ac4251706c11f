//! Which groups accounts are members of.

use rusqlite::{Connection, params};

use super::row::{self, Columns, execute, execute_once};
use super::seal::{GroupMember, Sealed, opened};
use super::{accounts, audit};
use crate::oauth::{AccessTokenRecord, AccountId, GroupName, GroupSet, TenantId};
use crate::store::{AuditRow, Change, Result, Update};

const SELECT: &str = "SELECT m.tenant, a.subject, m.name, m.seal
    FROM group_member m CROSS JOIN account a ON a.no = m.account_no";

fn read(c: &mut Columns<'_>) -> Result<GroupMember> {
    let member = GroupMember { tenant: c.tenant()?, subject: c.account()?, group: c.word(GroupName::parse)? };
    opened(member, c.number()?, "the membership of a group")
}

/// Reads a column with the groups of an account, each with its seal: `name seal,name seal`, null for none.
pub(super) fn joined(c: &mut Columns<'_>, tenant: &TenantId, subject: &AccountId) -> Result<GroupSet> {
    let Some(list) = c.optional_text()? else { return Ok(GroupSet::default()) };
    list.split(',')
        .map(|entry| {
            let (name, seal) = entry.split_once(' ').unwrap_or((entry, ""));
            let parsed = GroupName::parse(name).and_then(|group| Some((group, seal.parse().ok()?)));
            let (group, seal) = parsed.ok_or_else(|| c.damaged("groups with their seals"))?;
            let member = GroupMember { tenant: tenant.clone(), subject: subject.clone(), group };
            Ok(opened(member, seal, "the membership of a group")?.group)
        })
        .collect()
}

/// Returns the groups of an account.
pub(crate) fn of(db: &Connection, tenant: &TenantId, subject: &AccountId) -> Result<GroupSet> {
    let sql = "SELECT m.tenant, a.subject, m.name, m.seal
        FROM account a CROSS JOIN group_member m ON m.account_no = a.no WHERE a.tenant = ?1 AND a.subject = ?2";
    Ok(row::all(db, sql, params![tenant, subject], read)?.into_iter().map(|member| member.group).collect())
}

/// Adds the groups of its account to a token that was just stored.
pub(super) fn with_groups(db: &Connection, token: Box<AccessTokenRecord>) -> Result<Box<AccessTokenRecord>> {
    let groups = of(db, &token.tenant, token.subject.id())?;
    Ok(Box::new(AccessTokenRecord { groups, ..*token }))
}

/// Lists the members of the groups of a tenant.
pub(crate) fn list(db: &Connection, tenant: &TenantId) -> Result<Vec<(GroupName, AccountId)>> {
    let sql = format!("{SELECT} WHERE m.tenant = ?1 ORDER BY m.name, a.name");
    Ok(row::all(db, &sql, [tenant], read)?.into_iter().map(|member| (member.group, member.subject)).collect())
}

/// Makes an account a member of a group.
pub(crate) fn add(db: &Connection, group: &GroupName, subject: &AccountId, row: &AuditRow) -> Result<Update> {
    let Some((no, _)) = accounts::find(db, &row.tenant, subject)? else { return Ok(Update::NotFound) };
    if of(db, &row.tenant, subject)?.contains(group) {
        return Ok(Update::Done);
    }
    let member = GroupMember { tenant: row.tenant.clone(), subject: subject.clone(), group: group.clone() };
    let sql = "INSERT INTO group_member (account_no, name, tenant, seal) VALUES (?1, ?2, ?3, ?4)";
    execute_once(db, sql, params![no, group.as_str(), member.tenant, member.seal()])?;
    changed(db, subject, row)
}

/// Ends the membership of an account.
pub(crate) fn remove(db: &Connection, group: &GroupName, subject: &AccountId, row: &AuditRow) -> Result<Update> {
    // Without reading the row, so that a damaged one can be removed.
    let sql = "DELETE FROM group_member WHERE name = ?3
        AND account_no = (SELECT no FROM account WHERE tenant = ?1 AND subject = ?2)";
    match execute(db, sql, params![row.tenant, subject, group.as_str()])? {
        0 => Ok(Update::NotFound),
        _ => changed(db, subject, row),
    }
}

fn changed(db: &Connection, subject: &AccountId, row: &AuditRow) -> Result<Update> {
    audit::announce(db, row.at, &Change::AccountGroupsChanged(row.tenant.clone(), subject.clone()))?;
    audit::done(db, row)
}

/// Reads every membership, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT, "membership of a group", |c| read(c).map(drop))
}
