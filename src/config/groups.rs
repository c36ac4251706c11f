//! The rules for groups, and for the lists of who may hold a token.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::accounts;
use super::check::Check;
use super::client_file::WrittenAccount;
use super::file::AccountGroup;
use super::problem::Setting;
use super::upstream_file::{Scope, Upstream};
use crate::oauth::{GroupName, LoginName, ScopeSet, ScopeToken};
use crate::policy::{AccountList, ConfiguredGroups, Holders};

/// Checks the groups of the file, those of its accounts among them.
pub(super) fn all(check: &Check<'_>, written: &[AccountGroup], accounts: &[WrittenAccount]) -> Arc<ConfiguredGroups> {
    let mut groups = Vec::new();
    let mut seen = BTreeSet::new();
    for group in written {
        let Some(setting) = &group.name else { continue };
        let members = users(check, &group.members);
        let Some(name) = GroupName::parse(&setting.value) else {
            check.report.wrong(setting, NOT_A_GROUP.0, NOT_A_GROUP.1);
            continue;
        };
        if !seen.insert(name.clone()) {
            check.report.wrong(setting, "there is another [[group]] with this name", "put the members into one");
        }
        groups.push((name, members.into_iter().collect()));
    }
    for (member, of) in accounts::with_groups(accounts) {
        groups.extend(group_names(check, of).into_iter().map(|group| (group, vec![member.clone()])));
    }
    Arc::new(ConfiguredGroups::new(&groups))
}

/// Checks who may hold a token for an upstream, and which of its scopes.
pub(super) fn holders(
    check: &Check<'_>,
    upstream: &Upstream,
    scopes: &[Scope],
    required: &ScopeSet,
    groups: &Arc<ConfiguredGroups>,
) -> Holders {
    let limited = scopes.iter().filter_map(|scope| {
        let name = ScopeToken::parse(&scope.name.as_ref()?.value).ok()?;
        Some((name, accounts(check, &scope.users, &scope.groups)?))
    });
    Holders {
        admitted: accounts(check, &upstream.allow_users, &upstream.allow_groups),
        limited: limited.collect(),
        required: required.clone(),
        groups: Arc::clone(groups),
    }
}

/// Reads two lists of accounts; `None` if neither is written.
fn accounts(check: &Check<'_>, by_name: &Setting<Vec<String>>, by_group: &Setting<Vec<String>>) -> Option<AccountList> {
    let written = [by_name, by_group].into_iter().find(|list| list.line.is_some())?;
    if by_name.value.is_empty() && by_group.value.is_empty() {
        check.report.wrong(written, "an empty list admits nobody", "name users or groups, or remove the key");
    }
    Some(AccountList { users: users(check, by_name), groups: group_names(check, by_group).into_iter().collect() })
}

fn users(check: &Check<'_>, names: &Setting<Vec<String>>) -> BTreeSet<LoginName> {
    let read = |(index, name): (usize, &String)| {
        let login = LoginName::parse(name);
        if login.is_none() {
            let remedy = "write 1 to 128 of a-z, 0-9 and .-_@+";
            check.report.wrong_entry(names, index, "this cannot be a login name", remedy);
        }
        login
    };
    names.value.iter().enumerate().filter_map(read).collect()
}

/// Why a name is not a group's, and what to write.
const NOT_A_GROUP: (&str, &str) = ("this cannot be a group", "write 1 to 64 of a-z, 0-9 and .-_");

/// Reads the names of groups.
pub(super) fn group_names(check: &Check<'_>, names: &Setting<Vec<String>>) -> Vec<GroupName> {
    let read = |(index, name): (usize, &String)| {
        let group = GroupName::parse(name);
        if group.is_none() {
            check.report.wrong_entry(names, index, NOT_A_GROUP.0, NOT_A_GROUP.1);
        }
        group
    };
    names.value.iter().enumerate().filter_map(read).collect()
}
