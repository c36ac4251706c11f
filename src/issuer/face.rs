//! `Face`: which group of endpoints a request came in at.

/// A group of endpoints, named in the record of requests that were refused before any use case saw them.
#[derive(Debug, Clone, Copy)]
pub enum Face {
    /// Pages for browsers, including the authorization endpoint.
    Page,
    /// The introspection endpoint.
    Introspection,
    /// The registration endpoint.
    Registration,
    /// The token and revocation endpoints.
    Token,
}
