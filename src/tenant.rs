//! `TenantId`: the tenant that a record belongs to. Every stored row, cache entry and audit row has one.

use std::sync::Arc;

/// A tenant's name: 1 to 64 characters of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The tenant of a gateway that has only one.
    pub const DEFAULT: &'static str = "default";

    /// Parses a tenant's name; `None` when it is empty, too long or has other characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (!text.is_empty() && text.len() <= 64 && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// Returns the tenant's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}
