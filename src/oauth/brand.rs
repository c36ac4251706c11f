//! `Brand`: the prefix of every secret and client id of a deployment.

/// The prefix of every secret (`mcp` unless configured): 2 to 8 lower-case letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand(String);

impl Brand {
    /// Parses a brand; `None` unless it is 2 to 8 lower-case letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ((2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())).then(|| Self(text.into()))
    }
    /// Returns the brand's letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
