//! `Holders`: who may hold a token for an upstream, and which of its scopes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::oauth::{GroupName, GroupSet, LoginName, ScopeSet, ScopeToken};

/// The groups of the configuration file, by the login names of their members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfiguredGroups {
    by_member: BTreeMap<LoginName, GroupSet>,
}

impl ConfiguredGroups {
    /// Makes the groups from their names, each with its members.
    #[must_use]
    pub fn new(groups: &[(GroupName, Vec<LoginName>)]) -> Self {
        let mut by_member = BTreeMap::<LoginName, BTreeSet<GroupName>>::new();
        for (group, members) in groups {
            for member in members {
                by_member.entry(member.clone()).or_default().insert(group.clone());
            }
        }
        Self { by_member: by_member.into_iter().map(|(member, of)| (member, of.into_iter().collect())).collect() }
    }

    /// Returns all groups of an account: those that the store knows, and those of the file. `user` is its login name,
    /// empty if the account is gone.
    #[must_use]
    pub fn of<'a>(&self, user: &str, stored: &'a GroupSet) -> Cow<'a, GroupSet> {
        self.by_member.get(user).map_or(Cow::Borrowed(stored), |configured| Cow::Owned(stored.union(configured)))
    }

    /// Lists the members, each with its groups.
    pub fn iter(&self) -> impl Iterator<Item = (&LoginName, &GroupSet)> {
        self.by_member.iter()
    }
}

/// Accounts, named one by one or by their groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountList {
    /// The login names of single accounts.
    pub users: BTreeSet<LoginName>,
    /// Groups, all of whose members are meant.
    pub groups: GroupSet,
}

impl AccountList {
    fn has(&self, user: &str, groups: &GroupSet) -> bool {
        self.users.contains(user) || self.groups.has_any_of(groups)
    }
}

/// Who may hold a token for an upstream, and which of its scopes: `allow_users` and `allow_groups` of the upstream,
/// `users` and `groups` of its scopes. A service is held to it as well: it is named by its account's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// Who may hold a token at all; `None` for every account.
    pub admitted: Option<AccountList>,
    /// The scopes that not everybody may hold, each with those who may.
    pub limited: Vec<(ScopeToken, AccountList)>,
    /// The scopes without which no request to the upstream passes: who may not hold one of them is not admitted.
    pub required: ScopeSet,
    /// The groups of the configuration file.
    pub groups: Arc<ConfiguredGroups>,
}

impl Holders {
    /// Returns whether every account may hold a token with every scope.
    #[must_use]
    pub fn are_all(&self) -> bool {
        self.admitted.is_none() && self.limited.is_empty()
    }

    /// Returns those of the scopes that an account may hold now. `None` if it may hold no token: it is not admitted,
    /// may not hold a scope that every request needs, or may hold none of these scopes. `user` and `stored` are its
    /// login name and its groups in the store.
    #[must_use]
    pub fn narrow(&self, user: &str, stored: &GroupSet, scopes: &ScopeSet) -> Option<ScopeSet> {
        if self.are_all() {
            return Some(scopes.clone());
        }
        let groups = self.groups.of(user, stored);
        if self.admitted.as_ref().is_some_and(|admitted| !admitted.has(user, &groups)) {
            return None;
        }
        let may_hold = |scope: &ScopeToken| {
            let limited = self.limited.iter().find(|(name, _)| name == scope);
            limited.is_none_or(|(_, holders)| holders.has(user, &groups))
        };
        if !self.required.iter().all(may_hold) {
            return None;
        }
        let left: ScopeSet = scopes.iter().filter(|scope| may_hold(scope)).cloned().collect();
        (scopes.is_empty() || !left.is_empty()).then_some(left)
    }

    /// Returns all groups that are named.
    #[must_use]
    pub fn named_groups(&self) -> GroupSet {
        let lists = self.admitted.iter().chain(self.limited.iter().map(|(_, list)| list));
        lists.flat_map(|list| list.groups.iter().cloned()).collect()
    }

    /// Returns the scopes that an account may not hold, even if another scope includes them.
    #[must_use]
    pub fn barred(&self, user: &str, stored: &GroupSet) -> ScopeSet {
        let groups = self.groups.of(user, stored);
        let barred = self.limited.iter().filter(|(_, holders)| !holders.has(user, &groups));
        barred.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{AccountList, ConfiguredGroups, Holders};
    use crate::oauth::{GroupName, GroupSet, LoginName, ScopeSet, ScopeToken};

    fn names<T: FromIterator<N>, N>(text: &str, parse: impl Fn(&str) -> Option<N>) -> T {
        text.split_whitespace().map(|name| parse(name).unwrap()).collect()
    }

    fn accounts(users: &str, groups: &str) -> AccountList {
        AccountList { users: names(users, LoginName::parse), groups: names(groups, GroupName::parse) }
    }

    fn holders(admitted: Option<AccountList>, limited: &[(&str, AccountList)]) -> Holders {
        let staff = (GroupName::parse("staff").unwrap(), names("ada robot", LoginName::parse));
        Holders {
            admitted,
            limited: limited.iter().map(|(name, by)| (ScopeToken::parse(name).unwrap(), by.clone())).collect(),
            required: ScopeSet::default(),
            groups: Arc::new(ConfiguredGroups::new(&[staff])),
        }
    }

    #[test]
    fn only_those_who_are_named_may_hold_a_token_and_its_limited_scopes() {
        let everybody = holders(None, &[]);
        let staff = holders(Some(accounts("grace", "staff")), &[("harm", accounts("", "admins"))]);
        let nobody = holders(Some(accounts("", "")), &[]);
        let limited = holders(None, &[("harm", accounts("grace", "admins"))]);
        let required = Holders { required: ScopeSet::parse("harm").unwrap(), ..limited.clone() };
        for (holders, user, stored, asked, left) in [
            (&everybody, "eve", "", "read harm", Some("read harm")),
            (&everybody, "", "", "", Some("")),
            // By name, by the file's groups, and by the store's.
            (&staff, "grace", "", "read", Some("read")),
            (&staff, "ada", "", "read harm", Some("read")),
            (&staff, "robot", "", "read", Some("read")),
            (&staff, "eve", "staff", "read", Some("read")),
            (&staff, "eve", "admins", "read harm", None),
            (&staff, "eve", "admins staff", "read harm", Some("read harm")),
            (&staff, "", "", "", None),
            (&staff, "ada", "", "", Some("")),
            // None of the requested scopes is left.
            (&staff, "ada", "", "harm", None),
            (&limited, "eve", "", "read harm", Some("read")),
            (&limited, "grace", "", "harm", Some("harm")),
            (&nobody, "ada", "staff admins", "read", None),
            (&required, "grace", "", "read", Some("read")),
            (&required, "eve", "", "read", None),
        ] {
            let stored: GroupSet = names(stored, GroupName::parse);
            let asked = ScopeSet::parse(asked).unwrap();
            let expected = left.map(|left| ScopeSet::parse(left).unwrap());
            assert_eq!(holders.narrow(user, &stored, &asked), expected, "{user} {stored:?} {asked}");
        }
    }
}
