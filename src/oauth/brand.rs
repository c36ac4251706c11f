//! `Brand`: the word that every secret and every client id of a deployment begins with.

/// The brand that every secret begins with (`mcp` unless configured): 2 to 8 lower-case letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand(String);

impl Brand {
    /// Reads a brand.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ((2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())).then(|| Self(text.into()))
    }
    /// Returns the letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
