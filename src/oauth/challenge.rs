//! `BearerChallenge`: the `WWW-Authenticate` value (RFC 6750 3, RFC 9728 5.1).

use super::ScopeSet;

/// A Bearer challenge; without `error` when no credentials came (RFC 6750 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearerChallenge<'a> {
    /// `invalid_token`, `insufficient_scope`, `invalid_request`, or none.
    pub error: Option<&'static str>,
    /// Printable ASCII without quote and backslash.
    pub error_description: Option<&'a str>,
    /// What to ask for.
    pub scope: Option<&'a ScopeSet>,
    /// Absolute URL of the protected resource metadata.
    pub resource_metadata: &'a str,
}

impl BearerChallenge<'_> {
    /// Returns the header value, all members quoted, `Bearer` first.
    #[must_use]
    pub fn to_header(&self) -> String {
        todo!()
    }
}
