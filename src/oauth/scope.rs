//! `ScopeToken` and `ScopeSet` (RFC 6749 3.3).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Form, OAuthError, Rule};

/// Maximum length of a scope in bytes; longer ones would only fill the store.
const MAX_TOKEN: usize = 256;
/// Maximum length of a scope parameter in bytes: enough for every scope of a large catalogue.
const MAX_PARAMETER: usize = 2048;
const MAX_SCOPES: usize = 100;

/// One scope: one or more of %x21 %x23-5B %x5D-7E (RFC 6749 3.3), except the comma, which some clients put between
/// scopes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeToken(Arc<str>);

/// A set of scopes, ordered, without repeats.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ScopeSet(BTreeSet<ScopeToken>);

/// Why a scope parameter could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// It has a character outside RFC 6749 3.3.
    #[error("a scope has a character that RFC 6749 3.3 does not allow")]
    Character,
    /// It has more than 2048 bytes or 100 scopes.
    #[error("the scope parameter is too long")]
    TooLong,
}

impl ScopeToken {
    /// Parses one scope.
    ///
    /// # Errors
    /// `InvalidScope` when it is empty, longer than 256 bytes or has a forbidden character.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        let allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E) && b != b',';
        match text.len() {
            0 => Err(InvalidScope::Character),
            1..=MAX_TOKEN if text.bytes().all(allowed) => Ok(Self(text.into())),
            1..=MAX_TOKEN => Err(InvalidScope::Character),
            _ => Err(InvalidScope::TooLong),
        }
    }
    /// Returns the scope as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ScopeSet {
    /// Parses a scope parameter: scopes separated by spaces; commas are tolerated too.
    ///
    /// # Errors
    /// `InvalidScope` when a scope is malformed or the whole is too long.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if text.len() > MAX_PARAMETER {
            return Err(InvalidScope::TooLong);
        }
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        let scopes = words.map(ScopeToken::parse).collect::<Result<BTreeSet<_>, _>>()?;
        if scopes.len() > MAX_SCOPES { Err(InvalidScope::TooLong) } else { Ok(Self(scopes)) }
    }
    /// Reads the scopes of a request.
    ///
    /// # Errors
    /// `invalid_scope`.
    pub fn of_form(form: &Form) -> Result<Option<Self>, OAuthError> {
        let read = |text| Self::parse(text).map_err(|cause| OAuthError::from(cause).came("scope", text));
        form.get("scope").map(read).transpose()
    }
    /// Reads the stored form that `Display` writes. The limits of a parameter do not apply: an upstream's default set
    /// may be longer than anything that a client may send.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        text.split(' ').filter(|word| !word.is_empty()).map(|word| ScopeToken::parse(word).ok()).collect()
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
    /// Iterates over the scopes in order.
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

impl From<InvalidScope> for OAuthError {
    fn from(cause: InvalidScope) -> Self {
        match cause {
            InvalidScope::Character => Self::new(
                Rule::ScopeMalformed,
                "a scope has a character that is not allowed: separate scopes by single spaces",
            ),
            InvalidScope::TooLong => Self::new(Rule::ScopeMalformed, "the scope parameter is too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sc_06_order_repeats_and_commas_do_not_matter() {
        let set = ScopeSet::parse("b a,c  a").unwrap();
        assert_eq!(set.to_string(), "a b c");
        assert_eq!(ScopeSet::parse(" a , b c").unwrap(), set);
        assert!(ScopeSet::parse(" , ").unwrap().is_empty());
    }

    #[test]
    fn az_25_malformed_or_endless_scopes_are_refused() {
        for bad in ["a\"b", "a\\b", "a\tb", "a\u{7f}", "a \u{e9}", "a\0"] {
            assert_eq!(ScopeSet::parse(bad), Err(InvalidScope::Character), "{bad:?}");
        }
        let many: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
        assert_eq!(ScopeSet::parse(&many.join(" ")), Err(InvalidScope::TooLong));
        assert_eq!(ScopeSet::parse(&many[..101].join(" ")), Err(InvalidScope::TooLong));
        assert_eq!(ScopeSet::parse(&"s".repeat(257)), Err(InvalidScope::TooLong));
        assert_eq!(ScopeToken::parse(""), Err(InvalidScope::Character));
        assert_eq!(ScopeToken::parse("a,b"), Err(InvalidScope::Character));
    }
}
