//! `ScopeToken` and `ScopeSet` (RFC 6749 3.3).

use std::collections::BTreeSet;
use std::sync::Arc;

/// One scope: one or more of %x21 %x23-5B %x5D-7E (RFC 6749 3.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeToken(Arc<str>);

/// A set of scopes, ordered, without repeats.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ScopeSet(BTreeSet<ScopeToken>);

/// Why a scope parameter could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// A character outside RFC 6749 3.3.
    #[error("a scope has a character that RFC 6749 3.3 does not allow")]
    Character,
    /// More than 2048 bytes or 100 scopes.
    #[error("the scope parameter is too long")]
    TooLong,
}

impl ScopeToken {
    /// Reads one scope.
    ///
    /// # Errors
    /// `InvalidScope` when it is empty, longer than 256 bytes or has a forbidden character.
    pub fn parse(_text: &str) -> Result<Self, InvalidScope> {
        todo!()
    }
    /// Returns the scope as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ScopeSet {
    /// Reads a scope parameter: separated by spaces; commas are tolerated between scopes.
    ///
    /// # Errors
    /// `InvalidScope` when a scope is malformed or the whole is too long.
    pub fn parse(_text: &str) -> Result<Self, InvalidScope> {
        todo!()
    }
    /// Returns whether every scope of `self` is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
    /// Returns the scopes that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }
    /// Returns the scopes that are in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }
    /// Returns whether `name` is in the set.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|s| s.as_str() == name)
    }
    /// Returns whether there is no scope.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Iterates in order.
    pub fn iter(&self) -> impl Iterator<Item = &ScopeToken> {
        self.0.iter()
    }
    /// Returns the set without `name`.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|s| s.as_str() != name).cloned().collect())
    }
}

impl FromIterator<ScopeToken> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = ScopeToken>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl std::fmt::Display for ScopeSet {
    /// Writes the scopes separated by single spaces.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, scope) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}
