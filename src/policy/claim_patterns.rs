//! `ClaimPatterns`: what the token of a workload must say.

use super::TextPattern;
use crate::oauth::jose::Claims;

/// Claims that are strings, each with a pattern for its whole value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimPatterns(Box<[(String, TextPattern)]>);

impl ClaimPatterns {
    /// Makes it from the claims and their patterns.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = (String, TextPattern)>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// Returns whether each claim is there, a string, and as its pattern says. Without any pattern nothing matches.
    #[must_use]
    pub fn match_all(&self, claims: &Claims) -> bool {
        let matches =
            |(name, pattern): &(String, TextPattern)| claims.text(name).is_some_and(|text| pattern.matches(text));
        !self.0.is_empty() && self.0.iter().all(matches)
    }
}
