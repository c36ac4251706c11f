//! `GroupName` and `GroupSet`: the groups that accounts are members of.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The name of a group of accounts: 1 to 64 of `a-z`, `0-9` and `.-_`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// Parses a name in any case; `None` for what cannot be a group's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
        let name = text.to_ascii_lowercase();
        ((1..=64).contains(&name.len()) && name.bytes().all(allowed)).then(|| Self(name.into()))
    }

    /// Returns the name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for GroupName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of groups, ordered, without repeats.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct GroupSet(BTreeSet<GroupName>);

impl GroupSet {
    /// Returns whether there is no group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a group is in the set.
    #[must_use]
    pub fn contains(&self, group: &GroupName) -> bool {
        self.0.contains(group)
    }

    /// Returns whether a group is in both.
    #[must_use]
    pub fn has_any_of(&self, other: &Self) -> bool {
        !self.0.is_disjoint(&other.0)
    }

    /// Returns the groups that are in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// Iterates over the groups in order.
    pub fn iter(&self) -> impl Iterator<Item = &GroupName> {
        self.0.iter()
    }
}

impl FromIterator<GroupName> for GroupSet {
    fn from_iter<I: IntoIterator<Item = GroupName>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::GroupName;

    #[test]
    fn a_group_has_one_spelling_of_a_narrow_alphabet() {
        let longest = "a".repeat(64);
        for (text, name) in [("Staff", "staff"), ("on-call.eu_1", "on-call.eu_1"), (&longest, &longest)] {
            assert_eq!(GroupName::parse(text).unwrap().as_str(), name);
        }
        for text in ["", " staff", "a b", "a,b", "caf\u{e9}", "a@b", "\u{212a}", &format!("{longest}a")] {
            assert_eq!(GroupName::parse(text), None, "{text}");
        }
    }
}
